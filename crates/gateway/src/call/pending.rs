//! Answers brought into line with the transactions that this gateway has sent: an upstream that has not heard of
//! them yet counts too few, or knows of none.

use std::{borrow::Cow, sync::Arc, time::Duration};

use seawall_chain::{Hash, envelope, envelope::Call, parse_quantity, sender::Address, write_quantity};
use seawall_model::Mono;
use serde_json::value::RawValue;

use super::{
    Refusal,
    entry::ask,
    judge::Worth,
    read::{Outcome, caught_up},
    write::anybody,
};
use crate::{pool::Pool, serve::Visit};

/// Pause between look-ups of a transaction that nobody shows.
const LOOK_UP: Duration = Duration::from_millis(250);

/// What is to be answered to `call`, if `outcome` is what came of it.
pub(super) async fn coherent(visit: &Visit, call: &Call<'_>, outcome: Outcome, deadline: Mono) -> Outcome {
    match &*call.method {
        "eth_getTransactionCount" => counted(visit, call, &outcome).unwrap_or(outcome),
        "eth_getTransactionByHash" => match missed(visit, call, &outcome) {
            Some(hash) => Box::pin(found(visit, call, hash, deadline)).await,
            None => outcome,
        },
        _ => outcome,
    }
}

/// The count with what this gateway knows of, if that is more.
fn counted(visit: &Visit, call: &Call<'_>, outcome: &Outcome) -> Option<Outcome> {
    let (Outcome::Whole(body), Some(evm)) = (outcome, visit.pool.evm()) else { return None };
    let (sender, tag): (Cow<'_, str>, Cow<'_, str>) = serde_json::from_str(call.params?.get()).ok()?;
    let sender: Address = sender.parse().ok().filter(|_| tag == "pending")?;
    let told = envelope::parse_answer(body).ok()?.result?.get();
    let told = parse_quantity(told.trim_matches('"'))?;
    let now = visit.worker.clock.mono();
    let count = visit.pool.state.accepted().count(now, evm.block_time, sender, told);
    (count > told).then(|| {
        let mut result = b"\"".to_vec();
        write_quantity(&mut result, count);
        result.push(b'"');
        let mut out = Vec::with_capacity(64);
        envelope::write_result(&mut out, call.id, str::from_utf8(&result).unwrap_or("null"));
        Outcome::Whole(out.into())
    })
}

/// The transaction that is told not to be there, if this gateway knows better.
fn missed(visit: &Visit, call: &Call<'_>, outcome: &Outcome) -> Option<Hash> {
    let (Outcome::Whole(body), Some(evm)) = (outcome, visit.pool.evm()) else { return None };
    envelope::parse_answer(body).ok().filter(|answer| answer.is_null())?;
    let [hash]: [Cow<'_, str>; 1] = serde_json::from_str(call.params?.get()).ok()?;
    let hash = hash.parse().ok()?;
    let now = visit.worker.clock.mono();
    visit.pool.state.accepted().knows(now, evm.block_time, &hash).then_some(hash)
}

/// Somebody took it: asks everybody until somebody shows it.
async fn found(visit: &Visit, call: &Call<'_>, hash: Hash, deadline: Mono) -> Outcome {
    let Visit { worker, pool, .. } = visit;
    loop {
        let heads = pool.state.heads.load_full();
        let ask = Arc::new(ask(worker, pool, &heads, call));
        match anybody(&ask).await {
            Some((Worth::Ahead(number), body)) => match caught_up(&ask, number, body).await {
                Outcome::Whole(body) if envelope::parse_answer(&body).is_ok_and(|a| !a.is_null()) => {
                    return Outcome::Whole(body);
                }
                _ => {}
            },
            Some((_, body)) => return Outcome::Whole(body),
            None => {}
        }
        if worker.clock.mono() + LOOK_UP >= deadline {
            return Outcome::Refused(Refusal::Unseen(hash));
        }
        tokio::time::sleep(LOOK_UP).await;
    }
}

/// A transaction was taken: it is known of from here on.
pub(super) fn note(pool: &Pool, now: Mono, hash: Hash, body: &[u8]) {
    let signed = match envelope::parse_request(body, 1) {
        Ok(envelope::Request::Single(Call { params: Some(params), .. })) => {
            raw(params).and_then(|raw| seawall_chain::sender::signed(&raw))
        }
        Ok(_) | Err(_) => None,
    };
    pool.state.accepted().note(now, hash, signed);
}

/// The raw transaction that is sent.
fn raw(params: &RawValue) -> Option<Cow<'_, str>> {
    let [raw] = serde_json::from_str(params.get()).ok()?;
    Some(raw)
}
