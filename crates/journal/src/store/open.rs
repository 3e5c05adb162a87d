//! Taking a log up where it was left, whatever interrupted it.

use std::{io, path::Path, path::PathBuf, sync::Arc, time::Duration};

use seawall_model::RecordKind;
use seawall_runtime::disk::Disk;

use super::{
    INSTANCE, KEY, LOCK, Lock, NEXT_KEY, ORIGIN, Recovery, Store, StoreOptions, damaged, finish_sync,
};
use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entropy::Entropy,
    envelope::Envelope,
    erasure::Erasure,
    frame::Frame,
    home::{Damage, DiskError, Durability, Home},
    identity::{Identity, Rotation},
    merkle::Hash,
    note::{InvalidKey, SigningKey},
    reader::{ReadError, Reader},
    request,
    tile::Edge,
    tree::{self, CHECKPOINT, EraseError, LoadError, Tree},
    wal::{self, ScanError, Scanned, Wal, scan},
};

/// Records woven at a time while the write-ahead log is replayed.
const REPLAY: usize = 1024;

/// How often a lock that is held is tried, and the pause between.
const LOCK_TRIES: u32 = 4;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process writes this log.
    #[error("another process has the journal in {} open for writing", .0.display())]
    Locked(PathBuf),
    /// Something is not as it was written.
    #[error("the journal is damaged: {0}")]
    Damaged(#[from] Damage),
    /// There is a log, but no private key: a back-up.
    #[error("the journal in {} is a back-up: it has no private key", .0.display())]
    NoKey(PathBuf),
    /// The directory is a copy of the one that the log was written in.
    #[error("the journal in {} is a copy: going on with it could fork the log", .0.display())]
    Copied(PathBuf),
    /// A witness named in the estate has no valid key.
    #[error("a witness of the journal: {0}")]
    Witness(#[from] InvalidKey),
    /// The log does not go on from a checkpoint that is remembered elsewhere.
    #[error(
        "the journal has {size} records and does not go on from its checkpoint of {remembered}: it was rolled back"
    )]
    RolledBack {
        /// Records in the log.
        size: u64,
        /// Size of the checkpoint remembered.
        remembered: u64,
    },
}

impl OpenError {
    /// The code an operator looks up.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disk(_) => "SW0401",
            Self::Locked(_) => "SW0402",
            Self::Damaged(_) => "SW0403",
            Self::NoKey(_) => "SW0404",
            Self::Copied(_) => "SW0405",
            Self::RolledBack { .. } => "SW0406",
            Self::Witness(_) => "SW0407",
        }
    }

    /// What to do about it, in a line.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Disk(_) => "check the directory's permissions and the disk's free space",
            Self::Locked(_) => "stop the other process, or give this one a directory of its own",
            Self::Damaged(_) => {
                "run `seawall log verify` to see how much; then `seawall log restore` from a back-up"
            }
            Self::Witness(_) => "write the key as the witness publishes it: name+id+key",
            Self::NoKey(_) | Self::Copied(_) | Self::RolledBack { .. } => {
                "run `seawall log restore`: it starts a new log that cites the last checkpoint of this one"
            }
        }
    }

    /// True if trying again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Locked(_))
    }
}

macro_rules! from_parts {
    ($($error:ident),*) => {$(
        impl From<$error> for OpenError {
            fn from(error: $error) -> Self {
                match error {
                    $error::Disk(error) => Self::Disk(error),
                    $error::Damaged(damage) => Self::Damaged(damage),
                }
            }
        }
    )*};
}
from_parts!(ScanError, LoadError, EraseError);

/// What the first pass over the write-ahead log learns.
struct Survey {
    scanned: Option<Scanned>,
    /// Records at which a key came in, with what they say.
    rotations: Vec<(u64, Vec<u8>)>,
    /// Index of the first record that is not in synced tiles.
    first: u64,
    end: u64,
}

pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: StoreOptions,
    entropy: &mut Entropy,
) -> Result<(Store, Recovery), OpenError> {
    let home = Home::new(disk, &options.dir);
    for dir in ["", "tmp", "wal", "requests"] {
        home.create_dir(dir)?;
    }
    let lock = lock(&home)?;
    for entry in home.list("tmp")? {
        home.remove(Path::new("tmp").join(entry.name))?;
    }
    request::forget_answers(&home)?;
    let (mut identity, created) = identity(&home, &options.name, entropy)?;
    check_instance(&home, created)?;
    let checkpoint = checkpoint(&home, &identity)?;
    let survey = survey(&home, &checkpoint)?;
    // Before anything follows from what was read.
    if let Some(scanned) = &survey.scanned {
        wal::secure(&home, scanned)?;
    }
    let key = current_key(&home, &mut identity, &survey)?;
    let mut tree = tree::load(&home, identity, key, checkpoint, survey.first)?;
    replay(&home, &mut tree)?;
    let wal = settle(&home, &mut tree, &survey)?;
    tree.replayed();
    if let Some(remembered) = &options.remembered {
        check_remembered(&home, &tree, remembered)?;
    }
    let recovery = Recovery {
        created,
        replayed: survey.end - survey.first,
        torn: survey.scanned.and_then(|scanned| scanned.torn),
    };
    let StoreOptions { segment_bytes, witnesses, .. } = options;
    Ok((Store { home, lock, wal, tree, unwoven: Vec::new(), witnesses, segment_bytes }, recovery))
}

