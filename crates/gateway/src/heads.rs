//! What is known of a pool's heads, as the data path sees it: one snapshot, swapped whole.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use seawall_chain::{
    Block, Hash,
    heads::{Config, Standing, Tracker},
    pin,
};
use seawall_model::{Cause, Mono};

use crate::{
    core::{cache::View, choose::Set, left::left, seal::Seal},
    estate::{PoolKind, PoolSection},
    pool::{Pool, Upstream},
};

/// A snapshot of a pool's heads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads {
    tags: Option<pin::Heads>,
    /// Names the tags and the agreed chain, in this process and this pool: where it is the same, a call comes to the same
    /// words and the same kept answer. Zero where nothing is agreed on.
    pub(crate) chain: u64,
    /// The agreed chain, as far back as it is remembered.
    pub(crate) history: Arc<BTreeMap<u64, Hash>>,
    /// Upstreams whose chain their peers support.
    pub(crate) serving: Set,
    /// Those whose chain was not supported again and again until a short while ago: a last resort.
    pub(crate) probation: Set,
    /// Upstreams of which nothing fresh is known.
    pub(crate) unknown: Set,
    /// What is wrong with the others, and since when.
    faults: Vec<Option<(Cause, Mono)>>,
    /// Each upstream's own head, and when it last moved.
    pub(crate) own: Vec<Option<(u64, Mono)>>,
    /// When the agreed head last moved.
    pub(crate) moved: Mono,
    /// The chain as a whole stands still.
    pub(crate) halted: bool,
    /// Every upstream has been asked at least once.
    pub(crate) polled: bool,
    /// What of the agreed chain has been final, and whether that still holds.
    pub(crate) seal: Seal,
    /// Blocks that were agreed on and have left the chain.
    pub(crate) left: Arc<[Block]>,
}

impl Heads {
    /// Before anything is known.
    pub(crate) fn unknown(upstreams: usize) -> Self {
        let mut unknown = Set::NONE;
        (0..upstreams).for_each(|i| unknown.insert(i));
        Self { unknown, faults: vec![None; upstreams], own: vec![None; upstreams], ..Self::default() }
    }

    /// Of upstreams that have no heads: everybody may serve.
    pub(crate) fn none(upstreams: usize) -> Self {
        let all = Self::unknown(upstreams);
        Self { serving: all.unknown, unknown: Set::NONE, polled: true, ..all }
    }

    /// The snapshot after `before`, going by what is agreed now.
    pub(crate) fn next(before: &Self, tracker: &Tracker, now: Mono, polled: bool) -> Self {
        let agreed = tracker.agreed();
        let history = match before.latest() == agreed.latest {
            true => before.history.clone(),
            false => Arc::new(tracker.history().clone()),
        };
        let mut heads = Self {
            tags: agreed.heads(),
            history,
            faults: vec![None; agreed.upstreams.len()],
            own: agreed.upstreams.iter().map(|u| Some((u.head?.number, u.moved))).collect(),
            moved: agreed.since,
            halted: agreed.halted,
            polled: before.polled || polled,
            seal: before.seal.next(&before.history, tracker.history(), agreed.finalized),
            left: left(&before.left, &before.history, tracker.history()),
            ..Self::default()
        };
        let same = heads.tags == before.tags
            && Arc::ptr_eq(&heads.history, &before.history)
            && heads.seal.era == before.seal.era;
        heads.chain = if same { before.chain } else { heads.name() };
        for (i, upstream) in agreed.upstreams.iter().enumerate() {
            match &upstream.standing {
                Standing::Serving => heads.serving.insert(i),
                Standing::Unknown => heads.unknown.insert(i),
                Standing::Fault(cause) | Standing::Probation(cause) => {
                    if matches!(upstream.standing, Standing::Probation(_)) {
                        heads.probation.insert(i);
                    }
                    let since = before.fault(i).filter(|(c, _)| c == cause).map_or(now, |(_, since)| since);
                    heads.faults[i] = Some((*cause, since));
                }
            }
        }
        heads
    }

    /// A name that no chain has had.
    fn name(&self) -> u64 {
        static NAMED: AtomicU64 = AtomicU64::new(0);
        if self.tags.is_none() { 0 } else { NAMED.fetch_add(1, Relaxed) + 1 }
    }

    /// The agreed head.
    pub(crate) fn latest(&self) -> Option<Block> {
        self.tags.map(|t| t.latest)
    }

    /// The agreed block at a height, as far as it is remembered.
    pub(crate) fn agreed(&self, number: u64) -> Option<Block> {
        self.history.get(&number).map(|hash| Block { number, hash: *hash })
    }

    /// The agreed chain, for what is kept.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            history: &self.history,
            finalized: self.tags.and_then(|tags| tags.finalized).map(|b| b.number),
            era: self.seal.era,
        }
    }

    /// The blocks that tags mean now.
    pub(crate) fn tags(&self) -> Option<pin::Heads> {
        self.tags
    }

    /// What is wrong with an upstream's chain, and since when.
    pub(crate) fn fault(&self, i: usize) -> Option<(Cause, Mono)> {
        self.faults.get(i).copied().flatten()
    }
}

/// The tracker that a pool's polls feed and the snapshot to begin with. Of a pool that was there before,
/// what is known of the upstreams that stay is carried over.
pub(crate) fn begin(
    section: &PoolSection,
    upstreams: &[Upstream],
    before: Option<&Pool>,
    now: Mono,
) -> (Tracker, Heads) {
    let providers: Vec<usize> = upstreams.iter().map(|u| u.provider).collect();
    let config = match &section.kind {
        PoolKind::Evm(chain) => chain.heads(),
        PoolKind::Http(_) | PoolKind::Grpc(_) => {
            let second = std::time::Duration::from_secs(1);
            let config = Config { block_time: second, poll: second, lag: 0, irregular: false };
            let tracker = Tracker::new(config, &providers, now);
            return (tracker, Heads::none(upstreams.len()));
        }
    };
    let Some(before) = before else {
        return (Tracker::new(config, &providers, now), Heads::unknown(upstreams.len()));
    };
    let was: Vec<_> = upstreams
        .iter()
        .map(|u| before.upstreams.iter().position(|old| old.state.id == u.state.id))
        .collect();
    let tracker = before.state.tracker().succeed(config, &providers, &was, now);
    let mut heads = Heads::next(&before.state.heads.load(), &tracker, now, false);
    // The pool may word its calls otherwise now.
    heads.chain = heads.name();
    (tracker, heads)
}
