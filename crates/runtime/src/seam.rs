//! The four seams: all that a capability sees of the machine room. Embedded they are a journal, SQLite,
//! a lock file and channels; in a cluster, NATS. No capability knows which.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use seawall_model::{Record, Signal, Verdict};

/// Takes records for the journal. Never blocks: what cannot be taken is counted, and a `gap` record
/// tells of it later.
pub trait Recorder: Send + Sync + 'static {
    /// Hands in a record. The receipt resolves once it is durable; dropping it does not take the
    /// record back.
    fn record(&self, record: Record) -> Receipt;
}

/// Resolves to the record's index in the log once it is durable.
pub type Receipt = BoxFuture<'static, Result<u64, NotRecorded>>;

/// Why a record was not made durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRecorded {
    /// The queue is full: the disk is stalled or slower than the records come.
    #[error("the journal's queue is full")]
    Full,
    /// The disk refused.
    #[error("the journal cannot write: {0}")]
    Disk(Arc<str>),
    /// The journal has stopped.
    #[error("the journal has stopped")]
    Stopped,
    /// The record is not one that may be handed in.
    #[error("the journal does not take this record: {0}")]
    Refused(&'static str),
}

/// Small mutable things (cordons, accounts, plan progress), each under a key, with a revision that
/// must be named to change it.
pub trait State: Send + Sync + 'static {
    /// The value and its revision, if there is one.
    fn get(&self, bucket: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>, StateError>;

    /// Everything in a bucket, in key order.
    fn list(&self, bucket: &str) -> Result<Vec<(String, u64, Vec<u8>)>, StateError>;

    /// Writes `value` (or deletes, with `None`) if the revision is still `expected` (0: not there yet).
    /// Returns the new revision.
    fn swap(&self, bucket: &str, key: &str, expected: u64, value: Option<&[u8]>) -> Result<u64, StateError>;
}

/// Why a [`State`] call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Somebody else changed it first.
    #[error("`{key}` is at revision {found}, not {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// The revision named by the caller.
        expected: u64,
        /// The revision there is.
        found: u64,
    },
    /// The store failed.
    #[error("the state store failed: {0}")]
    Store(String),
}

/// The right to do what only one node may do (page, renew, run a plan), fenced by an epoch.
pub trait Lease: Send + Sync + 'static {
    /// Tries to take or keep the lease; the epoch if this node holds it now.
    fn hold(&self, name: &str) -> Option<u64>;
}

/// Signals and verdicts between roles. Bounded: a slow reader loses the oldest and is told how many.
pub trait Bus: Send + Sync + 'static {
    /// Publishes a signal.
    fn signal(&self, signal: Signal);
    /// Publishes a verdict.
    fn verdict(&self, verdict: Verdict);
    /// All signals from now on.
    fn signals(&self) -> tokio::sync::broadcast::Receiver<Arc<Signal>>;
    /// All verdicts from now on.
    fn verdicts(&self) -> tokio::sync::broadcast::Receiver<Arc<Verdict>>;
}
