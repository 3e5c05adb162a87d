//! `seawall probe` as a person calls it, against a real chain node (`make test` brings it) and against nobody.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

fn anvil() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let pinned = root.join("target/lab/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    if pinned.exists() { pinned } else { "anvil".into() }
}

/// A node of a chain of its own, and where it listens.
struct Node {
    process: Child,
    at: String,
    /// Held, for a node that nobody listens to any more ends.
    said: BufReader<ChildStdout>,
}

impl Node {
    fn start(args: &[&str]) -> Self {
        let mut process =
            Command::new(anvil()).args(["--port", "0"]).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut node = Self { process, at: String::new(), said };
        let mut line = String::new();
        while node.said.read_line(&mut line).unwrap() > 0 {
            if let Some(at) = line.trim_end().strip_prefix("Listening on ") {
                node.at = at.to_owned();
                return node;
            }
            line.clear();
        }
        panic!("the node ended before it said where it listens");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is told of a target, and the exit code.
fn probe(args: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall")).arg("probe").args(args).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn a_chain_s_head_is_told() {
    let node = Node::start(&["--block-time", "1"]);
    let (told, code) = probe(&[&format!("evm+http://{}", node.at), "--json", "--max-head-age", "1m"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, told["outcome"].as_str()), (0, Some("up")), "{told:#}");
    let evm = &told["evm"];
    assert!(evm["latest"]["number"].is_u64() && evm["latest"]["age_s"].is_u64(), "{told:#}");
    assert!(evm["client"].as_str().unwrap().starts_with("anvil/"), "{told:#}");
    assert!(evm["gas_price"].as_u64().unwrap() > 0, "{told:#}");
    assert_eq!((&evm["behind"], &told["reused"]), (&Value::Null, &Value::Bool(false)));
}

#[test]
fn a_chain_that_stands_still_is_down() {
    // Its one block is of November 2023, and no other follows.
    let node = Node::start(&["--no-mining", "--timestamp", "1700000000"]);
    let (told, code) = probe(&[&format!("evm+http://{}", node.at), "--max-head-age", "1m"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.starts_with("DOWN") && told.contains("head_old") && told.contains("anvil/"), "{told}");
}

#[test]
fn a_web_socket_answers_a_ping() {
    let node = Node::start(&[]);
    let (told, code) = probe(&[&format!("ws://{}", node.at)]);
    assert_eq!(code, 0, "{told}");
    assert!(told.starts_with("UP  ws://") && told.contains("HTTP/1.1 101"), "{told}");
}

#[test]
fn a_node_that_is_gone_is_told_with_a_cure() {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["evm+http", "http", "ws", "tcp", "redis"] {
        let (told, code) = probe(&[&format!("{scheme}://{at}")]);
        assert_eq!(code, 1, "{told}");
        assert!(told.starts_with("DOWN") && told.contains("connect_refused"), "{told}");
        assert!(told.contains("cure: start the service"), "{told}");
    }
}

#[test]
fn what_cannot_be_made_is_told_apart() {
    for (args, said) in [
        (&["gopher://a"][..], "SW0261"),
        (&["tcp://a"], "SW0261"),
        (&["icmp://a:1"], "SW0261"),
        (&["http://a", "--status", "ok"], "SW0262"),
        (&["udp://a:1", "--body-hex", "0"], "SW0262"),
        (&["http://a", "--matches", "("], "SW0262"),
        (&["http://a", "-H", "connection: close"], "SW0262"),
        (&["http://a", "-H", "x-key: env:SEAWALL_TEST_NEVER_SET"], "SW0262"),
        (&["http://a", "--json-value", "a=1"], "SW0262"),
        (&["http://a", "--resolver", "somebody"], "SW0262"),
        (&["http://a", "--ca", "/nowhere.pem"], "SW0263"),
    ] {
        let (told, code) = probe(args);
        assert_eq!(code, 2, "{args:?}: {told}");
        assert!(told.starts_with("error: ") && told.contains(said), "{args:?}: {told}");
    }
}
