//! Requests whose bodies go on as they come.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use seawall_gateway::{
    core::{outcome::Effect, path::Pattern},
    estate::{IdAt, PathRule, PoolKind, PoolSection},
};
use tokio::{io::AsyncWriteExt, task::JoinHandle, time::timeout};

use crate::{
    client::{PATIENCE, Wire},
    house::{House, api_at, first_preferred, limits, until},
    paths::lookup,
    port::Port,
    upstream::Gate,
};

const MIB: usize = 1 << 20;
const LARGE: usize = 64 * MIB;

/// What an upstream has seen of one body.
#[derive(Debug, Clone, Default)]
struct Seen {
    head: String,
    bytes: usize,
    digest: Option<Vec<u8>>,
    /// It ended short.
    cut: bool,
}

/// What an upstream does with bodies.
#[derive(Clone)]
enum Does {
    /// Reads them, once the gate is open.
    Reads(Gate),
    /// Resets the connection after so many bytes.
    Dies(usize),
    /// Answers with that status and reads nothing.
    Answers(u16),
}

/// An upstream that takes bodies as they come.
struct Sink {
    port: Arc<Port>,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

impl Sink {
    fn new(does: Does) -> Self {
        let port = Arc::new(Port::new());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let serving = tokio::spawn(serve(port.listen(), does, seen.clone()));
        Self { port, seen, serving }
    }

