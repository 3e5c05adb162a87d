//! Proofs that verify offline (C2SP tlog-proof): a leaf, where it lies, the path to the root, and the
//! checkpoint that signs the root.
//!
//! The `extra` line carries the leaf, and on request salt and payload, as JSON in base64. It is not
//! trusted: the leaf counts since it hashes to what is proved, the payload since the leaf commits to it.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::SignedCheckpoint,
    envelope::{Envelope, SALT},
    merkle::{Hash, MAX_PROOF, verify_inclusion},
    note::{NoteError, VerifierKey},
};

/// The longest proof file, in bytes.
const MAX_FILE: usize = 256 << 10;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof that a leaf is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The leaf's index.
    pub index: u64,
    /// The leaf.
    pub leaf: Vec<u8>,
    /// Salt and payload, if disclosed.
    pub salted: Option<Vec<u8>>,
    /// The path from the leaf to the root.
    pub path: Vec<Hash>,
    /// The commitment.
    pub checkpoint: SignedCheckpoint,
}

/// What a proof proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The record's envelope.
    pub envelope: Envelope,
    /// The payload's JSON, if it was disclosed.
    pub payload: Option<String>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not of the form of a `.tlog-proof` file with our extra data.
    #[error("not a proof of this journal's kind (C2SP tlog-proof with the leaf as extra data)")]
    Malformed,
    /// The checkpoint is not signed by the key.
    #[error("the checkpoint is not to be trusted: {0}")]
    Checkpoint(#[from] NoteError),
    /// The checkpoint is another log's.
    #[error("the checkpoint is of the log `{found}`, the key of `{expected}`")]
    Origin {
        /// The key's name.
        expected: String,
        /// The checkpoint's origin.
        found: String,
    },
    /// The path does not lead from the leaf to the signed root.
    #[error("the path does not lead from the leaf at index {0} to the signed root")]
    Path(u64),
    /// The leaf is no envelope.
    #[error("the leaf is not a record's envelope")]
    Leaf,
    /// The disclosed payload is not the one that the leaf commits to.
    #[error("the disclosed payload is not the one that the leaf commits to")]
    Payload,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extra {
    leaf: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salted: Option<String>,
}

impl Proof {
    /// Reads a proof file. Nothing is checked yet but the form.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_FILE);
        text.and_then(Self::split).ok_or(ProofError::Malformed)
    }

    fn split(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes()).ok()?;
        let mut lines = head.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let extra = STANDARD.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
        let extra: Extra = serde_json::from_slice(&extra).ok()?;
        let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let path = lines.map(Hash::from_base64).collect::<Option<Vec<_>>>()?;
        let salted = match extra.salted {
            Some(text) => Some(STANDARD.decode(text).ok().filter(|salted| salted.len() >= SALT)?),
            None => None,
        };
        let leaf = extra.leaf.into_bytes();
        let proof = Self { index, leaf, salted, path, checkpoint };
        // One way to write a proof.
        (proof.path.len() <= MAX_PROOF && proof.to_string() == text).then_some(proof)
    }

    /// Checks everything there is to check, with nothing but the log's public key.
    pub fn verify(&self, key: &VerifierKey) -> Result<Proved, ProofError> {
        self.checkpoint.verify(key)?;
        let checkpoint = self.checkpoint.checkpoint();
        if checkpoint.origin != key.name() {
            let (expected, found) = (key.name().to_owned(), checkpoint.origin.clone());
            return Err(ProofError::Origin { expected, found });
        }
        let hash = Hash::leaf(&self.leaf);
        if !verify_inclusion(hash, self.index, checkpoint.size, &self.path, checkpoint.root) {
            return Err(ProofError::Path(self.index));
        }
        let envelope = Envelope::decode(&self.leaf).map_err(|_| ProofError::Leaf)?;
        let payload = match &self.salted {
            Some(salted) if !envelope.commits_to(salted) => return Err(ProofError::Payload),
            Some(salted) => Some(String::from_utf8_lossy(&salted[SALT..]).into_owned()),
            None => None,
        };
        Ok(Proved { envelope, payload })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra = Extra {
            leaf: String::from_utf8_lossy(&self.leaf).into_owned(),
            salted: self.salted.as_ref().map(|salted| STANDARD.encode(salted)),
        };
        let extra = serde_json::to_vec(&extra).map_err(|_| fmt::Error)?;
        writeln!(f, "{FIRST_LINE}\nextra {}\nindex {}", STANDARD.encode(extra), self.index)?;
        for hash in &self.path {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
