//! Keys, and where a request carries one. A key is compared by its hash and kept nowhere.

use std::collections::BTreeMap;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use http::{HeaderMap, HeaderName, header};

use crate::core::credential::{MAX, bearer};

/// The header for a key alone.
pub(crate) const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// Bytes of a hash by which keys are found. Whoever learnt them from the time a look-up takes would know as
/// much of a hash, and nothing of the key that it is of.
const FOUND_BY: usize = 8;

/// The hash that a key is known by. Keys are long and random (`seawall key new`): there is nothing to guess, so a
/// slow hash would protect nothing and cost every request.
pub(crate) fn hash(key: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key).as_ref());
    hash
}

/// Keys by their hashes.
pub(crate) struct Keys<T>(BTreeMap<[u8; FOUND_BY], Vec<([u8; 32], T)>>);

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Keys<T> {
    pub(crate) fn new(keys: impl Iterator<Item = ([u8; 32], T)>) -> Self {
        let mut by = BTreeMap::<_, Vec<_>>::new();
        for (hash, whose) in keys {
            by.entry(found_by(&hash)).or_default().push((hash, whose));
        }
        Self(by)
    }

    /// Whose key it is.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&T> {
        let hash = hash(key);
        let near = self.0.get(&found_by(&hash))?;
        near.iter().find(|(known, _)| verify_slices_are_equal(known, &hash).is_ok()).map(|(_, whose)| whose)
    }
}

fn found_by(hash: &[u8; 32]) -> [u8; FOUND_BY] {
    let mut first = [0; FOUND_BY];
    first.copy_from_slice(&hash[..FOUND_BY]);
    first
}

/// Takes what a request's headers carry as a credential out of them, so that it goes no further: a key of its own
/// header, or what stands behind `Bearer` (RFC 6750, section 2.1).
pub(crate) fn take(headers: &mut HeaderMap) -> Option<Shown> {
    if let Some(value) = headers.remove(&KEY_HEADER) {
        return Some(Shown {
            text: value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= MAX)?.to_owned(),
            is_bearer: false,
        });
    }
    let text = bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)?.to_owned();
    headers.remove(header::AUTHORIZATION);
    Some(Shown { text, is_bearer: true })
}

/// What a client shows for itself. Never logged: it has no `Debug`.
pub(crate) struct Shown {
    pub(crate) text: String,
    /// It may be a token as well as a key.
    pub(crate) is_bearer: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_hash_and_by_nothing_else() {
        let keys =
            Keys::new([("one", 1), ("two", 2)].map(|(key, whose)| (hash(key.as_bytes()), whose)).into_iter());
        assert_eq!(keys.find(b"one"), Some(&1));
        assert_eq!(keys.find(b"two"), Some(&2));
        for other in [&b""[..], b"on", b"one ", b"One", &hash(b"one")] {
            assert_eq!(keys.find(other), None);
        }
    }

    fn check(headers: &[(&str, &str)], shown: Option<(&str, bool)>, left: usize) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let taken = take(&mut map);
        assert_eq!(taken.as_ref().map(|s| (s.text.as_str(), s.is_bearer)), shown, "{headers:?}");
        assert_eq!(map.len(), left, "{headers:?}");
    }

    #[test]
    fn a_credential_is_taken_out_of_the_headers() {
        check(&[("x-api-key", "k"), ("accept", "*/*")], Some(("k", false)), 1);
        check(&[("x-api-key", "k"), ("x-api-key", "l")], Some(("k", false)), 0);
        check(&[("authorization", "Bearer k")], Some(("k", true)), 0);
        check(&[("authorization", "bearer   k ")], Some(("k", true)), 0);
        // Somebody else's, perhaps the upstream's.
        check(&[("authorization", "Basic k")], None, 1);
        check(&[("authorization", "Bearer")], None, 1);
        check(&[("authorization", "Bearer ")], None, 1);
        check(&[], None, 0);
    }
}
