//! Who a log is: its origin, and the public keys it has signed with.
//!
//! The file `origin` holds the origin, the first verifier key, and a line `index key` for each
//! `key_rotation` record.

use std::fmt;

use seawall_model::{Record, RecordKind, Wall};
use serde::{Deserialize, Serialize};

use crate::{
    merkle::Hash,
    note::{SigningKey, VerifierKey},
};

/// A log's origin and public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    origin: String,
    first: VerifierKey,
    /// Later keys, each with the index of the record that brought it in.
    rotations: Vec<(u64, VerifierKey)>,
}

/// The payload of a `key_rotation` record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotation {
    /// The new verifier key.
    pub(crate) key: String,
    /// Signature over [`Rotation::message`] by the key before, in hexadecimal digits.
    signature: String,
}

impl Identity {
    /// A new log: a key from `seed`, and an origin `name/…` that only this key has.
    pub(crate) fn create(name: &str, seed: [u8; 32]) -> (Self, SigningKey) {
        let key = SigningKey::from_seed(seed, |public| {
            let id = &Hash::of(public).hex()[..12];
            format!("{name}/{id}")
        });
        (Self::of(&key), key)
    }

    /// The identity of a log that has only ever had this key.
    pub(crate) fn of(key: &SigningKey) -> Self {
        let first = key.verifier().clone();
        Self { origin: first.name().to_owned(), first, rotations: Vec::new() }
    }

    /// The log's name, first line of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Every key, oldest first, with the size from which it signs.
    pub fn keys(&self) -> impl Iterator<Item = (u64, &VerifierKey)> {
        let later = self.rotations.iter().map(|(index, key)| (index + 1, key));
        std::iter::once((0, &self.first)).chain(later)
    }

    /// The key that signs now.
    pub fn current(&self) -> &VerifierKey {
        self.rotations.last().map_or(&self.first, |(_, key)| key)
    }

    /// The key that signs checkpoints of this size.
    pub fn key_at(&self, size: u64) -> &VerifierKey {
        self.rotations.iter().rev().find(|(index, _)| *index < size).map_or(&self.first, |(_, key)| key)
    }

    /// Takes a new key over, brought in by the record `index`.
    pub(crate) fn rotate(&mut self, index: u64, key: VerifierKey) {
        self.rotations.push((index, key));
    }

    /// The rotations, each with the index of its record.
    pub(crate) fn rotations(&self) -> &[(u64, VerifierKey)] {
        &self.rotations
    }

    /// Reads the file `origin`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let origin = lines.next()?.to_owned();
        let first: VerifierKey = lines.next()?.parse().ok()?;
        let rotations = lines
            .map(|line| {
                let (index, key) = line.split_once(' ')?;
                Some((index.parse().ok()?, key.parse().ok()?))
            })
            .collect::<Option<Vec<(u64, VerifierKey)>>>()?;
        let identity = Self { origin, first, rotations };
        let named = identity.keys().all(|(_, key)| key.name() == identity.origin);
        (named && identity.to_string() == text).then_some(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.origin, self.first)?;
        self.rotations.iter().try_for_each(|(index, key)| writeln!(f, "{index} {key}"))
    }
}

impl Rotation {
    fn message(new: &str) -> String {
        format!("seawall key rotation v1\n{new}\n")
    }

    /// The record that brings `new` in.
    pub(crate) fn record(old: &SigningKey, new: &VerifierKey, at: Wall) -> Record {
        let key = new.to_string();
        let signature = old.sign(&Self::message(&key)).iter().map(|byte| format!("{byte:02x}")).collect();
        let payload = serde_json::json!(Self { key, signature });
        Record { kind: RecordKind::KeyRotation, component: None, at, payload }
    }

    /// The key that a `key_rotation` record brings in, if `old` signed for it.
    pub(crate) fn verified(payload: &[u8], old: &VerifierKey) -> Option<VerifierKey> {
        let rotation: Self = serde_json::from_slice(payload).ok()?;
        let digits = rotation.signature.as_bytes().chunks(2);
        let signature = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<Vec<_>>>()?;
        let key: VerifierKey = rotation.key.parse().ok()?;
        old.verifies_message(&Self::message(&rotation.key), &signature).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_the_round_trip_and_every_flipped_bit_is_noticed() {
        let (mut identity, _) = Identity::create("example.com/node", [1; 32]);
        let (other, _) = Identity::create("example.com/node", [2; 32]);
        assert_ne!(identity.origin(), other.origin());
        let next = SigningKey::from_seed([3; 32], |_| identity.origin().to_owned());
        identity.rotate(7, next.verifier().clone());
        let text = identity.to_string();
        assert_eq!(Identity::parse(text.as_bytes()), Some(identity.clone()));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The index of a rotation is checked against the record it names.
            assert!(Identity::parse(&bytes).is_none_or(|read| read != identity), "bit {bit}");
        }
        assert_eq!(identity.key_at(7), &identity.first);
        assert_eq!(identity.key_at(8), next.verifier());
    }

    #[test]
    fn only_the_old_key_can_bring_in_a_new_one() {
        let key = |seed| SigningKey::from_seed([seed; 32], |_| "example.com/node".to_owned());
        let record = Rotation::record(&key(1), key(2).verifier(), Wall(0));
        let payload = serde_json::to_vec(&record.payload).unwrap();
        assert_eq!(Rotation::verified(&payload, key(1).verifier()), Some(key(2).verifier().clone()));
        assert_eq!(Rotation::verified(&payload, key(3).verifier()), None);
    }
}
