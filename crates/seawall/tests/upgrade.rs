//! The real binary takes its own place, again and again, under the hands of its clients: none of them notices.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, body::Incoming, client::conn::http1::SendRequest, header, service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

const UPGRADES: usize = 3;
/// Clients that keep their connections, and such as make one for every request.
const KEEPING: usize = 12;
const FRESH: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// A chain node that tells the truth: a block a second.
async fn node(listener: TcpListener, began: Instant) {
    loop {
        let (conn, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| async move {
            let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let call: Value = serde_json::from_slice(&body).unwrap_or_default();
            let result = match call["method"].as_str().unwrap_or_default() {
                "eth_chainId" => json!("0x1"),
                "eth_getBlockByNumber" => block(1_000 + began.elapsed().as_secs()),
                _ => json!("0x2a"),
            };
            let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": result});
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer.to_string()))))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(conn), service),
        );
    }
}

fn block(n: u64) -> Value {
    let hash = |n: u64| format!("0x{n:064x}");
    json!({"number": format!("{n:#x}"), "hash": hash(n), "parentHash": hash(n - 1), "timestamp": format!("{n:#x}")})
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    failed: Mutex<Vec<String>>,
    over: AtomicBool,
}

type Link = SendRequest<Full<Bytes>>;

async fn open(at: SocketAddr) -> Result<Link, String> {
    let conn = TcpStream::connect(at).await.map_err(|e| format!("connect: {e}"))?;
    let (link, drive) =
        hyper::client::conn::http1::handshake(TokioIo::new(conn)).await.map_err(|e| e.to_string())?;
    tokio::spawn(drive);
    Ok(link)
}

/// One call, on a connection that was kept if there is one that is still open.
async fn ask(at: SocketAddr, kept: &mut Option<Link>) -> Result<(), String> {
    let mut link = match kept.take() {
        Some(mut link) => match link.ready().await {
            Ok(()) => link,
            Err(_) => open(at).await?,
        },
        None => open(at).await?,
    };
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": ["0x00", "latest"]});
    let request = Request::post("/").header(header::HOST, "seawall").body(Full::new(body.to_string().into()));
    let response = link.send_request(request.unwrap()).await.map_err(|e| format!("{e:?}"))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    if !status.is_success() || !body.windows(6).any(|w| w == b"\"0x2a\"") {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)));
    }
    *kept = Some(link);
    Ok(())
}

