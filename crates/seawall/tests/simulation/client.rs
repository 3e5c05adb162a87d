//! Clients: an open loop of reads and writes over HTTP, every answer checked.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use seawall_runtime::net::{Endpoint, Net};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    chain::Transaction,
    ledger::{Asked, PATIENCE, Read, Told},
    world::World,
};

/// Time from one read to the next, and from one write to the next, at most, in milliseconds.
const READ_GAP: u64 = 400;
const WRITE_GAP: u64 = 2_500;
/// How much sparser they come in a long run, at most.
const SPARSE: u64 = 4;

/// A way to one port of the daemon's, with connections that are kept.
pub(crate) struct Door {
    net: Arc<dyn Net>,
    to: Endpoint,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Door {
    pub(crate) fn new(net: Arc<dyn Net>, host: &str, port: u16) -> Self {
        let to = Endpoint { host: host.into(), port, tls: false, credentials: None };
        Self { net, to, idle: Mutex::default() }
    }

    /// Sends a request (GET if there is no body) and gives the answer's body.
    pub(crate) async fn ask(&self, path: &str, body: Option<String>) -> io::Result<String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut link = match idle.filter(|link| link.is_ready()) {
            Some(link) => link,
            None => self.open().await?,
        };
        let method = if body.is_some() { "POST" } else { "GET" };
        let request = Request::builder().method(method).uri(path).header(header::HOST, "seawall");
        let request = request.body(Full::new(body.unwrap_or_default().into())).unwrap();
        let response = link.send_request(request).await.map_err(io::Error::other)?;
        let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn open(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let conn = self.net.connect(&self.to).await?;
        let (link, drive) =
            hyper::client::conn::http1::handshake(TokioIo::new(conn)).await.map_err(io::Error::other)?;
        tokio::spawn(drive);
        Ok(link)
    }
}

/// Reads without end.
pub(crate) async fn read(world: Arc<World>, door: Arc<Door>, mut rng: fastrand::Rng) {
    let gap = READ_GAP * sparse(&world);
    loop {
        sleep(Duration::from_millis(rng.u64(1..gap))).await;
        let width = if rng.u32(..12) == 0 { 3 } else { 1 };
        let reads: Vec<_> = (0..width).map(|_| draw(&world, &mut rng)).collect();
        tokio::spawn(one_read(world.clone(), door.clone(), reads));
    }
}

fn sparse(world: &World) -> u64 {
    world.plan.spans.stretch.min(SPARSE)
}

type Call = (Read, &'static str, Value);

fn draw(world: &World, rng: &mut fastrand::Rng) -> Call {
    let floor = world.ledger().floor;
    let subject = json!(format!("0x{:040x}", rng.u32(..50)));
    match rng.u32(..14) {
        0 | 1 => (Read::Number, "eth_blockNumber", json!([])),
        2..=4 => {
            let params = json!([subject, "latest"]);
            (Read::State { method: "eth_getBalance", subject }, "eth_getBalance", params)
        }
        5 => {
            let subject = json!({"to": subject, "data": "0x"});
            let params = json!([subject, "latest"]);
            (Read::State { method: "eth_call", subject }, "eth_call", params)
        }
        6 => (Read::Tagged { behind: 0 }, "eth_getBlockByNumber", json!(["latest", true])),
        7 => (Read::Tagged { behind: 8 }, "eth_getBlockByNumber", json!(["finalized", true])),
        8 if floor > 0 => {
            let number = floor - rng.u64(..20);
            (Read::Block { number }, "eth_getBlockByNumber", json!([format!("{number:#x}"), true]))
        }
        9 if floor > 0 => {
            let from = floor - 3;
            let params = json!([{"fromBlock": format!("{from:#x}"), "toBlock": "latest"}]);
            (Read::Logs { from, to: None }, "eth_getLogs", params)
        }
        10 if floor > 0 => {
            let (from, to) = (floor - 6, floor - rng.u64(..3));
            let params = json!([{"fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}")}]);
            (Read::Logs { from, to: Some(to) }, "eth_getLogs", params)
        }
        11 | 12 => {
            let writes: Vec<_> = world.ledger().writes.keys().cloned().collect();
            let unknown = format!("{:#066x}", rng.u64(..));
            let hash = if writes.is_empty() { unknown } else { writes[rng.usize(..writes.len())].clone() };
            let params = json!([hash]);
            (Read::Receipt { hash }, "eth_getTransactionReceipt", params)
        }
        13 => (Read::Constant { want: "0x7" }, "eth_gasPrice", json!([])),
        _ => (Read::Constant { want: "0x1" }, "eth_chainId", json!([])),
    }
}

async fn one_read(world: Arc<World>, door: Arc<Door>, reads: Vec<Call>) {
    let asked = Asked { at: world.days.now(), floor: world.ledger().floor };
    let ids: Vec<_> = reads.iter().map(|_| world.id("r", asked.at)).collect();
    let calls = reads.iter().zip(&ids).map(|((_, method, params), id)| call(id, method, params));
    let body = match calls.collect::<Vec<_>>() {
        calls if calls.len() == 1 => calls[0].to_string(),
        calls => Value::from(calls).to_string(),
    };
    let answer = ask(&world, &door, body).await;
    let now = world.days.now();
    let parsed: Value = serde_json::from_str(&answer).unwrap_or_default();
    for (i, ((read, method, _), id)) in reads.iter().zip(&ids).enumerate() {
        let one = if reads.len() == 1 { &parsed } else { &parsed[i] };
        let mut ledger = world.ledger();
        ledger.reads += 1;
        ledger.slowest = ledger.slowest.max(now - asked.at);
        ledger.trace.push(format!("{now} {id} {method} {one}"));
        match (&one["error"], one["id"] == **id) {
            (Value::Null, true) => {
                ledger.answered(&world.plan, &world.chain, asked, now, read, &one["result"]);
            }
            (error, true) => ledger.failed(&world.plan, asked, now, read, code(error), &error.to_string()),
            (_, false) => ledger.failed(&world.plan, asked, now, read, "client", &answer),
        }
    }
}

/// Writes without end: new transactions, old ones again, and ones that nobody should take.
pub(crate) async fn write(world: Arc<World>, door: Arc<Door>, mut rng: fastrand::Rng) {
    let mut sent: Vec<Transaction> = Vec::new();
    let gap = WRITE_GAP * sparse(&world);
    loop {
        sleep(Duration::from_millis(rng.u64(1..gap))).await;
        let (sender, salt) = (rng.u32(..), rng.u32(..));
        let new = Transaction { sender, nonce: 0, salt, poor: false };
        let old = (!sent.is_empty()).then(|| sent[rng.usize(..sent.len())]);
        let transaction = match (rng.u32(..10), old) {
            (0 | 1, Some(old)) => old,
            (2, Some(old)) => Transaction { salt, ..old },
            (3, _) => Transaction { poor: true, ..new },
            _ => new,
        };
        sent.push(transaction);
        tokio::spawn(one_write(world.clone(), door.clone(), transaction));
    }
}

async fn one_write(world: Arc<World>, door: Arc<Door>, transaction: Transaction) {
    let at = world.days.now();
    let (id, hash) = (world.id("w", at), transaction.hash());
    let answer =
        ask(&world, &door, call(&id, "eth_sendRawTransaction", &json!([transaction.raw()])).to_string())
            .await;
    let now = world.days.now();
    let parsed: Value = serde_json::from_str(&answer).unwrap_or_default();
    let mut ledger = world.ledger();
    ledger.trace.push(format!("{now} {id} {parsed}"));
    let told = match (&parsed["result"], code(&parsed["error"])) {
        (Value::String(named), _) if *named == hash => Told::Accepted,
        (_, "SW0305") => Told::Unknown,
        (_, "SW0301" | "SW0306") => Told::NotSent,
        (_, "") if parsed["error"]["code"].is_number() => Told::Rejected,
        _ => return ledger.find(now, format!("a write sent at {at} ended as none may: {answer}")),
    };
    ledger.wrote(&hash, told);
}

fn call(id: &str, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// The gateway's code of an error, if it is one of its own.
fn code(error: &Value) -> &str {
    error["data"]["code"].as_str().unwrap_or_default()
}

/// Asks the gateway; what went wrong, in words, if that fails.
async fn ask(world: &World, door: &Door, body: String) -> String {
    world.ledger().open += 1;
    let answer = timeout(Duration::from_millis(PATIENCE), door.ask("/", Some(body))).await;
    world.ledger().open -= 1;
    match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => format!("the connection broke: {e}"),
        Err(_) => "no answer".into(),
    }
}
