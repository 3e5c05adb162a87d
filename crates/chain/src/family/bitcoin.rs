//! Bitcoin and what speaks like it: the JSON-RPC of Bitcoin Core and btcd.
//!
//! A block's own time may lie two hours in the future, so a head's time is the chain's median time past, which
//! never does (BIP 113).

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Ask, Fate, Question, Rules, Told, Writes, bare, text_param, to_bare};
use crate::{
    Block, Hash,
    envelope::{RpcError, Versions},
    fault::{self, Kind},
    heads::{HeadSeen, NotABlock},
    method::{Class, Method, NullResult},
};

pub(super) const RULES: Rules = Rules {
    first: &[Ask::Network, Ask::Head],
    question,
    read,
    method,
    classify,
    writes: Some(Writes { hash, fate, taken, look_up }),
    at_head,
    versions: Versions::Any,
    errors_by_status: true,
    irregular: true,
};

/// Longest raw transaction that is hashed, in hex digits: twice a full block's weight.
const MAX_RAW: usize = 16_000_000;

/// The hash of the first block of a network that is called so, which is what its nodes are known by.
pub fn network(name: &str) -> Option<&'static str> {
    Some(match name {
        "main" => "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        "testnet3" => "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
        "testnet4" => "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
        "signet" => "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
        "regtest" => "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        _ => return None,
    })
}

fn question(ask: Ask) -> Question {
    match ask {
        Ask::Network => Question::new("getblockhash", "[0]"),
        Ask::Head | Ask::Safe | Ask::Finalized => Question::new("getblockchaininfo", "[]"),
        Ask::HeadAt(block, _) => Question::new("getblockheader", format!("[\"{}\"]", to_bare(&block.hash))),
        Ask::At(number) => Question::new("getblockhash", format!("[{number}]")),
    }
}

fn read(ask: Ask, result: &RawValue) -> Result<Told, NotABlock> {
    match ask {
        Ask::Network => Ok(Told::Network(serde_json::from_str(result.get()).map_err(|_| NotABlock)?)),
        Ask::Head | Ask::Safe | Ask::Finalized => {
            #[derive(Deserialize)]
            struct Info<'a> {
                blocks: u64,
                bestblockhash: &'a str,
                mediantime: u64,
            }
            let info: Info<'_> = serde_json::from_str(result.get()).map_err(|_| NotABlock)?;
            let block = Block { number: info.blocks, hash: bare(info.bestblockhash)? };
            Ok(Told::HeadAt(block, info.mediantime))
        }
        Ask::HeadAt(block, timestamp) => {
            #[derive(Deserialize)]
            struct Header<'a> {
                hash: &'a str,
                height: u64,
                previousblockhash: Option<&'a str>,
            }
            let header: Header<'_> = serde_json::from_str(result.get()).map_err(|_| NotABlock)?;
            if bare(header.hash)? != block.hash || header.height != block.number {
                return Err(NotABlock);
            }
            // The first block has none before it.
            let parent = header.previousblockhash.map_or(Ok(Hash([0; 32])), bare)?;
            Ok(Told::Head(HeadSeen { number: block.number, hash: block.hash, parent, timestamp }))
        }
        Ask::At(number) => {
            let hash = serde_json::from_str::<&str>(result.get()).map_err(|_| NotABlock)?;
            Ok(Told::Block(Block { number, hash: bare(hash)? }))
        }
    }
}

/// The node's own answer may be of a block that its peers do not have yet.
fn at_head(method: &str, head: &Block) -> Option<String> {
    match method {
        "getblockcount" => Some(head.number.to_string()),
        "getbestblockhash" => Some(format!("\"{}\"", to_bare(&head.hash))),
        _ => None,
    }
}

fn method(name: &str) -> Method {
    match name {
        "getblockcount" | "getbestblockhash" | "getblockchaininfo" | "getdifficulty" | "getchaintips" => {
            Method::of(Class::Head)
        }
        "getblock" | "getblockheader" | "getblockhash" | "getblockstats" | "getblockfilter"
        | "getrawtransaction" | "gettxoutproof" | "verifytxoutproof" | "getchaintxstats" => {
            Method::of(Class::Block)
        }
        // An output that is spent is null, and so is one that the node has not seen yet.
        "gettxout" => Method { null: NullResult::Possible, ..Method::of(Class::State) },
        "gettxoutsetinfo" | "scantxoutset" | "scanblocks" => Method::of(Class::Trace),
        "estimatesmartfee" | "estimaterawfee" | "estimatefee" => Method::of(Class::Fee),
        "getmempoolinfo"
        | "getrawmempool"
        | "getmempoolentry"
        | "getmempoolancestors"
        | "getmempooldescendants"
        | "gettxspendingprevout"
        | "testmempoolaccept"
        | "getnetworkinfo"
        | "getpeerinfo"
        | "getconnectioncount"
        | "getnettotals"
        | "getmininginfo"
        | "getnetworkhashps"
        | "getindexinfo"
        | "uptime"
        | "help"
        | "decoderawtransaction"
        | "decodescript"
        | "validateaddress"
        | "verifymessage"
        | "getdescriptorinfo"
        | "deriveaddresses"
        | "decodepsbt"
        | "analyzepsbt"
        | "combinepsbt"
        | "finalizepsbt"
        | "createrawtransaction"
        | "createpsbt" => Method::of(Class::Node),
        "sendrawtransaction" => Method { raw_transaction: true, ..Method::of(Class::Write) },
        "submitblock" | "submitpackage" | "submitheader" => Method::once(Class::Write),
        // Wallets, mining, and what changes the node.
        _ => Method::once(Class::Other),
    }
}

