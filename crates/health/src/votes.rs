//! What vantage points make of a component, probe by probe.

use std::{sync::Arc, time::Duration};

use seawall_model::{Cause, Check, Outcome, Status, Wall};

use crate::{
    LATE, Opinion, ProbePlan, Quorum, Rule, age, past,
    sources::Sources,
    tally::Tally,
    words::{Words, time_of_day},
};

/// A probe with what each of its vantage points says.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) plan: ProbePlan,
    fresh: Duration,
    votes: Vec<Vote>,
    /// The votes that come from one place, by their places in `votes`.
    sites: Vec<Vec<usize>>,
}

/// What one vantage point says.
#[derive(Debug, Clone)]
struct Vote {
    source: u32,
    /// When it last reported.
    at: Option<Wall>,
    ok: bool,
    /// Results like the last one, on end.
    run: u32,
    /// Up or not; `None` while it cannot tell.
    says: Option<bool>,
    /// Since when it has said so.
    since: Wall,
    cause: Option<Cause>,
    tally: Option<Tally>,
}

/// How the places voted.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    up: usize,
    down: usize,
    /// Places whose vantage points contradict each other.
    split: usize,
}

impl Probe {
    /// A probe of which nothing is known. `None` if its vantage points cannot be told apart any more.
    pub(crate) fn new(plan: &ProbePlan, sources: &mut Sources) -> Option<Self> {
        let mut votes = Vec::new();
        let mut sites: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        for vantage in &plan.vantages {
            let source = sources.pin(&vantage.source)?;
            let tally = match plan.rule {
                Rule::Consecutive { .. } => None,
                Rule::Rate { window, .. } => Some(Tally::new(window)),
            };
            let site = vantage.site.as_ref().map(ToString::to_string);
            match sites.iter_mut().find(|(known, _)| known.is_some() && *known == site) {
                Some((_, of)) => of.push(votes.len()),
                None => sites.push((site, vec![votes.len()])),
            }
            let since = Wall(0);
            votes.push(Vote { source, at: None, ok: true, run: 0, says: None, since, cause: None, tally });
        }
        let fresh = plan.interval * 2 + LATE;
        let sites = sites.into_iter().map(|(_, of)| of).collect();
        Some(Self { plan: plan.clone(), fresh, votes, sites })
    }

    /// Takes over what was known under another numbering of the sources.
    pub(crate) fn inherit(&mut self, before: &Self) {
        for (vote, old) in self.votes.iter_mut().zip(&before.votes) {
            *vote = Vote { source: vote.source, ..old.clone() };
        }
    }

    /// Takes note of where the sources are now; those of vantage points are never forgotten.
    pub(crate) fn renumber(&mut self, sources: &mut Sources) {
        for (vote, vantage) in self.votes.iter_mut().zip(&self.plan.vantages) {
            vote.source = sources.pin(&vantage.source).unwrap_or(vote.source);
        }
    }

    pub(crate) fn has(&self, source: u32) -> bool {
        self.votes.iter().any(|v| v.source == source)
    }

    /// Takes a result in that was not got in trouble. True if it may change what is to be thought.
    pub(crate) fn take(
        &mut self,
        now: Wall,
        source: u32,
        observed: Wall,
        check: &Check,
        sources: &Sources,
    ) -> bool {
        let (fresh, rule) = (self.fresh, self.plan.rule);
        let Some(vote) = self.votes.iter_mut().find(|v| v.source == source) else { return false };
        let stood = vote.stands(now, fresh, sources);
        if !stood {
            *vote = Vote {
                source,
                at: None,
                ok: true,
                run: 0,
                says: None,
                since: now,
                cause: None,
                tally: vote.tally.take().map(|t| t.emptied()),
            };
        }
        let ok = check.outcome == Outcome::Ok;
        vote.run = if vote.ok == ok { vote.run.saturating_add(1) } else { 1 };
        (vote.ok, vote.at) = (ok, Some(now));
        let renamed = !ok && vote.cause != check.cause;
        if !ok {
            vote.cause = check.cause;
        }
        let says = match (&mut vote.tally, rule) {
            (Some(tally), Rule::Rate { share, least, .. }) => {
                tally.add(now, ok);
                Some(!tally.is_bad(now, share, least))
            }
            (_, Rule::Consecutive { down, up }) => match (ok, vote.says) {
                (true, None) => Some(true),
                (true, Some(false)) if vote.run >= up => Some(true),
                (false, None | Some(true)) if vote.run >= down => Some(false),
                (_, says) => says,
            },
            (None, Rule::Rate { .. }) => None,
        };
        let news = says != vote.says;
        if news {
            (vote.says, vote.since) = (says, observed);
        }
        // A rate may have gone down by itself since.
        news || renamed || !stood || vote.tally.as_ref().is_some_and(|t| t.has_failures(now))
    }

