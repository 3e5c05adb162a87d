//! The fewest roots: a minimum set cover, over what is left of the graph once the obvious is decided.
//!
//! What is bad and needs nothing bad explains whatever needs it, so that only these *ends* are to be covered: each by
//! itself, or by somebody whose fate it shares. Ends that share the same fates are one class; a class of several is
//! always better covered by one of those than one by one. Classes that share no fate are decided apart. What remains
//! is small, and searched through; the search is exact unless it takes more than [`STEPS`].

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Bad, Case};

/// Steps of one search.
const STEPS: usize = 20_000;

/// Ends that share the same fates.
struct Class {
    fates: Vec<u32>,
    ends: Vec<u32>,
}

/// How many roots, and how general they are together.
type Cost = (usize, u32);

/// The roots, and whether they are known to be the fewest.
pub(super) fn roots(case: &Case) -> (BTreeSet<u32>, bool) {
    let (mut roots, mut minimal) = (BTreeSet::new(), true);
    let mut classes = BTreeMap::<Vec<u32>, Vec<u32>>::new();
    for (node, bad) in case.iter().filter(|(_, bad)| !bad.inferred) {
        if bad.alone {
            roots.insert(*node);
        } else if bad.needs.is_empty() {
            classes.entry(options(*node, bad)).or_default().push(*node);
        }
    }
    let own = classes.remove(&Vec::new()).unwrap_or_default();
    roots.extend(own);
    let classes = classes.into_iter().map(|(fates, ends)| Class { fates, ends }).collect();
    for group in groups(classes) {
        let mut search = Search { case, classes: &group, best: None, steps: 0 };
        search.go(&mut Vec::new(), (0, 0));
        minimal &= search.steps < STEPS;
        roots.extend(search.best.into_iter().flat_map(|(_, chosen)| chosen));
    }
    (roots, minimal)
}

/// Whoever could explain an end besides itself. Somebody whose fate others share explains them as well as himself.
fn options(node: u32, bad: &Bad) -> Vec<u32> {
    let mut fates = bad.fates.clone();
    if bad.is_fate {
        fates.push(node);
        fates.sort_unstable();
        fates.dedup();
    }
    fates
}

/// Classes in groups that share no fate.
fn groups(classes: Vec<Class>) -> Vec<Vec<Class>> {
    let mut groups: Vec<(BTreeSet<u32>, Vec<Class>)> = Vec::new();
    for class in classes {
        let mut fates: BTreeSet<u32> = class.fates.iter().copied().collect();
        let mut joined = vec![class];
        let touches = |known: &BTreeSet<u32>| !known.is_disjoint(&fates);
        let (touching, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(known, _)| touches(known));
        groups = apart;
        for (known, members) in touching {
            fates.extend(known);
            joined.extend(members);
        }
        groups.push((fates, joined));
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

struct Search<'a> {
    case: &'a Case,
    classes: &'a [Class],
    best: Option<(Cost, Vec<u32>)>,
    steps: usize,
}

impl Search<'_> {
    /// Branches on the open class with the fewest choices, the most promising choice first.
    fn go(&mut self, chosen: &mut Vec<u32>, cost: Cost) {
        self.steps += 1;
        let covered = |class: &&Class| {
            class.fates.iter().any(|f| chosen.contains(f)) || class.ends.iter().all(|e| chosen.contains(e))
        };
        let open: Vec<&Class> = self.classes.iter().filter(|c| !covered(c)).collect();
        let Some(next) = open.iter().min_by_key(|c| (c.fates.len(), c.ends[0])) else {
            if self.best.as_ref().is_none_or(|(best, _)| cost < *best) {
                self.best = Some((cost, chosen.clone()));
            }
            return;
        };
        let is_enough = self.best.as_ref().is_some_and(|(best, _)| (cost.0 + 1, cost.1) >= *best);
        if is_enough || (self.steps >= STEPS && self.best.is_some()) {
            return;
        }
        let generality = |node: u32| self.case.get(&node).map_or(0, |bad| bad.generality);
        let covers = |node: u32| open.iter().filter(|c| c.fates.contains(&node)).count();
        let mut choices = next.fates.clone();
        // One by one only where there is one.
        choices.extend(next.ends.iter().copied().filter(|e| next.ends.len() == 1 && !next.fates.contains(e)));
        choices.sort_by_key(|node| (Reverse(covers(*node)), generality(*node), *node));
        for node in choices {
            let more = generality(node);
            chosen.push(node);
            self.go(chosen, (cost.0 + 1, cost.1 + more));
            chosen.pop();
        }
    }
}
