//! A simulated file system, in memory. It tells what was written from what would survive a power cut
//! (contents and names apart), and breaks on demand: full, stalled, failing, torn. Deterministic: what
//! happens follows from the calls and from the generator handed to [`SimDisk::power_cut`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::{Disk, Entry, File, LockGuard, Open};

mod inode;
mod names;

use inode::Inode;
use names::{NameChange, Names, Node};

/// A simulated disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when the disk goes on. Unlike a `watch`, it wakes those who wait in their order.
    goes_on: Notify,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    locks: BTreeSet<PathBuf>,
    next_inode: u64,
    /// Power cuts so far; handles and locks from before one are dead.
    boots: u64,
    ops: u64,
    full: bool,
    stalled: bool,
    fail_at: Option<u64>,
    cut_at: Option<u64>,
    off: bool,
    latency: Duration,
}

/// What is to become of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), goes_on: Notify::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With `true`, whatever needs space fails (`StorageFull`).
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// With `true`, offloaded work does not begin until it is set to `false` again.
    pub fn set_stalled(&self, stalled: bool) {
        self.state().stalled = stalled;
        if !stalled {
            self.shared.goes_on.notify_waiters();
        }
    }

    /// Simulated time each offloaded piece of work takes.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// The operation after the next `after` changing ones fails once. A failed append has written a
    /// part; a failed sync has dropped what it should have written, as Linux does.
    pub fn fail_after(&self, after: u64) {
        let mut state = self.state();
        state.fail_at = Some(state.ops + after + 1);
    }

    /// The power goes after `after` more changing operations: from then on everything fails until
    /// [`Self::power_cut`].
    pub fn cut_after(&self, after: u64) {
        let mut state = self.state();
        state.cut_at = Some(state.ops + after + 1);
    }

    /// True between the moment set by [`Self::cut_after`] and [`Self::power_cut`].
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// How many operations that change something there have been.
    pub fn ops(&self) -> u64 {
        self.state().ops
    }

    /// Cuts the power and brings it back. Names and contents that no sync covered survive, are lost or
    /// are torn, as `random` has it. Open files and locks are gone; faults are cleared.
    pub fn power_cut(&self, random: &mut fastrand::Rng) {
        let mut state = self.state();
        state.names.power_cut(random);
        state.locks.clear();
        state.boots += 1;
        state.full = false;
        state.fail_at = None;
        state.cut_at = None;
        state.off = false;
        drop(state);
        self.set_stalled(false);
    }

    /// A file's bytes as readers see them, power or no power.
    pub fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let inode = self.state().names.file(path).ok()?;
        let bytes = Inode::lock(&inode).bytes().to_vec();
        Some(bytes)
    }

    /// Every file and its bytes as readers see them, in name order, power or no power.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state().names.contents()
    }

    /// Changes a file's bytes behind everybody's back, as a failing medium does.
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let inode = self.state().names.file(path)?;
        Inode::lock(&inode).corrupt(change);
        Ok(())
    }
}

impl State {
    fn reading(&self) -> io::Result<()> {
        if self.off { Err(power_is_off()) } else { Ok(()) }
    }

