//! The leaf: an envelope that says what happened, to what and when, and commits to the payload
//! without disclosing it.
//!
//! Version 1 is one line of JSON in one form only, so that no two texts mean the same:
//!
//! ```json
//! {"v":1,"kind":"breaker","component":"upstream:eth/a","at":1754374027250,"commit":"<base64>"}
//! ```
//!
//! `component` may be `null`; `at` is milliseconds since the Unix epoch; `commit` is the SHA-256 of the
//! 16 bytes of salt and the payload.

use seawall_model::{ComponentId, RecordKind, Wall};

use crate::merkle::Hash;

/// The longest envelope, in bytes, with room for the longest component id.
pub const MAX_LEAF: usize = 512;

/// Length of the salt before a payload, in bytes.
pub const SALT: usize = 16;

/// What a leaf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What happened.
    pub kind: RecordKind,
    /// To what; `None` for the node itself.
    pub component: Option<ComponentId>,
    /// When.
    pub at: Wall,
    /// SHA-256 of salt and payload.
    pub commit: Hash,
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not of the form above, down to the byte.
    #[error("not a canonical envelope of version 1")]
    NotCanonical,
    /// A kind of record that this program does not know; a newer one wrote it.
    #[error("a kind of record that this version does not know")]
    UnknownKind,
}

impl Envelope {
    /// Appends the one encoding to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        // Writing to memory does not fail.
        let _ = match &self.component {
            Some(id) => write!(out, "{{\"v\":1,\"kind\":\"{}\",\"component\":\"{id}\"", self.kind),
            None => write!(out, "{{\"v\":1,\"kind\":\"{}\",\"component\":null", self.kind),
        };
        let _ = write!(out, ",\"at\":{},\"commit\":\"{}\"}}", self.at.0, self.commit);
    }

    /// Reads an envelope; refuses whatever [`Self::encode`] would not have written.
    pub fn decode(leaf: &[u8]) -> Result<Self, EnvelopeError> {
        let raw = RawEnvelope::decode(leaf)?;
        Ok(Self { kind: raw.kind, component: raw.component()?, at: raw.at, commit: raw.commit })
    }
}

/// An envelope whose component has not been looked at. For reading many in a row, most of which are about
/// the same few components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEnvelope<'a> {
    pub(crate) kind: RecordKind,
    pub(crate) component: Option<&'a str>,
    at: Wall,
    commit: Hash,
}

impl<'a> RawEnvelope<'a> {
    pub(crate) fn decode(leaf: &'a [u8]) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(leaf).ok().filter(|t| t.len() <= MAX_LEAF);
        let (fields, rest) = text.and_then(split).ok_or(EnvelopeError::NotCanonical)?;
        if !rest.is_empty() {
            return Err(EnvelopeError::NotCanonical);
        }
        let kind = RecordKind::parse(fields.kind).ok_or(EnvelopeError::UnknownKind)?;
        let commit = Hash::from_base64(fields.commit).ok_or(EnvelopeError::NotCanonical)?;
        Ok(Self { kind, component: fields.component, at: Wall(fields.at), commit })
    }

    pub(crate) fn component(&self) -> Result<Option<ComponentId>, EnvelopeError> {
        self.component.map(|id| id.parse().map_err(|_| EnvelopeError::NotCanonical)).transpose()
    }

    /// True if the envelope commits to `salted`, the salt and the payload after it.
    pub(crate) fn commits_to(&self, salted: &[u8]) -> bool {
        Hash::of(salted) == self.commit
    }
}

impl Envelope {
    /// True if the envelope commits to `salted`, the salt and the payload after it.
    pub fn commits_to(&self, salted: &[u8]) -> bool {
        Hash::of(salted) == self.commit
    }
}

struct Fields<'a> {
    kind: &'a str,
    component: Option<&'a str>,
    at: i64,
    commit: &'a str,
}

