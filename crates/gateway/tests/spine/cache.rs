//! Reads that need no call of their own: what is kept, and what others are being told.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_gateway::estate::{CacheSection, PoolKind, PoolSection};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    task::{AbortHandle, JoinHandle},
};

use crate::{
    client::{balance_of, body, call, post},
    house::{House, chain, until},
    node::{BALANCE, HEAD, but, error, hash, honest, node, result},
    upstream::{Gate, Heard, Reply, Upstream},
};

const MIB: u64 = 1 << 20;

/// That pool, with answers kept up to `size` bytes and shared.
fn cached(mut pool: PoolSection, size: u64) -> PoolSection {
    if let PoolKind::Evm(evm) = &mut pool.kind {
        evm.cache = Some(CacheSection { size });
    }
    pool
}

/// Counts up with every call of a method, and answers with how many there have been.
fn counting(method: &'static str) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    let calls = AtomicU64::new(0);
    but(method, move |heard| result(heard, &format!("{:#x}", calls.fetch_add(1, Relaxed) + 1).into()))
}

fn asked(upstreams: &[&Upstream], method: &str) -> usize {
    upstreams.iter().map(|u| u.calls(method).len()).sum()
}

#[tokio::test]
async fn what_was_asked_once_is_not_asked_again() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![cached(chain(&[&a, &b]), MIB)]).await;
    let (method, params) = balance_of();
    for id in 0..20 {
        let answer = post(house.at, body(id, method, &params)).await.json();
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": BALANCE}));
    }
    assert_eq!(asked(&[&a, &b], method), 1);
    assert_eq!((house.counted("cache_hits"), house.counted("cache_misses")), (19, 1));
    assert_eq!(house.counted("requests"), 20);
    let batch: Vec<_> =
        (0..3).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).collect();
    let answers = post(house.at, json!(batch).to_string()).await.json();
    assert_eq!(answers[2], json!({"jsonrpc": "2.0", "id": 2, "result": BALANCE}));
    assert_eq!(asked(&[&a, &b], method), 1);
}

#[tokio::test]
async fn without_a_cache_every_call_is_asked() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let (method, params) = balance_of();
    for _ in 0..3 {
        call(house.at, method, params.clone()).await;
    }
    assert_eq!(asked(&[&a], method), 3);
}

/// Pinned by a number, told as an error, null, or without a block of its own: nothing of that is kept.
#[tokio::test]
async fn what_nothing_binds_to_the_chain_is_asked_every_time() {
    let a = node().await;
    a.does(|heard| match &*heard.method() {
        "eth_call" => error(heard, 3, "execution reverted"),
        "eth_getTransactionByHash" => {
            result(heard, &json!({"hash": hash(7), "blockNumber": null, "blockHash": null}))
        }
        _ => honest(heard),
    });
    let house = House::new(vec![cached(chain(&[&a]), MIB)]).await;
    for (method, params) in [
        ("eth_call", json!([{"data": "0x"}, "latest"])),
        ("eth_estimateGas", json!([{"data": "0x"}, "latest"])),
        ("eth_getBalance", json!(["0x0000000000000000000000000000000000000001", "pending"])),
        ("eth_getTransactionReceipt", json!([hash(7)])),
        ("eth_getTransactionByHash", json!([hash(7)])),
        ("eth_getLogs", json!([{"fromBlock": "0x1", "toBlock": "0x2"}])),
        ("eth_gasPrice", json!([])),
    ] {
        call(house.at, method, params.clone()).await;
        let before = asked(&[&a], method);
        call(house.at, method, params).await;
        assert!(asked(&[&a], method) > before, "{method}");
    }
    assert_eq!(house.counted("cache_hits"), 0);
}

