//! The journal on disk, with one writer. Every call blocks until the disk has done what it says.
//!
//! After an error of the disk nothing is known of what it holds: the store is dropped and opened anew,
//! which reads back what is there.

use std::{ops::Range, path::PathBuf, sync::Arc};

use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::disk::{Disk, LockGuard};

use crate::{
    checkpoint::SignedCheckpoint,
    entropy::Entropy,
    frame::{Frame, TooLarge},
    home::{Damage, DiskError, Home},
    identity::Identity,
    note::VerifierKey,
    tile::WIDTH,
    tree::{EraseError, Sync, Tree},
    wal::{Torn, Wal},
};

mod change;
mod open;

pub use change::ChangeError;
pub(crate) use change::parse_witnesses;
pub use open::OpenError;
pub(crate) use open::is_instance;

/// The file that says who the log is.
pub(crate) const ORIGIN: &str = "origin";

/// The private key.
pub(crate) const KEY: &str = "key";

/// A private key about to come in.
pub(crate) const NEXT_KEY: &str = "key.next";

/// Tells the directory from a copy of it.
pub(crate) const INSTANCE: &str = "instance";

/// The keys of the witnesses whose cosignatures were taken.
pub(crate) const WITNESSES: &str = "witnesses";

/// Held by the writer.
pub(crate) const LOCK: &str = "lock";

/// Files not synced yet that call for a sync: as many as are quickly synced one by one.
const UNSYNCED_FILES: usize = 192;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The journal's directory; made if need be.
    pub dir: PathBuf,
    /// The name a new log's origin begins with: a schema-less URL without spaces or `+`.
    pub name: String,
    /// Bytes in the write-ahead log that call for a sync of the tiles.
    pub segment_bytes: u64,
    /// Witnesses whose cosignatures are accepted.
    pub witnesses: Vec<VerifierKey>,
    /// The newest checkpoint of this log that is remembered elsewhere: opening fails if the log on disk
    /// does not go on from it.
    pub remembered: Option<SignedCheckpoint>,
}

/// The journal on disk.
#[derive(Debug)]
pub struct Store {
    pub(crate) home: Home,
    pub(crate) lock: Lock,
    pub(crate) wal: Wal,
    pub(crate) tree: Tree,
    /// Durable, not yet woven into tiles.
    pub(crate) unwoven: Vec<Frame>,
    pub(crate) witnesses: Vec<VerifierKey>,
    pub(crate) segment_bytes: u64,
}

/// The lock on the directory, for as long as it lives.
#[derive(Clone)]
pub(crate) struct Lock {
    _guard: LockGuard,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

/// What opening found and mended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// True if the log is new.
    pub created: bool,
    /// Records that were in the write-ahead log only.
    pub replayed: u64,
    /// The end of the write-ahead log that was torn, and dropped.
    pub torn: Option<Torn>,
}

impl Store {
    /// Opens the log in the directory, and makes one if there is none. Takes the lock, heals a torn
    /// end, weaves in what only the write-ahead log holds, and refuses what is damaged.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
        entropy: &mut Entropy,
    ) -> Result<(Self, Recovery), OpenError> {
        open::open(disk, options, entropy)
    }

    /// Who the log is.
    pub fn identity(&self) -> &Identity {
        &self.tree.identity
    }

    /// How many records are durable.
    pub fn size(&self) -> u64 {
        self.wal.next()
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        self.tree.checkpoint()
    }

    /// Appends records and syncs: on return they are durable under the indexes it gives.
    pub fn append(&mut self, frames: Vec<Frame>) -> Result<Range<u64>, DiskError> {
        let indexes = self.wal.append(&frames)?;
        self.unwoven.extend(frames);
        Ok(indexes)
    }

    /// Weaves everything durable into tiles, and signs and publishes a checkpoint over it.
    pub fn integrate(&mut self) -> Result<(), DiskError> {
        self.tree.weave(&self.unwoven, true)?;
        self.unwoven.clear();
        self.tree.publish()
    }

    /// Integrates, erases what is to be erased, makes all of it survive without the write-ahead log,
    /// and begins that anew.
    pub fn flush(&mut self) -> Result<(), ChangeError> {
        self.integrate()?;
        let sync = begin_sync(&mut self.wal, &mut self.tree)?;
        sync.run()?;
        Ok(finish_sync(&mut self.wal, &mut self.tree, &sync)?)
    }
}

/// True if the write-ahead log or the files not synced have grown enough to be synced.
pub(crate) fn wants_sync(wal_bytes: u64, tree: &Tree, segment_bytes: u64) -> bool {
    wal_bytes >= segment_bytes || tree.unsynced() >= UNSYNCED_FILES
}

/// Begins to make everything woven survive without the write-ahead log. Everything durable must be
/// woven and published.
pub(crate) fn begin_sync(wal: &mut Wal, tree: &mut Tree) -> Result<Sync, EraseError> {
    tree.erase_now()?;
    wal.roll()?;
    Ok(tree.begin_sync())
}

/// Lets go of what `sync`, which has run, made superfluous.
pub(crate) fn finish_sync(wal: &mut Wal, tree: &mut Tree, sync: &Sync) -> Result<(), DiskError> {
    wal.forget_before(sync.size())?;
    tree.synced(sync)
}

/// How many of `unwoven` records after the first `woven` fill whole bundles.
pub(crate) fn whole_bundles(woven: u64, unwoven: usize) -> usize {
    let end = woven + unwoven as u64;
    ((end - end % WIDTH).saturating_sub(woven)) as usize
}

/// A record that says something of the log itself.
pub(crate) fn about_the_log(kind: RecordKind, at: Wall, payload: serde_json::Value) -> Record {
    Record { kind, component: None, at, payload }
}

/// Encodes a record under a fresh salt.
pub fn encode(record: &Record, entropy: &mut Entropy) -> Result<Frame, TooLarge> {
    Frame::encode(record, entropy.bytes())
}

fn damaged(file: &str, what: impl Into<String>) -> OpenError {
    OpenError::Damaged(Damage::new(file, what))
}
