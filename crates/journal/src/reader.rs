//! Reading a journal without the lock: what the newest checkpoint covers, while the writer goes on.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use seawall_runtime::disk::Disk;

use crate::{
    checkpoint::SignedCheckpoint,
    envelope::{Envelope, SALT},
    home::{Damage, DiskError, Home},
    identity::Identity,
    merkle::{Hash, Subtrees, prove_inclusion, range_hash, root_of},
    note::NoteError,
    proof::Proof,
    store::ORIGIN,
    tile::{HEIGHT, Kind, Tile, WIDTH},
    tree::{CHECKPOINT, LoadError, WITNESSED, read_entries, read_hashes, read_payloads},
};

/// Bundles kept in memory while records are read in order.
const CACHED_BUNDLES: usize = 4;

/// Tiles kept in memory while a proof is made.
const CACHED_TILES: usize = 64;

/// A journal, read as it lies on disk.
#[derive(Debug)]
pub struct Reader {
    pub(crate) home: Home,
    identity: Identity,
    bundles: BTreeMap<u64, Bundle>,
}

/// A bundle of entries and payloads, as far as a checkpoint covers it.
#[derive(Debug)]
struct Bundle {
    leaves: Vec<Vec<u8>>,
    salted: Vec<Option<Vec<u8>>>,
}

/// A record as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its index in the log.
    pub index: u64,
    /// The leaf as it is hashed.
    pub leaf: Vec<u8>,
    /// What the leaf says.
    pub envelope: Envelope,
    /// Salt and payload; `None` if they were erased.
    pub salted: Option<Vec<u8>>,
}

impl Entry {
    /// The payload's JSON; `None` if it was erased.
    pub fn payload(&self) -> Option<&[u8]> {
        self.salted.as_ref().map(|salted| &salted[SALT..])
    }
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no journal in the directory.
    #[error("there is no journal in {}", .0.display())]
    NoJournal(PathBuf),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something is not as it was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The checkpoint is not to be trusted.
    #[error("the checkpoint is not to be trusted: {0}")]
    Checkpoint(#[from] NoteError),
    /// The index is beyond the newest checkpoint.
    #[error("there is no record {index}: the newest checkpoint covers {size}")]
    NoSuchRecord {
        /// The index asked for.
        index: u64,
        /// How many records there are.
        size: u64,
    },
}

impl From<LoadError> for ReadError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Disk(error) => Self::Disk(error),
            LoadError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl Reader {
    /// Opens the journal in `dir` for reading.
    pub fn open(disk: Arc<dyn Disk>, dir: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let home = Home::new(disk, dir);
        let bytes = home.read_if_there(ORIGIN)?.ok_or_else(|| ReadError::NoJournal(home.dir().to_owned()))?;
        let identity = Identity::parse(&bytes).ok_or_else(|| Damage::new(ORIGIN, "does not decode"))?;
        Ok(Self { home, identity, bundles: BTreeMap::new() })
    }

    /// Who the log is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The newest checkpoint, its signature checked.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, ReadError> {
        let signed = SignedCheckpoint::parse(&self.home.read(CHECKPOINT)?)?;
        signed.verify(self.identity.key_at(signed.checkpoint().size))?;
        Ok(signed)
    }

    /// The newest checkpoint that a witness cosigned, if there is one.
    pub fn witnessed(&self) -> Result<Option<SignedCheckpoint>, ReadError> {
        Ok(self.home.read_if_there(WITNESSED)?.map(|bytes| SignedCheckpoint::parse(&bytes)).transpose()?)
    }

    /// The record `index` of the `size` that a checkpoint covers.
    pub fn entry(&mut self, index: u64, size: u64) -> Result<Entry, ReadError> {
        if index >= size {
            return Err(ReadError::NoSuchRecord { index, size });
        }
        let bundle = index / WIDTH;
        let width = (size - bundle * WIDTH).min(WIDTH);
        if self.bundles.get(&bundle).is_none_or(|held| (held.leaves.len() as u64) < width) {
            while self.bundles.len() >= CACHED_BUNDLES {
                self.bundles.pop_first();
            }
            let leaves = read_entries(&self.home, bundle, width)?;
            let salted = read_payloads(&self.home, bundle, width)?;
            self.bundles.insert(bundle, Bundle { leaves, salted });
        }
        let Bundle { leaves, salted } = &self.bundles[&bundle];
        let position = (index % WIDTH) as usize;
        let (leaf, salted) = (leaves[position].clone(), salted[position].clone());
        let damage = |kind, what: String| {
            let file = Tile { kind, index: bundle, width }.path();
            Damage::at(file.to_string_lossy(), index, what)
        };
        let envelope = Envelope::decode(&leaf).map_err(|error| damage(Kind::Entries, error.to_string()))?;
        if salted.as_ref().is_some_and(|salted| !envelope.commits_to(salted)) {
            let what = "the payload is not the one that the leaf commits to";
            return Err(damage(Kind::Payload, what.to_owned()).into());
        }
        Ok(Entry { index, leaf, envelope, salted })
    }

    /// The root of the tree when it had `size` records, from the tiles of the newest checkpoint.
    pub fn root(&self, size: u64) -> Result<Hash, ReadError> {
        let newest = self.checkpoint()?.checkpoint().size;
        if size > newest {
            return Err(ReadError::NoSuchRecord { index: size - 1, size: newest });
        }
        Ok(range_hash(&mut Tiles::new(&self.home, newest), 0, size)?)
    }

    /// A proof that the record `index` is in the log, under the newest checkpoint. The payload is in it
    /// if `disclose` says so.
    pub fn prove(&mut self, index: u64, disclose: bool) -> Result<Proof, ReadError> {
        let checkpoint = self.checkpoint()?;
        let size = checkpoint.checkpoint().size;
        let entry = self.entry(index, size)?;
        let path = prove_inclusion(&mut Tiles::new(&self.home, size), index, size)?;
        let salted = entry.salted.filter(|_| disclose);
        Ok(Proof { index, leaf: entry.leaf, salted, path, checkpoint })
    }
}

/// The hashes of perfect subtrees, from the tiles of a tree of some size.
struct Tiles<'a> {
    home: &'a Home,
    size: u64,
    read: BTreeMap<Tile, Vec<Hash>>,
}

impl<'a> Tiles<'a> {
    fn new(home: &'a Home, size: u64) -> Self {
        Self { home, size, read: BTreeMap::new() }
    }
}

impl Subtrees for Tiles<'_> {
    type Error = LoadError;

    fn subtree(&mut self, height: u32, index: u64) -> Result<Hash, LoadError> {
        let (level, above) = (height / HEIGHT, height % HEIGHT);
        let first = index << above;
        let width = ((self.size >> (HEIGHT * level)) - first / WIDTH * WIDTH).min(WIDTH);
        let level = u8::try_from(level).expect("a height is below 64");
        let tile = Tile { kind: Kind::Level(level), index: first / WIDTH, width };
        if !self.read.contains_key(&tile) {
            while self.read.len() >= CACHED_TILES {
                self.read.pop_first();
            }
            self.read.insert(tile, read_hashes(self.home, tile)?);
        }
        let start = (first % WIDTH) as usize;
        Ok(root_of(&self.read[&tile][start..start + (1 << above)]))
    }
}
