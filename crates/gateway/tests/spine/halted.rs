//! A chain that stands still as a whole: reads go on, transactions fare as the estate says.

use std::time::Duration;

use seawall_gateway::estate::{PoolKind, PoolSection, WhenHalted};
use serde_json::json;

use crate::{
    client::{PATIENCE, balance_of, body, call, post},
    house::{House, chain, until},
    node::{BALANCE, HEAD, at_head, node},
    upstream::Upstream,
};

const SEND: &str = "eth_sendRawTransaction";
const RAW: &str = "0x02c0ffee";

/// A pool whose chain is due to have moved long since.
fn standing(upstreams: &[&Upstream], then: WhenHalted) -> PoolSection {
    let mut pool = chain(upstreams);
    let PoolKind::Evm(evm) = &mut pool.kind else { unreachable!("a chain's pool") };
    (evm.block_time, evm.poll, evm.when_halted) =
        (Duration::from_millis(50), Duration::from_millis(50), then);
    pool
}

async fn house(upstreams: &[&Upstream], then: WhenHalted) -> House {
    let house = House::new(vec![standing(upstreams, then)]).await;
    until("the chain is found to stand still", || {
        let head = house.gateway.pools()[0].head.as_ref().and_then(|head| head.halted);
        (head == Some(true)).then_some(())
    })
    .await;
    house
}

fn hash() -> String {
    seawall_chain::tx::hash(RAW).unwrap().to_string()
}

#[tokio::test]
async fn reads_go_on_and_transactions_are_refused_unsent() {
    let (a, b) = (node().await, node().await);
    let house = house(&[&a, &b], WhenHalted::Refuse).await;
    let (method, params) = balance_of();
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
    let answer = post(house.at, body(1, SEND, &json!([RAW]))).await;
    assert_eq!(answer.status, 503);
    let error = &answer.json()["error"];
    assert_eq!(
        (&error["data"]["code"], &error["data"]["transactionHash"]),
        (&json!("SW0308"), &json!(hash()))
    );
    assert!(error["message"].as_str().unwrap().contains(&format!("stands still at block {HEAD}")), "{error}");
    assert!(a.calls(SEND).is_empty() && b.calls(SEND).is_empty());
}

#[tokio::test]
async fn a_transaction_that_waits_is_sent_once_the_chain_moves() {
    let (a, b) = (node().await, node().await);
    let house = house(&[&a, &b], WhenHalted::Queue { limit: 1, wait: PATIENCE }).await;
    let at = house.at;
    let sending = tokio::spawn(async move { post(at, body(1, SEND, &json!([RAW]))).await });
    until("it waits", || (house.gateway.pools()[0].waiting == 1).then_some(())).await;
    assert!(a.calls(SEND).is_empty() && b.calls(SEND).is_empty());
    // There is room for one.
    let refused = post(at, body(2, SEND, &json!(["0x02dead"]))).await;
    assert_eq!(refused.json()["error"]["data"]["code"], "SW0308");
    a.does(at_head(HEAD + 1));
    b.does(at_head(HEAD + 1));
    assert_eq!(sending.await.unwrap().json(), json!({"jsonrpc": "2.0", "id": 1, "result": hash()}));
    assert_eq!(house.gateway.pools()[0].waiting, 0);
}

#[tokio::test]
async fn one_that_has_waited_long_enough_is_told_so() {
    let (a, b) = (node().await, node().await);
    let wait = Duration::from_millis(100);
    let house = house(&[&a, &b], WhenHalted::Queue { limit: 10, wait }).await;
    let answer = post(house.at, body(1, SEND, &json!([RAW]))).await;
    assert_eq!(answer.json()["error"]["data"]["code"], "SW0308");
    assert!(a.calls(SEND).is_empty() && b.calls(SEND).is_empty());
}
