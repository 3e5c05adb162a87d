//! `seawall status`, `cordon`, `uncordon` and `mode`: what operators see and change of the running daemon, over its admin
//! listener.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
};

use bytes::Bytes;
use clap::Args;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    demo::rpc::Rpc,
    estate::{self, LoadError, Surroundings},
};

/// Which daemon is asked, and how it is shown.
#[derive(Debug, Args)]
pub struct Ask {
    /// The estate: a file, or a directory of *.toml; it tells where the daemon's admin listener is, and its token
    #[arg(long, value_name = "PATH", default_value = "seawall.toml")]
    pub estate: PathBuf,
    /// The admin listener, if not where the estate says, as of a process that has the role `respond`
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows the services, chains, pools and upstreams of the running daemon
#[derive(Debug, Args)]
#[command(after_help = "\
EXIT CODES
  0  every service and pool is up    1  one is not    2  it cannot be told")]
pub struct StatusArgs {
    /// Which daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Which upstream is taken out of service, or put back.
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES
  seawall cordon ethereum/alchemy --reason 'INC-142: wrong logs'
  seawall uncordon ethereum/alchemy

EXIT CODES
  0  it is    2  it could not be done")]
pub struct CordonArgs {
    /// Pool and upstream
    #[arg(value_name = "POOL/UPSTREAM")]
    pub upstream: String,
    /// Why, for the journal
    #[arg(long)]
    pub reason: Option<String>,
    /// Which daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// Shows the pools' modes, or sets one
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES
  seawall mode
  seawall mode reduce-only --pool venue --reason 'the venue is unwell'
  seawall mode normal

EXIT CODES
  0  it is    2  it could not be done")]
pub struct ModeArgs {
    /// `normal`, `reduce-only`, `read-only` or `closed`; shows what holds if absent
    #[arg(value_name = "MODE")]
    pub mode: Option<String>,
    /// The pool; all of them if absent
    #[arg(long, value_name = "POOL", requires = "mode")]
    pub pool: Option<String>,
    /// Why, for clients and the journal
    #[arg(long, requires = "mode")]
    pub reason: Option<String>,
    /// Which daemon.
    #[command(flatten)]
    pub ask: Ask,
}

/// What is asked of the daemon.
#[derive(Debug)]
pub enum Order {
    /// How it is.
    Status,
    /// An upstream is taken out of service, or put back.
    Cordon {
        /// `pool/upstream`.
        upstream: String,
        /// Out of service.
        out: bool,
        /// Why.
        reason: Option<String>,
    },
    /// Which modes hold.
    Modes,
    /// A mode is set.
    SetMode {
        /// The mode.
        mode: String,
        /// The pool; all of them if `None`.
        pool: Option<String>,
        /// Why.
        reason: Option<String>,
    },
}

impl CordonArgs {
    /// What it asks: `out` of service, or back.
    pub fn order(&self, out: bool) -> Order {
        Order::Cordon { upstream: self.upstream.clone(), out, reason: self.reason.clone() }
    }
}

impl ModeArgs {
    /// What it asks.
    pub fn order(&self) -> Order {
        match &self.mode {
            None => Order::Modes,
            Some(mode) => {
                Order::SetMode { mode: mode.clone(), pool: self.pool.clone(), reason: self.reason.clone() }
            }
        }
    }
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
enum OperateError {
    #[error("{0}")]
    Estate(#[from] LoadError),
    #[error("SW0249: `{0}` is no `POOL/UPSTREAM`: take the names from `seawall status`")]
    Name(String),
    #[error("SW0250: the daemon at {at} does not answer: {why}; does it run? `--admin` says where to ask")]
    Silent { at: SocketAddr, why: String },
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
}

/// Asks the daemon and writes what it says to `out`. Gives the exit code; the error is `out`'s.
pub fn run(ask: &Ask, order: &Order, with: &Surroundings<'_>, out: &mut dyn Write) -> io::Result<u8> {
    match asked(ask, order, with) {
        Ok(told) => {
            let (text, code) = show(order, &told);
            match ask.json {
                true => writeln!(out, "{told:#}")?,
                false => out.write_all(text.as_bytes())?,
            }
            Ok(code)
        }
        Err(error) => {
            match ask.json {
                true => writeln!(out, "{:#}", json!({"error": error.to_string()}))?,
                false => writeln!(out, "error: {error}")?,
            }
            Ok(2)
        }
    }
}

/// Asks the daemon for what is at `path` of its admin listener. The error is one line, with its code.
pub(crate) fn get(ask: &Ask, path: String, with: &Surroundings<'_>) -> Result<Value, String> {
    exchanged(ask, (Method::GET, path, Bytes::new()), with).map_err(|error| error.to_string())
}

fn asked(ask: &Ask, order: &Order, with: &Surroundings<'_>) -> Result<Value, OperateError> {
    exchanged(ask, request(order)?, with)
}

fn exchanged(
    ask: &Ask,
    (method, path, body): (Method, String, Bytes),
    with: &Surroundings<'_>,
) -> Result<Value, OperateError> {
    let estate = estate::load(&ask.estate, with)?;
    let at = ask.admin.unwrap_or(estate.admin);
    let silent = |why: String| OperateError::Silent { at, why };
    let mut rpc = Rpc::new(at);
    if let Some(token) = &estate.admin_token {
        rpc = rpc.with_token(token);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| silent(e.to_string()))?;
    let (status, body) =
        runtime.block_on(rpc.exchange(method, &path, body)).map_err(|e| silent(e.to_string()))?;
    let told: Value = serde_json::from_slice(&body).map_err(|e| silent(format!("not an answer: {e}")))?;
    if status == StatusCode::OK {
        return Ok(told);
    }
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    Err(OperateError::Refused { code: text("code"), message: text("message") })
}

fn request(order: &Order) -> Result<(Method, String, Bytes), OperateError> {
    Ok(match order {
        Order::Status => (Method::GET, "/v1/pools".to_owned(), Bytes::new()),
        Order::Modes => (Method::GET, "/v1/modes".to_owned(), Bytes::new()),
        Order::SetMode { mode, pool, reason } => {
            let body = json!({"mode": mode, "pool": pool, "reason": reason}).to_string();
            (Method::POST, "/v1/modes".to_owned(), body.into())
        }
        Order::Cordon { upstream, out, reason } => {
            let plain = |part: &str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            };
            let (pool, name) = upstream
                .split_once('/')
                .filter(|(pool, name)| plain(pool) && plain(name))
                .ok_or_else(|| OperateError::Name(upstream.clone()))?;
            let change = if *out { "cordon" } else { "uncordon" };
            let path = format!("/v1/pools/{pool}/upstreams/{name}/{change}");
            (Method::POST, path, json!({"reason": reason}).to_string().into())
        }
    })
}

/// What the daemon said, as people read it, and the exit code.
fn show(order: &Order, told: &Value) -> (String, u8) {
    let word = |key: &str| told[key].as_str().unwrap_or_default();
    let kept = |text: String| match told["stored"].as_bool() {
        Some(false) => format!("{text} (not stored: it will not outlive a restart)\n"),
        Some(true) | None => format!("{text}\n"),
    };
    match order {
        Order::Status => status(&serde_json::from_value(told.clone()).unwrap_or_default()),
        Order::Modes => (modes(told), 0),
        Order::SetMode { .. } => {
            let whose =
                told["pool"].as_str().map_or("every pool".to_owned(), |pool| format!("pool `{pool}`"));
            (kept(format!("{whose} is {}", word("mode"))), 0)
        }
        Order::Cordon { .. } => {
            let state = if told["cordoned"] == true { "out of service" } else { "in service" };
            (kept(format!("{}/{} is {state}", word("pool"), word("upstream"))), 0)
        }
    }
}

fn modes(told: &Value) -> String {
    let mut rows = vec![["pool", "mode", "reason"].map(str::to_owned)];
    for mode in told["modes"].as_array().into_iter().flatten() {
        rows.push(["pool", "mode", "reason"].map(|key| mode[key].as_str().unwrap_or("-").to_owned()));
    }
    match rows.len() {
        1 => "there are no pools\n".to_owned(),
        _ => crate::output::table(&rows),
    }
}

/// The answer of `/v1/pools`, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pools {
    estate: String,
    version: String,
    uptime_ms: u64,
    pools: Vec<Pool>,
    services: Option<Vec<Believed>>,
    chains: Option<Vec<Believed>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Believed {
    component: String,
    status: String,
    since: String,
    evidence: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pool {
    name: String,
    kind: String,
    status: String,
    head: Option<Head>,
    requests: u64,
    failed: u64,
    upstreams: Vec<Upstream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    number: u64,
    age_ms: u64,
    halted: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Upstream {
    name: String,
    provider: String,
    region: Option<String>,
    tier: u8,
    cordoned: bool,
    fault: Option<String>,
    stranded: bool,
    fresh: bool,
    head: Option<Head>,
    breakers: Vec<Breaker>,
    latency_us: Latency,
    in_flight: u32,
    share: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Breaker {
    class: String,
    state: String,
    cause: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Latency {
    mean: u64,
    p95: Option<u64>,
}

fn status(told: &Pools) -> (String, u8) {
    let up = std::time::Duration::from_secs(told.uptime_ms / 1_000);
    let mut text = format!(
        "estate `{}`, seawall {}, up for {}\n",
        told.estate,
        told.version,
        seawall_model::units::show_duration(up)
    );
    let services = told.services.as_deref().unwrap_or_default();
    let chains = told.chains.as_deref().unwrap_or_default();
    if told.pools.is_empty() && services.is_empty() && chains.is_empty() {
        text += "there are neither pools nor services: the estate has none, or another process has them\n";
        return (text, 2);
    }
    for (what, believed) in
        [("service", services), ("chain", chains)].into_iter().filter(|(_, b)| !b.is_empty())
    {
        let mut rows = vec![[what, "status", "since", "why"].map(str::to_owned)];
        rows.extend(believed.iter().map(Believed::row));
        text.push('\n');
        text += &crate::output::table(&rows);
    }
    for pool in &told.pools {
        let _ = write!(text, "\npool `{}` ({}) is {}", pool.name, pool.kind, pool.status);
        if let Some(head) = &pool.head {
            let halted = if head.halted == Some(true) { "; the chain stands still" } else { "" };
            let _ = write!(text, ", agreed head {}, moved {} ms ago{halted}", head.number, head.age_ms);
        }
        let _ = writeln!(text, ", {} requests, {} failed", pool.requests, pool.failed);
        let head = ["upstream", "operator", "tier", "share", "mean", "p95", "in flight", "behind", ""];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(pool.upstreams.iter().map(|upstream| upstream.row(pool.head.as_ref())));
        text.extend(crate::output::table(&rows).lines().map(|line| format!("  {line}\n")));
    }
    let believed_up = services.iter().chain(chains).all(|b| b.status == "up");
    let all_up = told.pools.iter().all(|pool| pool.status == "up") && believed_up;
    (text, if all_up { 0 } else { 1 })
}

impl Believed {
    fn row(&self) -> [String; 4] {
        let name = self.component.strip_prefix("service:").unwrap_or(&self.component);
        [name, &self.status, &self.since, &self.evidence].map(str::to_owned)
    }
}

impl Upstream {
    fn row(&self, agreed: Option<&Head>) -> [String; 9] {
        let operator = match &self.region {
            Some(region) => format!("{}/{region}", self.provider),
            None => self.provider.clone(),
        };
        let ms = |us: u64| format!("{:.1} ms", us as f64 / 1e3);
        let behind = match (agreed, &self.head) {
            (Some(agreed), Some(own)) => agreed.number.saturating_sub(own.number).to_string(),
            _ => "-".to_owned(),
        };
        [
            self.name.clone(),
            operator,
            self.tier.to_string(),
            format!("{:.0} %", self.share * 100.0),
            ms(self.latency_us.mean),
            self.latency_us.p95.map_or("-".to_owned(), ms),
            self.in_flight.to_string(),
            behind,
            self.words(),
        ]
    }

    /// What speaks against it, if anything does.
    fn words(&self) -> String {
        let mut words = Vec::new();
        if self.cordoned {
            words.push("cordoned".to_owned());
        }
        if let Some(fault) = &self.fault {
            words.push(format!("not believed: {fault}"));
        } else if !self.fresh {
            words.push("its head is not known".to_owned());
        }
        if self.stranded {
            words.push("takes no new connections".to_owned());
        }
        for state in ["ejected", "probing"] {
            let of: Vec<_> = self.breakers.iter().filter(|b| b.state == state).collect();
            let Some(first) = of.first() else { continue };
            let classes: Vec<_> = of.iter().map(|b| b.class.as_str()).collect();
            let cause = first.cause.as_deref().map_or(String::new(), |cause| format!(" ({cause})"));
            words.push(format!("{state} for {}{cause}", classes.join(", ")));
        }
        if words.is_empty() { "serves".to_owned() } else { words.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{estate::tests::World, init::STARTER};

    #[test]
    fn a_status_shows_what_speaks_against_each() {
        let upstream = |name: &str, more: Value| {
            let mut whole = json!({
                "name": name, "provider": name, "region": null, "tier": 0, "cordoned": false, "fault": null,
                "stranded": false, "fresh": true, "head": {"number": 23_000_000, "age_ms": 900}, "breakers": [],
                "latency_us": {"mean": 1_240, "p95": 9_800}, "in_flight": 2, "share": 0.5,
            });
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            whole
        };
        let told = json!({
            "estate": "prod", "version": "0.1.0", "uptime_ms": 93_784_000,
            "pools": [{
                "name": "ethereum", "kind": "evm", "status": "degraded", "requests": 1_204, "failed": 0,
                "head": {"number": 23_000_000, "age_ms": 1_200, "halted": false},
                "upstreams": [
                    upstream("own", json!({})),
                    upstream("far", json!({"region": "eu-west-1", "breakers": [
                        {"class": "logs", "state": "ejected", "cause": "timeout"},
                        {"class": "state", "state": "admitting", "cause": null},
                        {"class": "trace", "state": "ejected", "cause": "timeout"},
                    ]})),
                    upstream("odd", json!({"cordoned": true, "fault": "lagging", "latency_us": {"mean": 0, "p95": null},
                        "head": {"number": 22_999_990, "age_ms": 0}})),
                ],
            }, {
                "name": "venue", "kind": "http", "status": "up", "requests": 7, "failed": 0, "head": null, "upstreams": [],
            }],
        });
        let (shown, code) = show(&Order::Status, &told);
        assert_eq!(code, 1);
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_was_done_is_told() {
        let cordon = Order::Cordon { upstream: "e/a".into(), out: true, reason: None };
        let told = json!({"pool": "e", "upstream": "a", "cordoned": true, "changed": true, "stored": false});
        let said = "e/a is out of service (not stored: it will not outlive a restart)\n";
        assert_eq!(show(&cordon, &told).0, said);
        let set = Order::SetMode { mode: "closed".into(), pool: None, reason: None };
        assert_eq!(show(&set, &json!({"pool": null, "mode": "closed"})).0, "every pool is closed\n");
        let modes =
            json!({"modes": [{"pool": "e", "mode": "read-only", "since": 7, "reason": "a migration"}]});
        assert_eq!(show(&Order::Modes, &modes).0, "pool  mode       reason\ne     read-only  a migration\n");
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let estate = STARTER.replace("127.0.0.1:9545", &format!("127.0.0.1:{port}"));
        let world = World::new(&[("/e/seawall.toml", &estate)]);
        let ask = |json| Ask { estate: "/e/seawall.toml".into(), admin: None, json };
        let check = |order: &Order, json| {
            let mut out = Vec::new();
            let code = world.with(|with| run(&ask(json), order, with, &mut out)).unwrap();
            (String::from_utf8(out).unwrap(), code)
        };
        let (shown, code) = check(&Order::Status, false);
        assert!(shown.starts_with("error: SW0250: ") && code == 2, "{shown}");
        let (shown, _) = check(&Order::Status, true);
        assert!(shown.contains("\"error\": \"SW0250: "), "{shown}");
        for name in ["ethereum", "a/b/../c", "/x", "a b/c"] {
            let order = Order::Cordon { upstream: name.into(), out: true, reason: None };
            assert!(check(&order, false).0.starts_with("error: SW0249: "), "{name}");
        }
    }
}
