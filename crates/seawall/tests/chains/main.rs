//! The real binary watches a rollup, whose nodes are SIMULATED: the outage of Base on 5 August 2025 at real speed with a block a
//! second, and one that looks like it and is not.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

mod nodes;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use nodes::{LEADS, Nodes, STANDS_BY, Says, now};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// Between blocks, in milliseconds.
const SLOT: i64 = 1_000;
/// Between looks, in milliseconds.
const INTERVAL: i64 = 500;
/// What a busy machine may add to both, in milliseconds.
const NOISE: i64 = 2_000;
/// For how long after a change no verdict turns, with a second to spare, in milliseconds.
const HOLD: i64 = 11_000;
const EVERYBODY: [&str; 5] = ["seq-a", "seq-b", "alder", "birch", "cedar"];

/// An address that nobody listens at.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn estate(admin: SocketAddr, nodes: SocketAddr) -> String {
    let sequencer = |name: &str| {
        format!(
            r#"
            [chains.base.sequencers.{name}]
            execution = "http://{nodes}/{name}/execution"
            op_node = "http://{nodes}/{name}/op-node"
            conductor = "http://{nodes}/{name}/conductor"
            server_id = "{name}"
            "#
        )
    };
    let follower = |name: &str| {
        format!(
            r#"
            [providers.{name}]
            [chains.base.followers.{name}]
            url = "http://{nodes}/{name}/execution"
            provider = "{name}"
            "#
        )
    };
    let members =
        ["seq-a", "seq-b"].map(sequencer).concat() + &["alder", "birch", "cedar"].map(follower).concat();
    format!(
        r#"
        [listen]
        admin = "{admin}"
        [watch]
        per_host = 20
        [chains.base]
        block_time = "{SLOT}ms"
        safe_late = "1m"
        every = "{INTERVAL}ms"
        {members}
        [services.deposits]
        needs = "pool:base"
        "#
    )
}

