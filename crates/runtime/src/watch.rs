//! Notices that files have changed, by looking at them every second: what notifies of changes differs
//! from system to system, misses network file systems, and follows the old file when a new one is
//! renamed over it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;

/// Time between two looks. A change is told of when two in a row have seen the same.
const EVERY: Duration = Duration::from_secs(1);

/// Most entries of one directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// Watches files and directories.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    debounce: Debounce,
}

impl Watch {
    /// Watches `paths`, beginning with what they are now: to miss nothing, make it before reading them. A path need not exist; of a directory, the
    /// entries are watched, though not theirs.
    pub async fn new(paths: Vec<PathBuf>) -> Self {
        let debounce = Debounce::new(look(&paths).await);
        Self { paths, debounce }
    }

    /// Resolves when something has changed and has then been left alone for a moment. May be cancelled
    /// and awaited anew without missing a change.
    pub async fn changed(&mut self) {
        loop {
            sleep(EVERY).await;
            if self.debounce.see(look(&self.paths).await) {
                return;
            }
        }
    }
}

/// What a path was at a look. Whatever writes to a file, or puts another in its place, changes one of
/// these; `ctime` cannot be set back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    Present { device: u64, inode: u64, len: u64, ctime: (i64, i64) },
    Absent(io::ErrorKind),
}

type Look = BTreeMap<PathBuf, Stamp>;

/// Tells a change that is over from one that goes on.
#[derive(Debug)]
struct Debounce {
    /// What was last told of.
    told: Look,
    /// What was last seen.
    seen: Look,
}

impl Debounce {
    fn new(now: Look) -> Self {
        Self { told: now.clone(), seen: now }
    }

    /// True if what is seen differs from what was told, and is the same as the last time.
    fn see(&mut self, now: Look) -> bool {
        let settled = now == self.seen;
        self.seen = now;
        let news = settled && self.seen != self.told;
        if news {
            self.told.clone_from(&self.seen);
        }
        news
    }
}

async fn look(paths: &[PathBuf]) -> Look {
    let paths = paths.to_vec();
    // It fails only when the runtime is ending; then nothing is seen, and nobody told.
    tokio::task::spawn_blocking(move || look_at(&paths)).await.unwrap_or_default()
}

fn look_at(paths: &[PathBuf]) -> Look {
    let mut seen = Look::new();
    for path in paths {
        seen.insert(path.clone(), stamp(path));
        let entries = fs::read_dir(path).into_iter().flatten().flatten().take(MAX_ENTRIES);
        seen.extend(entries.map(|entry| (entry.path(), stamp(&entry.path()))));
    }
    seen
}

fn stamp(path: &Path) -> Stamp {
    match fs::metadata(path) {
        Ok(m) => Stamp::Present {
            device: m.dev(),
            inode: m.ino(),
            len: m.len(),
            ctime: (m.ctime(), m.ctime_nsec()),
        },
        Err(e) => Stamp::Absent(e.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen at each look after the first, and at which of them a change is told of.
    fn check(first: u64, looks: &[u64], told: &[usize]) {
        let at = |len| Look::from([("f".into(), Stamp::Present { device: 1, inode: 1, len, ctime: (0, 0) })]);
        let mut debounce = Debounce::new(at(first));
        let got: Vec<_> = (0..looks.len()).filter(|i| debounce.see(at(looks[*i]))).collect();
        assert_eq!(got, told, "{looks:?}");
    }

    #[test]
    fn a_change_is_told_once_it_is_over() {
        check(1, &[1, 1, 1], &[]);
        check(1, &[2, 2, 2, 2], &[1]);
        check(1, &[2, 3, 4, 4, 4], &[3]);
        check(1, &[2, 1, 1], &[]);
        check(1, &[2, 2, 1, 1], &[1, 3]);
    }

    #[test]
    fn every_way_of_changing_a_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let [file, sub] = ["seawall.toml", "conf.d"].map(|name| dir.path().join(name));
        let paths = [file.clone(), sub.clone()];
        let ways: [(&str, &dyn Fn() -> io::Result<()>); 8] = [
            ("made", &|| fs::write(&file, "a")),
            ("written over", &|| fs::write(&file, "b")),
            ("renamed over", &|| {
                fs::write(dir.path().join("new"), "c")?;
                fs::rename(dir.path().join("new"), &file)
            }),
            ("removed", &|| fs::remove_file(&file)),
            ("directory made", &|| fs::create_dir(&sub)),
            ("file put in", &|| fs::write(sub.join("x.toml"), "a")),
            ("file in it changed", &|| fs::write(sub.join("x.toml"), "b")),
            ("file taken out", &|| fs::remove_file(sub.join("x.toml"))),
        ];
        let mut before = look_at(&paths);
        for (way, change) in ways {
            // Far enough apart for the coarsest clock that file systems keep.
            std::thread::sleep(Duration::from_millis(20));
            change().unwrap();
            let after = look_at(&paths);
            assert_ne!(before, after, "{way}");
            before = after;
        }
        assert_eq!(before, look_at(&paths));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("seawall.toml");
        let mut watch = Watch::new(vec![file.clone()]).await;
        fs::write(&file, "a").unwrap();
        watch.changed().await;
        let again = tokio::time::timeout(EVERY * 60, watch.changed()).await;
        assert!(again.is_err(), "told twice of one change");
    }
}
