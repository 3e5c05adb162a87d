//! A simulated disk's directories: the names seen, those on the medium, and the changes between.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{Entry, inode::Inode};

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Arc<Mutex<Inode>>),
    Dir,
}

/// A change of names. It carries the file itself, so that any subset of changes can be played back.
#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Link(PathBuf, Node),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, Arc<Mutex<Inode>>),
}

#[derive(Debug, Default)]
pub(super) struct Names {
    seen: BTreeMap<PathBuf, Node>,
    synced: BTreeMap<PathBuf, Node>,
    pending: VecDeque<NameChange>,
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Link(path, node) => {
                names.insert(path.clone(), node.clone());
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), Node::File(inode.clone()));
            }
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Link(path, _) | Self::Unlink(path) => path.parent() == Some(dir),
            Self::Rename(from, to, _) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }
}

/// The top of the tree is there without having been made.
fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

impl Names {
    pub(super) fn file(&self, path: &Path) -> io::Result<Arc<Mutex<Inode>>> {
        match self.seen.get(path) {
            Some(Node::File(inode)) => Ok(inode.clone()),
            Some(Node::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn dir(&self, path: &Path) -> io::Result<()> {
        match self.seen.get(path) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None if is_root(path) => Ok(()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn files(&self) -> Vec<Arc<Mutex<Inode>>> {
        self.seen
            .values()
            .filter_map(|node| match node {
                Node::File(inode) => Some(inode.clone()),
                Node::Dir => None,
            })
            .collect()
    }

    pub(super) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.seen
            .iter()
            .filter_map(|(path, node)| match node {
                Node::File(inode) => Some((path.clone(), Inode::lock(inode).bytes().to_vec())),
                Node::Dir => None,
            })
            .collect()
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.dir(dir)?;
        Ok(self
            .seen
            .range(dir.to_owned()..)
            .take_while(|(path, _)| path.starts_with(dir))
            .filter(|(path, _)| path.parent() == Some(dir))
            .filter_map(|(path, node)| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some(Entry { name, is_dir: matches!(node, Node::Dir) })
            })
            .collect())
    }

    /// The directories to make, outermost first, for `dir` to be there.
    pub(super) fn missing_dirs(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut missing = Vec::new();
        for path in dir.ancestors() {
            match self.dir(path) {
                Ok(()) => break,
                Err(e) if e.kind() == ErrorKind::NotFound => missing.push(path.to_owned()),
                Err(e) => return Err(e),
            }
        }
        missing.reverse();
        Ok(missing)
    }

    pub(super) fn change(&mut self, change: NameChange) -> io::Result<()> {
        match &change {
            NameChange::Link(path, _) => {
                if self.seen.contains_key(path) {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                self.dir(path.parent().unwrap_or(Path::new("")))?;
            }
            NameChange::Rename(_, to, _) => self.dir(to.parent().unwrap_or(Path::new("")))?,
            NameChange::Unlink(_) => {}
        }
        change.apply(&mut self.seen);
        self.pending.push_back(change);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let synced = &mut self.synced;
        self.pending.retain(|change| {
            let covered = change.is_in(dir);
            if covered {
                change.apply(synced);
            }
            !covered
        });
    }

    pub(super) fn sync_all(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    pub(super) fn power_cut(&mut self, random: &mut fastrand::Rng) {
        // A journaling file system keeps a beginning of what was pending; others may keep any part.
        let kept = random.usize(..=self.pending.len());
        let in_order = random.bool();
        for (position, change) in std::mem::take(&mut self.pending).iter().enumerate() {
            if if in_order { position < kept } else { random.bool() } {
                change.apply(&mut self.synced);
            }
        }
        let orphans: Vec<PathBuf> = self
            .synced
            .keys()
            .filter(|path| {
                !path
                    .ancestors()
                    .skip(1)
                    .all(|dir| is_root(dir) || matches!(self.synced.get(dir), Some(Node::Dir)))
            })
            .cloned()
            .collect();
        for path in orphans {
            self.synced.remove(&path);
        }
        self.seen.clone_from(&self.synced);
        for inode in self.files() {
            Inode::lock(&inode).power_cut(random);
        }
    }
}
