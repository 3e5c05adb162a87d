//! The journal as the rest of the house sees it: hand in a record, and never wait for the disk.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::{
    clock::Clock,
    disk::Disk,
    seam::{NotRecorded, Receipt, Recorder},
};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    checkpoint::SignedCheckpoint,
    entropy::Entropy,
    estate::JournalSection,
    frame::Frame,
    metrics::JournalMetrics,
    note::InvalidKey,
    store::{OpenError, StoreOptions},
    writer::{Desk, Opener, Writer},
};

/// How a journal is opened.
#[derive(Debug)]
pub struct OpenOptions {
    /// The journal's section of the estate.
    pub section: JournalSection,
    /// The name a new log's origin begins with: a schema-less URL without spaces or `+`.
    pub name: String,
    /// The newest checkpoint that is remembered elsewhere, as [`JournalStatus::checkpoint_note`] gave it.
    pub remembered: Option<SignedCheckpoint>,
    /// Readings of the time.
    pub clock: Clock,
    /// Salts and keys.
    pub entropy: Entropy,
    /// Counters and gauges.
    pub metrics: JournalMetrics,
}

/// Whether records reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// They do.
    Running,
    /// The disk has not answered for [`STALL`]; records wait, and are lost once the queue is full.
    Stalled,
    /// The disk refuses; records are lost until it takes them again.
    Degraded,
    /// The journal has been closed.
    Stopped,
}

/// What is known of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalStatus {
    /// The log's name; unknown until it could be opened.
    pub origin: Option<Arc<str>>,
    /// Whether records reach the disk.
    pub state: JournalState,
    /// Since when.
    pub since: Wall,
    /// How many records are durable.
    pub size: u64,
    /// How many records the newest checkpoint covers.
    pub checkpoint: u64,
    /// The newest checkpoint as a signed note.
    pub checkpoint_note: Option<Arc<str>>,
    /// Records lost since the process started.
    pub lost: u64,
    /// What the disk last said when it refused.
    pub last_error: Option<Arc<str>>,
}

/// A disk that has not answered for this long is stalled.
pub const STALL: Duration = Duration::from_secs(2);

/// A handle on the journal. Clones are the same journal.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Item>,
    entropy: Mutex<Entropy>,
    losses: Arc<Mutex<Losses>>,
    status: watch::Receiver<JournalStatus>,
    closing: watch::Sender<bool>,
    clock: Clock,
    metrics: JournalMetrics,
}

/// A record on its way to the writer.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) frame: Frame,
    pub(crate) reply: oneshot::Sender<Result<u64, NotRecorded>>,
}

/// Records lost that no `gap` record tells of yet, and how many there were in all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses {
    pub(crate) total: u64,
    pub(crate) untold: Option<Untold>,
}

/// Lost records, as the payload of a `gap` record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Untold {
    /// How many.
    pub(crate) lost: u64,
    /// When the first was.
    pub(crate) from: Wall,
    /// When the last was.
    pub(crate) to: Wall,
}

impl Losses {
    pub(crate) fn add(&mut self, lost: u64, at: Wall) {
        self.total += lost;
        self.tell_again(Untold { lost, from: at, to: at });
    }

    /// Takes back what a `gap` record was to tell, which did not become durable.
    pub(crate) fn tell_again(&mut self, more: Untold) {
        self.untold = match self.untold {
            _ if more.lost == 0 => return,
            None => Some(more),
            Some(had) => Some(Untold {
                lost: had.lost + more.lost,
                from: had.from.min(more.from),
                to: had.to.max(more.to),
            }),
        };
    }
}

/// Kinds that the journal writes itself and takes from nobody.
fn is_its_own(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::KeyRotation | RecordKind::Gap | RecordKind::Restored | RecordKind::Erasure)
}

impl Journal {
    /// Opens the journal, making a log if there is none: blocks while what a crash left is taken in.
    /// Returns the handle, and the writer whose [`Writer::run`] does the work.
    ///
    /// A disk that refuses is not an error: the journal begins degraded and tries again.
    ///
    /// # Errors
    /// If another process has the log open, or the log must not be gone on with: see [`OpenError`].
    pub fn open(disk: Arc<dyn Disk>, options: OpenOptions) -> Result<(Self, Writer), OpenError> {
        let OpenOptions { section, name, remembered, clock, mut entropy, metrics } = options;
        let witnesses = section.witnesses.iter().map(|key| key.parse()).collect::<Result<_, InvalidKey>>()?;
        let JournalSection { dir, checkpoint_every, segment_bytes, queue, .. } = section;
        let store = StoreOptions { dir, name, segment_bytes, witnesses, remembered };
        let mut opener = Opener { disk, options: store, entropy: entropy.fork() };
        let opened = match opener.open() {
            Err(error) if !matches!(error, OpenError::Disk(_)) => return Err(error),
            opened => opened,
        };
        let (queue, items) = mpsc::channel(queue);
        let (status, watched) = watch::channel(JournalStatus {
            origin: None,
            state: JournalState::Running,
            since: clock.wall(),
            size: 0,
            checkpoint: 0,
            checkpoint_note: None,
            lost: 0,
            last_error: None,
        });
        let (closing, closed) = watch::channel(false);
        let losses = Arc::new(Mutex::new(Losses::default()));
        let writer = Writer {
            opener,
            opened: Some(opened),
            items: Arc::new(tokio::sync::Mutex::new(items)),
            closing: closed,
            checkpoint_every,

            entropy: entropy.fork(),
            desk: Desk { clock, status, losses: losses.clone(), metrics: metrics.clone() },
        };
        let entropy = Mutex::new(entropy);
        let shared = Shared { queue, entropy, losses, status: watched, closing, clock, metrics };
        Ok((Self { shared: Arc::new(shared) }, writer))
    }

    /// What is known of the journal now.
    pub fn status(&self) -> JournalStatus {
        self.shared.status.borrow().clone()
    }

    /// A receiver that sees every change of the status.
    pub fn watch(&self) -> watch::Receiver<JournalStatus> {
        self.shared.status.clone()
    }

    /// Takes no more records, makes those handed in durable, signs a checkpoint over them, and returns
    /// once that is done or the disk has refused it.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        // An error means that the writer is gone, which is as closed as can be.
        let _ = self.shared.status.clone().wait_for(|status| status.state == JournalState::Stopped).await;
    }

    fn lost(&self) {
        let at = self.shared.clock.wall();
        self.shared.losses.lock().unwrap_or_else(PoisonError::into_inner).add(1, at);
        self.shared.metrics.lost.inc();
    }
}

impl Recorder for Journal {
    fn record(&self, record: Record) -> Receipt {
        let refused = |error| -> Receipt { Box::pin(std::future::ready(Err(error))) };
        if is_its_own(record.kind) {
            return refused(NotRecorded::Refused("only the journal itself writes records of this kind"));
        }
        let place = match self.shared.queue.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Full(())) => {
                self.lost();
                return refused(NotRecorded::Full);
            }
            Err(mpsc::error::TrySendError::Closed(())) => return refused(NotRecorded::Stopped),
        };
        let salt = self.shared.entropy.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        let Ok(frame) = Frame::encode(&record, salt) else {
            self.lost();
            return refused(NotRecorded::Refused("the payload is larger than a record may be"));
        };
        let (reply, receipt) = oneshot::channel();
        place.send(Item { frame, reply });
        Box::pin(async move { receipt.await.unwrap_or(Err(NotRecorded::Stopped)) })
    }
}
