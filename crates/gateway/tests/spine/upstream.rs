//! A scripted upstream: an HTTP/1.1 server of our own on a real port that hears whole requests and says, or
//! does to the connection, what the test's script tells it to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::port::Port;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Request line and headers, as they were on the wire.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// The JSON-RPC call in it.
    pub(crate) fn call(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC method in it.
    pub(crate) fn method(&self) -> String {
        self.call()["method"].as_str().unwrap_or_default().to_owned()
    }

    /// The values of a header, joined; `None` if it is not there.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let values: Vec<_> =
            lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// What the connection sees once a part of an answer has gone out.
#[derive(Clone)]
pub(crate) enum Then {
    Close,
    /// It is reset once the gate is open.
    Reset(Gate),
    Silence,
}

/// What is done about a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Status, header lines (each ending in CRLF) and a body, whole.
    Whole(u16, String, Vec<u8>),
    /// A status of 200 and a body, of which the first bytes come.
    Part(Vec<u8>, usize, Then),
    /// These bytes, whatever they are, and the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, others once the gate is open, and the end of the connection.
    Pieces(Vec<u8>, Gate, Vec<u8>),
    /// The connection is reset.
    Reset,
    /// Nothing, ever.
    Silence,
    /// That, once the gate is open.
    Behind(Gate, Box<Self>),
    /// That, after a while.
    Late(Duration, Box<Self>),
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self::Whole(200, "content-type: application/json\r\n".into(), body.to_string().into_bytes())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Whole(status, String::new(), b"busy".to_vec())
    }
}

/// Holds replies until the test opens it.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn shut() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn passed(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

type Script = Arc<dyn Fn(&Heard) -> Reply + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    heard: Mutex<Vec<Heard>>,
    /// False while no new connection is taken.
    door: watch::Sender<bool>,
}

/// A scripted upstream on a port of its own.
pub(crate) struct Upstream {
    port: Arc<Port>,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn new(script: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        let port = Arc::new(Port::new());
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            heard: Mutex::default(),
            door: watch::Sender::new(true),
        });
        let serving = tokio::spawn(serve(port.clone(), port.listen(), shared.clone()));
        Self { port, shared, serving }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.port.at()
    }

    /// From now on it does that.
    pub(crate) fn does(&self, script: impl Fn(&Heard) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Every request so far, of clients and of polls.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests so far whose JSON-RPC method that is.
    pub(crate) fn calls(&self, method: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.method() == method).collect()
    }

    /// From now on it takes new connections, or none; those that are there go on either way.
    pub(crate) fn set_door(&self, open: bool) {
        self.shared.door.send_replace(open);
    }

    /// Closes its listener and every connection.
    pub(crate) async fn die(&mut self) {
        self.serving.abort();
        // An error says that it was aborted, and so that the port is closed.
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(port: Arc<Port>, first: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut door = shared.door.subscribe();
    let mut listener = Some(first);
    loop {
        tokio::select! {
            changed = door.changed() => {
                if changed.is_err() {
                    return;
                }
                listener = None;
                if *door.borrow_and_update() {
                    listener = Some(port.listen());
                }
            }
            Some(accepted) = accept(listener.as_ref()) => {
                connections.spawn(connection(accepted, shared.clone()));
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut unread = Vec::new();
    while let Some(heard) = hear(&mut stream, &mut unread).await {
        shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard.clone());
        let script = shared.script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut reply = script(&heard);
        loop {
            reply = match reply {
                Reply::Behind(gate, reply) => {
                    gate.passed().await;
                    *reply
                }
                Reply::Late(wait, reply) => {
                    tokio::time::sleep(wait).await;
                    *reply
                }
                now => break reply = now,
            };
        }
        if !perform(&mut stream, reply).await {
            return;
        }
    }
}

/// Reads one request; `None` at the connection's end. The gateway sends every body with its length.
async fn hear(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Heard> {
    let end = loop {
        if let Some(at) = unread.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, unread).await?;
    };
    let head = String::from_utf8_lossy(&unread[..end]).into_owned();
    let mut heard = Heard { head, body: Vec::new() };
    let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap());
    while unread.len() < end + length {
        more(stream, unread).await?;
    }
    heard.body = unread[end..end + length].to_vec();
    unread.drain(..end + length);
    Some(heard)
}

async fn more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(unread).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

/// True if the connection goes on. That the gateway has left it is nothing to an upstream.
async fn perform(stream: &mut TcpStream, reply: Reply) -> bool {
    let head = |status: u16, headers: &str, length: usize| {
        format!("HTTP/1.1 {status} as scripted\r\n{headers}content-length: {length}\r\n\r\n").into_bytes()
    };
    match reply {
        Reply::Whole(status, headers, body) => {
            let answer = [head(status, &headers, body.len()), body].concat();
            stream.write_all(&answer).await.is_ok()
        }
        Reply::Part(body, kept, then) => {
            let answer = [&head(200, "", body.len())[..], &body[..kept]].concat();
            let _ = stream.write_all(&answer).await;
            match then {
                Then::Close => {}
                Then::Reset(gate) => {
                    gate.passed().await;
                    stream.set_zero_linger().unwrap();
                }
                Then::Silence => std::future::pending().await,
            }
            false
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reply::Pieces(first, gate, second) => {
            let _ = stream.write_all(&first).await;
            gate.passed().await;
            let _ = stream.write_all(&second).await;
            false
        }
        Reply::Reset => {
            stream.set_zero_linger().unwrap();
            false
        }
        Reply::Silence => std::future::pending().await,
        Reply::Behind(..) | Reply::Late(..) => unreachable!("waited out before"),
    }
}
