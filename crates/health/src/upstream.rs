//! What signals say of one upstream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use seawall_model::{Cause, Fact, Signal, Status, Wall};

use crate::{FAILURE_SHARE, FAILURES, FRESH, Opinion, WINDOW, age, past, sources::Sources, words::Words};

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
    /// At the last look it was up, without a failure or an ejection: more of the same changes nothing.
    calm: bool,
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
    /// Takes a signal in. True if it may change what is to be thought of the upstream.
    pub(crate) fn take(&mut self, now: Wall, signal: &Signal) -> bool {
        match &signal.fact {
            Fact::Head { number, age_ms, fault } => {
                let counted = self.head.is_some_and(|h| age(now, h.at) <= FRESH && h.fault.is_none());
                let since = |cause| match self.head.and_then(|h| h.fault) {
                    Some((before, since)) if before == cause => since,
                    Some(_) | None => signal.observed,
                };
                let fault = fault.map(|cause| (cause, since(cause)));
                self.head =
                    Some(Head { at: now, number: *number, age: Duration::from_millis(*age_ms), fault });
                !(self.calm && counted && fault.is_none())
            }
            Fact::Breaker { class, admitting, cause } => {
                let Some(class) = self.class(now, class) else { return false };
                class.ejected = (!admitting).then(|| {
                    let since = class.ejected.as_ref().map_or(signal.observed, |e| e.since);
                    Ejection { cause: *cause, since, source: signal.source.clone(), good: 0 }
                });
                true
            }
            Fact::Traffic(traffic) => {
                let Some(class) = self.class(now, &traffic.class) else { return false };
                let (attempts, failures) = (traffic.attempts, traffic.failures.min(traffic.attempts));
                class.traffic.push_back(Summary { at: now, attempts, failures, cause: traffic.cause });
                if class.traffic.len() > SUMMARIES {
                    class.traffic.pop_front();
                }
                if let Some(ejected) = &mut class.ejected {
                    ejected.good = if failures == 0 && attempts > 0 { ejected.good + 1 } else { 0 };
                }
                class.ejected.take_if(|e| e.good >= GOOD_SUMMARIES);
                !(self.calm && failures == 0)
            }
            // These say who was affected, or are judged elsewhere.
            Fact::Affected(_) | Fact::Check(_) | Fact::Heads(_) | Fact::Conductor(_) => false,
        }
    }

    /// A class, without what is too old to matter; nothing if there is no room for one more.
    fn class(&mut self, now: Wall, name: &Arc<str>) -> Option<&mut Class> {
        if !self.classes.contains_key(name) && self.classes.len() >= CLASSES {
            self.forget(now);
        }
        let room = self.classes.len() < CLASSES || self.classes.contains_key(name);
        let class = room.then(|| self.classes.entry(name.clone()).or_default())?;
        class.forget(now);
        Some(class)
    }

    /// Forgets what is too old to matter, or yet to come.
    pub(crate) fn forget(&mut self, now: Wall) {
        self.classes.values_mut().for_each(|class| class.forget(now));
        self.classes.retain(|_, c| c.ejected.is_some() || !c.traffic.is_empty());
        self.head.take_if(|h| age(now, h.at) > FRESH);
    }

    /// Time since the head last moved, if a fresh head without a fault says so.
    pub(crate) fn head_age(&self, now: Wall) -> Option<Duration> {
        let head = self.head.filter(|h| h.fault.is_none() && age(now, h.at) <= FRESH)?;
        Some(head.age + age(now, head.at))
    }

    /// When to look again, after [`Self::look`]; `None` if nothing can change by itself.
    pub(crate) fn deadline(&self) -> Option<Wall> {
        let head = self.head.map(|h| past(h.at, FRESH));
        let ends = |summary: Option<&Summary>| summary.map(|s| past(s.at, WINDOW));
        let traffic = if self.calm {
            // A summary of no attempts does not show that it works.
            let last = |c: &Class| ends(c.traffic.iter().rev().find(|s| s.attempts > 0));
            self.classes.values().filter_map(last).max()
        } else {
            self.classes.values().filter_map(|c| ends(c.traffic.front())).min()
        };
        head.into_iter().chain(traffic).min()
    }

    /// What is to be thought of it. Forgets what is too old to matter.
    pub(crate) fn look(&mut self, now: Wall, sources: &Sources) -> Opinion {
        self.forget(now);
        let opinion = self.opinion(now, sources, &mut Words::unwanted());
        let failed = self.classes.values().any(|c| c.traffic.iter().any(|s| s.failures > 0));
        let ejected = self.classes.values().any(|c| c.ejected.is_some());
        self.calm = opinion.status == Status::Up && !failed && !ejected;
        opinion
    }

    /// True if who is heard from makes no difference.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm
    }

    /// What is to be thought of it.
    pub(crate) fn opinion(&self, now: Wall, sources: &Sources, words: &mut Words<'_>) -> Opinion {
        let heard = |source: &Arc<str>| sources.is_heard(source, now);
        let head = self.head.filter(|h| age(now, h.at) <= FRESH);
        if let Some(Head { number, fault: Some((cause, since)), .. }) = head {
            words.say(format_args!(
                "its chain at block {number} is not to be believed: {cause} since {since}"
            ));
            return Opinion { status: Status::Down, cause: Some(cause) };
        }
        let ejected = || {
            let ejected = self.classes.iter().filter_map(|(name, c)| Some((name, c.ejected.as_ref()?)));
            ejected.filter(|(_, e)| heard(&e.source))
        };
        if let Some((_, first)) = ejected().min_by_key(|(_, e)| e.since) {
            let in_use = self
                .classes
                .values()
                .filter(|c| match &c.ejected {
                    Some(e) => heard(&e.source),
                    None => c.recent(now).next().is_some(),
                })
                .count();
            let status = if ejected().count() == in_use { Status::Down } else { Status::Degraded };
            if words.wanted() {
                let names: Vec<&str> = ejected().map(|(name, _)| &**name).collect();
                let (n, names) = (names.len(), names.join(", "));
                let cause = first.cause.map_or("unknown cause", Cause::as_str);
                let since = first.since;
                words.say(format_args!(
                    "ejected for {n} of {in_use} method classes ({names}): {cause} since {since}"
                ));
            }
            return Opinion { status, cause: first.cause };
        }
        self.without_ejection(now, head, words)
    }

    fn without_ejection(&self, now: Wall, head: Option<Head>, words: &mut Words<'_>) -> Opinion {
        let traffic = || self.classes.values().flat_map(|c| c.recent(now));
        let attempts: u64 = traffic().map(|s| s.attempts).sum();
        let failures: u64 = traffic().map(|s| s.failures).sum();
        let window = WINDOW.as_secs();
        let counted = format_args!("{failures} of {attempts} attempts failed in the last {window} s");
        if failures >= FAILURES && failures as f64 >= attempts as f64 * FAILURE_SHARE {
            let cause = traffic().filter_map(|s| Some((s.failures, s.cause?))).max().map(|(_, cause)| cause);
            words.say(counted);
            if let Some(cause) = cause {
                words.say(format_args!(": {cause}"));
            }
            return Opinion { status: Status::Degraded, cause };
        }
        match (head, attempts) {
            (None, 0) => {
                words.say(format_args!("nothing has been seen of it for {} s", FRESH.as_secs()));
                return Opinion { status: Status::Unknown, cause: None };
            }
            (Some(head), 0) => {
                let seen = age(now, head.at).as_secs();
                words.say(format_args!("block {} seen {seen} s ago", head.number));
            }
            (None, _) => words.say(counted),
            (Some(head), _) => {
                words.say(format_args!("at block {}; ", head.number));
                words.say(counted);
            }
        }
        Opinion { status: Status::Up, cause: None }
    }
}

impl Class {
    /// What still counts, oldest first.
    fn recent(&self, now: Wall) -> impl Iterator<Item = &Summary> {
        self.traffic.iter().filter(move |s| age(now, s.at) <= WINDOW)
    }

    /// Forgets summaries that count no more. They came in order, but for a clock that was set back.
    fn forget(&mut self, now: Wall) {
        let counts = |s: &Summary| age(now, s.at) <= WINDOW;
        while self.traffic.front().is_some_and(|s| !counts(s)) {
            self.traffic.pop_front();
        }
        if self.traffic.back().is_some_and(|s| !counts(s)) {
            self.traffic.retain(counts);
        }
    }
}
