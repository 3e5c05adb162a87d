//! A chain that grows and is reorganised, and the script of a node that serves it.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::{
    node::CHAIN,
    upstream::{Heard, Reply},
};

/// One block: its hash, its parent's, and how many logs it has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    pub(crate) number: u64,
    pub(crate) hash: String,
    parent: String,
    logs: u64,
    /// Characters of its extra data.
    weight: usize,
}

#[derive(Default)]
struct State {
    /// Every block ever made.
    made: Vec<Made>,
    /// The chain now, as places in `made`.
    chain: Vec<usize>,
}

/// A chain. Its clones are the same chain.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

impl Ledger {
    /// A chain whose head is at that height.
    pub(crate) fn new(head: u64) -> Self {
        let ledger = Self(Arc::default());
        ledger.grow(head + 1);
        ledger
    }

    /// Adds so many blocks.
    pub(crate) fn grow(&self, blocks: u64) {
        (0..blocks).for_each(|_| self.add(0, 0));
    }

    /// Adds a block with so many logs, and that much extra data.
    pub(crate) fn add(&self, logs: u64, weight: usize) {
        let mut state = self.state();
        let number = state.chain.len() as u64;
        let serial = state.made.len() as u64;
        let parent =
            state.chain.last().map_or("0x".to_owned() + &"00".repeat(32), |at| state.made[*at].hash.clone());
        state.made.push(Made {
            number,
            hash: format!("0x{:064x}", serial + 0xb10c_0000),
            parent,
            logs,
            weight,
        });
        state.chain.push(serial as usize);
    }

    /// Takes away the newest blocks.
    pub(crate) fn drop(&self, blocks: usize) {
        let mut state = self.state();
        let left = state.chain.len() - blocks;
        state.chain.truncate(left);
    }

    /// The chain from that height up.
    pub(crate) fn from(&self, number: u64) -> Vec<Made> {
        let state = self.state();
        state.chain.iter().skip(number as usize).map(|at| state.made[*at].clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What an honest node with this chain says.
    pub(crate) fn answer(&self, heard: &Heard) -> Reply {
        let call = heard.call();
        Reply::json(&json!({"jsonrpc": "2.0", "id": call["id"], "result": self.truth(&call)}))
    }

    /// The script of a node that serves it.
    pub(crate) fn script(&self) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
        let ledger = self.clone();
        move |heard| ledger.answer(heard)
    }

    fn truth(&self, call: &Value) -> Value {
        let state = self.state();
        let which = call["params"][0].as_str().unwrap_or_default();
        let head = state.chain.len() as u64 - 1;
        let at = |number: u64| state.chain.get(number as usize).map(|at| &state.made[*at]);
        let named = |hash: &str| state.made.iter().find(|made| made.hash == hash);
        match call["method"].as_str().unwrap_or_default() {
            "eth_chainId" => format!("{CHAIN:#x}").into(),
            "eth_getBlockByNumber" => {
                let number = match which {
                    "latest" => head,
                    "safe" | "finalized" => 0,
                    number => quantity(number),
                };
                at(number).map_or(Value::Null, header)
            }
            "eth_getBlockByHash" => named(which).map_or(Value::Null, header),
            "eth_getLogs" => {
                let filter = &call["params"][0];
                let blocks: Vec<&Made> = match filter["blockHash"].as_str() {
                    Some(hash) => named(hash).into_iter().collect(),
                    None => {
                        let bound = |key: &str| quantity(filter[key].as_str().unwrap_or("0x0"));
                        (bound("fromBlock")..=bound("toBlock")).filter_map(at).collect()
                    }
                };
                blocks.into_iter().flat_map(logs).collect()
            }
            "eth_getTransactionByHash" => json!({"hash": which, "blockNumber": null}),
            "eth_newPendingTransactionFilter" => "0x5".into(),
            "eth_getFilterChanges" => json!([topic(1), topic(2)]),
            _ => crate::node::BALANCE.into(),
        }
    }
}

fn quantity(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

/// A block without its body.
pub(crate) fn header(made: &Made) -> Value {
    json!({
        "number": format!("{:#x}", made.number),
        "hash": made.hash,
        "parentHash": made.parent,
        "timestamp": "0x6553f100",
        "extraData": format!("0x{}", "0".repeat(made.weight)),
        "transactions": [],
    })
}

/// The logs of a block: each of its own address and topic.
pub(crate) fn logs(made: &Made) -> Vec<Value> {
    let log = |index: u64| {
        json!({
            "address": address(index),
            "topics": [topic(index), topic(100 + index)],
            "data": "0x",
            "blockNumber": format!("{:#x}", made.number),
            "blockHash": made.hash,
            "transactionHash": made.hash,
            "transactionIndex": "0x0",
            "logIndex": format!("{index:#x}"),
            "removed": false,
        })
    };
    (0..made.logs).map(log).collect()
}

/// The address of the logs of that index.
pub(crate) fn address(index: u64) -> String {
    format!("0x{:040x}", 0xadd0 + index)
}

/// A topic.
pub(crate) fn topic(index: u64) -> String {
    format!("0x{:064x}", 0x1090 + index)
}
