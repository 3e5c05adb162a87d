//! What of the agreed chain has been final.

use std::collections::BTreeMap;

use seawall_chain::{Block, Hash};

/// How far the agreed chain has been final, and how often that has turned out not to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// How often agreement has been taken back below a block that had been final. From 1.
    pub era: u64,
    /// The highest block that has been final in this era.
    height: Option<u64>,
}

impl Default for Seal {
    fn default() -> Self {
        Self { era: 1, height: None }
    }
}

impl Seal {
    /// The seal once the agreed chain, which was `before`, is `now`, and `finalized` is final on it.
    ///
    /// Blocks are linked by hash: where the two chains have a block in common, they have everything below it in
    /// common. So what was final holds if they have one in common that is no lower.
    pub fn next(
        self,
        before: &BTreeMap<u64, Hash>,
        now: &BTreeMap<u64, Hash>,
        finalized: Option<Block>,
    ) -> Self {
        let common = before.iter().rev().find(|(n, hash)| now.get(n) == Some(hash)).map(|(n, _)| *n);
        let holds = before.is_empty() || self.height.is_none_or(|height| common.is_some_and(|n| n >= height));
        let finalized = finalized.map(|b| b.number);
        match holds {
            true => Self { era: self.era, height: self.height.max(finalized) },
            false => Self { era: self.era + 1, height: finalized },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(blocks: std::ops::RangeInclusive<u64>, fork: u8) -> BTreeMap<u64, Hash> {
        blocks.map(|n| (n, Hash([fork; 32]))).collect()
    }

    fn check(before: &BTreeMap<u64, Hash>, now: &BTreeMap<u64, Hash>, holds: bool) {
        let seal = Seal { era: 3, height: Some(50) };
        let finalized = Block { number: 55, hash: Hash([0; 32]) };
        let want = if holds { 3 } else { 4 };
        assert_eq!(seal.next(before, now, Some(finalized)), Seal { era: want, height: Some(55) });
    }

    #[test]
    fn what_was_final_holds_while_the_chains_meet_no_lower() {
        let before = chain(40..=60, 1);
        check(&before, &before, true);
        check(&before, &chain(45..=65, 1), true);
        let reorged = |from: u64| chain(40..=from - 1, 1).into_iter().chain(chain(from..=61, 2)).collect();
        check(&before, &reorged(51), true);
        check(&before, &reorged(50), false);
        check(&before, &chain(40..=49, 1), false);
        check(&before, &BTreeMap::new(), false);
        check(&before, &chain(70..=90, 1), false);
        check(&BTreeMap::new(), &before, true);
    }
}