    /// Counts an operation that changes something, and tells whether it is to fail.
    fn changing(&mut self) -> io::Result<Fate> {
        self.reading()?;
        self.ops += 1;
        if self.cut_at.is_some_and(|at| self.ops >= at) {
            self.off = true;
            return Err(power_is_off());
        }
        if self.fail_at == Some(self.ops) {
            self.fail_at = None;
            return Ok(Fate::Failed);
        }
        Ok(Fate::Done)
    }

    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        match self.changing()? {
            Fate::Done => self.names.change(change),
            Fate::Failed => Err(io_error()),
        }
    }

    fn needs_space(&self) -> io::Result<()> {
        if self.full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn io_error() -> io::Error {
    io::Error::other("simulated input/output error")
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    boots: u64,
    inode: Arc<Mutex<Inode>>,
    writable: bool,
}

impl SimFile {
    fn alive(&self, state: &State) -> io::Result<()> {
        if state.boots == self.boots { state.reading() } else { Err(power_is_off()) }
    }
}

impl File for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        self.alive(&state)?;
        if !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        state.needs_space()?;
        let fate = state.changing();
        let written = if matches!(fate, Ok(Fate::Done)) { bytes } else { &bytes[..bytes.len() / 2] };
        Inode::lock(&self.inode).append(written);
        if fate? == Fate::Done { Ok(()) } else { Err(io_error()) }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.alive(&self.disk.state())?;
        let inode = Inode::lock(&self.inode);
        let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let bytes = inode
            .bytes()
            .get(start..)
            .and_then(|rest| rest.get(..buf.len()))
            .ok_or(ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        self.alive(&state)?;
        match state.changing()? {
            Fate::Done => Inode::lock(&self.inode).sync(),
            Fate::Failed => {
                Inode::lock(&self.inode).drop_unsynced();
                return Err(io_error());
            }
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        self.alive(&state)?;
        match state.changing()? {
            Fate::Done => Inode::lock(&self.inode).truncate(usize::try_from(len).unwrap_or(usize::MAX)),
            Fate::Failed => return Err(io_error()),
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.alive(&self.disk.state())?;
        Ok(Inode::lock(&self.inode).bytes().len() as u64)
    }
}

/// Frees a simulated lock when the last clone goes.
struct SimLock {
    disk: SimDisk,
    boots: u64,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boots == self.boots {
            state.locks.remove(&self.path);
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.reading()?;
        let inode = match how {
            Open::Read | Open::Append => state.names.file(path)?,
            Open::Create | Open::CreatePrivate => {
                state.needs_space()?;
                state.next_inode += 1;
                let inode = Arc::new(Mutex::new(Inode::new(state.next_inode)));
                state.change_names(NameChange::Link(path.to_owned(), Node::File(inode.clone())))?;
                inode
            }
        };
        Ok(Box::new(SimFile { disk: self.clone(), boots: state.boots, inode, writable: how != Open::Read }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.reading()?;
        let inode = state.names.file(path)?;
        let bytes = Inode::lock(&inode).bytes().to_vec();
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.reading()?;
        let inode = state.names.file(from)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.reading()?;
        state.names.file(path)?;
        state.change_names(NameChange::Unlink(path.to_owned()))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        state.reading()?;
        state.names.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.reading()?;
        for dir in state.names.missing_dirs(dir)? {
            state.needs_space()?;
            state.change_names(NameChange::Link(dir, Node::Dir))?;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.reading()?;
        state.names.dir(dir)?;
        match state.changing()? {
            Fate::Done => state.names.sync_dir(dir),
            Fate::Failed => return Err(io_error()),
        }
        Ok(())
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.reading()?;
        state.names.dir(dir)?;
        let fate = state.changing()?;
        for inode in state.names.files() {
            let mut inode = Inode::lock(&inode);
            match fate {
                Fate::Done => inode.sync(),
                Fate::Failed => inode.drop_unsynced(),
            }
        }
        if fate == Fate::Failed {
            return Err(io_error());
        }
        state.names.sync_all();
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.reading()?;
        if !state.names.list(dir)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.change_names(NameChange::Unlink(dir.to_owned()))
    }

    fn lock(&self, path: &Path) -> io::Result<LockGuard> {
        let missing = self.state().names.file(path).is_err();
        if missing {
            self.open(path, Open::Create)?;
        }
        let mut state = self.state();
        state.reading()?;
        if !state.locks.insert(path.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Arc::new(SimLock { disk: self.clone(), boots: state.boots, path: path.to_owned() }))
    }

    fn identity(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        state.reading()?;
        let inode = state.names.file(path)?;
        let number = Inode::lock(&inode).number();
        Ok(number)
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let latency = self.state().latency;
        let disk = self.clone();
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            loop {
                let goes_on = disk.shared.goes_on.notified();
                if !disk.state().stalled {
                    break;
                }
                goes_on.await;
            }
            job();
        })
    }
}

#[cfg(test)]
mod tests;
