//! Monero: `monerod`'s JSON-RPC. Transactions are sent under a path of their own, not by JSON-RPC.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Ask, Question, Rules, Told, bare};
use crate::{
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
    writes: None,
    at_head: |_, _| None,
    versions: Versions::Any,
    errors_by_status: false,
    irregular: true,
};

fn question(ask: Ask) -> Question {
    match ask {
        Ask::Network => Question::new("get_info", "{}"),
        Ask::Head | Ask::HeadAt(..) | Ask::Safe | Ask::Finalized => {
            Question::new("get_last_block_header", "{}")
        }
        Ask::At(number) => Question::new("get_block_header_by_height", format!("{{\"height\":{number}}}")),
    }
}

fn read(ask: Ask, result: &RawValue) -> Result<Told, NotABlock> {
    match ask {
        Ask::Network => {
            #[derive(Deserialize)]
            struct Info {
                nettype: String,
            }
            let info: Info = serde_json::from_str(result.get()).map_err(|_| NotABlock)?;
            Ok(Told::Network(info.nettype))
        }
        Ask::Head | Ask::HeadAt(..) | Ask::Safe | Ask::Finalized => header(result).map(Told::Head),
        Ask::At(_) => header(result).map(|seen| Told::Block(seen.block())),
    }
}

fn header(result: &RawValue) -> Result<HeadSeen, NotABlock> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        block_header: Header<'a>,
        status: &'a str,
    }
    #[derive(Deserialize)]
    struct Header<'a> {
        height: u64,
        hash: &'a str,
        prev_hash: &'a str,
        timestamp: u64,
    }
    let answer: Answer<'_> = serde_json::from_str(result.get()).map_err(|_| NotABlock)?;
    // It says `BUSY` while it catches up.
    if answer.status != "OK" {
        return Err(NotABlock);
    }
    let Header { height: number, hash, prev_hash, timestamp } = answer.block_header;
    Ok(HeadSeen { number, hash: bare(hash)?, parent: bare(prev_hash)?, timestamp })
}

fn method(name: &str) -> Method {
    match name {
        "get_block_count"
        | "getblockcount"
        | "get_last_block_header"
        | "getlastblockheader"
        | "get_info"
        | "hard_fork_info" => Method::of(Class::Head),
        "on_get_block_hash"
        | "on_getblockhash"
        | "get_block_header_by_hash"
        | "getblockheaderbyhash"
        | "get_block_header_by_height"
        | "getblockheaderbyheight"
        | "get_block_headers_range"
        | "getblockheadersrange"
        | "get_block"
        | "getblock" => Method::of(Class::Block),
        "get_output_histogram" | "get_output_distribution" | "get_coinbase_tx_sum" => {
            Method::of(Class::State)
        }
        "get_fee_estimate" => Method::of(Class::Fee),
        "get_version"
        | "get_connections"
        | "sync_info"
        | "get_alternate_chains"
        | "get_txpool_backlog"
        | "get_miner_data" => Method::of(Class::Node),
        "submit_block" | "submitblock" => Method::once(Class::Write),
        _ => Method::once(Class::Other),
    }
}

/// Error codes of `core_rpc_server_error_codes.h`.
fn classify(error: &RpcError<'_>) -> Kind {
    let (code, message) = (error.code, &*error.message);
    match code {
        -1 | -3 | -4 | -6 | -7 => Kind::Caller,
        -2 => Kind::NoBlock,
        -5 if message.contains("hash") => Kind::NoBlock,
        -5 => Kind::Unwell,
        -9 => Kind::Unwell,
        _ => fault::classify(code, message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Family, Owed, Poll};
    use super::*;
    use crate::Block;

    /// What `monerod` 0.18 (Debian, `--regtest --offline`) answered after two blocks, by method.
    const RECORDED: &str = include_str!("recorded/monerod-0.18.json");

    fn recorded(method: &str) -> Box<RawValue> {
        let all: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(RECORDED).unwrap();
        all[method].clone()
    }

    #[test]
    fn a_poll_reads_what_monerod_says() {
        let mut owed = Owed::default();
        let mut poll = Poll::new(Family::Monero, "fakechain", &mut owed, true, Some(1));
        while let Some(question) = poll.question(false) {
            poll.answer(&recorded(question.method)).unwrap();
        }
        let seen = poll.seen().unwrap();
        let hash = bare("80cbee2c0414879ac8047e8136041b3822cba745a3764da61c0f5787af989897").unwrap();
        let parent = bare("c0665b7a1b592d61b1bed46b9fb7486d3e9ea17e2565120fc1aafc2f04fe770e").unwrap();
        assert_eq!(seen.right_chain, Some(true));
        assert_eq!(seen.head.unwrap(), HeadSeen { number: 2, hash, parent, timestamp: 1_795_656_411 });
        assert_eq!(seen.confirmed, Some(Block { number: 1, hash: parent }));
    }

    #[test]
    fn a_node_that_is_busy_shows_no_head() {
        let busy = recorded("get_last_block_header").get().replace("\"OK\"", "\"BUSY\"");
        let busy = RawValue::from_string(busy).unwrap();
        assert_eq!(read(Ask::Head, &busy), Err(NotABlock));
    }

    #[test]
    fn its_errors_are_told_for_what_they_are() {
        let height = "Requested block height: 100 greater than current top block height: 1";
        let check = |code, message: &str, kind| {
            let error = RpcError { code, message: message.into(), data: None };
            assert_eq!(classify(&error), kind, "{code} {message}");
        };
        check(-2, height, Kind::NoBlock);
        check(-32601, "Method not found", Kind::NoMethod);
        check(-9, "Core is busy", Kind::Unwell);
    }
}
