//! Reading tiles, and taking a tree up where it was left.

use std::collections::{BTreeMap, BTreeSet};

use seawall_runtime::disk::Open;

use super::{Payloads, Tree};
use crate::{
    checkpoint::SignedCheckpoint,
    frame::{take_leaf, take_payload},
    home::{Damage, DiskError, Durability, Home},
    identity::Identity,
    merkle::Hash,
    note::SigningKey,
    tile::{Edge, HEIGHT, Kind, Tile, WIDTH, from_bytes, to_bytes},
};

/// Why part of a tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoadError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// The bytes of a tile and the tile that they are of: the partial one asked for, or the full one that
/// has taken its place.
fn read_tile(home: &Home, tile: Tile) -> Result<(Vec<u8>, Tile), LoadError> {
    if let Some(bytes) = home.read_if_there(tile.path())? {
        return Ok((bytes, tile));
    }
    let full = Tile { width: WIDTH, ..tile };
    match home.read_if_there(full.path())? {
        Some(bytes) => Ok((bytes, full)),
        None => Err(Damage::new(tile.path().to_string_lossy(), "missing").into()),
    }
}

/// The hashes of a tile, as many as its width says.
pub(crate) fn read_hashes(home: &Home, tile: Tile) -> Result<Vec<Hash>, LoadError> {
    let (bytes, found) = read_tile(home, tile)?;
    let mut hashes = from_bytes(&bytes, found.width)
        .ok_or_else(|| Damage::new(found.path().to_string_lossy(), "not the length of its width"))?;
    hashes.truncate(tile.width as usize);
    Ok(hashes)
}

/// The leaves of an entry bundle, as many as its width says.
pub(crate) fn read_entries(home: &Home, index: u64, width: u64) -> Result<Vec<Vec<u8>>, LoadError> {
    let (bytes, found) = read_tile(home, Tile { kind: Kind::Entries, index, width })?;
    let mut rest = bytes.as_slice();
    let mut leaves = Vec::with_capacity(width as usize);
    for position in 0..width {
        let leaf = take_leaf(&mut rest).ok_or_else(|| {
            Damage::at(found.path().to_string_lossy(), index * WIDTH + position, "the bundle ends before it")
        })?;
        leaves.push(leaf.to_vec());
    }
    Ok(leaves)
}

/// Salts and payloads of a bundle, as many as `width` says; `None` for those erased.
pub(crate) fn read_payloads(home: &Home, index: u64, width: u64) -> Result<Vec<Option<Vec<u8>>>, LoadError> {
    let path = Tile { kind: Kind::Payload, index, width }.path();
    let bytes = home.read(&path)?;
    let mut rest = bytes.as_slice();
    (0..width)
        .map(|position| match take_payload(&mut rest) {
            Some(item) => Ok(item.map(<[u8]>::to_vec)),
            None => {
                let what = "the bundle ends before it";
                Err(Damage::at(path.to_string_lossy(), index * WIDTH + position, what).into())
            }
        })
        .collect()
}

/// Takes up the tree of `size` records, to replay into.
pub(crate) fn load(
    home: &Home,
    identity: Identity,
    key: SigningKey,
    checkpoint: SignedCheckpoint,
    size: u64,
) -> Result<Tree, LoadError> {
    let edge = Edge::load(size, |tile| read_hashes(home, tile))?;
    let (index, width) = (size / WIDTH, size % WIDTH);
    let mut entries = Vec::new();
    if width > 0 {
        let leaves = read_entries(home, index, width)?;
        let hashes = read_hashes(home, Tile { kind: Kind::Level(0), index, width })?;
        for (position, (leaf, hash)) in (0..).zip(leaves.iter().zip(hashes)) {
            if Hash::leaf(leaf) != hash {
                let file = Tile { kind: Kind::Entries, index, width }.path();
                let what = "the entry is not what its hash says";
                return Err(Damage::at(file.to_string_lossy(), index * WIDTH + position, what).into());
            }
            let length = u16::try_from(leaf.len()).expect("its length was read from two bytes");
            entries.extend_from_slice(&length.to_be_bytes());
            entries.extend_from_slice(leaf);
        }
    }
    Ok(Tree {
        partial: edge.partial().map(|(tile, _)| tile).collect(),
        payloads: payloads(home, index, width)?,
        home: home.clone(),
        identity,
        key,
        edge,
        entries,
        checkpoint,
        completed: BTreeSet::new(),
        unsynced: BTreeSet::new(),
        made: BTreeMap::new(),
        unsynced_dirs: BTreeSet::new(),
        loaded: size,
        erasures: BTreeSet::new(),
        durable: Durability::Contents,
    })
}

