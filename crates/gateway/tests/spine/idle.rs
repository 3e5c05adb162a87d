//! Clients that take for ever, and clients that only seem to.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    client::{Wire, balance_of, body, on_the_wire},
    house::{House, chain, limits, until},
    node::{but, honest, node},
    upstream::{Gate, Reply, Upstream},
};

const IDLE: Duration = Duration::from_millis(400);
/// Between two bytes of one who takes for ever: never silent for as long as the limit.
const DRIBBLE: Duration = Duration::from_millis(50);

async fn house(a: &Upstream) -> House {
    let mut limits = limits();
    limits.idle = IDLE;
    House::with(limits, vec![chain(&[a])]).await
}

fn chain_id() -> String {
    on_the_wire(&body(1, "eth_chainId", &json!([])))
}

/// Says a byte at a time until the gateway has had enough of it.
async fn dribble(wire: Wire, byte: &'static str) -> String {
    let (read, mut write) = wire.0.into_split();
    let dribbling = tokio::spawn(async move {
        while write.write_all(byte.as_bytes()).await.is_ok() {
            tokio::time::sleep(DRIBBLE).await;
        }
        write
    });
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(crate::client::PATIENCE, async {
        let mut read = read;
        while let Ok(1..) = tokio::io::AsyncReadExt::read_buf(&mut read, &mut heard).await {}
    });
    ended.await.expect("the gateway closes the connection");
    dribbling.abort();
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let a = node().await;
    let house = house(&a).await;
    let mut wire = Wire::to(house.at).await;
    assert_eq!(wire.hear_to_the_end().await, "");
}

#[tokio::test]
async fn a_connection_that_falls_silent_after_an_answer_is_closed() {
    let a = node().await;
    let house = house(&a).await;
    let mut wire = Wire::to(house.at).await;
    wire.say(chain_id()).await.unwrap();
    wire.hear("\"0x7\"}").await;
    assert_eq!(wire.hear_to_the_end().await, "");
}

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off() {
    let a = node().await;
    let house = house(&a).await;
    let mut wire = Wire::to(house.at).await;
    wire.say("POST /chain HTTP/1.1\r\nx-long: ").await.unwrap();
    assert_eq!(dribble(wire, "x").await, "");
}

#[tokio::test]
async fn a_first_line_that_dribbles_is_cut_off() {
    let a = node().await;
    let house = house(&a).await;
    let wire = Wire::to(house.at).await;
    assert_eq!(dribble(wire, "P").await, "");
}

#[tokio::test]
async fn a_body_that_dribbles_is_cut_off() {
    let a = node().await;
    let house = house(&a).await;
    let mut wire = Wire::to(house.at).await;
    wire.say("POST /chain HTTP/1.1\r\nhost: gateway\r\ncontent-length: 100000\r\n\r\n{").await.unwrap();
    assert_eq!(dribble(wire, " ").await, "");
    assert!(a.heard().iter().all(|heard| heard.method() != "eth_call"));
}

#[tokio::test]
async fn a_chunked_body_that_dribbles_is_cut_off() {
    let a = node().await;
    let house = house(&a).await;
    let mut wire = Wire::to(house.at).await;
    wire.say("POST /chain HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    assert_eq!(dribble(wire, "1\r\n \r\n").await, "");
}

/// The upstream takes four times as long as a connection may be idle.
#[tokio::test]
async fn a_call_that_takes_longer_than_the_limit_is_answered() {
    let a = node().await;
    let (method, params) = balance_of();
    a.does(but(method, |heard| Reply::Late(4 * IDLE, Box::new(honest(heard)))));
    let house = house(&a).await;
    let mut wire = Wire::to(house.at).await;
    wire.say(on_the_wire(&body(1, method, &params))).await.unwrap();
    assert!(wire.hear("}").await.contains("\"0x64\""));
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_its_answer() {
    let gate = Gate::shut();
    let a = node().await;
    let (method, params) = balance_of();
    let shut = gate.clone();
    a.does(but(method, move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = House::new(vec![chain(&[&a])]).await;
    let mut wire = Wire::to(house.at).await;
    wire.say(on_the_wire(&body(1, method, &params))).await.unwrap();
    wire.0.shutdown().await.unwrap();
    until("it is in flight", || (!a.calls(method).is_empty()).then_some(())).await;
    gate.open();
    let heard = wire.hear_to_the_end().await;
    assert!(heard.starts_with("HTTP/1.1 200 ") && heard.contains("\"0x64\""), "{heard}");
}