async fn client(at: SocketAddr, keeps: bool, seen: Arc<Seen>) {
    let mut kept = None;
    while !seen.over.load(SeqCst) {
        match tokio::time::timeout(PATIENCE, ask(at, &mut kept)).await.unwrap_or(Err("no answer".into())) {
            Ok(()) => drop(seen.answered.fetch_add(1, SeqCst)),
            Err(why) => seen.failed.lock().unwrap().push(why),
        }
        if !keeps {
            kept = None;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// The state of a process, and who started it.
fn stat(id: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut after = stat.rsplit(')').next()?.split_whitespace();
    Some((after.next()?.to_owned(), after.next()?.parse().ok()?))
}

/// The process that `parent` has started.
fn child_of(parent: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let mut ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| stat(*id).is_some_and(|(_, started_by)| started_by == parent))
}

/// It has ended, whether anybody has asked after it or not.
fn has_ended(id: u32) -> Option<()> {
    stat(id).is_none_or(|(state, _)| state == "Z").then_some(())
}

fn signal(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(id as i32).unwrap(), signal).unwrap();
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The processes end with the test, however it ends.
struct Ends(Child, Option<u32>);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        if let Some(id) = self.1 {
            let _ = kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL);
        }
    }
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn estate(dir: &Path, gateway: SocketAddr, admin: SocketAddr, node: SocketAddr) -> std::path::PathBuf {
    let text = format!(
        "[estate]\nname = \"upgraded\"\n[listen]\ngateway = \"{gateway}\"\nadmin = \"{admin}\"\nworkers = 2\n\
         [limits]\ndrain = \"8s\"\n[journal]\ndir = \"{}\"\n[providers.p]\n[pools.chain]\nkind = \"evm\"\n\
         chain_id = 1\nroute = \"/\"\n[[pools.chain.upstreams]]\nname = \"a\"\nprovider = \"p\"\nurl = \"http://{node}\"\n",
        dir.join("journal").display()
    );
    let file = dir.join("seawall.toml");
    fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_another_process_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(node(listener, Instant::now()));
    let (gateway, admin) = (free_port(), free_port());
    let file = estate(dir.path(), gateway, admin, at);
    let manager = dir.path().join("notify");
    let told = UnixDatagram::bind(&manager).unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_seawall"));
    let first = first.arg("run").arg(&file).env("NOTIFY_SOCKET", &manager).spawn().unwrap();
    let mut pids = vec![first.id()];
    let mut process = first.id();
    let mut ends = Ends(first, None);
    let mut kept = None;
    let began = Instant::now();
    while let Err(why) = ask(gateway, &mut kept).await {
        assert!(began.elapsed() < PATIENCE, "it does not serve: {why}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> =
        (0..KEEPING + FRESH).map(|i| tokio::spawn(client(gateway, i < KEEPING, seen.clone()))).collect();
    for upgrade in 0..UPGRADES {
        signal(process, Signal::USR2);
        let next = until("another process is started", || child_of(process)).await;
        ends.1 = Some(next);
        until("the old one ends", || match upgrade {
            0 => ends.0.try_wait().unwrap().map(|status| assert!(status.success(), "{status}")),
            _ => has_ended(process),
        })
        .await;
        process = next;
        pids.push(next);
        let answered = seen.answered.load(SeqCst);
        until("the new one serves", || (seen.answered.load(SeqCst) > answered + 50).then_some(())).await;
    }
    seen.over.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    signal(process, Signal::TERM);
    until("the last one ends", || has_ended(process)).await;
    ends.1 = None;
    for pid in pids {
        let mut text = [0; 100];
        let length = told.recv(&mut text).unwrap();
        assert_eq!(String::from_utf8_lossy(&text[..length]), format!("READY=1\nMAINPID={pid}\n"));
    }
    assert_eq!(*seen.failed.lock().unwrap(), [""; 0], "of {} requests", seen.answered.load(SeqCst));

    let journal = dir.path().join("journal");
    let log = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .arg("log")
            .args(args)
            .arg("--dir")
            .arg(&journal)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    log(&["verify"]);
    let records = log(&["tail", "--json", "-n", "1000"]);
    assert_eq!(records.matches("\"version\"").count(), UPGRADES + 1, "{records}");
    assert_eq!(records.matches("another process takes its place").count(), UPGRADES, "{records}");
}

#[tokio::test]
async fn one_that_cannot_take_over_leaves_the_old_one_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(node(listener, Instant::now()));
    let (gateway, admin) = (free_port(), free_port());
    let file = estate(dir.path(), gateway, admin, at);
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_seawall")).arg("run").arg(&file).stderr(log).spawn().unwrap();
    let mut ends = Ends(run, None);
    let (mut kept, began) = (None, Instant::now());
    while ask(gateway, &mut kept).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "it does not serve");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, "[estate]\nname = 7\n").unwrap();
    signal(ends.0.id(), Signal::USR2);
    let said = || fs::read_to_string(dir.path().join("log")).unwrap();
    until("it says why", || said().contains("SW0212").then_some(())).await;
    assert!(said().contains("it ended: exit status: 1"), "{}", said());
    ask(gateway, &mut kept).await.unwrap();
    fs::write(&file, good.replace("workers = 2", "workers = 1")).unwrap();
    signal(ends.0.id(), Signal::USR2);
    until("it says why", || said().contains("SW0216").then_some(())).await;
    until("the old one goes on", || said().rsplit("SW0216").next().unwrap().contains("SW0212").then_some(()))
        .await;
    ask(gateway, &mut kept).await.unwrap();
    signal(ends.0.id(), Signal::TERM);
    assert!(ends.0.wait().unwrap().success());
}
