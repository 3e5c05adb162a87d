//! What happens in the gateway, written down: events become records and signals.

use std::sync::Arc;

use seawall_chain::method::Class;
use seawall_gateway::Event;
use seawall_model::{Cause, ComponentId, Fact, Mono, Record, RecordKind, Signal, Verdict, Wall};
use seawall_runtime::{
    clock::Clock,
    seam::{Bus, Receipt, Recorder},
};
use serde_json::{Value, json};

/// What this node's own signals say they come from.
pub(super) const SOURCE: &str = "gateway";

/// Writes records and publishes signals on behalf of this node.
#[derive(Clone)]
pub(super) struct Scribe {
    pub(super) clock: Clock,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) bus: Arc<dyn Bus>,
}

impl Scribe {
    /// Writes a record of something that happened now, without waiting for the disk.
    pub(super) fn record(&self, kind: RecordKind, component: Option<ComponentId>, payload: Value) {
        self.record_at(self.clock.wall(), kind, component, payload);
    }

    /// As [`Self::record`], with the receipt, which resolves once the record is durable.
    pub(super) fn receipt(
        &self,
        kind: RecordKind,
        component: Option<ComponentId>,
        payload: Value,
    ) -> Receipt {
        self.recorder.record(Record { kind, component, at: self.clock.wall(), payload })
    }

    fn record_at(&self, at: Wall, kind: RecordKind, component: Option<ComponentId>, payload: Value) {
        // The receipt is for those who must not act before the record is durable; nobody here must.
        drop(self.recorder.record(Record { kind, component, at, payload }));
    }

    /// Writes down a changed verdict and tells the house.
    pub(super) fn verdict(&self, verdict: Verdict) {
        tracing::info!(
            component = %verdict.component,
            status = %verdict.status,
            evidence = verdict.evidence,
            "verdict"
        );
        let payload = json!({
            "status": verdict.status, "since": verdict.since, "cause": verdict.cause, "evidence": verdict.evidence,
        });
        self.record(RecordKind::Verdict, Some(verdict.component.clone()), payload);
        self.bus.verdict(verdict);
    }

    /// Writes down an event of the gateway's; a changed breaker is a signal as well.
    pub(super) fn event(&self, event: Event, seq: u64) {
        let now = self.clock.mono();
        let at = |t: Mono| self.clock.wall_at(now, t);
        match event {
            Event::Breaker { at: t, upstream, class, state } => {
                let name = class.map_or("all", Class::as_str);
                tracing::info!(%upstream, class = name, state = state.as_str(), cause = ?state.cause(), "breaker");
                let payload = json!({"class": name, "state": state.as_str(), "cause": state.cause()});
                self.record_at(at(t), RecordKind::Breaker, Some(upstream.clone()), payload);
                let admitting = state.cause().is_none();
                for class in class.map_or_else(|| Class::ALL.to_vec(), |class| vec![class]) {
                    let fact =
                        Fact::Breaker { class: class.as_str().into(), admitting, cause: state.cause() };
                    self.signal(seq, upstream.clone(), at(t), fact);
                }
            }
            Event::Head { at: t, upstream, fault, number, agreed } => {
                tracing::info!(%upstream, ?fault, number, agreed, "head");
                let payload = json!({"fault": fault, "number": number, "agreed": agreed});
                self.record_at(at(t), RecordKind::Head, Some(upstream), payload);
            }
            Event::Halted { at: t, pool, halted, agreed } => {
                tracing::warn!(%pool, halted, agreed, "the chain as a whole stands still, or moves again");
                let payload = json!({"halted": halted, "agreed": agreed});
                self.record_at(at(t), RecordKind::Head, Some(pool), payload);
            }
            Event::Stranded { at: t, upstream, stranded } => {
                tracing::warn!(%upstream, stranded, "new connections fail while old ones serve, or are made again");
                let payload = json!({"cause": Cause::FreshConnect, "over": !stranded});
                self.record_at(at(t), RecordKind::Fault, Some(upstream), payload);
            }
            Event::Fault { at: t, upstream, cause } => {
                tracing::info!(%upstream, %cause, "fault");
                self.record_at(at(t), RecordKind::Fault, Some(upstream), json!({"cause": cause}));
            }
            _ => tracing::warn!("an event of a kind that is not written down"),
        }
    }

    /// Publishes what this node saw; who was affected is written down as well, since it cannot be found out later.
    pub(super) fn seen(&self, seq: u64, component: ComponentId, observed: Wall, fact: Fact) {
        if let Fact::Affected(affected) = &fact {
            self.record(RecordKind::Affected, Some(component.clone()), json!(affected));
        }
        self.signal(seq, component, observed, fact);
    }

    /// Publishes what this node saw itself.
    pub(super) fn signal(&self, seq: u64, component: ComponentId, observed: Wall, fact: Fact) {
        let received = self.clock.wall();
        self.bus.signal(Signal { source: SOURCE.into(), seq, component, observed, received, fact });
    }
}
