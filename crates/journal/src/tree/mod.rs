//! Weaving records into tiles, bundles and checkpoints.
//!
//! New files are not synced one by one: the write-ahead log keeps every record until a [`Sync`] has
//! made the files that hold it survive a power cut. Three rules follow. A file is not removed before
//! what takes its place is synced; one that may have been synced is replaced only by contents that
//! are; and a checkpoint covers only what the write-ahead log has synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use seawall_runtime::disk::Open;

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    frame::{ERASED, Frame, take_payload},
    home::{Damage, DiskError, Durability, Home, HomeFile},
    identity::Identity,
    note::SigningKey,
    tile::{Edge, Kind, Tile, WIDTH, to_bytes},
};

mod load;
mod sync;

pub(crate) use load::{LoadError, load, read_entries, read_hashes, read_payloads};
pub(crate) use sync::Sync;

/// The standard place of the checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The newest checkpoint that witnesses have cosigned.
pub(crate) const WITNESSED: &str = "witnessed";

/// The tree on disk, as far as it is woven.
#[derive(Debug)]
pub(crate) struct Tree {
    home: Home,
    pub(crate) identity: Identity,
    pub(crate) key: SigningKey,
    edge: Edge,
    /// The entry bundle that is not full yet.
    entries: Vec<u8>,
    payloads: Payloads,
    checkpoint: SignedCheckpoint,
    /// Partial tiles on disk at the right edge.
    partial: BTreeSet<Tile>,
    /// Tiles completed since the last sync: their partial forms can go then.
    completed: BTreeSet<Tile>,
    unsynced: BTreeSet<PathBuf>,
    /// Directories out of which files were removed that must not come back.
    unsynced_dirs: BTreeSet<PathBuf>,
    /// How many records were in synced tiles when the tree was taken up.
    loaded: u64,
    /// Records whose payloads are to be erased before the next sync.
    erasures: BTreeSet<u64>,
    /// The directory that the last whole tile of each kind went into, which is known to be there.
    made: BTreeMap<Kind, PathBuf>,
    /// How tiles are written: while the write-ahead log is replayed they replace older ones.
    durable: Durability,
}

/// The bundle of payloads that is not full yet. It grows in place.
#[derive(Debug)]
struct Payloads {
    file: Option<HomeFile>,
    len: u64,
}

impl Tree {
    /// How many records are woven in.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The newest checkpoint.
    pub(crate) fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// True if the newest checkpoint covers everything woven in.
    pub(crate) fn is_published(&self) -> bool {
        self.edge.size() == self.checkpoint.checkpoint().size
    }

    /// Files written that no sync has covered.
    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Weaves `frames` in, and writes the partial tiles at the right edge if `edges` says so.
    pub(crate) fn weave(&mut self, frames: &[Frame], edges: bool) -> Result<(), DiskError> {
        let mut rest = frames;
        while !rest.is_empty() {
            let room = (WIDTH - self.edge.size() % WIDTH) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.weave_within_a_bundle(now)?;
            rest = later;
        }
        if edges { self.write_edges() } else { Ok(()) }
    }

    /// Weaves frames in that go into the one bundle at the right edge.
    fn weave_within_a_bundle(&mut self, frames: &[Frame]) -> Result<(), DiskError> {
        let index = self.edge.size() / WIDTH;
        let mut full = Vec::new();
        let mut payloads = Vec::new();
        for frame in frames {
            self.edge.push(frame.hash(), |tile, hashes| full.push((tile, to_bytes(hashes))));
            self.entries.extend_from_slice(frame.entry());
            payloads.extend_from_slice(frame.payload_item());
        }
        self.append_payloads(index, &payloads)?;
        if !full.is_empty() {
            let entries = Tile { kind: Kind::Entries, index, width: WIDTH };
            full.push((entries, std::mem::take(&mut self.entries)));
            self.payloads = Payloads { file: None, len: 0 };
        }
        for (tile, bytes) in full {
            self.write(tile, &bytes)?;
            self.partial.retain(|partial| (partial.kind, partial.index) != (tile.kind, tile.index));
            self.completed.insert(tile);
        }
        Ok(())
    }

