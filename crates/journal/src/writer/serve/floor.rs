//! The parts of the store, at work or at rest.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use seawall_runtime::{disk::Disk, seam::NotRecorded};
use tokio::{sync::oneshot, time::Instant};

use super::{BATCH, Ended, InDoubt, Items, Slot, offload};
use crate::{
    frame::Frame,
    home::{DiskError, Home},
    journal::{Item, Untold},
    note::VerifierKey,
    request,
    store::{Lock, Store, wants_sync, whole_bundles},
    tree::{Sync, Tree},
    wal::Wal,
};

/// Bytes not yet woven that call for weaving whole bundles before the next checkpoint is due.
const WEAVE_AT: usize = 1 << 20;

/// Bytes not yet woven at which no more records are taken until some are.
const MOST_UNWOVEN: usize = 8 << 20;

type Reply = oneshot::Sender<Result<u64, NotRecorded>>;

/// Bytes that the disk's thread commits, batch by batch, before it hands the write-ahead log back.
const CHAIN: usize = 4 << 20;

/// How long it goes on doing so.
const CHAIN_TIME: Duration = Duration::from_millis(50);

/// The records of one group commit.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<Frame>,
    /// Of all frames but the gap record.
    replies: Vec<Reply>,
    /// What the gap record at its head tells of, if it has one.
    pub(super) gap: Option<Untold>,
}

impl Batch {
    /// One that is to tell of `gap`, once the gap record itself is put first.
    pub(super) fn after(gap: Option<Untold>) -> Self {
        Self { gap, ..Self::default() }
    }

    pub(super) fn take_in(&mut self, items: &mut Vec<Item>) {
        for Item { frame, reply } in items.drain(..) {
            self.frames.push(frame);
            self.replies.push(reply);
        }
    }

    /// What waits now, if anything does.
    fn next(waiting: &Items) -> Option<Self> {
        let mut batch = Self::default();
        // Whoever holds the lock is about to give it up, and sees to what waits.
        let mut waiting = waiting.try_lock().ok()?;
        while batch.frames.len() < BATCH
            && let Ok(Item { frame, reply }) = waiting.try_recv()
        {
            batch.frames.push(frame);
            batch.replies.push(reply);
        }
        (!batch.frames.is_empty()).then_some(batch)
    }

    /// Tells everybody their index, the first record's being `first`.
    fn acknowledge(&mut self, first: u64) {
        // The gap record, if there is one, has the first index.
        let first = first + u64::from(self.gap.is_some());
        for (index, reply) in (first..).zip(self.replies.drain(..)) {
            // Whoever dropped the receipt does not want to know.
            let _ = reply.send(Ok(index));
        }
    }
}

/// What the write-ahead log was asked to do, and how that went.
pub(super) struct Committed {
    pub(super) wal: Wal,
    /// What became durable.
    pub(super) frames: Vec<Frame>,
    pub(super) indexes: Range<u64>,
    /// What each sync took.
    pub(super) took: Vec<Duration>,
    pub(super) failed: Option<Failed>,
}

/// A batch that the disk refused.
pub(super) struct Failed {
    pub(super) replies: Vec<Reply>,
    pub(super) doubt: InDoubt,
    pub(super) error: DiskError,
}

/// What the tree was asked to do, and how that went.
pub(super) struct Woven {
    pub(super) tree: Tree,
    pub(super) result: Result<Outcome, DiskError>,
}

#[derive(Default)]
pub(super) struct Outcome {
    sync: Option<Sync>,
    requests: bool,
}

/// The store in parts, and the work under way. A part at work is away.
pub(super) struct Floor {
    home: Home,
    lock: Lock,
    witnesses: Vec<VerifierKey>,
    segment_bytes: u64,
    wal: Option<Wal>,
    tree: Option<Tree>,
    pub(super) committing: Slot<Committed>,
    pub(super) weaving: Slot<Woven>,
    pub(super) syncing: Slot<(Sync, Result<(), DiskError>)>,
    began: Option<Instant>,
    wal_bytes: u64,
    /// Durable, not yet woven.
    unwoven: VecDeque<Frame>,
    unwoven_bytes: usize,
    /// A new segment is wanted, so that the ones before can be forgotten.
    roll: bool,
    /// Records below this index are safe without the write-ahead log.
    forget: Option<u64>,
    /// A sync that has run: the tree can let go of what it made superfluous.
    ran: Option<Sync>,
    requests: bool,
    failure: Option<(Arc<str>, Option<InDoubt>)>,
}

