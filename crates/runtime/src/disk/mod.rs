//! The disk seam. Calls block, as the system's do; whoever makes them is on a thread that may wait.

use std::{any::Any, io, path::Path, sync::Arc};

use futures_util::future::BoxFuture;

pub mod sim;
mod system;

pub use system::SystemDisk;

/// An open file.
pub trait File: Send {
    /// Appends all of `bytes` at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buf` from `offset`; `UnexpectedEof` if the file is shorter.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes everything appended so far survive a power cut (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// True if the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// It must exist; reading only.
    Read,
    /// It must exist; reading and appending.
    Append,
    /// It must not exist; readable by its owner and group.
    Create,
    /// It must not exist; readable by its owner alone (0600).
    CreatePrivate,
}

/// A directory's entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The file's name.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
}

/// Holds a lock of [`Disk::lock`] until it is dropped.
pub type LockGuard = Arc<dyn Any + Send + Sync>;

/// The file system. A new name survives a power cut only after [`Disk::sync_dir`] on its directory.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>>;

    /// The whole of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Renames within a file system, replacing the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What a directory holds, in name order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a directory and its parents (0750).
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes everything written at or below `dir` so far survive a power cut, names and all. May sync
    /// the whole file system to do so.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks the file at `path` (made if need be) against other processes until the guard is dropped;
    /// `WouldBlock` if it is locked.
    fn lock(&self, path: &Path) -> io::Result<LockGuard>;

    /// A number that stays with a file through renames, and that no copy of it has (the inode).
    fn identity(&self, path: &Path) -> io::Result<u64>;

    /// Runs `job`, which blocks on this disk, off the async threads. A simulated disk takes simulated
    /// time over it.
    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
}
