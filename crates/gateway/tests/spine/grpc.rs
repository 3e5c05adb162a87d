//! Pools of gRPC services.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_gateway::{
    ModeSet,
    core::{glob::Glob, mode::Mode},
    estate::{GrpcSection, PoolKind, PoolSection},
};
use seawall_model::{Secret, Wall};
use seawall_runtime::net::{Endpoint, credentials::Credentials};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tonic::{Code, Status};

use crate::{
    client::{PATIENCE, request, send},
    house::{House, api_at, first_preferred, until},
    pki::Ca,
    port::Port,
    rpc::{Peer, Plain, client, echo, unary},
};

pub(crate) const GET: &str = "/test.Ledger/Get";
pub(crate) const PUT: &str = "/test.Ledger/Put";

pub(crate) fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

/// A pool of these at `/`, of which the first is asked first; `Get` may be repeated.
pub(crate) fn pool(upstreams: &[SocketAddr]) -> PoolSection {
    let mut pool = first_preferred(api_at(upstreams));
    pool.route = "/".into();
    pool.kind = PoolKind::Grpc(GrpcSection { retry_methods: vec![Glob::new("/test.Ledger/Get*").unwrap()] });
    pool
}

pub(crate) async fn house(peers: &[&Peer]) -> House {
    House::new(vec![pool(&peers.iter().map(|p| p.at()).collect::<Vec<_>>())]).await
}

/// Fails so often, then echoes.
fn failing(times: usize, status: Status) -> Peer {
    let calls = Arc::new(AtomicUsize::new(0));
    Peer::new(move |path, messages| {
        let fails = calls.fetch_add(1, Relaxed) < times;
        let status = status.clone();
        async move { if fails { Err(status) } else { echo(path, messages).await } }
    })
}

/// Fails once it has read all that there is.
fn reading(status: Status) -> Peer {
    Peer::new(move |_, mut messages: tonic::Streaming<Vec<u8>>| {
        let status = status.clone();
        async move {
            while messages.message().await?.is_some() {}
            Err(status)
        }
    })
}

#[tokio::test]
async fn one_message_goes_and_one_comes_back() {
    let a = Peer::new(echo);
    let house = house(&[&a]).await;
    assert_eq!(unary(house.at, PUT, b"hello").await.unwrap(), b"hello");
    let asked = a.asked().remove(0);
    assert_eq!((asked.path.as_str(), &asked.headers["te"]), (PUT, &"trailers".parse().unwrap()));
    assert_eq!(asked.headers["content-type"], "application/grpc");
    until("it is counted", || (house.view(0, 0).attempts == 1).then_some(())).await;
}

#[tokio::test]
async fn calls_share_a_connection_and_run_at_once() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let a = Peer::new(move |path, messages| {
        let _ = tell.send(());
        echo(path, messages)
    });
    let house = house(&[&a]).await;
    let client = client(house.at).await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        let (say, said) = mpsc::unbounded_channel::<Vec<u8>>();
        let (mut client, said) =
            (client.clone(), stream::unfold(said, async |mut s| Some((s.recv().await?, s))));
        let call = tokio::spawn(async move {
            client.ready().await.unwrap();
            client.streaming(tonic::Request::new(said), path(PUT), Plain).await.unwrap().into_inner()
        });
        calls.push((say, call));
    }
    for _ in 0..50 {
        timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    }
    for (n, (say, call)) in calls.into_iter().enumerate() {
        let mut answers = call.await.unwrap();
        say.send(vec![n as u8]).unwrap();
        assert_eq!(answers.message().await.unwrap(), Some(vec![n as u8]));
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);
    }
}

