//! The table: who says what, and what it means. The first row that matches decides, so the order matters:
//! execution's own words before all else (a revert reason is the contract's text, and may say anything),
//! then what only a code tells, then texts, and last the codes that say little.

use super::Kind;

/// What a row looks for. Texts are in lower case.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    Code(i64),
    Text(&'static str),
    Start(&'static str),
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) says: Says,
    pub(super) kind: Kind,
    /// Who says it: printed when a row's test fails, and for the reader.
    #[cfg_attr(not(test), expect(dead_code, reason = "documents the row; read by its test"))]
    pub(super) who: &'static str,
}

const fn code(code: i64, kind: Kind, who: &'static str) -> Row {
    Row { says: Says::Code(code), kind, who }
}

const fn text(text: &'static str, kind: Kind, who: &'static str) -> Row {
    Row { says: Says::Text(text), kind, who }
}

const fn start(text: &'static str, kind: Kind, who: &'static str) -> Row {
    Row { says: Says::Start(text), kind, who }
}

use Kind::{
    Caller, Known, NoBlock, NoMethod, NoState, NonceLow, NotInPlan, RateLimited, TooMuch, Unauthorized,
    Unclear, Unwell,
};

pub(super) static ROWS: &[Row] = &[
    // Execution.
    code(3, Caller, "geth, erigon, reth, anvil: revert"),
    code(-32015, Caller, "nethermind, openethereum: VM execution error"),
    text("execution reverted", Caller, "geth, erigon, besu, reth, nethermind"),
    text("vm exception", Caller, "hardhat, ganache"),
    text("vm execution error", Caller, "nethermind, openethereum"),
    text("reverted with", Caller, "hardhat"),
    start("revert", Caller, "nethermind, openethereum, alchemy"),
    text("invalid opcode", Caller, "geth"),
    text("invalid jump destination", Caller, "geth"),
    text("stack underflow", Caller, "geth"),
    text("stack limit reached", Caller, "geth"),
    text("write protection", Caller, "geth"),
    text("return data out of bounds", Caller, "geth"),
    text("max code size exceeded", Caller, "geth"),
    text("evm error", Caller, "anvil, reth"),
    // Writes the node has, or whose nonce is gone.
    text("already known", Known, "geth, erigon, reth, mocknode; quicknode with ALREADY_EXISTS before it"),
    text("alreadyknown", Known, "nethermind"),
    text("known transaction", Known, "besu, geth before 1.9"),
    text("already imported", Known, "anvil, openethereum"),
    text("transaction already exists", Known, "hardhat, zksync"),
    text("already in mempool", Known, "bor, several sequencers"),
    text("already exists in the", Known, "infura, several pools"),
    start("already_exists", Known, "quicknode"),
    text("nonce too low", NonceLow, "geth, erigon, besu, reth, anvil, hardhat, mocknode"),
    text("oldnonce", NonceLow, "nethermind"),
    text("nonce is too low", NonceLow, "hardhat, openethereum"),
    text("nonce has already been used", NonceLow, "several sequencers"),
    // Transactions that no node would take.
    text("nonce too high", Caller, "geth, erigon, hardhat"),
    text("nonce too far", Caller, "besu: NONCE_TOO_FAR_IN_FUTURE_FOR_SENDER"),
    text("noncegap", Caller, "nethermind"),
    text("insufficient funds", Caller, "geth, erigon, reth, anvil, hardhat, nethermind"),
    text("insufficient balance", Caller, "geth, arbitrum"),
    text("insufficientfunds", Caller, "nethermind"),
    text("upfront cost exceeds", Caller, "besu"),
    text("doesn't have enough funds", Caller, "hardhat, ganache"),
    text("underpriced", Caller, "geth, erigon, besu, reth, anvil"),
    text("feetoolow", Caller, "nethermind"),
    text("gas price below", Caller, "besu"),
    text("less than block base fee", Caller, "geth, erigon"),
    text("max fee per gas less than", Caller, "geth, reth, anvil"),
    text("higher than max fee per gas", Caller, "geth, reth"),
    text("fee cap less than", Caller, "geth"),
    text("tx fee", Caller, "geth: tx fee (1.00 ether) exceeds the configured cap"),
    text("intrinsic gas", Caller, "geth, reth, besu, anvil"),
    text("gas required exceeds", Caller, "geth, reth, anvil"),
    text("exceeds block gas limit", Caller, "geth, erigon, reth"),
    text("exceeds gas limit", Caller, "geth, besu"),
    text("gaslimitexceeded", Caller, "nethermind"),
    text("gas limit is too", Caller, "anvil, nethermind"),
    text("out of gas", Caller, "geth, anvil"),
    text("gas too low", Caller, "erigon"),
    text("gas uint64 overflow", Caller, "geth"),
    text("invalid sender", Caller, "geth, reth"),
    text("invalid signature", Caller, "besu, reth"),
    text("invalid transaction", Caller, "reth, besu, nethermind"),
    text("invalid raw transaction", Caller, "mocknode"),
    text("failed to decode signed transaction", Caller, "reth, anvil"),
    start("rlp: ", Caller, "geth"),
    text("invalid chain id", Caller, "geth, anvil"),
    text("wrong chainid", Caller, "besu"),
    text("chain id mismatch", Caller, "reth"),
    text("only replay-protected", Caller, "geth"),
    text("transaction type not supported", Caller, "geth, erigon"),
    text("sender not an eoa", Caller, "geth"),
    text("sender is not an eoa", Caller, "reth, nethermind"),
    text("max initcode size exceeded", Caller, "geth, reth"),
    text("oversized data", Caller, "geth, reth"),
    text("too many blobs", Caller, "geth, reth"),
    text("blob fee cap", Caller, "geth"),
    text("max fee per blob gas", Caller, "geth, reth"),
    text("sidecar", Caller, "geth, reth"),
    text("invalid block range", Caller, "geth: invalid block range params"),
    code(-32003, Caller, "EIP-1474: transaction rejected"),
    // An internal error is the node's own, whatever it goes on to name.
    start(
        "internal error",
        Unwell,
        "many; mocknode: internal error: missing trie node, even for eth_chainId",
    ),
    // History that is not kept.
    code(4444, NoState, "EIP-4444: pruned history unavailable (geth, reth, nethermind)"),
    text("missing trie node", NoState, "geth, bor, erigon"),
    text("pruned", NoState, "reth: state at block #n is pruned; geth, reth, erigon, nethermind, besu"),
    text(
        "historical state",
        NoState,
        "geth: historical state unavailable, required historical state unavailable",
    ),
    text("state is not available", NoState, "geth"),
    text("state not available", NoState, "erigon"),
    text("state unavailable", NoState, "besu: world state unavailable"),
    text("no state available", NoState, "nethermind"),
    text("proof window", NoState, "reth, op-geth: distance to target block exceeds maximum proof window"),
    text("state already discarded", NoState, "bsc"),
    text("state recreation", NoState, "arbitrum nitro"),
    text("history is not available", NoState, "erigon, openethereum"),
    text("old data not available", NoState, "erigon"),
    text("archive", NoState, "providers: archive node, archive access, archive state needed"),
    text("exceeds the maximum lookback", NoState, "avalanche, sei"),
    text("transaction indexing is in progress", NoState, "geth"),
    // Blocks that are not there (yet).
    text("header not found", NoBlock, "geth, reth, erigon"),
    text("header for hash not found", NoBlock, "geth"),
    text("unknown block", NoBlock, "geth, reth, besu"),
    text("block not found", NoBlock, "geth, reth, besu, nethermind"),
    text("could not find block", NoBlock, "hardhat, nethermind"),
    text("cannot find block", NoBlock, "nethermind, polygon"),
    text("canonical hash not found", NoBlock, "geth"),
    text("is not currently canonical", NoBlock, "geth, besu"),
    text("blockoutofrange", NoBlock, "anvil: BlockOutOfRangeError: block height is 5 but requested was 9"),
    text("requested a block number", NoBlock, "providers"),
    text("block is out of range", NoBlock, "providers"),
    text("beyond head", NoBlock, "geth: request beyond head block, reth"),
    text("beyond current head", NoBlock, "geth"),
    text("after last accepted block", NoBlock, "avalanche"),
    text("hash is not available", NoBlock, "nethermind"),
    code(-39001, NoBlock, "execution-apis: unknown block (besu)"),
    code(-32001, NoBlock, "EIP-1474: resource not found (reth, nethermind)"),
    // Methods that are not there.
    code(-32601, NoMethod, "JSON-RPC: method not found"),
    code(-32004, NoMethod, "EIP-1474: method not supported"),
    code(-32604, NoMethod, "besu: method not enabled"),
    text("unsupported method", NoMethod, "alchemy, infura"),
    text("method not found", NoMethod, "many"),
    text("method not supported", NoMethod, "many"),
    text("method is not available", NoMethod, "providers"),
    text("method is not whitelisted", NoMethod, "proxyd, providers"),
    text("method is disabled", NoMethod, "providers"),
    text("the method ", NoMethod, "geth: the method x does not exist/is not available"),
    text("method handler crashed", Unwell, "geth"),
    text("namespace", NoMethod, "besu, nethermind: namespace is disabled"),
    // What the plan leaves out.
    text("free tier", NotInPlan, "providers"),
    text("free plan", NotInPlan, "providers"),
    text("current plan", NotInPlan, "quicknode, chainstack"),
    text("upgrade your", NotInPlan, "providers"),
    text("payg", NotInPlan, "alchemy: Upgrade to PAYG"),
    text("paid plan", NotInPlan, "providers"),
    // Limits on one call.
    text("returned more than", TooMuch, "infura, geth: query returned more than 10000 results"),
    text(
        "block range",
        TooMuch,
        "alchemy, quicknode, cloudflare, blast: block range too wide, exceeded, limited to",
    ),
    text("range is too", TooMuch, "providers"),
    text("range too large", TooMuch, "providers"),
    text("range limit", TooMuch, "providers"),
    text("max range", TooMuch, "reth, providers"),
    text("query exceeds max", TooMuch, "reth: query exceeds max results, max block range"),
    text("exceeds max results", TooMuch, "reth"),
    text("response size", TooMuch, "alchemy: log response size exceeded"),
    text("response too large", TooMuch, "geth, providers"),
    text("response is too big", TooMuch, "reth"),
    text("too large, max is", TooMuch, "providers"),
    text("query timeout exceeded", TooMuch, "alchemy, several"),
    text("execution timeout", TooMuch, "geth tracer"),
    text("execution aborted", TooMuch, "geth: execution aborted (timeout = 5s)"),
    text("rpc gas cap", TooMuch, "geth"),
    text("number of addresses", TooMuch, "bsc, providers"),
    text("specify less number of address", TooMuch, "providers"),
    text("batch too large", TooMuch, "geth"),
    // Rates and quotas.
    code(429, RateLimited, "alchemy, in a 200"),
    code(-32007, RateLimited, "quicknode: n/second request limit reached"),
    code(-32029, RateLimited, "ankr, blast"),
    code(-32097, RateLimited, "conflux"),
    text("rate limit", RateLimited, "many"),
    text("rate-limit", RateLimited, "many"),
    text("ratelimit", RateLimited, "many"),
    text("limit exceeded", RateLimited, "EIP-1474; infura"),
    text("limit reached", RateLimited, "quicknode, blast"),
    text("request count exceeded", RateLimited, "infura, mocknode: daily request count exceeded"),
    text("too many request", RateLimited, "many"),
    text("too many connections", RateLimited, "providers"),
    text("compute units", RateLimited, "alchemy"),
    text("credits", RateLimited, "quicknode, drpc"),
    text("capacity", RateLimited, "alchemy: exceeded capacity, monthly capacity limit"),
    text("quota", RateLimited, "chainstack, ankr, getblock"),
    text("throttl", RateLimited, "many"),
    text("requests per second", RateLimited, "many"),
    text("usage limit", RateLimited, "tenderly, drpc"),
    code(-32005, RateLimited, "EIP-1474: limit exceeded"),
    // Credentials.
    text("unauthorized", Unauthorized, "many"),
    text("invalid api key", Unauthorized, "many"),
    text("must be authenticated", Unauthorized, "alchemy"),
    text("invalid project id", Unauthorized, "infura"),
    text("project id required", Unauthorized, "infura"),
    text("not allowed to access", Unauthorized, "providers"),
    text("forbidden", Unauthorized, "many"),
    text("account disabled", Unauthorized, "providers"),
    // Sickness.
    text("syncing", Unwell, "nethermind, besu, erigon"),
    text("not synced", Unwell, "nethermind"),
    text(
        "backend",
        Unwell,
        "proxyd: no backends available, backend is offline, backend returned an invalid response",
    ),
    text("upstream", Unwell, "other proxies"),
    text("temporarily unavailable", Unwell, "many"),
    text("service unavailable", Unwell, "many"),
    text("bad gateway", Unwell, "proxies"),
    text("internal server error", Unwell, "many"),
    text("try again later", Unwell, "many"),
    text("overloaded", Unwell, "many"),
    text("server busy", Unwell, "many"),
    text("timed out", Unwell, "many"),
    text("timeout", Unwell, "many"),
    text("connection re", Unwell, "proxies: connection reset, refused"),
    start("eof", Unwell, "geth behind a proxy"),
    text("unexpected eof", Unwell, "geth behind a proxy"),
    text("context canceled", Unwell, "geth, erigon"),
    text("context deadline exceeded", Unwell, "geth, erigon"),
    text("database", Unwell, "erigon, reth: database error"),
    text("leveldb", Unwell, "geth"),
    text("mdbx", Unwell, "erigon, reth"),
    text("panic", Unwell, "reth, erigon"),
    text("txpool is full", Unwell, "geth, nethermind"),
    text("shutting down", Unwell, "many"),
    code(-32002, Unwell, "EIP-1474: resource unavailable"),
    code(-32011, Unwell, "proxyd: no backends available"),
    code(-32603, Unwell, "JSON-RPC: internal error"),
    code(-32700, Unwell, "JSON-RPC: parse error, of text that was parsed here"),
    // Requests that are wrong.
    code(-32602, Caller, "JSON-RPC: invalid params"),
    code(-32600, Caller, "JSON-RPC: invalid request"),
    text("invalid argument", Caller, "geth"),
    text("invalid params", Caller, "many"),
    text("missing value for required argument", Caller, "geth"),
    text("cannot unmarshal", Caller, "geth"),
    text("filter not found", Unclear, "geth: the filter lives elsewhere"),
];

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::fault::matching;

    #[test]
    fn every_row_is_reached_and_none_stands_in_anothers_way() {
        let mut shadowed: Vec<String> = Vec::new();
        for row in ROWS {
            let (code, message) = match row.says {
                Says::Code(code) => (code, String::new()),
                Says::Text(text) => (-32000, format!("Oh: {} (0x1)", text.to_uppercase())),
                Says::Start(text) => (-32000, format!("{} (0x1)", text.to_uppercase())),
            };
            let found = matching(code, &message).unwrap();
            if !ptr::eq(found, row) {
                shadowed.push(format!(
                    "{:?} of {} is taken by {:?} of {}",
                    row.says, row.who, found.says, found.who
                ));
            }
        }
        assert!(shadowed.is_empty(), "{shadowed:#?}");
    }

    #[test]
    fn texts_are_lower_case_and_short_enough_to_be_seen() {
        for row in ROWS {
            if let Says::Text(text) | Says::Start(text) = row.says {
                assert_eq!(text, text.to_lowercase(), "{}", row.who);
                assert!(text.len() * 4 <= crate::fault::MESSAGE_LOOKED_AT, "{}", row.who);
            }
        }
    }
}
