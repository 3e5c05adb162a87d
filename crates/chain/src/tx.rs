//! The hash of a signed transaction, by which a write can be sent twice and counted once.

use sha3::{Digest, Keccak256};

use crate::{
    Hash,
    hash::{NotHex, pairs},
};

/// The largest raw transaction that is hashed, in bytes: a blob transaction of EIP-7594's six blobs with
/// their cell proofs fits, with room for twice that.
pub const MAX_LEN: usize = 2 * 1024 * 1024;

/// EIP-2718 type of a blob transaction (EIP-4844).
pub(crate) const BLOB_TX: u8 = 3;
/// RLP: the first byte of a list whose payload is 0 to 55 bytes long.
pub(crate) const SHORT_LIST: u8 = 0xc0;
/// RLP: the first byte of a list whose payload length takes one byte; each byte more is one up.
pub(crate) const LONG_LIST: u8 = 0xf8;
/// RLP: the first byte of a string of 0 to 55 bytes; what is below stands for itself.
const SHORT_STRING: u8 = 0x80;
/// RLP: the first byte of a string whose length takes one byte; each byte more is one up.
const LONG_STRING: u8 = 0xb8;

/// Why no hash could be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotATransaction {
    /// It is not `0x`-hex of whole bytes.
    #[error("the raw transaction is not hex: {0}")]
    Hex(#[from] NotHex),
    /// There is nothing after the `0x`.
    #[error("the raw transaction is empty")]
    Empty,
    /// It is longer than [`MAX_LEN`].
    #[error("the raw transaction is longer than {MAX_LEN} bytes")]
    TooLong,
    /// A blob transaction that is no RLP list.
    #[error("the blob transaction is not an RLP list")]
    Rlp,
}

/// The hash of the signed transaction that `raw` (`0x`-hex) holds: keccak-256 over its bytes.
///
/// A blob transaction in its network form, `0x03 || rlp([body, blobs, …])`, hashes as
/// `0x03 || body` (EIP-4844): blobs are not part of the transaction's identity.
pub fn hash(raw: &str) -> Result<Hash, NotATransaction> {
    let bytes = pairs(raw)?;
    match bytes.len() {
        0 => return Err(NotATransaction::Empty),
        n if n > MAX_LEN => return Err(NotATransaction::TooLong),
        _ => {}
    }
    let bytes = bytes.collect::<Result<Vec<u8>, _>>()?;
    let mut keccak = Keccak256::new();
    match bytes.split_first() {
        Some((&BLOB_TX, rlp)) => {
            let fields = list(rlp).ok_or(NotATransaction::Rlp)?;
            // A body's first field is the chain id; only the network form begins with a list.
            let body = match fields.payload.first() {
                Some(first) if *first >= SHORT_LIST => {
                    list(fields.payload).ok_or(NotATransaction::Rlp)?.whole
                }
                _ => fields.whole,
            };
            keccak.update([BLOB_TX]);
            keccak.update(body);
        }
        _ => keccak.update(&bytes),
    }
    Ok(Hash(keccak.finalize().into()))
}

pub(crate) struct List<'a> {
    /// Header and payload.
    whole: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// The RLP list that `rlp` begins with.
pub(crate) fn list(rlp: &[u8]) -> Option<List<'_>> {
    let (header, len) = item(rlp).filter(|_| rlp[0] >= SHORT_LIST)?;
    let end = header + len.min(MAX_LEN + 1);
    Some(List { whole: rlp.get(..end)?, payload: rlp.get(header..end)? })
}

/// The lengths of the header and of the payload of the RLP item that `rlp` begins with.
pub(crate) fn item(rlp: &[u8]) -> Option<(usize, usize)> {
    let long = |width: u8| {
        let width = usize::from(width) + 1;
        let mut bytes = rlp.get(1..1 + width)?.iter();
        let len = bytes.try_fold(0usize, |n, b| Some(n.checked_mul(256)? | usize::from(*b)))?;
        Some((1 + width, len))
    };
    match *rlp.first()? {
        0..SHORT_STRING => Some((0, 1)),
        first @ SHORT_STRING..LONG_STRING => Some((1, usize::from(first - SHORT_STRING))),
        first @ LONG_STRING..SHORT_LIST => long(first - LONG_STRING),
        first @ SHORT_LIST..LONG_LIST => Some((1, usize::from(first - SHORT_LIST))),
        first @ LONG_LIST.. => long(first - LONG_LIST),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rlp_list(payload: &[u8]) -> Vec<u8> {
        let len = payload.len();
        let mut out = match len {
            0..=55 => vec![SHORT_LIST + len as u8],
            _ => {
                let bytes: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
                [vec![LONG_LIST - 1 + bytes.len() as u8], bytes].concat()
            }
        };
        out.extend_from_slice(payload);
        out
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold("0x".into(), |s, b| format!("{s}{b:02x}"))
    }

    fn keccak(bytes: &[u8]) -> Hash {
        Hash(Keccak256::digest(bytes).into())
    }

    #[test]
    fn a_known_transaction_has_its_known_hash() {
        // The worked example of EIP-155.
        let raw = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
        let want = "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788";
        assert_eq!(hash(raw).unwrap().to_string(), want);
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        let check = |raw: &str, want| assert_eq!(hash(raw), Err(want), "{}", &raw[..raw.len().min(20)]);
        check("f86c", NotATransaction::Hex(NotHex::NoPrefix));
        check("0xf", NotATransaction::Hex(NotHex::Length));
        check("0xzz", NotATransaction::Hex(NotHex::Digit));
        check("0x", NotATransaction::Empty);
        check(&format!("0x{}", "00".repeat(MAX_LEN + 1)), NotATransaction::TooLong);
        check("0x03", NotATransaction::Rlp);
        check("0x0380", NotATransaction::Rlp);
        check("0x03c2c5", NotATransaction::Rlp);
        check("0x03ffffffffffffffffff", NotATransaction::Rlp);
    }

    proptest! {
        #[test]
        fn a_blob_transaction_hashes_the_same_with_and_without_its_blobs(
            fields in prop::collection::vec(0u8..0x80, 1..400),
            blobs in prop::collection::vec(0u8..0x80, 0..2000),
        ) {
            let body = rlp_list(&fields);
            let bare = [&[BLOB_TX], &body[..]].concat();
            let network = [&[BLOB_TX], &rlp_list(&[&body[..], &rlp_list(&blobs)[..]].concat())[..]].concat();
            prop_assert_eq!(hash(&hex(&bare)), Ok(keccak(&bare)));
            prop_assert_eq!(hash(&hex(&network)), Ok(keccak(&bare)));
        }

        #[test]
        fn any_other_transaction_is_hashed_whole(first in prop::sample::select(vec![1u8, 2, 4, 0xc0, 0xf8]), rest: Vec<u8>) {
            let raw = [&[first], &rest[..]].concat();
            prop_assert_eq!(hash(&hex(&raw)), Ok(keccak(&raw)));
        }
    }
}
