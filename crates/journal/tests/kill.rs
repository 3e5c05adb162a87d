//! Real processes, really killed (SIGKILL) while they append: what they said was acknowledged is there,
//! and every checkpoint they printed is of the tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use seawall_journal::{
    Entropy, Frame, Reader, Store, StoreOptions, VerifyOptions, encode, merkle::Hash, verify,
};
use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::disk::SystemDisk;

const DIR: &str = "SEAWALL_TEST_JOURNAL";

/// Kills by default; `SEAWALL_KILLS` says another number.
const KILLS: u64 = 200;

/// Lines that a child gets to print before it is killed, at most.
const MOST_LINES: u64 = 150;

fn open(dir: &Path, entropy: &mut Entropy) -> Store {
    let options = StoreOptions {
        dir: dir.to_owned(),
        name: "example.com/test".into(),
        segment_bytes: 1 << 20,
        witnesses: Vec::new(),
        remembered: None,
    };
    Store::open(Arc::new(SystemDisk), options, entropy).unwrap().0
}

/// The child: appends for ever, and says what it was told. Does nothing in an ordinary test run.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut entropy = Entropy::system();
    let mut random = fastrand::Rng::new();
    let mut store = open(Path::new(&dir), &mut entropy);
    let mut out = std::io::stdout();
    loop {
        let frames: Vec<Frame> = (0..random.u32(1..60))
            .map(|n| {
                let payload = serde_json::json!({ "n": n, "pad": "x".repeat(random.usize(..200)) });
                let record = Record { kind: RecordKind::Head, component: None, at: Wall(1), payload };
                encode(&record, &mut entropy).unwrap()
            })
            .collect();
        let hashes: Vec<Hash> = frames.iter().map(Frame::hash).collect();
        let first = store.append(frames).unwrap().start;
        let mut said = String::new();
        for (index, hash) in (first..).zip(hashes) {
            said += &format!("acknowledged {index} {hash}\n");
        }
        if random.u8(..3) == 0 {
            store.integrate().unwrap();
            let checkpoint = store.checkpoint().checkpoint();
            said += &format!("checkpoint {} {}\n", checkpoint.size, checkpoint.root);
        }
        // Before a flush, so that the kill may come in the middle of it.
        out.write_all(said.as_bytes()).unwrap();
        if random.u8(..8) == 0 {
            store.flush().unwrap();
        }
    }
}

#[derive(Default)]
struct Told {
    acknowledged: BTreeMap<u64, String>,
    checkpoints: BTreeMap<u64, String>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        // The test harness has things to say as well, and may begin the first line.
        match words[words.len().saturating_sub(3)..] {
            [kind, number, hash] if kind.ends_with("acknowledged") => {
                self.acknowledged.insert(number.parse().unwrap(), hash.to_owned());
            }
            [kind, number, hash] if kind.ends_with("checkpoint") => {
                self.checkpoints.insert(number.parse().unwrap(), hash.to_owned());
            }
            _ => {}
        }
    }

    fn check(&self, dir: &Path) {
        let mut reader = Reader::open(Arc::new(SystemDisk), dir).unwrap();
        let size = reader.checkpoint().unwrap().checkpoint().size;
        for (index, hash) in &self.acknowledged {
            let entry = reader.entry(*index, size).unwrap();
            assert_eq!(Hash::leaf(&entry.leaf).to_base64(), *hash, "record {index}");
        }
        for (size, root) in &self.checkpoints {
            assert_eq!(reader.root(*size).unwrap().to_base64(), *root, "checkpoint of {size}");
        }
    }
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_processes_lose_nothing_they_acknowledged() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    let kills = std::env::var("SEAWALL_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(1);
    let base = tempfile::tempdir().unwrap();
    let mut dir = base.path().join("0");
    let mut told = Told::default();
    for kill in 0..kills {
        let mut child = spawn(&dir);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref().take(random.u64(1..MOST_LINES) as usize) {
            told.hear(&line.unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had written before it died counts as well; a line cut short does not.
        lines.map_while(Result::ok).for_each(|line| {
            if line.ends_with('=') {
                told.hear(&line);
            }
        });
        if kill % 5 == 4 {
            drop(open(&dir, &mut Entropy::system()));
            told.check(&dir);
        }
        if kill % 50 == 49 {
            let options = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };
            assert_eq!(verify(Arc::new(SystemDisk), &dir, &options).unwrap().findings, []);
            assert!(told.acknowledged.len() > 1000 && told.checkpoints.len() > 10);
            dir = base.path().join(kill.to_string());
            told = Told::default();
        }
    }
}
