//! The families of chains: how a node of each is asked for its head, what its methods are for, what its errors
//! mean, and how a transaction of it is told from another.
//!
//! A family is one file that holds one [`Rules`]; [`Poll`] asks by them.

mod bitcoin;
mod cometbft;
mod evm;
mod monero;
mod poll;

pub use bitcoin::network as bitcoin_network;
pub use poll::{Owed, Poll, Question, Seen};

use serde_json::value::RawValue;

use crate::{
    Block, Hash,
    envelope::{RpcError, Versions},
    fault::Kind,
    heads::{HeadSeen, NotABlock},
    method::Method,
};

/// A family of chains whose nodes speak alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Ethereum's JSON-RPC: the EVM chains and rollups.
    Evm,
    /// Bitcoin Core's JSON-RPC, which btcd and the nodes of many other coins speak too.
    Bitcoin,
    /// CometBFT's (Tendermint's) JSON-RPC.
    CometBft,
    /// `monerod`'s JSON-RPC.
    Monero,
}

impl Family {
    /// Its name, as in the estate.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evm => "evm",
            Self::Bitcoin => "bitcoin",
            Self::CometBft => "cometbft",
            Self::Monero => "monero",
        }
    }

    /// What is known of it.
    pub fn rules(self) -> &'static Rules {
        match self {
            Self::Evm => &evm::RULES,
            Self::Bitcoin => &bitcoin::RULES,
            Self::CometBft => &cometbft::RULES,
            Self::Monero => &monero::RULES,
        }
    }
}

/// What is known of a family.
pub struct Rules {
    /// How a poll goes about it: the questions, in order.
    first: &'static [Ask],
    /// How a question is put.
    question: fn(Ask) -> Question,
    /// What an answer to it tells.
    read: fn(Ask, &RawValue) -> Result<Told, NotABlock>,
    /// What is known of a method.
    pub method: fn(&str) -> Method,
    /// What sort of error it is.
    pub classify: fn(&RpcError<'_>) -> Kind,
    /// How transactions are sent and found again; none where they are not sent by JSON-RPC.
    pub writes: Option<Writes>,
    /// What the agreed head alone answers, as JSON: a node's own answer may be of another block.
    pub at_head: fn(&str, &Block) -> Option<String>,
    /// The versions of JSON-RPC that its clients may call by.
    pub versions: Versions,
    /// Its nodes may tell a JSON-RPC error under an HTTP status that elsewhere is a fault of the node.
    pub errors_by_status: bool,
    /// Blocks come at random, as from proof of work, so that a long pause is nothing unusual.
    pub irregular: bool,
}

/// How a family's transactions are sent and found again.
pub struct Writes {
    /// The hash of the transaction that a call sends, if it is one of those that may be sent twice.
    pub hash: fn(&str, Option<&RawValue>) -> Option<Hash>,
    /// What the answer to a send says.
    pub fate: fn(&RawValue, &Hash) -> Fate,
    /// The answer to a send that was found out to have worked, as JSON.
    pub taken: fn(&Hash) -> String,
    /// How a transaction is looked up by its hash: method and parameters.
    pub look_up: fn(&Hash) -> (&'static str, String),
}

/// What the answer to a send says of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The node took it, or has it already.
    Taken,
    /// The node looked at it and will not have it.
    Rejected,
    /// It is no answer to this.
    Nonsense,
}

/// What a poll asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Which chain it is.
    Network,
    /// The newest block, or where to find it.
    Head,
    /// The newest block, by what [`Ask::Head`] told.
    HeadAt(Block, u64),
    /// The block that `safe` means.
    Safe,
    /// The block that `finalized` means.
    Finalized,
    /// The block at a height.
    At(u64),
}

/// What an answer told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// Which chain it is.
    Network(String),
    /// The newest block.
    Head(HeadSeen),
    /// Where the newest block is to be found, and what time its chain says it is.
    HeadAt(Block, u64),
    /// A block.
    Block(Block),
    /// There is no such thing.
    Nothing,
}

/// Reads 64 hex digits without a prefix, as most families but the EVM's write hashes.
fn bare(text: &str) -> Result<Hash, NotABlock> {
    let mut prefixed = String::with_capacity(Hash::TEXT_LEN);
    prefixed.push_str("0x");
    prefixed.push_str(text);
    prefixed.parse().map_err(|_| NotABlock)
}

/// A hash as 64 lower-case hex digits without a prefix.
fn to_bare(hash: &Hash) -> String {
    hash.to_string().split_off(2)
}

/// The parameter called `name`, or at `index` of a list, if it is a text.
fn text_param(params: Option<&RawValue>, index: usize, name: &str) -> Option<String> {
    let params: serde_json::Value = serde_json::from_str(params?.get()).ok()?;
    params.get(index).or_else(|| params.get(name))?.as_str().map(str::to_owned)
}
