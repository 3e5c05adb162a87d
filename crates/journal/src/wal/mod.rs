//! The write-ahead log: where a record is acknowledged, before tiles are made of it.
//!
//! One batch is one group commit, and is synced before the next is written. So a batch that is whole
//! proves that everything before it was synced: a bad batch with a whole one after it is damage, a bad
//! one at the end is a write that the power cut tore, which was never acknowledged.

use std::{ops::Range, path::PathBuf};

use seawall_runtime::disk::Open;

use crate::{
    frame::Frame,
    home::{Damage, DiskError, Home, HomeFile},
};

mod batch;
mod scan;

pub use batch::{Batch, BatchError};
pub use scan::Torn;
pub(crate) use scan::{ScanError, Scanned, scan};

/// The directory of the segments.
const DIR: &str = "wal";

/// A segment while it is written anew.
const COPIED: &str = "tmp/wal";

/// Bytes copied at a time.
const COPY: usize = 1 << 20;

/// Makes sure that what was read of the last segment is on the disk, without its torn end. After a failed
/// sync the kernel may hold records that no later sync would write, so they are written anew.
pub(crate) fn secure(home: &Home, scanned: &Scanned) -> Result<(), DiskError> {
    let Some(&last) = scanned.segments.last() else { return Ok(()) };
    let old = home.open(segment(last), Open::Read)?;
    let len = scanned.torn.as_ref().map_or(old.len()?, |torn| torn.offset);
    if len == 0 {
        return Ok(());
    }
    let mut new = home.open(COPIED, Open::Create)?;
    let mut at = 0;
    while at < len {
        let count = usize::try_from(len - at).unwrap_or(COPY).min(COPY);
        new.append(&old.read_at(at, count)?)?;
        at += count as u64;
    }
    new.sync()?;
    home.rename(COPIED, &segment(last))?;
    home.sync_dir(DIR)
}

/// The write-ahead log, open for appending.
#[derive(Debug)]
pub(crate) struct Wal {
    home: Home,
    /// First indexes of the segments before the active one, oldest first.
    older: Vec<u64>,
    first: u64,
    next: u64,
    bytes: u64,
    file: HomeFile,
    buffer: Vec<u8>,
}

fn segment(first: u64) -> PathBuf {
    PathBuf::from(format!("{DIR}/{first:020}"))
}

impl Wal {
    /// Begins a new segment at `first`, replacing an empty or torn one of that name.
    pub(crate) fn begin(home: &Home, older: Vec<u64>, first: u64) -> Result<Self, DiskError> {
        home.remove(segment(first))?;
        let file = home.open(segment(first), Open::Create)?;
        home.sync_dir(DIR)?;
        Ok(Self { home: home.clone(), older, first, next: first, bytes: 0, file, buffer: Vec::new() })
    }

    /// The index that the next record will have; everything below it is durable.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes in the active segment.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends frames and syncs. When it returns they are durable under the indexes it gives.
    pub(crate) fn append(&mut self, frames: &[Frame]) -> Result<Range<u64>, DiskError> {
        let first = self.next;
        let mut rest = frames;
        while !rest.is_empty() {
            self.buffer.clear();
            let taken = batch::encode(self.next, rest, &mut self.buffer);
            self.file.append(&self.buffer)?;
            self.file.sync()?;
            self.bytes += self.buffer.len() as u64;
            self.next += taken as u64;
            rest = &rest[taken..];
        }
        Ok(first..self.next)
    }

    /// Goes on in a new segment, so that all before can be forgotten once tiles hold them.
    pub(crate) fn roll(&mut self) -> Result<(), DiskError> {
        if self.next > self.first {
            let mut older = std::mem::take(&mut self.older);
            older.push(self.first);
            *self = Self::begin(&self.home, older, self.next)?;
        }
        Ok(())
    }

    /// Removes the segments whose records are all below `index`, oldest first and surely in that order.
    pub(crate) fn forget_before(&mut self, index: u64) -> Result<(), DiskError> {
        while let Some(&oldest) = self.older.first() {
            let end = self.older.get(1).copied().unwrap_or(self.first);
            if end > index {
                break;
            }
            self.home.remove(segment(oldest))?;
            self.home.sync_dir(DIR)?;
            self.older.remove(0);
        }
        Ok(())
    }
}

fn damaged(first: u64, offset: u64, what: &str) -> Damage {
    Damage::new(segment(first).to_string_lossy(), format!("at byte {offset}: {what}"))
}
