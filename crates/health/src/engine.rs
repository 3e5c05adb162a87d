//! The engine: what it remembers, and how a signal finds its way.

mod replace;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use seawall_model::{Check, ComponentId, Fact, Outcome, Signal, Verdict, Wall};

use crate::{
    FRESH, Plan, Slo, SloPlan, SloState, after,
    blame::Because,
    chain::{Chain, Culprit},
    damping::{Held, Settled},
    deadlines::{Armed, Deadlines, What},
    layout::{Kind, Layout},
    past,
    sources::Sources,
    upstream::Upstream,
    votes::Probe,
    words::Words,
};

/// Turns signals into verdicts.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) plan: Plan,
    pub(crate) layout: Layout,
    pub(crate) states: Vec<State>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) sources: Sources,
    objectives: Vec<Slo>,
    deadlines: Deadlines,
    dirty: Dirty,
    pub(crate) because: Because,
    pub(crate) now: Wall,
}

/// What is remembered of a component.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) upstream: Option<Upstream>,
    pub(crate) probes: Vec<Probe>,
    pub(crate) held: Held,
    /// Its head counts for whether the chain stands still.
    counted: bool,
    /// Its chain stood still at the last look.
    stood: bool,
    in_maintenance: bool,
    armed: Armed,
}

/// Components to be judged, the first in place first.
#[derive(Debug, Clone, Default)]
struct Dirty {
    queue: BinaryHeap<Reverse<u32>>,
    queued: Vec<bool>,
    chains: BTreeSet<u32>,
}

impl Dirty {
    fn add(&mut self, node: u32) {
        if !std::mem::replace(&mut self.queued[node as usize], true) {
            self.queue.push(Reverse(node));
        }
    }

    fn pop(&mut self) -> Option<u32> {
        let Reverse(node) = self.queue.pop()?;
        self.queued[node as usize] = false;
        Some(node)
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.chains.is_empty()
    }
}

impl Engine {
    /// An engine that believes nothing yet.
    pub fn new(plan: Plan, now: Wall) -> Self {
        let mut engine = Self {
            plan: Plan::default(),
            layout: Layout::default(),
            states: Vec::new(),
            chains: Vec::new(),
            sources: Sources::default(),
            objectives: Vec::new(),
            deadlines: Deadlines::default(),
            dirty: Dirty::default(),
            because: Because::default(),
            now,
        };
        engine.replace(plan, now);
        engine
    }

    /// A source is alive, whether or not it has anything to tell.
    pub fn heard(&mut self, source: &Arc<str>, now: Wall) {
        self.advance(now);
        self.hear(source, now);
    }

    /// Takes a signal in. Returns the verdicts whose status it changes, or the time that has passed: what others
    /// are judged by first. A signal about a component that is not in the plan only shows that its source is alive.
    pub fn on_signal(&mut self, now: Wall, signal: &Signal) -> Vec<Verdict> {
        self.advance(now);
        let source = self.hear(&signal.source, now);
        if let Some(node) = self.layout.places.get(&signal.component).copied() {
            self.take(now, node, source, signal);
        }
        if self.dirty.is_empty() { Vec::new() } else { self.settle(now) }
    }

    /// Time has passed. Returns the verdicts whose status that changes. To be called every second.
    pub fn tick(&mut self, now: Wall) -> Vec<Verdict> {
        self.advance(now);
        if self.sources.is_full() {
            self.sources.prune(now);
            self.states.iter_mut().flat_map(|s| &mut s.probes).for_each(|p| p.renumber(&mut self.sources));
            self.arm_sources();
        }
        self.settle(now)
    }

