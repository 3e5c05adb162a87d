//! Reads that need no call of their own: their answer is kept, or is on its way to somebody else.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed};

use bytes::Bytes;
use seawall_chain::{
    envelope::{self, Call},
    keep::{Agreed, Bond, rewrites},
    method::Class,
};
use seawall_model::Mono;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{By, Refusal, entry::Worded, read::Outcome};
use crate::{
    core::{
        cache::{Cache, Found, Kept, Turn},
        flights::{self, Joined, Key},
        memo,
    },
    estate::Pin,
    heads::Heads,
    pool::Pool,
    worker::Worker,
};

/// The flights of a worker. The lock is the worker's own and never contended.
#[derive(Default)]
pub(crate) struct Flights(Mutex<flights::Flights<oneshot::Sender<Landed>>>);

/// The answers that a worker has given lately. The lock is the worker's own and never contended.
#[derive(Default)]
pub(crate) struct Memo(Mutex<memo::Memo>);

/// What the leader of a flight tells those who have seats in it.
#[derive(Debug, Clone)]
pub(crate) enum Landed {
    /// The result, as written.
    Result(Arc<str>),
    /// An error that an upstream told.
    Error { code: i64, message: Arc<str>, data: Option<Arc<str>> },
    /// An error of the gateway's own.
    Refused(Refusal),
    /// The block it was pinned to is gone.
    Reorged,
    /// What came cannot be shared: each asks for itself.
    Apart,
}

/// How a read goes on.
pub(super) enum Way<'a> {
    /// It is answered.
    Told(By, Outcome),
    /// It asks.
    Asks(Asking<'a>),
}

/// A read that asks upstreams, and what its answer is for besides.
pub(super) struct Asking<'a> {
    pool: &'a Pool,
    heads: &'a Heads,
    /// To be kept, if it is bound to the agreed chain.
    miss: Option<(&'a Cache, Bond, Turn)>,
    flight: Option<Leading<'a>>,
    /// It had a seat for a while, in vain.
    pub(super) waited: bool,
}

/// A flight that is led. Dropped, as when the client goes away, it gives its seats up: one of those who had them
/// leads in its place.
struct Leading<'a> {
    worker: &'a Worker,
    key: Key,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        // Told, by their end, outside the lock.
        let _seats = self.worker.flights.locked().land(&self.key);
    }
}

impl Flights {
    fn locked(&self) -> std::sync::MutexGuard<'_, flights::Flights<oneshot::Sender<Landed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a call that was answered by what is kept, and in these words, since the agreed chain last moved.
pub(super) fn recalled(worker: &Worker, pool: &Pool, heads: &Heads, call: &Call<'_>) -> Option<Bytes> {
    let cache = pool.cache.as_ref().filter(|_| heads.chain != 0)?;
    let memo = worker.memo.0.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = memo.find(heads.chain, &call.method, params(call))?;
    cache.recall(kept).then(|| written(call, &kept.result))
}

fn remember(worker: &Worker, heads: &Heads, call: &Call<'_>, kept: &Arc<Kept>) {
    if heads.chain != 0 {
        let mut memo = worker.memo.0.lock().unwrap_or_else(PoisonError::into_inner);
        memo.keep(heads.chain, &call.method, params(call), kept);
    }
}

fn params<'a>(call: &Call<'a>) -> &'a str {
    call.params.map_or("", RawValue::get)
}

/// Answers a read by what is kept, or by what another one of this worker is being told; else it asks.
pub(super) async fn way<'a>(
    worker: &'a Worker,
    pool: &'a Arc<Pool>,
    heads: &'a Arc<Heads>,
    worded: &Worded,
    call: &Call<'_>,
    mut now: Mono,
    deadline: Mono,
) -> Way<'a> {
    let mut asking = Asking { pool, heads, miss: None, flight: None, waited: false };
    if let Some(cache) = &pool.cache
        && let Some(bond) = Bond::of(&call.method, &worded.method)
    {
        match cache.find(worded.said(), &heads.view()) {
            Found::Hit(kept) => {
                remember(worker, heads, call, &kept);
                return Way::Told(By::Cache, Outcome::Whole(written(call, &kept.result)));
            }
            Found::Miss(turn) => asking.miss = Some((cache, bond, turn)),
            Found::New => {}
        }
    }
    if !worded.is_shared() || pool.evm().is_none_or(|evm| evm.cache.is_none()) {
        return Way::Asks(asking);
    }
    loop {
        let key = key(pool, heads, worded);
        let mut seat = None;
        let joined = worker.flights.locked().join(&key, now, pool.section.hang, || {
            let (tell, told) = oneshot::channel();
            seat = Some(told);
            tell
        });
        if joined == Joined::Lead {
            asking.flight = Some(Leading { worker, key });
        }
        let Some(seat) = seat else { return Way::Asks(asking) };
        asking.waited = true;
        match Box::pin(tokio::time::timeout_at(worker.clock.instant(deadline), seat)).await {
            Ok(Ok(landed)) => match landed.told_to(call) {
                Some(outcome) => {
                    pool.state.counts.coalesced.fetch_add(1, Relaxed);
                    return Way::Told(By::Shared, outcome);
                }
                None => return Way::Asks(asking),
            },
            // The leader went away.
            Ok(Err(_)) => now = worker.clock.mono(),
            Err(_) => return Way::Told(By::Nobody, Outcome::Refused(Refusal::Deadline(Vec::new()))),
        }
    }
}

