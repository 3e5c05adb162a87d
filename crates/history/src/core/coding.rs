//! Numbers as bytes: seven bits at a time, least first, the top bit set while more follow (LEB128).

/// Bytes in the store that are not what was written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {0} in the history is not as it was written")]
pub struct Damaged(pub &'static str);

/// Writes a number.
pub(crate) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number off the front; `None` if there is none, or it is over 64 bits.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut n, mut shift) = (0_u64, 0);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if shift > 63 || (shift == 63 && bits > 1) {
            return None;
        }
        n |= bits << shift;
        if first & 0x80 == 0 {
            return Some(n);
        }
        shift += 7;
    }
}

/// A signed number as an unsigned one that is small where it is near zero.
pub(crate) fn fold(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// What [`fold`] made, back.
pub(crate) fn unfold(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(n in any::<u64>(), signed in any::<i64>(), shift in 0_u32..64) {
            let mut out = Vec::new();
            put(&mut out, n >> shift);
            put(&mut out, fold(signed));
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest), Some(n >> shift));
            prop_assert_eq!(take(&mut rest).map(unfold), Some(signed));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            let taken = take(&mut rest);
            prop_assert!(taken.is_none() || rest.len() < bytes.len());
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        assert_eq!(take(&mut &[0xff; 9][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..]), Some(u64::MAX));
    }
}