    fn append_payloads(&mut self, index: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let tile = Tile { kind: Kind::Payload, index, width: WIDTH };
        let path = tile.path();
        if self.payloads.file.is_none() {
            if self.payloads.len == 0 {
                self.make_room_for(tile, &path)?;
                // What a crash may have left there is not part of the log.
                self.home.remove(&path)?;
                self.payloads.file = Some(self.home.open(&path, Open::Create)?);
            } else {
                self.payloads.file = Some(self.home.open(&path, Open::Append)?);
            }
        }
        if let Some(file) = &mut self.payloads.file {
            file.append(bytes)?;
        }
        self.payloads.len += bytes.len() as u64;
        self.unsynced.insert(path);
        Ok(())
    }

    fn write_edges(&mut self) -> Result<(), DiskError> {
        let mut tiles: Vec<_> = self.edge.partial().map(|(tile, hashes)| (tile, to_bytes(hashes))).collect();
        let width = self.edge.size() % WIDTH;
        if width > 0 {
            let entries = Tile { kind: Kind::Entries, index: self.edge.size() / WIDTH, width };
            tiles.push((entries, self.entries.clone()));
        }
        for (tile, bytes) in tiles {
            if !self.partial.contains(&tile) {
                self.write(tile, &bytes)?;
                self.partial.insert(tile);
            }
        }
        Ok(())
    }

    fn write(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), DiskError> {
        let path = tile.path();
        self.make_room_for(tile, &path)?;
        self.home.put(&path, bytes, self.durable)?;
        self.unsynced.insert(path);
        Ok(())
    }

    /// Makes sure that the directory is there that a tile goes into.
    fn make_room_for(&mut self, tile: Tile, path: &Path) -> Result<(), DiskError> {
        let dir = path.parent().unwrap_or(Path::new(""));
        if self.made.get(&tile.kind).is_some_and(|made| made == dir) {
            return Ok(());
        }
        self.home.create_dir(dir)?;
        // Those of partial tiles go again.
        if tile.width == WIDTH {
            self.made.insert(tile.kind, dir.to_owned());
        }
        Ok(())
    }

    /// Signs what is woven in and puts the checkpoint in place, if there is anything new to sign.
    /// Every record woven in must be durable.
    pub(crate) fn publish(&mut self) -> Result<(), DiskError> {
        if self.is_published() {
            return Ok(());
        }
        let origin = self.identity.origin().to_owned();
        let checkpoint = Checkpoint { origin, size: self.edge.size(), root: self.edge.root() };
        self.replace_checkpoint(SignedCheckpoint::sign(checkpoint, &self.key))
    }

    pub(crate) fn replace_checkpoint(&mut self, signed: SignedCheckpoint) -> Result<(), DiskError> {
        let path = Path::new(CHECKPOINT);
        self.home.put(path, signed.to_string().as_bytes(), Durability::Contents)?;
        self.unsynced.insert(path.to_owned());
        self.checkpoint = signed;
        Ok(())
    }

    /// Has the payload of the record `index` erased by the next sync.
    pub(crate) fn erase_later(&mut self, index: u64) {
        self.erasures.insert(index);
    }

    /// Rewrites the bundles of payloads without those that are to be erased.
    pub(crate) fn erase_now(&mut self) -> Result<(), EraseError> {
        for index in std::mem::take(&mut self.erasures) {
            let tile = Tile { kind: Kind::Payload, index: index / WIDTH, width: WIDTH };
            let path = tile.path();
            let old = self.home.read(&path)?;
            let new = without(&old, index % WIDTH)
                .ok_or_else(|| Damage::at(path.to_string_lossy(), index, "the bundle does not decode"))?;
            self.home.put(&path, &new, Durability::Contents)?;
            self.unsynced.insert(path);
            if tile.index == self.edge.size() / WIDTH {
                self.payloads = Payloads { file: None, len: new.len() as u64 };
            }
        }
        Ok(())
    }
}

/// Why payloads could not be erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EraseError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// A bundle of payloads without the item at `position`.
fn without(bundle: &[u8], position: u64) -> Option<Vec<u8>> {
    let mut rest = bundle;
    for _ in 0..position {
        take_payload(&mut rest)?;
    }
    let start = bundle.len() - rest.len();
    take_payload(&mut rest)?;
    Some([&bundle[..start], &ERASED, rest].concat())
}