    fn reading() -> Self {
        let gate = Gate::shut();
        gate.open();
        Self::new(Does::Reads(gate))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What it has seen of its only body, once that has ended.
    async fn whole(&self) -> Seen {
        until("a body ends", || self.seen().pop().filter(|s| s.cut || s.digest.is_some())).await
    }

    async fn die(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: tokio::net::TcpListener, does: Does, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (does, seen) = (does.clone(), seen.clone());
        let service = service_fn(move |request| take(request, does.clone(), seen.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    request: Request<Incoming>,
    does: Does,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let head = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
    if request.method() == "GET" {
        return Ok(Response::new(Full::new("it is there".into())));
    }
    let n = {
        let mut seen = seen.lock().unwrap();
        seen.push(Seen { head, ..Seen::default() });
        seen.len() - 1
    };
    let answer =
        |status, text: String| Ok(Response::builder().status(status).body(Full::new(text.into())).unwrap());
    let most = match does {
        Does::Reads(gate) => {
            gate.passed().await;
            usize::MAX
        }
        Does::Dies(after) => after,
        Does::Answers(status) => return answer(status, "no".into()),
    };
    let (mut body, mut digest) = (request.into_body(), Context::new(&SHA256));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            seen.lock().unwrap()[n].cut = true;
            return Err(std::io::Error::other("cut"));
        };
        let Ok(data) = frame.into_data() else { continue };
        digest.update(&data);
        let mut seen = seen.lock().unwrap();
        seen[n].bytes += data.len();
        if seen[n].bytes >= most {
            return Err(std::io::Error::other("it dies"));
        }
    }
    let bytes = {
        let mut seen = seen.lock().unwrap();
        seen[n].digest = Some(digest.finish().as_ref().to_vec());
        seen[n].bytes
    };
    answer(201, format!("took {bytes}"))
}

fn rule() -> PathRule {
    PathRule {
        upload: Some(1 << 30),
        effect: Some(Effect::Write),
        ..PathRule::new(Pattern::parse("/files/**").unwrap())
    }
}

fn pool_by(rule: PathRule, sinks: &[&Sink]) -> PoolSection {
    let mut pool = first_preferred(api_at(&sinks.iter().map(|s| s.port.at()).collect::<Vec<_>>()));
    let PoolKind::Http(http) = &mut pool.kind else { unreachable!("it is an API's") };
    http.paths = vec![rule];
    pool
}

async fn house(sinks: &[&Sink]) -> House {
    House::new(vec![pool_by(rule(), sinks)]).await
}

/// No two MiB of it are alike.
fn piece(n: usize) -> Vec<u8> {
    (0..MIB as u32).map(|i| ((i ^ ((n as u32) << 20)).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn digest_of(pieces: usize) -> Vec<u8> {
    let mut digest = Context::new(&SHA256);
    (0..pieces).for_each(|n| digest.update(&piece(n)));
    digest.finish().as_ref().to_vec()
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

async fn begin(at: SocketAddr, headers: &str) -> Wire {
    let mut wire = Wire::to(at).await;
    let head = format!("POST /api/files/x HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{headers}\r\n");
    wire.say(head).await.unwrap();
    wire
}

async fn chunk(wire: &mut Wire, data: &[u8]) -> std::io::Result<()> {
    wire.say(format!("{:x}\r\n", data.len())).await?;
    wire.say(data).await?;
    wire.say("\r\n").await
}

async fn send_all(wire: &mut Wire, chunked: bool) {
    for n in 0..LARGE / MIB {
        match chunked {
            true => chunk(wire, &piece(n)).await.unwrap(),
            false => wire.say(piece(n)).await.unwrap(),
        }
    }
    if chunked {
        wire.say("0\r\n\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn a_large_body_goes_through_as_it_is() {
    for chunked in [true, false] {
        let a = Sink::reading();
        let house = house(&[&a]).await;
        let length = format!("content-length: {LARGE}\r\n");
        let mut wire = begin(house.at, if chunked { CHUNKED } else { &length }).await;
        send_all(&mut wire, chunked).await;
        let answer = wire.hear_to_the_end().await;
        assert!(answer.starts_with("HTTP/1.1 201 ") && answer.ends_with("took 67108864"), "{answer}");
        let seen = a.whole().await;
        assert_eq!((seen.bytes, seen.digest), (LARGE, Some(digest_of(LARGE / MIB))));
        assert_eq!(seen.head.contains("content-length"), !chunked, "{}", seen.head);
    }
}

/// What the upstream does not take stays with the client: nothing in between holds more than a few buffers.
#[tokio::test]
async fn a_slow_upstream_holds_its_client_back() {
    let gate = Gate::shut();
    let a = Sink::new(Does::Reads(gate.clone()));
    let mut pool = pool_by(rule(), &[&a]);
    pool.attempt_timeout = PATIENCE;
    let house = House::new(vec![pool]).await;
    let mut wire = begin(house.at, CHUNKED).await;
    let (mut sent, mut waiting) = (0, Vec::new());
    'held: for n in 0..LARGE / MIB {
        let data = piece(n);
        waiting = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
        while !waiting.is_empty() {
            // However loaded the machine is, to wait too short a time makes the test no stricter.
            match timeout(Duration::from_secs(1), wire.0.write(&waiting)).await {
                Ok(written) => drop(waiting.drain(..written.unwrap())),
                Err(_) => break 'held,
            }
        }
        sent = n + 1;
    }
    assert!(sent < LARGE / MIB, "all of it was taken by somebody");
    assert!(a.seen().iter().all(|seen| seen.bytes == 0));
    gate.open();
    wire.say(&waiting).await.unwrap();
    for n in sent + 1..LARGE / MIB {
        chunk(&mut wire, &piece(n)).await.unwrap();
    }
    wire.say("0\r\n\r\n").await.unwrap();
    assert!(wire.hear_to_the_end().await.starts_with("HTTP/1.1 201 "));
    let seen = a.whole().await;
    assert_eq!((seen.bytes, seen.digest), (LARGE, Some(digest_of(LARGE / MIB))));
}

#[tokio::test]
async fn an_upstream_that_dies_half_way_leaves_the_outcome_unknown() {
    let (a, b) = (Sink::new(Does::Dies(3 * MIB)), Sink::reading());
    let house = house(&[&a, &b]).await;
    let mut wire = begin(house.at, CHUNKED).await;
    for n in 0..8 {
        // The gateway may end the connection before all of it has been sent.
        if chunk(&mut wire, &piece(n)).await.is_err() {
            break;
        }
    }
    let answer = wire.hear_to_the_end().await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("SW0305"), "{answer}");
    assert!(answer.contains("x-seawall-outcome: unknown"), "{answer}");
    assert_eq!((b.seen().len(), house.counted("unknown_writes")), (0, 1));
    assert_eq!(house.view(0, 0).in_flight, 0);
}

#[tokio::test]
async fn an_upload_in_doubt_is_looked_up_by_the_id_in_its_header() {
    let a = Sink::new(Does::Dies(MIB));
    let id = Some(IdAt::Header("idempotency-key".parse().unwrap()));
    let rule = PathRule { id, lookup: Some(Arc::new(lookup())), ..rule() };
    let house = House::new(vec![pool_by(rule, &[&a])]).await;
    let mut wire = begin(house.at, &format!("idempotency-key: k7\r\n{CHUNKED}")).await;
    for n in 0..2 {
        let _ = chunk(&mut wire, &piece(n)).await;
    }
    let answer = wire.hear_to_the_end().await;
    assert!(answer.contains("x-seawall-outcome: reconciled") && answer.ends_with("it is there"), "{answer}");
}

#[tokio::test]
async fn when_the_client_breaks_off_the_upstream_sees_the_body_end_short() {
    for headers in [CHUNKED, "content-length: 3000000\r\n"] {
        let (a, b) = (Sink::reading(), Sink::reading());
        let house = house(&[&a, &b]).await;
        let mut wire = begin(house.at, headers).await;
        match headers == CHUNKED {
            true => chunk(&mut wire, &piece(0)).await.unwrap(),
            false => wire.say(piece(0)).await.unwrap(),
        }
        until("some of it has come", || a.seen().iter().any(|s| s.bytes > 0).then_some(())).await;
        drop(wire);
        let seen = a.whole().await;
        assert!(seen.cut && seen.digest.is_none(), "{seen:?}");
        assert_eq!((b.seen().len(), house.ejections(0).len()), (0, 0));
    }
}

/// Else it would keep a place for as long as it likes.
#[tokio::test]
async fn a_client_that_falls_silent_is_not_waited_for_for_ever() {
    let a = Sink::reading();
    let limits = seawall_gateway::estate::Limits { idle: Duration::from_millis(500), ..limits() };
    let house = House::with(limits, vec![pool_by(rule(), &[&a])]).await;
    let mut wire = begin(house.at, CHUNKED).await;
    chunk(&mut wire, b"a first piece").await.unwrap();
    let answer = wire.hear_to_the_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("SW0378"), "{answer}");
    assert!(a.whole().await.cut);
    assert_eq!((house.ejections(0).len(), house.view(0, 0).failures), (0, 0));
}

#[tokio::test]
async fn one_that_takes_no_connection_is_passed_over_and_the_next_gets_all_of_it() {
    let (mut a, b) = (Sink::reading(), Sink::reading());
    let house = house(&[&a, &b]).await;
    a.die().await;
    // A client that asks first is told to go on once somebody will take it.
    let mut wire = begin(house.at, &format!("expect: 100-continue\r\n{CHUNKED}")).await;
    assert_eq!(wire.hear("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    send_all(&mut wire, true).await;
    assert!(wire.hear_to_the_end().await.starts_with("HTTP/1.1 201 "));
    let seen = b.whole().await;
    assert_eq!((seen.bytes, seen.digest), (LARGE, Some(digest_of(LARGE / MIB))));
    assert!(!seen.head.contains("expect"), "{}", seen.head);
}

#[tokio::test]
async fn with_nobody_to_take_it_no_byte_is_asked_for() {
    let mut a = Sink::reading();
    let house = house(&[&a]).await;
    a.die().await;
    let mut wire = begin(house.at, &format!("expect: 100-continue\r\n{CHUNKED}")).await;
    let answer = wire.hear_to_the_end().await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("SW0306"), "{answer}");
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused_at_once_or_cut_off() {
    let a = Sink::reading();
    let rule = PathRule { upload: Some(MIB as u64 / 2), ..rule() };
    let house = House::new(vec![pool_by(rule, &[&a])]).await;
    let mut wire = begin(house.at, &format!("content-length: {MIB}\r\n")).await;
    let answer = wire.hear_to_the_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("SW0312"), "{answer}");
    assert_eq!(a.seen().len(), 0);
    let mut wire = begin(house.at, CHUNKED).await;
    let _ = chunk(&mut wire, &piece(0)).await;
    let answer = wire.hear("SW0312").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("outcome: unknown"), "{answer}");
    let seen = a.whole().await;
    assert!(seen.cut && seen.bytes <= MIB / 2, "{seen:?}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_ends_is_given() {
    let a = Sink::new(Does::Answers(403));
    let house = house(&[&a]).await;
    let mut wire = begin(house.at, CHUNKED).await;
    chunk(&mut wire, b"a first piece").await.unwrap();
    let answer = wire.hear("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    drop(wire);
    // The connection that it came by is not used for another.
    let mut wire = begin(house.at, "content-length: 5\r\n").await;
    wire.say("hello").await.unwrap();
    assert!(wire.hear_to_the_end().await.starts_with("HTTP/1.1 403 "));
}