impl Floor {
    pub(super) fn new(store: Store) -> Self {
        let Store { home, lock, wal, tree, unwoven, witnesses, segment_bytes } = store;
        Self {
            home,
            lock,
            witnesses,
            segment_bytes,
            wal_bytes: wal.bytes(),
            wal: Some(wal),
            tree: Some(tree),
            committing: None,
            weaving: None,
            syncing: None,
            began: None,
            unwoven_bytes: unwoven.iter().map(|frame| frame.bytes().len()).sum(),
            unwoven: unwoven.into(),
            roll: false,
            forget: None,
            ran: None,
            requests: false,
            failure: None,
        }
    }

    /// True if requests wait for the store and nothing is under way.
    pub(super) fn is_asked(&self) -> bool {
        let at_rest = self.wal.is_some() && self.tree.is_some() && self.syncing.is_none();
        let done = !self.has_upkeep() && self.ran.is_none() && self.failure.is_none();
        self.requests && at_rest && done
    }

    /// The store whole again; `None` if a part of it is away.
    pub(super) fn into_store(self) -> Option<Store> {
        let Self { home, lock, witnesses, segment_bytes, unwoven, .. } = self;
        let (wal, tree) = (self.wal?, self.tree?);
        Some(Store { home, lock, wal, tree, unwoven: unwoven.into(), witnesses, segment_bytes })
    }

    /// True if records can be handed to the write-ahead log now.
    pub(super) fn takes_records(&self) -> bool {
        self.wal.is_some() && self.failure.is_none() && !self.requests && self.unwoven_bytes < MOST_UNWOVEN
    }

    /// True if the write-ahead log has something to let go of.
    pub(super) fn has_upkeep(&self) -> bool {
        self.roll || self.forget.is_some()
    }

    pub(super) fn has_much_to_weave(&self) -> bool {
        self.unwoven_bytes >= WEAVE_AT
    }

    /// Since when the commit under way has been.
    pub(super) fn committing_since(&self) -> Option<Instant> {
        self.began
    }

    /// How serving ended, once nothing is under way. `drained`: no more records will come.
    pub(super) fn ended(&mut self, drained: bool) -> Option<Ended> {
        if self.committing.is_some() || self.weaving.is_some() {
            return None;
        }
        if self.failure.is_some() && self.syncing.is_none() {
            return self.failure.take().map(|(error, doubt)| Ended::Failed(error, doubt));
        }
        let all_woven = self.unwoven.is_empty() && self.tree.as_ref().is_some_and(Tree::is_published);
        (drained && all_woven && self.failure.is_none()).then_some(Ended::Closed)
    }

    /// Hands `batch` to the write-ahead log, which must be at rest, and after it what is waiting by then: while
    /// the disk is the bottleneck it never waits for us.
    pub(super) fn commit(&mut self, disk: &Arc<dyn Disk>, batch: Batch, waiting: Items) {
        let Some(wal) = self.wal.take() else { return };
        let (roll, forget) = (std::mem::take(&mut self.roll), self.forget.take());
        self.began = Some(Instant::now());
        let work = move || commit(wal, roll, forget, batch, &waiting);
        self.committing = Some(Box::pin(offload(disk.clone(), work)));
    }

    pub(super) fn committed(&mut self, wal: Wal, frames: Vec<Frame>) {
        self.began = None;
        self.wal_bytes = wal.bytes();
        self.wal = Some(wal);
        self.unwoven_bytes += frames.iter().map(|frame| frame.bytes().len()).sum::<usize>();
        self.unwoven.extend(frames);
    }

