use proptest::prelude::*;

use super::*;

fn hash(n: u64) -> Hash {
    let mut bytes = [0xaa; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Hash(bytes)
}

fn block(number: u64) -> Block {
    Block { number, hash: hash(number) }
}

/// Blocks 90 to 100 are agreed on, 95 is final.
fn bound(name: &str, reads: Option<Reads>, params: &str, result: &str) -> Option<u64> {
    let history = (90..=100).map(|n| (n, hash(n))).collect();
    let agreed = Agreed { history: &history, finalized: Some(95) };
    let bond = Bond::of(name, &Method::lookup(name))?;
    bond.block(reads, true, params, result, &agreed).map(|b| b.number)
}

fn placed(n: u64, hash: Hash) -> String {
    format!(r#"{{"blockNumber":"{n:#x}","blockHash":"{hash}","transactionHash":"{}"}}"#, self::hash(7))
}

#[test]
fn state_is_bound_by_the_hash_in_the_call() {
    let get = |reads| bound("eth_getBalance", reads, "[]", "\"0x1\"");
    assert_eq!(get(Some(Reads::Agreed(block(100)))), Some(100));
    assert_eq!(get(Some(Reads::Hash(hash(93)))), Some(93));
    assert_eq!(get(Some(Reads::Hash(hash(12)))), None, "nobody has agreed on it");
    assert_eq!(get(Some(Reads::Number(93))), None, "a fork may have answered");
    assert_eq!(get(None), None, "pending");
    let history = BTreeMap::from([(100, hash(100))]);
    let agreed = Agreed { history: &history, finalized: None };
    let by_number = Bond::Call.block(Some(Reads::Agreed(block(100))), false, "[]", "\"0x1\"", &agreed);
    assert_eq!(by_number, None);
}

#[test]
fn what_tells_its_block_is_bound_by_it() {
    let told = |n: u64| format!(r#"{{"number":"{n:#x}","hash":"{}"}}"#, hash(n));
    let by_number =
        |reads, result: &str| bound("eth_getBlockByNumber", Some(reads), "[\"0x5d\",false]", result);
    assert_eq!(by_number(Reads::Number(93), &told(93)), Some(93));
    assert_eq!(by_number(Reads::Agreed(block(93)), &told(93)), Some(93));
    assert_eq!(by_number(Reads::Number(93), &told(94)), None, "another than was asked for");
    assert_eq!(by_number(Reads::Number(80), &told(80)), None, "older than what is remembered");
    let forked = format!(r#"{{"number":"0x5d","hash":"{}"}}"#, hash(1));
    assert_eq!(by_number(Reads::Number(93), &forked), None);
    assert_eq!(by_number(Reads::Number(93), "null"), None);
    let receipt = |asked: Hash, result: &str| {
        bound("eth_getTransactionReceipt", None, &format!("[\"{asked}\"]"), result)
    };
    assert_eq!(receipt(hash(7), &placed(93, hash(93))), Some(93));
    assert_eq!(receipt(hash(8), &placed(93, hash(93))), None, "of another transaction");
    assert_eq!(receipt(hash(7), &placed(93, hash(3))), None);
    assert_eq!(receipt(hash(7), "null"), None);
    let waiting = format!(r#"{{"hash":"{}","blockNumber":null,"blockHash":null}}"#, hash(7));
    assert_eq!(bound("eth_getTransactionByHash", None, &format!("[\"{}\"]", hash(7)), &waiting), None);
}

#[test]
fn lists_are_bound_where_they_are_known_to_be_whole() {
    let logs = |reads, blocks: &[u64]| {
        let items: Vec<_> = blocks.iter().map(|n| placed(*n, hash(*n))).collect();
        bound("eth_getLogs", Some(reads), "[{}]", &format!("[{}]", items.join(",")))
    };
    assert_eq!(logs(Reads::Range(91, 95), &[91, 93, 93]), Some(95));
    assert_eq!(logs(Reads::Range(91, 96), &[91, 93]), None, "not final yet");
    assert_eq!(logs(Reads::Range(80, 95), &[91]), None, "not all of it is remembered");
    assert_eq!(logs(Reads::Range(91, 95), &[]), None, "it may be a gap");
    assert_eq!(logs(Reads::Range(91, 95), &[91, 99]), None, "not of that range");
    assert_eq!(logs(Reads::Range(95, 91), &[93]), None);
    assert_eq!(logs(Reads::Range(0, u64::MAX), &[93]), None);
    assert_eq!(logs(Reads::Hash(hash(99)), &[99, 99]), Some(99));
    assert_eq!(logs(Reads::Hash(hash(99)), &[98]), None);
    let receipts = |reads, n: u64| {
        bound("eth_getBlockReceipts", Some(reads), "[]", &format!("[{}]", placed(n, hash(n))))
    };
    assert_eq!(receipts(Reads::Number(97), 97), Some(97));
    assert_eq!(receipts(Reads::Number(97), 96), None);
    assert_eq!(receipts(Reads::Agreed(block(97)), 97), Some(97));
}

#[test]
fn what_nothing_binds_is_never_kept() {
    for name in [
        "eth_gasPrice",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_sendRawTransaction",
        "eth_getFilterChanges",
        "eth_getBlockTransactionCountByNumber",
        "eth_simulateV1",
        "debug_traceCall",
        "trace_filter",
        "net_peerCount",
        "zks_getBlockDetails",
    ] {
        assert_eq!(Bond::of(name, &Method::lookup(name)), None, "{name}");
    }
}

#[test]
fn development_nodes_rewrite_state() {
    assert!(rewrites("anvil_setBalance") && rewrites("evm_revert") && rewrites("debug_setHead"));
    assert!(!rewrites("eth_call") && !rewrites("debug_traceCall") && !rewrites("anvil"));
}

proptest! {
    /// Whatever an upstream says, what is kept is of an agreed block.
    #[test]
    fn only_agreed_blocks_are_ever_bound_to(
        told in prop::collection::vec((80u64..110, prop::option::weighted(0.8, Just(()))), 0..4),
        reads in prop_oneof![
            Just(None),
            (80u64..110).prop_map(|n| Some(Reads::Number(n))),
            (80u64..110).prop_map(|n| Some(Reads::Hash(hash(n)))),
            (80u64..110, 80u64..110).prop_map(|(a, b)| Some(Reads::Range(a, b))),
        ],
        name in prop::sample::select(vec!["eth_getLogs", "eth_getBlockReceipts", "eth_getBalance", "eth_getBlockByNumber"]),
    ) {
        let items: Vec<_> = told.iter().map(|(n, honest)| placed(*n, honest.map_or(hash(1), |()| hash(*n)))).collect();
        let list = format!("[{}]", items.join(","));
        for result in [list.as_str(), items.first().map_or("null", String::as_str)] {
            if let Some(n) = bound(name, reads, "[]", result) {
                prop_assert!((90..=100).contains(&n));
                if let (Some(Reads::Range(..)), "eth_getLogs") = (reads, name) {
                    prop_assert!(n <= 95 && told.iter().all(|(_, honest)| honest.is_some()));
                }
            }
        }
    }
}
