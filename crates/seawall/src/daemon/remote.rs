//! What probes find and what is believed, written to Prometheus or whoever takes its remote write
//! (<https://prometheus.io/docs/specs/prw/remote_write_spec/>, version 1.0): a snappy-compressed protobuf message.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prost::Message;
use seawall_model::{Fact, Outcome, Signal};
use seawall_runtime::{
    clock::Clock,
    metrics::{Metrics, read_counter},
    net::Net,
    tasks::{Shutdown, TaskError},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    board::Board,
    post::{Headers, post},
};
use crate::estate::Collector;

/// How often what has come together is written.
const WRITE: Duration = Duration::from_secs(5);
/// Every so many times, what is believed of everything is written as well.
const BELIEFS: u32 = 6;
/// Samples that wait to be written; if nobody takes them, the oldest of those beyond are lost, and counted.
const MAX_WAITING: usize = 100_000;
/// Samples of one message.
const AT_ONCE: usize = 5_000;

const HEADERS: &Headers = &[
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// Writes to one receiver.
pub(super) struct RemoteWrite {
    pub(super) to: Collector,
    pub(super) net: Arc<dyn Net>,
    pub(super) clock: Clock,
    pub(super) board: Arc<Board>,
    pub(super) signals: Receiver<Arc<Signal>>,
    pub(super) estate: String,
    pub(super) counts: Arc<Counts>,
}

/// What became of the samples.
#[derive(Default)]
pub(super) struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    /// Samples that were counted, for Prometheus.
    pub(super) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let (written, lost) = (self.clone(), self.clone());
        metrics.within("remote_write", |registry| {
            let help = "Samples that were written";
            registry.register_collector(read_counter("written_samples", help, move || {
                written.written.load(Relaxed)
            }));
            let help = "Samples that could not be written";
            registry.register_collector(read_counter("lost_samples", help, move || lost.lost.load(Relaxed)));
        });
    }
}

/// The message, as far as it is used.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    /// In the order of their names.
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    /// In the order of time.
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// What a series is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: &'static str,
    component: String,
    /// Which probe, and from where.
    probe: Option<(Arc<str>, Arc<str>)>,
}

type Waiting = Vec<(Series, Sample)>;

impl RemoteWrite {
    /// Writes until told to stop.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let mut waiting = Waiting::new();
        let (mut tick, mut ticks, mut well) = (tokio::time::interval(WRITE), 0_u32, true);
        loop {
            // Receiving and ticking are cancel-safe.
            let over = tokio::select! {
                biased;
                () = shutdown.requested() => true,
                _ = tick.tick() => false,
                signal = self.signals.recv() => {
                    match signal {
                        Ok(signal) => waiting.extend(samples(&signal).into_iter().flatten()),
                        Err(RecvError::Lagged(some)) => drop(self.counts.lost.fetch_add(some, Relaxed)),
                        Err(RecvError::Closed) => return Ok(()),
                    }
                    continue;
                }
            };
            if ticks.is_multiple_of(BELIEFS) {
                self.beliefs(&mut waiting);
            }
            ticks = ticks.wrapping_add(1);
            let done = self.write(&mut waiting).await;
            if let Err(why) = &done
                && well
            {
                tracing::warn!(code = "SW0236", to = %self.to.endpoint, why, "samples cannot be written; they are kept for a while");
            }
            well = done.is_ok();
            let beyond = waiting.len().saturating_sub(MAX_WAITING);
            waiting.drain(..beyond);
            self.counts.lost.fetch_add(beyond as u64, Relaxed);
            if over {
                return Ok(());
            }
        }
    }

    /// What is believed of everything now.
    fn beliefs(&self, waiting: &mut Waiting) {
        let timestamp = self.clock.wall().0;
        let belief = |verdict: seawall_model::Verdict| {
            let component = verdict.component.to_string();
            let series = Series { name: "seawall_health_status", component, probe: None };
            (series, Sample { value: f64::from(verdict.status as u8), timestamp })
        };
        waiting.extend(self.board.verdicts().into_iter().map(belief));
    }

    /// Writes all that waits, or as much as is taken. What is refused is lost: it would be again.
    async fn write(&self, waiting: &mut Waiting) -> Result<(), String> {
        while !waiting.is_empty() {
            let some = waiting.len().min(AT_ONCE);
            let body = message(&waiting[..some], &self.estate)?;
            match post(&*self.net, &self.to, HEADERS, body.into()).await {
                Ok(()) => self.counts.written.fetch_add(some as u64, Relaxed),
                Err(untold) if untold.refused => {
                    waiting.drain(..some);
                    self.counts.lost.fetch_add(some as u64, Relaxed);
                    return Err(untold.why);
                }
                Err(untold) => return Err(untold.why),
            };
            waiting.drain(..some);
        }
        Ok(())
    }
}

