//! What follows for a component from what is believed of others.

use std::time::Duration;

use seawall_model::{Cause, ComponentKind, Status, Wall};

use crate::{Engine, FRESH, Opinion, age, layout::Formula, words::Words};

/// Components that evidence names; the rest is counted.
const NAMED: usize = 4;

impl Engine {
    pub(crate) fn pool(
        &self,
        now: Wall,
        members: &[u32],
        stood: Option<Duration>,
        words: &mut Words<'_>,
    ) -> Opinion {
        let judged = self.judged(now, members);
        let serves = |node: &u32| matches!(self.held(*node).status, Status::Up | Status::Degraded);
        let serving = judged.iter().filter(|n| serves(n)).count();
        let status = match self.common(&judged) {
            Some(Status::Unknown) => Status::Unknown,
            Some(Status::Up) => Status::Up,
            Some(Status::Degraded | Status::Down) | None if serving > 0 => Status::Degraded,
            Some(Status::Degraded | Status::Down) | None => Status::Down,
        };
        let stood = stood.filter(|_| status == Status::Up || status == Status::Degraded);
        if let Some(age) = stood {
            words.say(format_args!("no head has moved for {} s; ", age.as_secs()));
        }
        words.say(format_args!("{serving} of {} upstreams serving", members.len()));
        self.name_worst(now, &judged, words);
        let cause = self.worst_cause(status, &judged);
        match stood {
            Some(_) => Opinion { status: Status::Degraded, cause: Some(Cause::Stalled) },
            None => Opinion { status, cause },
        }
    }

    /// Of a provider, a region, or whatever else others stand on.
    pub(crate) fn fate(&self, now: Wall, members: &[u32], words: &mut Words<'_>) -> Opinion {
        let mut judged = self.judged(now, members);
        // Announced work says nothing of those on whose ground it is done.
        judged.retain(|n| !self.layout.nodes[*n as usize].is_in_maintenance(now));
        let status = match self.common(&judged) {
            Some(status) => status,
            None => Status::Degraded,
        };
        let up = judged.iter().filter(|n| self.held(**n).status == Status::Up).count();
        let upstreams = members
            .iter()
            .all(|n| self.layout.nodes[*n as usize].component.kind() == ComponentKind::Upstream);
        let what = if upstreams { "upstreams" } else { "components" };
        words.say(format_args!("{up} of {} {what} up", members.len()));
        self.name_worst(now, &judged, words);
        Opinion { status, cause: self.worst_cause(status, &judged) }
    }

    /// Of what needs others.
    pub(crate) fn made(&self, formula: &Formula, words: &mut Words<'_>) -> Opinion {
        let status = self.status(formula);
        let nodes = formula.nodes();
        let up = nodes.iter().filter(|n| self.held(**n).status == Status::Up).count();
        words.say(format_args!("{up} of {} that it needs up", nodes.len()));
        if words.wanted() {
            // Their own verdicts say why; services may stand on each other by the thousand.
            let bad = self.worst_first(&nodes);
            for node in bad.iter().take(NAMED) {
                words.say(format_args!(
                    "; {} {}",
                    self.layout.nodes[*node as usize].component,
                    self.held(*node).status
                ));
            }
            if bad.len() > NAMED {
                words.say(format_args!("; and {} more", bad.len() - NAMED));
            }
        }
        Opinion { status, cause: self.worst_cause(status, &nodes) }
    }

    fn status(&self, formula: &Formula) -> Status {
        let choice = |k: usize, of: &[Formula]| {
            let statuses: Vec<Status> = of.iter().map(|f| self.status(f)).collect();
            let count = |s: Status| statuses.iter().filter(|is| **is == s).count();
            let serving = count(Status::Up) + count(Status::Degraded);
            match () {
                () if count(Status::Up) == of.len() => Status::Up,
                () if serving >= k => Status::Degraded,
                () if serving + count(Status::Unknown) >= k => Status::Unknown,
                () => Status::Down,
            }
        };
        match formula {
            Formula::Node(node) => self.held(*node).status,
            // The worst of what is known; nothing is known if the rest is up.
            Formula::All(of) => {
                let statuses: Vec<Status> = of.iter().map(|f| self.status(f)).collect();
                let has = |s: Status| statuses.contains(&s);
                let worst = [Status::Down, Status::Degraded, Status::Unknown].into_iter().find(|s| has(*s));
                worst.unwrap_or(Status::Up)
            }
            Formula::Any(of) => choice(1, of),
            Formula::AtLeast(k, of) => choice(*k, of),
        }
    }

    /// The members to go by: those that are new, and may be heard from yet, are not among them.
    fn judged(&self, now: Wall, members: &[u32]) -> Vec<u32> {
        let is_new = |n: u32| {
            let held = self.held(n);
            !held.is_judged() && age(now, held.since) < FRESH
        };
        members.iter().copied().filter(|n| !is_new(*n)).collect()
    }

    /// The status that all have; unknown if there is nobody.
    fn common(&self, judged: &[u32]) -> Option<Status> {
        let Some(first) = judged.first() else { return Some(Status::Unknown) };
        let status = self.held(*first).status;
        judged.iter().all(|n| self.held(*n).status == status).then_some(status)
    }

    /// Those that are not up: down first, then degraded, then unknown; as they come within.
    fn worst_first(&self, of: &[u32]) -> Vec<u32> {
        let mut not_up: Vec<u32> =
            of.iter().copied().filter(|n| self.held(*n).status != Status::Up).collect();
        not_up.sort_by_key(|n| match self.held(*n).status {
            Status::Down => 0,
            Status::Degraded => 1,
            Status::Unknown | Status::Up => 2,
        });
        not_up
    }

    fn worst_cause(&self, status: Status, of: &[u32]) -> Option<Cause> {
        match status {
            Status::Up => None,
            Status::Degraded | Status::Down | Status::Unknown => {
                self.worst_first(of).into_iter().find_map(|n| self.held(n).cause)
            }
        }
    }

    fn name_worst(&self, now: Wall, of: &[u32], words: &mut Words<'_>) {
        if !words.wanted() {
            return;
        }
        let not_up = self.worst_first(of);
        for node in not_up.iter().take(NAMED) {
            let component = &self.layout.nodes[*node as usize].component;
            let (is, evidence) = (self.held(*node).status, self.evidence(*node, now));
            words.say(format_args!("; `{}` {is}: {evidence}", component.path()));
        }
        if not_up.len() > NAMED {
            words.say(format_args!("; and {} more", not_up.len() - NAMED));
        }
    }
}
