//! What would be done with a request now, and why: `seawall explain`. Told from the same sets that a call is
//! chosen by, and nothing is changed by telling.

use seawall_chain::{
    envelope::{self, Call},
    method::{Class, Method, NullResult},
    pin::Reads,
};
use seawall_model::Mono;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    call::{known, pinned},
    core::{breaker::State, choose::Set},
    estate::{Pin, PoolKind, WhenHalted},
    heads::Heads,
    pool::{Field, Pool},
    routes::Routes,
};

/// Most calls of one batch that are explained.
const MAX_CALLS: usize = 20;

/// What would be done with a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The pool it goes to.
    pub pool: String,
    /// The path that the pool is served at.
    pub route: String,
    /// `http`, or the family of its chain.
    pub kind: String,
    /// The agreed head: its height, and milliseconds since it moved.
    pub head: Option<(u64, u64)>,
    /// The chain as a whole stands still.
    pub halted: bool,
    /// The request's calls; of an HTTP API's request one that stands for any.
    pub calls: Vec<CallExplained>,
    /// Unplanned attempts over the last ten seconds: used, and allowed.
    pub unplanned: (u64, u64),
}

/// What would be done with one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallExplained {
    /// Its method.
    pub method: String,
    /// What the method is for.
    pub class: String,
    /// What is known of it.
    pub facts: Vec<String>,
    /// Which block it reads, if any.
    pub reads: Option<String>,
    /// Its parameters as upstreams are sent them, if they are written anew.
    pub rewritten: Option<String>,
    /// What the gateway answers by itself, or refuses with.
    pub answered: Option<String>,
    /// Upstreams in the order in which they would be asked, as long as each fails.
    pub order: Vec<String>,
    /// What else would happen.
    pub plan: Vec<String>,
    /// A second attempt goes out after so many milliseconds.
    pub hedge_after_ms: Option<u64>,
    /// Every upstream of the pool.
    pub upstreams: Vec<Candidate>,
}

/// An upstream, and what speaks for or against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub upstream: String,
    /// Who operates it: the provider, and the region if told.
    pub operator: String,
    /// Cost tier.
    pub tier: u8,
    /// Share of traffic relative to its peers.
    pub weight: u32,
    /// Where its breaker stands, for this class of methods.
    pub breaker: String,
    /// Mean time to an answer of this class in microseconds, failures counted as long ones; 0 if there was none.
    pub mean_us: u64,
    /// Attempts in flight.
    pub in_flight: u32,
    /// It may be asked at all.
    pub may: bool,
    /// Why it may not, or only after others.
    pub why: Vec<String>,
}

/// Why a request cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// There is no such pool, or it must be said which.
    #[error("{0}")]
    WhichPool(String),
    /// It is no JSON-RPC request.
    #[error("the request is no JSON-RPC call or batch: {0}")]
    NotACall(String),
}

/// Explains `request` as the pool called `pool`, or served at that path, would treat it; where there is but one
/// pool it need not be named.
pub(crate) fn explain(
    routes: &Routes,
    pool: Option<&str>,
    request: &[u8],
    now: Mono,
) -> Result<Explanation, ExplainError> {
    observe(find(routes, pool)?, request, MAX_CALLS, now)
}

/// Who would have been asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observed {
    /// Nobody: the gateway knows the answer itself.
    Gateway,
    /// Nobody: none may be.
    Nobody,
    /// This upstream, by its index in the pool.
    Upstream(usize),
}

/// What would be done with a request of at most `most` calls to `pool`.
pub(crate) fn observe(
    pool: &Pool,
    request: &[u8],
    most: usize,
    now: Mono,
) -> Result<Explanation, ExplainError> {
    let heads = pool.state.heads.load_full();
    let balance = pool.state.budget().balance(now);
    Ok(Explanation {
        pool: pool.section.name.to_string(),
        route: pool.section.route.to_string(),
        kind: pool.evm().map_or("http", |chain| chain.family.as_str()).into(),
        head: heads.latest().map(|b| (b.number, now.since(heads.moved).as_millis() as u64)),
        halted: heads.halted,
        calls: calls(pool, &heads, request, most, now)?,
        unplanned: (balance.extra, balance.allowed),
    })
}

fn find<'a>(routes: &'a Routes, pool: Option<&str>) -> Result<&'a Pool, ExplainError> {
    let names: Vec<_> = routes.pools().map(|p| p.section.name.as_str()).collect();
    let found = match pool {
        Some(path) if path.starts_with('/') => routes.find(path),
        Some(name) => routes.named(name),
        None if names.len() == 1 => routes.pools().next(),
        None => {
            let which = format!("name one of the pools: {}", names.join(", "));
            return Err(ExplainError::WhichPool(which));
        }
    };
    let missing = || ExplainError::WhichPool(format!("there is no such pool; there is {}", names.join(", ")));
    found.map(|p| &**p).ok_or_else(missing)
}

