//! `seawall explain`: what would be done with a request now, and why.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use seawall_gateway::{CallExplained, Events, Explanation, Gateway};
use seawall_runtime::Machine;
use serde_json::{Value, json, value::RawValue};

use crate::{
    demo::rpc::{Rpc, RpcError},
    estate::{self, Estate, LoadError, Surroundings},
};

/// Tells what would be done with a request now, and why
///
/// Asks the running daemon over its admin listener: which pool, what is known of the method, which block it
/// reads, who may be asked and who not for what reason, in which order, and when a second attempt goes out.
/// Without a daemon it tells what the estate alone can tell. Nothing is sent to any upstream.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
  seawall explain '{\"method\": \"eth_getBalance\", \"params\": [\"0x…\", \"latest\"]}'
  seawall explain --pool ethereum request.json
  seawall explain - < request.json

EXIT CODES
  0  it would be asked, or answered    1  it would be refused    2  it cannot be told")]
pub struct ExplainArgs {
    /// The request: JSON, a file that holds it, or `-` for standard input
    #[arg(value_name = "REQUEST")]
    pub request: String,
    /// The pool's name, or the path it is served at; not needed where there is one pool
    #[arg(long, value_name = "POOL")]
    pub pool: Option<String>,
    /// The estate: a file, or a directory of *.toml; it tells where the daemon's admin listener is
    #[arg(long, value_name = "PATH", default_value = "seawall.toml")]
    pub estate: PathBuf,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// What the process exits with.
pub mod exit {
    /// Every call of the request would be asked, or answered by the gateway itself.
    pub const SERVED: u8 = 0;
    /// One of them would be refused.
    pub const REFUSED: u8 = 1;
    /// It cannot be told.
    pub const UNTOLD: u8 = 2;
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The request cannot be read, or is none.
    #[error("SW0241: {0}")]
    Request(String),
    /// The daemon did not answer as it should.
    #[error("SW0242: the daemon at {at} cannot be asked: {why}")]
    Daemon {
        /// Its admin listener.
        at: std::net::SocketAddr,
        /// What went wrong.
        why: String,
    },
    /// The estate cannot be used.
    #[error("{0}")]
    Estate(#[from] LoadError),
    /// The machine, or the gateway on it, cannot be set up.
    #[error("SW0242: {0}")]
    Setup(String),
}

/// Explains, and writes what was found to `out`. Gives the exit code; the error is `out`'s.
pub fn run(args: &ExplainArgs, with: &Surroundings<'_>, out: &mut dyn Write) -> io::Result<u8> {
    match told(args, with) {
        Ok((explanation, live)) => {
            match args.json {
                true => writeln!(out, "{:#}", json!(explanation))?,
                false => out.write_all(render(&explanation, live).as_bytes())?,
            }
            let refused = explanation.calls.iter().any(|c| c.order.is_empty() && c.answered.is_none());
            Ok(if refused { exit::REFUSED } else { exit::SERVED })
        }
        Err(error) => {
            let help = match &error {
                ExplainError::Estate(LoadError::Invalid { .. }) => "; `seawall check` says what is wrong",
                _ => "",
            };
            match args.json {
                true => writeln!(out, "{:#}", json!({"error": error.to_string()}))?,
                false => writeln!(out, "error: {error}{help}")?,
            }
            Ok(exit::UNTOLD)
        }
    }
}

/// The explanation, and whether a running daemon gave it.
fn told(args: &ExplainArgs, with: &Surroundings<'_>) -> Result<(Explanation, bool), ExplainError> {
    let request = request(&args.request)?;
    let estate = estate::load(&args.estate, with)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ExplainError::Setup(e.to_string()))?;
    match runtime.block_on(asked(&estate, args.pool.as_deref(), &request))? {
        Some(explanation) => Ok((explanation, true)),
        None => Ok((alone(&estate, args.pool.as_deref(), &request)?, false)),
    }
}

fn request(given: &str) -> Result<Box<RawValue>, ExplainError> {
    let unreadable =
        |e: io::Error| ExplainError::Request(format!("the request `{given}` cannot be read: {e}"));
    let text = match given {
        "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(unreadable)?;
            text
        }
        given if given.trim_start().starts_with(['{', '[']) => given.to_owned(),
        path => fs::read_to_string(Path::new(path)).map_err(unreadable)?,
    };
    serde_json::from_str(&text).map_err(|e| ExplainError::Request(format!("the request is no JSON: {e}")))
}