/// Takes the lock. Somebody who only looks whether it is held has it for a moment.
fn lock(home: &Home) -> Result<Lock, OpenError> {
    let path = home.dir().join(LOCK);
    let mut tries = 1;
    loop {
        match home.disk().lock(&path) {
            Ok(guard) => return Ok(Lock { _guard: guard }),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                return Err(OpenError::Locked(home.dir().to_owned()));
            }
            Err(source) => return Err(DiskError { action: "lock", path, source }.into()),
        }
    }
}

/// Reads who the log is, or makes a new log: true if so. Making one that a crash interrupted goes on
/// where it stopped; the checkpoint comes last.
fn identity(home: &Home, name: &str, entropy: &mut Entropy) -> Result<(Identity, bool), OpenError> {
    let origin = home.read_if_there(ORIGIN)?;
    if home.read_if_there(CHECKPOINT)?.is_some() {
        let bytes = origin.ok_or_else(|| damaged(ORIGIN, "missing"))?;
        let identity = Identity::parse(&bytes).ok_or_else(|| damaged(ORIGIN, "does not decode"))?;
        return Ok((identity, false));
    }
    if !home.list("tile")?.is_empty() {
        return Err(damaged(CHECKPOINT, "missing"));
    }
    let key = match home.read_if_there(KEY)? {
        Some(bytes) => parse_key(KEY, &bytes)?,
        None => {
            let (_, key) = Identity::create(name, entropy.bytes());
            home.put_private(Path::new(KEY), key.expose().as_bytes())?;
            key
        }
    };
    let identity = Identity::of(&key);
    home.put(Path::new(ORIGIN), identity.to_string().as_bytes(), Durability::Now)?;
    home.put(Path::new(INSTANCE), instance(home)?.as_bytes(), Durability::Now)?;
    let empty = Checkpoint { origin: identity.origin().to_owned(), size: 0, root: Hash::empty() };
    let signed = SignedCheckpoint::sign(empty, &key);
    home.sync_parents()?;
    home.put(Path::new(CHECKPOINT), signed.to_string().as_bytes(), Durability::Now)?;
    Ok((identity, true))
}

fn parse_key(file: &str, bytes: &[u8]) -> Result<SigningKey, OpenError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(SigningKey::parse).ok_or_else(|| damaged(file, "not a private key"))
}

/// What the file `instance` says in this very directory: the lock file's number, and a check on it.
pub(crate) fn instance(home: &Home) -> Result<String, DiskError> {
    let path = home.dir().join(LOCK);
    let number =
        home.disk().identity(&path).map_err(|source| DiskError { action: "inspect", path, source })?;
    Ok(instance_of(number))
}

fn instance_of(number: u64) -> String {
    let check = Hash::of(format!("seawall instance {number}").as_bytes());
    format!("{number} {check}\n")
}

/// True if the bytes are such as [`instance`] gives for some directory.
pub(crate) fn is_instance(bytes: &[u8]) -> bool {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(' ')?.0.parse().ok());
    number.is_some_and(|number| instance_of(number).as_bytes() == bytes)
}

fn check_instance(home: &Home, created: bool) -> Result<(), OpenError> {
    if home.read_if_there(KEY)?.is_none() && home.read_if_there(NEXT_KEY)?.is_none() {
        return Err(OpenError::NoKey(home.dir().to_owned()));
    }
    let found = home.read_if_there(INSTANCE)?;
    match found {
        Some(bytes) if bytes == instance(home)?.as_bytes() => Ok(()),
        Some(bytes) if !is_instance(&bytes) => Err(damaged(INSTANCE, "does not decode")),
        _ if created => Err(damaged(INSTANCE, "not as just written")),
        _ => Err(OpenError::Copied(home.dir().to_owned())),
    }
}

fn checkpoint(home: &Home, identity: &Identity) -> Result<SignedCheckpoint, OpenError> {
    let signed =
        SignedCheckpoint::parse(&home.read(CHECKPOINT)?).map_err(|e| damaged(CHECKPOINT, e.to_string()))?;
    if signed.checkpoint().origin != identity.origin() {
        return Err(damaged(CHECKPOINT, "it is another log's"));
    }
    signed
        .verify(identity.key_at(signed.checkpoint().size))
        .map_err(|e| damaged(CHECKPOINT, e.to_string()))?;
    Ok(signed)
}

