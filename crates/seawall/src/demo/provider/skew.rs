//! A node that is behind, or on a chain of its own: what it is asked and what it answers, bent
//! consistently, so that it is as hard to see through as a real one.

use serde_json::{Value, json};

/// What a false chain says every account holds: a million ether.
const RICHES: &str = "0xd3c21bcecceda1000000";

/// How a node's chain differs from the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skew {
    /// The newest block it admits to.
    pub(super) head: u64,
    /// The last block its chain shares with the true one; `None` if it has not forked.
    pub(super) forked_after: Option<u64>,
}

/// What to do with one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// Ask the true chain this, and bend the answer.
    Ask(Value),
    /// Answer with this result, or this error.
    Answer(Result<Value, &'static str>),
}

/// Where a block hash named in a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// The block's height.
    pub(super) number: u64,
    /// Its hash on the true chain.
    pub(super) true_hash: String,
}

impl Skew {
    /// The hash by which a call names the block it wants, if it does.
    pub(super) fn hash_named(call: &Value) -> Option<&str> {
        let params = call.get("params")?;
        match call.get("method")?.as_str()? {
            "eth_getBlockByHash" => params.get(0)?.as_str(),
            method => params.get(block_position(method)?)?.get("blockHash")?.as_str(),
        }
    }

    /// What to do with `call`, given where the hash that it names was found.
    pub(super) fn plan(&self, call: &Value, named: Option<&Located>) -> Plan {
        let method = call["method"].as_str().unwrap_or_default();
        let unknown = || match method {
            "eth_getBlockByHash" | "eth_getBlockByNumber" | "eth_getBlockReceipts" => {
                Plan::Answer(Ok(Value::Null))
            }
            _ => Plan::Answer(Err("header not found")),
        };
        if method == "eth_blockNumber" {
            return Plan::Answer(Ok(json!(format!("{:#x}", self.head))));
        }
        if let Some(hash) = Self::hash_named(call) {
            return match named {
                Some(block) if block.number <= self.head && self.own_hash(block) == hash => {
                    Plan::Ask(with_hash(call, &block.true_hash))
                }
                Some(_) | None => unknown(),
            };
        }
        let Some(position) = block_position(method) else { return Plan::Ask(call.clone()) };
        let mut bent = call.clone();
        match bent.pointer_mut(&format!("/params/{position}")) {
            Some(tag) if tag == "latest" || tag == "pending" => *tag = json!(format!("{:#x}", self.head)),
            Some(number) if super::super::rpc::block_number(number).is_some_and(|n| n > self.head) => {
                return unknown();
            }
            Some(_) | None => {}
        }
        Plan::Ask(bent)
    }

    /// The node's own version of `result`, which the true chain gave to `asked`.
    pub(super) fn bend(&self, asked: &Value, named: Option<&Located>, mut result: Value) -> Value {
        let at = named.map(|b| b.number).or_else(|| {
            let position = block_position(asked["method"].as_str()?)?;
            super::super::rpc::block_number(asked.get("params")?.get(position)?)
        });
        if asked["method"] == "eth_getBalance" && at.is_some_and(|n| self.is_false(n)) {
            return json!(RICHES);
        }
        match self.bend_object(&mut result) {
            Kept::Yes => result,
            Kept::No => Value::Null,
        }
    }

    /// Masks the hashes of false blocks in an object or a list; tells whether it may be seen at all.
    fn bend_object(&self, value: &mut Value) -> Kept {
        if let Value::Array(items) = value {
            items.retain_mut(|item| matches!(self.bend_object(item), Kept::Yes));
            return Kept::Yes;
        }
        let Value::Object(fields) = value else { return Kept::Yes };
        let number = |f: &serde_json::Map<String, Value>, key: &str| {
            f.get(key).and_then(super::super::rpc::block_number)
        };
        let is_block = fields.contains_key("parentHash");
        let Some(at) = number(fields, if is_block { "number" } else { "blockNumber" }) else {
            return Kept::Yes;
        };
        if at > self.head {
            return Kept::No;
        }
        let mut mask = |key: &str, height: u64| {
            if let Some(hash) = fields.get_mut(key).filter(|_| self.is_false(height)) {
                *hash = json!(masked(hash.as_str().unwrap_or_default()));
            }
        };
        if is_block {
            mask("hash", at);
            mask("parentHash", at.saturating_sub(1));
        } else {
            mask("blockHash", at);
        }
        Kept::Yes
    }

    fn is_false(&self, number: u64) -> bool {
        self.forked_after.is_some_and(|last_true| number > last_true)
    }

    fn own_hash(&self, block: &Located) -> String {
        if self.is_false(block.number) { masked(&block.true_hash) } else { block.true_hash.clone() }
    }
}

/// Whether something is visible to a node with such a head.
enum Kept {
    Yes,
    No,
}

/// The hash of the block that a false chain has in the place of this one, and the other way round.
pub(super) fn masked(hash: &str) -> String {
    let keep = hash.len().saturating_sub(8);
    let flip = |c: char| c.to_digit(16).and_then(|d| char::from_digit(15 - d, 16)).unwrap_or(c);
    hash.char_indices().map(|(i, c)| if i < keep { c } else { flip(c) }).collect()
}

