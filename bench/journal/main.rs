//! Durable appends a second against a bare write+fdatasync loop at the same batches in the same run, and
//! records verified a second.
//!
//! ```sh
//! cargo run --release -p seawall-journal --example journal_bench [directory]
//! ```
//!
//! The directory (`target/journal-bench` by default) should be on the disk to be measured; it is emptied.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use seawall_journal::{
    Entropy, Journal, JournalMetrics, OpenOptions, VerifyOptions, estate::JournalSection, verify,
};
use seawall_model::{ComponentId, Record, RecordKind, Wall};
use seawall_runtime::{
    clock::Clock,
    disk::{Disk, Entry, File, LockGuard, Open, SystemDisk},
    seam::Recorder,
};

/// Callers that each wait for their record before they hand in the next.
const IN_FLIGHT: usize = 256;

/// Bytes of a record's payload.
const RECORD: usize = 512;

/// Pairs of a journal's and a bare run: many short ones, so that whatever else the machine does hits both.
const ROUNDS: usize = 40;

/// How long the journal is loaded in each round.
const ROUND: Duration = Duration::from_millis(500);

/// What is to be reached: share of the bare loop's rate, and records verified a second.
const BARS: (f64, f64) = (0.60, 500_000.0);

/// The machine's disk, noting how many records each write to the write-ahead log holds.
struct Counting {
    disk: SystemDisk,
    batches: Arc<Mutex<Vec<u32>>>,
}

struct CountingFile {
    file: Box<dyn File>,
    batches: Arc<Mutex<Vec<u32>>>,
}

impl File for CountingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(count) = bytes.get(16..20).and_then(|count| count.try_into().ok()) {
            self.batches.lock().expect("no thread panics").push(u32::from_be_bytes(count));
        }
        self.file.append(bytes)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl Disk for Counting {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let file = self.disk.open(path, how)?;
        let log = path.parent().is_some_and(|dir| dir.ends_with("wal"));
        Ok(if log { Box::new(CountingFile { file, batches: self.batches.clone() }) } else { file })
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_all(dir)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<LockGuard> {
        self.disk.lock(path)
    }
    fn identity(&self, path: &Path) -> io::Result<u64> {
        self.disk.identity(path)
    }
    fn offload(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        self.disk.offload(job)
    }
}

fn record() -> Result<Record, Box<dyn Error>> {
    let component: ComponentId = "upstream:ethereum/alpha".parse()?;
    let frame = "{\"pad\":\"\"}".len();
    let payload = serde_json::json!({ "pad": "x".repeat(RECORD - frame) });
    Ok(Record { kind: RecordKind::Breaker, component: Some(component), at: Wall(1_754_374_027_250), payload })
}

/// Records, and the time they took.
#[derive(Default, Clone, Copy)]
struct Measured {
    records: u64,
    time: Duration,
}

impl Measured {
    fn rate(self) -> f64 {
        self.records as f64 / self.time.as_secs_f64()
    }
}

impl std::ops::AddAssign for Measured {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.time += other.time;
    }
}

/// Loads the journal for a round.
async fn load(journal: &Journal) -> Result<Measured, Box<dyn Error>> {
    let done = Arc::new(AtomicU64::new(0));
    let (start, record) = (Instant::now(), record()?);
    let callers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (journal, done, record) = (journal.clone(), done.clone(), record.clone());
            tokio::spawn(async move {
                while start.elapsed() < ROUND {
                    journal.record(record.clone()).await.expect("the disk takes it");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await?;
    }
    Ok(Measured { records: done.load(Ordering::Relaxed), time: start.elapsed() })
}

/// Writes and syncs the same batches with nothing around them.
fn bare(path: &Path, batches: &[u32]) -> io::Result<Measured> {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    let most = batches.iter().copied().max().unwrap_or(0) as usize;
    let bytes = vec![b'x'; most * RECORD];
    let start = Instant::now();
    for count in batches {
        file.write_all(&bytes[..*count as usize * RECORD])?;
        file.sync_data()?;
    }
    let measured = Measured { records: batches.iter().copied().map(u64::from).sum(), time: start.elapsed() };
    fs::remove_file(path)?;
    Ok(measured)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/journal-bench".into()));
    fs::remove_dir_all(&dir)
        .or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    fs::create_dir_all(&dir)?;
    let mut out = io::stdout().lock();
    let batches = Arc::new(Mutex::new(Vec::new()));
    let disk = Arc::new(Counting { disk: SystemDisk, batches: batches.clone() });
    let options = OpenOptions {
        section: JournalSection::in_dir(dir.join("journal")),
        name: "example.com/bench".into(),
        remembered: None,
        clock: Clock::system(),
        entropy: Entropy::system(),
        metrics: JournalMetrics::default(),
    };
    let (journal, writer) = Journal::open(disk.clone(), options)?;
    let writer = tokio::spawn(writer.run());
    let (mut ours, mut theirs, mut commits) = (Measured::default(), Measured::default(), 0);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let journal = load(&journal).await?;
        let batches = std::mem::take(&mut *batches.lock().expect("no thread panics"));
        let bare = bare(&dir.join("bare"), &batches)?;
        commits += batches.len() as u64;
        ratios.push(journal.rate() / bare.rate());
        ours += journal;
        theirs += bare;
    }
    journal.close().await;
    writer.await?;
    let ratio = ours.rate() / theirs.rate();
    writeln!(
        out,
        "durable appends: {:.0}/s at {IN_FLIGHT} in flight, bare loop {:.0}/s, batches of {}: ratio {ratio:.2}, median of rounds {:.2} (bar {:.2})",
        ours.rate(),
        theirs.rate(),
        theirs.records / commits.max(1),
        median(ratios),
        BARS.0
    )?;

    let threads = std::thread::available_parallelism()?.get();
    let options = VerifyOptions { key: None, threads, progress: &|_, _| {} };
    let mut speeds = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let report = verify(Arc::new(SystemDisk), dir.join("journal"), &options)?;
        assert!(report.is_sound(), "{:?}", report.findings);
        speeds.push(report.size as f64 / start.elapsed().as_secs_f64());
    }
    let speed = median(speeds);
    writeln!(out, "verify: {speed:.0} records/s on {threads} threads (bar {:.0})", BARS.1)?;
    fs::remove_dir_all(&dir)?;
    if ratio < BARS.0 || speed < BARS.1 {
        return Err("below a bar".into());
    }
    Ok(())
}
