//! What is counted of clients. Labels come from the estate.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};
use seawall_runtime::metrics::Metrics;

use super::grant::Standing;
use crate::routes::Routes;

/// Registers them.
pub(crate) fn register(metrics: &Metrics, routes: Arc<ArcSwap<Routes>>) {
    metrics.within("gateway", |registry| registry.register_collector(Box::new(Reading(routes))));
}

struct Reading(Arc<ArcSwap<Routes>>);

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading")
    }
}

/// A counter of a client's, and what it is called.
type ClientCounter = (&'static str, &'static str, fn(&Standing) -> &AtomicU64);

const CLIENT_COUNTERS: [ClientCounter; 2] = [
    ("client_calls", "Calls that a client known by name was let make", |s| &s.calls),
    ("client_limited", "Calls that it was refused for its limits", |s| &s.limited),
];

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let routes = self.0.load();
        let help = "Requests and calls refused for who sent them";
        let mut denied = encoder.encode_descriptor("denied", help, None, MetricType::Counter)?;
        for pool in routes.pools() {
            for (reason, count) in pool.state.counts.denials.counts().filter(|(_, count)| *count > 0) {
                let labels = [("pool", pool.section.name.as_str()), ("reason", reason)];
                ConstCounter::new(count).encode(denied.encode_family(&labels)?)?;
            }
        }
        for (name, help, counter) in CLIENT_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for grant in routes.access.grants() {
                let labels = [("client", grant.section.name.as_str())];
                let count = ConstCounter::new(counter(&grant.standing).load(Relaxed));
                count.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
