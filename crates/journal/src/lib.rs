//! A journal that anyone can verify: append, prove, verify and replay.
//!
//! A record is acknowledged once it is in the write-ahead log and synced; within a second it is woven
//! into a C2SP tlog-tiles tree under a signed checkpoint, which third-party verifiers read as it lies
//! on disk. A leaf commits to its payload without disclosing it, so that a payload can be erased.

mod backup;
mod checkpoint;
mod entropy;
mod envelope;
mod erasure;
pub mod estate;
mod frame;
mod home;
mod identity;
mod journal;
pub mod merkle;
mod metrics;
mod note;
mod proof;
mod reader;
mod request;
mod store;
pub mod tile;
mod tree;
mod verify;
mod wal;
mod writer;

pub use backup::{BackupError, backup, restore};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use entropy::Entropy;
pub use envelope::{Envelope, EnvelopeError, MAX_LEAF, SALT};
pub use frame::{Frame, MAX_PAYLOAD, TooLarge};
pub use home::{Damage, DiskError};
pub use identity::Identity;
pub use journal::{Journal, JournalState, JournalStatus, OpenOptions, STALL};
pub use metrics::JournalMetrics;
pub use note::{Algorithm, InvalidKey, Note, NoteError, Signature, SigningKey, VerifierKey};
pub use proof::{Proof, ProofError, Proved};
pub use reader::{Entry, ReadError, Reader};
pub use request::{Answer, AskError, Request, ask};
pub use store::{ChangeError, OpenError, Recovery, Store, StoreOptions, encode};
pub use verify::{Finding, MOST_FINDINGS, Report, VerifyOptions, verify};
pub use wal::{Batch, BatchError, Torn};
pub use writer::Writer;
