//! Clients that count the frames they get.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

/// RFC 6455's own example of a key.
const HANDSHAKE: &str = "GET /chain HTTP/1.1\r\nhost: bench\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SUBSCRIBE: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;

pub struct Clients {
    many: usize,
    got: Arc<AtomicUsize>,
    all: Arc<Notify>,
    wanted: usize,
}

impl Clients {
    /// Sockets that have subscribed to new heads.
    pub async fn subscribe(at: &str, many: usize) -> Self {
        let clients = Self::new(many);
        for _ in 0..many {
            let mut stream = loop {
                match TcpStream::connect(at).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                }
            };
            stream.write_all(HANDSHAKE.as_bytes()).await.expect("it reads");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a handshake"));
            }
            assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
            // Masked with zeros.
            let mut frame = vec![0x81, 0x80 | SUBSCRIBE.len() as u8, 0, 0, 0, 0];
            frame.extend_from_slice(SUBSCRIBE);
            stream.write_all(&frame).await.expect("it reads");
            clients.count(stream);
        }
        let mut clients = clients;
        clients.all_have(1).await; // the answers
        clients
    }

    /// Plain connections.
    pub async fn connect(at: &str, many: usize) -> Self {
        let clients = Self::new(many);
        for _ in 0..many {
            clients.count(TcpStream::connect(at).await.expect("it accepts"));
        }
        clients
    }

    fn new(many: usize) -> Self {
        Self { many, got: Arc::default(), all: Arc::default(), wanted: 0 }
    }

    fn count(&self, mut stream: TcpStream) {
        let (got, all, many) = (self.got.clone(), self.all.clone(), self.many);
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(8 * 1024);
            while let Ok(1..) = stream.read_buf(&mut buffer).await {
                while let Some((op, length)) = frame(&buffer) {
                    if op == 1 && (got.fetch_add(1, Relaxed) + 1).is_multiple_of(many) {
                        all.notify_one();
                    }
                    buffer.drain(..length);
                }
            }
        });
    }

    /// Waits until all have so many more frames.
    pub async fn all_have(&mut self, more: usize) {
        self.wanted += more * self.many;
        while self.got.load(Relaxed) < self.wanted {
            self.all.notified().await;
        }
    }
}

/// Kind and length of the frame that the buffer begins with, if it is all there.
fn frame(buffer: &[u8]) -> Option<(u8, usize)> {
    let (op, short) = (*buffer.first()? & 15, *buffer.get(1)? & 127);
    let length = match short {
        126 => 4 + usize::from(u16::from_be_bytes([*buffer.get(2)?, *buffer.get(3)?])),
        127 => 10 + u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?) as usize,
        short => 2 + usize::from(short),
    };
    (buffer.len() >= length).then_some((op, length))
}
