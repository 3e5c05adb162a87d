//! Clients of HTTP/2 that mean harm, frame by frame: floods that cost the sender little and a server much, and
//! requests that would be another thing once written as HTTP/1.1.
//!
//! Each ends with the connection or the stream refused; others are served meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    client::{Wire, body, call},
    house::{House, api, chain, until},
    node::{BALANCE, but, honest, node},
    upstream::{Gate, Reply, Upstream},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Header fields without compression (RFC 7541, section 6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127);
        [&[text.len() as u8], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn head(path: &str) -> Vec<u8> {
    fields(&[(":method", "POST"), (":scheme", "http"), (":authority", "gateway"), (":path", path)])
}

/// A connection that has said hello.
async fn hello(house: &House) -> Wire {
    let mut wire = Wire::to(house.at).await;
    wire.say([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    wire
}

/// The frames that came until the connection's end: kind, stream, payload.
async fn frames(wire: &mut Wire) -> Vec<(u8, u32, Vec<u8>)> {
    let bytes = wire.hear_to_the_end_raw().await;
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        let stream = u32::from_be_bytes([rest[5], rest[6], rest[7], rest[8]]);
        let end = (9 + length).min(rest.len());
        frames.push((rest[3], stream, rest[9..end].to_vec()));
        rest = &rest[end..];
    }
    frames
}

/// What was asked of the upstream besides its polls.
fn asked(upstream: &Upstream) -> Vec<String> {
    let polls = |method: &str| ["eth_chainId", "eth_getBlockByNumber"].contains(&method);
    upstream.heard().iter().map(|heard| heard.method()).filter(|method| !polls(method)).collect()
}

/// A gateway that soon ends a connection on which nothing happens.
async fn impatient(pools: Vec<seawall_gateway::estate::PoolSection>) -> House {
    let mut limits = crate::house::limits();
    limits.idle = Duration::from_millis(400);
    House::with(limits, pools).await
}

async fn is_served(house: &House) {
    let (method, params) = crate::client::balance_of();
    assert_eq!(call(house.at, method, params).await["result"], BALANCE, "others are served");
}

/// CVE-2023-44487: requests that are reset as soon as they are made cost their sender nothing and are never too
/// many at once.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let gate = Gate::shut();
    let a = node().await;
    let shut = gate.clone();
    a.does(but("eth_call", move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = House::new(vec![chain(&[&a])]).await;
    let mut wire = hello(&house).await;
    let request = body(1, "eth_call", &json!([{}, "latest"]));
    for n in 0..20_000u32 {
        let stream = 2 * n + 1;
        let flood = [
            frame(HEADERS, END_HEADERS, stream, &head("/chain")),
            frame(DATA, END_STREAM, stream, request.as_bytes()),
            frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()),
        ];
        if wire.say(flood.concat()).await.is_err() {
            break;
        }
    }
    let told = frames(&mut wire).await;
    drop(told);
    is_served(&house).await;
    // Those that were begun before the end are few beside those that were sent.
    let begun = asked(&a).len();
    assert!(begun < 1_000, "{begun} calls were begun");
    gate.open();
}

/// As above, but each is given the time to reach the upstream.
#[tokio::test]
async fn patient_resets_end_the_connection() {
    let gate = Gate::shut();
    let a = node().await;
    let shut = gate.clone();
    a.does(but("eth_call", move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = House::new(vec![chain(&[&a])]).await;
    let mut wire = hello(&house).await;
    let request = body(1, "eth_call", &json!([{}, "latest"]));
    let mut ended = false;
    for n in 0..2_000u32 {
        let stream = 2 * n + 1;
        let begin = [
            frame(HEADERS, END_HEADERS, stream, &head("/chain")),
            frame(DATA, END_STREAM, stream, request.as_bytes()),
        ];
        let before = a.calls("eth_call").len();
        if wire.say(begin.concat()).await.is_err() {
            ended = true;
            break;
        }
        let begun = timeout(Duration::from_secs(2), async {
            while a.calls("eth_call").len() == before {
                tokio::task::yield_now().await;
            }
        });
        if begun.await.is_err() {
            ended = true;
            break;
        }
        if wire.say(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())).await.is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended, "two thousand calls were begun for nothing");
    gate.open();
    is_served(&house).await;
}

/// CVE-2024-27316 and its kin: a head that never ends.
#[tokio::test]
async fn a_head_of_endless_continuations_is_refused() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let mut wire = hello(&house).await;
    wire.say(frame(HEADERS, 0, 1, &head("/chain"))).await.unwrap();
    let more = fields(&[("x-more", &"y".repeat(100))]).repeat(100);
    for _ in 0..10_000 {
        if wire.say(frame(CONTINUATION, 0, 1, &more)).await.is_err() {
            break;
        }
    }
    let told = frames(&mut wire).await;
    assert!(told.iter().any(|(kind, ..)| *kind == GOAWAY) || !told.iter().any(|(kind, ..)| *kind == HEADERS));
    assert!(asked(&a).is_empty());
    is_served(&house).await;
}

/// As many empty ones, which no limit on the size of a head counts.
#[tokio::test]
async fn a_head_of_empty_continuations_is_refused() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let mut wire = hello(&house).await;
    wire.say(frame(HEADERS, 0, 1, &head("/chain"))).await.unwrap();
    for _ in 0..100 {
        if wire.say(frame(CONTINUATION, 0, 1, &[]).repeat(1_000)).await.is_err() {
            break;
        }
    }
    frames(&mut wire).await;
    assert!(asked(&a).is_empty());
    is_served(&house).await;
}

/// Pings and settings must be answered. Whoever does not read the answers is not read from either: what waits
/// to be written is bounded.
#[tokio::test]
async fn floods_of_what_must_be_answered_stop_at_the_socket() {
    let a = node().await;
    let mut limits = crate::house::limits();
    limits.idle = Duration::from_secs(2);
    let house = House::with(limits, vec![chain(&[&a])]).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        let mut wire = hello(&house).await;
        let much = flood.repeat(50_000);
        // Everything is written only if somebody reads it, and nobody reads the answers.
        let _ = timeout(Duration::from_secs(20), async {
            for _ in 0..1_000 {
                if wire.0.write_all(&much).await.is_err() {
                    return;
                }
            }
        })
        .await;
        is_served(&house).await;
        frames(&mut wire).await;
    }
    until("the floods are cut off", || (house.gauge("connections") <= 1.0).then_some(())).await;
}

