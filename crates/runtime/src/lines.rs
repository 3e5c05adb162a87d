//! Lines for others to read, as an access log's: written by a thread of their own, behind a bounded queue.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that may wait to be written.
const QUEUE: usize = 8_192;

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that lines are added to. It may be cut short or moved away at any time.
    File(PathBuf),
}

/// Writes lines. Dropped last, so that those still queued are written (for a second at most).
pub struct Lines {
    to: NonBlocking,
    lost: ErrorCounter,
    /// The file is to be opened anew before the next line.
    stale: Arc<AtomicBool>,
    _writer: WorkerGuard,
}

impl Lines {
    /// Opens the target.
    ///
    /// # Errors
    /// If the file can be neither opened nor made.
    pub fn open(target: &Target) -> io::Result<Self> {
        let stale = Arc::new(AtomicBool::new(false));
        let builder =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).thread_name("access-log");
        let (to, writer) = match target {
            Target::Stdout => builder.finish(io::stdout()),
            Target::Stderr => builder.finish(io::stderr()),
            Target::File(path) => {
                let file = append(path)?;
                builder.finish(Reopening { path: path.clone(), file, stale: stale.clone() })
            }
        };
        Ok(Self { lost: to.error_counter(), to, stale, _writer: writer })
    }

    /// Queues a line, with the line feed at its end, or counts it as lost.
    pub fn write(&mut self, line: &[u8]) {
        // A queue that is full counts it; there is no other error.
        let _ = self.to.write_all(line);
    }

    /// Opens the file anew before the next line: it has been moved away.
    pub fn reopen(&self) {
        self.stale.store(true, Relaxed);
    }

    /// Lines lost so far.
    pub fn lost(&self) -> usize {
        self.lost.dropped_lines()
    }
}

/// A file that is opened anew when told to. One that cannot be is written to where it is.
struct Reopening {
    path: PathBuf,
    file: File,
    stale: Arc<AtomicBool>,
}

impl Write for Reopening {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stale.swap(false, Relaxed) {
            match append(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "the access log cannot be opened anew");
                }
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// At the end, wherever that is by then: a file that somebody cut short is gone on with from its new end.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_file_may_be_moved_away_or_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.jsonl"), dir.path().join("access.jsonl.1"));
        let stale = Arc::new(AtomicBool::new(false));
        let file = append(&path).unwrap();
        let mut lines = Reopening { path: path.clone(), file, stale: stale.clone() };
        lines.write_all(b"1\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        lines.write_all(b"2\n").unwrap();
        stale.store(true, Relaxed);
        lines.write_all(b"3\n").unwrap();
        assert_eq!((&*text(&moved), &*text(&path)), ("1\n2\n", "3\n"));
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        lines.write_all(b"4\n").unwrap();
        assert_eq!(text(&path), "4\n");
    }

    #[test]
    fn lines_that_were_queued_are_written_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.jsonl");
        let mut lines = Lines::open(&Target::File(path.clone())).unwrap();
        lines.write(b"1\n");
        lines.write(b"2\n");
        assert_eq!(lines.lost(), 0);
        drop(lines);
        assert_eq!(text(&path), "1\n2\n");
        assert!(Lines::open(&Target::File(dir.path().join("no/such"))).is_err());
    }
}