/// The samples of a check, whoever made it. A prober that was in trouble itself found nothing.
fn samples(signal: &Signal) -> Option<[(Series, Sample); 2]> {
    let Fact::Check(check) = &signal.fact else { return None };
    let success = match check.outcome {
        Outcome::Ok => 1.0,
        Outcome::Failed => 0.0,
        Outcome::OwnTrouble => return None,
    };
    let sample = |name, value| {
        let probe = Some((check.probe.clone(), signal.source.clone()));
        let series = Series { name, component: signal.component.to_string(), probe };
        (series, Sample { value, timestamp: signal.observed.0 })
    };
    let seconds = check.latency_us as f64 / 1e6;
    Some([sample("seawall_probe_success", success), sample("seawall_probe_duration_seconds", seconds)])
}

/// Samples as a message. Of those of a series and a millisecond the last one counts: receivers refuse a second.
fn message(samples: &[(Series, Sample)], estate: &str) -> Result<Vec<u8>, String> {
    let mut all = BTreeMap::<&Series, BTreeMap<i64, f64>>::new();
    for (series, sample) in samples {
        all.entry(series).or_default().insert(sample.timestamp, sample.value);
    }
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let timeseries = all.into_iter().map(|(series, samples)| {
        let mut labels = vec![
            label("__name__", series.name),
            label("component", &series.component),
            label("estate", estate),
        ];
        if let Some((probe, source)) = &series.probe {
            labels.extend([label("probe", probe), label("source", source)]);
        }
        let samples = samples.into_iter().map(|(timestamp, value)| Sample { value, timestamp });
        TimeSeries { labels, samples: samples.collect() }
    });
    let request = WriteRequest { timeseries: timeseries.collect() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use seawall_model::{Check, Wall};

    use super::*;

    fn checked(outcome: Outcome, at: i64) -> Signal {
        Signal {
            source: "probe/eu-1".into(),
            seq: 1,
            component: "service:shop".parse().unwrap(),
            observed: Wall(at),
            received: Wall(at),
            fact: Fact::Check(Check { probe: "shop".into(), outcome, cause: None, latency_us: 1_500 }),
        }
    }

    #[test]
    fn results_are_series_in_the_order_of_labels_and_time() {
        let waiting: Waiting = [(Outcome::Failed, 20), (Outcome::Ok, 10), (Outcome::OwnTrouble, 30)]
            .iter()
            .filter_map(|(outcome, at)| samples(&checked(*outcome, *at)))
            .flatten()
            .collect();
        let bytes = message(&waiting, "test").unwrap();
        let bytes = snap::raw::Decoder::new().decompress_vec(&bytes).unwrap();
        let read = WriteRequest::decode(&*bytes).unwrap();
        let show = |series: &TimeSeries| {
            let labels: Vec<_> = series.labels.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
            let samples: Vec<_> =
                series.samples.iter().map(|s| format!("{}@{}", s.value, s.timestamp)).collect();
            format!("{} {}", labels.join(","), samples.join(","))
        };
        let shown: Vec<_> = read.timeseries.iter().map(show).collect();
        let with = "component=service:shop,estate=test,probe=shop,source=probe/eu-1";
        let duration = format!("__name__=seawall_probe_duration_seconds,{with} 0.0015@10,0.0015@20");
        assert_eq!(shown, [duration, format!("__name__=seawall_probe_success,{with} 1@10,0@20")]);
    }

    #[test]
    fn a_prober_in_trouble_writes_nothing() {
        assert!(samples(&checked(Outcome::OwnTrouble, 10)).is_none());
    }
}
