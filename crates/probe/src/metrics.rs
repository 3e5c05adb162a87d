//! What is counted of the checks made. No label is a check's name: there may be ten thousand.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use seawall_runtime::metrics::Metrics;

use crate::core::report::Outcome;

/// Longest lag that is told apart from longer ones, in microseconds.
const MAX_LAG_US: u64 = 60_000_000;
/// Shares of checks whose lag is told.
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.99, "0.99"), (1.0, "1")];

/// What a runner counts. Lags are told from the beginning, or from when [`Counters::lag`] last took them.
pub struct Counters {
    outcomes: [AtomicU64; 3],
    pub(crate) missed: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) reused: AtomicU64,
    pub(crate) trouble: AtomicU64,
    lag: Mutex<Histogram<u64>>,
}

impl Default for Counters {
    fn default() -> Self {
        let lag = Histogram::new_with_bounds(1, MAX_LAG_US, 3).expect("the bounds are a histogram's");
        let zero = AtomicU64::default;
        Self {
            outcomes: [zero(), zero(), zero()],
            missed: zero(),
            running: zero(),
            waiting: zero(),
            held: zero(),
            reused: zero(),
            trouble: zero(),
            lag: Mutex::new(lag),
        }
    }
}

impl Counters {
    /// Checks that came to this.
    pub fn finished(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Relaxed)
    }

    /// Turns that were missed.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    /// The lag below which that share of checks began, since it was last asked for with `take`.
    pub fn lag(&self, share: f64, take: bool) -> Duration {
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lag.value_at_quantile(share);
        if take {
            lag.reset();
        }
        Duration::from_micros(at)
    }

    pub(crate) fn ended(&self, outcome: Outcome, reused: bool) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        self.reused.fetch_add(u64::from(reused), Relaxed);
    }

    pub(crate) fn began(&self, lag: Duration, missed: u64) {
        self.missed.fetch_add(missed, Relaxed);
        let us = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        let mut lags = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        lags.saturating_record(us.clamp(1, MAX_LAG_US));
    }

    /// Registers them, as those of the worker of that number.
    pub fn register(self: &Arc<Self>, metrics: &Metrics, worker: usize) {
        let reading = Reading { counters: self.clone(), worker: worker.to_string() };
        metrics.within("probe", |registry| registry.register_collector(Box::new(reading)));
    }
}

struct Reading {
    counters: Arc<Counters>,
    worker: String,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading")
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (counters, worker) = (&self.counters, ("worker", self.worker.as_str()));
        let help = "Checks that have ended, by what they came to";
        let mut checks = encoder.encode_descriptor("checks", help, None, MetricType::Counter)?;
        for outcome in [Outcome::Up, Outcome::Down, Outcome::Unknown] {
            let labels = [worker, ("outcome", outcome.as_str())];
            ConstCounter::new(counters.finished(outcome)).encode(checks.encode_family(&labels)?)?;
        }
        for (name, help, count) in [
            ("missed_turns", "Turns of checks that were missed", &counters.missed),
            ("reused_connections", "Checks made over a connection that was there already", &counters.reused),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count.load(Relaxed)).encode(family.encode_family(&[worker])?)?;
        }
        for (name, help, gauge) in [
            ("running_checks", "Checks under way", &counters.running),
            ("waiting_checks", "Checks that are due and wait for others to end", &counters.waiting),
            ("held_failures", "Failures that wait for the anchors to be asked", &counters.held),
            ("own_trouble", "1 while the prober itself is in trouble", &counters.trouble),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(gauge.load(Relaxed)).encode(family.encode_family(&[worker])?)?;
        }
        let help = "How much later than due checks began, below which that share of them is";
        let mut lags = encoder.encode_descriptor("lag_seconds", help, None, MetricType::Gauge)?;
        for (share, label) in QUANTILES {
            let labels = [worker, ("share", label)];
            ConstGauge::new(counters.lag(share, false).as_secs_f64()).encode(lags.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
