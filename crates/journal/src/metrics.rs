//! What the journal counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// The journal's metrics. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct JournalMetrics {
    pub(crate) appended: Counter,
    pub(crate) lost: Counter,
    pub(crate) syncs: Histogram,
    pub(crate) size: Gauge<u64, AtomicU64>,
    pub(crate) checkpoint: Gauge<u64, AtomicU64>,
    pub(crate) healthy: Gauge<u64, AtomicU64>,
}

impl Default for JournalMetrics {
    fn default() -> Self {
        Self {
            appended: Counter::default(),
            lost: Counter::default(),
            // 100 µs to about 6.5 s.
            syncs: Histogram::new(exponential_buckets(0.0001, 2.0, 17)),
            size: Gauge::default(),
            checkpoint: Gauge::default(),
            healthy: Gauge::default(),
        }
    }
}

impl JournalMetrics {
    /// Registers the metrics, under the prefix that `registry` has.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { appended, lost, syncs, size, checkpoint, healthy } = metrics.clone();
        registry.register("records", "Records made durable", appended);
        registry.register(
            "records_lost",
            "Records lost: queue full, disk refusing or payload too large",
            lost,
        );
        let help = "Time a group commit takes, from handing it to the disk to its sync";
        registry.register_with_unit("commit", help, Unit::Seconds, syncs);
        registry.register("size", "Records in the log", size);
        registry.register("checkpoint_size", "Records that the newest checkpoint covers", checkpoint);
        registry.register("healthy", "1 while records reach the disk", healthy);
        metrics
    }
}
