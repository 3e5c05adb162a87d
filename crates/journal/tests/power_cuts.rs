//! Power cuts and failing disks at any operation: what was acknowledged is there, and every checkpoint
//! that anybody could have read is of the tree that there is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use seawall_journal::{
    Entropy, Frame, OpenError, Reader, SignedCheckpoint, Store, StoreOptions, VerifyOptions, encode,
    merkle::Hash, verify,
};
use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::disk::sim::SimDisk;

const DIR: &str = "/journal";

/// Operations of the disk until the power goes, at most: enough to open, append and flush.
const LONGEST_SESSION: u64 = 160;

/// Records after which a scenario starts over on a fresh disk.
const LARGEST_LOG: u64 = 1500;

fn options() -> StoreOptions {
    StoreOptions {
        dir: DIR.into(),
        name: "example.com/test".into(),
        segment_bytes: 1 << 20,
        witnesses: Vec::new(),
        remembered: None,
    }
}

/// What the outside world has been told.
#[derive(Default)]
struct Told {
    acknowledged: BTreeMap<u64, Hash>,
    checkpoints: BTreeMap<u64, Hash>,
    erased: Vec<u64>,
}

struct Scenario {
    disk: SimDisk,
    random: fastrand::Rng,
    entropy: Entropy,
    told: Told,
    records: u64,
}

impl Scenario {
    fn new(seed: u64) -> Self {
        Self {
            disk: SimDisk::new(),
            random: fastrand::Rng::with_seed(seed),
            entropy: Entropy::seeded(seed),
            told: Told::default(),
            records: 0,
        }
    }

    fn open(&mut self) -> Result<Store, OpenError> {
        Store::open(Arc::new(self.disk.clone()), options(), &mut self.entropy).map(|(store, _)| store)
    }

    fn frames(&mut self) -> Vec<Frame> {
        let count =
            if self.random.u8(..10) == 0 { self.random.u64(200..400) } else { self.random.u64(1..40) };
        (0..count)
            .map(|_| {
                self.records += 1;
                let payload =
                    serde_json::json!({ "n": self.records, "pad": "x".repeat(self.random.usize(..90)) });
                let at = Wall(self.records as i64);
                let record = Record { kind: RecordKind::Head, component: None, at, payload };
                encode(&record, &mut self.entropy).unwrap()
            })
            .collect()
    }

    /// Uses the store until something fails: the power, or an operation.
    fn use_until_failure(&mut self, mut store: Store) {
        loop {
            let done = match self.random.u8(..20) {
                0 => store.flush().is_ok(),
                1 if store.size() > 0 => {
                    let index = self.random.u64(..store.size());
                    match store.erase(index, "asked to", Wall(0), &mut self.entropy) {
                        Ok(said) => {
                            self.told.erased.push(index);
                            assert!(said >= index);
                            true
                        }
                        Err(error) => !matches!(error.code(), "SW0401"),
                    }
                }
                2 => store.rotate_key(Wall(0), &mut self.entropy).is_ok(),
                3..=8 => store.integrate().is_ok(),
                _ => {
                    let frames = self.frames();
                    let hashes: Vec<_> = frames.iter().map(Frame::hash).collect();
                    let appended = store.append(frames);
                    if let Ok(indexes) = &appended {
                        self.told.acknowledged.extend(indexes.clone().zip(hashes));
                    }
                    appended.is_ok()
                }
            };
            self.read_checkpoint();
            if !done {
                return;
            }
        }
    }

    /// Anybody may have read the checkpoint that lies there now.
    fn read_checkpoint(&mut self) {
        if let Some(bytes) = self.disk.peek(&Path::new(DIR).join("checkpoint")) {
            let signed = SignedCheckpoint::parse(&bytes).unwrap();
            let checkpoint = signed.checkpoint();
            let before = self.told.checkpoints.insert(checkpoint.size, checkpoint.root);
            assert!(before.is_none_or(|root| root == checkpoint.root), "two roots at {}", checkpoint.size);
        }
    }

    /// A run of the program that ends in a power cut.
    fn session(&mut self) {
        self.disk.cut_after(self.random.u64(..LONGEST_SESSION));
        if self.random.u8(..4) == 0 {
            self.disk.fail_after(self.random.u64(..LONGEST_SESSION));
        }
        while !self.disk.is_off() {
            match self.open() {
                Ok(store) => self.use_until_failure(store),
                Err(error) => assert!(error.is_passing(), "{error}"),
            }
        }
        self.disk.power_cut(&mut self.random);
    }

    fn check(&mut self) {
        let store = self.open().unwrap();
        let size = store.size();
        let mut reader = Reader::open(Arc::new(self.disk.clone()), DIR).unwrap();
        let checkpoint = reader.checkpoint().unwrap();
        assert_eq!(checkpoint.checkpoint().size, size);
        let entries: Vec<_> = (0..size).map(|index| reader.entry(index, size).unwrap()).collect();
        for (index, hash) in &self.told.acknowledged {
            assert_eq!(Hash::leaf(&entries[*index as usize].leaf), *hash, "record {index}");
        }
        for (size, root) in &self.told.checkpoints {
            assert_eq!(reader.root(*size).unwrap(), *root, "checkpoint of {size}");
        }
        for index in &self.told.erased {
            assert_eq!(entries[*index as usize].salted, None, "payload {index}");
        }
        drop(store);
        if self.random.u8(..8) == 0 {
            let options = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };
            let report = verify(Arc::new(self.disk.clone()), DIR, &options).unwrap();
            assert_eq!(report.findings, [], "after recovery");
        }
    }
}

fn power_cuts(seed: u64, cuts: usize) {
    let mut scenario = Scenario::new(seed);
    for _ in 0..cuts {
        scenario.session();
        // Some cuts hit the recovery from the one before.
        if scenario.random.u8(..3) > 0 {
            scenario.check();
        }
        if scenario.told.acknowledged.len() as u64 > LARGEST_LOG {
            scenario = Scenario::new(scenario.random.u64(..));
        }
    }
    scenario.check();
}

/// Ten thousand cuts, unless `SEAWALL_POWER_CUTS` says another number.
#[test]
fn nothing_acknowledged_is_lost_and_no_checkpoint_is_contradicted() {
    const SCENARIOS: usize = 40;
    let cuts = std::env::var("SEAWALL_POWER_CUTS").map_or(10_000, |cuts| cuts.parse().unwrap());
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..SCENARIOS).step_by(threads) {
                    let caught = std::panic::catch_unwind(|| power_cuts(seed as u64, cuts / SCENARIOS));
                    if let Err(panic) = caught {
                        eprintln!("seed {seed}");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}
