//! Tiles and bundles of C2SP tlog-tiles: where they lie, and the right edge of the tree they hold.

use std::path::PathBuf;

use crate::merkle::{Hash, root_of};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;

/// The height of the subtree that a full tile spans.
pub const HEIGHT: u32 = 8;

/// Levels that a tree of 2⁶⁴ leaves can have.
const MAX_LEVELS: usize = 8;

/// What lies in tiles of 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The entries themselves.
    Entries,
    /// Hashes; level 0 has those of the leaves.
    Level(u8),
    /// The payloads: ours, beside the standard tree.
    Payload,
}

/// The name of a tile: `width` is below 256 for a partial one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its position among the tiles of its kind.
    pub index: u64,
    /// How many hashes or entries, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// Where the tile lies, relative to the journal's directory.
    pub fn path(self) -> PathBuf {
        let mut path = match self.kind {
            Kind::Entries => "tile/entries".to_owned(),
            Kind::Level(level) => format!("tile/{level}"),
            Kind::Payload => "payload".to_owned(),
        };
        let mut rest = vec![self.index % 1000];
        let mut high = self.index / 1000;
        while high > 0 {
            rest.push(high % 1000);
            high /= 1000;
        }
        for (position, part) in rest.iter().enumerate().rev() {
            path.push_str(if position > 0 { "/x" } else { "/" });
            path.push_str(&format!("{part:03}"));
        }
        // A bundle of payloads grows in place: it has no partial form.
        if self.width < WIDTH && self.kind != Kind::Payload {
            path.push_str(&format!(".p/{}", self.width));
        }
        PathBuf::from(path)
    }

    /// The level of the tile; 0 for bundles.
    pub fn level(self) -> u32 {
        match self.kind {
            Kind::Level(level) => u32::from(level),
            Kind::Entries | Kind::Payload => 0,
        }
    }

    /// The directory of the tile's partial forms.
    pub fn partial_dir(self) -> PathBuf {
        let mut path = Self { width: WIDTH, ..self }.path().into_os_string();
        path.push(".p");
        PathBuf::from(path)
    }

    /// Reads a path relative to the journal's directory back into the tile it names.
    pub fn from_path(path: &str) -> Option<Self> {
        let (kind, rest) = if let Some(rest) = path.strip_prefix("tile/entries/") {
            (Kind::Entries, rest)
        } else if let Some(rest) = path.strip_prefix("payload/") {
            (Kind::Payload, rest)
        } else {
            let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
            (Kind::Level(level.parse().ok().filter(|&l| usize::from(l) < MAX_LEVELS)?), rest)
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, WIDTH),
        };
        let mut index = 0_u64;
        for part in number.split('/') {
            let digits: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(digits)?;
        }
        let tile = Self { kind, index, width };
        (tile.path().to_str() == Some(path)).then_some(tile)
    }
}

/// The right edge of a tree: for each level, the hashes of the tile that is not full yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, whose partial tile at each level `partial` gives.
    pub fn load<E>(size: u64, mut partial: impl FnMut(Tile) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut levels = Vec::new();
        for (level, hashes) in (0_u8..).zip(widths(size)) {
            let tile = Tile {
                kind: Kind::Level(level),
                index: (size >> (HEIGHT * u32::from(level))) / WIDTH,
                width: hashes,
            };
            levels.push(if hashes == 0 { Vec::new() } else { partial(tile)? });
        }
        Ok(Self { size, levels })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let mut root = None;
        for hashes in &self.levels {
            let mut rest = hashes.as_slice();
            // From the right: the peaks of this level, smallest first.
            while !rest.is_empty() {
                let peak = 1 << rest.len().trailing_zeros();
                let (left, right) = rest.split_at(rest.len() - peak);
                let hash = root_of(right);
                root = Some(root.map_or(hash, |root| Hash::node(hash, root)));
                rest = left;
            }
        }
        root.unwrap_or_else(Hash::empty)
    }

    /// Adds a leaf; `full` is given each tile that it completes, lowest first.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, &[Hash])) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..MAX_LEVELS as u8 {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::with_capacity(WIDTH as usize));
            }
            self.levels[at].push(hash);
            if self.levels[at].len() < WIDTH as usize {
                return;
            }
            let index = (self.size >> (HEIGHT * (u32::from(level) + 1))) - 1;
            full(Tile { kind: Kind::Level(level), index, width: WIDTH }, &self.levels[at]);
            hash = root_of(&self.levels[at]);
            self.levels[at].clear();
        }
    }

    /// The partial tiles of a tree of this size, lowest first.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        (0_u8..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty()).map(|(level, hashes)| {
            let index = (self.size >> (HEIGHT * u32::from(level))) / WIDTH;
            (Tile { kind: Kind::Level(level), index, width: hashes.len() as u64 }, hashes.as_slice())
        })
    }
}

