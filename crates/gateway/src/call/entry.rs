//! Where a call comes in.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use seawall_chain::{
    Hash,
    envelope::{self, Call},
    family::Family,
    method::{Class, Method},
    pin::{self, Mode, Reads},
};
use seawall_model::Mono;
use serde_json::value::RawValue;

use super::{
    By, Refusal, Reply, Trail,
    attempt::{Ask, Prove},
    pending::coherent,
    quorum::quorum,
    read::{Outcome, read},
    share::{Way, recalled, way, written_to},
    split::Split,
    write::write,
};
use crate::{
    access,
    core::affected::Fate,
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
    // Held until the answer has come.
    let _turn = match access::permit(visit, || (&*call.method).into()) {
        Ok(turn) => turn,
        Err(denied) => return denied.reply(call.id, &pool.section),
    };
    let now = worker.clock.mono();
    if let Err(refusal) = visit.may_ask(now, call) {
        return barred(visit, call, &refusal);
    }
    if feed::is_ours(&call.method) && pool.evm().is_some_and(|chain| chain.family == Family::Evm) {
        return Box::pin(feed::answer(visit, call)).await;
    }
    pool.state.counts.requests.fetch_add(1, Relaxed);
    if visit.floor.is_none()
        && let Some(reply) = at_hand(visit, call)
    {
        return reply;
    }
    // Boxed, so that a call whose answer is at hand does not hold, and clear, the room of one that has to be asked.
    Box::pin(found_out(visit, call, now)).await
}

/// Answers a call that was answered a moment ago in the same words.
fn at_hand(visit: &Visit, call: &Call<'_>) -> Option<Reply> {
    let Visit { worker, pool, trail, .. } = visit;
    let heads = pool.state.heads.load();
    let body = recalled(worker, pool, &heads, call)?;
    let part = trail.like();
    part.at(heads.latest().map(|b| b.number));
    part.by(By::Cache);
    trail.take(&part);
    visit.count(Fate::Answered, || said(call));
    Some(if call.id.is_none() { Reply::Nothing } else { Reply::Whole(body) })
}

/// Answers a call by what is known or kept, or by asking upstreams.
async fn found_out(visit: &Visit, call: &Call<'_>, now: Mono) -> Reply {
    let Visit { worker, pool, .. } = visit;
    let deadline = now + pool.section.deadline;
    let trail = visit.trail.like();
    if let Some(floor) = &visit.floor
        && Method::lookup(&call.method).class != Class::Write
        && let Err(seen) = floor.reached(pool).await
    {
        let refusal = Refusal::Behind(seen);
        trail.refused(refusal.code());
        visit.trail.take(&trail);
        visit.count(Fate::Failed, || said(call));
        return finish(worker, pool, call, Outcome::Refused(refusal)).await;
    }
    let (mut repins, mut counted) = (0, false);
    let outcome = loop {
        let heads = pool.state.heads.load_full();
        trail.at(heads.latest().map(|b| b.number));
        if let Some(local) = known(pool, &heads, call, now) {
            trail.by(By::Gateway);
            break Outcome::Whole(local);
        }
        let worded = word(pool, &heads, call);
        let (outcome, asked) = match way(worker, pool, &heads, &worded, call, now, deadline).await {
            Way::Told(by, outcome) => {
                trail.by(by);
                (outcome, false)
            }
            Way::Asks(asking) => {
                let began = if repins == 0 && !asking.waited { now } else { worker.clock.mono() };
                if !std::mem::replace(&mut counted, true) {
                    pool.state.budget().call(began);
                }
                // Boxed, so that a call that needs no upstream does not hold, and clear, the room of one that does.
                let asked = upstreams(visit, call, &heads, &worded, &trail, began, deadline);
                let outcome = Box::pin(asked).await;
                asking.answered(&worded, &outcome);
                (outcome, true)
            }
        };
        match outcome {
            Outcome::Reorged if repins < REPINS => {
                // Who was told so by another has not asked yet.
                if asked {
                    if !pool.state.budget().spend(worker.clock.mono()) {
                        pool.state.counts.budget_refused.fetch_add(1, Relaxed);
                        break Outcome::Refused(Refusal::BudgetSpent(Vec::new()));
                    }
                    pool.state.counts.retries.fetch_add(1, Relaxed);
                }
                repins += 1;
                let moved = pool.state.moved.notified();
                pool.state.nudge();
                let _ = tokio::time::timeout(pool.section.hang / 2, moved).await;
            }
            outcome => break outcome,
        }
    };
    let outcome = coherent(visit, call, outcome, deadline).await;
    if let Outcome::Refused(refusal) = &outcome {
        trail.refused(refusal.code());
    }
    visit.trail.take(&trail);
    visit.count(outcome.fate(), || said(call));
    finish(worker, pool, call, outcome).await
}