    /// Has the tree, if it is at rest, weave what there is: all of it and a checkpoint over it if
    /// `publish` says so, else whole bundles only.
    pub(super) fn weave(&mut self, disk: &Arc<dyn Disk>, publish: bool) {
        if self.failure.is_some() {
            return;
        }
        let all = self.unwoven.len();
        let size = self.tree.as_ref().map(Tree::size);
        let count = if publish { all } else { size.map_or(0, |size| whole_bundles(size, all)) };
        if count == 0 && !publish {
            // Few records can be many bytes: without a whole bundle they wait for the next checkpoint.
            return;
        }
        let Some(mut tree) = self.tree.take() else { return };
        let frames: Vec<Frame> = self.unwoven.drain(..count).collect();
        self.unwoven_bytes -= frames.iter().map(|frame| frame.bytes().len()).sum::<usize>();
        let ran = self.ran.take();
        let may_sync = publish && self.syncing.is_none() && !self.has_upkeep() && !self.requests;
        let (home, wal_bytes, segment_bytes) = (self.home.clone(), self.wal_bytes, self.segment_bytes);
        self.weaving = Some(Box::pin(offload(disk.clone(), move || {
            let result = weave(&mut tree, ran, &frames, publish).and_then(|()| {
                let sync = may_sync && wants_sync(wal_bytes, &tree, segment_bytes);
                let requests = publish && request::are_pending(&home)?;
                Ok(Outcome { sync: sync.then(|| tree.begin_sync()), requests })
            });
            Woven { tree, result }
        })));
    }

    pub(super) fn woven(&mut self, disk: &Arc<dyn Disk>, tree: Tree, outcome: Outcome) {
        self.tree = Some(tree);
        self.requests |= outcome.requests;
        if let Some(sync) = outcome.sync {
            self.roll = true;
            self.syncing = Some(Box::pin(offload(disk.clone(), move || {
                let result = sync.run();
                (sync, result)
            })));
        }
    }

    pub(super) fn synced(&mut self, sync: Sync, result: Result<(), DiskError>) {
        match result {
            Ok(()) => {
                self.forget = Some(sync.size());
                self.ran = Some(sync);
            }
            Err(error) => self.failed(error.to_string().into(), None),
        }
    }

    /// The disk failed: nothing new is begun. The first failure counts; a batch in doubt always does.
    pub(super) fn failed(&mut self, error: Arc<str>, doubt: Option<InDoubt>) {
        self.began = None;
        match &mut self.failure {
            Some((_, known)) => *known = known.or(doubt),
            None => self.failure = Some((error, doubt)),
        }
    }
}

fn commit(wal: Wal, roll: bool, forget: Option<u64>, mut batch: Batch, waiting: &Items) -> Committed {
    let next = wal.next();
    let (took, frames) = (Vec::new(), Vec::new());
    let mut done = Committed { wal, frames, indexes: next..next, took, failed: None };
    let mut upkeep = keep_up(&mut done.wal, roll, forget);
    let (start, mut bytes) = (Instant::now(), 0);
    loop {
        let began = Instant::now();
        let doubt = InDoubt { first: done.wal.next(), records: batch.frames.len() as u64, gap: batch.gap };
        let appended = std::mem::replace(&mut upkeep, Ok(())).and_then(|()| done.wal.append(&batch.frames));
        match appended {
            Ok(indexes) => {
                batch.acknowledge(indexes.start);
                done.indexes.end = indexes.end;
                done.took.push(began.elapsed());
            }
            Err(error) => {
                done.failed = Some(Failed { replies: batch.replies, doubt, error });
                return done;
            }
        }
        bytes += batch.frames.iter().map(|frame| frame.bytes().len()).sum::<usize>();
        done.frames.append(&mut batch.frames);
        if bytes >= CHAIN || start.elapsed() >= CHAIN_TIME {
            return done;
        }
        match Batch::next(waiting) {
            Some(next) => batch = next,
            None => return done,
        }
    }
}

fn keep_up(wal: &mut Wal, roll: bool, forget: Option<u64>) -> Result<(), DiskError> {
    if roll {
        wal.roll()?;
    }
    match forget {
        Some(index) => wal.forget_before(index),
        None => Ok(()),
    }
}

fn weave(tree: &mut Tree, ran: Option<Sync>, frames: &[Frame], publish: bool) -> Result<(), DiskError> {
    if let Some(sync) = ran {
        tree.synced(&sync)?;
    }
    tree.weave(frames, publish)?;
    if publish { tree.publish() } else { Ok(()) }
}
