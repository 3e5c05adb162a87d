//! 32-byte hashes and quantities, in the hex of the Ethereum JSON-RPC.

use std::{fmt, str::FromStr};

use sha3::{Digest, Keccak256};

/// A 32-byte hash: of a block's header, of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash)]
pub struct Hash(pub [u8; 32]);

/// Why a text is not what hex it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotHex {
    /// It does not begin with `0x`.
    #[error("hex data must begin with 0x")]
    NoPrefix,
    /// It has another number of digits than it must have.
    #[error("hex data has the wrong number of digits")]
    Length,
    /// It holds something that is no hex digit.
    #[error("hex data holds something that is no hex digit")]
    Digit,
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Hash {
    /// Bytes of the written form: `0x` and 64 digits.
    pub const TEXT_LEN: usize = 66;

    /// Keccak-256 over `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Keccak256::digest(bytes).into())
    }

    /// Appends the hash as `0x` and 64 lower-case digits.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text());
    }

    fn text(&self) -> [u8; Self::TEXT_LEN] {
        let mut text = *b"0x0000000000000000000000000000000000000000000000000000000000000000";
        for (pair, byte) in text[2..].chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

impl FromStr for Hash {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let mut hash = [0; 32];
        if text.len() != Self::TEXT_LEN && text.starts_with("0x") {
            return Err(NotHex::Length);
        }
        for (byte, pair) in hash.iter_mut().zip(pairs(text)?) {
            *byte = pair?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes that `0x`-hex data of an even number of digits stands for.
pub(crate) fn pairs(text: &str) -> Result<impl ExactSizeIterator<Item = Result<u8, NotHex>>, NotHex> {
    let digits = text.strip_prefix("0x").ok_or(NotHex::NoPrefix)?.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(NotHex::Length);
    }
    Ok(digits.chunks_exact(2).map(|pair| Ok(nibble(pair[0])? << 4 | nibble(pair[1])?)))
}

fn nibble(digit: u8) -> Result<u8, NotHex> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(NotHex::Digit),
    }
}

/// Reads a quantity such as `0x1b4`. Leading zeros are let pass, as most nodes do.
pub fn parse_quantity(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, d| Some(n.checked_mul(16)? | u64::from(nibble(*d).ok()?)))
}

/// Appends a quantity such as `0x1b4`, without leading zeros.
pub fn write_quantity(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"0x");
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|i| DIGITS[(n >> (4 * i)) as usize & 15]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantities_read_as_the_standard_library_writes_them(n: u64) {
            let mut out = Vec::new();
            write_quantity(&mut out, n);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), format!("{n:#x}"));
            prop_assert_eq!(parse_quantity(&format!("{n:#x}")), Some(n));
        }

        #[test]
        fn hashes_survive_the_round_trip(bytes: [u8; 32]) {
            let hash = Hash(bytes);
            prop_assert_eq!(hash.to_string().parse::<Hash>(), Ok(hash));
            prop_assert_eq!(hash.to_string().to_uppercase().replace('X', "x").parse::<Hash>(), Ok(hash));
        }
    }

    #[test]
    fn what_is_no_hex_is_refused() {
        for bad in ["", "0x", "x1", "12", "0xg", "0x10000000000000000", "0x-1", "0x+1"] {
            assert_eq!(parse_quantity(bad), None, "{bad:?}");
        }
        let check = |text: &str, want| assert_eq!(text.parse::<Hash>(), Err(want), "{text:?}");
        check("", NotHex::NoPrefix);
        check("0x12", NotHex::Length);
        check(&format!("0x{}", "g".repeat(64)), NotHex::Digit);
        check(&"a".repeat(66), NotHex::NoPrefix);
    }
}
