//! CometBFT (Tendermint): the chains of the Cosmos SDK and their like. A block that is shown is final.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Ask, Fate, Question, Rules, Told, Writes, bare, text_param, to_bare};
use crate::{
    Block, Hash,
    envelope::{RpcError, Versions},
    fault::{self, Kind},
    heads::{HeadSeen, NotABlock},
    method::{Class, Method},
};

pub(super) const RULES: Rules = Rules {
    first: &[Ask::Network, Ask::Head],
    question,
    read,
    method,
    classify,
    writes: Some(Writes { hash, fate, taken, look_up }),
    at_head: |_, _| None,
    versions: Versions::Two,
    errors_by_status: true,
    irregular: false,
};

/// Longest transaction that is hashed, in base64: many times what mempools take.
const MAX_RAW: usize = 16 * 1024 * 1024;

fn question(ask: Ask) -> Question {
    let metas =
        |n: u64| Question::new("blockchain", format!("{{\"minHeight\":\"{n}\",\"maxHeight\":\"{n}\"}}"));
    match ask {
        Ask::Network | Ask::Head | Ask::Safe | Ask::Finalized => Question::new("status", "{}"),
        Ask::HeadAt(block, _) => metas(block.number),
        Ask::At(number) => metas(number),
    }
}

fn read(ask: Ask, result: &RawValue) -> Result<Told, NotABlock> {
    match ask {
        Ask::Network => Ok(Told::Network(Status::of(result)?.node_info.network.to_owned())),
        Ask::Head | Ask::Safe | Ask::Finalized => {
            let sync = Status::of(result)?.sync_info;
            let block =
                Block { number: number(sync.latest_block_height)?, hash: bare(sync.latest_block_hash)? };
            Ok(Told::HeadAt(block, 0))
        }
        Ask::HeadAt(block, _) => match meta(result)? {
            seen if seen.block() == block => Ok(Told::Head(seen)),
            _ => Err(NotABlock),
        },
        Ask::At(_) => meta(result).map(|seen| Told::Block(seen.block())),
    }
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    node_info: NodeInfo<'a>,
    #[serde(borrow)]
    sync_info: SyncInfo<'a>,
}

#[derive(Deserialize)]
struct NodeInfo<'a> {
    network: &'a str,
}

#[derive(Deserialize)]
struct SyncInfo<'a> {
    latest_block_height: &'a str,
    latest_block_hash: &'a str,
}

impl<'a> Status<'a> {
    fn of(result: &'a RawValue) -> Result<Self, NotABlock> {
        serde_json::from_str(result.get()).map_err(|_| NotABlock)
    }
}

/// The one block in an answer to `blockchain`.
fn meta(result: &RawValue) -> Result<HeadSeen, NotABlock> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        block_metas: Vec<Meta<'a>>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        block_id: Id<'a>,
        #[serde(borrow)]
        header: Header<'a>,
    }
    #[derive(Deserialize)]
    struct Id<'a> {
        hash: &'a str,
    }
    #[derive(Deserialize)]
    struct Header<'a> {
        height: &'a str,
        time: &'a str,
        #[serde(borrow)]
        last_block_id: Id<'a>,
    }
    let answer: Answer<'_> = serde_json::from_str(result.get()).map_err(|_| NotABlock)?;
    let [meta] = answer.block_metas.as_slice() else { return Err(NotABlock) };
    // The first block has none before it, and says so by an empty text.
    let parent = match meta.header.last_block_id.hash {
        "" => Hash([0; 32]),
        hash => bare(hash)?,
    };
    Ok(HeadSeen {
        number: number(meta.header.height)?,
        hash: bare(meta.block_id.hash)?,
        parent,
        timestamp: seconds(meta.header.time)?,
    })
}

fn number(text: &str) -> Result<u64, NotABlock> {
    text.parse().map_err(|_| NotABlock)
}

/// Seconds since the Unix epoch of a time as in RFC 3339, in UTC as CometBFT writes it.
fn seconds(time: &str) -> Result<u64, NotABlock> {
    let time: jiff::Timestamp = time.parse().map_err(|_| NotABlock)?;
    // The first block may carry a time before the epoch.
    Ok(u64::try_from(time.as_second()).unwrap_or(0))
}

fn method(name: &str) -> Method {
    match name {
        "status" | "health" | "abci_info" => Method::of(Class::Head),
        "block" | "block_by_hash" | "block_results" | "block_search" | "blockchain" | "commit" | "header"
        | "header_by_hash" | "tx" | "tx_search" | "validators" | "consensus_params" | "genesis"
        | "genesis_chunked" => Method::of(Class::Block),
        "abci_query" | "check_tx" => Method::of(Class::State),
        "net_info"
        | "num_unconfirmed_txs"
        | "unconfirmed_txs"
        | "dump_consensus_state"
        | "consensus_state" => Method::of(Class::Node),
        "broadcast_tx_sync" | "broadcast_tx_async" => {
            Method { raw_transaction: true, ..Method::of(Class::Write) }
        }
        // Waits for the block, and may give up waiting for one that comes.
        "broadcast_tx_commit" | "broadcast_evidence" => Method::once(Class::Write),
        _ => Method::once(Class::Other),
    }
}

/// CometBFT tells almost everything as an internal error, and what it was in the error's data.
fn classify(error: &RpcError<'_>) -> Kind {
    let (code, message) = (error.code, &*error.message);
    let data = error.data.map_or("", RawValue::get);
    let says = |text: &str| message.contains(text) || data.contains(text);
    match code {
        -32603 if says("tx already exists in cache") => Kind::Known,
        -32603 if says("must be less than or equal to the current blockchain height") => Kind::NoBlock,
        -32603 if says("is not available, lowest height is") || says("could not find results for height") => {
            Kind::NoState
        }
        -32603 if says("transaction indexing is disabled") => Kind::NoMethod,
        -32603 if says("not found") => Kind::NoState,
        -32603 if says("mempool is full") => Kind::Unwell,
        -32603 if says("tx too large") || says("error converting") || says("error unmarshalling") => {
            Kind::Caller
        }
        _ => fault::classify(code, message),
    }
}

fn hash(method: &str, params: Option<&RawValue>) -> Option<Hash> {
    if !matches!(method, "broadcast_tx_sync" | "broadcast_tx_async") {
        return None;
    }
    let text = text_param(params, 0, "tx").filter(|text| text.len() <= MAX_RAW)?;
    let raw = BASE64_STANDARD.decode(text).ok()?;
    Some(Hash(Sha256::digest(raw).into()))
}

fn fate(result: &RawValue, hash: &Hash) -> Fate {
    #[derive(Deserialize)]
    struct Answer<'a> {
        code: u32,
        hash: &'a str,
    }
    match serde_json::from_str::<Answer<'_>>(result.get()) {
        Ok(answer) if bare(answer.hash) != Ok(*hash) => Fate::Nonsense,
        Ok(Answer { code: 0, .. }) => Fate::Taken,
        // The application checked it and will not have it.
        Ok(_) => Fate::Rejected,
        Err(_) => Fate::Nonsense,
    }
}

fn taken(hash: &Hash) -> String {
    let hash = to_bare(hash).to_uppercase();
    format!(r#"{{"code":0,"data":"","log":"","codespace":"","hash":"{hash}"}}"#)
}

fn look_up(hash: &Hash) -> (&'static str, String) {
    ("tx", format!("{{\"hash\":\"{}\"}}", BASE64_STANDARD.encode(hash.0)))
}

#[cfg(test)]
mod tests;