/// Neither side waits for the end of the other's: each message goes on when it comes.
#[tokio::test]
async fn messages_go_both_ways_as_they_come() {
    let a = Peer::new(echo);
    let house = house(&[&a]).await;
    let (say, said) = mpsc::unbounded_channel::<Vec<u8>>();
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    let mut client = client(house.at).await;
    let answer = client.streaming(tonic::Request::new(said), path(PUT), Plain).await.unwrap();
    let mut answers = answer.into_inner();
    for n in 0..20_u8 {
        say.send(vec![n; 100]).unwrap();
        let came = timeout(PATIENCE, answers.message()).await.unwrap().unwrap();
        assert_eq!(came, Some(vec![n; 100]));
    }
    drop(say);
    assert_eq!(timeout(PATIENCE, answers.message()).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn big_messages_stream_both_ways() {
    let a = Peer::new(echo);
    let house = house(&[&a]).await;
    let big = |n: u8| {
        (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ n).collect::<Vec<_>>()
    };
    let mut client = client(house.at).await;
    let said = stream::iter((0..6).map(big));
    let answer = client.streaming(tonic::Request::new(said), path(PUT), Plain).await.unwrap();
    let mut answers = answer.into_inner();
    for n in 0..6 {
        assert!(answers.message().await.unwrap() == Some(big(n)), "message {n}");
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_of_the_clients_comes_to_one_answer_and_one_message_to_a_stream() {
    let a = Peer::new(async |_: String, mut messages: tonic::Streaming<Vec<u8>>| {
        let mut all = Vec::new();
        while let Some(message) = messages.message().await? {
            all.extend(message);
        }
        let parts: Vec<_> = all.chunks(2).map(|part| Ok(part.to_vec())).collect();
        Ok(Box::pin(stream::iter(parts)) as crate::rpc::Messages)
    });
    let house = house(&[&a]).await;
    let mut client = client(house.at).await;
    let said = stream::iter([b"a".to_vec(), b"b".to_vec()]);
    let answer = client.client_streaming(tonic::Request::new(said), path(PUT), Plain).await.unwrap();
    assert_eq!(answer.into_inner(), b"ab");
    client.ready().await.unwrap();
    let asked = tonic::Request::new(b"abcdef".to_vec());
    let answer = client.server_streaming(asked, path(GET), Plain).await.unwrap();
    let parts: Vec<_> = answer.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(parts, [b"ab", b"cd", b"ef"]);
}

#[tokio::test]
async fn trailers_come_as_they_are() {
    let a = Peer::new(async |_: String, _: tonic::Streaming<Vec<u8>>| {
        let mut status =
            Status::with_details(Code::FailedPrecondition, "100 % é", Bytes::from_static(b"\x08\x01"));
        status.metadata_mut().insert("x-left", "3".parse().unwrap());
        let parts = [Ok(b"a part".to_vec()), Err(status)];
        Ok(Box::pin(stream::iter(parts)) as crate::rpc::Messages)
    });
    let house = house(&[&a]).await;
    let mut client = client(house.at).await;
    let asked = tonic::Request::new(Vec::new());
    let mut answers = client.server_streaming(asked, path(GET), Plain).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), b"a part");
    let status = answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "100 % é"));
    assert_eq!(
        (status.details(), status.metadata().get("x-left").unwrap().as_bytes()),
        (&b"\x08\x01"[..], &b"3"[..])
    );
    assert_eq!(house.view(0, 0).failures, 0, "that is the caller's affair");
}

#[tokio::test]
async fn an_upstream_may_speak_tls() {
    let ca = Ca::new("an authority");
    let a = Peer::over_tls(&ca.issue(&["localhost"]));
    let mut pool = pool(&[a.at()]);
    let credentials = Credentials::new(None, Some(Secret::new(ca.pem.as_str()))).unwrap();
    let (host, port) = ("localhost".into(), a.at().port());
    pool.upstreams[0].endpoint = Endpoint { host, port, tls: true, credentials: Some(credentials) };
    let house = House::new(vec![pool]).await;
    assert_eq!(unary(house.at, PUT, b"hello").await.unwrap(), b"hello");
    assert_eq!(a.asked().len(), 1);
}

#[tokio::test]
async fn a_call_that_reaches_nobody_goes_to_another_upstream() {
    for method in [GET, PUT] {
        let (mut a, b) = (Peer::new(echo), Peer::new(echo));
        let house = house(&[&a, &b]).await;
        a.die().await;
        assert_eq!(unary(house.at, method, b"hello").await.unwrap(), b"hello");
        assert_eq!(b.asked().len(), 1);
    }
}

