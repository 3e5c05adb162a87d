//! How many requests an upstream may be sent, whoever sends them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Mono;

/// What may be sent at once after a lull, as time at the full rate, in nanoseconds: a tenth of a second's
/// worth, and one request in any case.
const BURST: u64 = 100_000_000;

/// A limit that threads share without a lock: the generic cell rate algorithm (ITU-T I.371, annex A). In any
/// `t` seconds at most `rate * (t + 0.1) + 1` requests go out, and one more for each thread that asks at the
/// very same time.
#[derive(Debug, Default)]
pub struct Rate {
    /// Nanoseconds that one request takes up; 0 is no limit.
    each: AtomicU64,
    /// Until when the requests sent so far take up the rate.
    taken: AtomicU64,
}

impl Rate {
    /// Limits to `per_second` requests, or not at all. What was sent stays sent.
    pub fn set(&self, per_second: Option<u32>) {
        let each = per_second.map_or(0, |rate| 1_000_000_000 / u64::from(rate.max(1)));
        self.each.store(each, Relaxed);
    }

    /// May one more go out?
    pub fn has_room(&self, now: Mono) -> bool {
        self.each.load(Relaxed) == 0 || self.taken.load(Relaxed) <= now.0 + BURST
    }

    /// One goes out.
    pub fn take(&self, now: Mono) {
        let each = self.each.load(Relaxed);
        if each > 0 {
            let next = |taken: u64| Some(taken.max(now.0) + each);
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
    }
}
