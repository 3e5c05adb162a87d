//! A reload: what was learned stays, and what is in flight goes on.

use std::time::Duration;

use seawall_model::Cause;
use serde_json::json;

use crate::{
    client::{balance_of, body, call, post, request, send},
    house::{House, api, chain, first_preferred, until},
    node::{BALANCE, but, honest, node},
    upstream::{Gate, Reply, Upstream},
};

#[tokio::test]
async fn ejections_outlive_a_reload() {
    let (a, b, c) = (node().await, node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    let (method, params) = balance_of();
    a.does(but(method, |_| Reply::Whole(429, "retry-after: 100\r\n".into(), Vec::new())));
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    assert_eq!(house.ejected(0).await, Cause::RateLimited);
    let mut section = house.section.clone();
    // Another upstream, and other times: neither has to do with what is known of the first.
    section.pools = vec![first_preferred(chain(&[&a, &b, &c]))];
    section.pools[0].deadline = Duration::from_secs(20);
    house.gateway.reload(section).unwrap();
    let breakers = house.view(0, 0).breakers;
    let ejected: Vec<_> =
        breakers.iter().filter(|b| b.state == "ejected").map(|b| (b.class, b.cause)).collect();
    assert_eq!(ejected, [("state", Some(Cause::RateLimited))]);
    for _ in 0..20 {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
    assert_eq!(a.calls(method).len(), 1, "it is still left alone");
}

#[tokio::test]
async fn a_request_in_flight_outlives_a_reload() {
    let gate = Gate::shut();
    let (a, b) = (node().await, node().await);
    let (method, params) = balance_of();
    let shut = gate.clone();
    a.does(but(method, move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = House::new(vec![chain(&[&a])]).await;
    let asked = tokio::spawn(call(house.at, method, params.clone()));
    until("it is in flight", || (!a.calls(method).is_empty()).then_some(())).await;
    // The upstream it is at is gone from the estate.
    let mut section = house.section.clone();
    section.pools = vec![chain(&[&b])];
    section.pools[0].upstreams[0].name = seawall_model::Name::new("new").unwrap();
    house.gateway.reload(section).unwrap();
    let ready = || house.gateway.is_ready().then_some(());
    until("the new upstream is known", ready).await;
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
    assert_eq!(b.calls(method).len(), 1);
    gate.open();
    assert_eq!(asked.await.unwrap()["result"], BALANCE);
}

#[tokio::test]
async fn pools_come_and_go_with_a_reload() {
    let a = node().await;
    let b = Upstream::new(|_| Reply::Whole(200, String::new(), b"hello".to_vec())).await;
    let house = House::new(vec![chain(&[&a])]).await;
    let hello = || request("GET", "/api/x", "");
    assert_eq!(send(house.at, hello()).await.unwrap().status, 404);
    let mut section = house.section.clone();
    section.pools = vec![api(&[&b])];
    house.gateway.reload(section.clone()).unwrap();
    assert_eq!(&send(house.at, hello()).await.unwrap().body[..], b"hello");
    assert_eq!(post(house.at, body(1, "eth_chainId", &json!([]))).await.status, 404);
    // What is bound at the start stays.
    section.workers += 1;
    assert!(house.gateway.reload(section).is_err());
    assert_eq!(&send(house.at, hello()).await.unwrap().body[..], b"hello");
}
