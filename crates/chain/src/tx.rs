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
const BLOB_TX: u8 = 3;
/// RLP: the first byte of a list whose payload is 0 to 55 bytes long.
const SHORT_LIST: u8 = 0xc0;
/// RLP: the first byte of a list whose payload length takes one byte; each byte more is one up.
const LONG_LIST: u8 = 0xf8;

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

struct List<'a> {
    /// Header and payload.
    whole: &'a [u8],
    payload: &'a [u8],
}

/// The RLP list that `rlp` begins with.
fn list(rlp: &[u8]) -> Option<List<'_>> {
    let first = *rlp.first()?;
    let (header, len) = match first {
        0..SHORT_LIST => return None,
        SHORT_LIST..LONG_LIST => (1, usize::from(first - SHORT_LIST)),
        LONG_LIST.. => {
            let width = usize::from(first - LONG_LIST) + 1;
            let len = rlp
                .get(1..1 + width)?
                .iter()
                .try_fold(0usize, |n, b| Some(n.checked_mul(256)? | usize::from(*b)))?;
            (1 + width, len)
        }
    };
    let end = header + len.min(MAX_LEN + 1);
    Some(List { whole: rlp.get(..end)?, payload: rlp.get(header..end)? })
}
