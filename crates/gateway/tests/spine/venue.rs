//! A scripted venue: orders over a WebSocket, looked up over HTTP, both at one port.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};

use crate::port::Port;

/// What has happened at a venue.
#[derive(Default)]
pub(crate) struct Books {
    /// How often each order took effect.
    pub(crate) placed: BTreeMap<String, u32>,
    /// How often each order arrived.
    pub(crate) heard: BTreeMap<String, u32>,
    /// The headers of every handshake.
    pub(crate) handshakes: Vec<BTreeMap<String, String>>,
}

/// The venue. What an order's id begins with says what it does about it: `ok` takes it and says so, `hang` takes it and
/// says nothing, `sorry` takes it and says 502, `cut` takes it and is gone, `miss` lets the first fall on the floor.
pub(crate) struct Venue {
    port: Port,
    books: Arc<Mutex<Books>>,
    serving: Option<JoinHandle<()>>,
}

impl Venue {
    pub(crate) fn new() -> Self {
        let mut venue = Self { port: Port::new(), books: Arc::default(), serving: None };
        venue.open();
        venue
    }

    pub(crate) fn open(&mut self) {
        self.serving = Some(tokio::spawn(serve(self.port.listen(), self.books.clone())));
    }

    /// Nobody gets in any more, and whoever is in is thrown out.
    pub(crate) fn shut(&mut self) {
        self.serving.take().inspect(JoinHandle::abort);
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.port.at()
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.shut();
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, books: Arc<Mutex<Books>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, books.clone()));
    }
}

async fn connection(stream: TcpStream, books: Arc<Mutex<Books>>) {
    let mut head = [0; 4096];
    let text = loop {
        let n = stream.peek(&mut head).await.unwrap();
        let text = String::from_utf8_lossy(&head[..n]).into_owned();
        if text.contains("\r\n\r\n") {
            break text;
        }
        if n == 0 {
            return;
        }
    };
    match text.to_ascii_lowercase().contains("upgrade: websocket") {
        true => orders(stream, books).await,
        false => look_up(stream, &text, &books).await,
    }
}

async fn look_up(mut stream: TcpStream, head: &str, books: &Mutex<Books>) {
    let mut heard = vec![0; head.len()];
    stream.read_exact(&mut heard).await.unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let id = path.trim_start_matches("/orders/");
    let (status, body) = match lock(books).placed.get(id) {
        Some(_) => ("200 OK", json!({"order": id}).to_string()),
        None => ("404 Not Found", "{}".to_owned()),
    };
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn orders(stream: TcpStream, books: Arc<Mutex<Books>>) {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let shake = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let mut headers: BTreeMap<_, _> =
            request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        headers.insert(":path".to_owned(), request.uri().to_string());
        if request.uri().path() == "/forbidden" {
            let mut refusal = ErrorResponse::new(Some("not you".to_owned()));
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            return Err(refusal);
        }
        if let Some(offered) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", offered.clone());
        }
        lock(&books).handshakes.push(headers);
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, shake).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            if message.is_binary() {
                socket.send(message).await.unwrap();
            }
            continue;
        };
        let Ok(order) = serde_json::from_str::<Value>(&text) else {
            if text.as_str() == "go away" {
                let frame = CloseFrame { code: 4001.into(), reason: "as you say".into() };
                socket.close(Some(frame)).await.unwrap();
                return;
            }
            socket.send(Message::Text(format!("echo {text}").into())).await.unwrap();
            continue;
        };
        let id = order["order"].as_str().unwrap().to_owned();
        let first = {
            let mut books = lock(&books);
            let times = books.heard.entry(id.clone()).or_default();
            *times += 1;
            let first = *times == 1;
            if !(first && id.starts_with("miss")) {
                *books.placed.entry(id.clone()).or_default() += 1;
            }
            first
        };
        let answer = match id.split('-').next().unwrap() {
            "cut" => return,
            "hang" => continue,
            "miss" if first => continue,
            "sorry" => json!({"req": order["req"], "error": {"code": 502}}),
            _ => json!({"req": order["req"], "taken": id}),
        };
        socket.send(Message::Text(answer.to_string().into())).await.unwrap();
    }
}
