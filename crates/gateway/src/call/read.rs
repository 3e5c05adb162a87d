//! A read: asked of one upstream, and of others when that one is slow, unwell or in doubt.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use seawall_chain::{envelope, fault::Kind, pin::Reads};
use seawall_model::{Blame, Cause, Mono};
use serde_json::value::RawValue;
use tokio::time::Sleep;

use super::{
    By, Large, Refusal, Told,
    attempt::{Ask, Attempt, End, Failure},
    judge::{Worth, borne_out, settled},
    race::{Next, Race},
};
use crate::{
    blooms::{Blooms, Empty, heights, tell_all},
    core::{affected::Fate, choose::Set},
    heads::Heads,
    pool::{Pool, Report},
};

/// Pause before an upstream that failed is asked again, when nobody else is left.
const AGAIN: Duration = Duration::from_millis(50);
/// How long an answer that is ahead of the agreed head waits for it.
const CATCH_UP: Duration = Duration::from_millis(1_500);

/// What came of a read.
pub(crate) enum Outcome {
    /// An upstream's answer.
    Whole(Bytes),
    /// An upstream's answer, too large to hold.
    Large(Large),
    /// Every upstream finds that it asks for too much at once, or the first of them where it is a part.
    TooMuch {
        /// Its first block.
        from: u64,
        /// Its last block.
        to: u64,
        /// What an upstream said.
        refused: Bytes,
    },
    /// The agreed block it was pinned to is not to be had any more: pin it again.
    Reorged,
    /// No answer.
    Refused(Refusal),
}

impl Outcome {
    /// What becomes of the call for whoever made it.
    pub(crate) fn fate(&self) -> Fate {
        match self {
            Self::Whole(_) | Self::Large(_) | Self::TooMuch { .. } => Fate::Answered,
            Self::Refused(Refusal::UnknownOutcome(..)) => Fate::Unknown,
            Self::Reorged | Self::Refused(_) => Fate::Failed,
        }
    }
}

/// Providers that must say that there is nothing where a block's header speaks against it.
const SUSPICIOUS: usize = 3;

/// What is known so far.
struct Ledger {
    ask: Arc<Ask>,
    /// Failures that the upstream is to blame for, unless everybody fails.
    failures: Vec<(usize, Failure, Duration)>,
    /// The internal errors that upstreams told in JSON-RPC.
    told: Vec<Told>,
    /// Upstreams that cannot do this, or say so: not held against them.
    error: Option<Bytes>,
    /// The range that somebody finds too large.
    too_much: Option<(u64, u64)>,
    /// Answers that may be gaps.
    doubtful: Vec<(usize, Bytes, Duration)>,
    /// Upstreams that do not have the agreed block, or show another in its place.
    without_block: u32,
    /// When the last attempt ended.
    now: Mono,
}

/// What to do after an attempt.
enum Verdict {
    /// This is it.
    Done(Outcome),
    /// This is it once the agreed head has come to that block.
    Ahead(u64, Bytes),
    /// So many others must say so too; that is part of the plan.
    Opinions(usize),
    /// Ask somebody else, if the budget allows.
    Elsewhere,
}

