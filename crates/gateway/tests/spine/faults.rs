//! An upstream that fails: clients get the honest answer of another, and its breaker says why.

use std::time::Duration;

use seawall_model::Cause;
use serde_json::{Value, json};

use crate::{
    client::{balance_of, call},
    house::{House, chain, first_preferred},
    node::{BALANCE, but, error, honest, node, result},
    upstream::{Heard, Reply, Then},
};

/// Calls after which an upstream that always fails must have been found out. Each is answered honestly.
const CALLS: usize = 30;

/// Of two upstreams the first, preferred one does that: every call gets `want`, and the first one is ejected
/// for `cause`.
async fn check_call(
    (method, params): (&'static str, Value),
    want: Value,
    cause: Cause,
    bad: impl Fn(&Heard) -> Reply + Send + Sync + 'static,
) {
    let (a, b) = (node().await, node().await);
    let mut pool = first_preferred(chain(&[&a, &b]));
    pool.attempt_timeout = Duration::from_secs(1);
    let house = House::new(vec![pool]).await;
    a.does(bad);
    for _ in 0..CALLS {
        assert_eq!(call(house.at, method, params.clone()).await["result"], want, "{cause}");
        if !house.ejections(0).is_empty() {
            break;
        }
    }
    // One that never answers is found out when its time is over.
    assert_eq!(house.ejected(0).await, cause);
    assert_eq!(call(house.at, method, params).await["result"], want, "{cause}");
    assert!(house.ejections(1).is_empty(), "the honest one serves on");
}

/// As [`check_call`], for a script of calls alone: its polls are answered honestly.
async fn check(cause: Cause, reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static) {
    check_call(balance_of(), BALANCE.into(), cause, but(balance_of().0, reply)).await;
}

#[tokio::test]
async fn one_that_resets() {
    check(Cause::Reset, |_| Reply::Reset).await;
}

#[tokio::test]
async fn one_that_closes_without_a_word() {
    check(Cause::Reset, |_| Reply::Raw(Vec::new())).await;
}

#[tokio::test]
async fn one_that_never_answers_calls() {
    check(Cause::Timeout, |_| Reply::Silence).await;
}

#[tokio::test]
async fn one_that_answers_500() {
    check(Cause::HttpStatus, |_| Reply::status(500)).await;
}

#[tokio::test]
async fn one_that_answers_401() {
    check(Cause::Unauthorized, |_| Reply::status(401)).await;
}

#[tokio::test]
async fn one_that_is_not_http() {
    check(Cause::Malformed, |_| Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec())).await;
}

#[tokio::test]
async fn one_that_answers_garbage() {
    check(Cause::Malformed, |_| Reply::Whole(200, String::new(), b"<html>welcome</html>".to_vec())).await;
}

