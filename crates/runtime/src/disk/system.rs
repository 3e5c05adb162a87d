//! The machine's own file system.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use futures_util::future::BoxFuture;

use super::{Disk, Entry, File, LockGuard, Open};

/// The machine's file system. Blocking work goes to tokio's blocking threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

struct SystemFile(fs::File);

impl File for SystemFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match how {
            Open::Read => {}
            Open::Append => {
                options.append(true);
            }
            Open::Create => {
                options.append(true).create_new(true).mode(0o640);
            }
            Open::CreatePrivate => {
                options.append(true).create_new(true).mode(0o600);
            }
        }
        Ok(Box::new(SystemFile(options.open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().into_string().map_err(|name| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("{name:?} is not UTF-8"))
                })?;
                Ok(Entry { name, is_dir: entry.file_type()?.is_dir() })
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(dir)?)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        for entry in self.list(dir)? {
            let path = dir.join(&entry.name);
            if entry.is_dir { self.sync_all(&path)? } else { fs::File::open(path)?.sync_all()? }
        }
        self.sync_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<LockGuard> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)?;
        file.try_lock()?;
        Ok(Arc::new(file))
    }

    fn identity(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.ino())
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Err(error) = tokio::task::spawn_blocking(job).await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_freed_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let guard = SystemDisk.lock(&path).unwrap();
        assert_eq!(SystemDisk.lock(&path).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
        drop(guard);
        assert!(SystemDisk.lock(&path).is_ok());
    }

    #[test]
    fn a_private_file_is_its_owners_alone_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        SystemDisk.open(&path, Open::CreatePrivate).unwrap().append(b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = SystemDisk.open(&path, Open::CreatePrivate).err().map(|e| e.kind());
        assert_eq!(again, Some(io::ErrorKind::AlreadyExists));
        SystemDisk.sync_all(dir.path()).unwrap();
        assert_eq!(SystemDisk.read(&path).unwrap(), b"secret");
    }
}
