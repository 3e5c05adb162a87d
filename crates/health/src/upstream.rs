//! What signals say of one upstream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use seawall_model::{Cause, Fact, Signal, Status, Wall};

use crate::{FAILURE_SHARE, FAILURES, FRESH, Opinion, WINDOW, age};

/// Summaries of traffic remembered of one class: one a second, with room for a few sources.
const SUMMARIES: usize = 64;
/// Classes remembered of one upstream.
const CLASSES: usize = 32;
/// Summaries without a failure after which an ejected class is taken for admitted. The word that it is may
/// have been lost, or the breaker may have gone with the estate that it belonged to.
const GOOD_SUMMARIES: u32 = 3;

/// One upstream, as signals show it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upstream {
    classes: BTreeMap<Arc<str>, Class>,
    head: Option<Head>,
}

#[derive(Debug, Clone, Default)]
struct Class {
    ejected: Option<Ejection>,
    /// Oldest first.
    traffic: VecDeque<Summary>,
}

#[derive(Debug, Clone)]
struct Ejection {
    cause: Option<Cause>,
    since: Wall,
    source: Arc<str>,
    /// Summaries without a failure since.
    good: u32,
}

#[derive(Debug, Clone, Copy)]
struct Summary {
    at: Wall,
    attempts: u64,
    failures: u64,
    cause: Option<Cause>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    at: Wall,
    number: u64,
    age: Duration,
    fault: Option<(Cause, Wall)>,
}

impl Upstream {
    pub(crate) fn take(&mut self, now: Wall, signal: &Signal) {
        match &signal.fact {
            Fact::Head { number, age_ms, fault } => {
                let since = |cause| match self.head.and_then(|h| h.fault) {
                    Some((before, since)) if before == cause => since,
                    Some(_) | None => signal.observed,
                };
                let fault = fault.map(|cause| (cause, since(cause)));
                self.head =
                    Some(Head { at: now, number: *number, age: Duration::from_millis(*age_ms), fault });
            }
            Fact::Breaker { class, admitting, cause } => {
                let Some(class) = self.class(class) else { return };
                class.ejected = (!admitting).then(|| {
                    let since = class.ejected.as_ref().map_or(signal.observed, |e| e.since);
                    Ejection { cause: *cause, since, source: signal.source.clone(), good: 0 }
                });
            }
            // It says who was affected, of a pool; not how an upstream is.
            Fact::Affected(_) => {}
            Fact::Traffic(traffic) => {
                let Some(class) = self.class(&traffic.class) else { return };
                let (attempts, failures) = (traffic.attempts, traffic.failures.min(traffic.attempts));
                class.traffic.push_back(Summary { at: now, attempts, failures, cause: traffic.cause });
                if class.traffic.len() > SUMMARIES {
                    class.traffic.pop_front();
                }
                if let Some(ejected) = &mut class.ejected {
                    ejected.good = if failures == 0 && attempts > 0 { ejected.good + 1 } else { 0 };
                }
                class.ejected.take_if(|e| e.good >= GOOD_SUMMARIES);
            }
        }
    }

    fn class(&mut self, name: &Arc<str>) -> Option<&mut Class> {
        let room = self.classes.len() < CLASSES || self.classes.contains_key(name);
        room.then(|| self.classes.entry(name.clone()).or_default())
    }

    /// Time since the head last moved, if a fresh head without a fault says so.
    pub(crate) fn head_age(&self, now: Wall) -> Option<Duration> {
        let head = self.head.filter(|h| h.fault.is_none() && age(now, h.at) <= FRESH)?;
        Some(head.age + age(now, head.at))
    }

    /// What is to be thought of it. Forgets what is too old to matter.
    pub(crate) fn opinion(&mut self, now: Wall, sources: &BTreeMap<Arc<str>, Wall>) -> Opinion {
        let heard = |source: &Arc<str>| sources.get(source).is_some_and(|at| age(now, *at) <= FRESH);
        for class in self.classes.values_mut() {
            class.traffic.retain(|s| age(now, s.at) <= WINDOW);
        }
        self.classes.retain(|_, c| c.ejected.is_some() || !c.traffic.is_empty());
        let head = self.head.filter(|h| age(now, h.at) <= FRESH);
        if let Some(Head { number, fault: Some((cause, since)), .. }) = head {
            let evidence =
                format!("its chain at block {number} is not to be believed: {cause} since {since}");
            return Opinion { status: Status::Down, cause: Some(cause), evidence };
        }
        let ejected: Vec<(&Arc<str>, &Ejection)> = self
            .classes
            .iter()
            .filter_map(|(name, c)| Some((name, c.ejected.as_ref()?)))
            .filter(|(_, e)| heard(&e.source))
            .collect();
        let in_use =
            self.classes.iter().filter(|(_, c)| c.ejected.as_ref().is_none_or(|e| heard(&e.source))).count();
        if let Some((_, first)) = ejected.iter().min_by_key(|(_, e)| e.since) {
            let status = if ejected.len() == in_use { Status::Down } else { Status::Degraded };
            let names: Vec<&str> = ejected.iter().map(|(name, _)| &***name).collect();
            let cause = first.cause.map_or("unknown cause", Cause::as_str);
            let evidence = format!(
                "ejected for {} of {in_use} method classes ({}): {cause} since {}",
                ejected.len(),
                names.join(", "),
                first.since
            );
            return Opinion { status, cause: first.cause, evidence };
        }
        self.without_ejection(now, head)
    }

    fn without_ejection(&self, now: Wall, head: Option<Head>) -> Opinion {
        let traffic = || self.classes.values().flat_map(|c| &c.traffic);
        let attempts: u64 = traffic().map(|s| s.attempts).sum();
        let failures: u64 = traffic().map(|s| s.failures).sum();
        let counted = format!("{failures} of {attempts} attempts failed in the last {} s", WINDOW.as_secs());
        if failures >= FAILURES && failures as f64 >= attempts as f64 * FAILURE_SHARE {
            let cause = traffic().filter_map(|s| Some((s.failures, s.cause?))).max().map(|(_, cause)| cause);
            let because = cause.map(|c| format!(": {c}")).unwrap_or_default();
            return Opinion { status: Status::Degraded, cause, evidence: format!("{counted}{because}") };
        }
        let evidence = match (head, attempts) {
            (None, 0) => {
                let evidence = format!("nothing has been seen of it for {} s", FRESH.as_secs());
                return Opinion { status: Status::Unknown, cause: None, evidence };
            }
            (Some(head), 0) => format!("block {} seen {} s ago", head.number, age(now, head.at).as_secs()),
            (None, _) => counted,
            (Some(head), _) => format!("at block {}; {counted}", head.number),
        };
        Opinion { status: Status::Up, cause: None, evidence }
    }
}
