//! Signals in, verdicts out: the health engine at work.

use std::{sync::Arc, time::Duration};

use seawall_gateway::estate::{GatewaySection, PoolKind};
use seawall_health::{Engine, Plan, PoolPlan, UpstreamPlan};
use seawall_model::{ComponentId, ComponentKind, Signal};
use seawall_runtime::tasks::{Shutdown, TaskError};
use tokio::sync::{broadcast, watch};

use super::records::Scribe;

/// How often the passing of time alone is judged.
const TICK: Duration = Duration::from_secs(1);

/// The engine and what it lives on.
pub(super) struct Verdicts {
    engine: Engine,
    signals: broadcast::Receiver<Arc<Signal>>,
    plans: watch::Receiver<Plan>,
    scribe: Scribe,
    /// The source within this process, which is alive even when it has nothing to tell.
    local: Option<Arc<str>>,
}

impl Verdicts {
    pub(super) fn new(
        scribe: Scribe,
        signals: broadcast::Receiver<Arc<Signal>>,
        mut plans: watch::Receiver<Plan>,
        local: Option<Arc<str>>,
    ) -> Self {
        let engine = Engine::new(plans.borrow_and_update().clone(), scribe.clock.wall());
        Self { engine, signals, plans, scribe, local }
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
                self.scribe.verdict(verdict);
            }
        }
    }
}

/// What there is to judge in an estate.
pub(super) fn plan(section: Option<&GatewaySection>) -> Plan {
    let pools = section.iter().flat_map(|s| &s.pools).map(|pool| PoolPlan {
        component: pool.component(),
        halted_after: match &pool.kind {
            PoolKind::Evm(chain) => Some(chain.heads().halt()),
            PoolKind::Http(_) | PoolKind::Grpc(_) => None,
        },
        upstreams: pool
            .upstreams
            .iter()
            .map(|upstream| UpstreamPlan {
                component: pool.upstream_component(upstream),
                provider: ComponentId::new(ComponentKind::Provider, &upstream.provider),
            })
            .collect(),
    });
    Plan { pools: pools.collect() }
}
