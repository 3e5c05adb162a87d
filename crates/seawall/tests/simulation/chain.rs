//! The one chain that all simulated nodes follow: what it holds at any time follows from the seed and
//! from the transactions it was given.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use seawall_chain::tx;
use serde_json::{Value, json};

/// EIP-155 id of the simulated chain.
pub(crate) const CHAIN_ID: u64 = 1;
/// The newest block when a run begins.
const FIRST: u64 = 1_000;
/// Unix time at which a run begins, in milliseconds.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;
/// Time a transaction takes from one node's pool to everybody's.
const GOSSIP_MS: u64 = 150;
/// `safe` and `finalized` are this many blocks behind the head.
const SAFE: u64 = 4;
const FINALIZED: u64 = 8;

/// The chain. Times are milliseconds since the run began.
pub(crate) struct Chain {
    seed: u64,
    pub(crate) block_ms: u64,
    transactions: Mutex<Transactions>,
}

#[derive(Default)]
struct Transactions {
    by_hash: BTreeMap<String, Mined>,
    /// Whose transaction holds a nonce.
    nonces: BTreeMap<(u32, u32), String>,
}

/// A transaction that the chain took.
#[derive(Clone, Copy)]
struct Mined {
    taken: u64,
    block: u64,
}

/// A chain that leaves the true one after `from`; every `tag` is another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) from: u64,
    pub(crate) tag: u64,
}

/// What one node makes of the chain at one moment.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) head: u64,
    pub(crate) branch: Option<Branch>,
    pub(crate) now: u64,
}

