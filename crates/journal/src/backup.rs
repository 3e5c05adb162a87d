//! Copying a journal while it runs, and going on after one was restored.
//!
//! A back-up holds what the newest checkpoint covers, and no private key: it can be verified, and
//! cannot be gone on with. Restoring starts a new log whose first record cites the last checkpoint of the
//! old one, which stays beside it and can still be verified: a log is never forked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use seawall_model::{RecordKind, Wall};
use seawall_runtime::disk::Disk;

use crate::{
    checkpoint::SignedCheckpoint,
    entropy::Entropy,
    frame::ERASED,
    home::{DiskError, Durability, Home},
    merkle::Hash,
    reader::{ReadError, Reader},
    store::{ORIGIN, OpenError, Store, StoreOptions, WITNESSES, about_the_log, encode},
    tile::{HEIGHT, Kind, Tile, WIDTH, to_bytes},
    tree::{CHECKPOINT, LoadError, WITNESSED, read_entries, read_hashes, read_payloads},
    verify::{Report, VerifyOptions, verify},
};

/// Where a new log keeps the logs it was restored from.
const ARCHIVE: &str = "archive";

/// Times a back-up is made anew since the log was changed meanwhile (a payload erased).
const TRIES: u32 = 3;

/// Why a back-up was not made, or not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something in the directory already.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The copy is not sound: the log itself is not.
    #[error("the log is not sound: {} ({} findings)", .0.findings[0].what, .0.findings.len())]
    NotSound(Box<Report>),
}

impl From<LoadError> for BackupError {
    fn from(error: LoadError) -> Self {
        Self::Read(error.into())
    }
}

/// Copies the journal in `dir`, which may be running, to the empty directory `dest`, and verifies the
/// copy. Returns the checkpoint that it goes up to.
///
/// # Errors
/// If `dest` is not empty, the disk fails, or the log is not sound.
pub fn backup(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    dest: &Path,
    options: &VerifyOptions<'_>,
) -> Result<SignedCheckpoint, BackupError> {
    let to = Home::new(disk.clone(), dest);
    if !to.list("")?.is_empty() {
        return Err(BackupError::NotEmpty(dest.to_owned()));
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let reader = Reader::open(disk.clone(), dir)?;
        let signed = reader.checkpoint()?;
        copy(&reader, &signed, &to)?;
        let report = verify(disk.clone(), dest, options)?;
        if report.is_sound() {
            return Ok(signed);
        }
        if tries == TRIES {
            return Err(BackupError::NotSound(Box::new(report)));
        }
    }
}

fn copy(reader: &Reader, signed: &SignedCheckpoint, to: &Home) -> Result<(), BackupError> {
    let from = &reader.home;
    let size = signed.checkpoint().size;
    to.create_dir("tmp")?;
    for tile in tiles(size) {
        let bytes = match tile.kind {
            Kind::Entries => entries(&read_entries(from, tile.index, tile.width)?),
            Kind::Level(_) => to_bytes(&read_hashes(from, tile)?),
            Kind::Payload => payloads(&read_payloads(from, tile.index, tile.width)?),
        };
        let path = tile.path();
        to.create_dir(path.parent().unwrap_or(Path::new("")))?;
        to.put(&path, &bytes, Durability::Later)?;
    }
    to.put(Path::new(ORIGIN), reader.identity().to_string().as_bytes(), Durability::Later)?;
    if let Some(witnessed) = reader.witnessed()?.filter(|kept| kept.checkpoint().size <= size) {
        to.put(Path::new(WITNESSED), witnessed.to_string().as_bytes(), Durability::Later)?;
    }
    if let Some(witnesses) = from.read_if_there(WITNESSES)? {
        to.put(Path::new(WITNESSES), &witnesses, Durability::Later)?;
    }
    to.put(Path::new(CHECKPOINT), signed.to_string().as_bytes(), Durability::Later)?;
    to.remove_dir_of_files("tmp")?;
    Ok(to.sync_all()?)
}

/// Every tile and bundle of a tree of `size` records.
fn tiles(size: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut of = |kind: Kind, count: u64| {
        tiles.extend((0..count.div_ceil(WIDTH)).map(|index| {
            let width = (count - index * WIDTH).min(WIDTH);
            Tile { kind, index, width }
        }));
    };
    of(Kind::Entries, size);
    of(Kind::Payload, size);
    let mut level = 0;
    while size >> (HEIGHT * u32::from(level)) > 0 {
        of(Kind::Level(level), size >> (HEIGHT * u32::from(level)));
        level += 1;
    }
    tiles
}

