//! Checking everything: every file, hash and signature, naming whatever is not as it was written.
//!
//! The leaves are hashed anew and the tree is built from them. If its root is the one that the
//! checkpoint signs, the entries are genuine, and every tile is compared with what was built. If it
//! is not, the tiles tell which entry was changed.
//!
//! Verification reads; it takes no lock, and works on a journal that is being written.

use std::{path::PathBuf, sync::Arc};

use seawall_runtime::disk::Disk;
use serde::Serialize;

use crate::{
    home::{Damage, Home},
    identity::Identity,
    merkle::Hash,
    note::VerifierKey,
    reader::{ReadError, Reader},
    store::LOCK,
    wal::Torn,
};

mod audit;
mod bundle;
mod inventory;
mod keys;
#[cfg(test)]
mod tests;

use audit::Audit;

/// Findings reported one by one; more are counted.
pub const MOST_FINDINGS: usize = 100;

/// How a journal is verified.
pub struct VerifyOptions<'a> {
    /// The key that is trusted; without one, the log's own word is taken for its first key.
    pub key: Option<VerifierKey>,
    /// Threads that hash.
    pub threads: usize,
    /// Told how many of how many records are done, from any thread.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log.
    pub origin: String,
    /// The key that signed the checkpoint.
    pub key: String,
    /// Records that the checkpoint covers.
    pub size: u64,
    /// The root that the checkpoint signs.
    pub root: String,
    /// Durable records that the checkpoint does not cover yet.
    pub beyond: u64,
    /// Payloads that were erased, each with a record that says so.
    pub erased: u64,
    /// Keys that signed before this one.
    pub rotations: u64,
    /// Witnesses whose cosignatures are under a checkpoint of this log.
    pub witnesses: Vec<String>,
    /// Records that the newest cosigned checkpoint covers.
    pub witnessed: u64,
    /// True if the journal is being written.
    pub live: bool,
    /// What is not as it was written, in order of files.
    pub findings: Vec<Finding>,
    /// Findings beyond the first [`MOST_FINDINGS`].
    pub more: u64,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, relative to the journal's directory.
    pub file: String,
    /// The record concerned, where there is one.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl From<Damage> for Finding {
    fn from(Damage { file, index, what }: Damage) -> Self {
        Self { file, index, what }
    }
}

impl Report {
    /// True if everything is as it was written.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Verifies the journal in `dir`.
///
/// # Errors
/// Only if it cannot be read at all; whatever is wrong with it is in the report.
pub fn verify(
    disk: Arc<dyn Disk>,
    dir: impl Into<PathBuf>,
    options: &VerifyOptions<'_>,
) -> Result<Report, ReadError> {
    let dir = dir.into();
    let live = is_live(&disk, &dir);
    let report = verify_once(disk.clone(), &dir, options, live)?;
    if report.is_sound() || !live {
        return Ok(report);
    }
    // The writer may have been in the middle of something: what is wrong stays wrong.
    verify_once(disk, &dir, options, live)
}

fn verify_once(
    disk: Arc<dyn Disk>,
    dir: &PathBuf,
    options: &VerifyOptions<'_>,
    live: bool,
) -> Result<Report, ReadError> {
    let reader = Reader::open(disk, dir)?;
    let mut audit = Audit::begin(&reader, options, live)?;
    audit.bundles()?;
    audit.levels()?;
    audit.root()?;
    audit.keys()?;
    audit.erasures();
    Ok(audit.report())
}

/// True if a writer holds the lock.
fn is_live(disk: &Arc<dyn Disk>, dir: &PathBuf) -> bool {
    let home = Home::new(disk.clone(), dir);
    let there = matches!(home.read_if_there(LOCK), Ok(Some(_)));
    there && disk.lock(&dir.join(LOCK)).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
}

/// A mismatch between a tile and the tree built from the entries: which of the two is wrong, the root
/// tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mismatch {
    tile: String,
    /// For level 0, the record, and the file its entry is in.
    entry: Option<(u64, String)>,
}

/// What the end of the write-ahead log that does not decode means, once nobody is writing it.
fn torn(torn: &Torn) -> Damage {
    let what = format!("from byte {} on, {} bytes are a torn write or damaged", torn.offset, torn.bytes);
    Damage::new(&torn.file, what)
}

fn unsigned(identity: &Identity, key: &VerifierKey) -> Damage {
    Damage::new("origin", format!("the key {key} is none of those of {}", identity.origin()))
}

fn rewritten(size: u64, root: Hash) -> Damage {
    let what =
        format!("it signs another root than that of the {size} records, {root}: history was rewritten");
    Damage::new("checkpoint", what)
}
