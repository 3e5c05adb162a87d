//! The embedded [`Lease`]: a lock file for each, in one directory.
//!
//! The system holds the lock for as long as the process lives. The file holds the epoch, which goes up by
//! one with every new holder, so that whoever is asked to act can refuse a holder of old.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use seawall_model::Name;
use tracing::warn;

use crate::seam::Lease;

/// Digits of an epoch in its file. Always that many, so that writing never changes the length.
const DIGITS: usize = 20;

/// Leases among the processes of one machine.
#[derive(Debug)]
pub struct FileLease {
    dir: PathBuf,
    held: Mutex<BTreeMap<String, Held>>,
}

#[derive(Debug)]
struct Held {
    epoch: u64,
    /// Locked for as long as it is open.
    file: File,
}

impl Drop for Held {
    /// Closing would unlock as well, but only once nobody else has the file open: a child being started
    /// has, for a moment, all files of its parent.
    fn drop(&mut self) {
        // The error means that it is unlocked by closing after all.
        let _ = self.file.unlock();
    }
}

/// Why a lease could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum LeaseError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} holds no epoch; remove it once no Seawall runs that knew it", path.display())]
    Damaged { path: PathBuf },
    #[error("`{0}` is no name for a lease")]
    Name(String),
}

impl FileLease {
    /// Leases kept in `dir`, which is made when it is first needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), held: Mutex::default() }
    }

    fn try_hold(&self, name: &str) -> Result<Option<u64>, LeaseError> {
        let name = Name::new(name).map_err(|_| LeaseError::Name(name.to_owned()))?;
        let path = self.dir.join(format!("{name}.lease"));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = held.get(name.as_str()) {
            if is_at(&lease.file, &path) {
                return Ok(Some(lease.epoch));
            }
            // Somebody removed or replaced the file: another process may hold the new one.
            held.remove(name.as_str());
        }
        let taken = take(&self.dir, &path).map_err(|e| match e {
            e if e.kind() == io::ErrorKind::InvalidData => LeaseError::Damaged { path: path.clone() },
            source => LeaseError::File { path: path.clone(), source },
        })?;
        let Some(lease) = taken else { return Ok(None) };
        let epoch = lease.epoch;
        held.insert(name.as_str().to_owned(), lease);
        Ok(Some(epoch))
    }
}

impl Lease for FileLease {
    /// Blocks on the disk when the lease changes hands, and hardly ever after.
    fn hold(&self, name: &str) -> Option<u64> {
        self.try_hold(name).unwrap_or_else(|error| {
            warn!(lease = name, %error, "cannot take the lease");
            None
        })
    }
}

/// Locks the file and writes the next epoch; `None` if another holds it.
fn take(dir: &Path, path: &Path) -> io::Result<Option<Held>> {
    std::fs::create_dir_all(dir)?;
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    // Between opening and locking, the file may have been replaced, and the new one locked by another.
    if !is_at(&file, path) {
        return Ok(None);
    }
    let mut text = String::new();
    (&mut file).take(DIGITS as u64 + 2).read_to_string(&mut text)?;
    let before: u64 = match text.strip_suffix('\n') {
        None if text.is_empty() => 0,
        Some(digits) if digits.len() == DIGITS => digits.parse().map_err(|_| io::ErrorKind::InvalidData)?,
        Some(_) | None => return Err(io::ErrorKind::InvalidData.into()),
    };
    let epoch = before.checked_add(1).ok_or(io::ErrorKind::InvalidData)?;
    file.rewind()?;
    file.write_all(format!("{epoch:0DIGITS$}\n").as_bytes())?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(Some(Held { epoch, file }))
}

fn is_at(file: &File, path: &Path) -> bool {
    let id = |m: &std::fs::Metadata| (m.dev(), m.ino());
    matches!((file.metadata(), path.metadata()), (Ok(a), Ok(b)) if id(&a) == id(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_every_one_with_a_higher_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = [0, 1].map(|_| FileLease::new(dir.path().join("leases")));
        for (holder, name, wanted) in [
            (&a, "pager", Some(1)),
            (&a, "pager", Some(1)),
            (&b, "pager", None),
            (&b, "renewal", Some(1)),
            (&a, "renewal", None),
            (&a, "no/name", None),
        ] {
            assert_eq!(holder.hold(name), wanted, "{name}");
        }
        drop(a);
        assert_eq!(b.hold("pager"), Some(2));
    }

    #[test]
    fn a_lease_whose_file_is_gone_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = [0, 1].map(|_| FileLease::new(dir.path()));
        assert_eq!(a.hold("pager"), Some(1));
        std::fs::rename(dir.path().join("pager.lease"), dir.path().join("old")).unwrap();
        assert_eq!((b.hold("pager"), a.hold("pager")), (Some(1), None));
    }

    #[test]
    fn a_damaged_epoch_is_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pager.lease");
        for text in
            ["1\n", "0000000000000000000x\n", "99999999999999999999\n", "000000000000000000001\n", "\u{0}"]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(FileLease::new(dir.path()).hold("pager"), None, "{text:?}");
        }
        std::fs::write(&path, "00000000000000000041\n").unwrap();
        assert_eq!(FileLease::new(dir.path()).hold("pager"), Some(42));
    }
}
