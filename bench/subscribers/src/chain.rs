//! Three upstreams of one chain that grows when it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

const CHAIN: u64 = 7;
const UPSTREAMS: usize = 3;

pub struct Chain {
    head: Arc<AtomicU64>,
    moved: watch::Sender<u64>,
    http: Vec<SocketAddr>,
    sockets: Vec<SocketAddr>,
}

impl Chain {
    pub async fn start() -> Self {
        let (head, moved) = (Arc::new(AtomicU64::new(1_000)), watch::Sender::new(0));
        let (mut http, mut sockets) = (Vec::new(), Vec::new());
        for _ in 0..UPSTREAMS {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            http.push(listener.local_addr().expect("an address"));
            let answering = head.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, answering.clone()));
                }
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sockets.push(listener.local_addr().expect("an address"));
            let (telling, moves) = (head.clone(), moved.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(tell(stream, telling.clone(), moves.subscribe()));
                }
            });
        }
        Self { head, moved, http, sockets }
    }

    /// The estate, and where the gateway listens.
    pub fn estate(&self) -> (String, String) {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        let (listen, admin) = (free(), free());
        let mut estate = format!(
            "[listen]\ngateway = \"{listen}\"\nadmin = \"{admin}\"\nworkers = 1\n\n[limits]\nidle = \"1h\"\n\n\
             [providers.a]\n[providers.b]\n[providers.c]\n\n\
             [pools.chain]\nkind = \"evm\"\nchain_id = {CHAIN}\nblock_time = \"2s\"\npoll = \"1s\"\n"
        );
        for (i, (http, socket)) in self.http.iter().zip(&self.sockets).enumerate() {
            let name = ["a", "b", "c"][i];
            estate += &format!(
                "\n[[pools.chain.upstreams]]\nname = \"{name}\"\nprovider = \"{name}\"\n\
                 url = \"http://{http}/\"\nws_url = \"ws://{socket}/\"\n"
            );
        }
        (estate, listen.to_string())
    }

    /// One block more.
    pub fn grow(&self) {
        let head = self.head.fetch_add(1, Relaxed) + 1;
        self.moved.send_replace(head);
    }

    /// The frame that tells a subscriber of the head.
    pub fn frame(&self) -> Vec<u8> {
        let text = json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": {
            "subscription": format!("0x{:032x}", u128::MAX), "result": block(self.head.load(Relaxed))}})
        .to_string();
        let mut frame = vec![0x81, 126];
        frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
        frame.extend_from_slice(text.as_bytes());
        frame
    }
}

fn hash(number: u64) -> String {
    format!("0x{:064x}", number + 0xb10c_0000)
}

/// A header as large as mainnet's.
fn block(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"), "hash": hash(number), "parentHash": hash(number - 1),
        "timestamp": format!("{:#x}", 0x6553_f100 + 2 * number), "logsBloom": format!("0x{}", "0".repeat(512)),
        "stateRoot": hash(1), "transactionsRoot": hash(2), "receiptsRoot": hash(3), "sha3Uncles": hash(4),
        "mixHash": hash(5), "withdrawalsRoot": hash(6), "parentBeaconBlockRoot": hash(7), "requestsHash": hash(8),
        "miner": format!("0x{:040x}", 9), "extraData": "0x", "nonce": "0x0000000000000000", "difficulty": "0x0",
        "gasLimit": "0x2255100", "gasUsed": "0x112a880", "baseFeePerGas": "0x3b9aca00", "blobGasUsed": "0x20000",
        "excessBlobGas": "0x0",
    })
}

async fn answer(mut stream: TcpStream, head: Arc<AtomicU64>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut unread = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            (stream.read_buf(&mut unread).await.ok()? > 0).then_some(())?;
        };
        let text = String::from_utf8_lossy(&unread[..end]).to_ascii_lowercase();
        let length = text.lines().find_map(|l| l.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
        while unread.len() < end + length {
            (stream.read_buf(&mut unread).await.ok()? > 0).then_some(())?;
        }
        let call: Value = serde_json::from_slice(&unread[end..end + length]).ok()?;
        unread.drain(..end + length);
        let which = call["params"][0].as_str().unwrap_or_default();
        let now = head.load(Relaxed);
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(now);
        let result = match call["method"].as_str()? {
            "eth_chainId" => json!(format!("{CHAIN:#x}")),
            "eth_getBlockByNumber" => block(match which {
                "latest" => now,
                "safe" | "finalized" => now - 50,
                text => number(text),
            }),
            "eth_getBlockByHash" => block(number(&which[which.len() - 12..]) - 0xb10c_0000),
            _ => Value::Null,
        };
        let body = json!({"jsonrpc": "2.0", "id": call["id"], "result": result}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.ok()?;
    }
}

async fn tell(stream: TcpStream, head: Arc<AtomicU64>, mut moved: watch::Receiver<u64>) -> Option<()> {
    let mut socket = accept_async(stream).await.ok()?;
    socket.next().await?.ok()?;
    socket.send(Message::Text(r#"{"jsonrpc":"2.0","id":"1","result":"0x1"}"#.into())).await.ok()?;
    while moved.changed().await.is_ok() {
        let note = json!({"jsonrpc": "2.0", "method": "eth_subscription",
            "params": {"subscription": "0x1", "result": block(head.load(Relaxed))}});
        socket.send(Message::Text(note.to_string().into())).await.ok()?;
    }
    Some(())
}
