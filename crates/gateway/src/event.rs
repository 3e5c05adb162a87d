//! What the gateway has to tell the rest of the house.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use seawall_chain::method::Class;
use seawall_model::{Cause, ComponentId, Mono};
use tokio::sync::mpsc;

use crate::core::breaker::State;

/// Most events that wait to be taken; beyond it they are counted as lost. The data path never waits.
const QUEUE: usize = 4_096;

/// Something that happened and belongs in the journal.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A breaker changed.
    Breaker {
        /// When.
        at: Mono,
        /// Whose.
        upstream: ComponentId,
        /// For which class; `None` if for all at once.
        class: Option<Class>,
        /// Into what.
        state: State,
    },
    /// What is believed of an upstream's chain changed.
    Head {
        /// When.
        at: Mono,
        /// Whose.
        upstream: ComponentId,
        /// What is wrong with it; `None` if it is sound again.
        fault: Option<Cause>,
        /// Its head.
        number: Option<u64>,
        /// The agreed head then.
        agreed: Option<u64>,
    },
    /// A pool's chain stands still, or moves again.
    Halted {
        /// When.
        at: Mono,
        /// Which pool.
        pool: ComponentId,
        /// True if it stands still.
        halted: bool,
        /// The agreed head then.
        agreed: Option<u64>,
    },
    /// An upstream takes no new connections, though those made before still serve; or takes them again.
    Stranded {
        /// When.
        at: Mono,
        /// Whose.
        upstream: ComponentId,
        /// True if it takes none.
        stranded: bool,
    },
    /// An attempt failed through its upstream's fault: the first of its cause in a while.
    Fault {
        /// When.
        at: Mono,
        /// Whose.
        upstream: ComponentId,
        /// Why.
        cause: Cause,
    },
}

/// Where events go in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    to: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

impl Events {
    /// A bounded queue of events and its other end.
    pub fn queue() -> (Self, mpsc::Receiver<Event>) {
        let (to, from) = mpsc::channel(QUEUE);
        (Self { to, lost: Arc::default() }, from)
    }

    /// Hands an event in, or counts it as lost.
    pub(crate) fn send(&self, event: Event) {
        if self.to.try_send(event).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Events lost because nobody took them in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}
