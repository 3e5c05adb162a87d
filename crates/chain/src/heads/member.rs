//! What one upstream has shown.

use std::collections::{BTreeMap, VecDeque};

use seawall_model::{Cause, Mono};

use super::{Config, FAILURES_TO_LEAVE, HeadSeen, Tag, arrivals::Arrivals};
use crate::{Block, Hash};

/// Blocks remembered of one upstream.
const HELD: usize = 64;
/// Tagged blocks remembered of one upstream and tag.
const TAGS_HELD: usize = 16;

/// A block that an upstream has shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) hash: Hash,
    /// When it was first shown.
    pub(super) seen: Mono,
    /// Its time stamp in seconds, if it was shown as a head.
    pub(super) timestamp: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) provider: usize,
    /// The chain it shows, by height: every entry is known, or was said by it when asked, to be an ancestor of
    /// its head.
    pub(super) blocks: BTreeMap<u64, Held>,
    pub(super) head: Option<HeadSeen>,
    /// When its head last changed.
    pub(super) moved: Mono,
    pub(super) answered: Option<Mono>,
    /// Polls failed in a row.
    pub(super) failures: u32,
    /// It hangs, as calls other than its polls have shown since its last answer.
    pub(super) hung: bool,
    pub(super) wrong_chain: bool,
    /// Set aside in a tied vote.
    pub(super) aside: bool,
    /// Blocks behind the agreed head when it last answered.
    pub(super) behind: u64,
    /// Since when it has answered from more than `lag` behind.
    pub(super) lagging: Option<Mono>,
    /// Since when the agreed head has been above its head, which has not moved since.
    pub(super) passed: Option<Mono>,
    /// How long it was below the agreed head before it moved, each time.
    pub(super) catching_up: Arrivals,
    pub(super) fault: Option<Fault>,
    pub(super) safe: Tagged,
    pub(super) finalized: Tagged,
}

/// The last fault found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// When it was last seen.
    pub(super) last: Mono,
    /// It is held for a while after it was last seen, because it had come back.
    pub(super) held: bool,
    pub(super) over: bool,
}

impl Member {
    pub(super) fn new(provider: usize, now: Mono) -> Self {
        Self {
            provider,
            blocks: BTreeMap::new(),
            head: None,
            moved: now,
            answered: None,
            failures: 0,
            hung: false,
            wrong_chain: false,
            aside: false,
            behind: 0,
            lagging: None,
            passed: None,
            catching_up: Arrivals::default(),
            fault: None,
            safe: Tagged::default(),
            finalized: Tagged::default(),
        }
    }

    /// Takes in the head it shows.
    pub(super) fn observe(&mut self, now: Mono, seen: HeadSeen) {
        self.answered = Some(now);
        self.failures = 0;
        self.hung = false;
        if self.head.map(|h| h.block()) != Some(seen.block()) {
            self.moved = now;
            if let Some(passed) = self.passed.take() {
                self.catching_up.note(now.since(passed));
            }
        }
        self.head = Some(seen);
        self.blocks.split_off(&seen.number.saturating_add(1));
        let parent = seen.number.checked_sub(1);
        let linked = parent.is_some_and(|n| self.held(n) == Some(seen.parent));
        if self.held(seen.number) != Some(seen.hash) && !linked {
            // A gap or another branch: nothing seen before is known to be on this chain.
            self.blocks.clear();
            if let Some(number) = parent {
                self.hold(now, Block { number, hash: seen.parent });
            }
        }
        self.hold(now, seen.block());
        if let Some(held) = self.blocks.get_mut(&seen.number) {
            held.timestamp = Some(seen.timestamp);
        }
    }

    /// Takes in a block that it says is on its chain.
    pub(super) fn hold(&mut self, now: Mono, block: Block) {
        if self.held(block.number) != Some(block.hash) {
            self.blocks.insert(block.number, Held { hash: block.hash, seen: now, timestamp: None });
        }
        while self.blocks.len() > HELD {
            self.blocks.pop_first();
        }
    }

    /// The hash it shows at a height.
    pub(super) fn held(&self, number: u64) -> Option<Hash> {
        self.blocks.get(&number).map(|held| held.hash)
    }

    pub(super) fn has(&self, block: Block) -> bool {
        self.held(block.number) == Some(block.hash)
    }

    /// It shows another block at that height.
    pub(super) fn contradicts(&self, block: Block) -> bool {
        self.held(block.number).is_some_and(|hash| hash != block.hash)
    }

    /// It is known not to have the block: it is below, or shows another one there.
    pub(super) fn lacks(&self, block: Block) -> bool {
        self.head.is_none_or(|h| h.number < block.number) || self.contradicts(block)
    }

    pub(super) fn is_fresh(&self, now: Mono, config: &Config) -> bool {
        let gone = self.failures >= FAILURES_TO_LEAVE;
        let within = if gone { config.poll } else { config.fresh() };
        !self.hung && self.answered.is_some_and(|at| now.since(at) <= within)
    }

    pub(super) fn tags_mut(&mut self, tag: Tag) -> &mut Tagged {
        match tag {
            Tag::Safe => &mut self.safe,
            Tag::Finalized => &mut self.finalized,
        }
    }

    pub(super) fn tags(&self, tag: Tag) -> &Tagged {
        match tag {
            Tag::Safe => &self.safe,
            Tag::Finalized => &self.finalized,
        }
    }
}

/// The last blocks a tag has meant to an upstream, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Tagged(VecDeque<Block>);

impl Tagged {
    pub(super) fn note(&mut self, block: Block) {
        self.0.retain(|b| b.number < block.number);
        self.0.push_back(block);
        if self.0.len() > TAGS_HELD {
            self.0.pop_front();
        }
    }

    pub(super) fn has(&self, block: Block) -> bool {
        self.0.contains(&block)
    }

    pub(super) fn newest(&self) -> Option<Block> {
        self.0.back().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Block> {
        self.0.iter().copied()
    }
}