/// Reads through the pool until somebody gives a good answer or `deadline` comes.
pub(crate) async fn read(ask: Arc<Ask>, heads: &Heads, began: Mono, deadline: Mono) -> Outcome {
    let pool = ask.pool.clone();
    let class = ask.method.class;
    let able = pool.able(began, &ask);
    let Some(first) = pool.choose(began, class, heads, able, Set::NONE) else {
        return Outcome::Refused(Refusal::NobodyHealthy);
    };
    let mut race = Race::new(ask.clone());
    race.start_at(began, first);
    let mut ledger = Ledger::new(ask.clone());
    let delay = pool.hedge_after(class);
    let mut hedge = ask.method.idempotent.then_some(began + delay);
    let mut timer = std::pin::pin!(tokio::time::sleep_until(ask.worker.clock.instant(began + delay)));
    loop {
        let until = hedge.unwrap_or(deadline).min(deadline);
        let verdict = match race.next(&mut timer, until).await {
            Next::Time => {
                let now = ask.worker.clock.mono();
                if now >= deadline {
                    return ledger.give_up(Refusal::Deadline);
                }
                hedge = None;
                if race.begun < pool.section.attempts
                    && let Some(second) =
                        pool.choose(now, class, heads, pool.open(now, class, able), race.tried)
                    && pool.state.budget().spend_on_speed(now)
                {
                    pool.state.counts.hedges.fetch_add(1, Relaxed);
                    race.start(second);
                    hedge = Some(now + delay * 2);
                }
                continue;
            }
            Next::Ended(attempt) => ledger.take(attempt),
        };
        let next = match verdict {
            Verdict::Done(outcome) => {
                race.leave();
                return outcome;
            }
            Verdict::Ahead(number, body) => {
                race.leave();
                return Box::pin(caught_up(&ask, number, body)).await;
            }
            Verdict::Opinions(missing) => {
                for _ in race.len() + 1..missing {
                    if let Some(next) = second(&ask, heads, able, race.tried) {
                        race.start(next);
                    }
                }
                if race.len() >= missing {
                    continue;
                }
                second(&ask, heads, able, race.tried)
            }
            Verdict::Elsewhere if race.len() > 0 => continue,
            Verdict::Elsewhere => {
                let unsent = ledger.reached_nobody();
                match Box::pin(elsewhere(&ask, heads, able, &mut race, &mut timer, deadline, unsent)).await {
                    Ok(next) => next,
                    Err(why) => return ledger.give_up(why),
                }
            }
        };
        match next {
            Some(next) => race.start(next),
            None if race.len() > 0 => {}
            None => return ledger.give_up(Refusal::AllFailed),
        }
    }
}

/// An answer that tells of this block, beyond the agreed head, goes out once the head has come there, if the
/// block agreed on is the one it tells of. If the head does not come in time, there is nothing yet.
pub(super) async fn caught_up(ask: &Ask, number: u64, body: Bytes) -> Outcome {
    if !ask.pool.catch_up(number).await {
        let mut out = Vec::with_capacity(64);
        envelope::write_result(&mut out, Some(&ask.id), "null");
        return Outcome::Whole(out.into());
    }
    match borne_out(&ask.name, &body, &ask.pool.state.heads.load().history) {
        true => Outcome::Whole(body),
        false => Outcome::Reorged,
    }
}

/// Whose opinion counts as a second one: another provider's, be it ejected, or somebody else's if there is none.
fn second(ask: &Ask, heads: &Heads, able: Set, tried: Set) -> Option<usize> {
    let apart = ask.pool.choose_apart(ask.worker.clock.mono(), ask.method.class, heads, able, tried);
    apart.or_else(|| other(ask, heads, able, tried))
}

/// Somebody who has not been asked, of another provider if one admits.
fn other(ask: &Ask, heads: &Heads, able: Set, tried: Set) -> Option<usize> {
    ask.pool.choose(ask.worker.clock.mono(), ask.method.class, heads, able.without(tried), tried)
}

type WhyNot = fn(Vec<(usize, Cause)>) -> Refusal;

/// Who to ask after a failure: somebody new, else, after a pause, once more somebody old. An error if
/// nobody may be asked any more. What must not take effect twice is asked again only if it was `unsent`.
async fn elsewhere(
    ask: &Ask,
    heads: &Heads,
    able: Set,
    race: &mut Race,
    timer: &mut std::pin::Pin<&mut Sleep>,
    deadline: Mono,
    unsent: bool,
) -> Result<Option<usize>, WhyNot> {
    let (pool, clock) = (&ask.pool, &ask.worker.clock);
    if race.begun >= pool.section.attempts || (!ask.method.idempotent && !unsent) {
        return Ok(None);
    }
    // Who has said that it cannot do this says so again, which is more than nothing.
    let mut next = other(ask, heads, able, race.tried).or_else(|| other(ask, heads, Set::ALL, race.tried));
    if next.is_none() {
        // A failed range or method would fail again; a blip may be over.
        let again = (clock.mono() + AGAIN).min(deadline);
        timer.as_mut().reset(clock.instant(again));
        timer.as_mut().await;
        let able = pool.able(clock.mono(), ask);
        next = pool.choose(clock.mono(), ask.method.class, heads, able, Set::NONE);
    }
    if next.is_some() {
        if !pool.state.budget().spend(clock.mono()) {
            pool.state.counts.budget_refused.fetch_add(1, Relaxed);
            return Err(Refusal::BudgetSpent);
        }
        pool.state.counts.retries.fetch_add(1, Relaxed);
    }
    Ok(next)
}

