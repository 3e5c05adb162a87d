//! Follows the agreed chain for those who are to be told of every block of it once, in order.
//!
//! A [`Follower`] knows what it has told. Given the block that is agreed on now, it says which headers it has
//! yet to see, and then what has changed: blocks that have left the chain, and those that have joined it.

use std::collections::{BTreeMap, VecDeque};

use seawall_chain::{Block, Hash};

/// Blocks remembered behind the newest: a reorganisation may go this deep and still be told exactly.
const REMEMBERED: usize = 256;
/// Most blocks that are made up for at once; whoever is further behind has lost its place.
pub const MAX_GAP: usize = 1_024;

/// What has been told of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// Blocks of consecutive heights, the oldest first; never empty.
    told: VecDeque<Block>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Blocks that have left the chain, the newest first.
    pub dropped: Vec<Block>,
    /// Blocks that have joined it, the oldest first.
    pub added: Vec<Block>,
}

/// The way from what has been told to the block that is agreed on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// There is nothing to tell.
    Here,
    /// This is to be told.
    Step(Update),
    /// This block's header must be seen first.
    Missing(Block),
    /// It is too long to be made up for.
    TooFar,
}

impl Follower {
    /// Begins at the agreed head. Of the agreed chain before it, `history`, it takes what hangs together, so
    /// that a reorganisation that begins there can be told.
    pub fn begin(latest: Block, history: &BTreeMap<u64, Hash>) -> Self {
        let mut told = VecDeque::from([latest]);
        let mut below = latest.number;
        for (number, hash) in history.range(..latest.number).rev().take(REMEMBERED - 1) {
            if number + 1 != below {
                break;
            }
            told.push_front(Block { number: *number, hash: *hash });
            below = *number;
        }
        Self { told }
    }

    /// The newest block that has been told.
    pub fn tip(&self) -> Block {
        *self.told.back().expect("something has always been told")
    }

    /// The way to `target`. `parent` knows the parents of the blocks whose headers have been seen.
    pub fn path(&self, target: Block, parent: impl Fn(&Hash) -> Option<Hash>) -> Path {
        if target == self.tip() {
            return Path::Here;
        }
        let oldest = self.oldest();
        if target.number < oldest || target.number.saturating_sub(self.tip().number) > MAX_GAP as u64 {
            return Path::TooFar;
        }
        let mut added = Vec::new();
        let mut at = target;
        // Where the chains part lower than is remembered, what is remembered is replaced, and no more.
        while at.number >= oldest && !self.has(at) {
            if added.len() == MAX_GAP {
                return Path::TooFar;
            }
            let Some(parent) = parent(&at.hash) else { return Path::Missing(at) };
            added.push(at);
            let Some(number) = at.number.checked_sub(1) else { break };
            at = Block { number, hash: parent };
        }
        let common = if self.has(at) { Some(at.number) } else { None };
        let leaves = |b: &&Block| common.is_none_or(|common| b.number > common);
        let dropped = self.told.iter().rev().take_while(leaves).copied().collect();
        added.reverse();
        Path::Step(Update { dropped, added })
    }

    /// `update` has been told.
    pub fn take(&mut self, update: &Update) {
        self.told.truncate(self.told.len() - update.dropped.len());
        self.told.extend(&update.added);
        self.told.drain(..self.told.len().saturating_sub(REMEMBERED));
    }

    fn oldest(&self) -> u64 {
        self.told.front().expect("something has always been told").number
    }

