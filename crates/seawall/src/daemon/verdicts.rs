//! Signals in, verdicts out: the health engine at work.

use std::{sync::Arc, time::Duration};

use seawall_health::{Engine, Plan};
use seawall_model::Signal;
use seawall_runtime::tasks::{Shutdown, TaskError};
use tokio::sync::{broadcast, watch};

use super::{board::Board, records::Scribe};

/// How often the passing of time alone is judged.
const TICK: Duration = Duration::from_secs(1);

/// The engine and what it lives on.
pub(super) struct Verdicts {
    engine: Engine,
    signals: broadcast::Receiver<Arc<Signal>>,
    plans: watch::Receiver<Plan>,
    scribe: Scribe,
    board: Arc<Board>,
    /// The source within this process, which is alive even when it has nothing to tell.
    local: Option<Arc<str>>,
}

impl Verdicts {
    pub(super) fn new(
        scribe: Scribe,
        signals: broadcast::Receiver<Arc<Signal>>,
        mut plans: watch::Receiver<Plan>,
        board: Arc<Board>,
        local: Option<Arc<str>>,
    ) -> Self {
        let engine = Engine::new(plans.borrow_and_update().clone(), scribe.clock.wall());
        board.replace(engine.verdicts());
        Self { engine, signals, plans, scribe, board, local }
    }

    /// Turns signals into verdicts until told to stop.
    pub(super) async fn run(&mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            let changed = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                Ok(()) = self.plans.changed() => {
                    let plan = self.plans.borrow_and_update().clone();
                    self.engine.replace(plan, self.scribe.clock.wall());
                    self.board.replace(self.engine.verdicts());
                    continue;
                }
                signal = self.signals.recv() => match signal {
                    Ok(signal) => self.engine.on_signal(self.scribe.clock.wall(), &signal),
                    // Too slow: what was lost is a second old and comes again.
                    Err(broadcast::error::RecvError::Lagged(lost)) => {
                        tracing::warn!(lost, "signals were lost before they were judged");
                        continue;
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                _ = tick.tick() => {
                    let now = self.scribe.clock.wall();
                    if let Some(source) = &self.local {
                        self.engine.heard(source, now);
                    }
                    self.engine.tick(now)
                }
            };
            for verdict in changed {
                self.board.put(&verdict);
                self.scribe.verdict(verdict);
            }
        }
    }
}
