//! Making what was woven survive a power cut, and only then letting go of what it replaces.

use std::{collections::BTreeSet, path::Path, path::PathBuf};

use seawall_runtime::disk::Open;

use super::Tree;
use crate::{
    home::{DiskError, Home},
    tile::Tile,
};

/// Up to this many files are synced one by one; more by one sync of the file system.
const ONE_BY_ONE: usize = 256;

/// What is to be synced: everything woven when it was made. It can run beside further weaving.
#[derive(Debug)]
pub(crate) struct Sync {
    home: Home,
    files: BTreeSet<PathBuf>,
    dirs: BTreeSet<PathBuf>,
    completed: BTreeSet<Tile>,
    size: u64,
}

impl Sync {
    /// Syncs. Blocks for as long as the disk takes.
    pub(crate) fn run(&self) -> Result<(), DiskError> {
        if self.files.len() > ONE_BY_ONE {
            return self.home.sync_all();
        }
        let mut dirs = self.dirs.clone();
        for file in &self.files {
            self.home.open(file, Open::Read)?.sync()?;
            dirs.extend(file.ancestors().skip(1).map(Path::to_owned));
        }
        dirs.iter().try_for_each(|dir| self.home.sync_dir(dir))
    }

    /// The records that are in synced files once it has run.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl Tree {
    /// What has to be synced for everything woven so far to survive.
    pub(crate) fn begin_sync(&mut self) -> Sync {
        Sync {
            home: self.home.clone(),
            files: std::mem::take(&mut self.unsynced),
            dirs: std::mem::take(&mut self.unsynced_dirs),
            completed: std::mem::take(&mut self.completed),
            size: self.edge.size(),
        }
    }

    /// Drops the partial forms of the tiles that `sync`, which has run, made safe.
    pub(crate) fn synced(&self, sync: &Sync) -> Result<(), DiskError> {
        sync.completed.iter().try_for_each(|tile| self.home.remove_dir_of_files(tile.partial_dir()))
    }
}
