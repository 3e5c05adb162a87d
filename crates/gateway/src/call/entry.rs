//! Where a call comes in.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use seawall_chain::{
    Hash,
    envelope::{self, Call},
    method::Method,
    pin::{self, Mode, Reads},
    tx,
};
use seawall_model::Mono;
use serde_json::value::RawValue;

use super::{
    By, Refusal, Reply, Trail,
    attempt::{Ask, Prove},
    quorum::quorum,
    read::{Outcome, read},
    split::Split,
    write::write,
};
use crate::{
    estate::{EvmSection, Pin},
    feed,
    heads::Heads,
    pool::Pool,
    serve::Visit,
    worker::Worker,
};

/// A range that ends this close to the agreed head, in blocks, may be answered short by a node that lags.
const NEAR_HEAD: u64 = 32;
/// How often a read is pinned anew after the block it was pinned to went away.
const REPINS: u32 = 2;

/// Answers one call of a client's.
pub(crate) async fn answer(visit: &Visit, call: &Call<'_>) -> Reply {
    let Visit { worker, pool, .. } = visit;
    if feed::is_ours(&call.method) {
        return feed::answer(visit, call);
    }
    let now = worker.clock.mono();
    pool.state.counts.requests.fetch_add(1, Relaxed);
    pool.state.budget().call(now);
    let deadline = now + pool.section.deadline;
    let trail = visit.trail.like();
    let mut repins = 0;
    let outcome = loop {
        let heads = pool.state.heads.load_full();
        trail.at(heads.latest().map(|b| b.number));
        if let Some(local) = known(pool, &heads, call, now) {
            trail.by(By::Gateway);
            break Outcome::Whole(local);
        }
        let (mut ask, hash) = ask(worker, pool, &heads, call);
        (ask.trail, ask.trace) = (trail.like(), visit.trace());
        let ask = Arc::new(ask);
        let outcome = match (hash, pool.evm()) {
            (Some(hash), Some(evm)) => Box::pin(write(ask.clone(), hash, evm, &heads, deadline)).await,
            (None, Some(EvmSection { quorum: Some(rule), .. })) if rule.covers(&call.method) => {
                Box::pin(quorum(ask.clone(), rule, &heads, worker.clock.mono(), deadline)).await
            }
            _ => {
                read(ask.clone(), &heads, if repins == 0 { now } else { worker.clock.mono() }, deadline).await
            }
        };
        trail.go_on(&ask.trail);
        let outcome = match outcome {
            Outcome::TooMuch { from, to, refused } => {
                let split = Split::new(worker, pool, call, &heads, deadline, trail.like());
                let (outcome, parts) = Box::pin(split.run(from, to, refused)).await;
                trail.go_on(&parts);
                outcome
            }
            outcome => outcome,
        };
        match outcome {
            Outcome::Reorged if repins < REPINS => {
                if !pool.state.budget().spend(worker.clock.mono()) {
                    pool.state.counts.budget_refused.fetch_add(1, Relaxed);
                    break Outcome::Refused(Refusal::BudgetSpent(Vec::new()));
                }
                pool.state.counts.retries.fetch_add(1, Relaxed);
                repins += 1;
                let moved = pool.state.moved.notified();
                pool.state.nudge();
                let _ = tokio::time::timeout(pool.section.hang / 2, moved).await;
            }
            outcome => break outcome,
        }
    };
    if let Outcome::Refused(refusal) = &outcome {
        trail.refused(refusal.code());
    }
    visit.trail.take(&trail);
    finish(worker, pool, call, outcome).await
}

/// What the agreed head, or the estate, answers by itself.
///
/// `eth_blockNumber` tells the block that `latest` is pinned to: any newer one could not be read yet.
fn known(pool: &Pool, heads: &Heads, call: &Call<'_>, now: Mono) -> Option<Bytes> {
    let evm = pool.evm()?;
    let chain = evm.chain_id.0;
    let result = match &*call.method {
        "eth_chainId" => format!("\"{chain:#x}\""),
        "net_version" => format!("\"{chain}\""),
        "eth_blockNumber" if evm.pin != Pin::Off && !pool.sound(heads, now).is_empty() => {
            format!("\"{:#x}\"", heads.latest()?.number)
        }
        _ => return None,
    };
    let mut out = Vec::with_capacity(64);
    envelope::write_result(&mut out, call.id, &result);
    Some(out.into())
}

