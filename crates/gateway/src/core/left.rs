//! Blocks that were agreed on and have left the chain since.

use std::{collections::BTreeMap, sync::Arc};

use seawall_chain::{Block, Hash};

/// Most of them that are remembered.
const REMEMBERED: usize = 128;

/// Those that have left by the time that the agreed chain, which was `before`, is `now`: `left`, and what `before`
/// held and `now` does not. What it has only forgotten, being older than it remembers, has not left.
pub fn left(left: &Arc<[Block]>, before: &BTreeMap<u64, Hash>, now: &BTreeMap<u64, Hash>) -> Arc<[Block]> {
    let oldest = now.first_key_value().map_or(0, |(n, _)| *n);
    let gone = before.range(oldest..).filter(|(n, hash)| now.get(n) != Some(hash));
    let gone: Vec<Block> = gone.map(|(n, hash)| Block { number: *n, hash: *hash }).collect();
    let back = |block: &Block| now.get(&block.number) == Some(&block.hash);
    if gone.is_empty() && !left.iter().any(back) {
        return left.clone();
    }
    let mut all: Vec<Block> = left.iter().copied().chain(gone).filter(|block| !back(block)).collect();
    all.drain(..all.len().saturating_sub(REMEMBERED));
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(blocks: std::ops::RangeInclusive<u64>, fork: u8) -> BTreeMap<u64, Hash> {
        blocks.map(|n| (n, Hash([fork; 32]))).collect()
    }

    fn heights(left: &[Block]) -> Vec<u64> {
        left.iter().map(|b| b.number).collect()
    }

    #[test]
    fn a_reorganisation_is_remembered_until_it_is_taken_back() {
        let none: Arc<[Block]> = Arc::new([]);
        let one = chain(40..=60, 1);
        let on = chain(45..=65, 1);
        assert!(left(&none, &one, &on).is_empty(), "it went on, and forgot its beginning");
        let two: BTreeMap<_, _> = chain(40..=57, 1).into_iter().chain(chain(58..=59, 2)).collect();
        let once = left(&none, &one, &two);
        assert_eq!(heights(&once), [58, 59, 60]);
        assert!(once.iter().all(|b| b.hash == Hash([1; 32])));
        let back = left(&once, &two, &one);
        assert_eq!(heights(&back), [58, 59]);
        assert!(back.iter().all(|b| b.hash == Hash([2; 32])));
        assert_eq!(heights(&left(&none, &one, &BTreeMap::new())).len(), 21);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut so_far: Arc<[Block]> = Arc::new([]);
        let mut before = chain(0..=99, 0);
        for fork in 1..9 {
            let now = chain(0..=99, fork);
            so_far = left(&so_far, &before, &now);
            before = now;
        }
        assert_eq!(so_far.len(), REMEMBERED);
        assert_eq!(so_far.last().map(|b| b.hash), Some(Hash([7; 32])));
    }
}
