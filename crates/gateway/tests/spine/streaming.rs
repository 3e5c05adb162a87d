//! Answers too large to hold.

use serde_json::json;

use crate::{
    client::{begin, body, finish, post, request},
    house::{House, chain, until},
    node::{but, node},
    upstream::{Gate, Reply, Then},
};

const METHOD: &str = "debug_traceTransaction";

/// An answer of 6 MiB in which no two places look alike.
fn large() -> Vec<u8> {
    let mut answer = br#"{"jsonrpc":"2.0","id":1,"result":""#.to_vec();
    for n in 0.. {
        if answer.len() >= 6 * 1024 * 1024 {
            break;
        }
        answer.extend_from_slice(format!("{n:08x}").as_bytes());
    }
    answer.extend_from_slice(br#""}"#);
    answer
}

fn trace() -> String {
    body(1, METHOD, &json!(["0x01"]))
}

#[tokio::test]
async fn an_answer_too_large_to_hold_comes_byte_for_byte() {
    let a = node().await;
    let large = large();
    let whole = large.clone();
    a.does(but(METHOD, move |_| Reply::Whole(200, String::new(), whole.clone())));
    let house = House::new(vec![chain(&[&a])]).await;
    let answer = post(house.at, trace()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == large, "{} bytes came, and not those that were sent", answer.body.len());
    assert_eq!(house.counted("truncated_streams"), 0);
}

/// The client must not be able to take the part for the whole.
async fn check_broken_off(reply: Reply, gate: Gate) {
    let a = node().await;
    a.does(but(METHOD, move |_| reply.clone()));
    let mut pool = chain(&[&a]);
    pool.attempt_timeout = std::time::Duration::from_secs(2);
    let house = House::new(vec![pool]).await;
    let response = begin(house.at, request("POST", "/chain", trace())).await.unwrap();
    // The answer is on its way, and with it the first bytes.
    assert_eq!(response.status(), 200);
    gate.open();
    let error = finish(response).await.unwrap_err();
    assert!(error.is_incomplete_message() || error.is_body_write_aborted() || is_cut(&error), "{error:?}");
    until("the truncated stream is counted", || (house.counted("truncated_streams") == 1).then_some(()))
        .await;
}

/// The connection ended within the body.
fn is_cut(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    source.is_some_and(|e| {
        matches!(e.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset)
    })
}

const CUT: usize = 5 * 1024 * 1024;

#[tokio::test]
async fn a_large_answer_that_ends_early_cuts_the_client_off() {
    check_broken_off(Reply::Part(large(), CUT, Then::Close), Gate::shut()).await;
}

#[tokio::test]
async fn a_large_answer_that_is_reset_cuts_the_client_off() {
    // A reset takes what is still on its way with it, so it comes late.
    let gate = Gate::shut();
    check_broken_off(Reply::Part(large(), CUT, Then::Reset(gate.clone())), gate).await;
}

#[tokio::test]
async fn a_large_answer_that_stalls_cuts_the_client_off() {
    check_broken_off(Reply::Part(large(), CUT, Then::Silence), Gate::shut()).await;
}

#[tokio::test]
async fn a_large_answer_in_chunks_that_ends_early_cuts_the_client_off() {
    let large = large();
    let mut raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    raw.extend_from_slice(format!("{CUT:x}\r\n").as_bytes());
    raw.extend_from_slice(&large[..CUT]);
    raw.extend_from_slice(b"\r\n");
    check_broken_off(Reply::Raw(raw), Gate::shut()).await;
}
