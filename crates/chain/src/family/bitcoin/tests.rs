use proptest::prelude::*;

use super::super::{Family, Owed, Poll};
use super::*;

/// The first transaction of the first block of the main network.
const FIRST: &str = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
const FIRST_ID: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

/// What btcd 0.24.2 (`--regtest`) answered after one block, by method; `getblockhash 0` under its own name.
const RECORDED: &str = include_str!("../recorded/btcd-0.24.2.json");

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn recorded(question: &Question) -> Box<RawValue> {
    let all: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(RECORDED).unwrap();
    let key = match question.params.as_str() {
        "[0]" => "getblockhash 0",
        _ => question.method,
    };
    all[key].clone()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn a_poll_reads_what_btcd_says() {
    let mut owed = Owed::default();
    let mut poll = Poll::new(Family::Bitcoin, network("regtest").unwrap(), &mut owed, true, Some(1));
    let mut asked = Vec::new();
    while let Some(question) = poll.question(false) {
        asked.push(question.method);
        poll.answer(&recorded(&question)).unwrap();
    }
    let seen = poll.seen().unwrap();
    assert_eq!(asked, ["getblockhash", "getblockchaininfo", "getblockheader", "getblockhash"]);
    assert_eq!(seen.right_chain, Some(true));
    assert_eq!(seen.head.unwrap().number, 1);
    assert_eq!(to_bare(&seen.head.unwrap().parent), network("regtest").unwrap());
    assert_eq!(seen.confirmed, Some(seen.head.unwrap().block()));
}

#[test]
fn a_header_of_another_block_is_no_head() {
    let mut owed = Owed::default();
    let mut poll = Poll::new(Family::Bitcoin, "", &mut owed, false, None);
    let mut last = Ok(());
    while let Some(question) = poll.question(false) {
        let answer = recorded(&question).get().replace("\"height\": 1", "\"height\": 2");
        last = poll.answer(&raw(&answer));
    }
    assert_eq!(last, Err(NotABlock));
}

#[test]
fn a_transaction_is_known_by_its_id() {
    let params = raw(&format!("[\"{FIRST}\",0.1]"));
    assert_eq!(to_bare(&hash("sendrawtransaction", Some(&params)).unwrap()), FIRST_ID);
    let named = raw(&format!("{{\"hexstring\":\"{FIRST}\"}}"));
    assert_eq!(to_bare(&hash("sendrawtransaction", Some(&named)).unwrap()), FIRST_ID);
    assert_eq!(hash("decoderawtransaction", Some(&params)), None);
    for bad in ["[]", "[\"0\"]", "[\"zz\"]", "[\"00\"]", "[1]"] {
        assert_eq!(hash("sendrawtransaction", Some(&raw(bad))), None, "{bad}");
    }
}

#[test]
fn witnesses_do_not_change_the_id() {
    let plain = bytes(FIRST);
    let mut with = plain[..4].to_vec();
    with.extend([0, 1]);
    with.extend(&plain[4..plain.len() - 4]);
    with.extend([2, 3, 1, 2, 3, 0]); // two items: three bytes, and none
    with.extend(&plain[plain.len() - 4..]);
    assert_eq!(txid(&with).map(|id| to_bare(&id)), Some(FIRST_ID.to_owned()));
    with.push(0);
    assert_eq!(txid(&with), None, "something is left over");
}

#[test]
fn what_a_send_was_answered_with() {
    let id = bare(FIRST_ID).unwrap();
    assert_eq!(fate(&raw(&format!("\"{FIRST_ID}\"")), &id), Fate::Taken);
    assert_eq!(fate(&raw("null"), &id), Fate::Nonsense);
    assert_eq!(fate(&raw(&taken(&id)), &id), Fate::Taken);
}

#[test]
fn errors_are_told_for_what_they_are() {
    let check = |code, message: &str, kind| {
        let error = RpcError { code, message: message.into(), data: None };
        assert_eq!(classify(&error), kind, "{code} {message}");
    };
    check(-27, "Transaction already in block chain", Kind::Known);
    check(-26, "txn-already-in-mempool", Kind::Known);
    check(-25, "bad-txns-inputs-missingorspent", Kind::NonceLow);
    check(-26, "min relay fee not met, 0 < 141", Kind::Caller);
    check(-22, "TX decode failed", Kind::Caller);
    check(-28, "Loading block index…", Kind::Unwell);
    check(-5, "Block not found", Kind::NoBlock);
    check(-8, "Block height out of range", Kind::NoBlock);
    check(-1, "Block number out of range", Kind::NoBlock);
    check(-5, "No information available about transaction 00", Kind::NoState);
    check(-1, "Block not available (pruned data)", Kind::NoState);
    check(-5, "No such mempool or blockchain transaction. Use gettransaction.", Kind::NoState);
    check(-32601, "Method not found", Kind::NoMethod);
    check(-8, "Unexpected key foo", Kind::Caller);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        txid(&raw);
    }

    #[test]
    fn a_part_of_a_transaction_has_no_id(cut in 0usize..204) {
        let all = bytes(FIRST);
        prop_assert_eq!(txid(&all[..cut.min(all.len() - 1)]), None);
    }
}
