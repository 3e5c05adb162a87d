//! Signed notes (C2SP signed-note) and the keys that sign them.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::merkle::Hash;

/// The longest note, in bytes.
const MAX_NOTE: usize = 64 << 10;

/// Most signatures on a note.
const MAX_SIGNATURES: usize = 64;

/// What a key signs, by the type byte of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// The note's text, by Ed25519 (0x01).
    Ed25519,
    /// A timestamped cosignature of a checkpoint, by Ed25519 (0x04, C2SP tlog-cosignature).
    Cosignature,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key, as in `example.com/log+3f9a1c22+AX…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    public: [u8; 32],
}

/// The text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verifier key of the form name+id+key (Ed25519)")]
pub struct InvalidKey(pub String);

impl VerifierKey {
    /// The key's name; for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key id that signature lines carry.
    pub fn id(&self) -> [u8; 4] {
        let hash = Hash::of(&[self.name.as_bytes(), b"\n", &[self.algorithm.byte()], &self.public].concat());
        [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }

    /// True if `signature` is this key's over `message`, whatever the message is.
    pub(crate) fn verifies_message(&self, message: &str, signature: &[u8]) -> bool {
        self.algorithm == Algorithm::Ed25519 && self.verifies(message.as_bytes(), signature)
    }
}

fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.algorithm.byte()];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let parse = || {
            let (name, rest) = text.split_once('+')?;
            let (_, key) = rest.split_once('+')?;
            let key = STANDARD.decode(key).ok()?;
            let (algorithm, public) = key.split_first()?;
            let algorithm = match algorithm {
                1 => Algorithm::Ed25519,
                4 => Algorithm::Cosignature,
                _ => return None,
            };
            let key = Self { name: name.to_owned(), algorithm, public: public.try_into().ok()? };
            // The id must be right, and there is one way to write a key.
            (valid_name(name) && key.to_string() == text).then_some(key)
        };
        parse().ok_or_else(|| InvalidKey(text.chars().take(200).collect()))
    }
}

/// A private key. Prints as its public half.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
    public: VerifierKey,
}

impl SigningKey {
    /// The key that `seed` gives, under the name that `name` makes of the public key.
    pub fn from_seed(seed: [u8; 32], name: impl FnOnce(&[u8; 32]) -> String) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are an Ed25519 seed");
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 key is 32 bytes");
        let public = VerifierKey { name: name(&public), algorithm: Algorithm::Ed25519, public };
        Self { pair, seed, public }
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// The signature over `message`.
    pub(crate) fn sign(&self, message: &str) -> Vec<u8> {
        self.pair.sign(message.as_bytes()).as_ref().to_vec()
    }

    /// The private key as Go's note package writes it. A secret.
    pub(crate) fn expose(&self) -> String {
        let mut key = vec![Algorithm::Ed25519.byte()];
        key.extend_from_slice(&self.seed);
        format!("PRIVATE+KEY+{}+{}+{}\n", self.public.name, hex(self.public.id()), STANDARD.encode(key))
    }

    /// Reads what [`Self::expose`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.strip_prefix("PRIVATE+KEY+")?.split_once('+')?;
        let (_, key) = rest.trim_end().split_once('+')?;
        let key = STANDARD.decode(key).ok()?;
        let (algorithm, seed) = key.split_first()?;
        let key = Self::from_seed(seed.try_into().ok()?, |_| name.to_owned());
        (*algorithm == Algorithm::Ed25519.byte() && key.expose() == text).then_some(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// A signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A text and the signatures under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// Why bytes are no signed note, or not one to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not of the form of a signed note.
    #[error("not a signed note")]
    Malformed,
    /// No line is by the key.
    #[error("no signature by {0}")]
    NotSigned(String),
    /// A line claims to be by the key, and is not.
    #[error("the signature by {0} is not valid")]
    Forged(String),
}

impl Note {
    /// Signs `text`, which must end in a newline.
    pub fn sign(text: String, key: &SigningKey) -> Self {
        let public = key.verifier();
        let signature = Signature { name: public.name.clone(), id: public.id(), bytes: key.sign(&text) };
        Self { text, signatures: vec![signature] }
    }

    /// Reads a note. Signatures are not checked yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() <= MAX_NOTE && !text.contains(|c: char| c < ' ' && c != '\n'))
            .and_then(Self::split)
            // There is one way to write a note.
            .filter(|note| note.to_string().as_bytes() == bytes)
            .ok_or(NoteError::Malformed)
    }

    fn split(text: &str) -> Option<Self> {
        let at = text.rfind("\n\n")?;
        let (text, lines) = (&text[..=at], &text[at + 2..]);
        let signatures = lines.lines().map(Signature::parse).collect::<Option<Vec<_>>>()?;
        (1..=MAX_SIGNATURES).contains(&signatures.len()).then(|| Self { text: text.to_owned(), signatures })
    }

    /// The text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks that `key` signed the text.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let mut by_key = self.signatures_by(key).peekable();
        if by_key.peek().is_none() {
            return Err(NoteError::NotSigned(key.to_string()));
        }
        match by_key.all(|signature| signature.is_by(key, &self.text)) {
            true => Ok(()),
            false => Err(NoteError::Forged(key.to_string())),
        }
    }

    fn signatures_by<'a>(&'a self, key: &'a VerifierKey) -> impl Iterator<Item = &'a Signature> {
        self.signatures.iter().filter(|s| s.name == key.name && s.id == key.id())
    }

    /// Adds those signatures of `other` (which must have the same text) that are by one of `keys` and
    /// are not here yet. Returns how many are by one of them now.
    pub(crate) fn merge(&mut self, other: &Self, keys: &[VerifierKey]) -> usize {
        for signature in &other.signatures {
            let wanted = keys.iter().any(|key| signature.names(key) && signature.is_by(key, &self.text));
            if wanted && self.signatures.len() < MAX_SIGNATURES && !self.signatures.contains(signature) {
                self.signatures.push(signature.clone());
            }
        }
        keys.iter().filter(|key| self.verify(key).is_ok()).count()
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, bytes) = signature.split_first_chunk()?;
        valid_name(name).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }

    fn names(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.id == key.id()
    }

    fn is_by(&self, key: &VerifierKey, text: &str) -> bool {
        match key.algorithm {
            Algorithm::Ed25519 => key.verifies(text.as_bytes(), &self.bytes),
            Algorithm::Cosignature => self.bytes.split_first_chunk().is_some_and(|(time, signature)| {
                let time = u64::from_be_bytes(*time);
                time <= i64::MAX as u64 && key.verifies(cosigned(time, text).as_bytes(), signature)
            }),
        }
    }
}

/// The message that a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let mut bytes = signature.id.to_vec();
            bytes.extend_from_slice(&signature.bytes);
            writeln!(f, "— {} {}", signature.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A witness that signs whatever it is shown.
    pub(crate) struct Witness(SigningKey);

    impl Witness {
        pub(crate) fn new(seed: u8, name: &str) -> Self {
            Self(SigningKey::from_seed([seed; 32], |_| name.to_owned()))
        }

        pub(crate) fn key(&self) -> VerifierKey {
            VerifierKey { algorithm: Algorithm::Cosignature, ..self.0.verifier().clone() }
        }

        pub(crate) fn cosign(&self, note: &Note, time: u64) -> Note {
            let mut bytes = time.to_be_bytes().to_vec();
            bytes.extend_from_slice(&self.0.sign(&cosigned(time, &note.text)));
            let key = self.key();
            let mut note = note.clone();
            note.signatures.push(Signature { name: key.name.clone(), id: key.id(), bytes });
            note
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32], |_| "example.com/log".to_owned())
    }

    /// The key and the signed note from the documentation of Go's note package.
    #[test]
    fn a_note_of_gos_note_package_verifies() {
        let verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\
                    \n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let key: VerifierKey = verifier.parse().unwrap();
        let note = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(note.verify(&key), Ok(()));
        assert_eq!(key.to_string(), verifier);
        let skey = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n";
        let private = SigningKey::parse(skey).unwrap();
        assert_eq!(private.verifier(), &key);
        assert_eq!(private.expose(), skey);
        assert_eq!(Note::sign(note.text().to_owned(), &private), note, "Ed25519 is deterministic");
    }

    #[test]
    fn every_flipped_bit_of_a_note_or_key_is_noticed() {
        let key = key(1);
        let note = Note::sign("example.com/log\n0\nabc\n".to_owned(), &key).to_string();
        for bit in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verified = Note::parse(&bytes).and_then(|note| note.verify(key.verifier()));
            assert!(verified.is_err(), "bit {bit}");
        }
        let public = key.verifier().to_string();
        for bit in 0..public.len() * 8 {
            let mut bytes = public.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                String::from_utf8(bytes).map_or(true, |t| t.parse::<VerifierKey>().is_err()),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn cosignatures_are_taken_from_known_witnesses_only() {
        let key = key(1);
        let note = Note::sign("example.com/log\n5\nabc\n".to_owned(), &key);
        let (known, unknown) = (Witness::new(2, "w1.example"), Witness::new(3, "w2.example"));
        let offered = unknown.cosign(&known.cosign(&note, 1_679_315_147), 5);
        let mut merged = note.clone();
        assert_eq!(merged.merge(&offered, &[known.key()]), 1);
        assert_eq!(merged.signatures.len(), 2);
        assert_eq!(merged.merge(&offered, &[known.key()]), 1, "taken once");
        assert_eq!(merged.signatures.len(), 2);
        assert_eq!(Note::parse(merged.to_string().as_bytes()), Ok(merged.clone()));
        let forged = Witness::new(9, "w1.example").cosign(&note, 5);
        assert_eq!(note.clone().merge(&forged, &[known.key()]), 0);
    }

    #[test]
    fn a_note_by_another_key_of_the_same_name_is_not_trusted() {
        let note = Note::sign("a\n".to_owned(), &key(1));
        assert_eq!(note.verify(key(2).verifier()), Err(NoteError::NotSigned(key(2).verifier().to_string())));
    }
}
