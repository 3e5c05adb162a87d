//! Who is to blame: the fewest components that explain all that is bad.
//!
//! What is bad (*degraded* or *down*) is explained by something bad that it needs, or by somebody whose fate it shares
//! and who is suspected: more than half of those that tell of him are bad, or he is seen to be bad himself. Among
//! equally few the most specific are named: a component before its region, a region before its provider. A
//! chain's fault that lies with none of its components is its pool's own; announced work explains itself.

mod cover;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_model::{Cause, ComponentId, Status, Wall};

use crate::{Culprit, Engine, age, layout::Kind};

/// Roots that are told for one component.
pub(crate) const ROOTS: usize = 64;
/// Bad components up to which blame is worked out for every change that is told.
const AT_ONCE: usize = 256;
/// With more of them, how old the last result may be.
const EVERY: Duration = Duration::from_secs(1);

/// Who is to blame for all that is bad.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blame {
    /// The roots, in the order of their ids.
    pub roots: Vec<Root>,
    /// False if the search was cut short: the roots explain everything, and may be more than are needed.
    pub minimal: bool,
}

/// A component that explains others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The component.
    pub component: ComponentId,
    /// What is believed of it. A provider need not be worse than degraded.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// What of its chain is to blame, where it is a pool and none of its components is.
    pub culprits: Vec<Culprit>,
    /// True if work on it was announced.
    pub planned: bool,
    /// All that it explains, itself left out, in the order of ids. Not more than 64 roots are told of one component.
    pub explains: Vec<ComponentId>,
}

/// A bad component, and what may explain it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bad {
    /// What it needs, and is bad.
    pub(crate) needs: Vec<u32>,
    /// Whose fate it shares, and is suspected.
    pub(crate) fates: Vec<u32>,
    /// Only itself explains it.
    pub(crate) alone: bool,
    /// It is thought bad only because others are, so that nothing need explain it.
    pub(crate) inferred: bool,
    /// Others share its fate.
    pub(crate) is_fate: bool,
    /// How general a cause it would be.
    pub(crate) generality: u32,
}

/// All that is bad.
pub(crate) type Case = BTreeMap<u32, Bad>;

/// Which roots explain what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explained {
    roots: BTreeSet<u32>,
    by: BTreeMap<u32, Vec<u32>>,
    minimal: bool,
}

/// What the evidence of verdicts cites.
#[derive(Debug, Clone, Default)]
pub(crate) struct Because {
    bad: BTreeSet<u32>,
    explained: Explained,
    at: Option<Wall>,
}

impl Because {
    /// Takes note of what is told of a component.
    pub(crate) fn note(&mut self, node: u32, status: Status) {
        match status {
            Status::Degraded | Status::Down => self.bad.insert(node),
            Status::Up | Status::Unknown => self.bad.remove(&node),
        };
    }

    /// True if blame is to be worked out anew, now that something has changed.
    pub(crate) fn is_due(&self, now: Wall) -> bool {
        self.bad.len() <= AT_ONCE || self.at.is_none_or(|at| age(now, at) >= EVERY)
    }

    pub(crate) fn keep(&mut self, now: Wall, explained: Explained) {
        (self.at, self.explained) = (Some(now), explained);
    }

    pub(crate) fn explained(&self) -> &Explained {
        &self.explained
    }
}

impl Explained {
    pub(crate) fn new(case: &Case) -> Self {
        let (roots, minimal) = cover::roots(case);
        let mut by: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        // What a component needs has a place before its own.
        for (node, bad) in case {
            let fates = || bad.fates.iter().copied().filter(|f| roots.contains(f));
            let found: BTreeSet<u32> = if roots.contains(node) || bad.alone {
                BTreeSet::from([*node])
            } else if fates().next().is_some() {
                fates().collect()
            } else {
                bad.needs.iter().flat_map(|n| by.get(n)).flatten().copied().collect()
            };
            by.insert(*node, found.into_iter().take(ROOTS).collect());
        }
        Self { roots, by, minimal }
    }

    #[cfg(test)]
    pub(crate) fn roots(&self) -> &BTreeSet<u32> {
        &self.roots
    }

