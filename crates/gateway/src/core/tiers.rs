//! Cost tiers: the cheapest upstreams first, dearer ones on demand.
//!
//! A call goes to the lowest tier of which somebody may take it. A dearer tier is asked as well while the
//! ones below it are slower than the pool's objective, and for [`HOLD`] after: both then share the traffic,
//! so that the cheaper one is seen to recover.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use seawall_chain::method::Class;
use seawall_model::Mono;

use super::choose::Set;

/// Most tiers of one pool.
pub const MAX_TIERS: usize = 8;
/// A dearer tier is asked for this long after it was last needed.
pub const HOLD: Duration = Duration::from_secs(10);
/// Once a tier has been found slow it must come below this share of the objective, in percent.
const RECOVERED_PERCENT: u64 = 80;

/// Which upstreams are in which tier, cheapest first; nobody is in a tier that the pool does not use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tiers(Vec<Set>);

impl Tiers {
    /// The tiers of upstreams of which `tiers` gives, in the pool's order, the number.
    pub fn new(tiers: impl IntoIterator<Item = u8>) -> Self {
        let mut numbered = std::collections::BTreeMap::<u8, Set>::new();
        tiers.into_iter().enumerate().for_each(|(i, tier)| numbered.entry(tier).or_default().insert(i));
        Self(numbered.into_values().collect())
    }

    /// Is there a choice of tiers at all?
    pub fn are_one(&self) -> bool {
        self.0.len() <= 1
    }

    /// Is `upstream` in the cheapest one?
    pub fn is_first(&self, upstream: usize) -> bool {
        self.0.first().is_some_and(|first| first.has(upstream))
    }

    /// The tiers, cheapest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Set)> {
        self.0.iter().copied().enumerate()
    }

    /// Those of `eligible` that a call goes to: of the cheapest tier that has any, and of the next as long as
    /// the one before it `spills`.
    pub fn cheapest(&self, eligible: Set, spills: impl Fn(usize) -> bool) -> Set {
        let mut from = Set::NONE;
        for (tier, members) in self.iter() {
            from = from.or(eligible.and(members));
            if !from.is_empty() && !spills(tier) {
                break;
            }
        }
        from
    }
}

/// Until when each tier spills over into the next, by class. Read without a lock.
#[derive(Debug, Default)]
pub struct Spills([[AtomicU64; MAX_TIERS]; Class::ALL.len()]);

impl Spills {
    /// Does `tier` spill over?
    pub fn spills(&self, now: Mono, class: Class, tier: usize) -> bool {
        self.0[class as usize].get(tier).is_some_and(|until| now.0 < until.load(Relaxed))
    }

    /// Takes in how `tier` does now: the time that its answers take, if that is known, against the objective;
    /// and whether nobody in it may be asked at all.
    pub fn note(&self, now: Mono, class: Class, tier: usize, us: Option<u64>, objective: u64, gone: bool) {
        let Some(until) = self.0[class as usize].get(tier) else { return };
        let limit = match self.spills(now, class, tier) {
            true => objective / 100 * RECOVERED_PERCENT,
            false => objective,
        };
        if gone || us.is_some_and(|us| us > limit) {
            until.store((now + HOLD).0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cheapest_that_may_take_it() {
        let tiers = Tiers::new([0, 3, 3, 7, 0]);
        let check = |eligible, spilling: &[usize], want| {
            let chosen = tiers.cheapest(Set(eligible), |tier| spilling.contains(&tier));
            assert_eq!(chosen, Set(want), "{eligible:b} {spilling:?}");
        };
        check(0b11111, &[], 0b10001);
        check(0b01110, &[], 0b00110);
        check(0b01000, &[], 0b01000);
        check(0b11111, &[0], 0b10111);
        check(0b11111, &[0, 1], 0b11111);
        check(0b11111, &[1], 0b10001);
        check(0, &[0, 1, 2], 0);
        assert!(Tiers::new([4, 4]).are_one());
    }

    #[test]
    fn a_slow_tier_spills_until_it_has_been_fast_for_a_while() {
        let (spills, class) = (Spills::default(), Class::State);
        let objective = 100_000;
        let mut now = Mono::from_millis(1_000);
        let mut second = |us| {
            now = now + Duration::from_secs(1);
            spills.note(now, class, 0, us, objective, false);
            spills.spills(now, class, 0)
        };
        assert!(!second(None) && !second(Some(90_000)));
        assert!(second(Some(120_000)));
        for _ in 0..30 {
            assert!(second(Some(90_000)), "not below the objective by enough");
        }
        for _ in 0..9 {
            assert!(second(Some(70_000)), "not for long enough");
        }
        assert!(!second(Some(70_000)));
        assert!(!second(Some(90_000)), "below the objective");
        assert!(!spills.spills(now, Class::Logs, 0), "each class for itself");
    }

    #[test]
    fn a_tier_that_is_gone_shares_for_a_while_when_it_is_back() {
        let spills = Spills::default();
        spills.note(Mono::ZERO, Class::State, 0, None, u64::MAX, true);
        assert!(spills.spills(Mono::from_millis(9_999), Class::State, 0));
        assert!(!spills.spills(Mono::from_millis(10_000), Class::State, 0));
    }

    proptest! {
        /// Somebody is chosen whenever anybody may be, and nobody dearer than needed.
        #[test]
        fn never_dearer_than_needed(tiers in prop::collection::vec(0u8..4, 1..8), eligible: u64) {
            let eligible = Set(eligible & ((1 << tiers.len()) - 1));
            let chosen = Tiers::new(tiers.iter().copied()).cheapest(eligible, |_| false);
            let least = eligible.iter().map(|i| tiers[i]).min();
            let want: Vec<_> = eligible.iter().filter(|i| Some(tiers[*i]) == least).collect();
            prop_assert_eq!(chosen.iter().collect::<Vec<_>>(), want);
        }
    }
}