/// The head's block is replaced by another at its height.
#[tokio::test]
async fn what_a_reorganisation_took_away_is_not_given_again() {
    let nodes = [node().await, node().await, node().await];
    let fork = Arc::new(AtomicU64::new(0));
    for node in &nodes {
        let fork = fork.clone();
        node.does(move |heard| {
            let call = heard.call();
            let fork = fork.load(Relaxed);
            let is_head = [json!("latest"), json!(format!("{HEAD:#x}"))].contains(&call["params"][0]);
            match &*heard.method() {
                "eth_getBlockByNumber" if is_head => result(
                    heard,
                    &json!({
                        "number": format!("{HEAD:#x}"), "hash": hash(HEAD + fork), "parentHash": hash(HEAD - 1),
                        "timestamp": "0x6553f100", "transactions": [],
                    }),
                ),
                "eth_getBalance" => result(heard, &format!("{fork:#x}").into()),
                _ => honest(heard),
            }
        });
    }
    let house = House::new(vec![cached(chain(&[&nodes[0], &nodes[1], &nodes[2]]), MIB)]).await;
    let (method, params) = balance_of();
    let by_number = json!([format!("{HEAD:#x}"), true]);
    for _ in 0..3 {
        assert_eq!(call(house.at, method, params.clone()).await["result"], "0x0");
        let block = call(house.at, "eth_getBlockByNumber", by_number.clone()).await;
        assert_eq!(block["result"]["hash"], hash(HEAD));
    }
    assert!(house.counted("cache_hits") >= 4);
    fork.store(1_000, Relaxed);
    let mut seen = Value::Null;
    while seen["result"]["hash"] != hash(HEAD + 1_000) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        seen = call(house.at, "eth_getBlockByNumber", json!(["latest", true])).await;
    }
    for _ in 0..3 {
        assert_eq!(call(house.at, method, params.clone()).await["result"], "0x3e8");
        let block = call(house.at, "eth_getBlockByNumber", by_number.clone()).await;
        assert_eq!(block["result"]["hash"], hash(HEAD + 1_000));
    }
}

#[tokio::test]
async fn a_development_node_that_is_told_to_change_is_asked_again() {
    let a = node().await;
    let (method, params) = balance_of();
    a.does(counting(method));
    let house = House::new(vec![cached(chain(&[&a]), MIB)]).await;
    for _ in 0..3 {
        assert_eq!(call(house.at, method, params.clone()).await["result"], "0x1");
    }
    call(house.at, "anvil_setBalance", json!(["0x0000000000000000000000000000000000000001", "0x1"])).await;
    assert_eq!(call(house.at, method, params).await["result"], "0x2");
}

#[tokio::test]
async fn what_is_kept_outlives_a_reload() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![cached(chain(&[&a]), MIB)]).await;
    let (method, params) = balance_of();
    call(house.at, method, params.clone()).await;
    let mut section = house.section.clone();
    section.pools = vec![cached(chain(&[&a, &b]), MIB)];
    house.gateway.reload(section).unwrap();
    call(house.at, method, params).await;
    assert_eq!(asked(&[&a, &b], method), 1);
}

/// A client on one connection, and so at one worker.
struct Client(SendRequest<Full<Bytes>>, AbortHandle);

impl Drop for Client {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl Client {
    async fn new(house: &House) -> Self {
        let stream = TcpStream::connect(house.at).await.unwrap();
        let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self(send, tokio::spawn(connection).abort_handle())
    }

    fn ask(&self, id: u64, method: &str, params: &Value) -> JoinHandle<Value> {
        let mut send = self.0.clone();
        let body = body(id, method, params);
        tokio::spawn(async move {
            let request = Request::post("http://gateway/chain").body(Full::new(Bytes::from(body))).unwrap();
            let response = send.send_request(request).await.unwrap();
            serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
        })
    }
}

/// The script of a node that answers calls of `method` once the gate is open.
fn behind(
    gate: &Gate,
    method: &'static str,
    reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    but(method, move |heard| Reply::Behind(gate.clone(), Box::new(reply(heard))))
}

async fn come(house: &House, requests: u64) {
    until("all calls have come", || (house.counted("requests") == requests).then_some(())).await;
}

#[tokio::test]
async fn those_who_ask_the_same_at_once_share_one_call() {
    let (a, gate) = (node().await, Gate::shut());
    a.does(behind(&gate, "eth_gasPrice", |heard| result(heard, &"0x7".into())));
    let house = House::new(vec![cached(chain(&[&a]), 0)]).await;
    let client = Client::new(&house).await;
    let asking: Vec<_> = (0..50).map(|id| client.ask(id, "eth_gasPrice", &json!([]))).collect();
    come(&house, 50).await;
    gate.open();
    for (id, answer) in asking.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), json!({"jsonrpc": "2.0", "id": id, "result": "0x7"}));
    }
    assert_eq!(asked(&[&a], "eth_gasPrice"), 1);
    assert_eq!(house.counted("coalesced"), 49);
}