/// What a call is about, as JSON.
fn said<'a>(call: &Call<'a>) -> &'a [u8] {
    call.params.map_or(b"null", |params| params.get().as_bytes())
}

/// Answers a call that may not be asked at all.
fn barred(visit: &Visit, call: &Call<'_>, refusal: &Refusal) -> Reply {
    let Visit { worker, pool, .. } = visit;
    pool.state.counts.requests.fetch_add(1, Relaxed);
    visit.count(Fate::Failed, || said(call));
    visit.trail.refused(refusal.code());
    let reply = refuse(worker, pool, call, refusal);
    if call.id.is_none() { Reply::Nothing } else { reply }
}

/// Asks upstreams, once they have room, as the estate has it done for such a call.
async fn upstreams(
    visit: &Visit,
    call: &Call<'_>,
    heads: &Heads,
    worded: &Worded,
    trail: &Trail,
    mut began: Mono,
    deadline: Mono,
) -> Outcome {
    let Visit { worker, pool, .. } = visit;
    let mut _permit = None;
    // A transaction that waits for a halted chain waits in a line of its own.
    if !(heads.halted && worded.transaction.is_some()) {
        let class = worded.method.class;
        let priority = pool.section.admission.of_call(&call.method, class);
        match visit.enter(began, heads, class, priority, deadline).await {
            // What was waited is not what an answer takes.
            Ok((permit, since)) => (_permit, began) = (Some(permit), since),
            Err(refusal) => return Outcome::Refused(refusal),
        }
    }
    let mut ask = worded.ask(worker, pool, heads, call);
    (ask.trail, ask.trace) = (trail.like(), visit.trace());
    let ask = Arc::new(ask);
    let outcome = match (worded.transaction, pool.evm()) {
        (Some(hash), Some(evm)) => Box::pin(write(ask.clone(), hash, evm, heads, deadline)).await,
        (None, Some(EvmSection { quorum: Some(rule), .. })) if rule.covers(&call.method) => {
            Box::pin(quorum(ask.clone(), rule, heads, worker.clock.mono(), deadline)).await
        }
        _ => read(ask.clone(), heads, began, deadline).await,
    };
    trail.go_on(&ask.trail);
    written_to(pool, call, worded);
    match outcome {
        Outcome::TooMuch { from, to, refused } => {
            let split = Split::new(worker, pool, call, heads, deadline, trail.like());
            let (outcome, parts) = Box::pin(split.run(from, to, refused)).await;
            trail.go_on(&parts);
            outcome
        }
        outcome => outcome,
    }
}

/// What the agreed head, or the estate, answers by itself.
///
/// `eth_blockNumber` tells the block that `latest` is pinned to: any newer one could not be read yet.
pub(crate) fn known(pool: &Pool, heads: &Heads, call: &Call<'_>, now: Mono) -> Option<Bytes> {
    let evm = pool.evm()?;
    let id = || Some(evm.chain_id()?.0);
    let result = match &*call.method {
        "eth_chainId" => format!("\"{:#x}\"", id()?),
        "net_version" => format!("\"{}\"", id()?),
        "eth_blockNumber" if evm.pin != Pin::Off && pool.may_serve(heads, now) => {
            format!("\"{:#x}\"", heads.latest()?.number)
        }
        name if pool.may_serve(heads, now) => (evm.family.rules().at_head)(name, &heads.latest()?)?,
        _ => return None,
    };
    let mut out = Vec::with_capacity(64);
    envelope::write_result(&mut out, call.id, &result);
    Some(out.into())
}

