//! What Seawall knows about chains: the JSON-RPC [`envelope`], the [`method`]s and what they read, block
//! tags and how they are [`pin`]ned, [`block`] headers, whether a block's [`bloom`] can hold the logs asked for, whose
//! [`fault`] an error is, the hash of a [`tx`] and its [`sender`], the agreed [`heads`] of a pool, what [`keep`]s an
//! answer to them, the [`log`]s a filter wants, and the [`capability`] an upstream was seen to lack. What differs
//! between chains stands in their [`family`].
//!
//! Pure: no IO, no clock, no randomness. What runs per request borrows from the request and writes into
//! a buffer of the caller's.

pub mod block;
pub mod bloom;
pub mod capability;
pub mod envelope;
pub mod family;
pub mod fault;
mod hash;
pub mod heads;
pub mod keep;
pub mod log;
pub mod method;
pub mod pin;
mod scan;
pub mod sender;
pub mod tx;

pub use hash::{Hash, NotHex, parse_quantity, write_quantity};

/// An EIP-155 chain id.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ChainId(pub u64);

/// A block, named beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash)]
pub struct Block {
    /// Height.
    pub number: u64,
    /// Hash of its header.
    pub hash: Hash,
}