/// What the command prints, and its exit code.
fn seawall(args: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall")).args(args).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

struct Daemon {
    process: Child,
    admin: SocketAddr,
    estate: PathBuf,
}

/// What is believed of a component.
#[derive(Debug)]
struct Belief {
    status: String,
    cause: String,
    since: i64,
    evidence: String,
}

impl Daemon {
    fn start(dir: &Path, nodes: &Nodes) -> Self {
        let (admin, path) = (free(), dir.join("seawall.toml"));
        fs::write(&path, estate(admin, nodes.at)).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(["run"])
            .arg(&path)
            .stderr(fs::File::create(path.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        Self { process, admin, estate: path }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let mut conn = TcpStream::connect(self.admin).ok()?;
        conn.write_all(format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").as_bytes())
            .ok()?;
        let mut answer = String::new();
        conn.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn belief(&self, component: &str) -> Option<Belief> {
        let told = self.ask("/v1/verdicts")?;
        let found = told["verdicts"].as_array()?.iter().find(|verdict| verdict["component"] == component)?;
        let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let since = seawall_history::parse_time(&word("since")).unwrap().0;
        Some(Belief { status: word("status"), cause: word("cause"), since, evidence: word("evidence") })
    }

    fn status_of(&self, component: &str) -> String {
        self.belief(component).map_or_else(String::new, |belief| belief.status)
    }

    /// Waits until a component is believed to be so.
    fn until(&self, component: &str, status: &str) -> Belief {
        let began = Instant::now();
        loop {
            let belief = self.belief(component);
            match belief {
                Some(belief) if belief.status == status => return belief,
                belief => assert!(began.elapsed() < PATIENCE, "{component} is not {status}, but {belief:?}"),
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until these have been up for so long that nothing holds up what is told next.
    fn until_steady(&self, components: &[&str]) {
        for component in components {
            while now() < self.until(component, "up").since + HOLD {
                thread::sleep(Duration::from_millis(100));
            }
        }
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_outage_of_base() {
    let (dir, nodes) = (tempfile::tempdir().unwrap(), Nodes::start());
    nodes.say("seq-a", LEADS);
    // Still being set up: its conductor is paused, and votes all the same.
    nodes.say("seq-b", Says { active: false, ..STANDS_BY });
    let daemon = Daemon::start(dir.path(), &nodes);
    daemon.until_steady(&["service:deposits", "pool:base", "sequencer:base/seq-a"]);
    // Named before anything happens.
    let unfit = daemon.until("sequencer:base/seq-b", "degraded");
    assert_eq!(unfit.cause, "unfit");
    assert!(unfit.evidence.contains("voter that is paused"), "{}", unfit.evidence);
    assert_eq!(daemon.status_of("pool:base"), "up");
    let by_hand = seawall(&["probe", &format!("conductor+http://{}/seq-b/conductor", nodes.at)]);
    assert!(by_hand.0.contains("it could not take over: it is paused"), "{}", by_hand.0);
    assert_eq!(by_hand.1, Some(1));
    // The hand-over, and no block after it.
    let outage = nodes.stop(&EVERYBODY);
    nodes.say("seq-a", STANDS_BY);
    nodes.say("seq-b", Says { leader: true, active: false, ..STANDS_BY });
    let stalled = daemon.until("pool:base", "degraded");
    let after = stalled.since - outage;
    assert!(after > 3 * SLOT, "told {after} ms after the last block: it could have been slow");
    assert!(after <= 3 * SLOT + INTERVAL + NOISE, "told only {after} ms after the last block");
    assert!(unfit.since < outage);
    assert_eq!(stalled.cause, "stalled");
    assert!(
        stalled.evidence.contains(&format!("unsafe head {} s old", after / 1_000)),
        "{}",
        stalled.evidence
    );
    assert!(stalled.evidence.contains("sequencer:base/seq-b makes no blocks"), "{}", stalled.evidence);
    let blamed = daemon.until("sequencer:base/seq-b", "down");
    assert_eq!(blamed.cause, "stalled");
    assert!(daemon.until("service:deposits", "degraded").evidence.contains("sequencer:base/seq-b"));
    for other in ["sequencer:base/seq-a", "upstream:base/alder", "provider:birch"] {
        assert_eq!(daemon.status_of(other), "up", "{other} is none of it");
    }
    let (shown, code) = seawall(&["status", "--estate", daemon.estate.to_str().unwrap()]);
    assert!(shown.contains("sequencer:base/seq-b") && shown.contains("makes no blocks"), "{shown}");
    assert_eq!(code, Some(1));
    let told = daemon.ask("/v1/probes").unwrap();
    let parts = told["chains"].as_array().unwrap();
    assert_eq!(parts.len(), 9);
    let of_b = parts.iter().find(|p| p["of"] == "sequencer:base/seq-b" && p["part"] == "conductor").unwrap();
    assert_eq!((&of_b["outcome"], &of_b["last"]["chain"]["leader"]), (&"down".into(), &true.into()));
    daemon.stop();
}

#[test]
fn a_frozen_provider_is_not_the_sequencer_s_fault() {
    let (dir, nodes) = (tempfile::tempdir().unwrap(), Nodes::start());
    nodes.say("seq-a", LEADS);
    nodes.say("seq-b", STANDS_BY);
    let daemon = Daemon::start(dir.path(), &nodes);
    daemon.until_steady(&[
        "pool:base",
        "sequencer:base/seq-a",
        "sequencer:base/seq-b",
        "upstream:base/birch",
    ]);
    let frozen = nodes.stop(&["birch"]);
    let stands = daemon.until("upstream:base/birch", "down");
    let after = stands.since - frozen;
    assert!(
        (3 * SLOT..=3 * SLOT + INTERVAL + NOISE).contains(&after),
        "told {after} ms after its last block"
    );
    assert_eq!(stands.cause, "stalled");
    let pool = daemon.until("pool:base", "degraded");
    assert!(pool.evidence.contains("birch, while others move"), "{}", pool.evidence);
    for other in ["sequencer:base/seq-a", "sequencer:base/seq-b", "upstream:base/alder", "provider:cedar"] {
        assert_eq!(daemon.status_of(other), "up", "{other} is none of it");
    }
    daemon.stop();
}
