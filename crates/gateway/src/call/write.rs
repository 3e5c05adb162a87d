//! A write: a signed transaction, sent to several upstreams at once.
//!
//! Its hash makes it idempotent: whoever takes it, it is mined once, and sending it again does no harm.
//! What must never happen is to report one outcome and have another. So a transaction that may have
//! reached somebody is looked up by its hash before anything is said of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use seawall_chain::{
    Hash, envelope,
    family::{Fate, Writes},
    fault::{Kind, WriteFate},
};
use seawall_model::{Cause, Mono};

use super::{
    By, Refusal,
    attempt::{Ask, Attempt, End, Failure},
    judge::Worth,
    pending::note,
    race::{Next, Race},
    read::Outcome,
};
use crate::{
    core::choose::Set,
    estate::{EvmSection, WhenHalted},
    heads::Heads,
    pool::{Pool, Report},
};

/// If nobody has answered by now, one more upstream is sent to.
const WIDEN: Duration = Duration::from_millis(300);
/// Pause between look-ups of a transaction whose outcome is unknown.
const LOOK_UP: Duration = Duration::from_millis(250);

/// What the upstreams have said of a transaction.
struct Ledger {
    ask: Arc<Ask>,
    hash: Hash,
    /// The first that looked at it and would not have it, in its own words.
    rejected: Option<Bytes>,
    /// The first that said its nonce is used.
    nonce_low: Option<Bytes>,
    /// Those from whom nothing certain came.
    uncertain: Vec<(usize, Cause)>,
    /// Those whom it did not reach.
    unsent: Vec<(usize, Cause)>,
    /// Failures to be held against the upstreams, unless everybody failed.
    failures: Vec<(usize, Failure, Duration)>,
}

/// Sends the transaction and finds out what became of it. While the chain as a whole stands still it does with
/// it what the estate says; time spent waiting for the chain is given on top of `deadline`.
pub(crate) async fn write(
    ask: Arc<Ask>,
    hash: Hash,
    evm: &EvmSection,
    heads: &Heads,
    deadline: Mono,
) -> Outcome {
    if !heads.halted || evm.when_halted == WhenHalted::Pass {
        return send(ask, hash, evm.broadcast, heads, deadline).await;
    }
    let clock = ask.worker.clock;
    let began = clock.mono();
    if !moves(&ask.pool, evm.when_halted).await {
        return Outcome::Refused(Refusal::Halted(Some(hash)));
    }
    let heads = ask.pool.state.heads.load_full();
    send(ask, hash, evm.broadcast, &heads, deadline + clock.mono().since(began)).await
}

/// Waits, as far as that is wanted, for a halted chain to move; false if it does not.
async fn moves(pool: &Pool, when: WhenHalted) -> bool {
    let WhenHalted::Queue { limit, wait } = when else { return false };
    let state = &pool.state;
    let take = |n: u32| (n < limit).then_some(n + 1);
    if state.waiting.fetch_update(Relaxed, Relaxed, take).is_err() {
        return false;
    }
    // Given back also when the client goes away.
    let _place = Place(&state.waiting);
    let moving = async {
        loop {
            let moved = state.moved.notified();
            if !state.heads.load().halted {
                return;
            }
            moved.await;
        }
    };
    tokio::time::timeout(wait, moving).await.is_ok()
}

/// A place among the transactions that wait for the chain to move.
struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn send(ask: Arc<Ask>, hash: Hash, width: u32, heads: &Heads, deadline: Mono) -> Outcome {
    let (pool, clock) = (ask.pool.clone(), ask.worker.clock);
    let now = clock.mono();
    let mut race = Race::new(ask.clone());
    for _ in 0..width.max(1) {
        let Some(next) = pool.choose(now, ask.method.class, heads, Set::ALL.without(race.tried), race.tried)
        else {
            break;
        };
        race.start(next);
    }
    if race.len() == 0 {
        return Outcome::Refused(Refusal::NobodyHealthy);
    }
    let mut ledger = Ledger::new(ask.clone(), hash);
    let mut widen = Some(now + WIDEN);
    let mut timer = std::pin::pin!(tokio::time::sleep_until(clock.instant(now + WIDEN)));
    while race.len() > 0 {
        let more = match race.next(&mut timer, widen.unwrap_or(deadline).min(deadline)).await {
            Next::Time if clock.mono() >= deadline => break,
            Next::Time => {
                widen = None;
                true
            }
            Next::Ended(attempt) => {
                if ledger.take(attempt) {
                    race.leave();
                    return ledger.accepted();
                }
                race.len() == 0 && !ledger.is_decided()
            }
        };
        if more
            && let Some(next) =
                pool.choose(clock.mono(), ask.method.class, heads, Set::ALL.without(race.tried), race.tried)
        {
            // One that reached nobody is still on its first way; anything else is an attempt more.
            let on_its_way = ledger.nobody_reached();
            if on_its_way || pool.state.budget().spend(clock.mono()) {
                pool.state.counts.widenings.fetch_add(u64::from(!on_its_way), Relaxed);
                race.start(next);
            }
        }
    }
    race.leave();
    ledger.conclude(deadline).await
}