fn key(pool: &Arc<Pool>, heads: &Heads, worded: &Worded) -> Key {
    Key {
        pool: Arc::as_ptr(pool).addr(),
        chain: Arc::as_ptr(&heads.history).addr(),
        writes: pool.state.writes.load(Relaxed),
        call: worded.said_bytes(),
    }
}

fn written(call: &Call<'_>, result: &str) -> Bytes {
    let mut out = Vec::with_capacity(envelope::result_len(call.id, result));
    envelope::write_result(&mut out, call.id, result);
    out.into()
}

impl Asking<'_> {
    /// Keeps the answer if it may be, and tells it to those who wait for it.
    pub(super) fn answered(mut self, worded: &Worded, outcome: &Outcome) {
        let seats = self.flight.take().map(|f| f.worker.flights.locked().land(&f.key)).unwrap_or_default();
        if seats.is_empty() && self.miss.is_none() {
            return;
        }
        let landed = match outcome {
            Outcome::Whole(body) => match envelope::parse_answer(body) {
                Ok(answer) => {
                    if let Some(result) = answer.result {
                        self.keep(worded, result);
                    }
                    if seats.is_empty() { Landed::Apart } else { Landed::of(&answer) }
                }
                Err(_) => Landed::Apart,
            },
            Outcome::Refused(refusal) => Landed::Refused(refusal.clone()),
            Outcome::Reorged => Landed::Reorged,
            Outcome::Large(_) | Outcome::TooMuch { .. } => Landed::Apart,
        };
        for seat in seats {
            // Who has left does not need it.
            let _ = seat.send(landed.clone());
        }
    }

    fn keep(&self, worded: &Worded, result: &RawValue) {
        let Some((cache, bond, turn)) = self.miss else { return };
        let view = self.heads.view();
        let agreed = Agreed { history: view.history, finalized: view.finalized };
        let by_hash = self.pool.evm().is_some_and(|evm| evm.pin == Pin::Hash);
        if let Some(block) = bond.block(worded.reads, by_hash, worded.params(), result.get(), &agreed) {
            cache.keep(worded.said(), result.get(), block, turn, &view);
        }
    }
}

impl Landed {
    fn of(answer: &envelope::Answer<'_>) -> Self {
        match (answer.result, &answer.error) {
            (Some(result), _) => Self::Result(result.get().into()),
            (None, Some(error)) => Self::Error {
                code: error.code,
                message: (&*error.message).into(),
                data: error.data.map(|data| data.get().into()),
            },
            (None, None) => Self::Apart,
        }
    }

    /// What somebody with a seat comes to; `None` if it has to ask for itself.
    fn told_to(self, call: &Call<'_>) -> Option<Outcome> {
        Some(match self {
            Self::Result(result) => Outcome::Whole(written(call, &result)),
            Self::Error { code, message, data } => {
                let mut out = Vec::with_capacity(128);
                envelope::write_error(&mut out, call.id, code, &message, data.as_deref());
                Outcome::Whole(out.into())
            }
            Self::Refused(refusal) => Outcome::Refused(refusal),
            Self::Reorged => Outcome::Reorged,
            Self::Apart => return None,
        })
    }
}

/// A call that may have changed something has ended: reads from here on do not join those from before, and what
/// development nodes can change under a block's hash is kept no longer.
pub(super) fn written_to(pool: &Pool, call: &Call<'_>, worded: &Worded) {
    if worded.method.idempotent && worded.method.class != Class::Write {
        return;
    }
    pool.state.writes.fetch_add(1, Relaxed);
    if let Some(cache) = &pool.cache
        && rewrites(&call.method)
    {
        cache.forget();
    }
}