/// Goes through the write-ahead log without writing anything, and checks that tiles, write-ahead log
/// and checkpoint are of one tree.
fn survey(home: &Home, signed: &SignedCheckpoint) -> Result<Survey, OpenError> {
    let checkpoint = signed.checkpoint();
    let mut hashes = Vec::new();
    let mut rotations = Vec::new();
    let scanned = scan(home, |index, frame| {
        if index < checkpoint.size {
            hashes.push(frame.hash());
        }
        if is_of_kind(&frame, RecordKind::KeyRotation) {
            rotations.push((index, frame.payload().to_vec()));
        }
        Ok(())
    })?;
    let (first, end) = match &scanned {
        Some(scanned) => (scanned.first(), scanned.end),
        None => (checkpoint.size, checkpoint.size),
    };
    if checkpoint.size < first {
        let what =
            format!("it covers {} records, but {first} have left the write-ahead log", checkpoint.size);
        return Err(damaged(CHECKPOINT, what));
    }
    if checkpoint.size > end {
        let what = format!("records {end} to {} are missing, which the checkpoint covers", checkpoint.size);
        return Err(damaged("wal", what));
    }
    let mut edge = Edge::load(first, |tile| tree::read_hashes(home, tile))?;
    hashes.into_iter().for_each(|hash| edge.push(hash, |_, _| {}));
    if edge.root() != checkpoint.root {
        let what = format!(
            "the tree at {} records does not have the root that the checkpoint signs",
            checkpoint.size
        );
        return Err(damaged("tile", what));
    }
    Ok(Survey { scanned, rotations, first, end })
}

fn is_of_kind(frame: &Frame, kind: RecordKind) -> bool {
    Envelope::decode(frame.leaf()).is_ok_and(|envelope| envelope.kind == kind)
}

/// The key that signs now. Finishes a rotation that a crash interrupted after its record was durable;
/// drops one that it interrupted before.
fn current_key(home: &Home, identity: &mut Identity, survey: &Survey) -> Result<SigningKey, OpenError> {
    if let Some(bytes) = home.read_if_there(NEXT_KEY)? {
        let next = parse_key(NEXT_KEY, &bytes)?;
        let brought_in = survey.rotations.iter().find(|(_, payload)| {
            Rotation::verified(payload, identity.current()).as_ref() == Some(next.verifier())
        });
        if let Some((index, _)) = brought_in {
            identity.rotate(*index, next.verifier().clone());
            home.put(Path::new(ORIGIN), identity.to_string().as_bytes(), Durability::Now)?;
        }
        if identity.current() == next.verifier() {
            home.rename(NEXT_KEY, Path::new(KEY))?;
        } else {
            home.remove(NEXT_KEY)?;
        }
        home.sync_dir("")?;
    }
    let key = parse_key(KEY, &home.read(KEY)?)?;
    if key.verifier() != identity.current() {
        return Err(damaged(KEY, "not the key that the log is signed with"));
    }
    Ok(key)
}

/// Weaves in what the write-ahead log holds.
fn replay(home: &Home, tree: &mut Tree) -> Result<(), OpenError> {
    let mut frames = Vec::with_capacity(REPLAY);
    scan(home, |_, frame| {
        if is_of_kind(&frame, RecordKind::Erasure)
            && let Some(erasure) = Erasure::parse(frame.payload())
        {
            tree.erase_later(erasure.index);
        }
        frames.push(frame);
        if frames.len() == REPLAY {
            tree.weave(&frames, false)?;
            frames.clear();
        }
        Ok(())
    })?;
    Ok(tree.weave(&frames, true)?)
}

/// Makes what was replayed survive in tiles, and begins the write-ahead log anew after it.
fn settle(home: &Home, tree: &mut Tree, survey: &Survey) -> Result<Wal, OpenError> {
    let mut older = survey.scanned.as_ref().map(|scanned| scanned.segments.clone()).unwrap_or_default();
    older.retain(|&first| first != survey.end);
    if older.is_empty() {
        return Ok(Wal::begin(home, older, survey.end)?);
    }
    tree.mend_edges()?;
    tree.erase_now()?;
    tree.publish()?;
    let sync = tree.begin_sync();
    sync.run()?;
    let mut wal = Wal::begin(home, older, survey.end)?;
    finish_sync(&mut wal, tree, &sync)?;
    Ok(wal)
}

fn check_remembered(home: &Home, tree: &Tree, remembered: &SignedCheckpoint) -> Result<(), OpenError> {
    let remembered = remembered.checkpoint();
    if remembered.origin != tree.identity.origin() {
        return Ok(());
    }
    let goes_on = remembered.size <= tree.size() && {
        let reader = Reader::open(home.disk().clone(), home.dir()).map_err(as_open_error)?;
        reader.root(remembered.size).map_err(as_open_error)? == remembered.root
    };
    let (size, remembered) = (tree.size(), remembered.size);
    if goes_on { Ok(()) } else { Err(OpenError::RolledBack { size, remembered }) }
}

fn as_open_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Disk(error) => error.into(),
        ReadError::Damaged(damage) => damage.into(),
        other @ (ReadError::NoJournal(_) | ReadError::Checkpoint(_) | ReadError::NoSuchRecord { .. }) => {
            damaged(CHECKPOINT, other.to_string())
        }
    }
}