/// A call as upstreams are asked it.
pub(super) struct Worded {
    body: Bytes,
    /// Where the part of it begins that is the same whatever the id is.
    said: usize,
    /// Where its parameters begin; they end with its last brace.
    params: usize,
    pub(super) method: Method,
    pub(super) reads: Option<Reads>,
    /// The hash of the transaction that it sends, if it is one.
    pub(super) transaction: Option<Hash>,
}

/// Words a call as upstreams are asked it, pinned to the agreed chain.
pub(super) fn word(pool: &Pool, heads: &Heads, call: &Call<'_>) -> Worded {
    let rules = pool.rules();
    let method = (rules.method)(&call.method);
    let id = id(call);
    let transaction = rules.writes.as_ref().and_then(|writes| (writes.hash)(&call.method, call.params));
    // Other ways to send cannot be looked up by hash here: they go out once.
    let idempotent = method.idempotent && (!method.raw_transaction || transaction.is_some());
    let method = Method { idempotent, ..method };
    let given = call.params.map(RawValue::get);
    // Room for what is around them, and for a block's hash.
    let room = 160 + id.len() + call.method.len() + given.map_or(0, str::len);
    let mut body = Vec::with_capacity(room);
    let (mut reads, mut rewritten, mut params) = (None, false, 0);
    envelope::write_call_with(&mut body, id, &call.method, |out| {
        params = out.len();
        if let Some(evm) = pool.evm() {
            (reads, rewritten) = pinned(out, evm, &method, heads, call);
        }
        match given {
            Some(given) if !rewritten => out.extend_from_slice(given.as_bytes()),
            Some(_) | None => {}
        }
        rewritten || given.is_some()
    });
    Worded { body: body.into(), said: envelope::CALL_ID + id.len(), params, method, reads, transaction }
}

fn id<'a>(call: &Call<'a>) -> &'a str {
    call.id.map_or("0", RawValue::get)
}

impl Worded {
    /// Method and parameters.
    pub(super) fn said(&self) -> &[u8] {
        &self.body[self.said..]
    }

    /// As [`Self::said`], to be held.
    pub(super) fn said_bytes(&self) -> Bytes {
        self.body.slice(self.said..)
    }

    /// The parameters; empty if there are none.
    pub(super) fn params(&self) -> &str {
        let params = self.body.get(self.params..self.body.len().saturating_sub(1)).unwrap_or_default();
        str::from_utf8(params).unwrap_or_default()
    }

    /// May one answer serve all who ask this at once?
    pub(super) fn is_shared(&self) -> bool {
        let method = &self.method;
        method.idempotent && method.class != Class::Write
    }

    /// The call, ready to be asked.
    fn ask(&self, worker: &Arc<Worker>, pool: &Arc<Pool>, heads: &Heads, call: &Call<'_>) -> Ask {
        Ask {
            worker: worker.clone(),
            pool: pool.clone(),
            name: (&*call.method).into(),
            prove: prove(&self.method, self.reads, heads),
            method: self.method,
            body: self.body.clone(),
            id: RawValue::from_string(id(call).to_owned()).expect("an id that was parsed is JSON"),
            reads: self.reads,
            agreed: heads.latest().map(|b| b.number),
            history: heads.history.clone(),
            is_part: false,
            hold: worker.limits.verified_answer,
            trail: Trail::default(),
            trace: None,
        }
    }
}

/// The call as upstreams are asked it, ready to be asked.
pub(super) fn ask(worker: &Arc<Worker>, pool: &Arc<Pool>, heads: &Heads, call: &Call<'_>) -> Ask {
    word(pool, heads, call).ask(worker, pool, heads, call)
}

/// Writes the call's parameters with its block tags replaced by what they mean now. Which block it reads, and
/// whether anything was written.
pub(crate) fn pinned(
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
            method: (self.pool.rules().method)(name),
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
