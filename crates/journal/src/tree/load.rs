//! Reading tiles, and taking a tree up where it was left.

use std::collections::BTreeSet;

use seawall_runtime::disk::Open;

use super::{Payloads, Tree};
use crate::{
    checkpoint::SignedCheckpoint,
    frame::{take_leaf, take_payload},
    home::{Damage, DiskError, Durability, Home},
    identity::Identity,
    merkle::Hash,
    note::SigningKey,
    tile::{Edge, Kind, Tile, WIDTH, from_bytes, to_bytes},
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

    /// Mends the right edge after a crash: rewrites the partial tiles that may not have been synced,
    /// since readers may hold checkpoints that need them, and removes what lies beyond the edge.
    pub(crate) fn mend_edges(&mut self) -> Result<(), DiskError> {
        let mut tiles: Vec<(Tile, Vec<u8>)> =
            self.edge.partial().map(|(tile, hashes)| (tile, to_bytes(hashes))).collect();
        let (index, width) = (self.edge.size() / WIDTH, self.edge.size() % WIDTH);
        tiles.push((Tile { kind: Kind::Entries, index, width }, self.entries.clone()));
        for (tile, bytes) in &tiles {
            for entry in self.home.list(tile.partial_dir())? {
                let path = tile.partial_dir().join(&entry.name);
                match entry.name.parse::<u64>().ok().and_then(|width| beginning(*tile, bytes, width)) {
                    Some(part) => {
                        self.home.put(&path, part, self.durable)?;
                        self.unsynced.insert(path);
                    }
                    None => self.home.remove(&path)?,
                }
            }
            self.home.remove(Tile { width: WIDTH, ..*tile }.path())?;
        }
        let beyond = |kind, index| self.remove_from(Tile { kind, index, width: WIDTH });
        beyond(Kind::Entries, index + 1)?;
        beyond(Kind::Level(0), if width == 0 { index } else { index + 1 })?;
        beyond(Kind::Payload, if width == 0 { index } else { index + 1 })
    }

    /// Removes a tile and those after it, as far as there are any.
    fn remove_from(&self, mut tile: Tile) -> Result<(), DiskError> {
        loop {
            let full = self.home.read_if_there(tile.path())?.is_some();
            if !full && self.home.list(tile.partial_dir())?.is_empty() {
                return Ok(());
            }
            self.home.remove(tile.path())?;
            self.home.remove_dir_of_files(tile.partial_dir())?;
            tile.index += 1;
        }
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
