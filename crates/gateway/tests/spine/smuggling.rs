//! More of what has been used to have two readers see two requests where there is one: the corpus of the known
//! tricks with transfer codings, lengths, chunks, hosts and lines that `framing` does not have.
//!
//! Either it is refused, or it is carried out as the one request it is, and the connection ends.

use crate::{
    client::{PATIENCE, Wire},
    framing::{call, check_hides_nothing, check_refused, post, sent, smuggled},
};

/// The call as a chunked body, and a request hidden behind it.
fn chunked() -> String {
    format!("{:x}\r\n{}\r\n0\r\n\r\n{}", call().len(), call(), smuggled())
}

/// Nothing but the one call can have gone on, and at most one answer came.
async fn check_no_second(request: impl Fn(&str) -> String) {
    for (heard, forwarded) in sent(request).await {
        assert!(heard.matches("HTTP/1.1").count() <= 1, "{heard}");
        assert!(forwarded.is_empty() || forwarded == ["eth_getBalance"], "{forwarded:?}");
    }
}

#[tokio::test]
async fn transfer_codings_in_disguise() {
    for coding in [
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked, identity\r\n",
        "transfer-encoding : chunked\r\n",
        " transfer-encoding: chunked\r\n",
        "transfer-encoding\t: chunked\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: chunked\0\r\n",
        "transfer-encoding: chunke\u{212a}\r\n",
        "x: y\rtransfer-encoding: chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "\0transfer-encoding: chunked\r\n",
        "transfer-encoding: chunked;q=1\r\n",
    ] {
        let lengths = format!("content-length: {}\r\n{coding}", call().len());
        check_refused(|path| post(path, &lengths, &chunked())).await;
    }
}

/// Names that some servers take for the header they look like.
#[tokio::test]
async fn headers_that_look_like_others_are_none() {
    for name in ["transfer_encoding", "transfer-encodin", "x-transfer-encoding", "content_length"] {
        let value = if name.starts_with('c') { "3" } else { "chunked" };
        let headers = format!("connection: close\r\ncontent-length: {}\r\n{name}: {value}\r\n", call().len());
        check_hides_nothing(|path| post(path, &headers, &(call() + &smuggled()))).await;
    }
}

#[tokio::test]
async fn a_coding_twice_hides_no_request() {
    for coding in [
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
    ] {
        let headers = format!("connection: close\r\n{coding}");
        check_no_second(|path| post(path, &headers, &chunked())).await;
    }
}

/// There are no chunks in HTTP/1.0 (RFC 9112, section 6.1).
#[tokio::test]
async fn chunks_in_an_old_version() {
    check_refused(|path| {
        format!("POST {path} HTTP/1.0\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n{}", chunked())
    })
    .await;
}

#[tokio::test]
async fn lengths_that_one_reader_may_read_otherwise() {
    let length = call().len();
    let half = length / 2;
    for value in [
        format!("{half} {half}"),
        format!("{length}, "),
        format!("{length},"),
        format!("{length}.0"),
        format!("{length}e0"),
        format!("\u{664}{length}"),
        format!("{length};"),
        format!("{length}\x0b"),
        "99999999999999999999999999".to_owned(),
    ] {
        let headers = format!("content-length: {value}\r\n");
        check_refused(|path| post(path, &headers, &(call() + &smuggled()))).await;
    }
    // The same length twice is one length (RFC 9112, section 6.3).
    let twice = format!("connection: close\r\ncontent-length: {length}\r\ncontent-length: {length}\r\n");
    check_no_second(|path| post(path, &twice, &(call() + &smuggled()))).await;
}

#[tokio::test]
async fn chunk_lines_too_long_to_be_meant() {
    let (length, call) = (call().len(), call());
    let with = |line: String| format!("{line}\r\n{call}\r\n0\r\n\r\n{}", smuggled());
    for line in [
        format!("{length:x};{}", "x".repeat(100 * 1024)),
        format!("{length:x};x=\"{}\"", "y".repeat(100 * 1024)),
    ] {
        check_refused(|path| post(path, "transfer-encoding: chunked\r\n", &with(line.clone()))).await;
    }
    // Nothing of these is kept while they are read.
    for line in
        [format!("{}{length:x}", "0".repeat(100 * 1024)), format!("{length:x}{}", " ".repeat(100 * 1024))]
    {
        let headers = "connection: close\r\ntransfer-encoding: chunked\r\n";
        check_no_second(|path| post(path, headers, &with(line.clone()))).await;
    }
}

#[tokio::test]
async fn chunks_with_extensions_and_trailers_hide_no_request() {
    let (length, call) = (call().len(), call());
    for body in [
        format!("{length:x};a=b\r\n{call}\r\n0\r\n\r\n"),
        format!("{length:x};a=\"b;c\"\r\n{call}\r\n0;x\r\n\r\n"),
        format!("{length:x}\r\n{call}\r\n0\r\ncontent-length: 5\r\ntransfer-encoding: identity\r\n\r\n"),
        format!("{length:x}\r\n{call}\r\n000\r\n\r\n"),
    ] {
        let headers = "connection: close\r\ntransfer-encoding: chunked\r\n";
        check_hides_nothing(|path| post(path, headers, &(body.clone() + &smuggled()))).await;
    }
}

