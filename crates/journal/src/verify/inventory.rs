//! Which tiles and bundles there are.

use std::collections::BTreeMap;

use crate::{
    home::{Damage, DiskError, Home},
    tile::{Kind, Tile, WIDTH},
};

/// Directories below `tile` and `payload`, at most this deep: `tile/entries/x…/x…/nnn.p`.
const DEEPEST: usize = 10;

/// The forms in which a tile is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Forms {
    pub(super) full: bool,
    /// Widths of the partial forms, in order.
    pub(super) partial: Vec<u64>,
}

/// Every tile and bundle there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Inventory {
    forms: BTreeMap<(Kind, u64), Forms>,
    /// Files that are none.
    pub(super) strangers: Vec<Damage>,
}

impl Inventory {
    pub(super) fn take(home: &Home) -> Result<Self, DiskError> {
        let mut inventory = Self::default();
        inventory.walk(home, "tile", DEEPEST)?;
        inventory.walk(home, "payload", DEEPEST)?;
        Ok(inventory)
    }

    fn walk(&mut self, home: &Home, dir: &str, deep: usize) -> Result<(), DiskError> {
        for entry in home.list(dir)? {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir && deep > 0 {
                self.walk(home, &path, deep - 1)?;
                continue;
            }
            match Tile::from_path(&path) {
                Some(tile) => {
                    let forms = self.forms.entry((tile.kind, tile.index)).or_default();
                    if tile.width == WIDTH { forms.full = true } else { forms.partial.push(tile.width) }
                }
                None => self.strangers.push(Damage::new(path, "not a file of this log")),
            }
        }
        Ok(())
    }

    /// In which forms the tile is there.
    pub(super) fn forms(&self, kind: Kind, index: u64) -> Forms {
        let mut forms = self.forms.get(&(kind, index)).cloned().unwrap_or_default();
        forms.partial.sort_unstable();
        forms
    }

    /// The tiles of a kind from `index` on: beyond the tree.
    pub(super) fn beyond(&self, kind: Kind, index: u64) -> impl Iterator<Item = Tile> {
        self.forms.range((kind, index)..).take_while(move |((k, _), _)| *k == kind).map(
            |((kind, index), forms)| {
                let width = if forms.full { WIDTH } else { forms.partial.first().copied().unwrap_or(WIDTH) };
                Tile { kind: *kind, index: *index, width }
            },
        )
    }

    /// The highest level there is a tile of.
    pub(super) fn top_level(&self) -> u8 {
        let levels = self.forms.keys().filter_map(|(kind, _)| match kind {
            Kind::Level(level) => Some(*level),
            Kind::Entries | Kind::Payload => None,
        });
        levels.max().unwrap_or(0)
    }
}
