//! What an operator does to a log: erase a payload, rotate the key, take witnesses' cosignatures.

use std::path::Path;

use seawall_model::{RecordKind, Wall};

use super::{KEY, NEXT_KEY, ORIGIN, Store, WITNESSES, about_the_log, encode};
use crate::{
    checkpoint::SignedCheckpoint,
    entropy::Entropy,
    erasure::{Erasure, may_be_erased},
    frame::TooLarge,
    home::{Damage, DiskError, Durability},
    identity::Rotation,
    note::{NoteError, SigningKey, VerifierKey},
    reader::{ReadError, Reader},
    tree::{EraseError, WITNESSED},
};

/// Why a log was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something is not as it was written.
    #[error("the journal is damaged: {0}")]
    Damaged(#[from] Damage),
    /// The record cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// The log needs payloads of this kind.
    #[error("the payload of record {0} ({1}) cannot be erased: the log itself needs it")]
    Needed(u64, RecordKind),
    /// There is nothing to erase.
    #[error("the payload of record {0} has been erased already")]
    AlreadyErased(u64),
    /// The reason is too long.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Not a checkpoint.
    #[error("the cosigned checkpoint is not to be trusted: {0}")]
    Note(#[from] NoteError),
    /// Not a checkpoint of this log.
    #[error("the cosigned checkpoint, of {0} records, is not one of this log")]
    Foreign(u64),
    /// No cosignature is by a known witness.
    #[error("no cosignature is by a witness that the estate names")]
    NoWitness,
}

impl From<EraseError> for ChangeError {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::Disk(error) => Self::Disk(error),
            EraseError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl From<ReadError> for ChangeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Disk(error) => Self::Disk(error),
            ReadError::Damaged(damage) => Self::Damaged(damage),
            other @ (ReadError::NoJournal(_) | ReadError::Checkpoint(_) | ReadError::NoSuchRecord { .. }) => {
                Self::Read(other)
            }
        }
    }
}

impl ChangeError {
    /// The code an operator looks up.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disk(_) => "SW0401",
            Self::Damaged(_) => "SW0403",
            Self::Read(_) => "SW0410",
            Self::Needed(..) => "SW0411",
            Self::AlreadyErased(_) => "SW0412",
            Self::TooLarge(_) => "SW0413",
            Self::Note(_) | Self::Foreign(_) => "SW0414",
            Self::NoWitness => "SW0415",
        }
    }
}

/// Reads the keys of the witnesses that cosigned.
pub(crate) fn parse_witnesses(bytes: &[u8]) -> Option<Vec<VerifierKey>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let keys = text.lines().map(|line| line.parse().ok()).collect::<Option<Vec<VerifierKey>>>()?;
    let again: String = keys.iter().map(|key| format!("{key}\n")).collect();
    (again == text).then_some(keys)
}

impl Store {
    fn reader(&self) -> Result<Reader, ReadError> {
        Reader::open(self.home.disk().clone(), self.home.dir())
    }

    /// Erases the salt and payload of the record `index`, and records that and why. On return they are
    /// on no file of the journal; what a medium keeps of files that were removed is beyond it.
    /// Returns the index of the record that says so.
    pub fn erase(
        &mut self,
        index: u64,
        reason: &str,
        at: Wall,
        entropy: &mut Entropy,
    ) -> Result<u64, ChangeError> {
        self.integrate()?;
        let entry = self.reader()?.entry(index, self.size())?;
        if !may_be_erased(entry.envelope.kind) {
            return Err(ChangeError::Needed(index, entry.envelope.kind));
        }
        if entry.salted.is_none() {
            return Err(ChangeError::AlreadyErased(index));
        }
        let payload = serde_json::json!(Erasure { index, reason: reason.to_owned() });
        let frame = encode(&about_the_log(RecordKind::Erasure, at, payload), entropy)?;
        let said = self.append(vec![frame])?.start;
        self.tree.erase_later(index);
        self.flush()?;
        Ok(said)
    }

