//! The one task that writes. It never waits for the disk in a way that others notice: work on the disk
//! is offloaded, and while one batch is being synced the next gathers in the queue.
//!
//! After an error of the disk the store is dropped and opened anew, with growing pauses; what was lost
//! meanwhile is counted, and told of in a `gap` record once the disk takes records again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use seawall_runtime::{clock::Clock, disk::Disk, seam::NotRecorded};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

use crate::{
    entropy::Entropy,
    journal::{Item, JournalState, JournalStatus, Losses},
    metrics::JournalMetrics,
    store::{OpenError, Store, StoreOptions},
};

mod serve;

/// The pause before a log is opened again after an error, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Opens the store, as often as need be.
pub(crate) struct Opener {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: StoreOptions,
    pub(crate) entropy: Entropy,
}

impl Opener {
    pub(crate) fn open(&mut self) -> Result<Store, OpenError> {
        let (store, recovery) = Store::open(self.disk.clone(), self.options.clone(), &mut self.entropy)?;
        if let Some(torn) = &recovery.torn {
            tracing::warn!(
                file = torn.file,
                offset = torn.offset,
                bytes = torn.bytes,
                "the journal ended in a torn write, which was never acknowledged; it is dropped"
            );
        }
        if recovery.replayed > 0 {
            tracing::info!(records = recovery.replayed, "the journal took in what its write-ahead log held");
        }
        Ok(store)
    }
}

/// What the writer tells the rest of the house.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) clock: Clock,
    pub(crate) status: watch::Sender<JournalStatus>,
    pub(crate) losses: Arc<Mutex<Losses>>,
    pub(crate) metrics: JournalMetrics,
}

/// The journal's task. [`Writer::run`] ends once the journal has been closed.
pub struct Writer {
    pub(crate) opener: Opener,
    /// What opening gave before the task began.
    pub(crate) opened: Option<Result<Store, OpenError>>,
    /// Behind a lock, so that the disk's thread can take the next batch by itself.
    pub(crate) items: Items,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) checkpoint_every: Duration,
    pub(crate) entropy: Entropy,
    pub(crate) desk: Desk,
}

/// What was handed in and waits. Whoever receives holds the lock; that is never two for long.
pub(crate) type Items = Arc<tokio::sync::Mutex<mpsc::Receiver<Item>>>;

/// A batch of which it is not known whether it became durable.
#[derive(Debug, Clone, Copy, Default)]
struct InDoubt {
    /// The index that its first record was to have.
    first: u64,
    /// How many records it has.
    records: u64,
    /// The `gap` record at its head, if it has one.
    gap: Option<crate::journal::Untold>,
}

/// Why serving ended.
enum Ended {
    Closed,
    Failed(Arc<str>, Option<InDoubt>),
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.opener.options.dir.display())
    }
}

impl Writer {
    /// Writes until the journal is closed.
    pub async fn run(mut self) {
        let mut opened = self.opened.take();
        let mut in_doubt: Option<InDoubt> = None;
        let mut pause = PAUSE.0;
        loop {
            let last_try = *self.closing.borrow();
            let attempt = match opened.take() {
                Some(attempt) => attempt,
                None => self.reopen().await,
            };
            let error = match attempt {
                Ok(store) => {
                    pause = PAUSE.0;
                    if let Some(doubt) = in_doubt.take() {
                        self.desk.resolve(doubt, store.size());
                    }
                    match self.serve(store).await {
                        Ended::Closed => break,
                        Ended::Failed(error, doubt) => {
                            in_doubt = doubt;
                            error
                        }
                    }
                }
                Err(error) => error.to_string().into(),
            };
            self.desk.degraded(&error);
            if last_try {
                break;
            }
            self.wait(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        self.refuse_the_rest().await;
        self.desk.set_state(JournalState::Stopped);
    }

    /// Opens the store again. The blocking work is offloaded.
    async fn reopen(&mut self) -> Result<Store, OpenError> {
        let disk = self.opener.disk.clone();
        let Opener { options, entropy, .. } = &mut self.opener;
        let mut opener = Opener { disk: disk.clone(), options: options.clone(), entropy: entropy.fork() };
        offload(disk, move || opener.open()).await
    }

    /// Waits, unless the journal is closed meanwhile: then there is one more try.
    async fn wait(&mut self, pause: Duration) {
        // Either arm may be dropped: nothing is lost but the waiting.
        tokio::select! {
            () = sleep(pause) => {}
            () = serve::asked_to_close(&mut self.closing) => {}
        }
    }

    async fn refuse_the_rest(&mut self) {
        let mut items = self.items.lock().await;
        items.close();
        while let Ok(item) = items.try_recv() {
            // Whoever dropped the receipt does not want to know.
            let _ = item.reply.send(Err(NotRecorded::Stopped));
        }
    }
}

impl Desk {
    fn losses(&self) -> std::sync::MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: JournalState) {
        let (now, lost) = (self.clock.wall(), self.losses().total);
        self.metrics.healthy.set(u64::from(state == JournalState::Running));
        self.status.send_if_modified(|status| {
            let changed = status.state != state;
            if changed {
                (status.state, status.since) = (state, now);
            }
            let more = status.lost != lost;
            status.lost = lost;
            changed || more
        });
    }

    fn degraded(&self, error: &Arc<str>) {
        if self.status.borrow().state != JournalState::Degraded {
            tracing::error!(code = "SW0401", %error, "the journal cannot write; records are lost until it can");
        }
        self.status.send_modify(|status| status.last_error = Some(error.clone()));
        self.set_state(JournalState::Degraded);
    }

    fn opened(&self, store: &Store) {
        let origin: Arc<str> = store.identity().origin().into();
        let checkpoint = store.checkpoint();
        let (size, covered) = (store.size(), checkpoint.checkpoint().size);
        let note: Arc<str> = checkpoint.to_string().into();
        self.status.send_modify(|status| {
            status.origin = Some(origin);
            (status.size, status.checkpoint, status.checkpoint_note) = (size, covered, Some(note));
        });
        self.metrics.size.set(size);
        self.metrics.checkpoint.set(covered);
        self.set_state(JournalState::Running);
    }

    /// Counts what of a batch in doubt turned out not to be in the log.
    fn resolve(&self, doubt: InDoubt, size: u64) {
        let survived = size.saturating_sub(doubt.first).min(doubt.records);
        let mut losses = self.losses();
        let mut lost = doubt.records - survived;
        if let Some(untold) = doubt.gap
            && survived == 0
        {
            losses.tell_again(untold);
            // The gap record itself is nobody's loss.
            lost -= 1;
        }
        losses.add(lost, self.clock.wall());
        self.metrics.lost.inc_by(lost);
    }
}

/// Runs blocking work on the disk's own threads.
async fn offload<R: Send + 'static>(disk: Arc<dyn Disk>, work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = oneshot::channel();
    let job = disk.offload(Box::new(move || {
        // The receiver waits below.
        let _ = done.send(work());
    }));
    job.await;
    result.await.expect("a disk runs the work it is given before its future resolves")
}