#[tokio::test]
async fn when_the_one_who_asked_goes_away_another_asks() {
    let (a, gate) = (node().await, Gate::shut());
    a.does(behind(&gate, "eth_gasPrice", |heard| result(heard, &"0x7".into())));
    let house = House::new(vec![cached(chain(&[&a]), 0)]).await;
    let client = Client::new(&house).await;
    let leader = client.ask(100, "eth_gasPrice", &json!([]));
    until("it is asked", || (asked(&[&a], "eth_gasPrice") == 1).then_some(())).await;
    let asking: Vec<_> = (0..10).map(|id| client.ask(id, "eth_gasPrice", &json!([]))).collect();
    come(&house, 11).await;
    leader.abort();
    until("another asks", || (asked(&[&a], "eth_gasPrice") == 2).then_some(())).await;
    gate.open();
    for (id, answer) in asking.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), json!({"jsonrpc": "2.0", "id": id, "result": "0x7"}));
    }
    assert_eq!(asked(&[&a], "eth_gasPrice"), 2);
}

#[tokio::test]
async fn an_error_and_a_refusal_are_shared_and_no_failure_is_multiplied() {
    let (a, gate) = (node().await, Gate::shut());
    let house = House::new(vec![cached(chain(&[&a]), 0)]).await;
    let client = Client::new(&house).await;
    let params = json!([{"data": "0x"}, "latest"]);
    a.does(behind(&gate, "eth_call", |heard| error(heard, 3, "execution reverted")));
    let asking: Vec<_> = (0..10).map(|id| client.ask(id, "eth_call", &params)).collect();
    come(&house, 10).await;
    gate.open();
    for (id, answer) in asking.into_iter().enumerate() {
        let want = json!({"jsonrpc": "2.0", "id": id, "error": {"code": 3, "message": "execution reverted"}});
        assert_eq!(answer.await.unwrap(), want);
    }
    assert_eq!(asked(&[&a], "eth_call"), 1);
    let gate = Gate::shut();
    a.does(behind(&gate, "eth_call", |_| Reply::status(500)));
    let asking: Vec<_> = (0..10).map(|id| client.ask(id, "eth_call", &params)).collect();
    come(&house, 20).await;
    gate.open();
    for answer in asking {
        assert_eq!(answer.await.unwrap()["error"]["data"]["code"], "SW0302");
    }
    assert!(asked(&[&a], "eth_call") <= 1 + 4, "as often as one call may be");
}

#[tokio::test]
async fn writes_and_filters_are_never_shared() {
    let (a, gate) = (node().await, Gate::shut());
    let slow = gate.clone();
    let method = "eth_sendTransaction";
    a.does(move |heard| match heard.method() == method {
        true => Reply::Behind(slow.clone(), Box::new(result(heard, &json!(hash(1))))),
        false => honest(heard),
    });
    let house = House::new(vec![cached(chain(&[&a]), MIB)]).await;
    let client = Client::new(&house).await;
    // Filters are the gateway's own, and each is somebody's.
    let mut filters = Vec::new();
    for id in 0..3 {
        let answer = client.ask(id, "eth_newFilter", &json!([{}])).await.unwrap();
        filters.push(answer["result"].to_string());
    }
    filters.sort();
    filters.dedup();
    assert_eq!((filters.len(), asked(&[&a], "eth_newFilter")), (3, 0));
    let asking: Vec<_> = (0..3).map(|id| client.ask(id, method, &json!([{}]))).collect();
    until("each is asked", || (asked(&[&a], method) == 3).then_some(())).await;
    gate.open();
    drop(asking);
    assert_eq!(house.counted("coalesced"), 0);
}
