//! Any bytes as a request and as an answer: nothing panics, what is accepted is JSON, and pinning changes
//! the block parameter and nothing else.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use seawall_chain::{
    Block, Hash,
    envelope::{Call, Request, parse_answer, parse_request, write_call},
    fault,
    heads::HeadSeen,
    method::Method,
    pin::{Heads, Mode, pin},
    tx,
};
use serde_json::Value;

const BATCH: usize = 8;
/// Every shape of block parameter there is.
const METHODS: [&str; 6] = [
    "eth_getBalance",
    "eth_getStorageAt",
    "eth_getBlockByNumber",
    "eth_feeHistory",
    "eth_getLogs",
    "eth_chainId",
];

fuzz_target!(|body: &[u8]| {
    match parse_request(body, BATCH) {
        Ok(Request::Single(call)) => check_call(&call),
        Ok(Request::Batch(entries)) => {
            assert!((1..=BATCH).contains(&entries.len()));
            entries.iter().flatten().for_each(check_call);
        }
        Err(invalid) => assert!(invalid.code == -32700 || invalid.code == -32600),
    }
    if let Ok(answer) = parse_answer(body) {
        assert!(answer.result.is_some() != answer.error.is_some());
        if let Some(error) = answer.error {
            let _ = fault::classify(error.code, &error.message);
        }
        let _ = answer.result.map(HeadSeen::from_result);
    }
    if let Ok(text) = str::from_utf8(body) {
        let _ = tx::hash(text);
    }
});

fn check_call(call: &Call<'_>) {
    let mut out = Vec::new();
    write_call(&mut out, "1", &call.method, call.params.map(|p| p.get()));
    assert!(matches!(parse_request(&out, 1), Ok(Request::Single(again)) if again.method == call.method));
    let block = |number| Block { number, hash: Hash([7; 32]) };
    let heads = Heads { latest: block(0x123), safe: Some(block(0x100)), finalized: None };
    let history = BTreeMap::from([(0, Hash([0; 32])), (1, Hash([1; 32]))]);
    for name in METHODS.into_iter().chain([&*call.method]) {
        for mode in [Mode::Hash, Mode::Number, Mode::Off] {
            out.clear();
            let pinned = pin(call.params, &Method::lookup(name), &heads, &history, mode, &mut out);
            assert_eq!(pinned.rewritten, !out.is_empty());
            if pinned.rewritten {
                assert!(mode != Mode::Off);
                let before = call.params.map(|p| p.get()).unwrap_or("[]");
                check_rewritten(before, &out);
            }
        }
    }
}

/// All parameters but one are as they were.
fn check_rewritten(before: &str, after: &[u8]) {
    // A number that no double holds is JSON, but nothing that can be compared here.
    let Ok(Value::Array(before)) = serde_json::from_str(before) else { return };
    let Ok(Value::Array(after)) = serde_json::from_slice(after) else { panic!("no longer an array") };
    assert!(after.len() == before.len() || after.len() == before.len() + 1);
    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!(changed + after.len() - before.len() == 1);
}