fn entries(leaves: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for leaf in leaves {
        let length = u16::try_from(leaf.len()).expect("its length was read from two bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    bytes
}

fn payloads(items: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        match item {
            None => bytes.extend_from_slice(&ERASED),
            Some(salted) => {
                let length = u32::try_from(salted.len()).expect("its length was read from four bytes");
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(salted);
            }
        }
    }
    bytes
}

/// Starts a new log in the empty directory that `options` name. The log in `from` is archived in it as
/// far as its checkpoint goes, and the new log's first record cites that checkpoint. Returns the new
/// log's origin and the checkpoint cited.
///
/// # Errors
/// As for [`backup`], and if the new log cannot be opened.
pub fn restore(
    disk: &Arc<dyn Disk>,
    from: &Path,
    options: StoreOptions,
    at: Wall,
    entropy: &mut Entropy,
    verify: &VerifyOptions<'_>,
) -> Result<(String, SignedCheckpoint), BackupError> {
    let home = Home::new(disk.clone(), &options.dir);
    if !home.list("")?.is_empty() {
        return Err(BackupError::NotEmpty(options.dir));
    }
    let old = Reader::open(disk.clone(), from)?.identity().origin().to_owned();
    let archive = format!("{ARCHIVE}/{}", &Hash::of(old.as_bytes()).hex()[..12]);
    home.create_dir(&archive)?;
    let cited = backup(disk, from, &home.dir().join(&archive), verify)?;
    let checkpoint = cited.checkpoint();
    let payload = serde_json::json!({
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.to_string(),
        "checkpoint": cited.to_string(),
        "archive": archive,
    });
    let (mut store, _) = Store::open(disk.clone(), options, entropy)?;
    let record = about_the_log(RecordKind::Restored, at, payload);
    let frame = encode(&record, entropy).expect("a checkpoint fits in a payload");
    store.append(vec![frame])?;
    store.integrate()?;
    Ok((store.identity().origin().to_owned(), cited))
}

#[cfg(test)]
mod tests {
    use seawall_model::Record;
    use seawall_runtime::disk::sim::SimDisk;

    use super::*;

    fn options(dir: &str) -> StoreOptions {
        StoreOptions {
            dir: dir.into(),
            name: "example.com/test".into(),
            segment_bytes: 1 << 20,
            witnesses: Vec::new(),
            remembered: None,
        }
    }

    const VERIFY: VerifyOptions<'static> = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };

    #[test]
    fn a_back_up_is_sound_cannot_be_gone_on_with_and_restores_into_a_new_log_that_cites_it() {
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let mut entropy = Entropy::seeded(1);
        let (mut store, _) = Store::open(disk.clone(), options("/live"), &mut entropy).unwrap();
        let frames = (0..700)
            .map(|n| {
                let payload = serde_json::json!({ "n": n });
                let record = Record { kind: RecordKind::Head, component: None, at: Wall(n), payload };
                encode(&record, &mut entropy).unwrap()
            })
            .collect();
        store.append(frames).unwrap();
        store.erase(5, "asked to", Wall(0), &mut entropy).unwrap();

        let signed = backup(&disk, Path::new("/live"), Path::new("/saved"), &VERIFY).unwrap();
        assert_eq!(signed.checkpoint().size, 701);
        assert!(sim.contents().keys().all(|path| !path.ends_with("saved/key")));
        let refused = Store::open(disk.clone(), options("/saved"), &mut entropy).unwrap_err();
        assert_eq!(refused.code(), "SW0404");
        let again = backup(&disk, Path::new("/live"), Path::new("/saved"), &VERIFY).unwrap_err();
        assert!(matches!(again, BackupError::NotEmpty(_)), "{again}");

        let (origin, cited) =
            restore(&disk, Path::new("/saved"), options("/new"), Wall(9), &mut entropy, &VERIFY).unwrap();
        assert_ne!(origin, cited.checkpoint().origin);
        assert_eq!(cited, signed);
        let mut reader = Reader::open(disk.clone(), "/new").unwrap();
        let first = reader.entry(0, 1).unwrap();
        assert_eq!(first.envelope.kind, RecordKind::Restored);
        let payload: serde_json::Value = serde_json::from_slice(first.payload().unwrap()).unwrap();
        assert_eq!(payload["checkpoint"], signed.to_string());
        let archive = Path::new("/new").join(payload["archive"].as_str().unwrap());
        assert!(verify(disk.clone(), archive, &VERIFY).unwrap().is_sound());
        assert!(verify(disk, "/new", &VERIFY).unwrap().is_sound());
    }

    #[test]
    fn a_copied_directory_and_one_rolled_back_are_refused() {
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let mut entropy = Entropy::seeded(1);
        let mut grow = |dir: &str, remembered: Option<SignedCheckpoint>| {
            let options = StoreOptions { remembered, ..options(dir) };
            let (mut store, _) = Store::open(disk.clone(), options, &mut entropy)?;
            let record = Record { kind: RecordKind::Start, component: None, at: Wall(0), payload: 1.into() };
            store.append(vec![encode(&record, &mut entropy).unwrap()]).unwrap();
            store.integrate().unwrap();
            Ok::<_, OpenError>(store.checkpoint().clone())
        };
        let first = grow("/log", None).unwrap();
        for (path, bytes) in sim.contents() {
            let copy = Path::new("/copy").join(path.strip_prefix("/log").unwrap());
            disk.create_dir_all(copy.parent().unwrap()).unwrap();
            disk.open(&copy, seawall_runtime::disk::Open::Create).unwrap().append(&bytes).unwrap();
        }
        assert_eq!(grow("/copy", None).unwrap_err().code(), "SW0405");
        let second = grow("/log", Some(first)).unwrap();
        assert_eq!(second.checkpoint().size, 2);
        // The same log as it was before the second record: as a snapshot of the machine would bring back.
        let ahead = SignedCheckpoint::parse(second.to_string().replace("\n2\n", "\n9\n").as_bytes()).unwrap();
        assert_eq!(grow("/log", Some(ahead)).unwrap_err().code(), "SW0406");
    }
}
