//! Latencies as counts in buckets that widen with them: what quantiles are read from, and what adds up.
//!
//! Every octave is cut into 32 buckets of one width (as HdrHistogram does it), so that the middle of a bucket is at
//! most 1/64 (1.6 %) from anything in it. Only whole numbers are counted: the same latencies make the same sketch on
//! every machine, in whatever order and over however many merges they come.

use super::coding::{Damaged, put, take};

/// Buckets of an octave are two to this power.
const SUB_BITS: u32 = 5;
/// The same as a number.
const SUB: u64 = 1 << SUB_BITS;
/// The longest latency told apart, in microseconds: 19 hours.
pub const MAX_MICROS: u64 = (1 << 36) - 1;
/// How many buckets there are.
const BUCKETS: usize = 1024;

/// A set of latencies, in microseconds, of which quantiles can be told to 1.6 %.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// The bucket that `counts` begins with. Nothing before it is counted; neither end of `counts` is zero.
    first: usize,
    counts: Vec<u64>,
}

impl Sketch {
    /// Counts a latency. What is longer than [`MAX_MICROS`] counts as that.
    pub fn add(&mut self, micros: u64) {
        self.add_to(bucket(micros), 1);
    }

    fn add_to(&mut self, bucket: usize, n: u64) {
        if self.counts.is_empty() {
            self.first = bucket;
        } else if bucket < self.first {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.first - bucket));
            self.first = bucket;
        }
        let at = bucket - self.first;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].saturating_add(n);
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        for (at, n) in other.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            self.add_to(other.first + at, *n);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The latency that `per_mille` thousandths of all do not exceed (nearest rank), in microseconds. `None` if there
    /// are none.
    pub fn quantile(&self, per_mille: u32) -> Option<u64> {
        let rank = (u128::from(self.count()) * u128::from(per_mille)).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        self.counts.iter().enumerate().find_map(|(at, n)| {
            seen += u128::from(*n);
            (seen >= rank).then(|| middle(self.first + at))
        })
    }

    /// Writes it: for each bucket that is not empty, how many buckets after the last one, and its count.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut next = 0;
        for (at, n) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            put(out, (self.first + at - next) as u64);
            put(out, *n);
            next = self.first + at + 1;
        }
    }

    /// Adds what [`encode`](Self::encode) wrote.
    pub(crate) fn merge_encoded(&mut self, mut bytes: &[u8]) -> Result<(), Damaged> {
        let mut next = 0_u64;
        while !bytes.is_empty() {
            let mut number = || take(&mut bytes).ok_or(Damaged("sketch"));
            let (gap, n) = (number()?, number()?);
            let at = next.checked_add(gap).filter(|at| *at < BUCKETS as u64).ok_or(Damaged("sketch"))?;
            if n == 0 {
                return Err(Damaged("sketch"));
            }
            self.add_to(at as usize, n);
            next = at + 1;
        }
        Ok(())
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.min(MAX_MICROS);
    if micros < SUB {
        return micros as usize;
    }
    let shift = u64::from(63 - micros.leading_zeros() - SUB_BITS);
    (shift * SUB + (micros >> shift)) as usize
}

fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * SUB {
        return bucket;
    }
    let shift = bucket / SUB - 1;
    ((SUB + bucket % SUB) << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(latencies: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        latencies.iter().for_each(|l| sketch.add(*l));
        sketch
    }

    fn latencies() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((0_u32..37, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1)), 0..60)
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_two_percent(mut all in latencies(), per_mille in 0_u32..=1000) {
            let told = of(&all).quantile(per_mille);
            all.sort_unstable();
            let rank = (all.len() * per_mille as usize).div_ceil(1000).max(1);
            match all.get(rank - 1) {
                Some(true_one) => {
                    let (told, exact) = (told.unwrap() as f64, *true_one as f64);
                    prop_assert!((told - exact).abs() <= 0.02 * exact, "{told} for {exact}");
                }
                None => prop_assert_eq!(told, None),
            }
        }

        #[test]
        fn merging_is_counting_together_in_any_order(a in latencies(), b in latencies(), c in latencies()) {
            let (x, y, z) = (of(&a), of(&b), of(&c));
            let merged = |parts: &[&Sketch]| {
                let mut all = Sketch::default();
                parts.iter().for_each(|p| all.merge(p));
                all
            };
            let whole = of(&[a, b, c].concat());
            prop_assert_eq!(&merged(&[&x, &y, &z]), &whole);
            prop_assert_eq!(&merged(&[&z, &x, &y]), &whole);
            prop_assert_eq!(&merged(&[&x, &merged(&[&y, &z])]), &whole);
            prop_assert_eq!(&merged(&[&merged(&[&y, &x]), &z]), &whole);
        }

        #[test]
        fn a_sketch_survives_the_round_trip(a in latencies(), b in latencies()) {
            let mut bytes = Vec::new();
            of(&a).encode(&mut bytes);
            let mut back = of(&b);
            back.merge_encoded(&bytes).unwrap();
            prop_assert_eq!(back, of(&[a, b].concat()));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Sketch::default().merge_encoded(&bytes);
        }
    }

    #[test]
    fn buckets_follow_one_another() {
        let mut last = 0;
        for micros in 0..100_000 {
            assert!((last..=last + 1).contains(&bucket(micros)), "{micros}");
            last = bucket(micros);
        }
        assert_eq!(bucket(MAX_MICROS), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
