//! The journal, if the estate has one; otherwise records are let go.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use seawall_journal::{
    Entropy, Journal, JournalMetrics, JournalState, OpenError, OpenOptions, SignedCheckpoint, Writer,
};
use seawall_model::{Record, RecordKind};
use seawall_runtime::{
    Machine,
    clock::Clock,
    disk::Disk,
    seam::{NotRecorded, Receipt, Recorder, State},
    tasks::{Kind, OnFailure, Shutdown, Stage, Supervisor, TaskError},
};
use serde_json::json;

use super::Roles;
use crate::estate::Estate;

/// Where the newest checkpoint is remembered outside the log, so that a log that was rolled back is seen.
const BUCKET: &str = "journal";
const KEY: &str = "checkpoint";
/// How often it is.
const REMEMBER: Duration = Duration::from_secs(10);

/// Where records go.
pub(super) struct Opened {
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) journal: Option<Journal>,
    writer: Option<Writer>,
    /// What its newest checkpoint is remembered under.
    key: String,
}

/// Opens the estate's journal. A disk that fails does not keep the daemon from starting: the journal then
/// says that it is degraded, and tries again.
pub(super) fn open(
    estate: &Estate,
    roles: Roles,
    machine: &Machine,
    entropy: Entropy,
    state: &dyn State,
) -> Result<Opened, OpenError> {
    let Some(section) = &estate.journal else {
        return Ok(Opened { recorder: Arc::new(Unkept), journal: None, writer: None, key: String::new() });
    };
    let (mut section, mut name, mut key) = (section.clone(), estate.name.to_string(), KEY.to_owned());
    // A log has one writer. Whoever carries no traffic has one beside that of the one who does.
    if let Some(apart) = roles.apart().filter(|_| !roles.gateway) {
        let mut dir = section.dir.into_os_string();
        dir.push(format!("-{apart}"));
        section.dir = dir.into();
        name = format!("{name}-{apart}");
        key = format!("{key}-{apart}");
    }
    let remembered = match state.get(BUCKET, &key) {
        Ok(found) => found.and_then(|(_, note)| SignedCheckpoint::parse(&note).ok()),
        Err(error) => {
            tracing::warn!(%error, "the last checkpoint is not remembered");
            None
        }
    };
    let options = OpenOptions {
        section,
        name,
        remembered,
        clock: machine.clock,
        entropy,
        metrics: machine.metrics.within("journal", JournalMetrics::register),
    };
    let (journal, writer) = Journal::open(machine.disk.clone(), options)?;
    Ok(Opened { recorder: Arc::new(journal.clone()), journal: Some(journal), writer: Some(writer), key })
}

impl Opened {
    /// Starts the writer, which is the last to stop: its last record is why.
    pub(super) fn start(
        &mut self,
        supervisor: &Supervisor,
        clock: Clock,
        disk: Arc<dyn Disk>,
        state: Arc<dyn State>,
        reason: Arc<OnceLock<String>>,
    ) {
        let (Some(journal), Some(writer)) = (self.journal.clone(), self.writer.take()) else { return };
        let once = Mutex::new(Some(writer));
        let memory = Memory { disk, state, key: self.key.as_str().into() };
        let kind = Kind { on_failure: OnFailure::Log, stage: Stage::Journal };
        supervisor.spawn("journal", kind, move |shutdown| {
            let writer = once.lock().unwrap_or_else(PoisonError::into_inner).take();
            write(writer, journal.clone(), clock, memory.clone(), reason.clone(), shutdown)
        });
    }
}

async fn write(
    writer: Option<Writer>,
    journal: Journal,
    clock: Clock,
    memory: Memory,
    reason: Arc<OnceLock<String>>,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    let writer = writer.ok_or_else(|| TaskError::new("the journal's writer cannot be started twice"))?;
    // Closed by an upgrade: another process has the log, and remembers newer checkpoints.
    let is_let_go = || journal.status().state == JournalState::Stopped;
    let keep = async {
        let mut tick = tokio::time::interval(REMEMBER);
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                _ = tick.tick() => {}
            }
            // A stalled disk holds this up, and nothing else: the writer is polled beside it.
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                () = memory.remember(&journal), if !is_let_go() => {}
            }
        }
        let reason = reason.get().map_or("asked to", String::as_str);
        let at = clock.wall();
        let stop = Record { kind: RecordKind::Stop, component: None, at, payload: json!({"reason": reason}) };
        // Closing waits for it; nothing else does.
        drop(journal.record(stop));
        let let_go = is_let_go();
        journal.close().await;
        if !let_go {
            memory.remember(&journal).await;
        }
    };
    tokio::join!(writer.run(), keep);
    Ok(())
}

/// Where the newest checkpoint is remembered outside the log.
#[derive(Clone)]
struct Memory {
    disk: Arc<dyn Disk>,
    state: Arc<dyn State>,
    key: Arc<str>,
}

impl Memory {
    async fn remember(&self, journal: &Journal) {
        let Some(note) = journal.status().checkpoint_note else { return };
        let (state, key) = (self.state.clone(), self.key.clone());
        let job = move || {
            let stored = state.get(BUCKET, &key).and_then(|found| {
                let (revision, old) = found.unwrap_or_default();
                match old == note.as_bytes() {
                    true => Ok(revision),
                    false => state.swap(BUCKET, &key, revision, Some(note.as_bytes())),
                }
            });
            if let Err(error) = stored {
                tracing::warn!(%error, "the newest checkpoint could not be remembered");
            }
        };
        self.disk.offload(Box::new(job)).await;
    }
}

/// Without a journal nothing is kept.
struct Unkept;

impl Recorder for Unkept {
    fn record(&self, record: Record) -> Receipt {
        tracing::debug!(kind = %record.kind, "not kept: the estate has no [journal]");
        Box::pin(std::future::ready(Err(NotRecorded::Stopped)))
    }
}