    fn has(&self, block: Block) -> bool {
        let at = block.number.checked_sub(self.oldest()).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.told.get(at)) == Some(&block)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn hash(n: u64, fork: u8) -> Hash {
        let mut bytes = [fork; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Hash(bytes)
    }

    fn block(n: u64, fork: u8) -> Block {
        Block { number: n, hash: hash(n, fork) }
    }

    /// Every block ever made, and its parent.
    #[derive(Default)]
    struct Tree(BTreeMap<Hash, Hash>);

    impl Tree {
        /// A chain from its lowest block to its highest.
        fn grow(&mut self, chain: &[Block]) {
            for pair in chain.windows(2) {
                self.0.insert(pair[1].hash, pair[0].hash);
            }
        }

        fn path(&self, follower: &Follower, to: Block) -> Path {
            follower.path(to, |hash| self.0.get(hash).copied())
        }
    }

    #[test]
    fn a_gap_is_filled_once_its_headers_are_seen() {
        let mut follower = Follower::begin(block(5, 0), &BTreeMap::new());
        let mut tree = Tree::default();
        assert_eq!(tree.path(&follower, block(5, 0)), Path::Here);
        assert_eq!(tree.path(&follower, block(7, 0)), Path::Missing(block(7, 0)));
        tree.grow(&[block(6, 0), block(7, 0)]);
        assert_eq!(tree.path(&follower, block(7, 0)), Path::Missing(block(6, 0)));
        tree.grow(&[block(5, 0), block(6, 0)]);
        let update = Update { dropped: vec![], added: vec![block(6, 0), block(7, 0)] };
        assert_eq!(tree.path(&follower, block(7, 0)), Path::Step(update.clone()));
        follower.take(&update);
        assert_eq!(follower.tip(), block(7, 0));
    }

    #[test]
    fn a_reorganisation_drops_the_newest_first() {
        let history = BTreeMap::from([(3, hash(3, 0)), (4, hash(4, 0)), (5, hash(5, 0))]);
        let follower = Follower::begin(block(5, 0), &history);
        let mut tree = Tree::default();
        tree.grow(&[block(3, 0), block(4, 1), block(5, 1), block(6, 1)]);
        let update = Update {
            dropped: vec![block(5, 0), block(4, 0)],
            added: vec![block(4, 1), block(5, 1), block(6, 1)],
        };
        assert_eq!(tree.path(&follower, block(6, 1)), Path::Step(update));
        // A head that goes back has only dropped something, for now.
        let back = Update { dropped: vec![block(5, 0), block(4, 0)], added: vec![] };
        assert_eq!(tree.path(&follower, block(3, 0)), Path::Step(back));
    }

    #[test]
    fn what_is_too_far_away_is_not_made_up_for() {
        let mut tree = Tree::default();
        let chain: Vec<_> = (0..=MAX_GAP as u64 + 11).map(|n| block(n, 0)).collect();
        tree.grow(&chain);
        let follower = Follower::begin(block(10, 0), &BTreeMap::new());
        assert!(matches!(tree.path(&follower, chain[MAX_GAP + 10]), Path::Step(_)));
        assert_eq!(tree.path(&follower, chain[MAX_GAP + 11]), Path::TooFar);
        assert_eq!(tree.path(&follower, chain[9]), Path::TooFar);
    }

    #[test]
    fn what_parts_below_memory_replaces_what_is_remembered() {
        let follower = Follower::begin(block(5, 0), &BTreeMap::new());
        let mut tree = Tree::default();
        tree.grow(&[block(3, 1), block(4, 1), block(5, 1), block(6, 1)]);
        let update = Update { dropped: vec![block(5, 0)], added: vec![block(5, 1), block(6, 1)] };
        assert_eq!(tree.path(&follower, block(6, 1)), Path::Step(update));
    }

    proptest! {
        /// Against a subscriber who keeps a plain list of the chain: whatever happens, applying the updates to
        /// the list gives the agreed chain, and no block is told twice without having been dropped.
        #[test]
        fn the_updates_are_the_chain(moves in prop::collection::vec((0u64..4, 1u64..60), 1..60)) {
            let genesis: Vec<Block> = (0..=100).map(|n| block(n, 0)).collect();
            let history = genesis.iter().map(|b| (b.number, b.hash)).collect();
            let mut tree = Tree::default();
            tree.grow(&genesis);
            let mut chain = genesis.clone();
            let mut heard = genesis;
            let mut follower = Follower::begin(block(100, 0), &history);
            for (fork, (back, forth)) in moves.into_iter().enumerate() {
                // The chain loses some blocks and gains some, seen or not.
                chain.truncate(chain.len() - back as usize);
                let from = chain.len() as u64;
                chain.extend((from..from + forth).map(|n| block(n, fork as u8 + 1)));
                tree.grow(&chain);
                let Path::Step(update) = tree.path(&follower, *chain.last().unwrap()) else {
                    return Err(TestCaseError::fail("a known chain gives a step"));
                };
                follower.take(&update);
                for dropped in &update.dropped {
                    let last = heard.pop();
                    prop_assert_eq!(last.as_ref(), Some(dropped));
                }
                heard.extend(&update.added);
                prop_assert_eq!(&heard, &chain);
                prop_assert_eq!(tree.path(&follower, *chain.last().unwrap()), Path::Here);
                prop_assert!(follower.told.len() <= REMEMBERED);
            }
        }
    }
}
