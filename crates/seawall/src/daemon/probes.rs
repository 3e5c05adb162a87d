//! The prober at work: what it finds becomes signals, and the last of each probe is kept to be shown.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use seawall_model::{Check, Fact, Name, Outcome as Found, Signal};
use seawall_probe::{
    Counters, Finished, Outcome, Prober, Report, Runner, Sink,
    estate::{ProbesSection, WatchSection},
};
use seawall_runtime::{
    clock::Clock,
    seam::Bus,
    tasks::{Shutdown, TaskError},
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The probes of the estate as it is now.
pub(super) type Section = watch::Receiver<Option<Arc<ProbesSection>>>;

/// Makes the estate's checks.
#[derive(Clone)]
pub(super) struct Probes {
    pub(super) prober: Arc<Prober>,
    pub(super) clock: Clock,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) counters: Arc<Counters>,
    pub(super) last: Arc<Last>,
    pub(super) section: Section,
}

/// What each probe found last.
#[derive(Default)]
pub(super) struct Last(Mutex<BTreeMap<Name, Report>>);

impl Probes {
    /// Makes checks until told to stop, and begins anew when the estate has changed.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let seq = Arc::<AtomicU64>::default();
        while !shutdown.is_requested() {
            let section = self.section.borrow_and_update().clone();
            let mut changes = self.section.clone();
            let ends = async {
                tokio::select! {
                    biased;
                    () = shutdown.requested() => {}
                    // Whoever could change it is gone only when the process ends.
                    Ok(()) = changes.changed() => {}
                }
            };
            let Some(section) = section else {
                ends.await;
                continue;
            };
            self.last.keep(&section);
            let sink = self.sink(section.clone(), seq.clone());
            let runner = Runner::new(self.prober.clone(), section.plan(), sink);
            runner.counting(self.counters.clone()).run(ends).await;
        }
        Ok(())
    }

    /// What becomes of each result.
    fn sink(&self, section: Arc<ProbesSection>, seq: Arc<AtomicU64>) -> Sink {
        let (bus, clock, last) = (self.bus.clone(), self.clock, self.last.clone());
        let source: Arc<str> = WatchSection::source(&section.watch.vantage).into();
        Arc::new(move |finished: Finished| {
            let Finished { number, report, .. } = finished;
            let Some(probe) = section.probes.get(number) else { return };
            let check = Check {
                probe: probe.name.as_str().into(),
                outcome: match report.outcome() {
                    Outcome::Up => Found::Ok,
                    Outcome::Down => Found::Failed,
                    Outcome::Unknown => Found::OwnTrouble,
                },
                cause: report.fault.as_ref().map(|fault| fault.cause()),
                latency_us: report.timings.total_us.into(),
            };
            bus.signal(Signal {
                source: source.clone(),
                seq: seq.fetch_add(1, Relaxed) + 1,
                component: probe.of.clone(),
                observed: report.began,
                received: clock.wall(),
                fact: Fact::Check(check),
            });
            last.put(&probe.name, report);
        })
    }
}

impl Last {
    fn put(&self, name: &Name, report: Report) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(name) {
            Some(last) => *last = report,
            None => drop(all.insert(name.clone(), report)),
        }
    }

    /// Forgets what is no longer probed.
    fn keep(&self, section: &ProbesSection) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| section.probes.iter().any(|probe| probe.name == *name));
    }

    /// Every probe, with what it found last. Targets without what may be secret in them.
    pub(super) fn show(&self, section: Option<&ProbesSection>) -> Value {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let probes = section.map(|section| section.probes.as_slice()).unwrap_or_default();
        let each = probes.iter().map(|probe| {
            let last = all.get(&probe.name);
            json!({
                "probe": probe.name,
                "of": probe.of,
                "target": probe.check.target.to_string(),
                "every_ms": probe.every.as_millis() as u64,
                "outcome": last.map(|report| report.outcome().as_str()),
                "why": last.and_then(Report::why),
                "cure": last.and_then(|report| report.fault.as_ref()).map(|fault| fault.cure()),
                "last": last,
            })
        });
        json!({"vantage": section.map(|s| &s.watch.vantage), "probes": each.collect::<Vec<_>>()})
    }
}
