//! The journal's section of the estate, validated.

pub mod raw;

use std::{path::PathBuf, time::Duration};

/// Everything the journal needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSection {
    /// The directory it lives in; made if need be.
    pub dir: PathBuf,
    /// Time between a record and the signed checkpoint that covers it, at most.
    pub checkpoint_every: Duration,
    /// Most records that wait to be written; more are lost, and counted.
    pub queue: usize,
    /// Size in bytes at which the write-ahead log is woven into tiles for good and begun anew.
    pub segment_bytes: u64,
    /// Witnesses whose cosignatures are accepted, as C2SP verifier keys.
    pub witnesses: Vec<String>,
}

impl JournalSection {
    /// The usual section for a journal in `dir`.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            checkpoint_every: Duration::from_secs(1),
            queue: 4096,
            segment_bytes: 16 << 20,
            witnesses: Vec::new(),
        }
    }
}