/// Asks the daemon; `None` if there is none.
async fn asked(
    estate: &Estate,
    pool: Option<&str>,
    request: &RawValue,
) -> Result<Option<Explanation>, ExplainError> {
    let at = estate.admin;
    let body = Bytes::from(json!({"pool": pool, "request": request}).to_string());
    let failed = |why: String| ExplainError::Daemon { at, why };
    match Rpc::new(at).exchange(Method::POST, "/v1/explain", body).await {
        Ok((StatusCode::OK, body)) => {
            serde_json::from_slice(&body).map(Some).map_err(|e| failed(e.to_string()))
        }
        Ok((status, body)) => {
            let told: Value = serde_json::from_slice(&body).unwrap_or_default();
            let message = told["message"].as_str().map_or(format!("HTTP {status}"), str::to_owned);
            match told["code"].as_str() {
                Some("SW0228" | "SW0241") => Err(ExplainError::Request(message)),
                Some(_) | None => Err(failed(message)),
            }
        }
        // Nobody listens there.
        Err(RpcError::Transport(_)) => Ok(None),
        Err(e) => Err(failed(e.to_string())),
    }
}

/// What the estate alone can tell: a gateway is built from it and never started.
fn alone(estate: &Estate, pool: Option<&str>, request: &RawValue) -> Result<Explanation, ExplainError> {
    let none = || ExplainError::Request("the estate has no pools".to_owned());
    let section = estate.gateway.clone().ok_or_else(none)?;
    let machine = Machine::system(None, Arc::default()).map_err(|e| ExplainError::Setup(e.to_string()))?;
    let (events, _nobody) = Events::queue();
    let gateway = Gateway::new(section, &machine, events).map_err(|e| ExplainError::Setup(e.to_string()))?;
    gateway.explain(pool, request.get().as_bytes()).map_err(|e| ExplainError::Request(e.to_string()))
}

/// The explanation as people read it.
fn render(explanation: &Explanation, live: bool) -> String {
    let mut text = String::new();
    let Explanation { pool, route, kind, .. } = explanation;
    let _ = writeln!(text, "pool `{pool}` ({kind}), served at {route}");
    if !live {
        text += "no daemon answers: told from the estate alone, nothing is known of heads and breakers\n";
    }
    if let Some((number, age)) = explanation.head {
        let halted = if explanation.halted { "; the chain stands still" } else { "" };
        let _ = writeln!(text, "agreed head {number}, moved {age} ms ago{halted}");
    }
    let (used, allowed) = explanation.unplanned;
    let _ = writeln!(text, "unplanned attempts: {used} of {allowed} used in the last ten seconds");
    explanation.calls.iter().for_each(|call| text += &show(call));
    text
}

