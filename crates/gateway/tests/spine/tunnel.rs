//! WebSockets to HTTP APIs: messages go through as they are, and an order is told its outcome whatever happens.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::SinkExt;
use seawall_gateway::{
    ModeSet,
    core::{mode::Mode, path::Pattern},
    estate::{LookupRule, MessageRule, PathRule, PoolKind, PoolSection, Sign, SocketRule},
};
use seawall_model::{Name, Wall};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{
        Error, Message, client::IntoClientRequest, handshake::client::Response, protocol::CloseFrame,
    },
};

use crate::{
    client::PATIENCE,
    house::{House, api_at, first_preferred, until},
    paths::lookup,
    socket::Socket,
    venue::Venue,
};

/// A pool of these, whose orders are known as such; the first is asked first.
fn orders(venues: &[&Venue], resume: bool) -> PoolSection {
    let lookup = LookupRule { resend: true, ..lookup() };
    let place = MessageRule {
        when: Sign { at: "/op".into(), is: "place".into() },
        id: "/order".into(),
        unsure: vec![Sign { at: "/error/code".into(), is: "502".into() }],
        critical: false,
        lookup: Arc::new(lookup),
    };
    let rule = PathRule {
        attempt_timeout: Some(Duration::from_millis(300)),
        deadline: Some(Duration::from_secs(2)),
        socket: Some(Arc::new(SocketRule { id: "req".into(), resume, messages: vec![place] })),
        ..PathRule::new(Pattern::parse("/ws").unwrap())
    };
    let mut pool = plain(venues);
    let PoolKind::Http(http) = &mut pool.kind else { unreachable!("it is an API's") };
    http.paths = vec![rule];
    // All lead to one account, where an order is known wherever it was placed.
    for upstream in &mut pool.upstreams {
        upstream.provider = Name::new("venue").unwrap();
    }
    pool
}

fn plain(venues: &[&Venue]) -> PoolSection {
    first_preferred(api_at(&venues.iter().map(|venue| venue.at()).collect::<Vec<_>>()))
}

async fn open(at: SocketAddr, path: &str) -> Result<(Socket, Response), Error> {
    let mut request = format!("ws://{at}/api{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "orders.v1".parse().unwrap());
    request.headers_mut().insert("x-mine", "kept".parse().unwrap());
    let stream = TcpStream::connect(at).await.unwrap();
    client_async(request, stream).await.map(|(socket, answer)| (Socket(socket), answer))
}

async fn place(socket: &mut Socket, req: u32, order: &str) {
    socket.say(json!({"req": req, "op": "place", "order": order}).to_string()).await;
}

#[tokio::test]
async fn messages_go_through_as_they_are_and_so_does_a_goodbye() {
    let venue = Venue::new();
    let house = House::new(vec![plain(&[&venue])]).await;
    let (mut socket, answer) = open(house.at, "/feed?depth=5").await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "orders.v1");
    socket.say("hello").await;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Text("echo hello".into()));
    let bytes = Message::Binary(vec![0, 255, 7].into());
    socket.0.send(bytes.clone()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), bytes);
    socket.say("go away").await;
    let frame = CloseFrame { code: 4001.into(), reason: "as you say".into() };
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(frame)));
    let handshake = venue.books().handshakes[0].clone();
    assert_eq!(handshake[":path"], "/feed?depth=5");
    assert_eq!((&*handshake["x-mine"], &*handshake["host"]), ("kept", "a.test"));
    assert!(!handshake.contains_key("sec-websocket-extensions"));
}

#[tokio::test]
async fn it_is_opened_where_it_can_be_and_a_refusal_is_the_clients() {
    let (mut dead, venue) = (Venue::new(), Venue::new());
    dead.shut();
    let house = House::new(vec![plain(&[&dead, &venue])]).await;
    let (mut socket, _) = open(house.at, "/ws").await.unwrap();
    socket.say("hello").await;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Text("echo hello".into()));
    let Err(Error::Http(refusal)) = open(house.at, "/forbidden").await else { panic!("it was opened") };
    assert_eq!((refusal.status().as_u16(), refusal.body().as_deref()), (403, Some(&b"not you"[..])));
    drop(venue);
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else { panic!("no goodbye") };
    assert_eq!((u16::from(frame.code), frame.reason.get(..6)), (1012, Some("SW0375")));
    let Err(Error::Http(refusal)) = open(house.at, "/ws").await else { panic!("it was opened") };
    assert_eq!(refusal.status(), 502);
}

