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
    /// Which modes were set.
    pub(super) modes: modes::Kept,
}

impl Orders {
    /// Reads it.
    pub(super) fn of(state: &dyn State) -> Result<Self, StateError> {
        Ok(Self { cordons: cordon::Kept::of(state)?, modes: modes::Kept::of(state)? })
    }

    /// Reads it off the async threads.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn read(state: &Arc<dyn State>, disk: &Arc<dyn Disk>) -> Result<Self, StateError> {
        let (done, read) = oneshot::channel();
        let state = state.clone();
        disk.offload(Box::new(move || drop(done.send(Self::of(&*state))))).await;
        read.await.unwrap_or_else(|_| Err(StateError::Store("reading it panicked".to_owned())))
    }

    /// Puts it in force.
    pub(super) fn hold(&self, gateway: &Gateway) {
        self.cordons.hold(gateway);
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
    let mut held = None;
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            _ = tick.tick() => {}
        }
        let orders = Orders::read(&state, &disk).await.map_err(|e| TaskError::new(e.to_string()))?;
        if held.as_ref() != Some(&orders) {
            orders.hold(&gateway);
            held = Some(orders);
        }
    }
}
