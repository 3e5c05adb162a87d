//! What is thought of one component, and how that is worded.

use std::time::Duration;

use seawall_model::{Cause, Status, Verdict, Wall};

use crate::{
    Engine, Opinion,
    blame::Explained,
    damping::Held,
    layout::Kind,
    upstream::Upstream,
    words::{Words, time_of_day},
};

/// What there may be to see of a component itself.
#[derive(Debug, Clone, Copy)]
enum Part {
    Upstream,
    Probe(usize),
    Chain,
}

const UNWATCHED: Opinion = Opinion { status: Status::Unknown, cause: None };

impl Engine {
    pub(crate) fn held(&self, node: u32) -> &Held {
        &self.states[node as usize].held
    }

    pub(crate) fn upstream(&self, node: u32) -> Option<&Upstream> {
        self.states[node as usize].upstream.as_ref()
    }

    /// How long a pool's chain has stood still as a whole, if it has for too long.
    pub(crate) fn stands_still(&self, node: u32, now: Wall) -> Option<Duration> {
        match &self.layout.nodes[node as usize].kind {
            Kind::Pool { members, halted_after: Some(limit) } => {
                let ages = members.iter().filter_map(|n| self.upstream(*n)?.head_age(now));
                ages.min().filter(|age| age >= limit)
            }
            Kind::Pool { halted_after: None, .. } | Kind::Leaf | Kind::Fate { .. } | Kind::Made(_) => None,
        }
    }

    /// What is thought of a component now, by what is told of those that it is judged by.
    pub(crate) fn opinion(&self, node: u32, now: Wall, words: &mut Words<'_>) -> Opinion {
        let place = &self.layout.nodes[node as usize];
        let window = place.window(now);
        if let Some(work) = window {
            let because = if work.reason.is_empty() { "" } else { ": " };
            let until = time_of_day(work.until);
            words.say(format_args!("in maintenance until {until}{because}{}; ", work.reason));
        }
        let opinion = match &place.kind {
            Kind::Leaf => self.own(node, now, words).unwrap_or_else(|| {
                words.say(format_args!("nothing watches it"));
                UNWATCHED
            }),
            Kind::Pool { .. } | Kind::Fate { .. } | Kind::Made(_) => self.by_others(node, now, words),
        };
        match (window, opinion.status) {
            (Some(_), Status::Degraded | Status::Down) => {
                Opinion { cause: Some(Cause::Maintenance), ..opinion }
            }
            (Some(_), Status::Up | Status::Unknown) | (None, _) => opinion,
        }
    }

    fn by_others(&self, node: u32, now: Wall, words: &mut Words<'_>) -> Opinion {
        let own = self.own(node, now, &mut Words::unwanted()).filter(|o| o.status != Status::Unknown);
        if own.is_some() {
            self.own(node, now, words);
            words.say(format_args!("; "));
        }
        let made = match &self.layout.nodes[node as usize].kind {
            Kind::Leaf => UNWATCHED,
            Kind::Pool { members, .. } => self.pool_of_chain(node, members, now, words),
            Kind::Fate { members } => self.fate(now, members, words),
            Kind::Made(formula) => self.made(formula, words),
        };
        let Some(own) = own else { return made };
        match (own.status, made.status) {
            // It works, as far as can be seen of it; how much longer is another question.
            (Status::Up, Status::Degraded | Status::Down) => Opinion { status: Status::Degraded, ..made },
            (Status::Up | Status::Degraded | Status::Down | Status::Unknown, _) => own,
        }
    }

    fn pool_of_chain(&self, node: u32, members: &[u32], now: Wall, words: &mut Words<'_>) -> Opinion {
        let chain = self.layout.nodes[node as usize].chain.map(|(chain, _)| &self.chains[chain as usize]);
        let findings = chain.map(|c| &c.findings);
        let of_chain = findings.and_then(|f| f.chain);
        let is_off = |o: &Opinion| o.status != Status::Up;
        if let Some(chain) = chain
            && (of_chain.as_ref().is_some_and(is_off) || !chain.findings.culprits.is_empty())
        {
            let name = |n: u32| self.layout.nodes[n as usize].component.to_string();
            chain.word(now, &self.sources, &name, words);
            words.say(format_args!("; "));
        }
        let pool = self.pool(now, members, self.stands_still(node, now), words);
        match (of_chain.filter(is_off), pool.status) {
            (Some(chain), Status::Up) => chain,
            // That all is well cannot be told, that something is not can be.
            (Some(chain), Status::Degraded | Status::Unknown) if chain.status == Status::Degraded => chain,
            (Some(_) | None, _) => pool,
        }
    }