/// A JSON-RPC error: its code and message.
pub(crate) type Refused = (i64, &'static str);

/// A transaction as clients write it.
#[derive(Clone, Copy)]
pub(crate) struct Transaction {
    pub(crate) sender: u32,
    pub(crate) nonce: u32,
    pub(crate) salt: u32,
    /// Its sender cannot pay for it: every node refuses it.
    pub(crate) poor: bool,
}

impl Transaction {
    pub(crate) fn raw(&self) -> String {
        format!("0x02{:08x}{:08x}{:08x}{:02x}", self.sender, self.nonce, self.salt, u8::from(self.poor))
    }

    pub(crate) fn hash(&self) -> String {
        tx::hash(&self.raw()).unwrap().to_string()
    }

    fn parse(raw: &str) -> Option<Self> {
        let part = |from: usize, to: usize| u32::from_str_radix(raw.get(from..to)?, 16).ok();
        let (sender, nonce, salt) = (part(4, 12)?, part(12, 20)?, part(20, 28)?);
        Some(Self { sender, nonce, salt, poor: part(28, 30)? == 1 })
    }
}

/// Mixes `words` into 64 bits that tell them apart.
pub(crate) fn digest(words: &[u64]) -> u64 {
    words.iter().fold(0x9E37_79B9_7F4A_7C15, |h, word| {
        let mixed = (h ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB)
    })
}

impl Chain {
    pub(crate) fn new(seed: u64, block_ms: u64) -> Self {
        Self { seed, block_ms, transactions: Mutex::default() }
    }

    fn transactions(&self) -> MutexGuard<'_, Transactions> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When block `n` is made: blocks come regularly, but not to the millisecond.
    fn made(&self, n: u64) -> i64 {
        let regular = (n as i64 - FIRST as i64) * self.block_ms as i64;
        regular + (digest(&[self.seed, n]) % (self.block_ms / 4)) as i64
    }

    /// The newest block made by `at`.
    pub(crate) fn head_at(&self, at: u64) -> u64 {
        let n = FIRST + at / self.block_ms;
        if self.made(n) <= at as i64 { n } else { n - 1 }
    }

    pub(crate) fn hash(&self, n: u64, branch: Option<Branch>) -> String {
        let tag = branch.filter(|b| n > b.from).map_or(0, |b| b.tag);
        let words = (0..4).map(|i| digest(&[self.seed, n, tag, i]));
        words.fold("0x".to_owned(), |text, word| text + &format!("{word:016x}"))
    }

    /// Everything an account holds is a digest of the block it is read at.
    pub(crate) fn state(&self, hash: &str, method: &str, subject: &Value) -> String {
        let text = format!("{hash}{method}{subject}");
        let words: Vec<u64> = text.bytes().map(u64::from).collect();
        format!("{:#x}", digest(&words))
    }

    pub(crate) fn log(&self, n: u64, branch: Option<Branch>) -> Value {
        json!({"blockNumber": format!("{n:#x}"), "blockHash": self.hash(n, branch), "logIndex": "0x0", "data": "0x"})
    }

    fn block(&self, n: u64, branch: Option<Branch>) -> Value {
        json!({
            "number": format!("{n:#x}"), "hash": self.hash(n, branch), "parentHash": self.hash(n - 1, branch),
            "timestamp": format!("{:#x}", (EPOCH_MS as i64 + self.made(n)) / 1_000), "transactions": [],
        })
    }

    /// The block that took the transaction, if one has or will.
    pub(crate) fn mined(&self, hash: &str) -> Option<u64> {
        self.transactions().by_hash.get(hash).map(|m| m.block)
    }

    /// A node is handed a transaction.
    fn take(&self, raw: &str, view: View) -> Result<Value, Refused> {
        let transaction =
            Transaction::parse(raw).ok_or((-32_602, "invalid argument 0: not a transaction"))?;
        if transaction.poor {
            return Err((-32_000, "insufficient funds for gas * price + value: balance 0, tx cost 21000"));
        }
        let hash = transaction.hash();
        let mut transactions = self.transactions();
        if let Some(known) = transactions.by_hash.get(&hash) {
            let heard = view.now >= known.taken + GOSSIP_MS;
            return match (known.block <= view.head, heard) {
                (true, _) => Err((-32_000, "nonce too low: next nonce 1, tx nonce 0")),
                (false, true) => Err((-32_000, "already known")),
                (false, false) => Ok(hash.into()),
            };
        }
        let key = (transaction.sender, transaction.nonce);
        if let Some(other) = transactions.nonces.get(&key).and_then(|h| transactions.by_hash.get(h)) {
            return Err(match other.block <= view.head {
                true => (-32_000, "nonce too low: next nonce 1, tx nonce 0"),
                false => (-32_000, "replacement transaction underpriced"),
            });
        }
        let after = view.now + GOSSIP_MS;
        let mined = Mined { taken: view.now, block: self.head_at(after) + 1 };
        transactions.nonces.insert(key, hash.clone());
        transactions.by_hash.insert(hash.clone(), mined);
        Ok(hash.into())
    }

    /// Answers one call as a node with this view does.
    pub(crate) fn answer(&self, view: View, method: &str, params: &Value) -> Result<Value, Refused> {
        match method {
            "eth_chainId" => Ok(format!("{CHAIN_ID:#x}").into()),
            "eth_gasPrice" => Ok("0x7".into()),
            "eth_getBlockByNumber" => {
                let named = number(view, params[0].as_str().unwrap_or_default());
                Ok(named.filter(|n| *n <= view.head).map_or(Value::Null, |n| self.block(n, view.branch)))
            }
            "eth_getBlockByHash" => {
                let named = self.named(view, &json!({"blockHash": params[0]}));
                Ok(named.map_or(Value::Null, |n| self.block(n, view.branch)))
            }
            "eth_getBalance" | "eth_call" => {
                let n = self.named(view, &params[1]).ok_or((-32_000, "header not found"))?;
                Ok(self.state(&self.hash(n, view.branch), method, &params[0]).into())
            }
            "eth_getLogs" => {
                let bound = |key: &str| number(view, params[0][key].as_str().unwrap_or("latest"));
                let (from, to) =
                    (bound("fromBlock").unwrap_or(view.head), bound("toBlock").unwrap_or(view.head));
                Ok((from..=to.min(view.head)).map(|n| self.log(n, view.branch)).collect())
            }
            "eth_getTransactionReceipt" | "eth_getTransactionByHash" => {
                Ok(self.transaction(view, method, params))
            }
            "eth_sendRawTransaction" => self.take(params[0].as_str().unwrap_or_default(), view),
            _ => Err((-32_601, "the method does not exist/is not available")),
        }
    }

    fn transaction(&self, view: View, method: &str, params: &Value) -> Value {
        let hash = params[0].as_str().unwrap_or_default();
        let Some(mined) = self.transactions().by_hash.get(hash).copied() else { return Value::Null };
        if mined.block <= view.head {
            let block = (format!("{:#x}", mined.block), self.hash(mined.block, view.branch));
            return json!({"transactionHash": hash, "hash": hash, "blockNumber": block.0, "blockHash": block.1});
        }
        let waits = method == "eth_getTransactionByHash" && view.now >= mined.taken + GOSSIP_MS;
        if waits { json!({"hash": hash, "blockNumber": null, "blockHash": null}) } else { Value::Null }
    }

    /// The block that a state read names, if the node has it.
    fn named(&self, view: View, block: &Value) -> Option<u64> {
        let Some(hash) = block["blockHash"].as_str() else {
            return number(view, block.as_str().unwrap_or("latest")).filter(|n| *n <= view.head);
        };
        (view.head.saturating_sub(256)..=view.head).rev().find(|n| self.hash(*n, view.branch) == hash)
    }
}

/// The height that a tag or quantity means to a node.
fn number(view: View, text: &str) -> Option<u64> {
    match text {
        "latest" => Some(view.head),
        "safe" => Some(view.head - SAFE),
        "finalized" => Some(view.head - FINALIZED),
        text => quantity(text),
    }
}

/// A number in the hex of JSON-RPC.
pub(crate) fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
