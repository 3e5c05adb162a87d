//! The gateway's own errors, as JSON-RPC: what is wrong, since when, and what was tried.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use seawall_chain::{Hash, envelope};
use seawall_model::{Cause, Mono};
use serde_json::{Value, json, value::RawValue};

use crate::{core::breaker::State, pool::Pool, worker::Worker};

/// JSON-RPC code of other refusals: a server error of the implementation's own (JSON-RPC 2.0, section 5.1).
const CODE: i64 = -32_050;
/// JSON-RPC code of those that were sent away for what they ask at once (EIP-1474: limit exceeded).
const LIMIT_EXCEEDED: i64 = -32_005;
/// Most upstreams named in one refusal.
const NAMED: usize = 8;

/// Why a call got no answer of an upstream's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// No upstream of the pool may be asked.
    NobodyHealthy,
    /// Everybody who could be asked failed.
    AllFailed(Vec<(usize, Cause)>),
    /// Everybody who could be asked failed, and all told an internal error of one code: it may be the call's own.
    AllSay(Vec<(usize, Cause)>, Box<Told>),
    /// The call's time ran out.
    Deadline(Vec<(usize, Cause)>),
    /// Too few independent providers gave the same answer.
    NoQuorum(Vec<(usize, Cause)>),
    /// The attempt budget is spent, and what was asked failed.
    BudgetSpent(Vec<(usize, Cause)>),
    /// A write may have taken effect or not.
    UnknownOutcome(Option<Hash>, Vec<(usize, Cause)>),
    /// A write reached nobody.
    NotSent(Option<Hash>, Vec<(usize, Cause)>),
    /// The chain as a whole stands still, and the estate has writes refused then, or after a while.
    Halted(Option<Hash>),
    /// The agreed head has not come to the block that the client has seen.
    Behind(u64),
    /// An upstream took the transaction, and none shows it.
    Unseen(Hash),
    /// An answer within a batch was too large to hold.
    TooLarge,
    /// The upstreams are at their limits.
    Full {
        /// There may be room after this long.
        retry: Duration,
    },
    /// The client's address asks more than it may.
    Toll {
        /// It may ask again after this long.
        retry: Duration,
    },
    /// The pool's mode does not let it through.
    Barred,
}

/// An error as an upstream told it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) code: i64,
    message: String,
    data: Option<Value>,
}

impl Told {
    /// The error in an upstream's answer, if it is one.
    pub(crate) fn of(answer: &[u8]) -> Option<Self> {
        let error = envelope::parse_answer(answer).ok()?.error?;
        let data = error.data.and_then(|data| serde_json::from_str(data.get()).ok());
        Some(Self { code: error.code, message: error.message.into_owned(), data })
    }
}

