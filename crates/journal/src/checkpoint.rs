//! Checkpoints (C2SP tlog-checkpoint): what a log commits to, signed.

use std::fmt;

use crate::{
    merkle::Hash,
    note::{Note, NoteError, SigningKey, VerifierKey},
};

/// A commitment to every record so far: this log had this root at this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// A checkpoint in the note that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl Checkpoint {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let checkpoint = Self {
            origin: lines.next()?.to_owned(),
            size: lines.next()?.parse().ok()?,
            root: Hash::from_base64(lines.next()?)?,
        };
        // No extension lines, and one way to write it.
        (!checkpoint.origin.is_empty() && checkpoint.to_string() == text).then_some(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl SignedCheckpoint {
    /// Signs a checkpoint.
    pub fn sign(checkpoint: Checkpoint, key: &SigningKey) -> Self {
        let note = Note::sign(checkpoint.to_string(), key);
        Self { checkpoint, note }
    }

    /// Reads a signed checkpoint. Signatures are not checked yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text()).ok_or(NoteError::Malformed)?;
        Ok(Self { checkpoint, note })
    }

    /// What is committed to. To be believed only after [`Self::verify`].
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Checks that `key` signed it.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        self.note.verify(key)
    }

    /// Adds the valid cosignatures of `other` by one of `witnesses`; how many it has then.
    pub(crate) fn merge(&mut self, other: &Self, witnesses: &[VerifierKey]) -> usize {
        self.note.merge(&other.note, witnesses)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_has_one_form() {
        let key = SigningKey::from_seed([1; 32], |_| "example.com/log".to_owned());
        let signed = |text: &str| Note::sign(text.to_owned(), &key).to_string();
        let root = Hash::empty();
        let good = signed(&format!("example.com/log\n7\n{root}\n"));
        assert_eq!(SignedCheckpoint::parse(good.as_bytes()).unwrap().to_string(), good);
        for bad in [
            format!("example.com/log\n07\n{root}\n"),
            format!("example.com/log\n+7\n{root}\n"),
            format!("example.com/log\n7\n{root}\nextension\n"),
            format!("\n7\n{root}\n"),
            "example.com/log\n7\nabc\n".to_owned(),
        ] {
            let parsed = SignedCheckpoint::parse(signed(&bad).as_bytes());
            assert_eq!(parsed, Err(NoteError::Malformed), "{bad:?}");
        }
    }
}
