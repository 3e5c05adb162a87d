//! HTTP/2, against hyper's server in the clear and over TLS, and against what speaks something else.

use std::{
    convert::Infallible,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use ::http::{Request, Response, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_probe::{Check, Kept, core::check::HttpVersion};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    SOON, check, kind, perform,
    pki::{Ca, FAR, acceptor, serve},
    prober,
};

/// A year before this one.
const PAST: i32 = 2020;

/// Serves, over TLS if it is told how, and counts the connections made.
pub(crate) async fn server(tls: Option<TlsAcceptor>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, made) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = made.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, SeqCst);
            let builder = http2::Builder::new(TokioExecutor::new());
            match &tls {
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { continue };
                    tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
                }
                None => {
                    tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
                }
            }
        }
    });
    (at, made)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let token = head.headers.get("x-token").map_or("", |v| v.to_str().unwrap());
    let text = match head.uri.path() {
        "/large" => "x".repeat(3_000_000),
        "/hang" => std::future::pending().await,
        _ => format!("{} {} {token} {}", head.method, head.uri, String::from_utf8_lossy(&body)),
    };
    Ok(Response::new(text.into()))
}

fn second(target: &str) -> Check {
    let mut check = check(target);
    check.speak(HttpVersion::Two);
    check
}

#[tokio::test]
async fn a_server_that_knows_beforehand_is_asked_in_the_clear() {
    let (at, _) = server(None).await;
    let mut check = second(&format!("http://{at}/a?b=1"));
    check.method = "POST".parse().unwrap();
    check.body = Bytes::from_static(b"hello");
    check.headers.insert("x-token", "t".parse().unwrap());
    check.expect.contains = Some(format!("POST http://{at}/a?b=1 t hello"));
    let report = perform(&check).await;
    assert_eq!((&report.fault, report.http.unwrap().version), (&None, "HTTP/2"));
    let timings = report.timings;
    assert!(timings.connect_us.is_some() && timings.first_byte_us.is_some() && timings.body_us.is_some());
    // Who is meant may be another than who is dialled.
    check.headers.insert("host", "shop.example".parse().unwrap());
    check.expect.contains = Some("http://shop.example/a".into());
    assert_eq!(perform(&check).await.fault, None);
    // More than a window.
    let report = perform(&second(&format!("http://{at}/large"))).await;
    assert_eq!((&report.fault, report.http.unwrap().bytes), (&None, 3_000_000));
}

#[tokio::test]
async fn a_connection_is_kept_if_the_check_says_so() {
    let (at, made) = server(None).await;
    let mut check = second(&format!("http://{at}/"));
    check.fresh = false;
    let (prober, mut kept) = (prober(None), Kept::default());
    for turn in 0..3 {
        let report = prober.perform(&check, &mut kept).await;
        assert_eq!((&report.fault, report.reused), (&None, turn > 0));
    }
    assert_eq!(made.load(SeqCst), 1);
}

#[tokio::test]
async fn over_tls_it_is_agreed_on() {
    let root = Ca::root("Root");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(root.pem.as_bytes()).unwrap();
    let prober = prober(Some(file.path()));
    let (own, key) = root.issue("localhost", PAST, FAR);
    let (at, _) = server(Some(acceptor(vec![own], key, &["h2", "http/1.1"]))).await;
    let good = second(&format!("https://localhost:{}/", at.port()));
    let report = prober.perform(&good, &mut Kept::default()).await;
    assert_eq!(report.fault, None);
    assert_eq!((report.tls.unwrap().alpn.as_deref(), report.http.unwrap().version), (Some("h2"), "HTTP/2"));
    // Another that takes the connection and says nothing of protocols speaks the first version.
    for alpn in [&[][..], &["http/1.1"]] {
        let (own, key) = root.issue("localhost", PAST, FAR);
        let at = serve(vec![own], key, alpn).await;
        let old = second(&format!("https://localhost:{}/", at.port()));
        assert_eq!(kind(&prober.perform(&old, &mut Kept::default()).await), Some("tls_alpn"), "{alpn:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_2_is_told() {
    for (says, wanted) in
        [(&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], "malformed"), (b"", "closed")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(says).await;
            let _ = stream.shutdown().await;
            // Until the prober has gone, so that nothing is reset.
            while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
        });
        let report = perform(&second(&format!("http://{at}/"))).await;
        assert_eq!(kind(&report), Some(wanted), "{:?}", report.fault);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let (at, _) = server(None).await;
    let mut check = second(&format!("http://{at}/hang"));
    check.timeout = SOON;
    assert_eq!(kind(&perform(&check).await), Some("answer_timeout"));
}