impl Refusal {
    /// The operator's code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NobodyHealthy => "SW0301",
            Self::AllFailed(_) | Self::AllSay(..) => "SW0302",
            Self::Deadline(_) => "SW0303",
            Self::BudgetSpent(_) => "SW0304",
            Self::UnknownOutcome(..) => "SW0305",
            Self::NotSent(..) => "SW0306",
            Self::TooLarge => "SW0307",
            Self::Halted(_) => "SW0308",
            Self::NoQuorum(_) => "SW0309",
            Self::Behind(_) => "SW0351",
            Self::Unseen(_) => "SW0353",
            Self::Full { .. } => "SW0361",
            Self::Toll { .. } => "SW0362",
            Self::Barred => "SW0363",
        }
    }

    /// The status a single call is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NobodyHealthy
            | Self::Halted(_)
            | Self::Behind(_)
            | Self::Unseen(_)
            | Self::Full { .. }
            | Self::Barred => StatusCode::SERVICE_UNAVAILABLE,
            Self::Toll { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::AllFailed(_)
            | Self::NoQuorum(_)
            | Self::BudgetSpent(_)
            | Self::UnknownOutcome(..)
            | Self::NotSent(..) => StatusCode::BAD_GATEWAY,
            // As a node says it.
            Self::TooLarge | Self::AllSay(..) => StatusCode::OK,
        }
    }

    /// After how long it may be tried again, where that is known.
    fn retry(&self) -> Option<Duration> {
        match self {
            Self::Full { retry } | Self::Toll { retry } => Some(*retry),
            Self::NobodyHealthy
            | Self::AllFailed(_)
            | Self::AllSay(..)
            | Self::Deadline(_)
            | Self::NoQuorum(_)
            | Self::BudgetSpent(_)
            | Self::UnknownOutcome(..)
            | Self::NotSent(..)
            | Self::Halted(_)
            | Self::Behind(_)
            | Self::Unseen(_)
            | Self::TooLarge
            | Self::Barred => None,
        }
    }

    /// Must it cost little, since it is what keeps others going?
    fn is_cheap(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Toll { .. } | Self::Barred)
    }

    /// What a client of an HTTP API is told, and after how many seconds to try again, if that is known.
    pub(crate) fn to_http(&self, pool: &Pool) -> (Bytes, Option<u64>) {
        let (code, name) = (self.code(), &pool.section.name);
        let mut body = json!({"code": code, "pool": name});
        let what = match self {
            Self::Full { .. } => "the upstreams have as much to do as they can".to_owned(),
            Self::Toll { .. } => "this address asks more than one client may".to_owned(),
            Self::Barred => {
                body["mode"] = json!(pool.state.admission.modes.view());
                pool.state.admission.modes.sentence(name)
            }
            Self::NobodyHealthy
            | Self::AllFailed(_)
            | Self::AllSay(..)
            | Self::Deadline(_)
            | Self::NoQuorum(_)
            | Self::BudgetSpent(_)
            | Self::UnknownOutcome(..)
            | Self::NotSent(..)
            | Self::Halted(_)
            | Self::Behind(_)
            | Self::Unseen(_)
            | Self::TooLarge => "no upstream answered this request".to_owned(),
        };
        body["error"] = format!("{code}: {what}").into();
        let retry = self.retry().map(|retry| retry.as_secs_f64().ceil() as u64);
        (body.to_string().into(), retry)
    }

    /// Writes the JSON-RPC error.
    pub(crate) fn write(&self, out: &mut Vec<u8>, id: Option<&RawValue>, pool: &Pool, worker: &Worker) {
        let name = &pool.section.name;
        let (what, tried, hash) = match self {
            Self::NobodyHealthy => (format!("pool `{name}` has no healthy upstream"), None, None),
            Self::AllFailed(tried) | Self::AllSay(tried, _) => {
                (format!("every upstream of pool `{name}` failed this call"), Some(tried), None)
            }
            Self::Deadline(tried) => (format!("pool `{name}` gave no answer in time"), Some(tried), None),
            Self::NoQuorum(tried) => {
                let what = format!("too few independent providers of pool `{name}` gave the same answer");
                (what, Some(tried), None)
            }
            Self::BudgetSpent(tried) => {
                (format!("pool `{name}` failed this call and its attempt budget is spent"), Some(tried), None)
            }
            Self::UnknownOutcome(hash, tried) => (
                "the outcome is unknown: it may have taken effect; look it up before sending it again".into(),
                Some(tried),
                *hash,
            ),
            Self::NotSent(hash, tried) => (
                format!("no upstream of pool `{name}` took the transaction; none has seen it"),
                Some(tried),
                *hash,
            ),
            Self::Halted(hash) => {
                let heads = pool.state.heads.load();
                let head = heads.latest().map_or("none".into(), |b| b.number.to_string());
                let what = format!(
                    "the chain of pool `{name}` stands still at block {head}; the transaction was not sent"
                );
                (what, None, *hash)
            }
            Self::Behind(seen) => {
                let head = pool.state.heads.load().latest().map_or("none".into(), |b| b.number.to_string());
                let what = format!(
                    "the client has seen block {seen}, and pool `{name}` agrees on block {head} and no later one yet"
                );
                (what, None, None)
            }
            Self::Unseen(hash) => {
                let what =
                    format!("an upstream of pool `{name}` took the transaction, and none shows it now");
                (what, None, Some(*hash))
            }
            Self::Full { .. } => {
                (format!("the upstreams of pool `{name}` have as much to do as they can"), None, None)
            }
            Self::Toll { .. } => {
                (format!("this address asks more of pool `{name}` than one client may"), None, None)
            }
            Self::Barred => (pool.state.admission.modes.sentence(name), None, None),
            Self::TooLarge => ("the answer is too large for a batch: ask for it alone".into(), None, None),
        };
        let now = worker.clock.mono();
        let tried = tried.map(|tried| {
            let named = tried
                .iter()
                .map(|(i, cause)| json!({"upstream": pool.upstreams[*i].section.name, "cause": cause}));
            named.collect::<Vec<_>>()
        });
        // Nothing is wrong with them, and this is said often.
        let named = if self.is_cheap() { 0 } else { pool.upstreams.len().min(NAMED) };
        let upstreams: Vec<_> = (0..named).map(|i| self::state(pool, i, now, worker)).collect();
        let message = match self {
            Self::NobodyHealthy => format!("{}: {what}: {}", self.code(), sentence(&upstreams)),
            Self::AllSay(_, told) => told.message.clone(),
            _ => format!("{}: {what}", self.code()),
        };
        let mut data = json!({"code": self.code(), "pool": name, "upstreams": upstreams});
        if let Some(tried) = tried {
            data["tried"] = tried.into();
        }
        if let Some(hash) = hash {
            data["transactionHash"] = hash.to_string().into();
        }
        if let Self::UnknownOutcome(..) = self {
            data["outcome"] = "unknown".into();
        }
        if let Self::Barred = self {
            data["mode"] = json!(pool.state.admission.modes.view());
        }
        if let Self::AllSay(_, told) = self
            && let Some(said) = &told.data
        {
            data["said"] = said.clone();
        }
        let code = match (self, self.retry()) {
            (Self::AllSay(_, told), _) => told.code,
            (_, Some(retry)) => {
                data["retryAfterMs"] = (retry.as_millis() as u64).into();
                LIMIT_EXCEEDED
            }
            (_, None) => CODE,
        };
        envelope::write_error(out, id, code, &message, Some(&data.to_string()));
    }
}