    #[cfg(test)]
    pub(crate) fn of(&self, node: u32) -> &[u32] {
        self.by.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Adds to a component's evidence what it is bad because of, unless that stands there already.
    pub(crate) fn word(&self, engine: &Engine, node: u32, evidence: &mut String) {
        let named = match &engine.layout.nodes[node as usize].kind {
            Kind::Leaf => Vec::new(),
            Kind::Pool { members, .. } | Kind::Fate { members } => members.clone(),
            Kind::Made(formula) => formula.nodes(),
        };
        let by = self.by.get(&node).into_iter().flatten();
        let mut roots = by.filter(|root| **root != node && !named.contains(root));
        let Some(first) = roots.next() else { return };
        let (root, status) = (&engine.layout.nodes[*first as usize].component, engine.held(*first).status);
        evidence.push_str(&format!("; because {root} is {status}"));
        match roots.count() {
            0 => {}
            others => evidence.push_str(&format!(", and {others} more")),
        }
    }
}

impl Engine {
    /// Names the fewest components that explain all that is bad, as of the last input.
    pub fn blame(&self) -> Blame {
        let explained = self.explained();
        let id = |node: u32| self.layout.nodes[node as usize].component.clone();
        let mut explains: BTreeMap<u32, Vec<ComponentId>> = BTreeMap::new();
        for (node, roots) in &explained.by {
            for root in roots.iter().filter(|root| *root != node) {
                explains.entry(*root).or_default().push(id(*node));
            }
        }
        let root = |node: u32| {
            let (held, component) = (self.held(node), id(node));
            let culprits = self.culprits(&component);
            let planned = self.layout.nodes[node as usize].is_in_maintenance(self.now);
            let mut explains = explains.remove(&node).unwrap_or_default();
            explains.sort();
            Root { component, status: held.status, cause: held.cause, culprits, planned, explains }
        };
        let mut roots: Vec<Root> = explained.roots.iter().copied().map(root).collect();
        roots.sort_by(|a, b| a.component.cmp(&b.component));
        Blame { roots, minimal: explained.minimal }
    }

    pub(crate) fn explained(&self) -> Explained {
        Explained::new(&self.case())
    }

    /// All that is bad, with what may explain it.
    fn case(&self) -> Case {
        let bad = &self.because.bad;
        let suspects: BTreeSet<u32> = bad.iter().copied().filter(|n| self.is_suspect(*n)).collect();
        bad.iter().map(|node| (*node, self.bad(*node, &suspects))).collect()
    }

    fn bad(&self, node: u32, suspects: &BTreeSet<u32>) -> Bad {
        let place = &self.layout.nodes[node as usize];
        let is_bad = |n: &u32| self.because.bad.contains(n);
        let mut needs = BTreeSet::new();
        let mut fates: BTreeSet<u32> = place.fates.iter().copied().filter(|f| suspects.contains(f)).collect();
        let mut need = |n: u32| match &self.layout.nodes[n as usize].kind {
            Kind::Fate { .. } if suspects.contains(&n) => {
                fates.insert(n);
            }
            // Not suspected: whoever stands on it, and is bad, is what makes it look so.
            Kind::Fate { members } => needs.extend(members.iter().copied().filter(is_bad)),
            Kind::Leaf | Kind::Pool { .. } | Kind::Made(_) => {
                needs.insert(n);
            }
        };
        match &place.kind {
            Kind::Leaf => {}
            Kind::Pool { members, .. } => {
                let chain = place.chain.map(|(chain, _)| &self.chains[chain as usize].findings);
                let culprits = chain.into_iter().flat_map(|f| &f.culprits).filter_map(Culprit::component);
                members.iter().copied().chain(culprits).filter(is_bad).for_each(&mut need);
            }
            Kind::Fate { members } => members.iter().copied().filter(is_bad).for_each(&mut need),
            Kind::Made(formula) => formula.nodes().into_iter().filter(is_bad).for_each(&mut need),
        }
        let between = place.chain.is_some_and(|(chain, member)| {
            member == u32::MAX && self.chains[chain as usize].findings.is_between()
        });
        let alone = between || place.is_in_maintenance(self.now);
        let is_fate = matches!(place.kind, Kind::Fate { .. });
        let inferred = is_fate && !self.is_bad_itself(node);
        let (needs, fates) = (needs.into_iter().collect(), fates.into_iter().collect());
        Bad { needs, fates, alone, inferred, is_fate, generality: place.generality() }
    }

    /// True of somebody whose fate others share, if he may be why they are bad.
    fn is_suspect(&self, node: u32) -> bool {
        let Kind::Fate { members } = &self.layout.nodes[node as usize].kind else { return false };
        let counts = |n: &u32| {
            let place = &self.layout.nodes[*n as usize];
            self.held(*n).status != Status::Unknown && !place.is_in_maintenance(self.now)
        };
        let judged = members.iter().filter(|n| counts(n)).count();
        let bad = members.iter().filter(|n| counts(n) && self.because.bad.contains(n)).count();
        bad * 2 > judged || self.is_bad_itself(node)
    }
}