fn calls(
    pool: &Pool,
    heads: &Heads,
    request: &[u8],
    most: usize,
    now: Mono,
) -> Result<Vec<CallExplained>, ExplainError> {
    if pool.evm().is_none() {
        // Of an HTTP API every request is of one class, and goes through as it is.
        let call = Call { id: None, method: "(any request)".into(), params: None };
        return Ok(vec![one(pool, heads, &call, now)]);
    }
    let bad = |what: &str| ExplainError::NotACall(what.to_owned());
    match envelope::parse_request(request, most) {
        Ok(envelope::Request::Single(call)) => Ok(vec![one(pool, heads, &call, now)]),
        Ok(envelope::Request::Batch(calls)) => {
            let each = calls.into_iter().map(|call| match call {
                Ok(call) => Ok(one(pool, heads, &call, now)),
                Err(invalid) => Err(bad(invalid.message)),
            });
            each.collect()
        }
        Err(invalid) => Err(bad(invalid.message)),
    }
}

fn one(pool: &Pool, heads: &Heads, call: &Call<'_>, now: Mono) -> CallExplained {
    let method = match pool.evm() {
        Some(_) => (pool.rules().method)(&call.method),
        None => Method { idempotent: false, ..Method::lookup("") },
    };
    let mut rewritten = Vec::new();
    let (mut reads, mut is_rewritten) = (None, false);
    if let Some(evm) = pool.evm() {
        (reads, is_rewritten) = pinned(&mut rewritten, evm, &method, heads, call);
    }
    let agreed = heads.latest().map(|b| b.number);
    let age = agreed.zip(reads.and_then(|r| r.lowest())).map(|(agreed, low)| agreed.saturating_sub(low));
    let able = pool.able_for(now, &call.method, age);
    let order = order(pool, heads, &method, able, now);
    let answered = known(pool, heads, call, now).map(|body| String::from_utf8_lossy(&body).into_owned());
    let name = |i: &usize| pool.upstreams[*i].section.name.to_string();
    let hedged = pool.evm().is_some() && method.idempotent && !method.raw_transaction && order.len() > 1;
    CallExplained {
        method: call.method.to_string(),
        class: method.class.as_str().into(),
        facts: facts(&method, pool),
        reads: reads.map(told),
        rewritten: is_rewritten.then(|| String::from_utf8_lossy(&rewritten).into_owned()),
        hedge_after_ms: hedged.then(|| pool.hedge_after(method.class).as_millis() as u64),
        plan: plan(pool, heads, call, &method, order.is_empty() && answered.is_none()),
        answered,
        order: order.iter().map(name).collect(),
        upstreams: candidates(pool, heads, &method, able, now),
    }
}

/// The upstreams as they would be asked one after the other; of those that may be drawn the likeliest each time.
fn order(pool: &Pool, heads: &Heads, method: &Method, able: Set, now: Mono) -> Vec<usize> {
    let (mut order, mut tried) = (Vec::new(), Set::NONE);
    while order.len() < pool.section.attempts as usize {
        let field = pool.field(now, method.class, heads, able.without(tried), tried);
        let cost = |i: &usize| pool.upstreams[*i].load(method.class).cost();
        let Some(next) = field.from.iter().min_by_key(cost) else { break };
        order.push(next);
        tried.insert(next);
    }
    order
}

fn facts(method: &Method, pool: &Pool) -> Vec<String> {
    let mut facts = Vec::new();
    let mut say = |fact: &str| facts.push(fact.to_owned());
    match &pool.section.kind {
        PoolKind::Evm(_) if method.raw_transaction => {
            say("a signed transaction: sent to several, looked up by its hash")
        }
        PoolKind::Evm(_) if method.idempotent => say("asked again elsewhere if it fails"),
        PoolKind::Evm(_) => say("sent once: it is not known to be harmless twice"),
        PoolKind::Http(http) => {
            let methods: Vec<_> = http.retry_methods.iter().map(http::Method::as_str).collect();
            say(&format!("asked again elsewhere if it fails and is {}", methods.join(", ")));
        }
        PoolKind::Grpc(_) => say("asked again elsewhere if nobody has looked at it, or its method is listed"),
    }
    if method.class == Class::Filter {
        say("kept by the gateway itself, from what all upstreams show");
    }
    match method.null {
        NullResult::Never if pool.evm().is_some() => say("null is a fault"),
        NullResult::NoSuchBlock => say("null for a block of the agreed chain is a fault"),
        NullResult::Possible if pool.evm().is_some() => {
            say(&format!("null is believed of {} providers", pool.opinions))
        }
        NullResult::Never | NullResult::Possible => {}
    }
    if method.empty_is_suspicious {
        say(&format!("an empty list is believed of {} providers", pool.opinions));
    }
    facts
}

