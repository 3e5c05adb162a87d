//! What Seawall knows about chains: methods, block tags, error classes and heads. Pure.

/// An EIP-155 chain id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ChainId(pub u64);
