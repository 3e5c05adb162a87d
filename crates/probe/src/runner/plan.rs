//! Which checks there are, and which worker makes them.

use std::{sync::Arc, time::Duration};

use seawall_model::Mono;

use crate::core::{
    check::Check,
    schedule::{Bounds, Entry, jittered},
};

/// Which checks are to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The checks.
    pub checks: Vec<Planned>,
    /// Targets that hardly ever fail all at once; where most of them do, it is the prober that is in trouble.
    pub anchors: Vec<Check>,
    /// As many as may be under way.
    pub bounds: Bounds,
}

/// A check of the plan.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its number, by which [`Finished`](super::Finished) tells of it.
    pub number: usize,
    /// What is to be done.
    pub check: Arc<Check>,
    /// Time from one turn to the next.
    pub every: Duration,
    /// Any number; it says when, within `every`, its turns are.
    pub draw: u64,
}

impl Plan {
    /// The plans of so many workers. All checks of one host go to one worker, which alone can see to it that the host is
    /// not asked by too many at once. Concurrency is divided among them.
    pub fn split(self, workers: usize) -> Vec<Self> {
        let workers = workers.max(1);
        let concurrency = self.bounds.concurrency.div_ceil(workers);
        let bounds = Bounds { concurrency, ..self.bounds };
        let empty = Self { checks: Vec::new(), anchors: self.anchors, bounds };
        let mut plans = vec![empty; workers];
        for planned in self.checks {
            let worker = spread(&planned.check.host()) % workers as u64;
            plans[usize::try_from(worker).unwrap_or(0)].checks.push(planned);
        }
        plans
    }

    pub(super) fn entries(&self, from: Mono) -> Vec<Entry> {
        let entry = |planned: &Planned| Entry {
            start: jittered(from, planned.every, planned.draw),
            every: planned.every,
            host: planned.check.host(),
        };
        self.checks.iter().map(entry).collect()
    }
}

/// FNV-1a: the same text, the same number, in every process.
pub(crate) fn spread(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    // Its low bits are poor for short texts that differ in the last letter.
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_host_s_checks_stay_with_one_worker() {
        let planned = |number: usize| {
            let target = format!("http://host-{}.example/{number}", number % 100);
            let check = Arc::new(Check::new(target.parse().unwrap()));
            Planned { number, check, every: Duration::from_secs(10), draw: spread(&target) }
        };
        let bounds = Bounds { concurrency: 10, per_host: 2 };
        let plan = Plan { checks: (0..1_000).map(planned).collect(), anchors: Vec::new(), bounds };
        let plans = plan.split(3);
        let mut workers = BTreeMap::new();
        for (worker, plan) in plans.iter().enumerate() {
            assert_eq!(plan.bounds, Bounds { concurrency: 4, per_host: 2 });
            assert!(plan.checks.len() > 200, "worker {worker} has {}", plan.checks.len());
            for planned in &plan.checks {
                assert_eq!(*workers.entry(planned.check.host()).or_insert(worker), worker);
            }
        }
        assert_eq!(plans.iter().map(|plan| plan.checks.len()).sum::<usize>(), 1_000);
    }
}
