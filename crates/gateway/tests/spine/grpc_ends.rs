//! How calls over gRPC end otherwise than their upstream says: by the client, for want of a reader, with the connection, or
//! before they begin.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tonic::Code;

use crate::{
    access::{BY_KEY, KEY, desk},
    client::PATIENCE,
    grpc::{GET, PUT, house, path, pool},
    house::{House, until},
    port::Port,
    rpc::{Messages, Peer, Plain, client, echo, unary},
};

/// Tells that a call is over.
struct Over(mpsc::UnboundedSender<Option<usize>>);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.0.send(None);
    }
}

#[tokio::test]
async fn a_client_that_gives_up_ends_the_call_upstream() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let a = Peer::new(move |_, messages: tonic::Streaming<Vec<u8>>| {
        let over = Over(tell.clone());
        let noted = messages.inspect(move |message| {
            let _ = over.0.send(message.as_ref().ok().map(Vec::len));
        });
        async { Ok(Box::pin(noted) as Messages) }
    });
    let house = house(&[&a]).await;
    let tcp = TcpStream::connect(house.at).await.unwrap();
    let (mut send, connection) = h2::client::handshake(tcp).await.unwrap();
    let driven = tokio::spawn(connection);
    let request = Request::post(format!("http://gateway{PUT}")).header("content-type", "application/grpc");
    let (answer, mut said) = send.send_request(request.body(()).unwrap(), false).unwrap();
    said.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), false).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), &b"\0\0\0\0\x02hi"[..]);
    assert_eq!(told.recv().await, Some(Some(2)));
    said.send_reset(h2::Reason::CANCEL);
    // The upstream hears that the client's side is cut, or that nobody wants its answer.
    assert_eq!(timeout(PATIENCE, told.recv()).await.unwrap(), Some(None));
    assert_eq!((house.view(0, 0).failures, house.ejections(0).len()), (0, 0));
    driven.abort();
}

/// What the client does not read stays with the upstream: nothing in between holds more than its windows.
#[tokio::test]
async fn a_slow_client_holds_its_upstream_back() {
    const PIECE: usize = 64 << 10;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let a = Peer::new(move |_, _| {
        let counted = counted.clone();
        let pieces = stream::iter(0..1_000).map(move |n: u32| {
            counted.fetch_add(1, Relaxed);
            Ok(vec![n as u8; PIECE])
        });
        async { Ok(Box::pin(pieces) as Messages) }
    });
    let house = house(&[&a]).await;
    let mut client = client(house.at).await;
    let asked = tonic::Request::new(Vec::new());
    let mut answers = client.server_streaming(asked, path(GET), Plain).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), vec![0; PIECE]);
    // It has come to a stand. However loaded the machine is, to look too early makes the test no stricter.
    let mut before = 0;
    while sent.load(Relaxed) != before {
        before = sent.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(before < 400, "{before} pieces of 64 KiB were taken by somebody");
    for n in 1..1_000_u32 {
        assert!(answers.message().await.unwrap().unwrap() == vec![n as u8; PIECE], "piece {n}");
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

/// Goes away before it has looked at the first call (RFC 9113, section 6.8).
async fn leaving(listener: TcpListener) {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            stream.write_all(&SETTINGS).await.unwrap();
            stream.read_exact(&mut [0; PREFACE]).await.unwrap();
            let mut frame = [0; 9];
            while stream.read_exact(&mut frame).await.is_ok() {
                let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
                stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
                if frame[3] == HEADERS {
                    stream.write_all(&GOAWAY).await.unwrap();
                }
            }
        });
    }
}

#[tokio::test]
async fn a_call_that_an_upstream_goes_away_before_goes_to_another() {
    let (port, b) = (Port::new(), Peer::new(echo));
    let gone = tokio::spawn(leaving(port.listen()));
    let house = House::new(vec![pool(&[port.at(), b.at()])]).await;
    assert_eq!(unary(house.at, PUT, b"hello").await.unwrap(), b"hello");
    assert_eq!((b.asked().len(), house.view(0, 0).failures), (1, 1));
    gone.abort();
}

/// A proxy with nothing behind it: it speaks no gRPC.
async fn in_between(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let said = http::Response::builder().status(503).body(()).unwrap();
            let mut body = respond.send_response(said, false).unwrap();
            body.send_data(Bytes::from_static(b"nobody home"), true).unwrap();
        }
    }
}

/// What has come from the client so far is sent again, and what comes after that goes on.
#[tokio::test]
async fn a_call_goes_on_at_another_upstream_where_it_began() {
    let (port, b) = (Port::new(), Peer::new(echo));
    let between = tokio::spawn(in_between(port.listen()));
    let house = House::new(vec![pool(&[port.at(), b.at()])]).await;
    let (say, said) = mpsc::unbounded_channel::<Vec<u8>>();
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    say.send(b"first".to_vec()).unwrap();
    let mut client = client(house.at).await;
    let answer = client.streaming(tonic::Request::new(said), path(GET), Plain).await.unwrap();
    let mut answers = answer.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), b"first");
    say.send(b"second".to_vec()).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), b"second");
    drop(say);
    assert_eq!(answers.message().await.unwrap(), None);
    assert_eq!((b.asked().len(), house.view(0, 0).failures), (1, 1));
    between.abort();
    // Where it may not be sent again, the client gets what was said, and makes of it what it can.
    let (port, b) = (Port::new(), Peer::new(echo));
    let between = tokio::spawn(in_between(port.listen()));
    let house = House::new(vec![pool(&[port.at(), b.at()])]).await;
    unary(house.at, PUT, b"hello").await.unwrap_err();
    assert_eq!((b.asked().len(), house.view(0, 0).failures), (0, 1));
    between.abort();
}

#[tokio::test]
async fn who_shows_nothing_is_told_so_as_grpc() {
    let a = Peer::new(echo);
    let house = House::set(|section| {
        section.pools = vec![pool(&[a.at()])];
        section.pools[0].access.require = BY_KEY;
        section.auth.clients = vec![desk()];
    })
    .await;
    let status = unary(house.at, PUT, b"hello").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().starts_with("SW0340: "), "{status:?}");
    let mut client = client(house.at).await;
    let mut asked = tonic::Request::new(b"hello".to_vec());
    asked.metadata_mut().insert("x-api-key", KEY.parse().unwrap());
    assert_eq!(client.unary(asked, path(PUT), Plain).await.unwrap().into_inner(), b"hello");
    assert!(!a.asked()[0].headers.contains_key("x-api-key"));
}

#[tokio::test]
async fn a_drain_waits_for_calls_and_ends_their_connections() {
    let a = Peer::new(echo);
    let house = house(&[&a]).await;
    let (say, said) = mpsc::unbounded_channel::<Vec<u8>>();
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    let mut client = client(house.at).await;
    let answer = client.streaming(tonic::Request::new(said), path(PUT), Plain).await.unwrap();
    let mut answers = answer.into_inner();
    let drained = house.drain();
    until("new connections are refused", || std::net::TcpStream::connect(house.at).is_err().then_some(()))
        .await;
    say.send(b"still".to_vec()).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), b"still");
    assert!(!drained.is_finished());
    drop(say);
    assert_eq!(answers.message().await.unwrap(), None);
    assert!(timeout(PATIENCE, drained).await.unwrap().unwrap().is_empty(), "nothing had to be cut off");
}
