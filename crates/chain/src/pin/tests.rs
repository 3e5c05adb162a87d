use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NUMBER: u64 = 0xabc;

fn heads() -> Heads {
    let block = |n| Block { number: n, hash: Hash([n as u8; 32]) };
    Heads { latest: block(NUMBER), safe: Some(block(NUMBER - 8)), finalized: None }
}

fn run(method: &str, params: Option<&str>, mode: Mode) -> (Option<String>, Option<Reads>) {
    let raw = params.map(|p| RawValue::from_string(p.to_owned()).unwrap());
    let mut out = b"before".to_vec();
    let history = BTreeMap::from([(NUMBER - 2, Hash([2; 32]))]);
    let pinned = pin(raw.as_deref(), &Method::lookup(method), &heads(), &history, mode, &mut out);
    let written = String::from_utf8(out.split_off(6)).unwrap();
    assert_eq!(out, b"before");
    assert_eq!(pinned.rewritten, !written.is_empty());
    (pinned.rewritten.then_some(written), pinned.reads)
}

#[test]
fn tags_become_the_agreed_blocks() {
    let check = |method: &str, params: &str, mode, want: &str, block: u64| {
        let want = want.replace("$HASH", &heads().latest.hash.to_string());
        let reads = Reads::Agreed(Block { number: block, hash: Hash([block as u8; 32]) });
        assert_eq!(run(method, Some(params), mode), (Some(want), Some(reads)), "{method} {params}");
    };
    check("eth_getBalance", r#"["0xa","latest"]"#, Mode::Hash, r#"["0xa",{"blockHash":"$HASH"}]"#, NUMBER);
    check("eth_getBalance", r#"["0xa","latest"]"#, Mode::Number, r#"["0xa","0xabc"]"#, NUMBER);
    check("eth_getBalance", r#"["0xa"]"#, Mode::Number, r#"["0xa","0xabc"]"#, NUMBER);
    check("eth_getBalance", r#" [ "0xa" ] "#, Mode::Number, r#"[ "0xa","0xabc" ]"#, NUMBER);
    check("eth_getBalance", r#"["0xa", null ]"#, Mode::Number, r#"["0xa", "0xabc" ]"#, NUMBER);
    check("eth_getBalance", r#"["0xa","safe"]"#, Mode::Number, r#"["0xa","0xab4"]"#, NUMBER - 8);
    check("eth_call", r#"[{"to":"]\""},"latest",{}]"#, Mode::Number, r#"[{"to":"]\""},"0xabc",{}]"#, NUMBER);
    check("eth_getStorageAt", r#"["0xa","0x0"]"#, Mode::Number, r#"["0xa","0x0","0xabc"]"#, NUMBER);
    check("eth_getBlockByNumber", r#"["latest",false]"#, Mode::Hash, r#"["0xabc",false]"#, NUMBER);
    check("eth_feeHistory", r#"["0x4","latest",[]]"#, Mode::Hash, r#"["0x4","0xabc",[]]"#, NUMBER);
}

#[test]
fn a_height_becomes_the_block_agreed_on_there() {
    let hash = Hash([2; 32]);
    let reads = Some(Reads::Agreed(Block { number: NUMBER - 2, hash }));
    let pinned = Some(format!(r#"["0xa",{{"blockHash":"{hash}"}}]"#));
    for written in [r#""0xaba""#, r#"{"blockNumber":"0xaba"}"#] {
        let params = format!(r#"["0xa",{written}]"#);
        assert_eq!(run("eth_getBalance", Some(&params), Mode::Hash), (pinned.clone(), reads));
        let unpinned = (None, Some(Reads::Number(NUMBER - 2)));
        assert_eq!(run("eth_getBalance", Some(&params), Mode::Number), unpinned);
    }
    let by_number = run("eth_getBlockByNumber", Some(r#"["0xaba",false]"#), Mode::Hash);
    assert_eq!(by_number, (None, Some(Reads::Number(NUMBER - 2))), "no hash fits there");
}

#[test]
fn what_does_not_move_or_is_not_understood_stays() {
    let check = |method: &str, params: Option<&str>, reads| {
        assert_eq!(run(method, params, Mode::Hash), (None, reads), "{method} {params:?}");
    };
    let hash = Hash([7; 32]);
    check("eth_getBalance", None, None);
    check("eth_getBalance", Some("[]"), None);
    check("eth_getBalance", Some(r#"{"address":"0xa"}"#), None);
    check("eth_getBalance", Some(r#"["0xa","pending"]"#), None);
    check("eth_getBalance", Some(r#"["0xa","finalized"]"#), None);
    check("eth_getBalance", Some(r#"["0xa","LATEST"]"#), None);
    check("eth_getBalance", Some(r#"["0xa","earliest"]"#), Some(Reads::Number(0)));
    check("eth_getBalance", Some(r#"["0xa","0x10"]"#), Some(Reads::Number(16)));
    check("eth_getBalance", Some(&format!(r#"["0xa","{hash}"]"#)), Some(Reads::Hash(hash)));
    check("eth_getBalance", Some(&format!(r#"["0xa",{{"blockHash":"{hash}"}}]"#)), Some(Reads::Hash(hash)));
    check("eth_getBalance", Some(r#"["0xa",{"blockNumber":"0x10"}]"#), Some(Reads::Number(16)));
    check("eth_getBlockByHash", Some(&format!(r#"["{hash}",false]"#)), Some(Reads::Hash(hash)));
    check("eth_getBlockByNumber", Some("[]"), None);
    check("eth_chainId", Some("[]"), None);
    check("eth_getLogs", Some("[]"), None);
    check("eth_getLogs", Some(r#"["latest"]"#), None);
    check("eth_getLogs", Some(r#"[{"fromBlock":"0x1","toBlock":"0x2"}]"#), Some(Reads::Range(1, 2)));
    check("eth_getLogs", Some(&format!(r#"[{{"blockHash":"{hash}"}}]"#)), Some(Reads::Hash(hash)));
    check("eth_getLogs", Some(r#"[{"fromBlock":"0x1","FROMBLOCK":"latest"}]"#), None);
    check("eth_getLogs", Some(r#"[{"fromBlock":"0x1","fromBlock":"latest"}]"#), None);
    check("eth_getLogs", Some(r#"[{"from\u0042lock":"latest"}]"#), None);
}

#[test]
fn a_range_is_set_at_both_ends() {
    let check = |params: &str, want: Option<&str>| {
        let mut out = Vec::new();
        assert_eq!(with_range(params, 16, 31, &mut out), want.is_some(), "{params}");
        assert_eq!(String::from_utf8(out).unwrap(), want.unwrap_or_default(), "{params}");
    };
    check("[{}]", Some(r#"[{"fromBlock":"0x10","toBlock":"0x1f"}]"#));
    let both = r#"[{"toBlock":"0x1f","topics":[],"fromBlock":"0x10"}]"#;
    check(r#"[{"toBlock":"latest","topics":[],"fromBlock":"0x1"}]"#, Some(both));
    check(r#"[{"blockHash":"0x1"}]"#, None);
    check("[]", None);
}

#[test]
fn ranges_are_pinned_at_both_ends() {
    let check = |params: &str, want: &str, from, to| {
        let reads = Some(Reads::Range(from, to));
        assert_eq!(run("eth_getLogs", Some(params), Mode::Hash), (Some(want.into()), reads), "{params}");
    };
    let n = NUMBER;
    check("[{}]", r#"[{"fromBlock":"0xabc","toBlock":"0xabc"}]"#, n, n);
    check("[{ }]", r#"[{"fromBlock":"0xabc","toBlock":"0xabc" }]"#, n, n);
    check(r#"[{"topics":[]}]"#, r#"[{"fromBlock":"0xabc","toBlock":"0xabc","topics":[]}]"#, n, n);
    check(r#"[{"fromBlock":"0x1"}]"#, r#"[{"toBlock":"0xabc","fromBlock":"0x1"}]"#, 1, n);
    check(r#"[{"toBlock":null}]"#, r#"[{"fromBlock":"0xabc","toBlock":"0xabc"}]"#, n, n);
    check(
        r#"[{"toBlock":"latest", "fromBlock" : "safe"}]"#,
        r#"[{"toBlock":"0xabc", "fromBlock" : "0xab4"}]"#,
        n - 8,
        n,
    );
    let pending = r#"[{"fromBlock":"latest","toBlock":"pending"}]"#;
    let want = r#"[{"fromBlock":"0xabc","toBlock":"pending"}]"#;
    assert_eq!(run("eth_getLogs", Some(pending), Mode::Hash), (Some(want.into()), None));
}

#[test]
fn nothing_is_pinned_when_off() {
    for (method, params) in [("eth_call", r#"[{},"latest"]"#), ("eth_getLogs", "[{}]"), ("eth_call", "[{}]")]
    {
        assert_eq!(run(method, Some(params), Mode::Off), (None, None), "{method} {params}");
    }
}

/// What pinning by number means, on values instead of text.
fn naive(method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    let tag = |v: &Value| match v.as_str() {
        Some("latest") => Some(json!("0xabc")),
        Some("safe") => Some(json!("0xab4")),
        _ => None,
    };
    let list = params.as_array_mut().unwrap();
    match Method::lookup(method).block {
        BlockParam::None => {}
        BlockParam::At { index, default_latest, .. } if default_latest && list.len() == index => {
            list.push(json!("0xabc"));
        }
        BlockParam::At { index, default_latest, .. } => match list.get_mut(index) {
            Some(v) if v.is_null() && default_latest => *v = json!("0xabc"),
            Some(v) => *v = tag(v).unwrap_or(v.take()),
            None => {}
        },
        BlockParam::Range { index } => {
            if let Some(filter) = list.get_mut(index).and_then(Value::as_object_mut)
                && !filter.contains_key("blockHash")
            {
                for end in ["fromBlock", "toBlock"] {
                    let v = filter.entry(end).or_insert(Value::Null);
                    *v = if v.is_null() { json!("0xabc") } else { tag(v).unwrap_or(v.take()) };
                }
            }
        }
    }
    params
}

fn param() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("latest"),
        Just("safe"),
        Just("pending"),
        Just("earliest"),
        Just("0x10"),
        Just("\"]}\\"),
        Just("é"),
    ];
    let leaf = prop_oneof![word.prop_map(Value::from), Just(Value::Null), any::<i32>().prop_map(Value::from)];
    let key =
        prop_oneof![Just("fromBlock"), Just("toBlock"), Just("blockHash"), Just("address"), Just("topics")];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(String::from), inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn everything_but_the_tag_stays(
        params in prop::collection::vec(param(), 0..5),
        method in prop::sample::select(vec!["eth_getBalance", "eth_getStorageAt", "eth_getBlockByNumber", "eth_getLogs", "trace_filter", "eth_chainId"]),
        pretty: bool,
    ) {
        let value = Value::from(params);
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let (written, _) = run(method, Some(&text), Mode::Number);
        let got: Value = serde_json::from_str(written.as_deref().unwrap_or(&text)).unwrap();
        prop_assert_eq!(&got, &naive(method, &value));
        // Not only the same values: the same bytes, but for what was put in.
        if let (Some(written), BlockParam::At { index, .. }) = (&written, Method::lookup(method).block) {
            let parts = |t: &str| scan::items(t).map(|r| t[r].to_owned()).collect::<Vec<_>>();
            let (mut before, mut after) = (parts(&text), parts(written));
            after.remove(index);
            if before.len() > index {
                before.remove(index);
            }
            prop_assert_eq!(before, after);
        }
    }
}