fn split(text: &str) -> Option<(Fields<'_>, &str)> {
    let (kind, rest) = text.strip_prefix("{\"v\":1,\"kind\":\"")?.split_once('"')?;
    let rest = rest.strip_prefix(",\"component\":")?;
    let (component, rest) = match rest.strip_prefix("null") {
        Some(rest) => (None, rest),
        None => {
            let (id, rest) = rest.strip_prefix('"')?.split_once('"')?;
            (Some(id), rest)
        }
    };
    let (at, rest) = rest.strip_prefix(",\"at\":")?.split_once(',')?;
    let (commit, rest) = rest.strip_prefix("\"commit\":\"")?.split_once('"')?;
    Some((Fields { kind, component, at: integer(at)?, commit }, rest.strip_prefix('}')?))
}

/// An integer as `Display` writes it: no plus, no leading zero, no minus zero.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && (!digits.starts_with('0') || text == "0");
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seawall_model::{ComponentKind, Name};

    use super::*;

    fn envelope() -> impl Strategy<Value = Envelope> {
        let name = "[a-z0-9][a-z0-9_-]{0,63}";
        let component = proptest::option::of((name, name).prop_map(|(pool, upstream)| {
            ComponentId::within(
                ComponentKind::Upstream,
                &Name::new(&pool).unwrap(),
                &Name::new(&upstream).unwrap(),
            )
        }));
        (0..RecordKind::ALL.len(), component, any::<i64>(), any::<[u8; 32]>()).prop_map(
            |(kind, component, at, commit)| Envelope {
                kind: RecordKind::ALL[kind],
                component,
                at: Wall(at),
                commit: Hash(commit),
            },
        )
    }

    fn encoded(envelope: &Envelope) -> Vec<u8> {
        let mut out = Vec::new();
        envelope.encode(&mut out);
        out
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(envelope in envelope()) {
            let leaf = encoded(&envelope);
            prop_assert!(leaf.len() <= MAX_LEAF);
            prop_assert_eq!(Envelope::decode(&leaf), Ok(envelope));
        }

        #[test]
        fn what_is_decoded_encodes_to_the_same_bytes(
            envelope in envelope(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut leaf = encoded(&envelope);
            let at = at.index(leaf.len());
            if cut { leaf.remove(at); } else { leaf[at] = byte; }
            if let Ok(decoded) = Envelope::decode(&leaf) {
                prop_assert_eq!(encoded(&decoded), leaf);
            }
        }

        #[test]
        fn leaves_are_json_to_everybody_else(envelope in envelope()) {
            let value: serde_json::Value = serde_json::from_slice(&encoded(&envelope)).unwrap();
            prop_assert_eq!(&value["v"], 1);
            prop_assert_eq!(&value["kind"], envelope.kind.as_str());
            prop_assert_eq!(&value["at"], envelope.at.0);
        }
    }

    #[test]
    fn one_form_only() {
        let commit = Hash([7; 32]);
        let good =
            format!("{{\"v\":1,\"kind\":\"start\",\"component\":null,\"at\":0,\"commit\":\"{commit}\"}}");
        assert!(Envelope::decode(good.as_bytes()).is_ok());
        for (from, to) in [
            ("\"at\":0", "\"at\":-0"),
            ("\"at\":0", "\"at\":00"),
            ("\"at\":0", "\"at\":+1"),
            ("\"at\":0", "\"at\":1.0"),
            ("\"v\":1", "\"v\": 1"),
            ("null", "\"\""),
            ("=\"", "\""),
            ("}", "}\n"),
        ] {
            let bad = good.replace(from, to);
            assert_eq!(Envelope::decode(bad.as_bytes()), Err(EnvelopeError::NotCanonical), "{bad}");
        }
        let newer = good.replace("start", "teleport");
        assert_eq!(Envelope::decode(newer.as_bytes()), Err(EnvelopeError::UnknownKind));
    }
}
