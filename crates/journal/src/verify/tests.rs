use std::path::Path;

use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::disk::{Disk, sim::SimDisk};

use super::*;
use crate::{
    entropy::Entropy,
    note::tests::Witness,
    store::{Store, StoreOptions, encode},
    tile::{Kind, Tile},
};

const DIR: &str = "/journal";

fn open(disk: &SimDisk, entropy: &mut Entropy, witnesses: Vec<VerifierKey>) -> Store {
    let options = StoreOptions {
        dir: DIR.into(),
        name: "example.com/test".into(),
        segment_bytes: 1 << 20,
        witnesses,
        remembered: None,
    };
    Store::open(Arc::new(disk.clone()), options, entropy).unwrap().0
}

fn append(store: &mut Store, entropy: &mut Entropy, count: u64) {
    let frames = (0..count)
        .map(|_| {
            let payload = serde_json::json!({ "n": entropy.bytes::<4>() });
            encode(&Record { kind: RecordKind::Head, component: None, at: Wall(1), payload }, entropy)
                .unwrap()
        })
        .collect();
    store.append(frames).unwrap();
}

/// A log of 1,000 records with one of everything: an erased payload, two keys, a witness, partial tiles,
/// and records that only the write-ahead log holds. Nobody is writing it.
fn log_of_everything() -> SimDisk {
    let disk = SimDisk::new();
    let mut entropy = Entropy::seeded(1);
    let witness = Witness::new(9, "witness.example");
    let mut store = open(&disk, &mut entropy, vec![witness.key()]);
    append(&mut store, &mut entropy, 300);
    store.erase(70, "asked to", Wall(2), &mut entropy).unwrap();
    append(&mut store, &mut entropy, 500);
    store.rotate_key(Wall(3), &mut entropy).unwrap();
    let cosigned = witness.cosign(store.checkpoint().note(), 1_754_374_027);
    assert_eq!(store.cosign(cosigned.to_string().as_bytes()).unwrap(), 1);
    append(&mut store, &mut entropy, 100);
    store.flush().unwrap();
    append(&mut store, &mut entropy, 60);
    store.integrate().unwrap();
    append(&mut store, &mut entropy, 38);
    assert_eq!(store.size(), 1000);
    disk
}

fn check(disk: &SimDisk) -> Report {
    let options = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };
    verify(Arc::new(disk.clone()), DIR, &options).unwrap()
}

/// Files whose bytes matter: all but the lock, which has none.
fn files(disk: &SimDisk) -> Vec<(String, usize)> {
    let name = |path: &Path| path.strip_prefix(DIR).unwrap().to_str().unwrap().to_owned();
    disk.contents()
        .iter()
        .map(|(path, bytes)| (name(path), bytes.len()))
        .filter(|(name, _)| name != LOCK)
        .collect()
}

fn flip(disk: &SimDisk, file: &str, bit: usize) {
    disk.corrupt(&Path::new(DIR).join(file), |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap();
}

#[test]
fn an_intact_log_of_everything_is_sound_in_every_state() {
    let disk = log_of_everything();
    let report = check(&disk);
    assert_eq!(report.findings, []);
    assert_eq!((report.size, report.beyond, report.erased, report.rotations), (962, 38, 1, 1));
    assert_eq!((report.witnesses.as_slice(), report.witnessed), (&["witness.example".to_owned()][..], 802));
    let store = open(&disk, &mut Entropy::seeded(2), Vec::new());
    let live = check(&disk);
    assert!(live.live && live.is_sound());
    assert_eq!(live.size, 1000);
    drop(store);
    assert_eq!(check(&disk).findings, []);
}

#[test]
fn the_first_key_leads_to_every_later_one_and_a_strange_key_to_none() {
    let disk = log_of_everything();
    let reader = Reader::open(Arc::new(disk.clone()), DIR).unwrap();
    let with = |key: VerifierKey| {
        let options = VerifyOptions { key: Some(key), threads: 2, progress: &|_, _| {} };
        verify(Arc::new(disk.clone()), DIR, &options).unwrap().is_sound()
    };
    for (_, key) in reader.identity().keys() {
        assert!(with(key.clone()));
    }
    assert!(!with(Witness::new(1, "example.com/test").key()));
}

/// Whole verifications of some flips: each is found, and named.
#[test]
fn a_flipped_bit_is_named() {
    let disk = log_of_everything();
    let mut random = fastrand::Rng::with_seed(4);
    for (file, len) in files(&disk) {
        for _ in 0..8 {
            let bit = random.usize(..len * 8);
            flip(&disk, &file, bit);
            match verify(
                Arc::new(disk.clone()),
                DIR,
                &VerifyOptions { key: None, threads: 1, progress: &|_, _| {} },
            ) {
                Ok(report) => {
                    let named = |f: &Finding| f.file == file || (file.starts_with("wal/") && f.file == "wal");
                    assert!(report.findings.iter().any(named), "{file} bit {bit}: {:?}", report.findings);
                }
                Err(error) => assert!(error.to_string().starts_with(&file), "{file} bit {bit}: {error}"),
            }
            flip(&disk, &file, bit);
        }
    }
    assert_eq!(check(&disk).findings, []);
}

/// What verification says of the file's part of the journal alone, with everything else intact.
fn damaged(reader: &Reader, intact: &Audit<'_>, roots: &[bundle::Checked], file: &str) -> bool {
    match Tile::from_path(file) {
        Some(Tile { kind: Kind::Entries | Kind::Level(0) | Kind::Payload, index, .. }) => {
            intact.bundle(index).check().unwrap() != roots[index as usize]
        }
        Some(Tile { kind: Kind::Level(_), .. }) => {
            let mut audit = intact.like();
            audit.levels().unwrap();
            audit.has_found()
        }
        None if file.starts_with("wal/") => {
            !matches!(audit::read_log(&reader.home), Ok((first, frames, None)) if intact.logs(first, &frames))
        }
        None => {
            let options = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };
            verify(reader.home.disk().clone(), DIR, &options).map_or(true, |report| !report.is_sound())
        }
    }
}

/// Every bit of every file, one at a time. By default one bit of each byte; all eight, which takes
/// minutes, with `SEAWALL_EVERY_BIT`.
#[test]
fn every_flipped_bit_is_found() {
    let disk = log_of_everything();
    let every = std::env::var_os("SEAWALL_EVERY_BIT").is_some();
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let disk = copy(&disk);
            scope.spawn(move || {
                let reader = Reader::open(Arc::new(disk.clone()), DIR).unwrap();
                let options = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };
                let mut intact = Audit::begin(&reader, &options, false).unwrap();
                let roots = intact.check_bundles(4).unwrap();
                intact.bundles().unwrap();
                for (file, len) in files(&disk) {
                    assert!(!damaged(&reader, &intact, &roots, &file), "{file}");
                    for byte in (thread..len).step_by(threads) {
                        for bit in (0..8).filter(|bit| every || *bit == byte / threads % 8) {
                            flip(&disk, &file, byte * 8 + bit);
                            assert!(damaged(&reader, &intact, &roots, &file), "{file} byte {byte} bit {bit}");
                            flip(&disk, &file, byte * 8 + bit);
                        }
                    }
                }
            });
        }
    });
}

/// A disk of its own with the same files.
fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    for (path, bytes) in disk.contents() {
        copy.create_dir_all(path.parent().unwrap()).unwrap();
        copy.open(&path, seawall_runtime::disk::Open::Create).unwrap().append(&bytes).unwrap();
    }
    copy
}
