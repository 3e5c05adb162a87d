//! What is believed of each component now, for whoever asks, and for Prometheus.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use seawall_model::{ComponentId, ComponentKind, Status, Verdict};
use seawall_runtime::metrics::Metrics;
use serde_json::{Value, json};

/// Components with a metric of their own. All are counted; the first in the order of their ids are told apart.
pub(super) const MAX_LABELS: usize = 10_000;

/// The verdicts as they stand.
#[derive(Debug, Default)]
pub(super) struct Board {
    verdicts: Mutex<BTreeMap<ComponentId, Verdict>>,
    /// How often all of them were replaced.
    replaced: AtomicU64,
}

impl Board {
    /// The verdicts on all there is to judge: what is no longer part of the estate goes.
    pub(super) fn replace(&self, verdicts: impl Iterator<Item = Verdict>) {
        *self.all() = verdicts.map(|verdict| (verdict.component.clone(), verdict)).collect();
        self.replaced.fetch_add(1, Relaxed);
    }

    /// A verdict has changed.
    pub(super) fn put(&self, verdict: &Verdict) {
        self.all().insert(verdict.component.clone(), verdict.clone());
    }

    /// How often all of them were replaced: while it stays the same, no component came or went.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced.load(Relaxed)
    }

    /// Is there anything to judge of that name?
    pub(super) fn knows(&self, component: &ComponentId) -> bool {
        self.all().contains_key(component)
    }

    /// All of them, in the order of ids.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        self.all().values().cloned().collect()
    }

    /// What is believed of each, in a word.
    pub(super) fn statuses(&self) -> BTreeMap<ComponentId, Status> {
        self.all().iter().map(|(id, verdict)| (id.clone(), verdict.status)).collect()
    }

    /// Those on components of a kind, or all, as operators are shown them.
    pub(super) fn show(&self, kind: Option<ComponentKind>) -> Vec<Value> {
        self.show_those(|component| kind.is_none_or(|kind| component.kind() == kind))
    }

    /// Those on such components, as operators are shown them.
    pub(super) fn show_those(&self, such: impl Fn(&ComponentId) -> bool) -> Vec<Value> {
        let all = self.all();
        let of = all.values().filter(|verdict| such(&verdict.component));
        let show = |verdict: &Verdict| {
            json!({
                "component": verdict.component,
                "status": verdict.status,
                "since": verdict.since.to_string(),
                "cause": verdict.cause,
                "evidence": verdict.evidence,
            })
        };
        of.map(show).collect()
    }

    /// Has them told to Prometheus.
    pub(super) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let reading = Reading(self.clone());
        metrics.within("health", |registry| registry.register_collector(Box::new(reading)));
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ComponentId, Verdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Reading(Arc<Board>);

const STATUSES: [Status; 4] = [Status::Up, Status::Degraded, Status::Down, Status::Unknown];

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let verdicts = self.0.verdicts();
        let help = "Components, by what is believed of them";
        let mut family = encoder.encode_descriptor("components", help, None, MetricType::Gauge)?;
        for status in STATUSES {
            let count = verdicts.iter().filter(|verdict| verdict.status == status).count();
            let labels = [("status", status.as_str())];
            ConstGauge::new(count as f64).encode(family.encode_family(&labels)?)?;
        }
        let help = "What is believed of the component: 0 up, 1 degraded, 2 down, 3 unknown";
        let mut family = encoder.encode_descriptor("status", help, None, MetricType::Gauge)?;
        for verdict in verdicts.iter().take(MAX_LABELS) {
            let component = verdict.component.to_string();
            let labels = [("component", component.as_str())];
            ConstGauge::new(f64::from(verdict.status as u8)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
