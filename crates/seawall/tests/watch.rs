//! The real binary watches a server that comes and goes: what it believes, what others tell it, what is remembered.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-of-this-test";

/// A server that answers every request alike, until it is dropped.
struct Server {
    over: Arc<AtomicBool>,
    serving: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn at(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let serving = thread::spawn(move || {
            while !ends.load(SeqCst) {
                let Ok((mut conn, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let _ = conn.set_nonblocking(false);
                let _ = conn.read(&mut [0; 1024]);
                let _ =
                    conn.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            }
        });
        Self { over, serving: Some(serving) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let _ = self.serving.take().map(thread::JoinHandle::join);
    }
}

/// An address that nobody listens at.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Daemon {
    process: Child,
    admin: SocketAddr,
}

impl Daemon {
    fn start(estate: &Path, admin: SocketAddr) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(["run"])
            .arg(estate)
            .env("WATCH_TEST_TOKEN", TOKEN)
            .stderr(fs::File::create(estate.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        Self { process, admin }
    }

    /// Status and body of an answer of the admin listener's; `None` while it does not listen.
    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Option<(u16, Value)> {
        let mut conn = TcpStream::connect(self.admin).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: admin\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        conn.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        conn.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// The status of a component, and the evidence for it.
    fn verdict(&self, component: &str) -> Option<(String, String)> {
        let (_, told) = self.ask("GET", "/v1/verdicts", "", "")?;
        let all = told["verdicts"].as_array()?;
        let found = all.iter().find(|verdict| verdict["component"] == component)?;
        Some((found["status"].as_str()?.to_owned(), found["evidence"].as_str()?.to_owned()))
    }

    /// Waits until a component is believed to be so; the evidence.
    fn until(&self, component: &str, status: &str, mut meanwhile: impl FnMut()) -> String {
        let began = Instant::now();
        loop {
            let verdict = self.verdict(component);
            if let Some((is, evidence)) = &verdict
                && is == status
            {
                return evidence.clone();
            }
            assert!(began.elapsed() < PATIENCE, "{component} is not {status}, but {verdict:?}");
            meanwhile();
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until what stands at a path of the admin listener is so.
    fn until_told(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let told = self.ask("GET", path, "", "");
            if let Some((200, told)) = &told
                && so(told)
            {
                return told.clone();
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {told:?}");
            thread::sleep(Duration::from_millis(50));
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

/// A result of the other place's, as it pushes it.
fn pushed(seq: u64, outcome: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = seawall_model::Wall(i64::try_from(now).unwrap()).to_string();
    let check = json!({
        "seq": seq, "component": "service:web", "observed": now,
        "fact": "check", "probe": "web", "outcome": outcome, "latency_us": 900,
    });
    json!({"source": "us-1", "signals": [check]}).to_string()
}

#[test]
fn what_comes_and_goes_is_noticed_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (admin, web) = (free(), free());
    let history = dir.path().join("history");
    let estate = dir.path().join("seawall.toml");
    let text = format!(
        r#"
        [listen]
        admin = "{admin}"
        admin_token = "env:WATCH_TEST_TOKEN"
        [history]
        dir = "{}"
        [services.web]
        needs = {{ all = [] }}
        value = "$60/m"
        [services.shop]
        needs = "service:web"
        [probes.web]
        target = "http://{web}/health"
        every = "200ms"
        timeout = "200ms"
        expect = {{ contains = "ok" }}
        [watch]
        vantage = "eu-1"
        remote = ["us-1"]
        "#,
        history.display()
    );
    fs::write(&estate, text).unwrap();
    let server = Server::at(web);
    let daemon = Daemon::start(&estate, admin);
    daemon.until("service:web", "up", || ());
    daemon.until("service:shop", "up", || ());
    drop(server);
    let evidence = daemon.until("service:web", "down", || ());
    assert!(evidence.contains("connect"), "{evidence}");
    assert!(daemon.until("service:shop", "down", || ()).contains("service:web"));
    let (_, probes) = daemon.ask("GET", "/v1/probes", "", "").unwrap();
    assert_eq!(probes["probes"][0]["outcome"], "down", "{probes:#}");

    // What it costs is told while it lasts.
    daemon.until_told("/v1/costs", |told| {
        let web = &told["services"][0];
        web["a_minute"]["likely"] == 6_000 && web["so_far"]["likely"].as_i64() > Some(0)
    });
    // And what was, as soon as it is written down.
    let told =
        daemon.until_told("/v1/history/downtime?component=service:web", |told| told["downtimes_in_all"] == 1);
    assert_eq!(told["downtimes"][0]["cause"], "connect", "{told:#}");
    daemon.until_told("/v1/history/cost?component=service:web", |told| {
        told["totals"]["USD"]["likely"].as_i64() > Some(0)
    });
    let (status, told) = daemon.ask("GET", "/v1/history/page?days=0", "", "").unwrap();
    assert_eq!((status, &told["code"]), (400, &json!("SW0465")));
    let shown = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["history", "page", "--kind", "service", "--estate"])
        .arg(&estate)
        .env("WATCH_TEST_TOKEN", TOKEN)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("service:web") && shown.contains('█'), "{shown}");

    // Another place finds it well: the two do not agree. Without the token nobody is listened to.
    let push = |token: &str, body: &str| daemon.ask("POST", "/v1/signals", token, body).unwrap();
    assert_eq!(push("none", &pushed(1, "ok")).0, 401);
    assert_eq!(push(TOKEN, "{}").1["code"], "SW0234");
    let elsewhere = pushed(1, "ok").replace("service:web", "service:nobody");
    assert_eq!(push(TOKEN, &elsewhere).1["code"], "SW0234");
    let mut seq = 1;
    daemon.until("service:web", "degraded", || {
        seq += 1;
        assert_eq!(push(TOKEN, &pushed(seq, "ok")), (200, json!({"taken": 1})));
    });
    let _server = Server::at(web);
    daemon.until("service:web", "up", || {
        seq += 1;
        push(TOKEN, &pushed(seq, "ok"));
    });
    daemon.until("service:shop", "up", || ());
    daemon.until_told("/v1/costs", |told| told["services"][0]["a_minute"]["likely"] == 0);
    daemon.stop();

    let out = dir.path().join("out");
    let exported = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["history", "export", "--from", "2026-01-01", "--format", "csv", "--dir"])
        .arg(&history)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let statuses = fs::read_to_string(out.join("statuses.csv")).unwrap();
    let of_web: Vec<_> = statuses
        .lines()
        .filter_map(|line| line.strip_prefix("service:web,"))
        .filter_map(|line| line.split(',').nth(2))
        .filter(|status| *status != "unknown")
        .collect();
    assert_eq!(of_web, ["up", "down", "degraded", "up"], "{statuses}");
}

#[test]
fn a_job_s_heartbeats_are_heard_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let admin = free();
    let estate = dir.path().join("seawall.toml");
    let text = format!(
        r#"
        [listen]
        admin = "{admin}"
        admin_token = "env:WATCH_TEST_TOKEN"
        [journal]
        dir = "{}"
        [probes.backup]
        push = true
        every = "1s"
        grace = "5m"
        [probes.plugin]
        exec = ["/bin/sh", "-c", "echo all is well"]
        every = "1s"
        timeout = "1s"
        [watch]
        exec = true
        "#,
        dir.path().join("journal").display()
    );
    fs::write(&estate, text).unwrap();
    let daemon = Daemon::start(&estate, admin);
    daemon.until("service:plugin", "up", || ());
    let send = |daemon: &Daemon, path: &str, token: &str, body: &str| {
        daemon.ask("POST", &format!("/v1/heartbeats/{path}"), token, body).unwrap()
    };
    assert_eq!(send(&daemon, "backup", "none", "").0, 401);
    assert_eq!(send(&daemon, "nobody", TOKEN, "").1["code"], "SW0259");
    assert_eq!(send(&daemon, "plugin", TOKEN, "").1["code"], "SW0259");
    assert_eq!(send(&daemon, "backup?state=good", TOKEN, "").1["code"], "SW0258");
    assert_eq!(daemon.ask("GET", "/v1/heartbeats/backup", TOKEN, "").unwrap().0, 405);
    let (status, answer) = send(&daemon, "backup", TOKEN, "12 GB");
    assert_eq!((status, &answer["state"], &answer["stored"]), (200, &json!("ok"), &json!(true)));
    daemon.until("service:backup", "up", || ());
    send(&daemon, "backup?state=start", TOKEN, "");
    let (status, answer) = send(&daemon, "backup?state=fail", TOKEN, "no space left");
    assert_eq!((status, &answer["state"]), (200, &json!("fail")));
    daemon.until("service:backup", "down", || ());
    daemon.stop();

    let daemon = Daemon::start(&estate, admin);
    daemon.until("service:backup", "down", || ());
    let (_, probes) = daemon.ask("GET", "/v1/probes", "", "").unwrap();
    let [backup, plugin] = &probes["probes"].as_array().unwrap()[..] else { panic!("{probes:#}") };
    assert!(backup["why"].as_str().unwrap().ends_with("it failed: no space left"), "{backup:#}");
    assert_eq!((&backup["target"], &plugin["target"]), (&json!("push"), &json!("exec:/bin/sh")));
    send(&daemon, "backup", TOKEN, "");
    daemon.until("service:backup", "up", || ());
    daemon.stop();
}
