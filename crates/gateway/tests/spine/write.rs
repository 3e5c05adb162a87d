//! Transactions: sent to several, each once, and never told to have two outcomes.

use std::time::Duration;

use seawall_model::Cause;
use serde_json::{Value, json};

use crate::{
    client::{Answer, PATIENCE, balance_of, body, call, post},
    house::{House, chain, first_preferred, until},
    node::{BALANCE, error, hash, honest, node, result},
    upstream::{Heard, Reply, Upstream},
};

const SEND: &str = "eth_sendRawTransaction";
const LOOK_UP: &str = "eth_getTransactionByHash";
const RAW: &str = "0x02c0ffee";

fn tx_hash() -> String {
    seawall_chain::tx::hash(RAW).unwrap().to_string()
}

/// The script of a node that does that with transactions, and says that of them when asked for the hash.
fn taking(
    send: impl Fn(&Heard) -> Reply + Send + Sync + 'static,
    known: Value,
) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    move |heard| match &*heard.method() {
        SEND => send(heard),
        LOOK_UP => result(heard, &known),
        _ => honest(heard),
    }
}

fn waiting() -> Value {
    json!({"hash": tx_hash(), "blockNumber": null, "blockHash": null})
}

fn mined() -> Value {
    json!({"hash": tx_hash(), "blockNumber": "0x5a", "blockHash": hash(90)})
}

async fn three() -> [Upstream; 3] {
    [node().await, node().await, node().await]
}

async fn house(upstreams: &[Upstream; 3]) -> House {
    let mut pool = chain(&[&upstreams[0], &upstreams[1], &upstreams[2]]);
    pool.deadline = PATIENCE / 2;
    House::new(vec![pool]).await
}

async fn send(house: &House) -> Answer {
    post(house.at, body(1, SEND, &json!([RAW]))).await
}

fn check_accepted(answer: &Answer) {
    assert_eq!(answer.json(), json!({"jsonrpc": "2.0", "id": 1, "result": tx_hash()}));
}

/// How often each has been sent the transaction.
fn sent(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|u| u.calls(SEND).len()).collect()
}

/// On a machine under load it may have gone to one more, nobody having answered for a while.
fn check_sent_once(upstreams: &[Upstream], to_at_least: usize) {
    let sent = sent(upstreams);
    assert!(sent.iter().sum::<usize>() >= to_at_least && sent.iter().all(|n| *n <= 1), "{sent:?}");
}

#[tokio::test]
async fn a_transaction_goes_to_two_upstreams_once_each() {
    let upstreams = three().await;
    let house = house(&upstreams).await;
    check_accepted(&send(&house).await);
    until("it has gone to two", || (sent(&upstreams).iter().sum::<usize>() >= 2).then_some(())).await;
    check_sent_once(&upstreams, 2);
    assert_eq!(upstreams.iter().flat_map(|u| u.calls(LOOK_UP)).count(), 0, "nothing was in doubt");
}

#[tokio::test]
async fn already_known_is_success() {
    let upstreams = three().await;
    for upstream in &upstreams {
        upstream.does(taking(|heard| error(heard, -32000, "already known"), Value::Null));
    }
    let house = house(&upstreams).await;
    check_accepted(&send(&house).await);
}

#[tokio::test]
async fn nonce_too_low_is_success_if_the_chain_has_that_very_transaction() {
    let upstreams = three().await;
    for upstream in &upstreams {
        upstream.does(taking(|heard| error(heard, -32000, "nonce too low"), mined()));
    }
    let house = house(&upstreams).await;
    check_accepted(&send(&house).await);
    check_sent_once(&upstreams, 2);
}

#[tokio::test]
async fn nonce_too_low_is_passed_on_if_nobody_has_that_transaction() {
    let upstreams = three().await;
    for upstream in &upstreams {
        upstream.does(taking(|heard| error(heard, -32000, "nonce too low"), Value::Null));
    }
    let house = house(&upstreams).await;
    let answer = send(&house).await.json();
    assert_eq!(answer["error"], json!({"code": -32000, "message": "nonce too low"}));
}

#[tokio::test]
async fn a_rejection_is_passed_on() {
    let upstreams = three().await;
    for upstream in &upstreams {
        upstream.does(taking(|heard| error(heard, -32000, "insufficient funds for gas"), Value::Null));
    }
    let house = house(&upstreams).await;
    let answer = send(&house).await.json();
    assert_eq!(answer["error"], json!({"code": -32000, "message": "insufficient funds for gas"}));
    check_sent_once(&upstreams, 2);
}

