//! How many unplanned attempts (retries, hedges, splits) a pool may make.
//!
//! Over the ten seconds before any unplanned attempt there are never more of them than a share of the
//! calls in those seconds, or than the floor allows, whichever is more, but for those of critical requests: they are
//! never refused one, and what they take beyond it is missing to the others. Planned width (a broadcast, a second opinion) is part of the call and not counted here.

use seawall_model::Mono;

/// Buckets the window is made of, and one more for the part that is passing out of it.
const BUCKETS: usize = 101;
/// One bucket, in nanoseconds: a tenth of a second.
const BUCKET: u64 = 100_000_000;

/// The attempt budget of a pool.
#[derive(Debug, Clone)]
pub struct Budget {
    share: f64,
    floor: u64,
    buckets: [Bucket; BUCKETS],
    /// Sums over all buckets that are still in the window; `now` is the newest bucket's number.
    now: u64,
    calls: u64,
    extra: u64,
    /// Attempts granted since the start.
    granted: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    calls: u32,
    extra: u32,
}

/// What a budget holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Balance {
    /// Calls in the window.
    pub requests: u64,
    /// Unplanned attempts in the window.
    pub extra: u64,
    /// Unplanned attempts allowed in the window.
    pub allowed: u64,
}

impl Budget {
    /// A budget of `share` of the calls, and at least `floor` attempts a second.
    pub fn new(share: f64, floor: u32) -> Self {
        let buckets = [Bucket::default(); BUCKETS];
        Self { share, floor: u64::from(floor) * 10, buckets, now: 0, calls: 0, extra: 0, granted: 0 }
    }

    /// Takes over a new share and floor; what was spent stays spent.
    pub fn set(&mut self, share: f64, floor: u32) {
        self.share = share;
        self.floor = u64::from(floor) * 10;
    }

    /// Attempts granted since the start: every hedge, retry, part, widening and repeated sending.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// A call came in.
    pub fn call(&mut self, now: Mono) {
        self.advance(now);
        self.buckets[(self.now % BUCKETS as u64) as usize].calls += 1;
        self.calls += 1;
    }

    /// Asks for one unplanned attempt; true if it may go.
    pub fn spend(&mut self, now: Mono) -> bool {
        self.advance(now);
        let granted = self.extra < self.allowed();
        if granted {
            self.owe(now);
        }
        granted
    }

    /// Takes one unplanned attempt for a critical request, whether there is one or not.
    pub fn owe(&mut self, now: Mono) {
        self.advance(now);
        self.buckets[(self.now % BUCKETS as u64) as usize].extra += 1;
        self.extra += 1;
        self.granted += 1;
    }

    /// Asks for a hedge, which is for speed alone: it may take half of what there is, so that whatever slows
    /// everybody down leaves enough to ask elsewhere when somebody fails.
    pub fn spend_on_speed(&mut self, now: Mono) -> bool {
        self.advance(now);
        self.extra < self.allowed() / 2 && self.spend(now)
    }

    /// What it holds.
    pub fn balance(&mut self, now: Mono) -> Balance {
        self.advance(now);
        Balance { requests: self.calls, extra: self.extra, allowed: self.allowed() }
    }

    /// Calls in the oldest bucket may be older than ten seconds, so they earn nothing; attempts in it
    /// may be younger, so they count.
    fn allowed(&self) -> u64 {
        let oldest = self.buckets[((self.now + 1) % BUCKETS as u64) as usize].calls;
        let earned = (self.calls - u64::from(oldest)) as f64 * self.share;
        (earned as u64).max(self.floor)
    }

    fn advance(&mut self, now: Mono) {
        let bucket = now.0 / BUCKET;
        let steps = bucket.saturating_sub(self.now).min(BUCKETS as u64);
        for step in 1..=steps {
            let slot = &mut self.buckets[((bucket - steps + step) % BUCKETS as u64) as usize];
            self.calls -= u64::from(slot.calls);
            self.extra -= u64::from(slot.extra);
            *slot = Bucket::default();
        }
        self.now = self.now.max(bucket);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_floor_holds_without_calls() {
        let mut b = Budget::new(0.2, 10);
        assert_eq!((0..500).filter(|_| b.spend(Mono::from_millis(5))).count(), 100);
        assert!(!b.spend(Mono::from_millis(10_000)));
        assert!(b.spend(Mono::from_millis(10_101)));
    }

    #[test]
    fn a_share_of_the_calls_beyond_it() {
        let mut b = Budget::new(0.2, 10);
        for i in 0..10_000 {
            b.call(Mono::from_millis(i));
        }
        let now = Mono::from_millis(10_000);
        assert_eq!((0..5_000).filter(|_| b.spend(now)).count(), 1980, "the first 0.1 s is passing out");
    }

    #[test]
    fn speed_leaves_half_for_failures() {
        let mut b = Budget::new(0.2, 10);
        let now = Mono::from_millis(5);
        assert_eq!((0..500).filter(|_| b.spend_on_speed(now)).count(), 50);
        assert_eq!((0..500).filter(|_| b.spend(now)).count(), 50);
    }

    proptest! {
        /// Whatever the order of calls, attempts and pauses: at every attempt granted, the exact count over
        /// the last ten seconds keeps within the share or the floor. And the budget is not mean: it
        /// refuses only when the count over a tenth of a second more would reach it.
        #[test]
        fn never_more_than_its_share(
            events in prop::collection::vec((0u64..400, 0u32..30, 0u32..30), 1..200),
            floor in 0u32..3,
        ) {
            let mut b = Budget::new(0.2, floor);
            let (mut t, mut calls, mut extra) = (0u64, Vec::new(), Vec::new());
            for (gap, n, want) in events {
                t += gap;
                let now = Mono::from_millis(t);
                for _ in 0..n { b.call(now); calls.push(t); }
                for _ in 0..want {
                    let within = |all: &[u64], ms: u64| all.iter().filter(|e| **e + ms > t).count() as u64;
                    if b.spend(now) {
                        extra.push(t);
                        let allowed = (within(&calls, 10_000) / 5).max(u64::from(floor) * 10);
                        prop_assert!(within(&extra, 10_000) <= allowed);
                    } else {
                        let least = (within(&calls, 9_900) / 5).max(u64::from(floor) * 10);
                        prop_assert!(within(&extra, 10_100) >= least);
                    }
                }
            }
        }
    }
}
