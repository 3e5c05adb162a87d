//! A record as it is written: the leaf, then salt and payload, each with its length before it.
//!
//! The first part is an entry of a C2SP entry bundle as it stands, the second one of a bundle of
//! payloads, so that neither is ever encoded twice.

use seawall_model::Record;

use crate::{
    envelope::{Envelope, MAX_LEAF, SALT},
    merkle::Hash,
};

/// The largest payload, in bytes of JSON.
pub const MAX_PAYLOAD: usize = 60 << 10;

/// Bytes of the length before a leaf.
pub(crate) const LEAF_PREFIX: usize = 2;

/// Bytes of the length before salt and payload.
pub(crate) const PAYLOAD_PREFIX: usize = 4;

/// The largest frame, in bytes.
pub(crate) const MAX_FRAME: usize = LEAF_PREFIX + MAX_LEAF + PAYLOAD_PREFIX + SALT + MAX_PAYLOAD;

/// A record ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    leaf: usize,
    hash: Hash,
}

/// The payload is larger than [`MAX_PAYLOAD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is {0} bytes; the most is {MAX_PAYLOAD}")]
pub struct TooLarge(pub usize);

impl Frame {
    /// Encodes `record` under a fresh `salt`.
    pub fn encode(record: &Record, salt: [u8; SALT]) -> Result<Self, TooLarge> {
        // The payload comes first, since the leaf before it commits to it.
        let mut salted = Vec::with_capacity(SALT + 256);
        salted.extend_from_slice(&salt);
        serde_json::to_writer(&mut salted, &record.payload).expect("a JSON value always serialises");
        if salted.len() > SALT + MAX_PAYLOAD {
            return Err(TooLarge(salted.len() - SALT));
        }
        let envelope = Envelope {
            kind: record.kind,
            component: record.component.clone(),
            at: record.at,
            commit: Hash::of(&salted),
        };
        let mut bytes = Vec::with_capacity(LEAF_PREFIX + 256 + PAYLOAD_PREFIX + salted.len());
        bytes.extend_from_slice(&[0; LEAF_PREFIX]);
        envelope.encode(&mut bytes);
        let leaf = bytes.len() - LEAF_PREFIX;
        let length = u16::try_from(leaf).expect("an envelope is at most MAX_LEAF bytes");
        bytes[..LEAF_PREFIX].copy_from_slice(&length.to_be_bytes());
        let hash = Hash::leaf(&bytes[LEAF_PREFIX..]);
        let length = u32::try_from(salted.len()).expect("a payload is at most MAX_PAYLOAD bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&salted);
        Ok(Self { bytes, leaf, hash })
    }

    /// Takes the first frame off `bytes`. Checks lengths, and that the leaf commits to the payload.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let start = *bytes;
        let leaf = take_leaf(bytes)?;
        let salted = take_payload(bytes)??;
        let envelope = Envelope::decode(leaf).ok()?;
        envelope.commits_to(salted).then(|| Self {
            bytes: start[..start.len() - bytes.len()].to_vec(),
            leaf: leaf.len(),
            hash: Hash::leaf(leaf),
        })
    }

    /// The whole frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The leaf with its length: an entry of an entry bundle.
    pub fn entry(&self) -> &[u8] {
        &self.bytes[..LEAF_PREFIX + self.leaf]
    }

    /// The leaf.
    pub fn leaf(&self) -> &[u8] {
        &self.bytes[LEAF_PREFIX..LEAF_PREFIX + self.leaf]
    }

    /// Salt and payload with their length: an item of a bundle of payloads.
    pub fn payload_item(&self) -> &[u8] {
        &self.bytes[LEAF_PREFIX + self.leaf..]
    }

    /// The payload's JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload_item()[PAYLOAD_PREFIX + SALT..]
    }

    /// The leaf's hash.
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

/// Takes the first leaf off an entry bundle.
pub(crate) fn take_leaf<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (leaf, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(leaf)
}

/// Takes the first item off a bundle of payloads: salt and payload, or `Some(None)` if it was erased.
#[expect(clippy::option_option, reason = "no item, an erased item and an item are three things")]
pub(crate) fn take_payload<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length != 0 && !(SALT..=SALT + MAX_PAYLOAD).contains(&length) {
        return None;
    }
    let (salted, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((length != 0).then_some(salted))
}

/// An erased item of a bundle of payloads.
pub(crate) const ERASED: [u8; PAYLOAD_PREFIX] = [0; PAYLOAD_PREFIX];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seawall_model::{RecordKind, Wall};

    use super::*;

    fn record(text: String) -> Record {
        Record {
            kind: RecordKind::Head,
            component: None,
            at: Wall(5),
            payload: serde_json::json!({ "text": text }),
        }
    }

    proptest! {
        #[test]
        fn frames_survive_the_round_trip_and_nothing_else_decodes(
            text in ".{0,80}", salt in any::<[u8; SALT]>(), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let frame = Frame::encode(&record(text.clone()), salt).unwrap();
            prop_assert_eq!(Frame::decode(&mut frame.bytes()), Some(frame.clone()));
            let payload: serde_json::Value = serde_json::from_slice(frame.payload()).unwrap();
            prop_assert_eq!(payload, record(text).payload);
            let mut flipped = frame.bytes().to_vec();
            let at = at.index(flipped.len());
            flipped[at] ^= 1 << bit;
            if let Some(other) = Frame::decode(&mut flipped.as_slice()) {
                // A flip in the kind, component or time yields another leaf: the tree tells them apart.
                prop_assert_ne!(other.hash(), frame.hash());
            }
        }
    }

    #[test]
    fn a_payload_over_the_limit_is_refused() {
        let fits = MAX_PAYLOAD - "{\"text\":\"\"}".len();
        assert!(Frame::encode(&record("x".repeat(fits)), [0; SALT]).unwrap().bytes().len() <= MAX_FRAME);
        assert_eq!(Frame::encode(&record("x".repeat(fits + 1)), [0; SALT]), Err(TooLarge(MAX_PAYLOAD + 1)));
    }
}
