//! Small protocols, against simulated servers (scripts of what they say), and WebSockets against tungstenite.

use std::net::SocketAddr;

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{SOON, check, kind, perform};

/// Says the first text at once, and each further one after it has heard something; then closes.
async fn script(says: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for (i, text) in says.iter().enumerate() {
                if i > 0 {
                    let _ = stream.read(&mut [0; 4096]).await;
                }
                let _ = stream.write_all(text.as_bytes()).await;
            }
        }
    });
    at
}

async fn found(scheme: &str, says: &'static [&'static str]) -> (Option<&'static str>, Option<String>) {
    let report = perform(&check(&format!("{scheme}://{}", script(says).await))).await;
    (kind(&report), report.banner)
}

#[tokio::test]
async fn mail_servers() {
    let good: &[&str] = &["220 mail ESMTP\r\n", "250-mail\r\n250 SIZE\r\n", "221 bye\r\n"];
    assert_eq!(found("smtp", good).await, (None, Some("220 mail ESMTP".into())));
    assert_eq!(found("smtp", &["554 go away\r\n"]).await.0, Some("refused"));
    assert_eq!(found("smtp", &["SSH-2.0-x\r\n"]).await.0, Some("malformed"));
    assert_eq!(found("smtp", &["220 ma"]).await.0, Some("truncated"));
}

#[tokio::test]
async fn redis_servers() {
    assert_eq!(found("redis", &["", "+PONG\r\n"]).await, (None, Some("PONG".into())));
    assert_eq!(found("redis", &["", "-LOADING Redis is loading\r\n"]).await.0, Some("refused"));
    assert_eq!(found("redis", &["", ""]).await.0, Some("closed"));
}

/// An error of 28 bytes.
const STARTING: &[&str] = &["", "E\0\0\0\x20SFATAL\0C57P03\0Mstarting up\0\0"];

#[tokio::test]
async fn postgres_servers() {
    assert_eq!(found("postgres", &["", "R\0\0\0\x08\0\0\0\x03"]).await.0, None);
    assert_eq!(found("postgres", &[""]).await.0, Some("closed"));
    assert_eq!(found("postgres", STARTING).await.0, Some("refused"));
}

#[tokio::test]
async fn nats_servers() {
    let good: &[&str] = &["INFO {\"version\":\"2.10\",\"server_name\":\"n1\"}\r\n", "PONG\r\n"];
    assert_eq!(found("nats", good).await, (None, Some("nats-server 2.10 (n1)".into())));
    assert_eq!(found("nats", &["HTTP/1.1 400\r\n"]).await.0, Some("malformed"));
}

#[tokio::test]
async fn bare_connections() {
    assert_eq!(found("tcp", &["SSH-2.0-x\r\n"]).await.0, None);
    let mut waiting = check(&format!("tcp://{}", script(&["SSH-2.0-x\r\n"]).await));
    waiting.expect.contains = Some("SSH-2.0".into());
    assert_eq!(kind(&perform(&waiting).await), None);
    waiting.expect.contains = Some("FTP".into());
    assert_eq!(kind(&perform(&waiting).await), Some("body_text"));
}

#[tokio::test]
async fn web_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
            // Whoever is pinged answers while it reads.
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    let report = perform(&check(&format!("ws://{at}/"))).await;
    assert_eq!((report.fault, report.http.unwrap().status), (None, 101));
    let refusing = script(&["", "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"]).await;
    let report = perform(&check(&format!("ws://{refusing}/"))).await;
    assert_eq!((kind(&report), report.http.unwrap().status), (Some("http_status"), 403));
    let mut silent = check(&format!("ws://{}/", script(&["", "HTTP/1.1 "]).await));
    silent.timeout = SOON;
    assert_eq!(kind(&perform(&silent).await), Some("truncated"));
}
