//! Attempts in flight for one call.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use seawall_model::{Cause, Mono};
use tokio::time::Sleep;

use super::attempt::{Ask, Attempt, End, Failure, attempt};
use crate::{core::choose::Set, pool::Report};

type Running = Pin<Box<dyn Future<Output = Attempt> + Send>>;

/// The attempts in flight for one call, in the order they began.
pub(crate) struct Race {
    ask: Arc<Ask>,
    running: Vec<Runner>,
    /// Upstreams that have been asked.
    pub(crate) tried: Set,
    /// Attempts begun.
    pub(crate) begun: u32,
}

struct Runner {
    upstream: usize,
    began: Mono,
    /// The poll of its head that this attempt's silence calls for has been asked for.
    nudged: bool,
    attempt: Running,
}

/// What happened next.
pub(crate) enum Next {
    /// An attempt ended, if only by its time running out.
    Ended(Attempt),
    /// The time given came.
    Time,
}

impl Race {
    pub(crate) fn new(ask: Arc<Ask>) -> Self {
        Self { ask, running: Vec::with_capacity(1), tried: Set::NONE, begun: 0 }
    }

    /// Sends the call to one more upstream.
    pub(crate) fn start(&mut self, upstream: usize) {
        self.start_at(self.ask.worker.clock.mono(), upstream);
    }

    /// As [`Self::start`], where the time is known already.
    pub(crate) fn start_at(&mut self, began: Mono, upstream: usize) {
        self.tried.insert(upstream);
        self.begun += 1;
        self.ask.trail.begin(upstream, began);
        let attempt = Box::pin(attempt(self.ask.clone(), upstream, began));
        self.running.push(Runner { upstream, began, nudged: false, attempt });
    }

    /// How many attempts are in flight.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// Waits for an attempt to end, or until `until`. Cancelled, it loses nothing.
    pub(crate) async fn next(&mut self, timer: &mut Pin<&mut Sleep>, until: Mono) -> Next {
        loop {
            let wake = self.running.iter().map(|r| self.due(r)).min().unwrap_or(until).min(until);
            let at = self.ask.worker.clock.instant(wake);
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            let ended = poll_fn(|cx| {
                for i in 0..self.running.len() {
                    if let Poll::Ready(attempt) = self.running[i].attempt.as_mut().poll(cx) {
                        self.running.remove(i);
                        return Poll::Ready(Some(attempt));
                    }
                }
                timer.as_mut().poll(cx).map(|()| None)
            })
            .await;
            match ended {
                Some(attempt) => return self.ended(attempt),
                None => {
                    let now = self.ask.worker.clock.mono();
                    if let Some(attempt) = self.overdue(now) {
                        return self.ended(attempt);
                    }
                    if now >= until {
                        return Next::Time;
                    }
                }
            }
        }
    }

    fn ended(&self, attempt: Attempt) -> Next {
        let fault = self.ask.fault(&attempt.end).map(|failure| failure.cause);
        self.ask.trail.end(attempt.upstream, attempt.ended, fault);
        Next::Ended(attempt)
    }

    /// When an attempt next needs looking at.
    fn due(&self, r: &Runner) -> Mono {
        let section = &self.ask.pool.section;
        let end = r.began + section.attempt_timeout;
        match r.nudged {
            false => (r.began + section.hang / 2).min(end),
            true => {
                let hang = r.began + section.hang;
                if self.ask.worker.clock.mono() < hang { hang.min(end) } else { end }
            }
        }
    }

    /// Looks at attempts that have waited long: asks for a poll of a silent upstream, gives up on one that
    /// hangs or has had its time.
    fn overdue(&mut self, now: Mono) -> Option<Attempt> {
        let pool = &self.ask.pool;
        for i in 0..self.running.len() {
            let r = &mut self.running[i];
            let waited = now.since(r.began);
            let cause = if pool.suspect(now, r.upstream, r.began) {
                Cause::Hang
            } else if waited >= pool.section.attempt_timeout {
                Cause::Timeout
            } else {
                if waited >= pool.section.hang / 2 && !r.nudged {
                    r.nudged = true;
                    pool.state.nudge();
                }
                continue;
            };
            let r = self.running.remove(i);
            let end = End::Failed(Failure::of(cause, true));
            return Some(Attempt { upstream: r.upstream, ended: now, took: waited, end });
        }
        None
    }

    /// The call has its answer: lets what is still in flight run on in the background, to learn from it.
    pub(crate) fn leave(&mut self) {
        let ask = self.ask.clone();
        self.leave_to(move |attempt| ask.settle_loser(&attempt));
    }

    /// As [`Self::leave`], with something else to be done with what comes.
    pub(crate) fn leave_to(&mut self, mut learn: impl FnMut(Attempt) + Send + 'static) {
        if self.running.is_empty() {
            return;
        }
        let mut rest = Race::new(self.ask.clone());
        rest.running = std::mem::take(&mut self.running);
        let end = self.ask.worker.clock.mono() + self.ask.pool.section.attempt_timeout;
        self.ask.worker.background(Box::pin(async move {
            let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
            while rest.len() > 0 {
                match rest.next(&mut timer, end).await {
                    Next::Ended(attempt) => learn(attempt),
                    Next::Time => return,
                }
            }
        }));
    }
}

impl Drop for Race {
    /// The client went away: an upstream that has hung all the while is found out all the same.
    fn drop(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let now = self.ask.worker.clock.mono();
        for r in &self.running {
            self.ask.pool.suspect(now, r.upstream, r.began);
        }
    }
}

impl Ask {
    /// Takes in how an attempt ended that another one beat: an answer that is slow by the upstream's own
    /// past counts against it, since the other one shows that it need not be.
    fn settle_loser(&self, attempt: &Attempt) {
        let now = attempt.ended;
        let (pool, i, class) = (&self.pool, attempt.upstream, self.method.class);
        let us = attempt.took.as_micros() as u64;
        let slow = || pool.upstreams[i].state.learned().paces[class as usize].is_slow(us);
        let report = match (self.fault(&attempt.end), &attempt.end) {
            (Some(failure), _) => Report::Failed { cause: failure.cause, asked: failure.asked },
            (None, _) if slow() => Report::Failed { cause: Cause::Slow, asked: None },
            (None, _) => Report::Answered,
        };
        pool.settle(now, i, class, attempt.took, report);
    }
}
