//! The journal's directory: every file of it is read and written through here.
//!
//! ```text
//! origin        who this log is, and its public keys      wal/      records not yet in synced tiles
//! key           the private key (0600)                    tile/     C2SP tlog-tiles
//! checkpoint    C2SP checkpoint                           payload/  salts and payloads, erasable
//! witnessed     newest cosigned checkpoint                requests/ asked of the running writer
//! witnesses     keys of the witnesses that cosigned it
//! instance      tells this directory from a copy          archive/  the logs this one was restored from
//! lock          held by the writer                        tmp/      files before they are named
//! ```

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use seawall_runtime::disk::{Disk, Entry, Open};

/// A journal's directory on a disk.
#[derive(Clone)]
pub(crate) struct Home {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dir.fmt(f)
    }
}

/// A disk operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DiskError {
    /// What was attempted, as in "read".
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// Something in the directory is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct Damage {
    /// The file, relative to the journal's directory.
    pub file: String,
    /// The record concerned, where there is one.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    pub(crate) fn new(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self { file: file.into(), index: None, what: what.into() }
    }

    pub(crate) fn at(file: impl Into<String>, index: u64, what: impl Into<String>) -> Self {
        Self { file: file.into(), index: Some(index), what: what.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}: record {index}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// When a file that is put in place survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Whenever a later sync covers it.
    Later,
    /// Its contents before it is named; the name later. A power cut leaves the old file or the new.
    Contents,
    /// Contents and name before the call returns.
    Now,
}

impl Home {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: impl Into<PathBuf>) -> Self {
        Self { disk, dir: dir.into() }
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn run<T>(
        &self,
        action: &'static str,
        name: impl AsRef<Path>,
        job: impl FnOnce(&dyn Disk, &Path) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        let path = self.dir.join(name);
        job(&*self.disk, &path).map_err(|source| DiskError { action, path, source })
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, DiskError> {
        self.run("read", name, |disk, path| disk.read(path))
    }

    /// The file's bytes, or `None` if there is no such file.
    pub(crate) fn read_if_there(&self, name: impl AsRef<Path>) -> Result<Option<Vec<u8>>, DiskError> {
        self.run("read", name, |disk, path| or_absent(disk.read(path)))
    }

    pub(crate) fn open(&self, name: impl AsRef<Path>, how: Open) -> Result<HomeFile, DiskError> {
        let path = self.dir.join(&name);
        let file = self.run("open", name, |disk, path| disk.open(path, how))?;
        Ok(HomeFile { path, file })
    }

    /// What a directory holds; nothing if it is not there.
    pub(crate) fn list(&self, name: impl AsRef<Path>) -> Result<Vec<Entry>, DiskError> {
        self.run("list", name, |disk, path| or_absent(disk.list(path))).map(Option::unwrap_or_default)
    }

    pub(crate) fn create_dir(&self, name: impl AsRef<Path>) -> Result<(), DiskError> {
        self.run("create", name, |disk, path| disk.create_dir_all(path))
    }

    pub(crate) fn sync_dir(&self, name: impl AsRef<Path>) -> Result<(), DiskError> {
        self.run("sync", name, |disk, path| disk.sync_dir(path))
    }

    /// Makes the journal's directory itself survive a power cut, as far as its parents may be opened.
    pub(crate) fn sync_parents(&self) -> Result<(), DiskError> {
        for parent in self.dir.ancestors().skip(1) {
            let path = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            match self.disk.sync_dir(path) {
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
                result => {
                    let path = path.to_owned();
                    result.map_err(|source| DiskError { action: "sync", path, source })?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn sync_all(&self) -> Result<(), DiskError> {
        self.run("sync", "", |disk, path| disk.sync_all(path))
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: impl AsRef<Path>) -> Result<(), DiskError> {
        self.run("remove", name, |disk, path| or_absent(disk.remove(path))).map(|_| ())
    }

    /// Removes a directory and the files in it, if it is there.
    pub(crate) fn remove_dir_of_files(&self, name: impl AsRef<Path>) -> Result<(), DiskError> {
        for entry in self.list(&name)? {
            self.remove(name.as_ref().join(entry.name))?;
        }
        self.run("remove", name, |disk, path| or_absent(disk.remove_dir(path))).map(|_| ())
    }

    pub(crate) fn rename(&self, from: &str, to: &Path) -> Result<(), DiskError> {
        let target = self.dir.join(to);
        self.run("rename", from, |disk, path| disk.rename(path, &target))
    }

    /// Writes a whole file under a temporary name and then names it, so that nobody sees it half done.
    pub(crate) fn put(&self, name: &Path, bytes: &[u8], durable: Durability) -> Result<(), DiskError> {
        self.put_as(name, bytes, durable, Open::Create)
    }

    /// [`Self::put`] with [`Durability::Now`], for a file that only its owner may read.
    pub(crate) fn put_private(&self, name: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.put_as(name, bytes, Durability::Now, Open::CreatePrivate)
    }

    fn put_as(&self, name: &Path, bytes: &[u8], durable: Durability, how: Open) -> Result<(), DiskError> {
        let temporary = format!("tmp/{}", name.to_string_lossy().replace('/', "_"));
        let mut file = self.open(&temporary, how)?;
        file.append(bytes)?;
        if durable != Durability::Later {
            file.sync()?;
        }
        self.rename(&temporary, name)?;
        if durable == Durability::Now {
            self.sync_dir(name.parent().unwrap_or(Path::new("")))?;
        }
        Ok(())
    }
}

fn or_absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// An open file of the journal.
pub(crate) struct HomeFile {
    path: PathBuf,
    file: Box<dyn seawall_runtime::disk::File>,
}

impl HomeFile {
    fn named<T>(&self, action: &'static str, result: io::Result<T>) -> Result<T, DiskError> {
        result.map_err(|source| DiskError { action, path: self.path.clone(), source })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let result = self.file.append(bytes);
        self.named("write", result)
    }

    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        let result = self.file.sync();
        self.named("sync", result)
    }

    pub(crate) fn truncate(&mut self, len: u64) -> Result<(), DiskError> {
        let result = self.file.truncate(len);
        self.named("truncate", result)
    }

    pub(crate) fn len(&self) -> Result<u64, DiskError> {
        self.named("measure", self.file.len())
    }

    pub(crate) fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let mut bytes = vec![0; len];
        self.named("read", self.file.read_exact_at(&mut bytes, offset))?;
        Ok(bytes)
    }
}

impl fmt::Debug for HomeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}
