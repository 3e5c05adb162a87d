//! HTTP/2 with prior knowledge.

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    client::body,
    house::{House, chain, until},
    node::{but, node, result},
    upstream::{Gate, Reply},
};

const STREAMS: u64 = 100;

#[tokio::test]
async fn a_hundred_streams_of_one_connection_are_answered_at_once() {
    let gate = Gate::shut();
    let (a, b) = (node().await, node().await);
    for upstream in [&a, &b] {
        let gate = gate.clone();
        upstream.does(but("eth_call", move |heard| {
            let echo = heard.call()["params"][0]["data"].clone();
            Reply::Behind(gate.clone(), Box::new(result(heard, &echo)))
        }));
    }
    let house = House::new(vec![chain(&[&a, &b])]).await;
    let stream = TcpStream::connect(house.at).await.unwrap();
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driven = tokio::spawn(connection);
    let mut streams = JoinSet::new();
    for n in 0..STREAMS {
        let mut send = send.clone();
        streams.spawn(async move {
            let call = body(n, "eth_call", &json!([{"data": format!("{n:#x}")}, "latest"]));
            let request = Request::post("http://gateway/chain").body(Full::new(Bytes::from(call))).unwrap();
            let response = send.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let answer = response.into_body().collect().await.unwrap().to_bytes();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer, json!({"jsonrpc": "2.0", "id": n, "result": format!("{n:#x}")}));
        });
    }
    // None is answered before all have come.
    until("all streams are in flight", || {
        let heard = [&a, &b].into_iter().flat_map(|u| u.calls("eth_call"));
        let ids: BTreeSet<u64> = heard.filter_map(|h| h.call()["id"].as_u64()).collect();
        (ids.len() as u64 == STREAMS).then_some(())
    })
    .await;
    gate.open();
    while let Some(ended) = streams.join_next().await {
        ended.unwrap();
    }
    driven.abort();
}