fn show(call: &CallExplained) -> String {
    let mut text = format!("\n{} (class {})\n", call.method, call.class);
    call.facts.iter().for_each(|fact| text += &format!("  {fact}\n"));
    let mut say = |what: &str, value: &Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {what} {value}");
        }
    };
    say("reads", &call.reads);
    say("sent with the parameters", &call.rewritten);
    say("answered by the gateway itself:", &call.answered);
    call.plan.iter().for_each(|step| text += &format!("  {step}\n"));
    if call.answered.is_none() && !call.order.is_empty() {
        let _ = writeln!(text, "  asked, as long as each fails: {}", call.order.join(", then "));
    }
    if let Some(ms) = call.hedge_after_ms.filter(|_| call.answered.is_none()) {
        let _ = writeln!(text, "  a second attempt goes out after {ms} ms without an answer");
    }
    text.push('\n');
    let head =
        ["upstream", "operator", "tier", "weight", "breaker", "mean", "in flight", ""].map(str::to_owned);
    let rows = call.upstreams.iter().map(|u| {
        let mean = if u.mean_us == 0 { "-".to_owned() } else { format!("{:.1} ms", u.mean_us as f64 / 1e3) };
        let why = match (u.may, u.why.is_empty()) {
            (true, true) => "may be asked".to_owned(),
            (true, false) => u.why.join("; "),
            (false, _) => format!("no: {}", u.why.join("; ")),
        };
        let (tier, weight, flight) = (u.tier.to_string(), u.weight.to_string(), u.in_flight.to_string());
        [u.upstream.clone(), u.operator.clone(), tier, weight, u.breaker.clone(), mean, flight, why]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    text + &crate::output::table(&rows).lines().map(|line| format!("  {line}\n")).collect::<String>()
}

#[cfg(test)]
mod tests {
    use seawall_gateway::Candidate;

    use super::*;
    use crate::{estate::tests::World, init::STARTER};

    /// Where nobody listens.
    fn nowhere() -> String {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        STARTER.replace("127.0.0.1:9545", &format!("127.0.0.1:{port}"))
    }

    fn check(request: &str, pool: Option<&str>, json: bool) -> (String, u8) {
        let world = World::new(&[("/e/seawall.toml", &nowhere())]);
        let args = ExplainArgs {
            request: request.to_owned(),
            pool: pool.map(str::to_owned),
            estate: "/e/seawall.toml".into(),
            json,
        };
        let mut out = Vec::new();
        let code = world.with(|with| run(&args, with, &mut out)).unwrap();
        (String::from_utf8(out).unwrap(), code)
    }

    const BALANCE: &str =
        r#"{"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": ["0x01", "latest"]}"#;

    #[test]
    fn the_estate_alone_tells_what_it_can() {
        let (shown, code) = check(BALANCE, None, false);
        assert_eq!(code, exit::SERVED, "{shown}");
        insta::assert_snapshot!(shown);
        let (json, code) = check(BALANCE, Some("/ethereum"), true);
        let told: Explanation = serde_json::from_str(&json).unwrap();
        assert_eq!((told.calls.len(), code), (1, exit::SERVED));
    }

    #[test]
    fn what_cannot_be_told_says_why() {
        for (request, pool) in [("{", None), ("/none.json", None), ("{}", None), (BALANCE, Some("other"))] {
            let (shown, code) = check(request, pool, false);
            assert_eq!(code, exit::UNTOLD, "{shown}");
            assert!(shown.starts_with("error: SW0241: "), "{shown}");
        }
    }

    fn candidate(upstream: &str, operator: &str, why: &[&str]) -> Candidate {
        Candidate {
            upstream: upstream.into(),
            operator: operator.into(),
            tier: 0,
            weight: 100,
            breaker: "admitting".into(),
            mean_us: 1_240,
            in_flight: 3,
            may: why.is_empty(),
            why: why.iter().map(|w| (*w).to_owned()).collect(),
        }
    }

    #[test]
    fn a_daemon_tells_all() {
        let explanation = Explanation {
            pool: "ethereum".into(),
            route: "/ethereum".into(),
            kind: "evm".into(),
            head: Some((23_000_000, 4_100)),
            halted: false,
            calls: vec![CallExplained {
                method: "eth_getBalance".into(),
                class: "state".into(),
                facts: vec!["asked again elsewhere if it fails".into(), "null is a fault".into()],
                reads: Some("the agreed block 23000000 (0xabab)".into()),
                rewritten: Some(r#"["0x01",{"blockHash":"0xabab"}]"#.into()),
                answered: None,
                order: vec!["own".into(), "paid".into()],
                plan: Vec::new(),
                hedge_after_ms: Some(20),
                upstreams: vec![
                    candidate("own", "self", &[]),
                    candidate("far", "aws/us-east-1", &["ejected (reset) for 3200 ms yet"]),
                    Candidate {
                        may: true,
                        tier: 1,
                        ..candidate("paid", "alchemy", &["of a dearer tier: asked on demand"])
                    },
                ],
            }],
            unplanned: (3, 100),
        };
        insta::assert_snapshot!(render(&explanation, true));
    }
}