impl Ledger {
    fn new(ask: Arc<Ask>, hash: Hash) -> Self {
        Self {
            ask,
            hash,
            rejected: None,
            nonce_low: None,
            uncertain: Vec::new(),
            unsent: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Takes in how an attempt ended; true if the transaction is accepted.
    fn take(&mut self, attempt: Attempt) -> bool {
        let i = attempt.upstream;
        match self.ask.fault(&attempt.end) {
            Some(failure) => self.failures.push((i, failure, attempt.took)),
            None => {
                let now = self.ask.worker.clock.mono();
                self.ask.pool.settle(now, i, self.ask.method.class, attempt.took, Report::Answered);
                // Somebody looked at it, so the others could have.
                self.ask.blame(&mut self.failures, true);
            }
        }
        match attempt.end {
            End::Failed(failure) if !failure.sent => self.unsent.push((i, failure.cause)),
            End::Failed(failure) => self.uncertain.push((i, failure.cause)),
            End::Large { .. } => self.uncertain.push((i, Cause::Malformed)),
            End::Answer { worth: Worth::Good | Worth::Doubtful | Worth::Ahead(_), body } => {
                match self.fate(&body) {
                    Fate::Taken => {
                        self.ask.trail.by(By::Upstream(i));
                        return true;
                    }
                    Fate::Rejected => {
                        self.rejected.get_or_insert(body);
                    }
                    Fate::Nonsense => self.uncertain.push((i, Cause::Malformed)),
                }
            }
            End::Answer { worth: Worth::Fault(cause), .. } => self.uncertain.push((i, cause)),
            End::Answer { worth: Worth::Error(kind), body } => return self.told(i, kind, body),
        }
        false
    }

    fn told(&mut self, i: usize, kind: Kind, body: Bytes) -> bool {
        match kind.write_fate() {
            WriteFate::Known => {
                self.ask.trail.by(By::Upstream(i));
                return true;
            }
            WriteFate::NonceLow => {
                self.ask.trail.by(By::Upstream(i));
                self.nonce_low.get_or_insert(body);
            }
            WriteFate::Rejected => {
                self.ask.trail.by(By::Upstream(i));
                self.rejected.get_or_insert(body);
            }
            // Turned away at the door: it was not looked at.
            WriteFate::Unknown => match kind {
                Kind::NoMethod | Kind::NotInPlan | Kind::Unauthorized | Kind::RateLimited => {
                    self.unsent.push((i, kind.cause().unwrap_or(Cause::Unwell)));
                }
                _ => self.uncertain.push((i, kind.cause().unwrap_or(Cause::Unwell))),
            },
        }
        false
    }

    fn fate(&self, body: &[u8]) -> Fate {
        let result = envelope::parse_answer(body).ok().and_then(|answer| answer.result);
        result.map_or(Fate::Nonsense, |result| (self.writes().fate)(result, &self.hash))
    }

    fn writes(&self) -> &'static Writes {
        self.ask.pool.rules().writes.as_ref().expect("only a family that writes has told the hash")
    }

    /// Nothing that anybody could add would change what is said.
    fn is_decided(&self) -> bool {
        (self.rejected.is_some() || self.nonce_low.is_some()) && self.uncertain.is_empty()
    }

    fn nobody_reached(&self) -> bool {
        self.rejected.is_none() && self.nonce_low.is_none() && self.uncertain.is_empty()
    }

    fn accepted(&self) -> Outcome {
        note(&self.ask.pool, self.ask.worker.clock.mono(), self.hash, &self.ask.body);
        // What it changes should be seen soon.
        self.ask.pool.state.nudge();
        let mut out = Vec::with_capacity(128);
        envelope::write_result(&mut out, Some(&self.ask.id), &(self.writes().taken)(&self.hash));
        Outcome::Whole(out.into())
    }

    /// Everybody has spoken, or had the time to: says what became of it, having looked where in doubt.
    async fn conclude(mut self, deadline: Mono) -> Outcome {
        let somebody_looked = self.rejected.is_some() || self.nonce_low.is_some();
        self.ask.blame(&mut self.failures, somebody_looked);
        if self.nobody_reached() {
            return Outcome::Refused(Refusal::NotSent(Some(self.hash), std::mem::take(&mut self.unsent)));
        }
        if self.uncertain.is_empty() {
            // "Nonce too low" of a transaction that the chain has is the success of an earlier send.
            if let Some(body) = self.nonce_low.take() {
                return if self.look_up().await { self.accepted() } else { Outcome::Whole(body) };
            }
            if let Some(body) = self.rejected.take() {
                return Outcome::Whole(body);
            }
        }
        let clock = self.ask.worker.clock;
        loop {
            if self.look_up().await {
                return self.accepted();
            }
            if clock.mono() + LOOK_UP >= deadline {
                return Outcome::Refused(Refusal::UnknownOutcome(
                    Some(self.hash),
                    std::mem::take(&mut self.uncertain),
                ));
            }
            tokio::time::sleep(LOOK_UP).await;
        }
    }

    /// Does anybody have the transaction, mined or waiting?
    async fn look_up(&self) -> bool {
        let (method, params) = (self.writes().look_up)(&self.hash);
        anybody(&Arc::new(self.ask.about(method, &params))).await.is_some()
    }
}

/// Asks everybody for a transaction, since it may be with one alone: the first answer that shows it, with what it
/// is worth.
pub(super) async fn anybody(ask: &Arc<Ask>) -> Option<(Worth, Bytes)> {
    let (pool, clock) = (&ask.pool, &ask.worker.clock);
    let now = clock.mono();
    let heads = pool.state.heads.load_full();
    let mut race = Race::new(ask.clone());
    while let Some(next) = pool.choose(now, ask.method.class, &heads, Set::ALL.without(race.tried), Set::NONE)
    {
        race.start(next);
    }
    let end = now + pool.section.hang;
    let mut timer = std::pin::pin!(tokio::time::sleep_until(clock.instant(end)));
    while race.len() > 0 {
        match race.next(&mut timer, end).await {
            Next::Time => break,
            Next::Ended(Attempt {
                end: End::Answer { worth: worth @ (Worth::Good | Worth::Ahead(_)), body },
                ..
            }) => {
                race.leave();
                return Some((worth, body));
            }
            Next::Ended(_) => {}
        }
    }
    race.leave();
    None
}