/// One has taken it and said otherwise; it alone has it.
#[tokio::test]
async fn a_transaction_that_was_taken_under_a_502_is_found_by_its_hash() {
    let upstreams = three().await;
    for upstream in &upstreams {
        upstream.does(taking(|_| Reply::status(502), Value::Null));
    }
    upstreams[2].does(taking(|_| Reply::status(502), waiting()));
    let house = house(&upstreams).await;
    check_accepted(&send(&house).await);
    check_sent_once(&upstreams, 3);
}

/// One has taken it and not said so, the other says that its nonce is too low: since the first took it.
#[tokio::test]
async fn a_rejection_beside_an_uncertain_send_is_not_believed() {
    let upstreams = three().await;
    let house = house(&upstreams).await;
    let (taken, low) = (Reply::status(502), |heard: &Heard| error(heard, -32000, "nonce too low"));
    for (i, upstream) in upstreams.iter().enumerate() {
        let taken = taken.clone();
        upstream.does(taking(move |heard| if i == 0 { taken.clone() } else { low(heard) }, waiting()));
    }
    check_accepted(&send(&house).await);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_reported_as_unknown() {
    let upstreams = three().await;
    for upstream in &upstreams {
        upstream.does(taking(|_| Reply::Reset, Value::Null));
    }
    let mut pool = chain(&[&upstreams[0], &upstreams[1], &upstreams[2]]);
    pool.deadline = Duration::from_secs(2);
    let house = House::new(vec![pool]).await;
    let answer = send(&house).await;
    let json = answer.json();
    assert_eq!(answer.status, 502);
    let data = &json["error"]["data"];
    let want = (&json!("SW0305"), &json!("unknown"), &json!(tx_hash()));
    assert_eq!((&data["code"], &data["outcome"], &data["transactionHash"]), want, "{json}");
    assert_eq!(house.counted("unknown_writes"), 1);
    check_sent_once(&upstreams, 3);
}

/// Connections lie open from calls before: that one of them is closed in place of an answer does not tell that
/// the transaction was not taken.
#[tokio::test]
async fn a_transaction_is_not_sent_again_to_who_closed_a_used_connection() {
    let upstreams = three().await;
    let house = house(&upstreams).await;
    let (method, params) = balance_of();
    for _ in 0..60 {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
    for upstream in &upstreams {
        upstream.does(taking(|_| Reply::Raw(Vec::new()), waiting()));
    }
    check_accepted(&send(&house).await);
    check_sent_once(&upstreams, 3);
}

#[tokio::test]
async fn a_transaction_that_reached_nobody_is_reported_as_not_sent() {
    let mut upstreams = three().await;
    let house = house(&upstreams).await;
    for upstream in &mut upstreams {
        upstream.die().await;
    }
    let json = send(&house).await.json();
    let data = &json["error"]["data"];
    assert_eq!((&data["code"], &data["transactionHash"]), (&json!("SW0306"), &json!(tx_hash())), "{json}");
    assert_eq!(house.counted("unknown_writes"), 0);
}

/// Two say nothing; a third is sent it as well.
#[tokio::test]
async fn a_transaction_does_not_wait_for_the_silent() {
    let upstreams = three().await;
    let mut pool = chain(&[&upstreams[0], &upstreams[1], &upstreams[2]]);
    pool.deadline = 2 * PATIENCE;
    pool.attempt_timeout = 2 * PATIENCE;
    pool.upstreams[2].weight = 0;
    let house = House::new(vec![pool]).await;
    for upstream in &upstreams[..2] {
        upstream.does(taking(|_| Reply::Silence, Value::Null));
    }
    check_accepted(&send(&house).await);
    check_sent_once(&upstreams, 3);
}

/// It has no hash to be known by: it goes out once, and nobody else is asked.
#[tokio::test]
async fn a_call_that_may_not_be_repeated_is_not() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    let unsigned = "eth_sendTransaction";
    a.does(crate::node::but(unsigned, |_| Reply::Reset));
    let json = call(house.at, unsigned, json!([{"to": "0x01"}])).await;
    assert_eq!(json["error"]["data"]["code"], "SW0305", "{json}");
    assert_eq!(json["error"]["data"]["tried"][0]["cause"], json!(Cause::Reset), "{json}");
    assert_eq!((a.calls(unsigned).len(), b.calls(unsigned).len()), (1, 0));
}
