//! Another process takes the place of this one, or this one that of another: `SIGUSR2`.
//!
//! The new one comes up beside the old one, on the old one's listening sockets, and serves once it knows the chains; the
//! old one takes in no more then, and ends when its connections have. The journal changes hands between: whoever has
//! it writes, and traffic waits for neither.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use seawall_gateway::Gateway;
use seawall_journal::Journal;
use seawall_model::{Record, RecordKind};
use seawall_runtime::{
    clock::Clock,
    net::sockets::Sockets,
    seam::Recorder,
    succession::{Peer, Program, Word},
};
use serde_json::json;

use super::DaemonError;
use crate::estate::Estate;

/// The new process could serve within this.
const READY: Duration = Duration::from_secs(60);
/// It waits so long for all its pools to be ready.
const POLLED: Duration = Duration::from_secs(10);
/// Time from one look to the next.
const LOOK: Duration = Duration::from_millis(20);
/// The old one lets go of the journal within this, or goes on without having let go.
const LET_GO: Duration = Duration::from_secs(10);

/// What a process needs to leave its place, or to take one.
pub struct Succession {
    /// How the next one is started.
    pub program: Program,
    /// What this one listens on.
    pub sockets: Arc<Sockets>,
    /// The process whose place this one takes.
    pub before: Option<Peer>,
    /// Where the service manager wants to be told that this process serves.
    pub manager: Option<std::ffi::OsString>,
}

/// Why no other process took this one's place.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("SW0212: the upgrade failed, and this process goes on: {0}")]
    GoesOn(std::io::Error),
    #[error(
        "SW0213: the upgrade failed after the journal had been let go, and this process goes on without one: {0}"
    )]
    WithoutJournal(std::io::Error),
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(std::io::Error::other(e)))
}

/// Has another process take this one's place. Once that serves, this one is to end.
pub(super) async fn leave(
    program: Program,
    sockets: Arc<Sockets>,
    journal: Option<Journal>,
    clock: Clock,
    gateway: Option<Arc<Gateway>>,
    left: Arc<AtomicBool>,
) -> Result<(), NotTaken> {
    let mut next = apart(move || {
        let mut next = Peer::start(&program, &sockets)?;
        let heard = next.hear(&[Word::Ready, Word::Unready], READY).and_then(|word| match word {
            // One that could serve is not to give way to one that could not.
            Word::Unready if gateway.is_some_and(|gateway| gateway.is_ready()) => {
                Err(std::io::Error::other("it is not ready to serve, and this one is"))
            }
            _ => Ok(()),
        });
        match heard {
            Ok(()) => Ok(next),
            Err(error) => {
                next.dismiss();
                Err(error)
            }
        }
    })
    .await
    .map_err(NotTaken::GoesOn)?;
    if let Some(journal) = &journal {
        let payload = json!({"reason": "another process takes its place"});
        // Closing waits for it; nothing else does.
        drop(journal.record(Record { kind: RecordKind::Stop, component: None, at: clock.wall(), payload }));
        if tokio::time::timeout(LET_GO, journal.close()).await.is_err() {
            next.dismiss();
            let why = std::io::Error::new(std::io::ErrorKind::TimedOut, "the journal's disk stalls");
            return Err(NotTaken::WithoutJournal(why));
        }
    }
    // From here on the new one knows of what was changed, and nothing more is changed here.
    left.store(true, SeqCst);
    let served = apart(move || {
        let served = next.say(Word::Yours).and_then(|()| next.hear(&[Word::Serving], READY).map(drop));
        if served.is_err() {
            next.dismiss();
        }
        served
    });
    let served = served.await;
    if served.is_err() {
        left.store(false, SeqCst);
    }
    served.map_err(|e| if journal.is_some() { NotTaken::WithoutJournal(e) } else { NotTaken::GoesOn(e) })
}

/// This process could take that one's place: waits until what only one may have is this one's.
pub(super) async fn take(mut before: Peer, gateway: Option<&Gateway>) -> Result<Peer, DaemonError> {
    let polled = async {
        while gateway.is_some_and(|gateway| !gateway.is_ready()) {
            tokio::time::sleep(LOOK).await;
        }
    };
    // One whose upstreams are all down may not be ready in the old process either, which decides.
    let word = tokio::time::timeout(POLLED, polled).await.map_or(Word::Unready, |()| Word::Ready);
    let taken = apart(move || {
        before.say(word)?;
        before.hear(&[Word::Yours], READY)?;
        Ok(before)
    });
    taken.await.map_err(DaemonError::Left)
}

/// Workers share what clients connect to, a socket each. With fewer of them than before, some socket would be nobody's.
pub(super) fn fits(succession: &Succession, estate: &Estate) -> Result<(), DaemonError> {
    let Some(section) = &estate.gateway else { return Ok(()) };
    for at in section.addresses() {
        let left = succession.sockets.left_for(at);
        if left > section.workers {
            return Err(DaemonError::Workers { left, workers: section.workers });
        }
    }
    Ok(())
}
