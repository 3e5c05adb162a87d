//! Announced work comes nearer as time goes on: the plan is kept up with it.

use std::{sync::Arc, time::Duration};

use seawall_health::{Maintenance, Plan};
use seawall_model::Wall;
use seawall_runtime::{
    clock::Clock,
    tasks::{Shutdown, TaskError},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::plan;
use crate::estate::Announced;

/// How often it is looked for: the plan reaches days ahead.
const EVERY: Duration = Duration::from_secs(3_600);

/// Puts the windows of the days to come into the plan, until told to stop.
pub(super) async fn renew(
    plans: watch::Sender<Plan>,
    announced: watch::Receiver<Arc<[Announced]>>,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let windows = plan::maintenance(&announced.borrow(), clock.wall());
        plans.send_if_modified(|plan| {
            let changed = plan.maintenance != windows;
            plan.maintenance = windows;
            changed
        });
    }
}

/// The work that is under way or to come, as operators are shown it.
pub(super) fn show(windows: &[Maintenance], now: Wall) -> Vec<Value> {
    let ahead = windows.iter().filter(|work| work.until > now);
    let show = |work: &Maintenance| {
        json!({
            "component": work.component,
            "from": work.from.to_string(),
            "until": work.until.to_string(),
            "under_way": work.from <= now,
            "reason": &*work.reason,
        })
    };
    ahead.map(show).collect()
}