    /// When to look again, if nothing is heard.
    pub(crate) fn deadline(&self, now: Wall) -> Option<Wall> {
        let ends = |v: &Vote| Some(past(v.at?, self.fresh)).filter(|end| *end > now);
        let steps = self.votes.iter().filter_map(|v| v.tally.as_ref()?.next_step(now));
        self.votes.iter().filter_map(ends).chain(steps).min()
    }

    /// What the vantage points together make of the component.
    pub(crate) fn opinion(&self, now: Wall, sources: &Sources, words: &mut Words<'_>) -> Opinion {
        let count = self.count(now, sources);
        let say = count.up + count.down + count.split;
        let (need, enough) = match self.plan.quorum {
            Quorum::Majority => (say / 2 + 1, say > 0),
            Quorum::AtLeast(k) => (k.max(1), say >= k.max(1)),
        };
        let status = match () {
            () if !enough => Status::Unknown,
            () if count.down >= need => Status::Down,
            () if count.up >= need => Status::Up,
            () => Status::Degraded,
        };
        let cause = match status {
            Status::Down | Status::Degraded => self.cause(now, sources),
            Status::Up | Status::Unknown => None,
        };
        if words.wanted() {
            self.word(now, sources, count, cause, words);
        }
        Opinion { status, cause }
    }

    fn count(&self, now: Wall, sources: &Sources) -> Count {
        let mut count = Count::default();
        for site in &self.sites {
            let says = || site.iter().filter_map(|i| self.says(&self.votes[*i], now, sources));
            match (says().any(|up| up), says().any(|up| !up)) {
                (true, true) => count.split += 1,
                (true, false) => count.up += 1,
                (false, true) => count.down += 1,
                (false, false) => {}
            }
        }
        count
    }

    /// What a vantage point says now, if it has a say.
    fn says(&self, vote: &Vote, now: Wall, sources: &Sources) -> Option<bool> {
        let says = vote.says.filter(|_| vote.stands(now, self.fresh, sources))?;
        match (&vote.tally, self.plan.rule) {
            (Some(tally), Rule::Rate { share, least, .. }) => Some(!tally.is_bad(now, share, least)),
            (_, Rule::Consecutive { .. }) | (None, Rule::Rate { .. }) => Some(says),
        }
    }

    fn down<'a>(&'a self, now: Wall, sources: &'a Sources) -> impl Iterator<Item = &'a Vote> {
        self.votes.iter().filter(move |v| self.says(v, now, sources) == Some(false))
    }

    /// The cause that most name; of several the first by declaration.
    fn cause(&self, now: Wall, sources: &Sources) -> Option<Cause> {
        let named = |cause| self.down(now, sources).filter(|v| v.cause == Some(cause)).count();
        let causes = self.down(now, sources).filter_map(|v| v.cause);
        causes.max_by_key(|cause| (named(*cause), std::cmp::Reverse(*cause)))
    }

    fn word(&self, now: Wall, sources: &Sources, count: Count, cause: Option<Cause>, words: &mut Words<'_>) {
        let say = count.up + count.down + count.split;
        let all = self.sites.len();
        words.say(format_args!("`{}`: ", self.plan.name));
        let troubled = self.votes.iter().filter(|v| sources.get(v.source).is_troubled(now)).count();
        match (say, count.down + count.split) {
            (0, _) => words.say(format_args!("none of {all} vantage points has a say")),
            (_, 0) => words.say(format_args!("{} of {say} vantage points say up", count.up)),
            (_, down) => {
                let verb = if down == 1 { "says" } else { "say" };
                words.say(format_args!("{down} of {say} vantage points {verb} down"));
            }
        }
        if let Some(cause) = cause {
            words.say(format_args!(": {cause}"));
        }
        if let Some(since) = self.down(now, sources).map(|v| v.since).min() {
            words.say(format_args!("; since {}", time_of_day(since)));
        }
        if troubled > 0 {
            words.say(format_args!("; {troubled} in trouble of their own"));
        }
        if say > 0 && say + troubled < all {
            words.say(format_args!("; {} silent", all - say - troubled));
        }
    }

    /// Forgets what the clock, set back, says is yet to come.
    pub(crate) fn forget_future(&mut self, now: Wall) {
        for vote in &mut self.votes {
            vote.at.take_if(|at| *at > now);
        }
    }

    /// The probe's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.plan.name
    }
}

impl Vote {
    fn stands(&self, now: Wall, fresh: Duration, sources: &Sources) -> bool {
        self.at.is_some_and(|at| age(now, at) <= fresh && sources.get(self.source).stands_by(at))
    }
}
