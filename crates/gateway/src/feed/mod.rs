//! The feed of a chain: what its subscribers and filters are told.
//!
//! It follows the pool's agreed head, so that a subscriber is told of exactly the chain that reads see:
//! `follow` tells every block of it once, in order, whatever became of the upstreams meanwhile, and `logs`
//! what happened in those blocks. What is told goes into windows that all workers read. Upstreams' own
//! sockets (`upstream`) only say when it is worth asking, and bring transactions that are pending. Nothing is done
//! while nobody listens.

mod answer;
mod fetch;
mod filters;
mod follow;
mod logs;
mod metrics;
mod moves;
mod pending;
mod run;
mod subscribe;
mod upstream;
mod window;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use bytes::Bytes;
use seawall_chain::{Block, Hash, block::Header};
use tokio::sync::{Notify, watch};

pub(crate) use answer::{answer, is_ours};
pub(crate) use metrics::encode;
pub(crate) use moves::{Moves, Relays};
pub(crate) use run::{Feeds, run};
pub(crate) use subscribe::{Line, Missed, Note, Spot};

use crate::{core::feed::Follower, heads::Heads};
use filters::Filters;
use logs::{LogStep, Logbook};
use pending::{Pending, PendingStep};
use window::{At, Room, Stream, Window};

/// Steps of the chain that are kept for readers who are behind.
const HEADS: Room = Room { items: 2_048, bytes: 16 << 20 };
/// Blocks' logs that are kept for readers who are behind.
const LOGS: Room = Room { items: 2_048, bytes: 32 << 20 };
/// Handfuls of pending transactions that are kept for readers who are behind.
const PENDING: Room = Room { items: 1_024, bytes: 8 << 20 };
/// Headers that polls have seen, kept until the feed needs them.
const SEEN: usize = 32;

/// What can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Blocks.
    Heads,
    /// Logs.
    Logs,
    /// Hashes of transactions that are pending.
    Pending,
    /// Transactions that are pending, whole.
    Whole,
}

impl Topic {
    pub(crate) const ALL: [Self; 4] = [Self::Heads, Self::Logs, Self::Pending, Self::Whole];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Heads => "newHeads",
            Self::Logs => "logs",
            Self::Pending => "newPendingTransactions",
            Self::Whole => "newPendingTransactions_full",
        }
    }

    /// Does it need the chain to be followed?
    fn follows(self) -> bool {
        matches!(self, Self::Heads | Self::Logs)
    }
}

/// One step of the chain.
pub(crate) enum HeadStep {
    /// A block has joined it; its header, as `newHeads` tells it.
    Added { block: Block, header: Bytes },
    /// A block has left it.
    Dropped(Block),
    /// Blocks were missed that cannot be made up for.
    Lost,
}

impl window::Sized for HeadStep {
    fn bytes(&self) -> usize {
        match self {
            Self::Added { header, .. } => header.len(),
            Self::Dropped(_) | Self::Lost => 0,
        }
    }
}

/// What a pool's subscribers are told, and how many there are. Outlives reloads.
pub(crate) struct Feed {
    pub(crate) heads: Stream<HeadStep>,
    logs: Stream<LogStep>,
    pending: Stream<PendingStep>,
    whole: Stream<PendingStep>,
    /// Where the telling has come to; `None` until there is an agreed head.
    follower: Mutex<Option<Follower>>,
    logbook: Mutex<Logbook>,
    new: Mutex<Pending>,
    /// Headers that polls have seen.
    seen: Mutex<Vec<Header>>,
    pub(crate) filters: Filters,
    /// How many listen to each topic.
    listeners: [AtomicUsize; Topic::ALL.len()],
    /// Told when somebody begins to listen.
    wake: Notify,
    /// Told when there are pending transactions to tell.
    ready: Notify,
    /// The block that an upstream has told of last.
    hinted: Mutex<Option<Hash>>,
    /// Secret and count from which ids are made.
    secret: u64,
    ids: AtomicU64,
    pub(crate) counts: Counts,
}

/// Counters that are only ever added to.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) notifications: [AtomicU64; Topic::ALL.len()],
    pub(crate) slow: AtomicU64,
    pub(crate) filled: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) hints: AtomicU64,
    pub(crate) overflowed: AtomicU64,
}