#[tokio::test]
async fn one_whose_json_ends_early() {
    check(Cause::Truncated, |_| {
        Reply::Whole(200, String::new(), br#"{"jsonrpc":"2.0","id":1,"res"#.to_vec())
    })
    .await;
}

#[tokio::test]
async fn one_whose_body_ends_early() {
    let whole = br#"{"jsonrpc":"2.0","id":1,"result":"0x0"}"#;
    check(Cause::Truncated, |_| Reply::Part(whole.to_vec(), whole.len() - 5, Then::Close)).await;
}

#[tokio::test]
async fn one_that_answers_another_call() {
    check(Cause::WrongId, |_| Reply::json(&json!({"jsonrpc": "2.0", "id": 4711, "result": "0x0"}))).await;
}

#[tokio::test]
async fn one_that_says_null_where_there_must_be_something() {
    check(Cause::Missing, |heard| result(heard, &Value::Null)).await;
}

#[tokio::test]
async fn one_that_says_null_of_a_known_block() {
    let known = json!(["0x32", true]);
    let want = json!({
        "number": "0x32",
        "hash": crate::node::hash(50),
        "parentHash": crate::node::hash(49),
        "timestamp": "0x6553f100",
        "transactions": [],
    });
    let nulls = but("eth_getBlockByNumber", |heard| result(heard, &Value::Null));
    check_call(("eth_getBlockByNumber", known), want, Cause::Missing, nulls).await;
}

#[tokio::test]
async fn one_that_shows_another_block() {
    let agreed = json!(["latest", true]);
    let block = |hash: String| json!({"number": "0x64", "hash": hash, "transactions": []});
    let want = json!({
        "number": "0x64",
        "hash": crate::node::hash(100),
        "parentHash": crate::node::hash(99),
        "timestamp": "0x6553f100",
        "transactions": [],
    });
    let forked = but("eth_getBlockByNumber", move |heard| result(heard, &block(crate::node::hash(4_711))));
    check_call(("eth_getBlockByNumber", agreed), want, Cause::Forked, forked).await;
}

#[tokio::test]
async fn one_that_tells_of_an_internal_error() {
    check(Cause::Unwell, |heard| error(heard, -32603, "internal error")).await;
}

#[tokio::test]
async fn one_that_is_rate_limited_within_a_200() {
    check(Cause::RateLimited, |heard| error(heard, -32005, "rate limit exceeded")).await;
}

#[tokio::test]
async fn one_whose_port_is_closed() {
    let (mut a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    a.die().await;
    let (method, params) = balance_of();
    for _ in 0..CALLS {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
    assert_eq!(house.ejected(0).await, Cause::Connect);
}

/// What must not take effect twice goes elsewhere too, as long as it has reached nobody.
#[tokio::test]
async fn one_whose_port_is_closed_costs_no_call_that_must_not_be_repeated() {
    let (mut a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    b.does(but("evm_mine", |heard| result(heard, &json!("0x0"))));
    a.die().await;
    assert_eq!(call(house.at, "evm_mine", json!([])).await["result"], "0x0");
}

#[tokio::test]
async fn one_that_asks_to_be_left_alone_is() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    let (method, params) = balance_of();
    a.does(but(method, |_| Reply::Whole(429, "retry-after: 60\r\n".into(), Vec::new())));
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    assert_eq!(house.ejected(0).await, Cause::RateLimited, "once was enough");
    for _ in 0..CALLS {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
    assert_eq!(a.calls(method).len(), 1);
}

/// Without a budget no call is tried elsewhere; the one that fails is ejected all the same, and then none fails.
#[tokio::test]
async fn one_that_fails_is_found_out_with_the_budget_spent() {
    let (a, b) = (node().await, node().await);
    let mut pool = first_preferred(chain(&[&a, &b]));
    (pool.budget_share, pool.budget_floor) = (0.0, 0);
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    a.does(but(method, |_| Reply::status(500)));
    for _ in 0..CALLS {
        let answer = call(house.at, method, params.clone()).await;
        assert!(answer["result"] == BALANCE || answer["error"]["data"]["code"] == "SW0304", "{answer}");
    }
    assert_eq!(house.ejected(0).await, Cause::HttpStatus);
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
}

/// What is the caller's own fault goes back as it is, and is held against nobody.
#[tokio::test]
async fn an_error_of_the_callers_is_passed_on() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    for upstream in [&a, &b] {
        upstream.does(but("eth_call", |heard| error(heard, 3, "execution reverted: no")));
    }
    for _ in 0..CALLS {
        let answer = call(house.at, "eth_call", json!([{}, "latest"])).await;
        assert_eq!(answer["error"], json!({"code": 3, "message": "execution reverted: no"}));
    }
    assert_eq!((house.ejections(0), house.ejections(1)), (vec![], vec![]));
}

/// Asked to be left alone, it is, however slow the others are.
#[tokio::test]
async fn a_hedge_does_not_go_to_one_that_is_ejected() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    let (method, params) = balance_of();
    a.does(but(method, |_| Reply::Whole(429, "retry-after: 100\r\n".into(), Vec::new())));
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    assert_eq!(house.ejected(0).await, Cause::RateLimited);
    // Later than a hedge goes out.
    b.does(but(method, |heard| Reply::Late(Duration::from_secs(2), Box::new(honest(heard)))));
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
    assert_eq!(a.calls(method).len(), 1);
}
