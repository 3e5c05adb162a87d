//! What a client has seen, and what was sent for it, is not unseen by its next read.

use std::time::Duration;

use http::HeaderMap;
use seawall_gateway::estate::{PoolKind, PoolSection};
use serde_json::{Value, json};

use crate::{
    client::{Answer, balance_of, body, call, request, send},
    house::{House, chain, until},
    node::{BALANCE, HEAD, at_head, hash, honest, node, result},
    upstream::Upstream,
};

const SEEN: &str = "x-seawall-seen";
/// The worked example of EIP-155: its sender and its nonce of 9 are known.
const RAW: &str = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
const SENDER: &str = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f";
const BY_HASH: &str = "eth_getTransactionByHash";

fn tx_hash() -> String {
    seawall_chain::tx::hash(RAW).unwrap().to_string()
}

/// A pool that is polled often.
fn quick(upstreams: &[&Upstream]) -> PoolSection {
    let mut pool = chain(upstreams);
    if let PoolKind::Evm(evm) = &mut pool.kind {
        evm.poll = Duration::from_millis(200);
    }
    pool
}

fn block(number: u64) -> String {
    format!("{number}:{}", hash(number))
}

/// A balance, asked for by a client that has seen that.
async fn having_seen(house: &House, seen: &str) -> Answer {
    let (method, params) = balance_of();
    let mut request = request("POST", "/chain", body(1, method, &params));
    request.headers_mut().insert(SEEN, seen.parse().unwrap());
    send(house.at, request).await.unwrap()
}

fn told<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_client_is_told_what_it_has_seen_if_it_asks() {
    let a = node().await;
    let house = House::new(vec![quick(&[&a])]).await;
    let answer = having_seen(&house, "").await;
    assert_eq!(answer.json()["result"], BALANCE);
    assert_eq!(told(&answer.headers, SEEN), Some(&*block(HEAD)));
    let answer = having_seen(&house, &block(HEAD)).await;
    assert_eq!(answer.json()["result"], BALANCE);
    assert_eq!(told(&answer.headers, "x-seawall-reorg"), None);
    let (method, params) = balance_of();
    let unasked = send(house.at, request("POST", "/chain", body(1, method, &params))).await.unwrap();
    assert_eq!(told(&unasked.headers, SEEN), None);
    let answer = having_seen(&house, "yesterday").await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"]["message"].as_str().unwrap().starts_with("SW0352"));
}

#[tokio::test]
async fn nothing_older_is_shown_to_a_client_than_it_has_seen() {
    let a = node().await;
    let house = House::new(vec![quick(&[&a])]).await;
    let answer = having_seen(&house, &block(HEAD + 1)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["data"]["code"], "SW0351");
    assert_eq!(a.calls(balance_of().0).len(), 0, "it was not asked in vain");
    a.does(at_head(HEAD + 1));
    let mut answer = having_seen(&house, &block(HEAD + 1)).await;
    while answer.status == 503 {
        answer = having_seen(&house, &block(HEAD + 1)).await;
    }
    assert_eq!(answer.json()["result"], BALANCE);
    assert_eq!(told(&answer.headers, SEEN), Some(&*block(HEAD + 1)));
}

#[tokio::test]
async fn a_reorganisation_is_told() {
    let nodes = [node().await, node().await, node().await];
    let house = House::new(vec![quick(&[&nodes[0], &nodes[1], &nodes[2]])]).await;
    let forked = hash(HEAD + 7_000);
    for node in &nodes {
        let forked = forked.clone();
        node.does(move |heard| {
            let call = heard.call();
            let is_head = [json!("latest"), json!(format!("{HEAD:#x}"))].contains(&call["params"][0]);
            match (&*heard.method(), is_head) {
                ("eth_getBlockByNumber", true) => result(
                    heard,
                    &json!({
                        "number": format!("{HEAD:#x}"), "hash": forked, "parentHash": hash(HEAD - 1),
                        "timestamp": "0x6553f100", "transactions": [],
                    }),
                ),
                _ => honest(heard),
            }
        });
    }
    let want = format!("{HEAD}:{forked}");
    let mut answer = having_seen(&house, &block(HEAD)).await;
    while told(&answer.headers, SEEN) != Some(&want) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = having_seen(&house, &block(HEAD)).await;
    }
    assert_eq!(answer.json()["result"], BALANCE);
    assert_eq!(told(&answer.headers, "x-seawall-reorg"), Some(&*want));
}

async fn count(house: &House, of: &str, tag: &str) -> Value {
    call(house.at, "eth_getTransactionCount", json!([of, tag])).await["result"].clone()
}

#[tokio::test]
async fn what_was_just_sent_is_counted_whoever_is_asked() {
    let (a, b) = (node().await, node().await);
    for upstream in [&a, &b] {
        upstream.does(|heard| match &*heard.method() {
            "eth_getTransactionCount" => result(heard, &"0x9".into()),
            _ => honest(heard),
        });
    }
    let house = House::new(vec![quick(&[&a, &b])]).await;
    assert_eq!(count(&house, SENDER, "pending").await, "0x9");
    call(house.at, "eth_sendRawTransaction", json!([RAW])).await;
    assert_eq!(count(&house, SENDER, "pending").await, "0xa");
    assert_eq!(count(&house, SENDER, "latest").await, "0x9");
    assert_eq!(count(&house, "0x0000000000000000000000000000000000000001", "pending").await, "0x9");
}

/// Of three, the one that took it may not be the one that is asked.
#[tokio::test]
async fn what_was_just_sent_is_never_told_not_to_be_there() {
    let nodes = [node().await, node().await, node().await];
    nodes[2].does(|heard| match &*heard.method() {
        BY_HASH => result(heard, &json!({"hash": tx_hash(), "blockNumber": null, "blockHash": null})),
        _ => honest(heard),
    });
    let house = House::new(vec![quick(&[&nodes[0], &nodes[1], &nodes[2]])]).await;
    call(house.at, "eth_sendRawTransaction", json!([RAW])).await;
    for _ in 0..10 {
        assert_eq!(call(house.at, BY_HASH, json!([tx_hash()])).await["result"]["hash"], tx_hash());
    }
}

#[tokio::test]
async fn if_nobody_shows_it_that_is_said() {
    let (a, b) = (node().await, node().await);
    let mut pool = quick(&[&a, &b]);
    pool.deadline = Duration::from_secs(2);
    pool.attempt_timeout = Duration::from_secs(2);
    let house = House::new(vec![pool]).await;
    assert_eq!(call(house.at, BY_HASH, json!([tx_hash()])).await["result"], Value::Null);
    call(house.at, "eth_sendRawTransaction", json!([RAW])).await;
    until("it has gone out", || (!a.calls("eth_sendRawTransaction").is_empty()).then_some(())).await;
    let error = call(house.at, BY_HASH, json!([tx_hash()])).await["error"].clone();
    assert_eq!(error["data"]["code"], "SW0353", "{error}");
    assert_eq!(error["data"]["transactionHash"], tx_hash());
}
