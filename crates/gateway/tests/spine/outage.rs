//! One, some and all upstreams down.

use std::time::{Duration, Instant};

use seawall_model::Cause;
use serde_json::{Value, json};

use crate::{
    client::{balance_of, body, call, post},
    house::{House, chain, first_preferred, until},
    node::{BALANCE, but, honest, node},
    upstream::Reply,
};

/// At one request a second.
const PACE: Duration = Duration::from_secs(1);
/// The estate's default.
const HANG: Duration = Duration::from_secs(1);
/// A hang is found out within this.
const FOUND_OUT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_hang_is_found_out_within_two_seconds_at_one_request_a_second() {
    let (a, b) = (node().await, node().await);
    let mut pool = first_preferred(chain(&[&a, &b]));
    pool.hang = HANG;
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    // Connections are open and warm, as they would be.
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    a.does(|_| Reply::Silence);
    let (began, at) = (Instant::now(), house.at);
    let asking = tokio::spawn(async move {
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            assert_eq!(call(at, method, params.clone()).await["result"], BALANCE);
        }
    });
    until("it is ejected", || house.ejections(0).first().copied()).await;
    assert!(began.elapsed() < FOUND_OUT, "found out after {:?}", began.elapsed());
    assert_eq!(house.ejections(0)[0], Cause::Hang);
    assert!(!asking.is_finished(), "every request was answered");
    asking.abort();
}

#[tokio::test]
async fn one_that_hung_and_is_back_serves_again() {
    let (a, b) = (node().await, node().await);
    let mut pool = first_preferred(chain(&[&a, &b]));
    pool.hang = HANG;
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    a.does(|_| Reply::Silence);
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    until("it is ejected", || house.ejections(0).first().copied()).await;
    a.does(honest);
    let serves = || {
        let view = house.view(0, 0);
        (view.fresh && view.breakers.iter().all(|b| b.state == "admitting")).then_some(())
    };
    until("it is admitted again", serves).await;
    let before = a.calls(method).len();
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
    until("it is asked first again", || (a.calls(method).len() > before).then_some(())).await;
}

/// Every error of the gateway's own names each upstream, what is wrong with it and since when.
fn check_named(answer: &Value, code: &str) {
    let error = &answer["error"];
    assert_eq!(error["data"]["code"], code, "{answer}");
    assert_eq!(error["data"]["pool"], "chain", "{answer}");
    let upstreams = error["data"]["upstreams"].as_array().unwrap();
    assert_eq!(upstreams.iter().map(|u| &u["upstream"]).collect::<Vec<_>>(), ["a", "b"], "{answer}");
    assert!(error["message"].as_str().unwrap().starts_with(code), "{answer}");
}

#[tokio::test]
async fn with_all_upstreams_down_the_refusal_is_fast_and_says_what_is_down() {
    let (mut a, mut b) = (node().await, node().await);
    let mut pool = chain(&[&a, &b]);
    pool.deadline = Duration::from_secs(60);
    pool.attempt_timeout = Duration::from_secs(60);
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    a.die().await;
    b.die().await;
    // At first they are tried in vain.
    let answer = post(house.at, body(9, method, &params)).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["id"], 9);
    check_named(&answer.json(), "SW0302");
    assert_eq!(answer.json()["error"]["data"]["tried"][0]["cause"], "connect");
    // Once their polls have failed long enough, nobody is.
    let mut since = Vec::new();
    while since.is_empty() {
        let began = Instant::now();
        let answer = post(house.at, body(9, method, &params)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "at once, not at the deadline");
        let json = answer.json();
        if json["error"]["data"]["code"] != "SW0301" {
            check_named(&json, "SW0302");
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
        check_named(&json, "SW0301");
        let upstreams = json["error"]["data"]["upstreams"].as_array().unwrap();
        since = upstreams.iter().map(|u| u["since"].as_str().unwrap().to_owned()).collect();
        let message = json["error"]["message"].as_str().unwrap();
        for (name, since) in ["a", "b"].iter().zip(&since) {
            assert!(message.contains(&format!("since {since}")) && message.contains(name), "{message}");
        }
    }
}

#[tokio::test]
async fn what_the_gateway_knows_by_itself_is_told_with_all_upstreams_down() {
    let mut a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    a.die().await;
    assert_eq!(call(house.at, "eth_chainId", json!([])).await["result"], "0x7");
}

#[tokio::test]
async fn a_request_that_fails_everywhere_ejects_nobody() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    for upstream in [&a, &b] {
        upstream.does(but("eth_call", |_| Reply::status(500)));
    }
    for _ in 0..20 {
        let answer = call(house.at, "eth_call", json!([{"data": "0xdeadbeef"}, "latest"])).await;
        check_named(&answer, "SW0302");
        assert_eq!(answer["error"]["data"]["tried"][0]["cause"], "http_status", "{answer}");
    }
    assert_eq!((house.ejections(0), house.ejections(1)), (vec![], vec![]));
    let (method, params) = balance_of();
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
}

/// Every first attempt on it fails: enough to eject any upstream that is not the last.
#[tokio::test]
async fn the_last_healthy_upstream_is_never_ejected() {
    let (mut a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    a.die().await;
    until("the dead one is ejected", || house.ejections(0).first().copied()).await;
    let failing = std::sync::atomic::AtomicBool::new(true);
    let (method, params) = balance_of();
    b.does(but(method, move |heard| match failing.fetch_xor(true, std::sync::atomic::Ordering::Relaxed) {
        true => Reply::status(500),
        false => honest(heard),
    }));
    for _ in 0..20 {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
    assert!(house.view(0, 1).failures >= 20, "it failed every other time");
    assert!(house.ejections(1).is_empty());
}

#[tokio::test]
async fn an_error_that_all_tell_alike_is_given_in_their_words_and_counts_as_a_failure() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    let internal = json!({"code": -32603, "message": "no such opcode", "data": "0x08"});
    for upstream in [&a, &b] {
        let error = internal.clone();
        upstream.does(but("eth_call", move |heard| {
            Reply::json(&json!({"jsonrpc": "2.0", "id": heard.call()["id"], "error": error}))
        }));
    }
    let params = json!([{"data": "0xdeadbeef"}, "latest"]);
    let answer = post(house.at, body(4, "eth_call", &params)).await;
    assert_eq!(answer.status, 200);
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["message"]), (&internal["code"], &internal["message"]), "{error}");
    assert_eq!(
        (&error["data"]["code"], &error["data"]["said"]),
        (&json!("SW0302"), &internal["data"]),
        "{error}"
    );
    assert_eq!(house.ejections(0), vec![]);
    // One does not say it.
    a.does(but("eth_call", |_| Reply::status(500)));
    let answer = post(house.at, body(5, "eth_call", &params)).await;
    assert_eq!(answer.status, 502);
    check_named(&answer.json(), "SW0302");
}
