//! A read that enough independent providers must answer alike.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use seawall_chain::{envelope, fault::Kind, pin::Reads};
use seawall_model::{Blame, Cause, Mono};
use serde_json::Value;

use super::{
    By, Refusal,
    attempt::{Ask, Attempt, End, Failure},
    judge::Worth,
    race::{Next, Race},
    read::Outcome,
};
use crate::{core::quorum::Tally, estate::Quorum, heads::Heads, pool::Report};

/// What has come so far.
struct Ledger {
    ask: Arc<Ask>,
    tally: Tally,
    failures: Vec<(usize, Failure, Duration)>,
    /// Those who gave an answer that counts, with how long they took.
    answered: Vec<(usize, Duration)>,
    /// The last answer that does not count, for the case that there is no other.
    error: Option<Bytes>,
    without_block: bool,
}

/// Asks `of` upstreams of different providers at once, and others in the place of those that fail.
pub(crate) async fn quorum(
    ask: Arc<Ask>,
    rule: &Quorum,
    heads: &Heads,
    began: Mono,
    deadline: Mono,
) -> Outcome {
    let (pool, clock) = (ask.pool.clone(), ask.worker.clock);
    let able = pool.able(began, &ask);
    let mut race = Race::new(ask.clone());
    let next = |now, tried| pool.choose_apart(now, ask.method.class, heads, able, tried);
    while race.begun < rule.of
        && let Some(upstream) = next(began, race.tried)
    {
        race.start_at(began, upstream);
    }
    if race.len() == 0 {
        return Outcome::Refused(Refusal::NobodyHealthy);
    }
    let mut ledger = Ledger::new(ask.clone(), rule.agree);
    let mut timer = std::pin::pin!(tokio::time::sleep_until(clock.instant(deadline)));
    while race.len() > 0 {
        let attempt = match race.next(&mut timer, deadline).await {
            Next::Time if clock.mono() >= deadline => {
                race.leave();
                return ledger.give_up(Refusal::Deadline);
            }
            Next::Time => continue,
            Next::Ended(attempt) => attempt,
        };
        match ledger.take(attempt) {
            Some(body) => {
                ask.trail.by(By::Several);
                let agreed = said(&body);
                race.leave_to(move |attempt| ledger.late(attempt, agreed.as_ref()));
                return Outcome::Whole(body);
            }
            None if race.len() + ledger.answered.len() >= rule.of as usize => {}
            // In the place of one that failed.
            None => {
                let now = clock.mono();
                if let Some(upstream) = next(now, race.tried)
                    && pool.state.budget().spend(now)
                {
                    pool.state.counts.retries.fetch_add(1, Relaxed);
                    race.start(upstream);
                }
            }
        }
    }
    ledger.give_up(Refusal::NoQuorum)
}

impl Ledger {
    fn new(ask: Arc<Ask>, agree: u32) -> Self {
        Self {
            ask,
            tally: Tally::new(agree as usize),
            failures: Vec::new(),
            answered: Vec::new(),
            error: None,
            without_block: false,
        }
    }

    /// Takes in how an attempt ended; the answer, if enough have now given this one.
    fn take(&mut self, attempt: Attempt) -> Option<Bytes> {
        let (i, took, now) = (attempt.upstream, attempt.took, attempt.ended);
        if let Some(failure) = self.ask.fault(&attempt.end) {
            self.without_block |= failure.cause == Cause::Forked;
            self.failures.push((i, failure, took));
            return None;
        }
        let body = match attempt.end {
            End::Answer { worth: Worth::Error(kind), body } if kind.blame() != Blame::Caller => {
                let pinned = matches!(self.ask.reads, Some(Reads::Agreed(_)));
                self.without_block |= kind == Kind::NoBlock && pinned;
                self.ask.pool.settle(now, i, self.ask.method.class, took, Report::Answered);
                if kind.teaches() {
                    self.ask.pool.teach(now, i, &self.ask, kind);
                }
                self.error = Some(body);
                return None;
            }
            End::Answer { body, .. } => body,
            // Nothing of that size is compared.
            End::Large { .. } | End::Failed(_) => return None,
        };
        let provider = self.ask.pool.upstreams[i].provider;
        let decided = self.tally.give(i, provider, said(&body)?);
        self.answered.push((i, took));
        decided.then(|| {
            self.settle(now, i);
            body
        })
    }

    /// Takes in an answer that came after enough had agreed.
    fn late(&mut self, attempt: Attempt, agreed: Option<&Value>) {
        let (i, took, now) = (attempt.upstream, attempt.took, attempt.ended);
        match (self.ask.fault(&attempt.end), attempt.end) {
            (Some(failure), _) => self.failures.push((i, failure, took)),
            (None, End::Answer { worth: Worth::Good | Worth::Doubtful, body }) => {
                let report = match said(&body).as_ref() == agreed {
                    true => Report::Answered,
                    false => Report::Failed { cause: Cause::Contradicted, asked: None },
                };
                self.ask.pool.settle(now, i, self.ask.method.class, took, report);
            }
            (None, _) => self.ask.pool.settle(now, i, self.ask.method.class, took, Report::Answered),
        }
        self.ask.blame(&mut self.failures, true);
    }

    /// Holds against those who gave another answer than `with` that they did.
    fn settle(&mut self, now: Mono, with: usize) {
        let dissenters = self.tally.dissenters(with);
        for (i, took) in self.answered.drain(..) {
            let report = match dissenters.contains(&i) {
                true => Report::Failed { cause: Cause::Contradicted, asked: None },
                false => Report::Answered,
            };
            self.ask.pool.settle(now, i, self.ask.method.class, took, report);
        }
        self.ask.blame(&mut self.failures, true);
    }

    fn give_up(mut self, why: fn(Vec<(usize, Cause)>) -> Refusal) -> Outcome {
        let now = self.ask.worker.clock.mono();
        let mut tried: Vec<_> = self.failures.iter().map(|(i, f, _)| (*i, f.cause)).collect();
        // Nobody knows who of them is right.
        let differ = self.tally.different() > 1;
        for (i, took) in self.answered.drain(..) {
            self.ask.pool.settle(now, i, self.ask.method.class, took, Report::Answered);
            if differ {
                tried.push((i, Cause::Contradicted));
            }
        }
        self.ask.blame(&mut self.failures, self.tally.different() > 0);
        match self.error {
            _ if self.without_block && !differ => Outcome::Reorged,
            Some(body) if self.tally.different() == 0 && tried.is_empty() => Outcome::Whole(body),
            Some(_) | None => Outcome::Refused(why(tried)),
        }
    }
}

/// What an answer says, its id aside: two nodes may write the same thing differently.
fn said(body: &[u8]) -> Option<Value> {
    let answer = envelope::parse_answer(body).ok()?;
    match (answer.result, answer.error) {
        (Some(result), None) => serde_json::from_str(result.get()).ok(),
        // Nodes word their errors differently.
        (None, Some(error)) => Some(serde_json::json!({"error": error.code})),
        (Some(_), Some(_)) | (None, None) => None,
    }
}