impl Ledger {
    fn new(ask: Arc<Ask>) -> Self {
        Self {
            ask,
            failures: Vec::new(),
            told: Vec::new(),
            error: None,
            too_much: None,
            doubtful: Vec::new(),
            without_block: 0,
            now: Mono::ZERO,
        }
    }

    /// Takes in how an attempt ended and says what to do.
    fn take(&mut self, attempt: Attempt) -> Verdict {
        let (i, took) = (attempt.upstream, attempt.took);
        self.now = attempt.ended;
        if let Some(failure) = self.ask.fault(&attempt.end) {
            self.failures.push((i, failure, took));
            if let End::Answer { worth: Worth::Error(Kind::Unwell), body } = &attempt.end {
                self.told.extend(Told::of(body));
            }
            if matches!(failure.cause, Cause::Forked | Cause::Lagging) {
                self.off_the_chain();
            }
            if !self.ask.method.idempotent && failure.sent {
                let tried = self.tried();
                self.ask.blame(&mut self.failures, false);
                return Verdict::Done(Outcome::Refused(Refusal::UnknownOutcome(None, tried)));
            }
            return Verdict::Elsewhere;
        }
        match attempt.end {
            End::Large { first, link, rest } => {
                self.good(i, took);
                Verdict::Done(Outcome::Large(Large { first, link, rest }))
            }
            End::Answer { worth: Worth::Good, body } if !self.lacks(&body) => {
                self.good(i, took);
                self.expose_gaps(&body);
                Verdict::Done(Outcome::Whole(body))
            }
            End::Answer { worth: Worth::Good | Worth::Doubtful, body } => {
                self.doubtful.push((i, body, took));
                let wanted = match self.empty() {
                    Empty::Certain => 0,
                    Empty::Suspicious => self.ask.pool.opinions.max(SUSPICIOUS),
                    Empty::Unknown => self.ask.pool.opinions,
                };
                match wanted.saturating_sub(self.opinions()) {
                    0 => Verdict::Done(self.agree_on_nothing()),
                    missing => Verdict::Opinions(missing),
                }
            }
            End::Answer { worth: Worth::Ahead(number), body } => {
                self.good(i, took);
                Verdict::Ahead(number, body)
            }
            End::Answer { worth: Worth::Error(kind), body } => self.told(i, took, kind, body),
            // Both are faults and were taken above.
            End::Answer { worth: Worth::Fault(_), .. } | End::Failed(_) => Verdict::Elsewhere,
        }
    }

    /// How many providers say that there is nothing: several of one count once.
    fn opinions(&self) -> usize {
        let mut providers: Vec<_> =
            self.doubtful.iter().map(|(i, ..)| self.ask.pool.upstreams[*i].provider).collect();
        providers.sort_unstable();
        providers.dedup();
        providers.len()
    }

    /// What the headers of the blocks say of an empty answer.
    fn empty(&self) -> Empty {
        let said = self.of_logs(|blooms, params, from, to| blooms.empty(params, from, to, &self.ask.history));
        match said {
            Some(Empty::Certain)
                if !self.ask.pool.evm().and_then(|evm| evm.chain_id()).is_some_and(tell_all) =>
            {
                Empty::Unknown
            }
            said => said.unwrap_or(Empty::Unknown),
        }
    }

