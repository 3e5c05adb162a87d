//! How many requests an upstream may be sent, whoever sends them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Mono;

/// What may be sent at once after a lull, as time at the full rate, in nanoseconds: a tenth of a second's
/// worth, and one request in any case.
const BURST: u64 = 100_000_000;

/// A limit that threads share without a lock: the generic cell rate algorithm (ITU-T I.371, annex A), with cells
/// of different weight. In any `t` seconds at most `rate * (t + 0.1)` units and one more request, whatever it
/// weighs, go out, and one more for each thread that asks at the very same time.
#[derive(Debug, Default)]
pub struct Rate {
    /// Nanoseconds that one unit takes up; 0 is no limit.
    each: AtomicU64,
    /// Until when the units sent so far take up the rate.
    taken: AtomicU64,
}

impl Rate {
    /// Limits to `per_second` requests, or not at all. What was sent stays sent.
    pub fn set(&self, per_second: Option<u32>) {
        self.limit(per_second.map(f64::from));
    }

    /// Limits to `per_second` units, or not at all. What was sent stays sent.
    pub fn limit(&self, per_second: Option<f64>) {
        // A limit so small that nothing would ever go out again is one an hour.
        let each = per_second.map_or(0, |rate| (1e9 / rate.max(1.0 / 3_600.0)) as u64);
        self.each.store(each, Relaxed);
    }

    /// Units a second; `None` without a limit.
    pub fn per_second(&self) -> Option<f64> {
        let each = self.each.load(Relaxed);
        (each > 0).then(|| 1e9 / each as f64)
    }

    /// May one more go out?
    pub fn has_room(&self, now: Mono) -> bool {
        self.each.load(Relaxed) == 0 || self.taken.load(Relaxed) <= now.0 + BURST
    }

    /// One of one unit goes out.
    pub fn take(&self, now: Mono) {
        self.take_units(now, 1);
    }

    /// One of `units` goes out.
    pub fn take_units(&self, now: Mono, units: u32) {
        let cost = self.each.load(Relaxed).saturating_mul(u64::from(units));
        if cost > 0 {
            let next = |taken: u64| Some(taken.max(now.0).saturating_add(cost));
            // Never refused: `next` always gives a value.
            let _ = self.taken.fetch_update(Relaxed, Relaxed, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_limit_there_is_always_room() {
        let rate = Rate::default();
        (0..1_000).for_each(|_| rate.take(Mono::ZERO));
        assert!(rate.has_room(Mono::ZERO));
        rate.set(Some(1));
        rate.take(Mono::ZERO);
        assert!(!rate.has_room(Mono::from_millis(899)));
        assert!(rate.has_room(Mono::from_millis(900)));
    }

    proptest! {
        /// Over any stretch of time no more goes out than the rate allows; and one that asks all the time
        /// gets all of it.
        #[test]
        fn never_more_than_the_rate(per_second in 1u32..100, gaps in prop::collection::vec(0u64..50, 1..100)) {
            let rate = Rate::default();
            rate.set(Some(per_second));
            let (mut at, mut sent) = (0, Vec::new());
            for gap in gaps {
                at += gap;
                while rate.has_room(Mono::from_millis(at)) {
                    rate.take(Mono::from_millis(at));
                    sent.push(at);
                }
            }
            let each = 1_000_000_000 / u64::from(per_second);
            for (i, from) in sent.iter().enumerate() {
                for (n, to) in sent[i..].iter().enumerate() {
                    prop_assert!(n as u64 * each <= (to - from) * 1_000_000 + BURST + each);
                }
            }
            prop_assert!((sent.len() as u64 + 1) * each > at * 1_000_000, "all of it");
        }

        /// As above, for requests that weigh differently: the last of a stretch may go over, and no other.
        #[test]
        fn never_more_units_than_the_rate(
            per_second in 1u32..500,
            calls in prop::collection::vec((0u64..200, 1u32..100), 1..100),
        ) {
            let rate = Rate::default();
            rate.limit(Some(f64::from(per_second)));
            let (mut at, mut sent) = (0, Vec::new());
            for (gap, units) in calls {
                at += gap;
                if rate.has_room(Mono::from_millis(at)) {
                    rate.take_units(Mono::from_millis(at), units);
                    sent.push((at, u64::from(units)));
                }
            }
            let each = 1_000_000_000 / u64::from(per_second);
            for (i, (from, _)) in sent.iter().enumerate() {
                let mut before = 0;
                for (to, units) in &sent[i..] {
                    prop_assert!(before * each <= (to - from) * 1_000_000 + BURST);
                    before += units;
                }
            }
        }
    }
}
