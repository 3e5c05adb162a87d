//! How many different customers there were, in bounded memory, and mergeable.
//!
//! Exact while they are few; beyond that HyperLogLog (Flajolet et al. 2007) with the estimator of Ertl (2017,
//! "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6), whose standard error is 2.3 %.

/// Hashes kept one by one.
const EXACT: usize = 256;
/// The registers are two to this power.
const PRECISION: u32 = 11;
const REGISTERS: usize = 1 << PRECISION;
/// The largest value of a register.
const TOP: usize = 64 - PRECISION as usize + 1;

/// A set of hashes, of which only the size can be told.
#[derive(Debug, Clone)]
pub enum Distinct {
    /// Few: the hashes, in order.
    Few(Vec<u64>),
    /// Many.
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Distinct {
    /// Adds a customer, by a hash that is evenly spread.
    pub fn add(&mut self, hash: u64) {
        match self {
            Self::Few(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                }
                if hashes.len() > EXACT {
                    let mut registers = Box::new([0; REGISTERS]);
                    hashes.iter().for_each(|hash| note(&mut registers, *hash));
                    *self = Self::Many(registers);
                }
            }
            Self::Many(registers) => note(registers, hash),
        }
    }

    /// Adds everybody in `other`.
    pub fn merge(&mut self, other: &Self) {
        match other {
            Self::Few(hashes) => hashes.iter().for_each(|hash| self.add(*hash)),
            Self::Many(theirs) => {
                let mut ours = match std::mem::take(self) {
                    Self::Many(ours) => ours,
                    Self::Few(hashes) => {
                        let mut registers = Box::new([0; REGISTERS]);
                        hashes.iter().for_each(|hash| note(&mut registers, *hash));
                        registers
                    }
                };
                ours.iter_mut().zip(theirs.iter()).for_each(|(a, b)| *a = (*a).max(*b));
                *self = Self::Many(ours);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Few(hashes) => hashes.len() as u64,
            Self::Many(registers) => estimate(registers).round() as u64,
        }
    }
}

/// The register is told by the first bits, its value by the zeros after them.
fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = &mut registers[(hash >> (64 - PRECISION)) as usize];
    let rest = hash << PRECISION;
    let zeros = if rest == 0 { TOP as u32 - 1 } else { rest.leading_zeros() };
    *register = (*register).max(zeros as u8 + 1);
}

fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let mut counts = [0_u32; TOP + 1];
    registers.iter().for_each(|r| counts[usize::from(*r)] += 1);
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[TOP]) / m);
    for k in (1..TOP).rev() {
        z = 0.5 * (z + f64::from(counts[k]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Exact while few; within five standard errors of the exact count when many; and a merge of parts, however
        /// they overlap, counts as one set would.
        #[test]
        fn counts_like_a_set(seed: u64, n in prop_oneof![0usize..300, 300usize..60_000], parts in 1usize..6) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut exact = BTreeSet::new();
            let mut sets = vec![Distinct::default(); parts];
            let mut whole = Distinct::default();
            for _ in 0..n {
                let hash = random.u64(..);
                for _ in 0..random.usize(1..3) {
                    sets[random.usize(..parts)].add(hash);
                    whole.add(hash);
                }
                exact.insert(hash);
            }
            let mut merged = Distinct::default();
            sets.iter().for_each(|set| merged.merge(set));
            prop_assert_eq!(merged.count(), whole.count());
            let off = (merged.count() as f64 - exact.len() as f64).abs();
            let allowed = if exact.len() <= EXACT { 0.0 } else { 5.0 * 0.023 * exact.len() as f64 };
            prop_assert!(off <= allowed, "{} for {}", merged.count(), exact.len());
        }
    }
}