    /// Does an answer leave out a block that surely has what was asked for?
    fn lacks(&self, body: &[u8]) -> bool {
        let sure =
            self.of_logs(|blooms, params, from, to| blooms.surely(params, from, to, &self.ask.history));
        let Some(sure) = sure.filter(|sure| !sure.is_empty()) else { return false };
        let told = envelope::parse_answer(body).ok().and_then(|answer| heights(answer.result?));
        told.is_some_and(|told| sure.iter().any(|number| !told.contains(number)))
    }

    /// What the blooms say of what a call for logs asks for.
    fn of_logs<R>(&self, say: impl FnOnce(&Blooms, &str, u64, u64) -> R) -> Option<R> {
        let (Some(Reads::Range(from, to)), "eth_getLogs") = (self.ask.reads, &*self.ask.name) else {
            return None;
        };
        let Ok(envelope::Request::Single(call)) = envelope::parse_request(&self.ask.body, 1) else {
            return None;
        };
        let params = call.params.map_or("[]", RawValue::get);
        Some(say(&self.ask.pool.state.blooms, params, from, to))
    }

    /// An error told in JSON-RPC that is not the upstream's fault.
    fn told(&mut self, i: usize, took: Duration, kind: Kind, body: Bytes) -> Verdict {
        let pinned = matches!(self.ask.reads, Some(Reads::Agreed(_)));
        match kind.blame() {
            Blame::Caller => {
                self.good(i, took);
                Verdict::Done(Outcome::Whole(body))
            }
            Blame::Incapable | Blame::Upstream => {
                let now = self.now;
                self.ask.pool.settle(now, i, self.ask.method.class, took, Report::Answered);
                if kind == Kind::NoBlock && pinned {
                    // The client named no block: that one is missing would tell it nothing.
                    self.off_the_chain();
                    return Verdict::Elsewhere;
                }
                if let (Kind::TooMuch, "eth_getLogs", Some(Reads::Range(from, to))) =
                    (kind, &*self.ask.name, self.ask.reads)
                {
                    self.too_much = Some((from, to));
                    if self.ask.is_part {
                        return Verdict::Done(Outcome::TooMuch { from, to, refused: body });
                    }
                }
                if kind.teaches() {
                    self.ask.pool.teach(now, i, &self.ask, kind);
                }
                if self.error.is_none() {
                    self.ask.trail.by(By::Upstream(i));
                    self.error = Some(body);
                }
                Verdict::Elsewhere
            }
        }
    }

    /// An upstream does not have the agreed chain: it is on another, or all have left it.
    fn off_the_chain(&mut self) {
        self.without_block += 1;
        self.ask.pool.state.nudge();
    }

    /// Somebody gave an answer: those who failed have only themselves to blame.
    fn good(&mut self, i: usize, took: Duration) {
        self.ask.trail.by(By::Upstream(i));
        self.ask.pool.settle(self.now, i, self.ask.method.class, took, Report::Answered);
        if !self.failures.is_empty() {
            self.ask.blame(&mut self.failures, true);
        }
    }

    /// Somebody had what others said was not there.
    fn expose_gaps(&mut self, body: &[u8]) {
        let gap = !self.doubtful.is_empty() && settled(&self.ask.name, self.ask.reads, self.ask.agreed, body);
        let now = self.now;
        for (i, _, took) in self.doubtful.drain(..) {
            let report = match gap {
                true => Report::Failed { cause: Cause::Missing, asked: None },
                false => Report::Answered,
            };
            self.ask.pool.settle(now, i, self.ask.method.class, took, report);
        }
    }

    /// Enough say that there is nothing.
    fn agree_on_nothing(&mut self) -> Outcome {
        let now = self.now;
        let mut body = Bytes::new();
        for (i, answer, took) in self.doubtful.drain(..) {
            self.ask.pool.settle(now, i, self.ask.method.class, took, Report::Answered);
            self.ask.trail.by(By::Upstream(i));
            body = answer;
        }
        self.ask.blame(&mut self.failures, true);
        Outcome::Whole(body)
    }

    /// No upstream can have seen the call.
    fn reached_nobody(&self) -> bool {
        self.error.is_none() && self.doubtful.is_empty() && self.failures.iter().all(|(_, f, _)| !f.sent)
    }

