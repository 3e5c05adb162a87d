//! Answers that may be given again.
//!
//! Every answer in it is bound to a block ([`seawall_chain::keep`]), and is given only to a call whose own view of
//! the agreed chain holds that block: after a reorganisation nothing has to be found and dropped. Once its block
//! is final, an answer outlives the chain's memory, until agreement is taken back below what was final
//! ([`View::era`]).
//!
//! Once it is full, an answer is kept only if the same was asked before, so that what is asked once, which is most,
//! neither displaces what is asked often nor costs the memory's time (the doorkeeper of TinyLFU, Einziger et al.,
//! 2017, <https://doi.org/10.1145/3149371>).
//!
//! Nobody waits: where another thread is at the same shard just then, a look-up misses and an answer is not kept.

mod door;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use door::Door;
use foldhash::{SharedSeed, fast::SeedableRandomState};
use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync};
use seawall_chain::{Block, Hash};

/// Bytes that an entry takes beside its key and its answer: the table's slots, the headers, the counters.
const OVERHEAD: u64 = 192;
/// What one shard should hold at least.
const SHARD: u64 = 4 << 20;
/// Most shards: more than threads ever meet in.
const MAX_SHARDS: u64 = 64;
/// An entry may take this share of its shard.
const LARGEST: u64 = 8;
/// What an entry is reckoned to take, for tables that are made beforehand.
const USUAL: u64 = 1 << 10;

/// The agreed chain, as the call sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The hash of a block by its height, as far back as it is remembered.
    pub history: &'a BTreeMap<u64, Hash>,
    /// Height of the agreed finalized block.
    pub finalized: Option<u64>,
    /// How often agreement has been taken back below a finalized block. From 1.
    pub era: u64,
}

/// An answer and what it is bound to.
#[derive(Debug)]
pub struct Kept {
    /// The result, as written.
    pub result: Box<str>,
    block: Block,
    /// The era in which its block was seen to be final; 0 if it was not yet.
    final_in: AtomicU64,
    /// The turn in which it was asked for.
    turn: u64,
}

/// What a cache has seen.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls answered from it.
    pub hits: AtomicU64,
    /// Calls that might have been.
    pub misses: AtomicU64,
    /// Entries that made room for others.
    pub evictions: AtomicU64,
}

/// What a look-up found.
#[derive(Debug)]
pub enum Found {
    /// The answer.
    Hit(Arc<Kept>),
    /// Nothing. An answer that is asked for now is of this turn.
    Miss(Turn),
    /// Nothing, nor is there room for an answer that is asked for the first time.
    New,
}

/// When an answer was asked for, between the times when [`Cache::forget`] was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn(u64);

/// Answers of one pool.
#[derive(Debug)]
pub struct Cache {
    entries: sync::Cache<Box<[u8]>, Arc<Kept>, Weight, SeedableRandomState, Evictions>,
    largest: u64,
    door: Door,
    turn: AtomicU64,
    counts: Arc<Counts>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<Kept>> for Weight {
    fn weight(&self, key: &Box<[u8]>, kept: &Arc<Kept>) -> u64 {
        weight(key, kept.result.as_bytes())
    }
}

fn weight(key: &[u8], result: &[u8]) -> u64 {
    OVERHEAD + key.len() as u64 + result.len() as u64
}

#[derive(Debug, Clone)]
struct Evictions(Arc<Counts>);

impl Lifecycle<Box<[u8]>, Arc<Kept>> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _key: Box<[u8]>, _kept: Arc<Kept>) {
        self.0.evictions.fetch_add(1, Relaxed);
    }
}

impl Cache {
    /// A cache of at most `size` bytes. The seed keeps clients from choosing keys that collide.
    pub fn new(size: u64, seed: u64) -> Self {
        let shards = (size / SHARD).clamp(1, MAX_SHARDS);
        let items = usize::try_from(size / USUAL).unwrap_or(usize::MAX).max(1);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .weight_capacity(size)
            .estimated_items_capacity(items)
            .build()
            .expect("both capacities are set");
        let counts = Arc::<Counts>::default();
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        let door = Door::new(items, hasher.clone());
        let entries = sync::Cache::with_options(options, Weight, hasher, Evictions(counts.clone()));
        let largest = entries.shard_capacity() / LARGEST;
        Self { entries, largest, door, turn: AtomicU64::new(0), counts }
    }

    /// The answer to `call`, if it is one on the chain that `view` shows.
    pub fn find(&self, call: &[u8], view: &View<'_>) -> Found {
        let turn = self.turn.load(Relaxed);
        let found = self.entries.try_get(call).ok().flatten();
        match found.filter(|kept| kept.turn == turn && kept.holds(view)) {
            Some(kept) => {
                self.counts.hits.fetch_add(1, Relaxed);
                Found::Hit(kept)
            }
            None => {
                self.counts.misses.fetch_add(1, Relaxed);
                let full = self.counts.evictions.load(Relaxed) > 0;
                if full && !self.door.knows(call) { Found::New } else { Found::Miss(Turn(turn)) }
            }
        }
    }

    /// An answer that was found before, on this very chain, is given again; false if it may not be.
    pub fn recall(&self, kept: &Kept) -> bool {
        let may = kept.turn == self.turn.load(Relaxed);
        if may {
            self.counts.hits.fetch_add(1, Relaxed);
        }
        may
    }

    /// Keeps the answer to `call`, bound to `block`, if there may be room for it.
    pub fn keep(&self, call: &[u8], result: &str, block: Block, turn: Turn, view: &View<'_>) {
        if weight(call, result.as_bytes()) > self.largest {
            return;
        }
        let kept = Kept {
            // A copy: the bytes may be a small part of what was read.
            result: result.into(),
            block,
            final_in: AtomicU64::new(0),
            turn: turn.0,
        };
        if kept.holds(view) {
            let _ = self.entries.try_insert(call.into(), Arc::new(kept));
        }
    }

    /// Makes everything asked for until now count for nothing: what blocks stand for may have changed.
    pub fn forget(&self) {
        self.turn.fetch_add(1, Relaxed);
    }

    /// What it has seen.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// Bytes that it may hold.
    pub fn capacity(&self) -> u64 {
        self.entries.capacity()
    }
}

impl Kept {
    /// An answer of no block's, for tests.
    #[cfg(test)]
    pub(super) fn of(result: &str) -> Self {
        let block = Block { number: 0, hash: Hash([0; 32]) };
        Self { result: result.into(), block, final_in: AtomicU64::new(0), turn: 0 }
    }

    /// Is its block on the chain that `view` shows?
    fn holds(&self, view: &View<'_>) -> bool {
        let Block { number, hash } = self.block;
        match view.history.get(&number) {
            Some(agreed) if *agreed == hash => {
                if view.finalized.is_some_and(|f| number <= f) && self.final_in.load(Relaxed) != view.era {
                    self.final_in.store(view.era, Relaxed);
                }
                true
            }
            Some(_) => false,
            None => {
                let older = view.history.first_key_value().is_some_and(|(oldest, _)| number < *oldest);
                older && self.final_in.load(Relaxed) == view.era
            }
        }
    }
}

#[cfg(test)]
mod tests;