/// What is wrong with one upstream, and since when.
fn state(pool: &Pool, i: usize, now: Mono, worker: &Worker) -> Value {
    let upstream = &pool.upstreams[i];
    let heads = pool.state.heads.load();
    let worst = upstream
        .state
        .learned()
        .breakers
        .iter()
        .map(|b| (b.state(), b.since()))
        .find(|(s, _)| *s != State::Admitting);
    let (state, cause, since) = match (upstream.state.cordoned(), heads.fault(i), worst) {
        (true, _, _) => ("cordoned", Some(Cause::Cordoned), None),
        (_, Some((cause, since)), _) => ("faulted", Some(cause), Some(since)),
        (_, None, Some((state, since))) => (state.as_str(), state.cause(), Some(since)),
        (_, None, None) if heads.unknown.has(i) => ("silent", None, Some(upstream.state.last_answer())),
        (_, None, None) if !upstream.has_room(now) => ("at its rate limit", None, None),
        (_, None, None) => ("admitting", None, None),
    };
    let since = since.filter(|s| *s > Mono::ZERO).map(|s| worker.clock.wall_at(now, s).to_string());
    json!({"upstream": upstream.section.name, "state": state, "cause": cause, "since": since})
}

fn sentence(upstreams: &[Value]) -> String {
    let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let one = |u: &Value| {
        let mut text = format!("{} {}", word(&u["upstream"]), word(&u["state"]));
        if u["cause"].is_string() {
            text += &format!(" ({})", word(&u["cause"]));
        }
        if u["since"].is_string() {
            text += &format!(" since {}", word(&u["since"]));
        }
        text
    };
    upstreams.iter().map(one).collect::<Vec<_>>().join("; ")
}
