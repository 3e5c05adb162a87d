//! Chains of other families than the EVM. The scripted nodes say what a real one was recorded to say.

use std::time::Duration;

use seawall_chain::family::{Family, bitcoin_network};
use seawall_gateway::estate::PoolKind;
use serde_json::{Value, json};

use crate::{
    client::call,
    house::{House, chain},
    node::{error, result},
    upstream::{Heard, Reply, Upstream},
};

/// btcd 0.24.2 after one block; see the tests of the chain crate.
const BTCD: &str = include_str!("../../../chain/src/family/recorded/btcd-0.24.2.json");

/// A transaction, and its id.
const RAW: &str = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
const ID: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

fn btcd(heard: &Heard) -> Reply {
    let recorded: Value = serde_json::from_str(BTCD).unwrap();
    let call = heard.call();
    match (call["method"].as_str().unwrap_or_default(), &call["params"][0]) {
        ("getblockhash", height) if *height == 0 => result(heard, &recorded["getblockhash 0"]),
        ("getblockcount", _) => result(heard, &json!(7)), // not what its peers stand behind
        ("sendrawtransaction", _) => result(heard, &json!(ID)),
        (method, _) if recorded[method].is_null() => error(heard, -32601, "Method not found"),
        (method, _) => result(heard, &recorded[method]),
    }
}

fn but(method: &'static str, reply: fn(&Heard) -> Reply) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    move |heard| if heard.method() == method { reply(heard) } else { btcd(heard) }
}

async fn house(upstreams: &[&Upstream], network: &str) -> House {
    let mut pool = chain(upstreams);
    let PoolKind::Evm(section) = &mut pool.kind else { unreachable!("a chain's pool") };
    (section.family, section.network) = (Family::Bitcoin, network.into());
    section.block_time = Duration::from_secs(600);
    House::new(vec![pool]).await
}

fn regtest() -> &'static str {
    bitcoin_network("regtest").unwrap()
}

#[tokio::test]
async fn the_agreed_head_answers_for_the_chain_and_reads_survive_a_failure() {
    let (a, b, c) = (Upstream::new(btcd).await, Upstream::new(btcd).await, Upstream::new(btcd).await);
    let house = house(&[&a, &b, &c], regtest()).await;
    assert_eq!(call(house.at, "getblockcount", json!([])).await["result"], 1);
    a.does(|_| Reply::Reset);
    b.does(but("getblockheader", |heard| error(heard, -28, "Loading block index…")));
    let recorded: Value = serde_json::from_str(BTCD).unwrap();
    for _ in 0..20 {
        let header = call(house.at, "getblockheader", json!([recorded["getblockhash"]])).await;
        assert_eq!(header["result"]["height"], 1);
    }
}

#[tokio::test]
async fn one_that_serves_another_network_is_not_served_from() {
    let (a, b, c) = (Upstream::new(btcd).await, Upstream::new(btcd).await, Upstream::new(btcd).await);
    b.does(|heard| match (heard.method().as_str(), &heard.call()["params"][0]) {
        ("getblockhash", height) if *height == 0 => result(heard, &bitcoin_network("main").unwrap().into()),
        _ => btcd(heard),
    });
    let house = house(&[&a, &b, &c], regtest()).await;
    for _ in 0..20 {
        call(house.at, "getnetworkinfo", json!([])).await;
    }
    assert!(b.calls("getnetworkinfo").is_empty());
    assert!(!a.calls("getnetworkinfo").is_empty());
}

#[tokio::test]
async fn a_transaction_that_was_taken_before_the_answer_broke_off_is_found_by_its_id() {
    let (a, b, c) = (Upstream::new(btcd).await, Upstream::new(btcd).await, Upstream::new(btcd).await);
    let house = house(&[&a, &b, &c], regtest()).await;
    for node in [&a, &b, &c] {
        node.does(|heard| match heard.method().as_str() {
            "sendrawtransaction" => Reply::Reset,
            "getrawtransaction" => result(heard, &json!(RAW)),
            _ => btcd(heard),
        });
    }
    let answer = call(house.at, "sendrawtransaction", json!([RAW])).await;
    assert_eq!(answer["result"], ID, "{answer}");
}

#[tokio::test]
async fn an_error_under_a_status_of_its_own_is_the_callers_affair() {
    let (a, b, c) = (Upstream::new(btcd).await, Upstream::new(btcd).await, Upstream::new(btcd).await);
    let house = house(&[&a, &b, &c], regtest()).await;
    for node in [&a, &b, &c] {
        // As Bitcoin Core before version 28 tells errors.
        node.does(but("decodescript", |heard| {
            let body = json!({"result": null, "error": {"code": -8, "message": "argument must be hexadecimal string"},
                "id": heard.call()["id"]});
            Reply::Whole(500, "content-type: application/json\r\n".into(), body.to_string().into_bytes())
        }));
    }
    let answer = call(house.at, "decodescript", json!(["zz"])).await;
    assert_eq!(answer["error"]["code"], -8, "{answer}");
    assert!((0..3).all(|i| house.ejections(i).is_empty()));
}