#[tokio::test]
async fn with_all_upstreams_down_the_refusal_says_so() {
    let mut a = Peer::new(echo);
    let house = house(&[&a]).await;
    a.die().await;
    let status = unary(house.at, PUT, b"hello").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("SW0306: "), "{status:?}");
}

#[tokio::test]
async fn what_is_unavailable_is_asked_elsewhere_only_if_the_method_is_listed() {
    for (method, elsewhere) in [(GET, true), (PUT, false)] {
        let (a, b) = (failing(9, Status::unavailable("later")), Peer::new(echo));
        let house = house(&[&a, &b]).await;
        let came = unary(house.at, method, b"hello").await;
        assert_eq!((a.asked().len(), b.asked().len()), (1, usize::from(elsewhere)), "{method}");
        match elsewhere {
            true => assert_eq!(came.unwrap(), b"hello"),
            false => assert_eq!(came.unwrap_err().message(), "later"),
        }
        assert_eq!(house.view(0, 0).failures, 1, "{method}");
    }
}

#[tokio::test]
async fn what_is_not_to_be_tried_again_is_not() {
    let mut forbids = Status::unavailable("never");
    forbids.metadata_mut().insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
    for status in [forbids, Status::invalid_argument("no"), Status::internal("oh")] {
        let (a, b) = (failing(9, status.clone()), Peer::new(echo));
        let house = house(&[&a, &b]).await;
        let came = unary(house.at, GET, b"hello").await.unwrap_err();
        assert_eq!((came.code(), came.message()), (status.code(), status.message()));
        assert_eq!(b.asked().len(), 0);
        let blamed = u64::from(status.code() != Code::InvalidArgument);
        assert_eq!(house.view(0, 0).failures, blamed, "{status:?}");
    }
}

/// What is too long to be kept has gone, and cannot be sent again.
#[tokio::test]
async fn a_long_request_is_sent_once() {
    let (a, b) = (reading(Status::unavailable("later")), Peer::new(echo));
    let house = house(&[&a, &b]).await;
    let came = unary(house.at, GET, &[7; 100_000]).await.map(|message| message.len());
    assert_eq!(came.unwrap_err().message(), "later");
    assert_eq!(b.asked().len(), 0);
}

#[tokio::test]
async fn one_that_keeps_failing_is_ejected() {
    let (a, b) = (failing(99, Status::unavailable("later")), Peer::new(echo));
    let house = house(&[&a, &b]).await;
    for _ in 0..20 {
        assert_eq!(unary(house.at, GET, b"hello").await.unwrap(), b"hello");
    }
    assert!(!house.ejections(0).is_empty() && a.asked().len() < 20);
}

/// An upstream that dies with a call under way: one that changes something may have done so.
#[tokio::test]
async fn a_call_in_doubt_is_repeated_only_if_the_method_is_listed() {
    for (method, elsewhere) in [(GET, true), (PUT, false)] {
        let (mut a, b) = (Peer::new(async |_, _| std::future::pending().await), Peer::new(echo));
        let house = house(&[&a, &b]).await;
        let at = house.at;
        let call = tokio::spawn(async move { unary(at, method, b"hello").await });
        until("it has arrived", || (a.asked().len() == 1).then_some(())).await;
        a.die().await;
        match (elsewhere, call.await.unwrap()) {
            (true, came) => assert_eq!(came.unwrap(), b"hello"),
            (false, came) => {
                let status = came.unwrap_err();
                assert_eq!(status.code(), Code::Unknown, "{status:?}");
                assert!(status.message().starts_with("SW0305: "), "{status:?}");
            }
        }
        assert_eq!(b.asked().len(), usize::from(elsewhere), "{method}");
        assert_eq!(house.counted("unknown_writes"), u64::from(!elsewhere));
    }
}