/// The width of the partial tile at each level of a tree of `size` leaves; 0 where there is none.
fn widths(size: u64) -> impl Iterator<Item = u64> {
    let levels = size.checked_ilog2().map_or(0, |bits| bits / HEIGHT + 1);
    (0..levels).map(move |level| (size >> (HEIGHT * level)) % WIDTH)
}

/// The hashes as a tile's bytes.
pub fn to_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// A tile's bytes as hashes; `None` if its length is not `width` hashes.
pub fn from_bytes(bytes: &[u8], width: u64) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks();
    (rest.is_empty() && hashes.len() as u64 == width).then(|| hashes.iter().copied().map(Hash).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let check = |kind, index, width, path: &str| {
            let tile = Tile { kind, index, width };
            assert_eq!(tile.path(), PathBuf::from(path));
            assert_eq!(Tile::from_path(path), Some(tile));
        };
        check(Kind::Level(0), 1_234_067, 256, "tile/0/x001/x234/067");
        check(Kind::Level(1), 0, 17, "tile/1/000.p/17");
        check(Kind::Entries, 999, 112, "tile/entries/999.p/112");
        check(Kind::Entries, 1000, 256, "tile/entries/x001/000");
        check(Kind::Payload, 7, 256, "payload/007");
        for bad in
            ["tile/0/1", "tile/9/000", "tile/0/000.p/0256", "tile/0/x000/001", "tile/0/000.p/x", "payload/"]
        {
            assert_eq!(Tile::from_path(bad), None, "{bad}");
        }
    }

    /// The tiles that the example of the specification has.
    #[test]
    fn a_tree_of_70_000_has_the_tiles_of_the_specification() {
        let mut edge = Edge::default();
        let mut full = BTreeMap::new();
        for i in 0..70_000_u64 {
            edge.push(Hash::leaf(&i.to_le_bytes()), |tile, _| *full.entry(tile.kind).or_insert(0) += 1);
        }
        let partial: Vec<_> = edge.partial().map(|(tile, _)| (tile.kind, tile.index, tile.width)).collect();
        assert_eq!(full, BTreeMap::from([(Kind::Level(0), 273), (Kind::Level(1), 1)]));
        let expected = [(Kind::Level(0), 273, 112), (Kind::Level(1), 1, 17), (Kind::Level(2), 0, 1)];
        assert_eq!(partial, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_edge_knows_the_root_and_can_be_loaded_from_its_tiles(n in 0_u64..3000) {
            let leaves: Vec<_> = (0..n).map(|i| Hash::leaf(&i.to_le_bytes())).collect();
            let mut edge = Edge::default();
            for leaf in &leaves {
                edge.push(*leaf, |_, _| {});
            }
            prop_assert_eq!(edge.root(), root_of(&leaves));
            let tiles: BTreeMap<_, _> = edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())).collect();
            let loaded = Edge::load(n, |tile| tiles.get(&tile).cloned().ok_or(tile)).unwrap();
            prop_assert_eq!(loaded.root(), edge.root());
            prop_assert_eq!(loaded.size(), n);
        }
    }
}