fn told(reads: Reads) -> String {
    match reads {
        Reads::Agreed(block) => format!("the agreed block {} ({})", block.number, block.hash),
        Reads::Number(n) => format!("block {n}"),
        Reads::Hash(hash) => format!("block {hash}"),
        Reads::Range(from, to) => format!("blocks {from} to {to}"),
    }
}

fn plan(pool: &Pool, heads: &Heads, call: &Call<'_>, method: &Method, nobody: bool) -> Vec<String> {
    let mut plan = Vec::new();
    if nobody {
        plan.push("refused with SW0301: nobody may be asked".to_owned());
        return plan;
    }
    let Some(evm) = pool.evm() else { return plan };
    if evm.pin == Pin::Off {
        plan.push("tags go through as they are: the pool pins nothing".to_owned());
    }
    if method.raw_transaction {
        plan.push(format!("sent to {} at once", evm.broadcast));
        match evm.when_halted {
            WhenHalted::Refuse if heads.halted => {
                plan.push("refused (SW0308): the chain stands still".to_owned())
            }
            WhenHalted::Queue { .. } if heads.halted => plan.push("waits for the chain to move".to_owned()),
            WhenHalted::Pass | WhenHalted::Refuse | WhenHalted::Queue { .. } => {}
        }
    }
    if let Some(rule) = evm.quorum.as_ref().filter(|rule| rule.covers(&call.method)) {
        plan.push(format!(
            "asked of {} providers at once, {} of which must say the same",
            rule.of, rule.agree
        ));
    }
    plan
}

fn candidates(pool: &Pool, heads: &Heads, method: &Method, able: Set, now: Mono) -> Vec<Candidate> {
    let field = pool.field(now, method.class, heads, able, Set::NONE);
    let each = pool.upstreams.iter().enumerate().map(|(i, upstream)| {
        let state = upstream.state.learned().breakers[method.class as usize].state();
        let load = upstream.load(method.class);
        let section = &upstream.section;
        let operator = match &section.region {
            Some(region) => format!("{}/{region}", section.provider),
            None => section.provider.to_string(),
        };
        Candidate {
            upstream: section.name.to_string(),
            operator,
            tier: section.tier,
            weight: section.weight,
            breaker: state.as_str().into(),
            mean_us: load.mean_us,
            in_flight: load.in_flight,
            may: field.eligible.has(i),
            why: why(pool, heads, i, &field, able, state, now),
        }
    });
    each.collect()
}

/// What speaks against upstream `i`.
fn why(
    pool: &Pool,
    heads: &Heads,
    i: usize,
    field: &Field,
    able: Set,
    state: State,
    now: Mono,
) -> Vec<String> {
    let upstream = &pool.upstreams[i];
    let mut why = Vec::new();
    let ago = |since: Mono| show(now.since(since).as_millis());
    if upstream.state.cordoned() {
        why.push("an operator took it out of service".to_owned());
    }
    match heads.fault(i) {
        Some((cause, _)) if heads.probation.has(i) => {
            why.push(format!("its chain was {cause} again and again until a short while ago: a last resort"));
        }
        Some((cause, since)) => why.push(format!("its chain is {cause}, for {}", ago(since))),
        None if heads.unknown.has(i) && heads.polled => {
            why.push("nothing fresh is known of its head".to_owned())
        }
        None => {}
    }
    if !able.has(i) {
        why.push("it has said that it cannot do this".to_owned());
    }
    match state {
        State::Admitting => {}
        State::Ejected { until, cause } if now >= until => {
            why.push(format!("ejected ({cause}), about to be probed"));
        }
        State::Ejected { until, cause } => {
            why.push(format!("ejected ({cause}) for {} yet", show(until.since(now).as_millis())));
        }
        State::Probing { cause, .. } => why.push(format!("ejected ({cause}), being probed")),
    }
    if !upstream.state.rate.has_room(now) {
        why.push("its rate is used up at this moment".to_owned());
    }
    if let Some(held) = upstream.allowance.as_ref().and_then(|a| a.why_held(now)) {
        why.push(format!("its provider's budget: {held}"));
    }
    if upstream.state.stranded() {
        why.push("it takes no new connections: asked last".to_owned());
    }
    if upstream.section.weight == 0 {
        why.push("its weight is 0: asked last".to_owned());
    }
    let is_full = field.eligible.has(i) && !field.roomy.has(i);
    if is_full {
        why.push("it is sent as much as is good for it: asked last".to_owned());
    }
    if field.eligible.has(i) && !field.from.has(i) && !is_full && !upstream.is_second_choice(now) {
        why.push("of a dearer tier: asked on demand".to_owned());
    }
    why
}

fn show(ms: u128) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        _ => format!("{} s", ms / 1_000),
    }
}

/// The request as it may stand in a JSON text of its own: `{"pool": …, "request": …}`.
#[derive(Debug, Deserialize)]
pub struct ExplainRequest<'a> {
    /// The pool's name or path.
    pub pool: Option<String>,
    /// The request itself.
    #[serde(borrow)]
    pub request: &'a RawValue,
}
