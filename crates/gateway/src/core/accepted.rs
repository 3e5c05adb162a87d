//! Transactions that an upstream has taken from this gateway a short while ago.
//!
//! Another upstream may not have heard of them yet. Until it must have, this is the evidence that they are there.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use seawall_chain::{
    Hash,
    sender::{Address, Signed},
};
use seawall_model::Mono;

/// Most transactions that are remembered; the oldest go first.
const MOST: usize = 4_096;
/// How long one is remembered at least: nodes tell one another of transactions within seconds.
const LEAST: Duration = Duration::from_secs(30);
/// How long in blocks, where that is longer: by then it is mined, or nodes have dropped it.
const BLOCKS: u32 = 3;

/// The transactions of one pool.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    hashes: BTreeMap<Hash, Mono>,
    nonces: BTreeMap<(Address, u64), (Mono, Hash)>,
    /// In the order they were taken.
    order: VecDeque<(Mono, Hash, Option<Signed>)>,
}

impl Accepted {
    /// A transaction was taken. `signed` is not known of types that are new.
    pub fn note(&mut self, now: Mono, hash: Hash, signed: Option<Signed>) {
        if self.order.len() >= MOST {
            self.forget_first();
        }
        self.hashes.insert(hash, now);
        if let Some(Signed { sender, nonce }) = signed
            && let Some((_, replaced)) = self.nonces.insert((sender, nonce), (now, hash))
            && replaced != hash
        {
            // Nodes drop the one for the other.
            self.hashes.remove(&replaced);
        }
        self.order.push_back((now, hash, signed));
    }

    /// Was it taken, on a chain with so much time between blocks, a short while ago?
    pub fn knows(&mut self, now: Mono, block_time: Duration, hash: &Hash) -> bool {
        self.forget(now, block_time);
        self.hashes.contains_key(hash)
    }

    /// How many transactions an account has sent, if an upstream counts `count`: those that follow on without a
    /// gap are counted with them.
    pub fn count(&mut self, now: Mono, block_time: Duration, sender: Address, count: u64) -> u64 {
        self.forget(now, block_time);
        let following = self.nonces.range((sender, count)..).map(|(key, _)| *key);
        let known = following.zip(count..).take_while(|(key, next)| *key == (sender, *next));
        known.last().map_or(count, |(_, last)| last.saturating_add(1))
    }

    fn forget(&mut self, now: Mono, block_time: Duration) {
        let keep = LEAST.max(block_time * BLOCKS);
        while self.order.front().is_some_and(|(at, ..)| now.since(*at) >= keep) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((at, hash, signed)) = self.order.pop_front() else { return };
        // It may have been taken again since.
        if self.hashes.get(&hash) == Some(&at) {
            self.hashes.remove(&hash);
        }
        if let Some(key) = signed.map(|Signed { sender, nonce }| (sender, nonce))
            && self.nonces.get(&key) == Some(&(at, hash))
        {
            self.nonces.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: Duration = Duration::from_secs(12);
    const KEPT: u64 = 36_000;

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    fn hash(sender: u8, nonce: u64) -> Hash {
        let mut hash = [sender; 32];
        hash[..8].copy_from_slice(&nonce.to_be_bytes());
        Hash(hash)
    }

    proptest! {
        /// Against a list of everything that was ever taken.
        #[test]
        fn what_follows_on_without_a_gap_is_counted(
            steps in prop::collection::vec((0u64..8_000, 0u8..3, 0u64..6, any::<bool>()), 1..80),
        ) {
            let (mut accepted, mut taken, mut now) = (Accepted::default(), Vec::new(), 0);
            for (pause, sender, nonce, send) in steps {
                now += pause;
                let address = Address([sender; 20]);
                if send {
                    accepted.note(at(now), hash(sender, nonce), Some(Signed { sender: address, nonce }));
                    taken.push((now, sender, nonce));
                }
                let fresh = |s: u8, n: u64| taken.iter().any(|(t, of, which)| (*of, *which) == (s, n) && now - t < KEPT);
                let mut want = nonce;
                while fresh(sender, want) {
                    want += 1;
                }
                prop_assert_eq!(accepted.count(at(now), BLOCK, address, nonce), want);
                prop_assert_eq!(accepted.knows(at(now), BLOCK, &hash(sender, nonce)), fresh(sender, nonce));
            }
        }
    }

    #[test]
    fn one_that_is_replaced_is_known_no_longer() {
        let mut accepted = Accepted::default();
        let signed = Some(Signed { sender: Address([1; 20]), nonce: 5 });
        accepted.note(at(1), hash(1, 5), signed);
        accepted.note(at(2), hash(2, 5), signed);
        assert!(!accepted.knows(at(3), BLOCK, &hash(1, 5)) && accepted.knows(at(3), BLOCK, &hash(2, 5)));
        assert_eq!(accepted.count(at(3), BLOCK, Address([1; 20]), 5), 6);
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let mut accepted = Accepted::default();
        for nonce in 0..2 * MOST as u64 {
            let signed = Signed { sender: Address([1; 20]), nonce };
            accepted.note(at(1), hash(1, nonce), Some(signed));
        }
        assert_eq!((accepted.hashes.len(), accepted.nonces.len(), accepted.order.len()), (MOST, MOST, MOST));
        assert!(accepted.knows(at(2), BLOCK, &hash(1, 2 * MOST as u64 - 1)));
        assert!(!accepted.knows(at(2), BLOCK, &hash(1, 0)));
        assert_eq!(accepted.count(at(2), BLOCK, Address([1; 20]), u64::MAX), u64::MAX);
    }
}
