//! HTTP, against hyper's server and against sockets that misbehave.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use seawall_probe::{
    Kept,
    core::expect::{JsonValue, Statuses},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{SOON, check, kind, perform, prober};

/// Serves, and counts the connections made.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, made) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = made.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, SeqCst);
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(serve));
            tokio::spawn(serving);
        }
    });
    (at, made)
}

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let of = |name: &str| head.headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    let seen = json!({
        "method": head.method.as_str(), "path": head.uri.to_string(), "body": String::from_utf8_lossy(&body),
        "host": of("host"), "agent": of("user-agent"), "token": of("x-token"), "connection": of("connection"),
    });
    let (status, text) = match head.uri.path() {
        "/sick" => (503, "no".to_owned()),
        "/large" => (200, "x".repeat(3_000_000)),
        _ => (200, seen.to_string()),
    };
    Ok(Response::builder().status(status).body(text.into()).unwrap())
}

/// Answers every connection with these bytes, once it has read something, and closes it.
async fn raw(answer: &'static [u8], hold: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
            if hold {
                held.push(stream);
            }
        }
    });
    at
}

#[tokio::test]
async fn a_good_answer_is_measured() {
    let (at, _) = server().await;
    let report = perform(&check(&format!("http://{at}/a?b=c"))).await;
    assert_eq!(kind(&report), None);
    let http = report.http.unwrap();
    assert_eq!((http.version, http.status, http.cut), ("HTTP/1.1", 200, false));
    assert!(http.bytes > 0 && report.remote == Some(at) && !report.reused);
    let timings = report.timings;
    assert_eq!((timings.dns_us, timings.tls_us), (None, None), "an address needs no resolver");
    assert!(timings.connect_us.is_some() && timings.first_byte_us.is_some() && timings.body_us.is_some());
}

#[tokio::test]
async fn the_request_is_as_the_check_says() {
    let (at, _) = server().await;
    let mut check = check(&format!("http://{at}/a?b=c"));
    check.method = "POST".parse().unwrap();
    check.body = "hello".into();
    check.headers.insert("x-token", "secret".parse().unwrap());
    for (pointer, equals) in [
        ("/method", json!("POST")),
        ("/path", json!("/a?b=c")),
        ("/body", json!("hello")),
        ("/host", json!(at.to_string())),
        ("/token", json!("secret")),
        ("/connection", json!("close")),
    ] {
        check.expect.json = Some(JsonValue { pointer: pointer.into(), equals });
        let report = perform(&check).await;
        assert_eq!(report.fault, None, "{pointer}");
    }
    check.expect.json = Some(JsonValue { pointer: "/agent".into(), equals: json!("curl") });
    assert_eq!(kind(&perform(&check).await), Some("body_value"));
}

#[tokio::test]
async fn a_connection_is_reused_where_that_is_asked_for() {
    let (at, made) = server().await;
    let (prober, mut kept) = (prober(None), Kept::default());
    let mut check = check(&format!("http://{at}/"));
    for _ in 0..3 {
        assert!(!prober.perform(&check, &mut kept).await.reused);
    }
    assert_eq!(made.load(SeqCst), 3);
    check.fresh = false;
    let reused = [
        prober.perform(&check, &mut kept).await,
        prober.perform(&check, &mut kept).await,
        prober.perform(&check, &mut kept).await,
    ];
    assert_eq!(reused.each_ref().map(|r| r.reused), [false, true, true]);
    assert_eq!(reused[2].timings.connect_us, None);
    assert_eq!(made.load(SeqCst), 4);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_fault() {
    let at = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false).await;
    let (prober, mut kept) = (prober(None), Kept::default());
    let mut check = check(&format!("http://{at}/"));
    check.fresh = false;
    for _ in 0..3 {
        let report = prober.perform(&check, &mut kept).await;
        assert_eq!((report.fault, report.reused), (None, false));
    }
}

#[tokio::test]
async fn what_is_expected_is_looked_at() {
    let (at, _) = server().await;
    let mut sick = check(&format!("http://{at}/sick"));
    assert_eq!(kind(&perform(&sick).await), Some("http_status"));
    sick.expect.status = Statuses::parse("5xx").unwrap();
    assert_eq!(kind(&perform(&sick).await), None);
    let mut large = check(&format!("http://{at}/large"));
    large.expect.contains = Some("y".into());
    let report = perform(&large).await;
    assert_eq!((kind(&report), report.http.unwrap().bytes), (Some("body_text"), 3_000_000));
}

#[tokio::test]
async fn each_way_to_fail_is_told_apart() {
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(kind(&perform(&check(&format!("http://{refused}/"))).await), Some("connect_refused"));
    for (answer, hold, wanted) in [
        (&b""[..], false, "closed"),
        (b"", true, "answer_timeout"),
        (b"SSH-2.0-x\r\n", false, "malformed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", false, "truncated"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", true, "body_timeout"),
    ] {
        let at = raw(answer, hold).await;
        let mut check = check(&format!("http://{at}/"));
        if hold {
            check.timeout = SOON;
        }
        let report = perform(&check).await;
        assert_eq!(kind(&report), Some(wanted));
        assert!(report.timings.connect_us.is_some(), "it was connected before");
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_is_no_refused_connection() {
    let report = perform(&check("http://seawall-test.invalid/")).await;
    let fault = report.fault.unwrap();
    // Without a network the resolver cannot even say so.
    assert!(matches!(fault.kind(), "dns_nxdomain" | "dns_failed"), "{fault}");
    assert!(report.timings.dns_us.is_some() && report.timings.connect_us.is_none());
}
