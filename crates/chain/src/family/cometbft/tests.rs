use super::super::{Family, Owed, Poll};
use super::*;

/// What Tendermint 0.34.24 (`tendermint node --proxy_app=kvstore`) answered at block 4, by method.
const RECORDED: &str = include_str!("../recorded/tendermint-0.34.24.json");

/// `seawall=stands`, in base64.
const TX: &str = "c2Vhd2FsbD1zdGFuZHM=";

fn recorded(method: &str) -> Box<RawValue> {
    let all: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(RECORDED).unwrap();
    all[method].clone()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn a_poll_reads_what_tendermint_says() {
    let mut owed = Owed::default();
    let mut poll = Poll::new(Family::CometBft, "test-chain-LDvzez", &mut owed, true, Some(4));
    let mut asked = Vec::new();
    while let Some(question) = poll.question(false) {
        asked.push(format!("{} {}", question.method, question.params));
        poll.answer(&recorded(question.method)).unwrap();
    }
    let one = "blockchain {\"minHeight\":\"4\",\"maxHeight\":\"4\"}";
    assert_eq!(asked, ["status {}", "status {}", one, one]);
    let seen = poll.seen().unwrap();
    let hash = bare("1D69465915EE179F216B7A8A85C63576A7AED3105CEFE20BB967FA75F9F4A024").unwrap();
    let parent = bare("E70D5F22EED44F354411CC3BA9D72ADD0725CD1366A8F00BF4BE6C8F1A63FEBA").unwrap();
    assert_eq!(seen.right_chain, Some(true));
    assert_eq!(seen.head.unwrap(), HeadSeen { number: 4, hash, parent, timestamp: 1_795_660_004 });
    assert_eq!(seen.confirmed, Some(Block { number: 4, hash }));
}

#[test]
fn a_transaction_is_known_by_its_hash() {
    let sent = hash("broadcast_tx_sync", Some(&raw(&format!("{{\"tx\":\"{TX}\"}}")))).unwrap();
    assert_eq!(hash("broadcast_tx_async", Some(&raw(&format!("[\"{TX}\"]")))), Some(sent));
    assert_eq!(hash("broadcast_tx_commit", Some(&raw(&format!("[\"{TX}\"]")))), None);
    assert_eq!(hash("broadcast_tx_sync", Some(&raw("{\"tx\":\"!!\"}"))), None);
    assert_eq!(fate(&recorded("broadcast_tx_sync"), &sent), Fate::Taken);
    assert_eq!(fate(&recorded("broadcast_tx_sync"), &Hash([0; 32])), Fate::Nonsense);
    let refused = recorded("broadcast_tx_sync").get().replace("\"code\": 0", "\"code\": 5");
    assert_eq!(fate(&raw(&refused), &sent), Fate::Rejected);
    assert_eq!(fate(&raw(&taken(&sent)), &sent), Fate::Taken);
}

#[test]
fn errors_are_told_for_what_they_are() {
    let check = |code, message: &str, data: &str, kind| {
        let data = raw(&format!("\"{data}\""));
        let error = RpcError { code, message: message.into(), data: Some(&data) };
        assert_eq!(classify(&error), kind, "{data}");
    };
    let internal = "Internal error";
    check(-32603, internal, "tx already exists in cache", Kind::Known);
    let height = "height 1000000 must be less than or equal to the current blockchain height 4";
    check(-32603, internal, height, Kind::NoBlock);
    check(-32603, internal, "tx (3030) not found", Kind::NoState);
    check(-32603, internal, "height 1 is not available, lowest height is 100", Kind::NoState);
    check(-32603, internal, "mempool is full: number of txs 5000 (max: 5000)", Kind::Unwell);
    check(-32601, "Method not found", "", Kind::NoMethod);
    let params = "error converting json params to arguments: illegal base64 data at input byte 0";
    check(-32602, "Invalid params", params, Kind::Caller);
}