/// Which of a method's parameters says at which block.
fn block_position(method: &str) -> Option<usize> {
    match method {
        "eth_getBlockByNumber" | "eth_getBlockReceipts" => Some(0),
        "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" | "eth_call" | "eth_estimateGas" => {
            Some(1)
        }
        "eth_getStorageAt" => Some(2),
        _ => None,
    }
}

fn with_hash(call: &Value, hash: &str) -> Value {
    let mut call = call.clone();
    let method = call["method"].as_str().unwrap_or_default();
    let place = match block_position(method) {
        Some(position) => format!("/params/{position}/blockHash"),
        None => "/params/0".to_owned(),
    };
    if let Some(named) = call.pointer_mut(&place) {
        *named = json!(hash);
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHIND: Skew = Skew { head: 95, forked_after: None };
    const LIAR: Skew = Skew { head: 100, forked_after: Some(98) };

    fn call(method: &str, params: Value) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    }

    fn hash(n: u64) -> String {
        format!("0x{n:064x}")
    }

    #[track_caller]
    fn check(skew: Skew, method: &str, params: Value, named: Option<u64>, expected: Result<Value, Plan>) {
        let call = call(method, params);
        let located = named.map(|number| Located { number, true_hash: hash(number) });
        match (skew.plan(&call, located.as_ref()), expected) {
            (Plan::Ask(asked), Ok(params)) => assert_eq!(asked["params"], params),
            (Plan::Ask(asked), Err(plan)) => panic!("asked {asked} instead of {plan:?}"),
            (plan @ Plan::Answer(_), expected) => assert_eq!(Err(plan), expected),
        }
    }

    #[test]
    fn a_node_behind_knows_nothing_newer_than_its_head() {
        let refused = Err(Plan::Answer(Err("header not found")));
        let null = Err(Plan::Answer(Ok(Value::Null)));
        check(BEHIND, "eth_blockNumber", json!([]), None, Err(Plan::Answer(Ok(json!("0x5f")))));
        check(BEHIND, "eth_getBalance", json!(["0xa", "latest"]), None, Ok(json!(["0xa", "0x5f"])));
        check(BEHIND, "eth_getBalance", json!(["0xa", "0x5f"]), None, Ok(json!(["0xa", "0x5f"])));
        check(BEHIND, "eth_getBalance", json!(["0xa", "0x60"]), None, refused.clone());
        check(BEHIND, "eth_getBlockByNumber", json!(["0x60", false]), None, null.clone());
        check(BEHIND, "eth_getBlockByHash", json!([hash(96), false]), Some(96), null);
        check(BEHIND, "eth_getBalance", json!(["0xa", {"blockHash": hash(96)}]), Some(96), refused);
        let held = json!(["0xa", {"blockHash": hash(95)}]);
        check(BEHIND, "eth_getBalance", held.clone(), Some(95), Ok(held));
        check(BEHIND, "eth_chainId", json!([]), None, Ok(json!([])));
    }

    #[test]
    fn a_liar_denies_the_true_blocks_and_stands_by_its_own() {
        let by_hash = |h: &str| json!(["0xa", {"blockHash": h}]);
        let refused = Err(Plan::Answer(Err("header not found")));
        check(LIAR, "eth_getBalance", by_hash(&hash(99)), Some(99), refused.clone());
        check(LIAR, "eth_getBalance", by_hash(&masked(&hash(99))), Some(99), Ok(by_hash(&hash(99))));
        check(LIAR, "eth_getBalance", by_hash(&hash(98)), Some(98), Ok(by_hash(&hash(98))));
        check(LIAR, "eth_getBalance", by_hash(&hash(7)), None, refused);
    }

    #[test]
    fn answers_are_bent_after_the_fork_only() {
        let block = |n: u64| json!({"number": format!("{n:#x}"), "hash": hash(n), "parentHash": hash(n - 1)});
        let ask = |n: u64| call("eth_getBlockByNumber", json!([format!("{n:#x}"), false]));
        assert_eq!(LIAR.bend(&ask(98), None, block(98)), block(98));
        let first = LIAR.bend(&ask(99), None, block(99));
        assert_eq!(
            (first["hash"].as_str(), &first["parentHash"]),
            (Some(&*masked(&hash(99))), &json!(hash(98)))
        );
        let second = LIAR.bend(&ask(100), None, block(100));
        assert_eq!(second["parentHash"], first["hash"], "the false blocks make a chain");

        let balance = |n: u64| call("eth_getBalance", json!(["0xa", format!("{n:#x}")]));
        assert_eq!(LIAR.bend(&balance(98), None, json!("0x1")), json!("0x1"));
        assert_eq!(LIAR.bend(&balance(99), None, json!("0x1")), json!(RICHES));
    }

    #[test]
    fn what_is_newer_than_the_head_is_not_in_lists_either() {
        let log = |n: u64| json!({"blockNumber": format!("{n:#x}"), "blockHash": hash(n)});
        let ask = call("eth_getLogs", json!([{"fromBlock": "0x5e"}]));
        assert_eq!(BEHIND.bend(&ask, None, json!([log(95), log(96)])), json!([log(95)]));
        assert_eq!(BEHIND.bend(&ask, None, log(96)), Value::Null);
    }

    #[test]
    fn masking_twice_gives_the_hash_back() {
        assert_ne!(masked(&hash(7)), hash(7));
        assert_eq!(masked(&masked(&hash(7))), hash(7));
    }
}