/// Cuts the last bundle of payloads to the `width` items that belong to the tree.
fn payloads(home: &Home, index: u64, width: u64) -> Result<Payloads, LoadError> {
    if width == 0 {
        return Ok(Payloads { file: None, len: 0 });
    }
    let path = Tile { kind: Kind::Payload, index, width: WIDTH }.path();
    let bytes = home.read(&path)?;
    let mut rest = bytes.as_slice();
    for position in 0..width {
        take_payload(&mut rest).ok_or_else(|| {
            Damage::at(path.to_string_lossy(), index * WIDTH + position, "the bundle ends before it")
        })?;
    }
    let len = (bytes.len() - rest.len()) as u64;
    let mut file = home.open(&path, Open::Append)?;
    if !rest.is_empty() {
        file.truncate(len)?;
    }
    Ok(Payloads { file: Some(file), len })
}

impl Tree {
    /// Ends the replay: what is woven from now on is new.
    pub(crate) fn replayed(&mut self) {
        self.durable = Durability::Later;
    }

    /// Mends what a crash may have left: partial tiles that were written after the last sync. At the right
    /// edge they are rewritten, since readers may hold checkpoints that need them; those of tiles that are
    /// full by now go.
    pub(crate) fn mend_edges(&mut self) -> Result<(), DiskError> {
        for tile in self.completed.clone() {
            self.mend_partial(tile, None)?;
        }
        let mut tiles: Vec<(Tile, Vec<u8>)> =
            self.edge.partial().map(|(tile, hashes)| (tile, to_bytes(hashes))).collect();
        let (index, width) = (self.edge.size() / WIDTH, self.edge.size() % WIDTH);
        tiles.push((Tile { kind: Kind::Entries, index, width }, self.entries.clone()));
        tiles.iter().try_for_each(|(tile, bytes)| self.mend_partial(*tile, Some(bytes)))
    }

    /// Goes through the partial forms of a tile that no sync has covered: writes those that are a beginning
    /// of `bytes` anew, and removes the others.
    fn mend_partial(&mut self, tile: Tile, bytes: Option<&Vec<u8>>) -> Result<(), DiskError> {
        let synced = (self.loaded >> (HEIGHT * tile.level())).saturating_sub(tile.index * WIDTH);
        for entry in self.home.list(tile.partial_dir())? {
            let width: u64 = entry.name.parse().unwrap_or(0);
            if (1..=synced).contains(&width) {
                continue;
            }
            let path = tile.partial_dir().join(&entry.name);
            match bytes.and_then(|bytes| beginning(tile, bytes, width)) {
                Some(part) => {
                    self.home.put(&path, part, self.durable)?;
                    self.unsynced.insert(path);
                }
                None => {
                    self.home.remove(&path)?;
                    self.unsynced_dirs.insert(tile.partial_dir());
                }
            }
        }
        Ok(())
    }
}

/// The first `width` items of a tile's bytes.
fn beginning(tile: Tile, bytes: &[u8], width: u64) -> Option<&[u8]> {
    if width == 0 || width > tile.width {
        return None;
    }
    if tile.kind != Kind::Entries {
        return bytes.get(..width as usize * Hash::LEN);
    }
    let mut rest = bytes;
    for _ in 0..width {
        take_leaf(&mut rest)?;
    }
    Some(&bytes[..bytes.len() - rest.len()])
}