    /// An internal error that all who failed told, where all told one of the same code.
    fn all_say(&mut self) -> Option<Told> {
        let alike =
            self.told.len() == self.failures.len() && self.told.iter().all(|t| t.code == self.told[0].code);
        if alike { self.told.pop() } else { None }
    }

    fn tried(&self) -> Vec<(usize, Cause)> {
        self.failures.iter().map(|(i, f, _)| (*i, f.cause)).collect()
    }

    /// Nobody is left to ask: the best there is.
    fn give_up(&mut self, why: WhyNot) -> Outcome {
        // What two providers' headers speak against is not told on the word of fewer than are asked for it.
        let surely_wrong = |ledger: &Self| ledger.doubtful.iter().all(|(_, body, _)| ledger.lacks(body));
        if !self.doubtful.is_empty() && !surely_wrong(self) {
            return self.agree_on_nothing();
        }
        for (i, _, took) in std::mem::take(&mut self.doubtful) {
            self.ask.pool.settle(self.now, i, self.ask.method.class, took, Report::Answered);
        }
        let mut refusal = why(self.tried());
        if let (Refusal::AllFailed(tried), Some(told)) = (&mut refusal, self.all_say()) {
            refusal = Refusal::AllSay(std::mem::take(tried), Box::new(told));
        }
        // With the budget spent nobody else was asked: were it held against nobody, whoever fails would go on being
        // asked first, and the budget go on being spent.
        let unasked = matches!(refusal, Refusal::BudgetSpent(_));
        self.ask.blame(&mut self.failures, unasked);
        if self.without_block > 0 && matches!(refusal, Refusal::AllFailed(_)) {
            return Outcome::Reorged;
        }
        match (self.error.take(), self.too_much) {
            (Some(refused), Some((from, to))) => Outcome::TooMuch { from, to, refused },
            (Some(body), None) => Outcome::Whole(body),
            (None, _) => Outcome::Refused(refusal),
        }
    }
}

impl Ask {
    /// Settles the failures of a call. Where nobody gave an answer it may be the call itself: only a port
    /// that took no connection is held against an upstream then.
    pub(crate) fn blame(&self, failures: &mut Vec<(usize, Failure, Duration)>, somebody_answered: bool) {
        let now = self.worker.clock.mono();
        for (i, failure, took) in failures.drain(..) {
            if somebody_answered || failure.cause == Cause::Connect {
                let report = Report::Failed { cause: failure.cause, asked: failure.asked };
                self.pool.settle(now, i, self.method.class, took, report);
            } else {
                self.pool.unsettled(now, i, self.method.class, failure.cause, failure.asked);
            }
        }
    }

    /// The upstream's fault in how an attempt ended, if there is one.
    pub(crate) fn fault(&self, end: &End) -> Option<Failure> {
        match end {
            End::Failed(failure) => Some(*failure),
            End::Answer { worth: Worth::Fault(cause), .. } => Some(Failure::of(*cause, true)),
            End::Answer { worth: Worth::Error(kind), .. } => match kind.blame() {
                Blame::Upstream => kind.cause().map(|cause| Failure::of(cause, true)),
                Blame::Caller | Blame::Incapable => None,
            },
            End::Answer { worth: Worth::Good | Worth::Doubtful | Worth::Ahead(_), .. }
            | End::Large { .. } => None,
        }
    }
}

impl Pool {
    /// Waits for the agreed head to reach `number`; true if it does in time.
    pub(crate) async fn catch_up(&self, number: u64) -> bool {
        let reached = async {
            loop {
                let moved = self.state.moved.notified();
                if self.state.heads.load().latest().is_some_and(|b| b.number >= number) {
                    return;
                }
                self.state.nudge();
                // Nudges are heeded at the poller's own pace; ask again if nothing has moved.
                let _ = tokio::time::timeout(CATCH_UP / 6, moved).await;
            }
        };
        tokio::time::timeout(CATCH_UP, reached).await.is_ok()
    }
}