/// The call as upstreams are asked it; with the hash if it is a transaction.
pub(super) fn ask(
    worker: &Arc<Worker>,
    pool: &Arc<Pool>,
    heads: &Heads,
    call: &Call<'_>,
) -> (Ask, Option<Hash>) {
    let method = Method::lookup(&call.method);
    let id = call.id.map_or("0", RawValue::get);
    let hash = (&*call.method == "eth_sendRawTransaction").then(|| raw_hash(call.params)).flatten();
    // Other ways to send cannot be looked up by hash here: they go out once.
    let idempotent = method.idempotent && (!method.raw_transaction || hash.is_some());
    let method = Method { idempotent, ..method };
    let given = call.params.map(RawValue::get);
    // Room for what is around them, and for a block's hash.
    let room = 160 + id.len() + call.method.len() + given.map_or(0, str::len);
    let mut body = Vec::with_capacity(room);
    let (mut reads, mut rewritten) = (None, false);
    envelope::write_call_with(&mut body, id, &call.method, |out| {
        if let Some(evm) = pool.evm() {
            (reads, rewritten) = pinned(out, evm, &method, heads, call);
        }
        match given {
            Some(given) if !rewritten => out.extend_from_slice(given.as_bytes()),
            Some(_) | None => {}
        }
        rewritten || given.is_some()
    });
    let ask = Ask {
        worker: worker.clone(),
        pool: pool.clone(),
        name: (&*call.method).into(),
        prove: prove(&method, reads, heads),
        method,
        body: body.into(),
        id: RawValue::from_string(id.to_owned()).expect("an id that was parsed is JSON"),
        reads,
        agreed: heads.latest().map(|b| b.number),
        history: heads.history.clone(),
        is_part: false,
        hold: worker.limits.verified_answer,
        trail: Trail::default(),
        trace: None,
    };
    (ask, hash)
}

fn pinned(
    out: &mut Vec<u8>,
    evm: &EvmSection,
    method: &Method,
    heads: &Heads,
    call: &Call<'_>,
) -> (Option<Reads>, bool) {
    let mode = match evm.pin {
        Pin::Hash => Mode::Hash,
        Pin::Number => Mode::Number,
        Pin::Off => Mode::Off,
    };
    let Some(tags) = heads.tags() else { return (None, false) };
    let pinned = pin::pin(call.params, method, &tags, &heads.history, mode, out);
    (pinned.reads, pinned.rewritten)
}

fn prove(method: &Method, reads: Option<Reads>, heads: &Heads) -> Option<Prove> {
    let latest = heads.latest()?;
    let (Some(Reads::Range(_, to)), true) = (reads, method.empty_is_suspicious) else { return None };
    let near = to <= latest.number && to + NEAR_HEAD >= latest.number;
    near.then(|| Prove { number: to, agreed: heads.agreed(to) })
}

fn raw_hash(params: Option<&RawValue>) -> Option<Hash> {
    let [raw] = serde_json::from_str::<[std::borrow::Cow<'_, str>; 1]>(params?.get()).ok()?;
    tx::hash(&raw).ok()
}

/// Turns what came of a call into what the client gets.
async fn finish(worker: &Arc<Worker>, pool: &Arc<Pool>, call: &Call<'_>, outcome: Outcome) -> Reply {
    let reply = match outcome {
        Outcome::Whole(body) => Reply::Whole(body),
        Outcome::Large(large) => Reply::Large(large),
        Outcome::TooMuch { refused, .. } => Reply::Whole(refused),
        Outcome::Reorged => refuse(worker, pool, call, &Refusal::AllFailed(Vec::new())),
        Outcome::Refused(refusal) => refuse(worker, pool, call, &refusal),
    };
    if call.id.is_none() { Reply::Nothing } else { reply }
}

fn refuse(worker: &Worker, pool: &Pool, call: &Call<'_>, refusal: &Refusal) -> Reply {
    let counts = &pool.state.counts;
    counts.failed.fetch_add(1, Relaxed);
    if let Refusal::UnknownOutcome(..) = refusal {
        counts.unknown_writes.fetch_add(1, Relaxed);
    }
    let mut out = Vec::with_capacity(512);
    refusal.write(&mut out, call.id, pool, worker);
    Reply::Refused(out.into(), refusal.status())
}

impl Ask {
    /// Another question to the same pool, of the gateway's own.
    pub(crate) fn about(&self, name: &str, params: &str) -> Self {
        let mut body = Vec::with_capacity(128);
        envelope::write_call(&mut body, "0", name, Some(params));
        Self {
            worker: self.worker.clone(),
            pool: self.pool.clone(),
            method: Method::lookup(name),
            name: name.into(),
            body: body.into(),
            id: RawValue::from_string("0".into()).expect("a number is JSON"),
            reads: None,
            agreed: self.agreed,
            history: self.history.clone(),
            prove: None,
            is_part: false,
            hold: self.hold,
            trail: Trail::default(),
            trace: self.trace,
        }
    }
}