    /// Signs with a new key from now on. The record that brings it in is signed with the old one.
    pub fn rotate_key(&mut self, at: Wall, entropy: &mut Entropy) -> Result<VerifierKey, ChangeError> {
        let origin = self.identity().origin().to_owned();
        let next = SigningKey::from_seed(entropy.bytes(), |_| origin);
        let public = next.verifier().clone();
        self.home.put_private(Path::new(NEXT_KEY), next.expose().as_bytes())?;
        let frame = encode(&Rotation::record(&self.tree.key, &public, at), entropy)?;
        self.integrate()?;
        let index = self.append(vec![frame])?.start;
        self.tree.identity.rotate(index, public.clone());
        self.home.put(Path::new(ORIGIN), self.identity().to_string().as_bytes(), Durability::Now)?;
        self.home.rename(NEXT_KEY, Path::new(KEY))?;
        self.home.sync_dir("")?;
        self.tree.key = next;
        self.integrate()?;
        Ok(public)
    }

    /// Takes the cosignatures that known witnesses put under a checkpoint of this log, and keeps the
    /// newest checkpoint that has any. Returns by how many witnesses it is cosigned.
    pub fn cosign(&mut self, note: &[u8]) -> Result<usize, ChangeError> {
        let offered = SignedCheckpoint::parse(note)?;
        let size = offered.checkpoint().size;
        offered.verify(self.identity().key_at(size))?;
        let ours = offered.checkpoint().origin == self.identity().origin()
            && size <= self.tree.size()
            && self.reader()?.root(size)? == offered.checkpoint().root;
        if !ours {
            return Err(ChangeError::Foreign(size));
        }
        let mut kept = self.kept(&offered)?;
        let cosigned = kept.merge(&offered, &self.witnesses);
        if cosigned == 0 {
            return Err(ChangeError::NoWitness);
        }
        self.remember_witnesses(&kept)?;
        if kept.checkpoint() == self.checkpoint().checkpoint() {
            self.tree.replace_checkpoint(kept.clone())?;
        }
        let newest = self.reader()?.witnessed()?.map_or(0, |newest| newest.checkpoint().size);
        if size >= newest {
            self.home.put(Path::new(WITNESSED), kept.to_string().as_bytes(), Durability::Now)?;
        }
        Ok(cosigned)
    }

    /// Keeps the keys of those that cosigned beside the log, so that their signatures can be checked.
    fn remember_witnesses(&self, cosigned: &SignedCheckpoint) -> Result<(), ChangeError> {
        let mut keys = match self.home.read_if_there(WITNESSES)? {
            Some(bytes) => {
                parse_witnesses(&bytes).ok_or_else(|| Damage::new(WITNESSES, "does not decode"))?
            }
            None => Vec::new(),
        };
        keys.extend(self.witnesses.iter().filter(|key| cosigned.verify(key).is_ok()).cloned());
        keys.sort();
        keys.dedup();
        let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
        Ok(self.home.put(Path::new(WITNESSES), text.as_bytes(), Durability::Now)?)
    }

    /// The checkpoint offered, with the cosignatures it had before and none of the offer's.
    fn kept(&self, offered: &SignedCheckpoint) -> Result<SignedCheckpoint, ChangeError> {
        let same = |kept: &SignedCheckpoint| kept.checkpoint() == offered.checkpoint();
        if same(self.checkpoint()) {
            return Ok(self.checkpoint().clone());
        }
        if let Some(kept) = self.reader()?.witnessed()?.filter(same) {
            return Ok(kept);
        }
        // An older checkpoint: Ed25519 gives the same signature again, if the key is still the same.
        match self.identity().key_at(offered.checkpoint().size) == self.identity().current() {
            true => Ok(SignedCheckpoint::sign(offered.checkpoint().clone(), &self.tree.key)),
            false => Err(ChangeError::Foreign(offered.checkpoint().size)),
        }
    }
}
