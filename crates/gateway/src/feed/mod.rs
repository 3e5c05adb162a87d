//! The feed of a chain: what its subscribers are told.
//!
//! It follows the pool's agreed head, so that a subscriber is told of exactly the chain that reads see:
//! `follow` tells every block of it once, in order, whatever became of the upstreams meanwhile. What is
//! told goes into windows that all workers read. Nothing is done while nobody listens.

mod fetch;
mod follow;
mod metrics;
mod moves;
mod run;
mod subscribe;
mod window;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use bytes::Bytes;
use seawall_chain::{Hash, block::Header};
use tokio::sync::Notify;

pub(crate) use metrics::encode;
pub(crate) use moves::Moves;
pub(crate) use run::{Feeds, run};
pub(crate) use subscribe::{Line, Missed, Note, Spot, answer, is_ours};

use crate::{core::feed::Follower, heads::Heads};
use window::{At, Room, Stream};

/// Steps of the chain that are kept for readers who are behind.
const HEADS: Room = Room { items: 1_024, bytes: 16 << 20 };
/// Headers that polls have seen, kept until the feed needs them.
const SEEN: usize = 32;

/// What can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Blocks.
    Heads,
}

impl Topic {
    pub(crate) const ALL: [Self; 1] = [Self::Heads];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Heads => "newHeads",
        }
    }
}

/// One step of the chain.
pub(crate) enum HeadStep {
    /// A block has joined it; its header, as `newHeads` tells it.
    Added(Bytes),
    /// A block has left it.
    Dropped,
    /// Blocks were missed that cannot be made up for.
    Lost,
}

impl window::Sized for HeadStep {
    fn bytes(&self) -> usize {
        match self {
            Self::Added(header) => header.len(),
            Self::Dropped | Self::Lost => 0,
        }
    }
}

/// What a pool's subscribers are told, and how many there are. Outlives reloads.
pub(crate) struct Feed {
    pub(crate) heads: Stream<HeadStep>,
    /// Where the telling has come to; `None` until there is an agreed head.
    follower: Mutex<Option<Follower>>,
    /// Headers that polls have seen.
    seen: Mutex<Vec<Header>>,
    /// How many listen to each topic.
    listeners: [AtomicUsize; Topic::ALL.len()],
    /// Told when somebody begins to listen.
    wake: Notify,
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
            follower: Mutex::new(None),
            seen: Mutex::default(),
            listeners: Default::default(),
            wake: Notify::new(),
            secret,
            ids: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// Begins to listen: from the agreed head on, or from where the feed is if others listen already. Returns
    /// the place in the topic's window.
    pub(crate) fn listen(self: &Arc<Self>, topic: Topic, heads: &Heads) -> (Listening, u64) {
        let mut follower = self.follower();
        if self.listeners[topic as usize].fetch_add(1, AcqRel) == 0 {
            *follower = heads.latest().map(|latest| Follower::begin(latest, &heads.history));
            self.wake.notify_one();
        }
        let place = match topic {
            Topic::Heads => self.heads.now().end(),
        };
        (Listening { feed: self.clone(), topic }, place)
    }

    /// How many listen to a topic.
    pub(crate) fn listeners(&self, topic: Topic) -> usize {
        self.listeners[topic as usize].load(Acquire)
    }

    /// An id that cannot be guessed from others.
    fn id(&self) -> u128 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.secret.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ids.fetch_add(1, Relaxed).to_be_bytes());
        u128::from_be_bytes(Hash::of(bytes).0[..16].try_into().expect("a hash has 32 bytes"))
    }

    /// A poll has seen a header.
    pub(crate) fn saw(&self, header: impl FnOnce() -> Option<Header>) {
        if self.listeners(Topic::Heads) == 0 {
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

    fn follower(&self) -> MutexGuard<'_, Option<Follower>> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