/// Somebody listens for as long as this lives.
pub(crate) struct Listening {
    feed: Arc<Feed>,
    topic: Topic,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.feed.listeners[self.topic as usize].fetch_sub(1, AcqRel);
    }
}

impl Feed {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            heads: Stream::new(HEADS),
            logs: Stream::new(LOGS),
            pending: Stream::new(PENDING),
            whole: Stream::new(PENDING),
            follower: Mutex::new(None),
            logbook: Mutex::default(),
            new: Mutex::default(),
            seen: Mutex::default(),
            filters: Filters::default(),
            listeners: Default::default(),
            wake: Notify::new(),
            ready: Notify::new(),
            hinted: Mutex::default(),
            secret,
            ids: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// Begins to listen: from the agreed head on, or from where the feed is if others listen already. Returns
    /// the place in the topic's window.
    pub(crate) fn listen(self: &Arc<Self>, topic: Topic, heads: &Heads) -> (Listening, u64) {
        // Held to the end, so that who listens begins before or after a step, never within it.
        let mut follower = self.follower();
        let nobody_follows = !self.is_followed();
        let first = self.listeners[topic as usize].fetch_add(1, AcqRel) == 0;
        if topic.follows() && nobody_follows {
            *follower = heads.latest().map(|latest| Follower::begin(latest, &heads.history));
        }
        if topic == Topic::Logs && first {
            self.logbook().begin(self.heads.now().end());
        }
        self.wake.notify_waiters();
        let place = match topic {
            Topic::Heads => self.heads.now().end(),
            Topic::Logs => self.logs.now().end(),
            Topic::Pending => self.pending.now().end(),
            Topic::Whole => self.whole.now().end(),
        };
        (Listening { feed: self.clone(), topic }, place)
    }

    /// Told whenever a topic's window moves.
    fn moves(&self, topic: Topic) -> watch::Receiver<u64> {
        match topic {
            Topic::Heads => self.heads.moves(),
            Topic::Logs => self.logs.moves(),
            Topic::Pending => self.pending.moves(),
            Topic::Whole => self.whole.moves(),
        }
    }

    /// How many listen to a topic.
    pub(crate) fn listeners(&self, topic: Topic) -> usize {
        self.listeners[topic as usize].load(Acquire)
    }

    /// Does anybody need the chain to be followed?
    fn is_followed(&self) -> bool {
        self.listeners(Topic::Heads) + self.listeners(Topic::Logs) > 0
    }

    /// Does anybody want pending transactions?
    fn wants_pending(&self) -> bool {
        self.listeners(Topic::Pending) + self.listeners(Topic::Whole) > 0
    }

    /// An id that cannot be guessed from others.
    fn id(&self) -> u128 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.secret.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ids.fetch_add(1, Relaxed).to_be_bytes());
        u128::from_be_bytes(Hash::of(bytes).0[..16].try_into().expect("a hash has 32 bytes"))
    }

    /// A header has been seen that the feed may need.
    pub(crate) fn saw(&self, header: impl FnOnce() -> Option<Header>) {
        if !self.is_followed() {
            return;
        }
        let Some(header) = header() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.iter().any(|s| s.seen.hash == header.seen.hash) {
            return;
        }
        if seen.len() == SEEN {
            seen.remove(0);
        }
        seen.push(header);
    }

    /// Has an upstream told of that block before, of its own accord?
    fn is_hinted(&self, hash: Hash) -> bool {
        self.hinted.lock().unwrap_or_else(PoisonError::into_inner).replace(hash) == Some(hash)
    }

    fn follower(&self) -> MutexGuard<'_, Option<Follower>> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logbook(&self) -> MutexGuard<'_, Logbook> {
        self.logbook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands at a reader's place, which moves on with it.
fn read<T: window::Sized>(window: &Window<T>, place: &mut u64) -> Result<Option<Arc<T>>, Missed> {
    match window.at(*place) {
        At::End => Ok(None),
        At::Gone => Err(Missed::Behind),
        At::Item(item) => {
            *place += 1;
            Ok(Some(item))
        }
    }
}