/// Error codes of Bitcoin Core's `rpc/protocol.h`; btcd uses the same.
fn classify(error: &RpcError<'_>) -> Kind {
    let (code, message) = (error.code, &*error.message);
    let says = |text: &str| message.to_ascii_lowercase().contains(text);
    match code {
        -27 => Kind::Known,
        -25 | -26 if says("already") || says("txn-same-nonwitness-data-in-mempool") => Kind::Known,
        // Its inputs are spent: perhaps by this very transaction, mined meanwhile.
        -25 if says("missing") || says("spent") => Kind::NonceLow,
        -26 if says("missing") || says("orphan") => Kind::NonceLow,
        -22 | -25 | -26 => Kind::Caller,
        -28 | -9 | -10 => Kind::Unwell,
        -1 if says("pruned") => Kind::NoState,
        -5 if says("transaction") => Kind::NoState,
        -5 if says("block") => Kind::NoBlock,
        -1 | -8 if says("height") || says("out of range") => Kind::NoBlock,
        -1 | -3 | -5 | -8 | -32602 => Kind::Caller,
        -32601 => Kind::NoMethod,
        _ => fault::classify(code, message),
    }
}

fn hash(method: &str, params: Option<&RawValue>) -> Option<Hash> {
    if method != "sendrawtransaction" {
        return None;
    }
    let raw = text_param(params, 0, "hexstring")?;
    if raw.len() > MAX_RAW || !raw.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16);
    let bytes = raw.as_bytes().chunks_exact(2).map(|p| Some((digit(p[0])? * 16 + digit(p[1])?) as u8));
    txid(&bytes.collect::<Option<Vec<u8>>>()?)
}

fn fate(result: &RawValue, hash: &Hash) -> Fate {
    match bare(result.get().trim_matches('"')) {
        Ok(told) if told == *hash => Fate::Taken,
        Ok(_) | Err(_) => Fate::Nonsense,
    }
}

fn taken(hash: &Hash) -> String {
    format!("\"{}\"", to_bare(hash))
}

fn look_up(hash: &Hash) -> (&'static str, String) {
    ("getrawtransaction", format!("[\"{}\"]", to_bare(hash)))
}

/// The transaction's id, as it is written: double SHA-256 over the transaction without its witnesses
/// (BIP 141), last byte first. `None` if it is not one whole transaction.
fn txid(raw: &[u8]) -> Option<Hash> {
    let mut at = Reader { bytes: raw, at: 4 };
    // A marker of 0 where the number of inputs would stand, then a flag of 1.
    let witnesses = raw.get(4) == Some(&0) && raw.get(5) == Some(&1);
    if witnesses {
        at.skip(2)?;
    }
    let body = at.at;
    let inputs = at.compact_size()?;
    for _ in 0..inputs {
        at.skip(36)?;
        at.skip_bytes()?;
        at.skip(4)?;
    }
    for _ in 0..at.compact_size()? {
        at.skip(8)?;
        at.skip_bytes()?;
    }
    let end = at.at;
    if witnesses {
        for _ in 0..inputs {
            for _ in 0..at.compact_size()? {
                at.skip_bytes()?;
            }
        }
    }
    let lock_time = at.at;
    at.skip(4)?;
    if at.at != raw.len() || inputs == 0 {
        return None;
    }
    let mut first = Sha256::new();
    first.update(&raw[..4]);
    first.update(&raw[body..end]);
    first.update(&raw[lock_time..]);
    let mut id: [u8; 32] = Sha256::digest(first.finalize()).into();
    id.reverse();
    Some(Hash(id))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, n: u64) -> Option<()> {
        let to = self.at.checked_add(usize::try_from(n).ok()?)?;
        self.bytes.get(self.at..to)?;
        self.at = to;
        Some(())
    }

    fn skip_bytes(&mut self) -> Option<()> {
        let n = self.compact_size()?;
        self.skip(n)
    }

    /// A number in Bitcoin's variable-length form.
    fn compact_size(&mut self) -> Option<u64> {
        let from = self.at;
        self.skip(1)?;
        let width = match self.bytes[from] {
            253 => 2,
            254 => 4,
            255 => 8,
            n => return Some(n.into()),
        };
        self.skip(width)?;
        let bytes = &self.bytes[from + 1..self.at];
        Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
}

#[cfg(test)]
mod tests;
