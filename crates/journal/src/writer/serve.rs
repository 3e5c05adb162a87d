//! Writing while the disk works: one slot each for the write-ahead log, the tree and a sync.

use std::{future::pending, ops::Range, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use seawall_model::{Record, RecordKind};
use seawall_runtime::seam::NotRecorded;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Desk, Ended, InDoubt, Items, Writer, offload};
use crate::{
    checkpoint::SignedCheckpoint,
    frame::Frame,
    journal::{Item, JournalState, STALL, Untold},
    request,
    store::{Store, encode},
};

mod floor;

use floor::{Batch, Committed, Failed, Floor, Woven};

/// Most records of one group commit.
const BATCH: usize = 4096;

type Slot<T> = Option<BoxFuture<'static, T>>;

/// Resolves when the work in the slot is done, and empties it; never while it is empty.
async fn finished<T>(slot: &mut Slot<T>) -> T {
    match slot {
        Some(work) => {
            let done = work.await;
            *slot = None;
            done
        }
        None => pending().await,
    }
}

/// Receives what waits, or what comes next; nothing once no more will come. Dropped, it loses nothing.
async fn receive(waiting: &Items, items: &mut Vec<Item>) -> usize {
    waiting.lock().await.recv_many(items, BATCH).await
}

/// Resolves once the journal is to be closed, or its last handle is gone.
pub(super) async fn asked_to_close(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Writer {
    /// Writes with `store` until the journal is closed or the disk fails.
    pub(super) async fn serve(&mut self, store: Store) -> Ended {
        self.desk.opened(&store);
        let disk = self.opener.disk.clone();
        let mut floor = Floor::new(store);
        let mut items: Vec<Item> = Vec::new();
        let mut due = Instant::now() + self.checkpoint_every;
        let (mut closing, mut drained) = (false, false);
        loop {
            if let Some(ended) = floor.ended(drained) {
                return ended;
            }
            if floor.is_asked() {
                let store = floor.into_store().expect("every part is at rest");
                floor = match self.answer(store).await {
                    Ok(store) => Floor::new(store),
                    Err(error) => return Ended::Failed(error, None),
                };
            }
            let last = drained && floor.committing.is_none();
            if last || floor.has_much_to_weave() {
                floor.weave(&disk, last);
            }
            let takes = floor.takes_records() && !drained;
            let stall = floor.committing_since().map(|since| since + STALL);
            // Dropping an arm loses nothing: slots keep their work, and `recv_many` takes all or none.
            tokio::select! {
                biased;
                done = finished(&mut floor.committing) => {
                    self.committed(&mut floor, done);
                }
                done = finished(&mut floor.weaving) => self.woven(&mut floor, done),
                (sync, result) = finished(&mut floor.syncing) => floor.synced(sync, result),
                taken = receive(&self.items, &mut items), if takes => {
                    drained = taken == 0;
                    if !drained {
                        self.commit(&mut floor, &mut items);
                    }
                }
                () = sleep_until(due) => {
                    due = Instant::now() + self.checkpoint_every;
                    floor.weave(&disk, true);
                    let untold = self.desk.losses().untold.is_some();
                    if floor.takes_records() && (untold || floor.has_upkeep()) {
                        self.commit(&mut floor, &mut items);
                    }
                    self.desk.set_lost();
                }
                () = sleep_until(stall.unwrap_or(due)), if stall.is_some() && !self.desk.is_stalled() => {
                    self.desk.stalled();
                }
                () = asked_to_close(&mut self.closing), if !closing => {
                    closing = true;
                    self.items.lock().await.close();
                }
            }
        }
    }

    /// Begins a group commit of `items`, with a `gap` record before them if there is one to write.
    fn commit(&mut self, floor: &mut Floor, items: &mut Vec<Item>) {
        let gap = self.desk.losses().untold.take();
        let mut batch = Batch::after(gap);
        batch.frames.extend(gap.map(|untold| self.gap_frame(&untold)));
        batch.take_in(items);
        floor.commit(&self.opener.disk, batch, self.items.clone());
    }

    fn gap_frame(&mut self, untold: &Untold) -> Frame {
        let (kind, at, payload) = (RecordKind::Gap, self.desk.clock.wall(), serde_json::json!(untold));
        let record = Record { kind, component: None, at, payload };
        encode(&record, &mut self.entropy).expect("a gap's payload is small")
    }

    fn committed(&self, floor: &mut Floor, done: Committed) {
        let Committed { wal, frames, indexes, took, failed } = done;
        self.desk.committed(&indexes, &took);
        floor.committed(wal, frames);
        if let Some(Failed { replies, doubt, error }) = failed {
            let error: Arc<str> = error.to_string().into();
            for reply in replies {
                let _ = reply.send(Err(NotRecorded::Disk(error.clone())));
            }
            floor.failed(error, Some(doubt));
        } else {
            self.desk.set_state(JournalState::Running);
        }
    }

    fn woven(&self, floor: &mut Floor, done: Woven) {
        match done.result {
            Ok(outcome) => {
                self.desk.published(done.tree.checkpoint());
                floor.woven(&self.opener.disk, done.tree, outcome);
            }
            Err(error) => floor.failed(error.to_string().into(), None),
        }
    }

    /// Does what was asked through files in the journal's directory, with the whole store at rest.
    async fn answer(&mut self, mut store: Store) -> Result<Store, Arc<str>> {
        let (at, mut entropy) = (self.desk.clock.wall(), self.entropy.fork());
        let (store, result) = offload(self.opener.disk.clone(), move || {
            let result = request::answer(&mut store, at, &mut entropy);
            (store, result)
        })
        .await;
        result.map_err(|error| Arc::from(error.to_string()))?;
        self.desk.opened(&store);
        Ok(store)
    }
}

impl Desk {
    fn is_stalled(&self) -> bool {
        self.status.borrow().state == JournalState::Stalled
    }

    fn stalled(&self) {
        tracing::error!(
            code = "SW0408",
            "the disk under the journal does not answer; records wait, and are lost once the queue is full"
        );
        self.set_state(JournalState::Stalled);
    }

    fn committed(&self, indexes: &Range<u64>, took: &[Duration]) {
        let count = indexes.end - indexes.start;
        if count > 0 {
            self.metrics.appended.inc_by(count);
            self.metrics.size.set(indexes.end);
            took.iter().for_each(|took| self.metrics.syncs.observe(took.as_secs_f64()));
            self.status.send_modify(|status| status.size = indexes.end);
        }
    }

    fn published(&self, signed: &SignedCheckpoint) {
        let size = signed.checkpoint().size;
        self.metrics.checkpoint.set(size);
        self.status.send_if_modified(|status| {
            let newer = status.checkpoint != size;
            if newer {
                (status.checkpoint, status.checkpoint_note) = (size, Some(signed.to_string().into()));
            }
            newer
        });
    }

    /// Brings the number of lost records up to date.
    fn set_lost(&self) {
        let state = self.status.borrow().state;
        self.set_state(state);
    }
}
