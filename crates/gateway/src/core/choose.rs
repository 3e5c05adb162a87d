//! Which upstream a call goes to: the better of two drawn at random (power of two choices), among
//! those that may take it.

/// A set of a pool's upstreams, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(pub u64);

/// Most upstreams a pool may have.
pub const MAX_UPSTREAMS: usize = 64;

impl Set {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// Puts `index` in.
    pub fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Takes `index` out.
    pub fn remove(&mut self, index: usize) {
        self.0 &= !(1 << index);
    }

    /// Is `index` in it?
    pub fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// Everybody.
    pub const ALL: Self = Self(u64::MAX);

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in this one only.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Is nobody in it?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let index = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                index
            })
        })
    }

    fn nth(self, n: u32) -> Option<usize> {
        self.iter().nth(n as usize)
    }
}

/// What makes an upstream a better or worse choice now.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Mean time to an answer, in microseconds; failures count as long ones.
    pub mean_us: u64,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Share of traffic relative to its peers.
    pub weight: u32,
}

impl Load {
    /// Expected wait, over the weight: lower is better.
    pub fn cost(self) -> u128 {
        // A weight of 0 takes traffic only while nobody else may.
        match self.weight {
            0 => u128::MAX,
            w => u128::from(self.mean_us + 1) * (u128::from(self.in_flight) + 1) * 1_000 / u128::from(w),
        }
    }
}

/// Draws from `eligible`, outside `avoid` (providers already tried) as long as anybody is. `random` is
/// any 64 random bits.
pub fn choose(eligible: Set, avoid: Set, random: u64, load: impl Fn(usize) -> Load) -> Option<usize> {
    let fresh = eligible.without(avoid);
    let from = if fresh.is_empty() { eligible } else { fresh };
    let n = from.len();
    match n {
        0 => return None,
        1 => return from.nth(0),
        _ => {}
    }
    let first = ((u64::from(random as u32) * u64::from(n)) >> 32) as u32;
    let skip = (((random >> 32) * u64::from(n - 1)) >> 32) as u32 + 1;
    let (a, b) = (from.nth(first)?, from.nth((first + skip) % n)?);
    let (ca, cb) = (load(a).cost(), load(b).cost());
    Some(if cb < ca { b } else { a })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVEN: Load = Load { mean_us: 1_000, in_flight: 0, weight: 100 };

    #[test]
    fn the_idle_and_fast_one_is_preferred() {
        let both = Set(0b11);
        for random in [0, u64::MAX, 1 << 33, 0x9E37_79B9_7F4A_7C15] {
            let slow = |i| Load { mean_us: if i == 0 { 9_000 } else { 1_000 }, ..EVEN };
            assert_eq!(choose(both, Set::NONE, random, slow), Some(1));
            let busy = |i| Load { in_flight: if i == 1 { 50 } else { 3 }, ..EVEN };
            assert_eq!(choose(both, Set::NONE, random, busy), Some(0));
            let last = |i| Load { weight: if i == 1 { 0 } else { 1 }, ..EVEN };
            assert_eq!(choose(both, Set::NONE, random, last), Some(0));
        }
    }

    #[test]
    fn another_provider_first_but_the_same_one_before_none() {
        assert_eq!(choose(Set(0b101), Set(0b001), 7, |_| EVEN), Some(2));
        assert_eq!(choose(Set(0b001), Set(0b001), 7, |_| EVEN), Some(0));
        assert_eq!(choose(Set::NONE, Set::NONE, 7, |_| EVEN), None);
    }

    #[test]
    fn equal_ones_share_evenly() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[choose(Set(0b11111), Set::NONE, rng.u64(..), |_| EVEN).unwrap()] += 1;
        }
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn only_the_eligible_are_chosen(eligible: u64, avoid: u64, random: u64) {
            let chosen = choose(Set(eligible), Set(avoid), random, |_| EVEN);
            prop_assert_eq!(chosen.is_none(), eligible == 0);
            if let Some(i) = chosen {
                prop_assert!(Set(eligible).has(i));
                prop_assert!(!Set(avoid).has(i) || Set(eligible).without(Set(avoid)).is_empty());
            }
        }
    }
}
