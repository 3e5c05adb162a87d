//! Whoever runs the daemon: waits for it to be ready, and looks at its own numbers.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    client::{self, Door},
    plan::Life,
    world::{ADMIN, HOST, World},
};

/// A daemon serves this long after it starts, at the latest.
const READY: Duration = Duration::from_secs(10);
/// Clients send nothing in the last moment before a stop: who sends to a server that closes has bad luck.
const HUSH: u64 = 100;
/// Time from one look at the daemon's own numbers to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Lets the clients loose once the daemon says that it is ready, and calls them off before it stops.
pub(crate) async fn clients(world: Arc<World>, door: Arc<Door>, life: Life) {
    let probe = Door::new(world.net.host("operator"), HOST, ADMIN);
    let ready = async {
        while probe.ask("/readyz", None).await.ok().as_deref() != Some("ready\n") {
            sleep(READY / 100).await;
        }
    };
    if timeout(READY, ready).await.is_err() {
        world.ledger().find(world.days.now(), "it was not ready in time".into());
    }
    let rng = |purpose: &str| world.plan.seed.rng(&format!("{purpose} {}", life.from));
    let (reading, writing) = (rng("reads"), rng("writes"));
    let until = Duration::from_millis((life.to - HUSH).saturating_sub(world.days.now()));
    let reads = timeout(until, client::read(world.clone(), door.clone(), reading));
    let writes = timeout(until, client::write(world.clone(), door, writing));
    let _ = tokio::join!(reads, writes);
}

/// Looks at the daemon's own numbers once a second.
pub(crate) async fn look(world: Arc<World>, admin: Arc<Door>) {
    let mut looks: Vec<(u64, u64)> = Vec::new();
    loop {
        sleep(LOOK).await;
        // It may not listen yet, or no more.
        let Ok(text) = admin.ask("/v1/pools", None).await else { continue };
        let now = world.days.now();
        let journal = admin.ask("/v1/journal", None).await.unwrap_or_default();
        let pools: Value = serde_json::from_str(&text).unwrap();
        let pool = &pools["pools"][0];
        let mut ledger = world.ledger();
        ledger.trace.push(format!("{now} {pools} {journal}"));
        let journal: Value = serde_json::from_str(&journal).unwrap_or_default();
        ledger.show(journal["checkpoint_note"].as_str());
        let number = |of: &Value| of.as_u64().unwrap_or_default();
        let (extra, balance) = (number(&pool["budget"]["extra"]), number(&pool["budget"]["allowed"]));
        looks.push((number(&pool["requests"]), balance));
        let recent = &looks[looks.len().saturating_sub(12)..];
        let most = recent.iter().map(|l| l.1).max().unwrap_or(0);
        // Between two looks it may have been more, by the share of a second's calls.
        let second = recent.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap_or(0);
        if extra > most + second.div_ceil(5) {
            ledger.find(now, format!("{extra} unplanned attempts in ten seconds, {most} allowed"));
        }
        if now < world.plan.spans.all_serve {
            continue;
        }
        for upstream in pool["upstreams"].as_array().into_iter().flatten() {
            let admits = |b: &Value| b["state"] == "admitting";
            let all = upstream["breakers"].as_array().into_iter().flatten().all(admits);
            if !(all && upstream["fault"].is_null() && upstream["fresh"] == true) {
                ledger.find(now, format!("it has not recovered: {upstream}"));
            }
        }
    }
}