    /// What is seen of a component itself; `None` if nobody looks. The worst of what is known.
    fn own(&self, node: u32, now: Wall, words: &mut Words<'_>) -> Option<Opinion> {
        let state = &self.states[node as usize];
        let upstream = state.upstream.is_some().then_some(Part::Upstream);
        let probes = (0..state.probes.len()).map(Part::Probe);
        let chain = self.layout.nodes[node as usize].chain.filter(|(_, member)| *member != u32::MAX);
        let parts = || upstream.into_iter().chain(probes.clone()).chain(chain.map(|_| Part::Chain));
        let known = |p: &Part| self.part(node, *p, now, &mut Words::unwanted());
        let rank = |o: &Opinion| match o.status {
            Status::Unknown => 0,
            Status::Up => 1,
            Status::Degraded => 2,
            Status::Down => 3,
        };
        let mut worst: Option<(Part, Opinion)> = None;
        for part in parts() {
            let opinion = known(&part)?;
            if worst.as_ref().is_none_or(|(_, w)| rank(&opinion) > rank(w)) {
                worst = Some((part, opinion));
            }
        }
        let (part, opinion) = worst?;
        if words.wanted() {
            self.part(node, part, now, words);
        }
        Some(opinion)
    }

    fn part(&self, node: u32, part: Part, now: Wall, words: &mut Words<'_>) -> Option<Opinion> {
        let state = &self.states[node as usize];
        match part {
            Part::Upstream => state.upstream.as_ref().map(|u| u.opinion(now, &self.sources, words)),
            Part::Probe(i) => Some(state.probes[i].opinion(now, &self.sources, words)),
            Part::Chain => {
                let (chain, member) = self.layout.nodes[node as usize].chain?;
                let chain = &self.chains[chain as usize];
                if words.wanted() {
                    chain.word_member(now, &self.sources, member as usize, words);
                }
                Some(chain.findings.members.get(member as usize).copied().flatten().unwrap_or(UNWATCHED))
            }
        }
    }

    /// What is seen of a component itself is bad, whatever others make of it.
    pub(crate) fn is_bad_itself(&self, node: u32) -> bool {
        let own = self.own(node, self.now, &mut Words::unwanted());
        own.is_some_and(|o| matches!(o.status, Status::Degraded | Status::Down))
    }

    /// The evidence for what is told of a component.
    pub(crate) fn evidence(&self, node: u32, now: Wall) -> String {
        self.cause_and_evidence(node, now).1
    }

    fn cause_and_evidence(&self, node: u32, now: Wall) -> (Option<Cause>, String) {
        let held = self.held(node);
        if !held.is_judged() {
            let seen = !matches!(self.layout.nodes[node as usize].kind, Kind::Leaf);
            let nothing = "nothing has been seen of it yet".to_owned();
            if !seen || self.opinion(node, now, &mut Words::unwanted()).status == Status::Unknown {
                return (None, nothing);
            }
        }
        let mut evidence = String::new();
        let opinion = self.opinion(node, now, &mut Words::to(&mut evidence));
        if opinion.status == held.status {
            return (opinion.cause, evidence);
        }
        // Held up: what was told still stands, with what it was told for.
        (held.cause, format!("{}; {} now, to be told if it lasts", held.evidence, opinion.status))
    }

    /// A verdict as it stands.
    pub(crate) fn word(&self, node: u32, explained: &Explained) -> Verdict {
        let (cause, mut evidence) = self.cause_and_evidence(node, self.now);
        explained.word(self, node, &mut evidence);
        let held = self.held(node);
        let component = self.layout.nodes[node as usize].component.clone();
        Verdict { component, status: held.status, since: held.since, cause, evidence }
    }

    /// Words the verdicts that have changed.
    pub(crate) fn tell(&mut self, now: Wall, changed: &[u32]) -> Vec<Verdict> {
        if changed.is_empty() {
            return Vec::new();
        }
        for node in changed {
            let evidence = self.evidence(*node, now);
            self.states[*node as usize].held.evidence = evidence;
        }
        if self.because.is_due(now) {
            let explained = self.explained();
            self.because.keep(now, explained);
        }
        changed.iter().map(|node| self.word(*node, self.because.explained())).collect()
    }
}