#[tokio::test]
async fn trailers_without_end() {
    let body = format!("{:x}\r\n{}\r\n0\r\n{}", call().len(), call(), "x-trailer: 1\r\n".repeat(20_000));
    check_no_second(|path| post(path, "connection: close\r\ntransfer-encoding: chunked\r\n", &body)).await;
}

#[tokio::test]
async fn hosts_that_are_none_or_two() {
    let length = call().len();
    for hosts in [
        String::new(),
        "host: gateway\r\nhost: other\r\n".to_owned(),
        "host: gateway\r\nhost: gateway\r\n".to_owned(),
        "host: gateway/path\r\n".to_owned(),
        "host: gate way\r\n".to_owned(),
        "host: user@gateway\r\n".to_owned(),
        "host: gateway, other\r\n".to_owned(),
    ] {
        let head = format!("{hosts}content-length: {length}\r\n");
        check_refused(|path| format!("POST {path} HTTP/1.1\r\n{head}\r\n{}{}", call(), smuggled())).await;
    }
}

/// RFC 9112, section 3.2.2: where the target names a host, that is the host.
#[tokio::test]
async fn a_target_that_names_another_host() {
    let head = format!("host: gateway\r\nconnection: close\r\ncontent-length: {}\r\n", call().len());
    check_refused(|path| format!("POST http://other{path} HTTP/1.1\r\n{head}\r\n{}", call())).await;
    check_refused(|path| format!("POST http://user@gateway{path} HTTP/1.1\r\n{head}\r\n{}", call())).await;
    check_hides_nothing(|path| {
        format!("POST http://gateway{path} HTTP/1.1\r\n{head}\r\n{}{}", call(), smuggled())
    })
    .await;
}

#[tokio::test]
async fn request_lines_that_are_none() {
    let head = format!("host: gateway\r\ncontent-length: {}\r\n", call().len());
    for line in [
        "POST  PATH HTTP/1.1",
        "POST PATH  HTTP/1.1",
        "POST\tPATH\tHTTP/1.1",
        "POST PATH HTTP/1.1 ",
        "POST PATH HTTP/1.1 x",
        "POST PATH http/1.1",
        "POST PATH HTTP/1.10",
        "POST PATH HTTP/01.1",
        "POST PATH",
        "PO\0ST PATH HTTP/1.1",
        "P(ST PATH HTTP/1.1",
        "POST PATH\x01 HTTP/1.1",
        " POST PATH HTTP/1.1",
    ] {
        check_refused(|path| format!("{}\r\n{head}\r\n{}", line.replace("PATH", path), call())).await;
    }
}

#[tokio::test]
async fn methods_that_are_not_a_gateways_business() {
    for line in ["CONNECT gateway:443 HTTP/1.1", "TRACE PATH HTTP/1.1", "CONNECT PATH HTTP/1.1"] {
        check_refused(|path| {
            let line = line.replace("PATH", path);
            format!("{line}\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        })
        .await;
    }
}

/// A body that nobody reads is not taken for the next request.
#[tokio::test]
async fn a_body_after_a_refusal_is_no_request() {
    let request = format!(
        "POST /nowhere HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n{}",
        smuggled().len(),
        smuggled()
    );
    for (heard, forwarded) in
        sent(|_| request.clone() + "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await
    {
        assert!(heard.starts_with("HTTP/1.1 404 "), "{heard}");
        assert!(forwarded.is_empty(), "{forwarded:?}");
    }
}

/// An upgrade that is not made leaves what follows to HTTP.
#[tokio::test]
async fn an_upgrade_to_http_2_is_not_made() {
    let headers = format!(
        "connection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: {}\r\n",
        call().len()
    );
    for (heard, forwarded) in sent(|path| post(path, &headers, &(call() + &smuggled()))).await {
        assert!(!heard.contains(" 101 ") && heard.matches("HTTP/1.1").count() == 1, "{heard}");
        assert!(forwarded.len() <= 1, "{forwarded:?}");
    }
}

/// Ten thousand connections' worth of patience is not needed for one that never ends a line.
#[tokio::test]
async fn ten_thousand_fields() {
    let many = (0..10_000).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let headers = format!("{many}content-length: {}\r\n", call().len());
    check_refused(|path| post(path, &headers, &call())).await;
    let a = crate::node::node().await;
    let house = crate::house::House::new(vec![crate::house::chain(&[&a])]).await;
    let mut wire = Wire::to(house.at).await;
    // Without an end it is refused as well, at the limit.
    let _ = tokio::time::timeout(PATIENCE, wire.say(format!("POST /chain HTTP/1.1\r\n{many}"))).await;
    let heard = wire.hear_to_the_end().await;
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{heard}");
}
