//! What is told of a request is what is done with it.

use http::StatusCode;
use serde_json::json;

use crate::{
    client::{balance_of, body, call, post, request, send},
    house::{House, api, chain, first_preferred, until},
    node::{BALANCE, HEAD, but, hash, node},
    upstream::Reply,
};

#[tokio::test]
async fn the_order_told_is_the_order_asked_and_every_other_has_a_reason() {
    let (a, b, c, d) = (node().await, node().await, node().await, node().await);
    let mut pool = chain(&[&a, &b, &c, &d]);
    pool.upstreams[1].tier = 1;
    pool.upstreams[2].tier = 2;
    pool.upstreams[3].tier = 2;
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    d.does(|_| Reply::Reset);
    until("one is ejected", || house.ejections(3).first().copied()).await;
    assert!(house.gateway.cordon("chain", "c", true).unwrap());
    let request = body(1, method, &params);
    let told = house.gateway.explain(None, request.as_bytes()).unwrap();
    let explained = &told.calls[0];
    assert_eq!((explained.class.as_str(), told.route.as_str()), ("state", "/chain"));
    // Where the others have failed, one that is ejected is better than nobody.
    assert_eq!(explained.order, ["a", "b", "d"]);
    assert_eq!(explained.reads, Some(format!("the agreed block {HEAD} ({})", hash(HEAD))));
    assert!(explained.rewritten.as_ref().unwrap().contains(&hash(HEAD)), "{:?}", explained.rewritten);
    let why: Vec<_> = explained.upstreams.iter().map(|u| (u.may, u.why.join("; "))).collect();
    assert_eq!(why[0], (true, String::new()));
    assert_eq!(why[1], (true, "of a dearer tier: asked on demand".into()));
    assert_eq!(why[2], (false, "an operator took it out of service".into()));
    assert!(!why[3].0 && why[3].1.contains("ejected"), "{why:?}");
    // And so it is done.
    a.does(but(method, |_| Reply::Reset));
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    let heard = [&a, &b, &c]
        .map(|node| node.calls(method).iter().filter(|heard| heard.call()["params"][0] == params[0]).count());
    assert_eq!(heard, [1, 1, 0]);
}

#[tokio::test]
async fn what_the_gateway_answers_itself_is_told_and_nothing_is_sent() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    let told = house.gateway.explain(Some("/chain"), body(1, "eth_chainId", &json!([])).as_bytes()).unwrap();
    assert!(told.calls[0].answered.as_ref().unwrap().contains("0x7"));
    let batch =
        format!("[{},{}]", body(1, "eth_call", &json!([{}, "latest"])), body(2, "eth_gasPrice", &json!([])));
    assert_eq!(house.gateway.explain(Some("chain"), batch.as_bytes()).unwrap().calls.len(), 2);
    assert!(a.calls("eth_call").is_empty() && b.calls("eth_call").is_empty());
    assert!(house.gateway.explain(Some("other"), b"{}").is_err());
    assert!(house.gateway.explain(None, b"{}").is_err());
}

#[tokio::test]
async fn a_pool_that_observes_decides_and_asks_nobody() {
    let (a, b) = (node().await, node().await);
    let (mut pool, mut other) = (chain(&[&a, &b]), api(&[&a]));
    (pool.observes, other.observes) = (true, true);
    let house = House::new(vec![first_preferred(pool), other]).await;
    let (method, params) = balance_of();
    let told = call(house.at, method, params.clone()).await;
    assert_eq!(told["calls"][0]["order"], json!(["a", "b"]), "{told}");
    let batch = format!("[{},{}]", body(1, "eth_chainId", &json!([])), body(2, method, &params));
    let told = post(house.at, batch).await.json();
    assert!(told["calls"][0]["answered"].is_string() && told["calls"][1]["answered"].is_null(), "{told}");
    let raw = body(1, "eth_sendRawTransaction", &json!(["0x02"]));
    assert_eq!(post(house.at, raw).await.status, StatusCode::OK);
    let bad = post(house.at, "[").await;
    assert_eq!(
        (bad.status, bad.json()["error"]["message"].to_string().contains("SW0354")),
        (StatusCode::BAD_REQUEST, true)
    );
    assert_eq!(send(house.at, request("POST", "/api/orders", "{}")).await.unwrap().status, StatusCode::OK);
    for node in [&a, &b] {
        assert!(node.calls(method).is_empty() && node.calls("eth_sendRawTransaction").is_empty());
    }
    let observed = |pool: &str, by: &str| {
        house.metric(&format!("seawall_gateway_observed_total{{pool=\"{pool}\",by=\"{by}\"}}"))
    };
    assert_eq!((observed("chain", "a"), observed("chain", "gateway"), observed("api", "a")), (3.0, 1.0, 1.0));
    assert_eq!(observed("chain", "nobody"), 0.0);
}