/// A table of one large field, named over and over.
#[tokio::test]
async fn a_head_that_unfolds_is_refused() {
    let a = node().await;
    let house = impatient(vec![chain(&[&a])]).await;
    let mut wire = hello(&house).await;
    // With indexing (RFC 7541, section 6.2.1), then by its index, the first of the dynamic table.
    let name = [&[0x40, 1][..], b"x"].concat();
    let value = [&[0x7f, 0xa1, 0x1e][..], &[b'v'; 4_000]].concat();
    let bomb = [head("/chain"), name, value, vec![0xbe; 8_000]].concat();
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await.unwrap();
    wire.say(frame(GOAWAY, 0, 0, &[0; 8])).await.unwrap();
    let told = frames(&mut wire).await;
    // 431 (RFC 6585), or the stream or connection is reset.
    assert!(
        !told.iter().any(|(kind, _, payload)| *kind == DATA && payload.starts_with(b"{\"jsonrpc")),
        "{told:?}"
    );
    assert!(asked(&a).is_empty());
}

/// A request whose parts would say something else in HTTP/1.1, or nothing at all.
#[tokio::test]
async fn heads_that_would_smuggle_are_refused() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let house = impatient(vec![chain(&[&a]), api(&[&b])]).await;
    let usual = [(":method", "POST"), (":scheme", "http"), (":authority", "gateway")];
    let with = |more: &[(&'static str, &'static str)]| [&usual[..], more].concat();
    let heads: Vec<Vec<(&str, &str)>> = vec![
        with(&[(":path", "/chain"), ("transfer-encoding", "chunked")]),
        with(&[(":path", "/chain"), ("connection", "close")]),
        with(&[(":path", "/chain"), ("keep-alive", "1")]),
        with(&[(":path", "/chain"), ("upgrade", "h2c")]),
        with(&[(":path", "/chain"), ("te", "gzip")]),
        with(&[(":path", "/chain"), ("content-length", "1")]),
        with(&[(":path", "/chain"), ("content-length", "400")]),
        with(&[(":path", "/chain"), ("content-length", "+1")]),
        with(&[(":path", "/chain"), ("x", "a\r\nx-smuggled: 1")]),
        with(&[(":path", "/chain"), ("x\r\nx-smuggled", "1")]),
        with(&[(":path", "/chain"), ("X-Upper", "1")]),
        with(&[(":path", "/chain"), ("x y", "1")]),
        with(&[(":path", "/chain"), ("", "1")]),
        with(&[(":path", "/chain"), (":path", "/api")]),
        with(&[(":path", "/chain"), (":method", "GET")]),
        with(&[(":path", "/chain HTTP/1.1\r\nhost: other\r\n\r\n")]),
        with(&[(":path", "chain")]),
        with(&[(":path", "")]),
        with(&[]),
        with(&[("x", "1"), (":path", "/chain")]),
        with(&[(":path", "/chain"), (":unknown", "1")]),
        with(&[(":path", "/chain"), ("host", "other")]),
        with(&[(":path", "/chain"), ("host", "gateway"), ("host", "other")]),
        vec![
            (":method", "POST /api HTTP/1.1"),
            (":scheme", "http"),
            (":authority", "g"),
            (":path", "/chain"),
        ],
        vec![(":method", "CONNECT"), (":authority", "gateway:443")],
        vec![(":method", "POST"), (":scheme", "http"), (":authority", "user@gateway"), (":path", "/chain")],
    ];
    let payload = body(1, "eth_call", &json!([{}, "latest"]));
    for head in heads {
        let mut wire = hello(&house).await;
        let said = [
            frame(HEADERS, END_HEADERS, 1, &fields(&head)),
            frame(DATA, END_STREAM, 1, payload.as_bytes()),
            frame(GOAWAY, 0, 0, &[0; 8]),
        ];
        let _ = wire.say(said.concat()).await;
        // The gateway ends the connection by itself, or once it is asked to and its streams are over.
        let told = frames(&mut wire).await;
        let answered =
            told.iter().any(|(kind, _, data)| *kind == DATA && data.windows(8).any(|w| w == b"\"result\""));
        assert!(!answered, "{head:?}");
    }
    assert_eq!((asked(&a), asked(&b)), (Vec::<String>::new(), Vec::new()));
}