    /// What is believed now, in the order of component ids, with evidence as of the last input.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        let explained = self.explained();
        self.layout.sorted.iter().map(move |node| self.word(*node, &explained))
    }

    /// What is believed of one component, with evidence as of the last input.
    pub fn verdict(&self, component: &ComponentId) -> Option<Verdict> {
        let node = self.layout.places.get(component)?;
        Some(self.word(*node, &self.explained()))
    }

    /// How the objectives stand as of the last input, in the order of the plan.
    pub fn objectives(&self) -> impl Iterator<Item = (&SloPlan, SloState)> {
        self.objectives.iter().map(|slo| (slo.plan(), slo.state(self.now)))
    }

    /// Who is to blame for a pool's chain, as of the last input; nobody if all is well. A vantage point may be
    /// to blame though the chain is well.
    pub fn culprits(&self, pool: &ComponentId) -> Vec<Culprit> {
        let name = |node: u32| self.layout.nodes[node as usize].component.clone();
        let chain = self.chains.iter().find(|c| c.plan.pool == *pool);
        chain.iter().flat_map(|c| &c.findings.culprits).map(|c| c.clone().map(name)).collect()
    }

    /// Lets time pass: what is due is to be judged.
    fn advance(&mut self, now: Wall) {
        if now < self.now {
            self.rewind(now);
        }
        self.now = now;
        while let Some((at, what)) = self.deadlines.due(now) {
            match what {
                What::Node(node) => {
                    if self.states[node as usize].armed.fire(at) {
                        self.dirty.add(node);
                    }
                }
                What::Chain(chain) => {
                    if self.chains[chain as usize].armed.fire(at) {
                        self.dirty.chains.insert(chain);
                    }
                }
                What::Source(place) => self.source_due(now, at, place),
            }
        }
    }

    fn source_due(&mut self, now: Wall, at: Wall, place: u32) {
        let Some(source) = self.sources.get_mut(place) else { return };
        if !source.armed.fire(at) {
            return;
        }
        match source.heard().filter(|_| source.is_heard(now)) {
            Some(heard) => self.deadlines.arm(&mut source.armed, past(heard, FRESH), What::Source(place)),
            None => self.doubt_ejections(),
        }
    }

    /// Who is heard has changed, and with it which ejections stand.
    fn doubt_ejections(&mut self) {
        for (node, state) in self.states.iter().enumerate() {
            if state.upstream.as_ref().is_some_and(|u| !u.is_calm()) {
                self.dirty.add(node as u32);
            }
        }
    }

    fn hear(&mut self, name: &Arc<str>, now: Wall) -> Option<u32> {
        let place = self.sources.place(name)?;
        let source = self.sources.get_mut(place)?;
        let was_silent = source.hear(now);
        if was_silent {
            self.deadlines.arm(&mut source.armed, past(now, FRESH), What::Source(place));
            self.doubt_ejections();
        }
        Some(place)
    }

    /// The clock was set back. What it says is yet to come is forgotten, and everything judged anew.
    fn rewind(&mut self, now: Wall) {
        for state in &mut self.states {
            if let Some(upstream) = &mut state.upstream {
                upstream.forget(now);
            }
            state.probes.iter_mut().for_each(|p| p.forget_future(now));
        }
        self.chains.iter_mut().for_each(|c| c.forget_future(now));
        for place in self.sources.places() {
            self.sources.get_mut(place).into_iter().for_each(|s| s.forget_future(now));
        }
        self.begin(now);
    }

    /// Has everything judged, and every deadline set, at the next occasion.
    pub(crate) fn begin(&mut self, now: Wall) {
        self.now = now;
        self.deadlines.clear();
        self.states.iter_mut().for_each(|s| s.armed = Armed::default());
        self.chains.iter_mut().for_each(|c| c.armed = Armed::default());
        self.dirty = Dirty { queued: vec![false; self.states.len()], ..Dirty::default() };
        (0..self.states.len() as u32).for_each(|node| self.dirty.add(node));
        self.dirty.chains.extend(0..self.chains.len() as u32);
        self.arm_sources();
    }

    fn arm_sources(&mut self) {
        for place in self.sources.places() {
            let Some(source) = self.sources.get_mut(place) else { continue };
            source.armed = Armed::default();
            if let Some(heard) = source.heard() {
                self.deadlines.arm(&mut source.armed, past(heard, FRESH), What::Source(place));
            }
        }
    }

    fn take(&mut self, now: Wall, node: u32, source: Option<u32>, signal: &Signal) {
        for objective in &self.layout.nodes[node as usize].objectives {
            self.objectives[*objective as usize].take(now, &signal.fact);
        }
        let state = &mut self.states[node as usize];
        match &signal.fact {
            Fact::Traffic(_) | Fact::Breaker { .. } => {
                if state.upstream.as_mut().is_some_and(|u| u.take(now, signal)) {
                    self.dirty.add(node);
                }
            }
            Fact::Head { age_ms, .. } => {
                if state.upstream.as_mut().is_some_and(|u| u.take(now, signal)) || !state.counted {
                    self.dirty.add(node);
                }
                self.doubt_standstill(now, node, *age_ms);
                self.take_of_chain(now, node, signal);
            }
            Fact::Heads(_) | Fact::Conductor(_) => self.take_of_chain(now, node, signal),
            Fact::Check(check) => {
                if let Some(source) = source {
                    self.take_check(now, node, source, signal.observed, check);
                }
            }
            Fact::Affected(_) => {}
        }
    }

    /// A head that is old, or new where all stood still, concerns the pool; and one that is older than those before
    /// brings the time nearer at which all have stood still for too long.
    fn doubt_standstill(&mut self, now: Wall, node: u32, age_ms: u64) {
        for pool in &self.layout.nodes[node as usize].feeds {
            let Kind::Pool { halted_after: Some(limit), .. } = self.layout.nodes[*pool as usize].kind else {
                continue;
            };
            let state = &mut self.states[*pool as usize];
            match limit.checked_sub(Duration::from_millis(age_ms)).filter(|left| !left.is_zero()) {
                Some(left) if !state.stood => {
                    self.deadlines.arm(&mut state.armed, after(now, left), What::Node(*pool));
                }
                Some(_) | None => self.dirty.add(*pool),
            }
        }
    }

    fn take_of_chain(&mut self, now: Wall, node: u32, signal: &Signal) {
        let Some((chain, member)) = self.layout.nodes[node as usize].chain else { return };
        let is_troubled = self.sources.by_name(&signal.source).is_some_and(|s| s.is_troubled(now));
        if !is_troubled && self.chains[chain as usize].take(now, member as usize, signal) {
            self.dirty.chains.insert(chain);
        }
    }

    fn take_check(&mut self, now: Wall, node: u32, source: u32, observed: Wall, check: &Check) {
        match check.outcome {
            Outcome::OwnTrouble => {
                if self.sources.get_mut(source).is_some_and(|s| s.trouble(now)) {
                    self.take_back(source);
                }
            }
            Outcome::Ok | Outcome::Failed => {
                if self.sources.get(source).is_troubled(now) {
                    return;
                }
                let state = &mut self.states[node as usize];
                let probe = state.probes.iter_mut().find(|p| p.name() == &check.probe);
                let Some(probe) = probe else { return };
                if probe.take(now, source, observed, check, &self.sources) {
                    self.dirty.add(node);
                }
            }
        }
    }

    /// All that a source said no longer counts.
    fn take_back(&mut self, source: u32) {
        for (node, state) in self.states.iter().enumerate() {
            if state.probes.iter().any(|p| p.has(source)) {
                self.dirty.add(node as u32);
            }
        }
        let name = self.sources.get(source).name();
        let of = self.chains.iter().enumerate().filter(|(_, c)| c.has(name));
        self.dirty.chains.extend(of.map(|(i, _)| i as u32));
    }

    /// Judges what is to be judged, each after what it is judged by, and words what has changed.
    fn settle(&mut self, now: Wall) -> Vec<Verdict> {
        while let Some(chain) = self.dirty.chains.pop_first() {
            self.look_at_chain(now, chain);
        }
        let mut changed = Vec::new();
        while let Some(node) = self.dirty.pop() {
            if self.look(now, node) {
                changed.push(node);
            }
        }
        self.tell(now, &changed)
    }

    fn look_at_chain(&mut self, now: Wall, place: u32) {
        let chain = &mut self.chains[place as usize];
        if chain.look(now, &self.sources) {
            let nodes = chain.members.iter().map(|m| m.node).chain([chain.pool]);
            // A chain whose pool is not in the plan has no members, and no pool's place.
            nodes.filter(|node| (*node as usize) < self.states.len()).for_each(|node| self.dirty.add(node));
        }
        if let Some(at) = chain.deadline(now) {
            self.deadlines.arm(&mut chain.armed, at, What::Chain(place));
        }
    }

    /// Judges a component. True if its verdict changes.
    fn look(&mut self, now: Wall, node: u32) -> bool {
        let state = &mut self.states[node as usize];
        if let Some(upstream) = &mut state.upstream {
            upstream.look(now, &self.sources);
        }
        let counted = state.upstream.as_ref().is_some_and(|u| u.head_age(now).is_some());
        let in_maintenance = self.layout.nodes[node as usize].is_in_maintenance(now);
        let concerns = counted != state.counted || in_maintenance != state.in_maintenance;
        (state.counted, state.in_maintenance) = (counted, in_maintenance);
        let opinion = self.opinion(node, now, &mut Words::unwanted());
        let deadline = self.deadline(now, node);
        let stood = self.stands_still(node, now).is_some();
        let state = &mut self.states[node as usize];
        state.stood = stood;
        let settled = state.held.settle(now, opinion, self.plan.damping);
        let held_until = match settled {
            Settled::Same | Settled::Changed => None,
            Settled::Until(at) => Some(at),
        };
        if let Some(at) = deadline.into_iter().chain(held_until).min() {
            self.deadlines.arm(&mut state.armed, at, What::Node(node));
        }
        if settled == Settled::Changed {
            self.because.note(node, state.held.status);
        }
        if settled == Settled::Changed || concerns {
            self.layout.nodes[node as usize].feeds.iter().for_each(|fed| self.dirty.add(*fed));
        }
        settled == Settled::Changed
    }

    /// When to look at a component again, if nothing is heard.
    fn deadline(&self, now: Wall, node: u32) -> Option<Wall> {
        let (state, node) = (&self.states[node as usize], &self.layout.nodes[node as usize]);
        let own = state.upstream.as_ref().and_then(Upstream::deadline);
        let probes = state.probes.iter().filter_map(|p| p.deadline(now)).min();
        let members = match &node.kind {
            Kind::Leaf | Kind::Made(_) => &[][..],
            Kind::Pool { members, .. } | Kind::Fate { members } => members,
        };
        let new = members.iter().map(|n| self.held(*n)).filter(|h| !h.is_judged());
        let known = new.map(|h| after(h.since, FRESH)).filter(|at| *at > now).min();
        let halt = match &node.kind {
            Kind::Pool { members, halted_after: Some(limit) } => {
                let youngest = members.iter().filter_map(|n| self.upstream(*n)?.head_age(now)).min();
                youngest.filter(|age| age < limit).map(|age| after(now, *limit - age))
            }
            Kind::Pool { halted_after: None, .. } | Kind::Leaf | Kind::Fate { .. } | Kind::Made(_) => None,
        };
        [own, probes, known, halt, node.next_window(now)].into_iter().flatten().min()
    }
}
