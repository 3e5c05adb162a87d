//! WebSockets: calls on them, and what becomes of those that are misused.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, protocol::CloseFrame, protocol::frame::coding::CloseCode},
};

use crate::{
    client::{PATIENCE, Wire, balance_of, body, request, send},
    house::{House, chain, limits, until},
    node::{BALANCE, but, honest, node},
    upstream::{Gate, Reply},
};

/// A client's socket.
pub(crate) struct Socket(pub(crate) WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn to(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        let (socket, answer) = client_async(format!("ws://{at}/chain"), stream).await.unwrap();
        assert_eq!(answer.status(), 101);
        Self(socket)
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::Text(text.into().into())).await.unwrap();
    }

    /// The next message that is no ping.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("something happens") {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                next => return next,
            }
        }
    }

    /// The next message, which must be JSON.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text but {other:?}"),
        }
    }

    /// Makes a call and waits for its answer; nothing else may come before it.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.say(body(7, method, &params)).await;
        let answer = self.hear().await;
        assert_eq!(answer["id"], 7, "{answer}");
        answer
    }

    /// Subscribes; the subscription's id.
    pub(crate) async fn subscribe(&mut self, params: Value) -> Value {
        let answer = self.call("eth_subscribe", params).await;
        assert!(answer["result"].is_string(), "{answer}");
        answer["result"].clone()
    }

    /// Why the gateway ends it; whatever else it says before that is passed over.
    pub(crate) async fn end(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return (code.into(), reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("it ended without a word: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn calls_are_answered_as_they_are_done() {
    let a = node().await;
    let gate = Gate::shut();
    let (method, params) = balance_of();
    let shut = gate.clone();
    a.does(but(method, move |heard| match heard.call()["params"][0].as_str() {
        Some("0xslow") => Reply::Behind(shut.clone(), Box::new(honest(heard))),
        _ => honest(heard),
    }));
    let house = House::new(vec![chain(&[&a])]).await;
    let mut socket = Socket::to(house.at).await;
    socket.say(body(1, method, &json!(["0xslow", "latest"]))).await;
    until("it is under way", || (!a.calls(method).is_empty()).then_some(())).await;
    socket.say(body(2, method, &params)).await;
    assert_eq!(socket.hear().await, json!({"jsonrpc": "2.0", "id": 2, "result": BALANCE}));
    gate.open();
    assert_eq!(socket.hear().await, json!({"jsonrpc": "2.0", "id": 1, "result": BALANCE}));
    // Batches come in the order of their calls, notifications are not answered, and nonsense is.
    let batch = json!([
        {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": "b", "method": method, "params": params},
    ]);
    socket.say(batch.to_string()).await;
    let ids: Vec<_> = socket.hear().await.as_array().unwrap().iter().map(|a| a["id"].clone()).collect();
    assert_eq!(ids, ["a", "b"]);
    socket.say("{").await;
    assert_eq!(socket.hear().await["error"]["code"], -32700);
    socket.0.send(Message::Binary(body(3, "eth_chainId", &json!([])).into())).await.unwrap();
    assert_eq!(socket.hear().await["result"], "0x7");
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let ask = |version: &str, key: &str| {
        let mut asked = request("GET", "/chain", "");
        let headers = asked.headers_mut();
        headers.insert("connection", "Upgrade".parse().unwrap());
        headers.insert("upgrade", "websocket".parse().unwrap());
        headers.insert("sec-websocket-version", version.parse().unwrap());
        headers.insert("sec-websocket-key", key.parse().unwrap());
        send(house.at, asked)
    };
    let old = ask("8", "dGhlIHNhbXBsZSBub25jZQ==").await.unwrap();
    assert_eq!((old.status.as_u16(), old.headers["sec-websocket-version"].to_str().unwrap()), (426, "13"));
    assert_eq!(ask("13", "short").await.unwrap().status, 400);
    assert_eq!(send(house.at, request("GET", "/chain", "")).await.unwrap().status, 405);
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_so() {
    let a = node().await;
    let mut limits = limits();
    limits.request_body = 4_096;
    let house = House::with(limits, vec![chain(&[&a])]).await;
    let mut socket = Socket::to(house.at).await;
    socket.say(" ".repeat(4_097)).await;
    assert_eq!(socket.end().await.0, 1009);
    // Frames of our own: text that is no UTF-8, a reserved bit, a frame that is not masked.
    let handshake = "GET /chain HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (frame, code) in [
        (&b"\x81\x81\0\0\0\0\xff"[..], CloseCode::Invalid),
        (b"\xf1\x80\0\0\0\0", CloseCode::Protocol),
        (b"\x81\x01x", CloseCode::Protocol),
    ] {
        let mut wire = Wire::to(house.at).await;
        wire.say(handshake).await.unwrap();
        let head = wire.hear("\r\n\r\n").await;
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key of RFC 6455's example: {head}");
        wire.say(frame).await.unwrap();
        let said = wire.hear_to_the_end_raw().await;
        assert_eq!(said[0], 0x88, "{said:?}");
        assert_eq!(u16::from_be_bytes([said[2], said[3]]), u16::from(code));
    }
    until("they are gone", || (house.gauge("sockets") == 0.0).then_some(())).await;
}

#[tokio::test]
async fn sockets_are_limited_and_counted() {
    let a = node().await;
    let mut limits = limits();
    limits.sockets.open = 1;
    let house = House::with(limits, vec![chain(&[&a])]).await;
    let first = Socket::to(house.at).await;
    let stream = TcpStream::connect(house.at).await.unwrap();
    match client_async(format!("ws://{}/chain", house.at), stream).await {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 503),
        other => panic!("not refused: {other:?}"),
    }
    drop(first);
    until("it is gone", || (house.gauge("sockets") == 0.0).then_some(())).await;
    Socket::to(house.at).await;
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_and_says_goodbye() {
    let a = node().await;
    let gate = Gate::shut();
    let (method, params) = balance_of();
    let shut = gate.clone();
    a.does(but(method, move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = House::new(vec![chain(&[&a])]).await;
    let (mut busy, mut idle) = (Socket::to(house.at).await, Socket::to(house.at).await);
    busy.say(body(1, method, &params)).await;
    until("it is in flight", || (!a.calls(method).is_empty()).then_some(())).await;
    let drained = house.drain();
    assert_eq!(idle.end().await.0, 1001);
    gate.open();
    assert_eq!(busy.hear().await["result"], BALANCE);
    assert_eq!(busy.end().await.0, 1001);
    drop((busy, idle));
    assert!(drained.await.unwrap().is_empty(), "nothing had to be cut off");
}

#[tokio::test]
async fn a_client_that_is_not_there_any_more_is_let_go() {
    let a = node().await;
    let mut limits = limits();
    limits.idle = std::time::Duration::from_millis(400);
    let house = House::with(limits, vec![chain(&[&a])]).await;
    let mut there = Socket::to(house.at).await;
    // This one reads nothing, and so answers no ping.
    let _gone = Socket::to(house.at).await;
    let stays = async {
        // Reading answers the pings.
        while there.0.next().await.is_some() {}
    };
    tokio::select! {
        () = stays => panic!("one that answers is kept"),
        () = until("the other is gone", || (house.gauge("sockets") == 1.0).then_some(())) => {}
    }
}
