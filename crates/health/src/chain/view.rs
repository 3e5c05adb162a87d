//! What one vantage point sees of one sequencer or follower.

use std::{sync::Arc, time::Duration};

use seawall_model::{Conductor, Fact, Signal, Tagged, Wall};

use super::{BEHIND, ChainPlan};
use crate::{age, past, sources::Sources};

/// Who makes blocks, and who follows; with the place of who operates the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Sequencer,
    Follower(u32),
}

/// Reports kept of one vantage point, so that others' can be held against what it saw before them.
const REPORTS: usize = 4;

/// The last that a vantage point reported.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) source: Arc<str>,
    /// Newest first.
    heads: [Option<(Wall, Seen)>; REPORTS],
    conductor: Option<(Wall, Conductor)>,
}

/// Heads as reported, and what is late about them by their ages then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) newest: Tagged,
    pub(crate) late: bool,
    /// `None` where no safe head was told.
    pub(crate) safe_late: Option<bool>,
    /// Blocks are known to be safe that were never heard of as unsafe.
    pub(crate) safe_beyond: bool,
}

impl View {
    pub(crate) fn new(source: Arc<str>) -> Self {
        Self { source, heads: [None; REPORTS], conductor: None }
    }

    pub(crate) fn is_of(&self, source: &str) -> bool {
        *self.source == *source
    }

    /// Takes a report in. True if it says anything else than the one before.
    pub(crate) fn take(&mut self, now: Wall, plan: &ChainPlan, signal: &Signal) -> bool {
        let stale = |at: Wall| age(now, at) > plan.fresh();
        let seen = match &signal.fact {
            Fact::Head { number, age_ms, .. } => {
                Seen::new(plan, Some(Tagged { number: *number, age_ms: *age_ms }), None)
            }
            Fact::Heads(heads) => Seen::new(plan, heads.r#unsafe, heads.safe),
            Fact::Conductor(says) => {
                let before = self.conductor.replace((now, says.clone()));
                return before.is_none_or(|(at, before)| stale(at) || before != *says);
            }
            Fact::Traffic(_) | Fact::Breaker { .. } | Fact::Affected(_) | Fact::Check(_) => return false,
        };
        let Some(seen) = seen else { return false };
        let before = self.heads[0];
        self.heads.rotate_right(1);
        self.heads[0] = Some((now, seen));
        before.is_none_or(|(at, before)| stale(at) || before.bits() != seen.bits())
    }

    /// What it sees of heads, if that still says something.
    pub(crate) fn seen(&self, now: Wall, fresh: Duration, sources: &Sources) -> Option<(Wall, Seen)> {
        self.heads[0].filter(|(at, _)| self.says(*at, now, fresh, sources))
    }

    /// All that it saw lately, newest first.
    pub(crate) fn reports(
        &self,
        now: Wall,
        fresh: Duration,
        sources: &Sources,
    ) -> impl Iterator<Item = (Wall, Seen)> {
        self.heads.iter().flatten().copied().filter(move |(at, _)| self.says(*at, now, fresh, sources))
    }

    /// What the conductor said, if that still says something.
    pub(crate) fn conductor(&self, now: Wall, fresh: Duration, sources: &Sources) -> Option<&Conductor> {
        self.conductor.as_ref().filter(|(at, _)| self.says(*at, now, fresh, sources)).map(|(_, says)| says)
    }

    fn says(&self, at: Wall, now: Wall, fresh: Duration, sources: &Sources) -> bool {
        age(now, at) <= fresh && sources.by_name(&self.source).is_none_or(|s| s.stands_by(at))
    }

    fn ends(&self, fresh: Duration) -> impl Iterator<Item = Wall> {
        let heads = self.heads.iter().flatten().map(|(at, _)| *at);
        heads.chain(self.conductor.as_ref().map(|(at, _)| *at)).map(move |at| past(at, fresh))
    }

    pub(crate) fn deadline(&self, now: Wall, fresh: Duration) -> Option<Wall> {
        self.ends(fresh).filter(|end| *end > now).min()
    }

    pub(crate) fn is_stale(&self, now: Wall, fresh: Duration) -> bool {
        self.deadline(now, fresh).is_none()
    }

    pub(crate) fn forget_future(&mut self, now: Wall) {
        for head in &mut self.heads {
            head.take_if(|(at, _)| *at > now);
        }
        self.heads.sort_by_key(|h| std::cmp::Reverse(h.map(|(at, _)| at)));
        self.conductor.take_if(|(at, _)| *at > now);
    }
}

impl Seen {
    fn new(plan: &ChainPlan, newest: Option<Tagged>, safe: Option<Tagged>) -> Option<Self> {
        let newest = newest?;
        let old = |tag: Tagged, limit: Duration| Duration::from_millis(tag.age_ms) > limit;
        Some(Self {
            newest,
            late: old(newest, plan.late),
            safe_late: safe.zip(plan.safe_late).map(|(safe, limit)| old(safe, limit)),
            safe_beyond: safe.is_some_and(|safe| safe.number > newest.number),
        })
    }

    /// All that a verdict can turn on while nothing is late.
    fn bits(self) -> (bool, Option<bool>, bool) {
        (self.late, self.safe_late, self.safe_beyond)
    }
}

/// Why a sequencer could not do the work, if it could not.
pub(crate) fn unfit(says: &Conductor) -> Option<String> {
    let mut why = Vec::new();
    if says.active == Some(false) {
        why.push("paused".to_owned());
    }
    if says.provisioned == Some(false) {
        why.push("not provisioned, so that it cannot hand on".to_owned());
    }
    if says.healthy == Some(false) {
        why.push("not healthy".to_owned());
    }
    if let Some(lag) = says.lag.filter(|lag| *lag > BEHIND) {
        why.push(format!("{lag} blocks behind"));
    }
    (!why.is_empty()).then(|| why.join(", "))
}

/// As [`unfit`], without saying why.
pub(crate) fn is_unfit(says: &Conductor) -> bool {
    [says.active, says.provisioned, says.healthy].contains(&Some(false))
        || says.lag.is_some_and(|lag| lag > BEHIND)
}
