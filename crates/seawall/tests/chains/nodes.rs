//! SIMULATED nodes: a rollup's execution nodes, op-nodes and conductors, as far as they answer who watches them. One server
//! plays all of them, each at a path of its own, as in `/seq-a/conductor`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

/// Blocks that become safe later than they are made.
const UNSAFE_BLOCKS: u64 = 5;

/// Milliseconds of the time of day.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// What a conductor says.
#[derive(Clone, Copy)]
pub(crate) struct Says {
    pub(crate) leader: bool,
    pub(crate) active: bool,
    pub(crate) healthy: bool,
    pub(crate) sequencing: bool,
}

pub(crate) const LEADS: Says = Says { leader: true, active: true, healthy: true, sequencing: true };
pub(crate) const STANDS_BY: Says = Says { leader: false, sequencing: false, ..LEADS };

#[derive(Default)]
struct World {
    /// The last block that a node has, of those that stand. There is a block a second, whose number and timestamp it is.
    last: BTreeMap<String, u64>,
    says: BTreeMap<String, Says>,
}

/// The nodes, until they are dropped.
pub(crate) struct Nodes {
    pub(crate) at: SocketAddr,
    world: Arc<Mutex<World>>,
    over: Arc<AtomicBool>,
}

impl Nodes {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let nodes = Self { at: listener.local_addr().unwrap(), world: Arc::default(), over: Arc::default() };
        let (world, over) = (nodes.world.clone(), nodes.over.clone());
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            while !over.load(SeqCst) {
                match listener.accept() {
                    Ok((conn, _)) => {
                        let (world, over) = (world.clone(), over.clone());
                        thread::spawn(move || serve(&conn, &world, &over));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        nodes
    }

    /// From now on these have no newer block than there is. The time of that.
    pub(crate) fn stop(&self, names: &[&str]) -> i64 {
        // Right after a block, so that its age is that of the outage.
        while !(20..200).contains(&(now() % 1_000)) {
            thread::sleep(Duration::from_millis(5));
        }
        let mut world = self.world.lock().unwrap();
        let last = u64::try_from(now() / 1_000).unwrap();
        world.last.extend(names.iter().map(|name| ((*name).to_owned(), last)));
        i64::try_from(last).unwrap() * 1_000
    }

    pub(crate) fn say(&self, name: &str, says: Says) {
        self.world.lock().unwrap().says.insert(name.to_owned(), says);
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
    }
}

/// Answers requests over one connection.
fn serve(conn: &TcpStream, world: &Mutex<World>, over: &AtomicBool) {
    let _ = conn.set_nonblocking(false);
    let mut reader = BufReader::new(conn);
    while !over.load(SeqCst) {
        let Some((path, body)) = request(&mut reader) else { return };
        let (name, part) = path.trim_matches('/').split_once('/').unwrap();
        let world = world.lock().unwrap();
        let calls: Value = serde_json::from_slice(&body).unwrap();
        let answers = calls.as_array().unwrap().iter().map(|call| {
            let result = world.answer(name, part, call["method"].as_str().unwrap(), &call["params"]);
            json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
        });
        let answer = json!(answers.collect::<Vec<_>>()).to_string();
        drop(world);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        if (&mut &*conn).write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

/// Path and body of the next request.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(given) = line.strip_prefix("content-length:") {
            length = given.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

impl World {
    fn answer(&self, name: &str, part: &str, method: &str, params: &Value) -> Value {
        let time = u64::try_from(now() / 1_000).unwrap();
        let newest = self.last.get(name).copied().unwrap_or(time);
        let says = self.says.get(name).copied().unwrap_or(STANDS_BY);
        let safe = newest - UNSAFE_BLOCKS;
        let block =
            |number: u64| json!({"number": format!("{number:#x}"), "timestamp": format!("{number:#x}")});
        let reference = |number: u64| json!({"number": number, "timestamp": number});
        match (part, method) {
            ("execution", "eth_getBlockByNumber") => block(if params[0] == "latest" { newest } else { safe }),
            ("execution", "eth_syncing") => json!(false),
            ("execution", "net_peerCount") => json!("0x7"),
            ("op-node", "optimism_syncStatus") => {
                json!({"unsafe_l2": reference(newest), "safe_l2": reference(safe), "finalized_l2": reference(safe)})
            }
            ("op-node", "admin_sequencerActive") => json!(says.sequencing),
            ("conductor", "conductor_leader") => json!(says.leader),
            ("conductor", "conductor_active") => json!(says.active),
            ("conductor", "conductor_sequencerHealthy") => json!(says.healthy),
            ("conductor", "conductor_clusterMembership") => {
                json!({"servers": [{"id": "seq-a", "suffrage": 0}, {"id": "seq-b", "suffrage": 0}], "version": 1})
            }
            (part, method) => panic!("a {part} is asked {method}"),
        }
    }
}
