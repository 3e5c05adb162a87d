//! What binds an answer to the agreed chain, so that it may be given again.
//!
//! An answer is kept only if something in it, or in the call, names by hash a block that has been agreed on.
//! What a height alone vouches for is not kept: an upstream on a fork may have given it. Null and empty lists
//! are not kept either, since they may be a gap.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    Block, Hash,
    method::{BlockParam, Class, Method},
    parse_quantity,
    pin::Reads,
    scan,
};

/// How an answer of a method shows which block it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// The call names the block by hash (EIP-1898): the answer is of that block.
    Call,
    /// The result says which block it is, or is in.
    Result,
    /// Every item of the result says which block it is in.
    Items,
}

/// The agreed chain, as far as it is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Agreed<'a> {
    /// The hash of a block by its height. There may be gaps.
    pub history: &'a BTreeMap<u64, Hash>,
    /// Height of the agreed finalized block.
    pub finalized: Option<u64>,
}

/// Namespaces of development nodes, whose calls change what a block's hash vouches for.
const REWRITING: [&str; 5] = ["anvil", "evm", "ganache", "hardhat", "tenderly"];

/// May a call of that name make answers untrue that are bound to a block? Development nodes change a block's
/// state under its hash.
pub fn rewrites(name: &str) -> bool {
    let namespace = name.split_once('_').map_or("", |(namespace, _)| namespace);
    REWRITING.contains(&namespace) || name == "debug_setHead"
}

impl Bond {
    /// How answers of the method called `name` are bound; `None` if they are not.
    pub fn of(name: &str, method: &Method) -> Option<Self> {
        match (method.class, method.block) {
            (Class::State, BlockParam::At { hash_ok: true, .. }) => Some(Self::Call),
            (Class::Block, _) => match name {
                "eth_getBlockByNumber"
                | "eth_getHeaderByNumber"
                | "eth_getBlockByHash"
                | "eth_getHeaderByHash"
                | "eth_getTransactionByHash"
                | "eth_getTransactionReceipt"
                | "eth_getTransactionByBlockHashAndIndex"
                | "eth_getTransactionByBlockNumberAndIndex" => Some(Self::Result),
                "eth_getBlockReceipts" => Some(Self::Items),
                _ => None,
            },
            (Class::Logs, _) => Some(Self::Items),
            _ => None,
        }
    }

    /// The agreed block that an answer is bound to; `None` if it must not be kept.
    ///
    /// `reads` is what the call reads, `by_hash` says whether an agreed block in it is written as its hash,
    /// `params` are the call's and `result` is the answer's, as written.
    pub fn block(
        self,
        reads: Option<Reads>,
        by_hash: bool,
        params: &str,
        result: &str,
        agreed: &Agreed<'_>,
    ) -> Option<Block> {
        match self {
            Self::Call => match reads? {
                Reads::Agreed(block) if by_hash => agreed.vouches(block),
                Reads::Hash(hash) => agreed.with_hash(hash),
                Reads::Agreed(_) | Reads::Number(_) | Reads::Range(..) => None,
            },
            Self::Result => {
                let told: Told<'_> = serde_json::from_str(result).ok()?;
                told.is_of(reads, params).then_some(())?;
                agreed.vouches(told.block()?)
            }
            Self::Items => {
                let items: Vec<Place<'_>> = serde_json::from_str(result).ok()?;
                let blocks: Vec<Block> =
                    items.iter().map(|place| agreed.vouches(place.block()?)).collect::<Option<_>>()?;
                agreed.covers(reads?, &blocks)
            }
        }
    }
}

impl Agreed<'_> {
    /// The block, if it is on the agreed chain.
    pub fn vouches(&self, block: Block) -> Option<Block> {
        (self.history.get(&block.number) == Some(&block.hash)).then_some(block)
    }

    fn with_hash(&self, hash: Hash) -> Option<Block> {
        self.history.iter().rev().find(|(_, h)| **h == hash).map(|(n, h)| Block { number: *n, hash: *h })
    }

    /// The block that a list over `reads` is bound to. One over a range is the whole only where every block of it
    /// is agreed on and final: above, a node may have answered before it had them all.
    fn covers(&self, reads: Reads, blocks: &[Block]) -> Option<Block> {
        let first = *blocks.first()?;
        let all = |block: Block| blocks.iter().all(|b| *b == block).then_some(block);
        match reads {
            Reads::Agreed(block) => all(block),
            Reads::Number(number) => all(first).filter(|b| b.number == number),
            Reads::Hash(hash) => all(first).filter(|b| b.hash == hash),
            Reads::Range(from, to) => {
                let last = Block { number: to, hash: *self.history.get(&to)? };
                let long = to.checked_sub(from)? >= self.history.len() as u64;
                let within = blocks.iter().all(|b| (from..=to).contains(&b.number));
                let agreed = !long && (from..=to).all(|n| self.history.contains_key(&n));
                (within && agreed && self.finalized.is_some_and(|f| to <= f)).then_some(last)
            }
        }
    }
}

/// Where a transaction, a receipt or a log says it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place<'a> {
    #[serde(borrow)]
    block_number: Option<&'a str>,
    #[serde(borrow)]
    block_hash: Option<&'a str>,
}

impl Place<'_> {
    fn block(&self) -> Option<Block> {
        let number = parse_quantity(self.block_number?)?;
        Some(Block { number, hash: self.block_hash?.parse().ok()? })
    }
}

/// What a block, a transaction or a receipt says it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(borrow)]
    number: Option<&'a str>,
    #[serde(borrow)]
    hash: Option<&'a str>,
    #[serde(borrow)]
    block_number: Option<&'a str>,
    #[serde(borrow)]
    block_hash: Option<&'a str>,
    #[serde(borrow)]
    transaction_hash: Option<&'a str>,
}

impl Told<'_> {
    fn block(&self) -> Option<Block> {
        let (number, hash) = match self.block_hash {
            Some(hash) => (self.block_number?, hash),
            None => (self.number?, self.hash?),
        };
        Some(Block { number: parse_quantity(number)?, hash: hash.parse().ok()? })
    }

    /// Is it what was asked for: the block at that height, or what has that hash?
    fn is_of(&self, reads: Option<Reads>, params: &str) -> bool {
        if let Some(Reads::Agreed(Block { number, .. }) | Reads::Number(number)) = reads {
            return self.block().is_some_and(|b| b.number == number);
        }
        let asked = scan::items(params).next().map(|item| params[item].trim_matches('"'));
        let asked = asked.and_then(|text| text.parse::<Hash>().ok());
        let named = [self.transaction_hash, self.hash, self.block_hash];
        asked.is_some() && named.into_iter().flatten().any(|text| text.parse().ok() == asked)
    }
}

#[cfg(test)]
mod tests;
