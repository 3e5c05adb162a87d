//! Signals in, verdicts out: what is believed of each upstream, pool and provider, and why.
//!
//! Pure: `now` comes in as an argument, the estate as a [`Plan`], and what follows comes back as the
//! verdicts that have changed. The rules are product behaviour:
//!
//! - An **upstream** is *down* when its head is faulty, or every method class in use is ejected by its
//!   breaker. It is *degraded* when some class is ejected, or failures are elevated ([`FAILURE_SHARE`] of at
//!   least [`FAILURES`] over [`WINDOW`]). It is *unknown* when nothing fresher than [`FRESH`] says that it
//!   works. What a source said of a breaker stands for as long as the source itself is heard from.
//! - A **pool** is *up* when all its upstreams are, *down* when none is known to serve, *degraded* in
//!   between, and *unknown* when all of them are. It is *degraded* too when its chain stands still as a whole.
//!   An upstream that is new counts for its pool and provider once it has been judged, or is [`FRESH`] old.
//! - A **provider** is *down* when every one of its upstreams is down, *up* when all are up, *unknown* when
//!   all are unknown, else *degraded*.
//! - **Damping**: a change for the worse is told at once; one for the better only once the last change is
//!   [`HOLD`] old. So nothing gets better twice within that time.

mod aggregate;
pub mod detect;
mod heads;
mod plan;
#[cfg(test)]
mod tests;
mod upstream;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use seawall_model::{Cause, ComponentId, Signal, Status, Verdict, Wall};

pub use heads::Heads;
pub use plan::{Plan, PoolPlan, UpstreamPlan};
use upstream::Upstream;

/// How old a signal may be and still say something.
pub const FRESH: Duration = Duration::from_secs(10);
/// The time over which failures are counted.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Failures below this many in [`WINDOW`] are not held against an upstream.
pub const FAILURES: u64 = 3;
/// Share of attempts in [`WINDOW`] that must fail to make an upstream degraded.
pub const FAILURE_SHARE: f64 = 0.1;
/// How long after a change nothing changes for the better.
pub const HOLD: Duration = Duration::from_secs(10);

/// What is thought of a component, before damping.
#[derive(Debug, Clone, PartialEq)]
struct Opinion {
    status: Status,
    cause: Option<Cause>,
    evidence: String,
}

/// Turns signals into verdicts.
#[derive(Debug, Clone)]
pub struct Engine {
    plan: Plan,
    upstreams: BTreeMap<ComponentId, Upstream>,
    /// When each source was last heard from.
    sources: BTreeMap<Arc<str>, Wall>,
    verdicts: BTreeMap<ComponentId, Held>,
}

/// A verdict, and whether it may get better yet.
#[derive(Debug, Clone)]
struct Held {
    verdict: Verdict,
    /// When the status last changed; `None` if it never has.
    changed: Option<Wall>,
}

impl Engine {
    /// An engine that believes nothing yet.
    pub fn new(plan: Plan, now: Wall) -> Self {
        let mut engine = Self {
            plan: Plan::default(),
            upstreams: BTreeMap::new(),
            sources: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        };
        engine.replace(plan, now);
        engine
    }

    /// Takes over a changed estate. What is known of the components that stay is kept.
    pub fn replace(&mut self, plan: Plan, now: Wall) {
        let components: BTreeSet<&ComponentId> = plan.components().collect();
        self.verdicts.retain(|component, _| components.contains(component));
        for component in components {
            self.verdicts.entry(component.clone()).or_insert_with(|| Held {
                verdict: Verdict {
                    component: component.clone(),
                    status: Status::Unknown,
                    since: now,
                    cause: None,
                    evidence: "nothing has been seen of it yet".to_owned(),
                },
                changed: None,
            });
        }
        let upstreams: BTreeSet<&ComponentId> = plan.upstreams().map(|u| &u.component).collect();
        self.upstreams.retain(|component, _| upstreams.contains(component));
        for component in upstreams {
            self.upstreams.entry(component.clone()).or_default();
        }
        self.plan = plan;
    }

    /// A source is alive, whether or not it has anything to tell.
    pub fn heard(&mut self, source: &Arc<str>, now: Wall) {
        self.sources.retain(|_, at| age(now, *at) <= FRESH);
        self.sources.insert(source.clone(), now);
    }

    /// Takes a signal in. Returns the verdicts whose status it changes, upstreams first. A signal about a
    /// component that is not in the plan only shows that its source is alive.
    pub fn on_signal(&mut self, now: Wall, signal: &Signal) -> Vec<Verdict> {
        self.heard(&signal.source, now);
        if let Some(upstream) = self.upstreams.get_mut(&signal.component) {
            upstream.take(now, signal);
        }
        self.tick(now)
    }

    /// Time has passed. Returns the verdicts whose status that changes. To be called every second.
    pub fn tick(&mut self, now: Wall) -> Vec<Verdict> {
        let mut changed = Vec::new();
        let opinions: Vec<(ComponentId, Opinion)> = self
            .upstreams
            .iter_mut()
            .map(|(component, upstream)| (component.clone(), upstream.opinion(now, &self.sources)))
            .collect();
        for (component, opinion) in opinions {
            self.settle(now, component, opinion, &mut changed);
        }
        for (component, opinion) in self.aggregates(now) {
            self.settle(now, component, opinion, &mut changed);
        }
        changed
    }

    /// What is believed now, in the order of component ids. The evidence is as of the last input.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.values().map(|held| &held.verdict)
    }

    /// What is believed of one component.
    pub fn verdict(&self, component: &ComponentId) -> Option<&Verdict> {
        self.verdicts.get(component).map(|held| &held.verdict)
    }

    /// Makes an opinion the verdict, unless damping puts it off.
    fn settle(&mut self, now: Wall, component: ComponentId, opinion: Opinion, changed: &mut Vec<Verdict>) {
        let Some(held) = self.verdicts.get_mut(&component) else { return };
        let is = held.verdict.status;
        let flips = is != opinion.status;
        if flips && improves(is, opinion.status) && held.changed.is_some_and(|at| age(now, at) < HOLD) {
            return;
        }
        held.verdict.cause = opinion.cause;
        held.verdict.evidence = opinion.evidence;
        if flips {
            held.verdict.status = opinion.status;
            held.verdict.since = now;
            held.changed = Some(now);
            changed.push(held.verdict.clone());
        }
    }
}

/// How long ago `at` was. What the clock, set back, says is yet to come is as old as can be: it counts for
/// nothing, and holds nothing up.
fn age(now: Wall, at: Wall) -> Duration {
    if at <= now { now.since(at) } else { Duration::MAX }
}

/// Good news. That nothing is known any more is neither good nor bad, and to be told at once.
fn improves(from: Status, to: Status) -> bool {
    match (from, to) {
        (Status::Degraded | Status::Down | Status::Unknown, Status::Up)
        | (Status::Down, Status::Degraded) => true,
        (Status::Up, _)
        | (_, Status::Down | Status::Unknown)
        | (Status::Degraded | Status::Unknown, Status::Degraded) => false,
    }
}
