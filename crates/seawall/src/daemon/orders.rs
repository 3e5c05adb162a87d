//! What operators have changed, as the store holds it: taken over at the start, and followed where it is another process
//! that lets them change it.

use std::{sync::Arc, time::Duration};

use seawall_gateway::Gateway;
use seawall_runtime::{
    disk::Disk,
    seam::{State, StateError},
    tasks::{Shutdown, TaskError},
};
use tokio::sync::oneshot;

use super::{cordon, modes};

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What the store holds.
#[derive(Default, PartialEq)]
pub(super) struct Orders {
    cordons: cordon::Kept,
    modes: modes::Kept,
}

impl Orders {
    /// Reads it.
    pub(super) fn of(state: &dyn State) -> Result<Self, StateError> {
        Ok(Self { cordons: cordon::Kept::of(state)?, modes: modes::Kept::of(state)? })
    }

    /// Puts it in force, where `before` was.
    pub(super) fn hold(&self, before: &Self, gateway: &Gateway) {
        self.cordons.hold(&before.cordons, gateway);
        self.modes.hold(gateway);
    }
}

/// Follows what another process writes to the store until told to stop.
pub(super) async fn follow(
    state: Arc<dyn State>,
    disk: Arc<dyn Disk>,
    gateway: Arc<Gateway>,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    let mut before = Orders::default();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            _ = tick.tick() => {}
        }
        let (done, read) = oneshot::channel();
        let state = state.clone();
        let job = Box::new(move || drop(done.send(Orders::of(&*state))));
        disk.offload(job).await;
        let orders = match read.await {
            Ok(Ok(orders)) => orders,
            Ok(Err(error)) => return Err(TaskError::new(error.to_string())),
            Err(_) => return Err(TaskError::new("reading the store panicked")),
        };
        if orders != before {
            orders.hold(&before, &gateway);
            before = orders;
        }
    }
}
