//! The prober at work: what it finds becomes signals, and the last of each probe is kept to be shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use seawall_model::{Check, Fact, Outcome as Found, Signal};
use seawall_probe::{
    Counters, Fault, Finished, Outcome, Owing, Prober, Report, Runner, Sink,
    core::chain::Part,
    estate::{MemberSection, ProbesSection, WatchSection, Watched},
};
use seawall_runtime::{
    clock::Clock,
    seam::Bus,
    tasks::{Shutdown, TaskError},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::chains::Chains;

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
    pub(super) chains: Arc<Mutex<Chains>>,
    pub(super) section: Section,
}

/// What each probe, and each look at a part of a chain, found last.
#[derive(Default)]
pub(super) struct Last(Mutex<BTreeMap<Arc<str>, Report>>);

impl Probes {
    /// Makes checks until told to stop, and begins anew when the estate has changed.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let seq = Arc::<AtomicU64>::default();
        let mut owing: Vec<Owing> = Vec::new();
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
            self.chains.lock().unwrap_or_else(PoisonError::into_inner).keep(&section.chains);
            let sink = self.sink(section.clone(), seq.clone());
            let runner = Runner::new(self.prober.clone(), section.plan(), sink);
            owing.retain_mut(|owing| !owing.is_done());
            owing.push(runner.counting(self.counters.clone()).run(ends).await);
        }
        for owing in owing {
            owing.done().await;
        }
        Ok(())
    }

    /// What becomes of each result.
    fn sink(&self, section: Arc<ProbesSection>, seq: Arc<AtomicU64>) -> Sink {
        let (bus, clock, last) = (self.bus.clone(), self.clock, self.last.clone());
        let source: Arc<str> = WatchSection::source(&section.watch.vantage).into();
        let chains = self.chains.clone();
        Arc::new(move |finished: Finished| {
            let Finished { number, report, .. } = finished;
            let now = clock.wall();
            let (component, name, label, answered, mut facts) = match section.watched(number) {
                Some(Watched::Probe(probe)) => {
                    let name: Arc<str> = probe.name.as_str().into();
                    // To be in trouble is said of a place as a whole: for the sake of one check it keeps silent about that.
                    if report.fault.as_ref().is_some_and(Fault::is_of_one_check) {
                        last.put(&name, report);
                        return;
                    }
                    (probe.of.clone(), name.clone(), name, false, Vec::new())
                }
                Some(Watched::Chain(chain, member, part)) => {
                    let mut chains = chains.lock().unwrap_or_else(PoisonError::into_inner);
                    let facts = chains.take(chain, member, part, &report, now);
                    // What it says of itself is judged as a fact of its own: it did answer.
                    let answered = report.chain.is_some();
                    (member.component.clone(), part.as_str().into(), label(member, part), answered, facts)
                }
                None => return,
            };
            let fault = report.fault.as_ref().filter(|_| !answered);
            let outcome = match report.outcome() {
                Outcome::Up => Found::Ok,
                Outcome::Down if answered => Found::Ok,
                Outcome::Down => Found::Failed,
                Outcome::Unknown => Found::OwnTrouble,
            };
            let cause = fault.map(|fault| fault.cause());
            facts.push(Fact::Check(Check {
                probe: name,
                outcome,
                cause,
                latency_us: report.timings.total_us.into(),
            }));
            for fact in facts {
                bus.signal(Signal {
                    source: source.clone(),
                    seq: seq.fetch_add(1, Relaxed) + 1,
                    component: component.clone(),
                    observed: report.began,
                    received: now,
                    fact,
                });
            }
            last.put(&label, report);
        })
    }
}

/// What a part of a chain's member is kept under; no probe's name holds a blank.
fn label(member: &MemberSection, part: Part) -> Arc<str> {
    format!("{} {}", member.component, part.as_str()).into()
}

impl Last {
    fn put(&self, label: &Arc<str>, report: Report) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(label) {
            Some(last) => *last = report,
            None => drop(all.insert(label.clone(), report)),
        }
    }

    /// Forgets what is no longer looked at.
    fn keep(&self, section: &ProbesSection) {
        let probes = section.probes.iter().map(|probe| probe.name.as_str().into());
        let parts = section.parts().map(|(_, member, part, _)| label(member, part));
        let known: BTreeSet<Arc<str>> = probes.chain(parts).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|label, _| known.contains(label));
    }

    /// Every probe and every part of a chain, with what was found last. Targets without what may be secret in them.
    pub(super) fn show(&self, section: Option<&ProbesSection>) -> Value {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let probes = section.map(|section| section.probes.as_slice()).unwrap_or_default();
        let probes = probes.iter().map(|probe| {
            let mut shown = found(&probe.check, probe.every, all.get(probe.name.as_str()));
            shown["probe"] = json!(probe.name);
            shown["of"] = json!(probe.of);
            shown
        });
        let parts = section.iter().flat_map(|section| section.parts());
        let parts = parts.map(|(chain, member, part, check)| {
            let mut shown = found(check, chain.every, all.get(&label(member, part)));
            shown["chain"] = json!(chain.name);
            shown["of"] = json!(member.component);
            shown["part"] = json!(part);
            shown
        });
        json!({
            "vantage": section.map(|s| &s.watch.vantage),
            "probes": probes.collect::<Vec<_>>(),
            "chains": parts.collect::<Vec<_>>(),
        })
    }
}

/// A check with what it found last.
fn found(check: &seawall_probe::Check, every: Duration, last: Option<&Report>) -> Value {
    let fault = last.and_then(|report| report.fault.as_ref());
    json!({
        "target": check.target.to_string(),
        "every_ms": every.as_millis() as u64,
        "outcome": last.map(|report| report.outcome().as_str()),
        "why": last.and_then(Report::why),
        "cure": fault.map(|fault| fault.cure()),
        "last": last,
    })
}