#[tokio::test]
async fn an_order_is_told_its_outcome_and_is_never_doubled() {
    let venue = Venue::new();
    let house = House::new(vec![orders(&[&venue], false)]).await;
    let (mut socket, _) = open(house.at, "/ws").await.unwrap();
    place(&mut socket, 1, "ok-1").await;
    assert_eq!(socket.hear().await, json!({"req": 1, "taken": "ok-1"}));
    for (req, order) in [(2, "hang-1"), (3, "sorry-1")] {
        place(&mut socket, req, order).await;
        let told = json!({"req": req, "outcome": "reconciled", "status": 200, "result": {"order": order}});
        assert_eq!(socket.hear().await, told);
    }
    place(&mut socket, 4, "miss-1").await;
    assert_eq!(socket.hear().await, json!({"req": 4, "taken": "miss-1"}), "sent again once proven absent");
    place(&mut socket, 5, "cut-1").await;
    let told = json!({"req": 5, "outcome": "reconciled", "status": 200, "result": {"order": "cut-1"}});
    assert_eq!(socket.hear().await, told);
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else { panic!("no goodbye") };
    assert_eq!(u16::from(frame.code), 1012);
    let books = venue.books();
    assert_eq!(books.placed.len(), 5);
    assert!(books.placed.values().all(|times| *times == 1), "{:?}", books.placed);
    assert_eq!(books.heard["miss-1"], 2);
}

#[tokio::test]
async fn another_socket_takes_the_place_of_one_that_is_lost() {
    let (mut first, second) = (Venue::new(), Venue::new());
    let house = House::new(vec![orders(&[&first, &second], true)]).await;
    let (mut socket, _) = open(house.at, "/ws").await.unwrap();
    place(&mut socket, 1, "ok-1").await;
    assert_eq!(socket.hear().await["taken"], "ok-1");
    first.shut();
    let moved = || (!second.books().handshakes.is_empty()).then_some(());
    until("another is opened at the second", moved).await;
    place(&mut socket, 2, "ok-2").await;
    assert_eq!(socket.hear().await, json!({"req": 2, "taken": "ok-2"}));
    assert_eq!(second.books().placed["ok-2"], 1);
    assert_eq!(second.books().handshakes[0]["x-mine"], "kept");
    drop(second);
    let Some(Ok(Message::Close(Some(frame)))) =
        tokio::time::timeout(PATIENCE, socket.next()).await.expect("it ends")
    else {
        panic!("no goodbye")
    };
    assert_eq!((u16::from(frame.code), frame.reason.get(..6)), (1013, Some("SW0301")));
}

#[tokio::test]
async fn what_cannot_be_told_apart_or_is_not_let_through_is_not_sent() {
    let venue = Venue::new();
    let house = House::new(vec![orders(&[&venue], false)]).await;
    let (mut socket, _) = open(house.at, "/ws").await.unwrap();
    socket.say(json!({"op": "place", "order": "ok-0"}).to_string()).await;
    let told = socket.hear().await;
    assert_eq!((&told["outcome"], &told["error"]["code"]), (&json!("absent"), &json!("SW0376")));
    place(&mut socket, 1, "hang-1").await;
    place(&mut socket, 1, "ok-1").await;
    let told = socket.hear().await;
    assert_eq!((&told["outcome"], &told["error"]["code"]), (&json!("absent"), &json!("SW0377")));
    assert_eq!(socket.hear().await["outcome"], "reconciled");
    let set = ModeSet { mode: Mode::ReadOnly, since: Wall(0), reason: None };
    house.gateway.set_mode(Some("api"), &set).unwrap();
    place(&mut socket, 2, "ok-2").await;
    let told = socket.hear().await;
    assert_eq!((&told["outcome"], &told["error"]["code"]), (&json!("absent"), &json!("SW0363")));
    assert_eq!(venue.books().heard.keys().collect::<Vec<_>>(), ["hang-1"]);
}

#[tokio::test]
async fn a_socket_goes_on_in_the_pool_as_a_reload_has_left_it() {
    let (first, second) = (Venue::new(), Venue::new());
    let pool = orders(&[&first, &second], true);
    let house = House::new(vec![pool.clone()]).await;
    let (mut socket, _) = open(house.at, "/ws").await.unwrap();
    place(&mut socket, 1, "ok-1").await;
    assert_eq!(socket.hear().await["taken"], "ok-1");
    let mut section = house.section.clone();
    section.pools = vec![PoolSection { upstreams: vec![pool.upstreams[1].clone()], ..pool }];
    house.gateway.reload(section).unwrap();
    let moved = || (!second.books().handshakes.is_empty()).then_some(());
    until("it has gone to whoever is left", moved).await;
    place(&mut socket, 2, "ok-2").await;
    assert_eq!(socket.hear().await, json!({"req": 2, "taken": "ok-2"}));
    assert_eq!(second.books().placed["ok-2"], 1);
    assert_eq!(first.books().handshakes.len(), 1, "nobody came back to the one that is gone");
}