#[tokio::test]
async fn an_upstream_that_dies_within_its_answer_ends_the_call() {
    let mut a = Peer::new(async |_: String, _: tonic::Streaming<Vec<u8>>| {
        let parts = stream::iter([Ok(b"a part".to_vec())]).chain(stream::pending());
        Ok(Box::pin(parts) as crate::rpc::Messages)
    });
    let house = house(&[&a]).await;
    let mut client = client(house.at).await;
    let asked = tonic::Request::new(Vec::new());
    let mut answers = client.server_streaming(asked, path(GET), Plain).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), b"a part");
    a.die().await;
    let status = timeout(PATIENCE, answers.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("SW0302: "), "{status:?}");
    assert_eq!(house.counted("truncated_streams"), 1);
}

#[tokio::test]
async fn an_upstream_that_hangs_ends_by_the_pools_deadline() {
    let a = Peer::new(async |_, _| std::future::pending().await);
    let mut pool = pool(&[a.at()]);
    pool.deadline = Duration::from_millis(300);
    let house = House::new(vec![pool]).await;
    let status = unary(house.at, PUT, b"hello").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().starts_with("SW0303: "), "{status:?}");
    assert_eq!(house.view(0, 0).failures, 1);
}

/// By hand: an implementation's client ends its call itself.
async fn by_hand(at: SocketAddr, headers: &[(&str, &str)], body: &'static [u8]) -> (http::HeaderMap, Bytes) {
    let stream = TcpStream::connect(at).await.unwrap();
    let (mut send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driven = tokio::spawn(connection);
    let mut request =
        Request::post(format!("http://gateway{PUT}")).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = send.send_request(request.body(Full::new(Bytes::from_static(body))).unwrap());
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let (parts, body) = answer.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    let mut headers = parts.headers;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    driven.abort();
    (headers, body.to_bytes())
}

#[tokio::test]
async fn the_clients_own_time_is_kept_and_passed_on() {
    let a = Peer::new(async |path: String, messages: tonic::Streaming<Vec<u8>>| {
        // A part, and then nothing more.
        let parts = echo(path, messages).await?.chain(stream::pending());
        Ok(Box::pin(parts) as crate::rpc::Messages)
    });
    let house = house(&[&a]).await;
    let (headers, body) = by_hand(house.at, &[("grpc-timeout", "400m")], b"\0\0\0\0\x02hi").await;
    assert_eq!((&headers["grpc-status"], &body[..]), (&"4".parse().unwrap(), &b"\0\0\0\0\x02hi"[..]));
    let told = a.asked().remove(0).headers["grpc-timeout"].to_str().unwrap().to_owned();
    let left: u32 = told.strip_suffix('u').unwrap().parse().unwrap();
    assert!(left <= 400_000, "{told}");
}

/// Two upstreams in one: it refuses streams, or goes away before it has looked at them.
async fn unwilling(listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    }
}

#[tokio::test]
async fn a_call_that_is_refused_unseen_goes_to_another_upstream() {
    let (port, b) = (Port::new(), Peer::new(echo));
    let refusing = tokio::spawn(unwilling(port.listen()));
    let house = House::new(vec![pool(&[port.at(), b.at()])]).await;
    assert_eq!(unary(house.at, PUT, b"hello").await.unwrap(), b"hello");
    assert_eq!(b.asked().len(), 1);
    assert_eq!(house.view(0, 0).failures, 1);
    refusing.abort();
}

#[tokio::test]
async fn refusals_of_the_gateways_own_are_told_as_grpc() {
    let a = Peer::new(echo);
    let house = house(&[&a]).await;
    let set = ModeSet { mode: Mode::ReadOnly, since: Wall(1_700_000_000_000), reason: None };
    house.gateway.set_mode(Some("api"), &set).unwrap();
    assert_eq!(unary(house.at, GET, b"hello").await.unwrap(), b"hello");
    let status = unary(house.at, PUT, b"hello").await.unwrap_err();
    assert!(status.message().starts_with("SW03"), "{status:?}");
    assert_eq!(a.asked().len(), 1);
}

#[tokio::test]
async fn what_is_not_grpc_is_told_so() {
    let a = Peer::new(echo);
    let house = house(&[&a]).await;
    let answer = send(house.at, request("POST", PUT, "hello")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (415, Some("SW0379")));
    assert_eq!(a.asked().len(), 0);
}
