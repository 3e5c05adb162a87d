//! Requests framed so that two readers might see two different things. Those that cannot be read in one way
//! alone are refused, their connection is closed, and nothing of them goes on.

use crate::{
    client::{Wire, balance_of, body, on_the_wire},
    house::{House, api, chain},
    node::{honest, node},
    upstream::Upstream,
};

pub(crate) fn call() -> String {
    let (method, params) = balance_of();
    body(1, method, &params)
}

/// A whole request that would be carried out if the gateway read on.
pub(crate) fn smuggled() -> String {
    on_the_wire(&body(2, "eth_gasPrice", &serde_json::json!([])))
}

/// What came back and what went on: to a chain and to an HTTP API alike.
pub(crate) async fn sent(request: impl Fn(&str) -> String) -> Vec<(String, Vec<String>)> {
    let mut seen = Vec::new();
    let (a, b) = (node().await, Upstream::new(honest).await);
    let house = House::new(vec![chain(&[&a]), api(&[&b])]).await;
    for (path, upstream) in [("/chain", &a), ("/api", &b)] {
        let mut wire = Wire::to(house.at).await;
        // The gateway may close before all has been said.
        let _ = wire.say(request(path)).await;
        let heard = wire.hear_to_the_end().await;
        let polls = |method: &str| ["eth_chainId", "eth_getBlockByNumber"].contains(&method);
        let forwarded = upstream.heard().iter().map(|h| h.method()).filter(|m| !polls(m)).collect();
        seen.push((heard, forwarded));
    }
    seen
}

/// It is answered with a status of 4xx or not at all, the connection ends, and nothing has been forwarded.
pub(crate) async fn check_refused(request: impl Fn(&str) -> String) {
    for (heard, forwarded) in sent(request).await {
        let refused = heard.is_empty() || heard.starts_with("HTTP/1.1 4");
        assert!(refused && heard.matches("HTTP/1.1").count() <= 1, "{heard}");
        assert!(forwarded.is_empty(), "{forwarded:?}");
    }
}

/// The first request is carried out and nothing after it: the connection ends with its answer.
pub(crate) async fn check_hides_nothing(request: impl Fn(&str) -> String) {
    for (heard, forwarded) in sent(request).await {
        assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
        assert_eq!(heard.matches("HTTP/1.1").count(), 1, "{heard}");
        assert_eq!(forwarded, [balance_of().0]);
    }
}

pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn two_lengths_that_differ() {
    let length = call().len();
    let lengths = format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1);
    check_refused(|path| post(path, &lengths, &(call() + &smuggled()))).await;
    let list = format!("content-length: {length}, {}\r\n", length + 1);
    check_refused(|path| post(path, &list, &(call() + &smuggled()))).await;
}

#[tokio::test]
async fn lengths_that_are_no_number() {
    let length = call().len();
    for length in [format!("+{length}"), format!("-{length}"), format!("{length:#x}"), String::new()] {
        let headers = format!("content-length: {length}\r\n");
        check_refused(|path| post(path, &headers, &(call() + &smuggled()))).await;
    }
}

#[tokio::test]
async fn a_transfer_coding_that_does_not_end_in_chunked() {
    for coding in ["identity", "chunked, gzip", "xchunked", "chunked;x"] {
        let headers = format!("transfer-encoding: {coding}\r\ncontent-length: {}\r\n", call().len());
        check_refused(|path| post(path, &headers, &(call() + &smuggled()))).await;
    }
}

/// RFC 9112, section 6.3: read by the transfer coding alone, and the connection ends with the answer, so that
/// what another reader took for a request of its own is none.
#[tokio::test]
async fn a_length_beside_a_transfer_coding_hides_no_request() {
    let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", call().len(), call());
    let (length, coding) =
        (format!("content-length: {}\r\n", chunked.len()), "transfer-encoding: chunked\r\n");
    for headers in [format!("{length}{coding}"), format!("{coding}{length}")] {
        check_hides_nothing(|path| post(path, &headers, &(chunked.clone() + &smuggled()))).await;
    }
}

#[tokio::test]
async fn a_chunk_size_that_is_none() {
    for size in ["x", "-1", "0x10", "", " ", "ffffffffffffffffff"] {
        let body = format!("{size}\r\n{}\r\n0\r\n\r\n{}", call(), smuggled());
        check_refused(|path| post(path, "transfer-encoding: chunked\r\n", &body)).await;
    }
}

#[tokio::test]
async fn a_chunk_that_is_longer_than_it_says() {
    let body = format!("1\r\n{}\r\n0\r\n\r\n{}", call(), smuggled());
    check_refused(|path| post(path, "transfer-encoding: chunked\r\n", &body)).await;
}

#[tokio::test]
async fn a_head_that_is_too_long() {
    let headers = format!("x-long: {}\r\ncontent-length: {}\r\n", "x".repeat(70 * 1024), call().len());
    check_refused(|path| post(path, &headers, &call())).await;
    let many = format!("{}content-length: {}\r\n", "x-many: 1\r\n".repeat(7_000), call().len());
    check_refused(|path| post(path, &many, &call())).await;
}

#[tokio::test]
async fn a_target_that_is_too_long() {
    check_refused(|path| post(&format!("{path}?{}", "x".repeat(70 * 1024)), "", &smuggled())).await;
}

#[tokio::test]
async fn header_lines_that_are_none() {
    let length = call().len();
    for headers in [
        format!("content-length : {length}\r\n"),
        format!(" content-length: {length}\r\n"),
        format!("x-a: 1\r\n folded: 2\r\ncontent-length: {length}\r\n"),
        format!("x-a: 1\rcontent-length: {length}\r\n"),
        format!("x-a\r\ncontent-length: {length}\r\n"),
        format!("x-a: \0\r\ncontent-length: {length}\r\n"),
    ] {
        check_refused(|path| post(path, &headers, &(call() + &smuggled()))).await;
    }
}

/// RFC 9112, section 2.2, lets a line feed alone end a line of the head. Another reader may see no end there; what
/// goes on is written anew, and a length beside a transfer coding is dealt with as above.
#[tokio::test]
async fn a_line_feed_alone_hides_no_request() {
    let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", call().len(), call());
    let headers = format!("x-a: 1\ntransfer-encoding: chunked\r\ncontent-length: {}\r\n", chunked.len());
    check_hides_nothing(|path| post(path, &headers, &(chunked.clone() + &smuggled()))).await;
    let headers = format!("connection: close\nx-a: 1\ncontent-length: {}\n", call().len());
    check_hides_nothing(|path| {
        let head = format!("POST {path} HTTP/1.1\nhost: gateway\n{headers}\n");
        head + &call() + &smuggled()
    })
    .await;
}

#[tokio::test]
async fn a_chunk_whose_lines_end_in_a_line_feed_alone() {
    let (length, call) = (call().len(), call());
    for body in [
        format!("{length:x}\n{call}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{call}\n0\r\n\r\n"),
        format!("{length:x};x\n{call}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{call}\r\n0\n\n"),
    ] {
        check_refused(|path| post(path, "transfer-encoding: chunked\r\n", &(body.clone() + &smuggled())))
            .await;
    }
}

#[tokio::test]
async fn what_is_not_http() {
    for text in
        ["\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03", "hello\r\n\r\n", "POST /chain HTTP/3.0\r\n\r\n"]
    {
        check_refused(|_| text.to_owned()).await;
    }
}
