//! A request that may be repeated: asked of one upstream after the other, within the budget, until one answers.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::Response;
use seawall_model::{Cause, Mono};

use super::{
    answer::Refusal,
    attempt::{Ended, Got, Running},
    errand::Errand,
};
use crate::{
    core::{choose::Set, outcome::Next},
    pool::Report,
    serve::ReplyBody,
};

/// What is known so far.
struct Ledger<'a> {
    errand: &'a Errand<'a>,
    tried: Set,
    begun: u32,
    /// Why the last attempt failed.
    cause: Option<Cause>,
    /// The last answer that another upstream might better.
    last: Option<Got>,
    /// Those who answered so: held against them once another has done better.
    unsettled: Vec<(usize, Cause, Report, std::time::Duration)>,
}

/// Asks until somebody answers. Where nobody does better, the client gets what the last one said.
pub(super) async fn read(errand: &Errand<'_>) -> Response<ReplyBody> {
    let clock = errand.worker.clock;
    let mut ledger = Ledger::new(errand);
    let mut running: FuturesUnordered<Running> = FuturesUnordered::new();
    let mut hedge = errand.hedge.then(|| clock.mono() + errand.pool.hedge_after(errand.class));
    let mut timer = std::pin::pin!(tokio::time::sleep_until(clock.instant(hedge.unwrap_or(errand.deadline))));
    loop {
        if running.is_empty() {
            match ledger.next() {
                Some(i) => running.push(errand.attempt(i)),
                None => return ledger.conclude(),
            }
        }
        // Neither arm loses anything: the attempts stay in `running`, the timer stands for the time it is set to.
        let ended = tokio::select! {
            biased;
            Some(ended) = running.next() => Some(ended),
            () = &mut timer => None,
        };
        match ended {
            Some(ended) => {
                if let Some(got) = ledger.take(ended) {
                    leave(errand, running);
                    return got.give(errand);
                }
            }
            None if hedge.take_if(|at| *at < errand.deadline).is_some() => {
                running.extend(ledger.hedge().map(|i| errand.attempt(i)));
                timer.as_mut().reset(clock.instant(errand.deadline));
            }
            None => {
                leave(errand, running);
                return ledger.out_of_time();
            }
        }
    }
}

/// Lets what is still under way run on in the background, to learn from it.
fn leave(errand: &Errand<'_>, mut running: FuturesUnordered<Running>) {
    if running.is_empty() {
        return;
    }
    let (worker, pool, class) = (errand.worker.clone(), errand.pool.clone(), errand.class);
    errand.worker.background(Box::pin(async move {
        while let Some(ended) = running.next().await {
            pool.settle_api(&worker, class, &ended);
        }
    }));
}

impl<'a> Ledger<'a> {
    fn new(errand: &'a Errand<'a>) -> Self {
        Self { errand, tried: Set::NONE, begun: 0, cause: None, last: None, unsettled: Vec::new() }
    }

    /// Who is asked next; all but the first are attempts more, and cost the budget.
    fn next(&mut self) -> Option<usize> {
        let (errand, counts) = (self.errand, &self.errand.state().counts);
        if self.begun >= errand.pool.section.attempts {
            return None;
        }
        let i = errand.choose(errand.class, Set::ALL, self.tried)?;
        if self.begun > 0 {
            if !errand.spend() {
                return None;
            }
            counts.retries.fetch_add(1, Relaxed);
        }
        self.begin(i)
    }

    /// Who is asked beside the first, which is slow.
    fn hedge(&mut self) -> Option<usize> {
        let errand = self.errand;
        let open = errand.pool.open(self.now(), errand.class, Set::ALL.without(self.tried));
        if self.begun >= errand.pool.section.attempts || open.is_empty() {
            return None;
        }
        let i = errand.choose(errand.class, open, self.tried)?;
        // For speed alone, so that the budget holds for critical ones too.
        if !errand.state().budget().spend(self.now()) {
            errand.state().counts.budget_refused.fetch_add(1, Relaxed);
            return None;
        }
        errand.state().counts.hedges.fetch_add(1, Relaxed);
        self.begin(i)
    }

    fn begin(&mut self, i: usize) -> Option<usize> {
        self.begun += 1;
        self.tried.insert(i);
        Some(i)
    }

    /// Takes in how an attempt ended; the answer, if it is one.
    fn take(&mut self, ended: Ended) -> Option<Got> {
        let (errand, now) = (self.errand, self.now());
        errand.note(&ended);
        let (i, class, took) = (ended.upstream, errand.class, ended.took);
        if errand.terms.next(ended.came(), false) == Next::Give {
            errand.pool.settle(now, i, class, took, Report::Answered);
            for (i, _, report, took) in self.unsettled.drain(..) {
                errand.pool.settle(now, i, class, took, report);
            }
            return ended.end.ok();
        }
        let cause = ended.cause().unwrap_or(Cause::HttpStatus);
        let report = Report::Failed { cause, asked: ended.asked() };
        self.cause = Some(cause);
        match ended.may_be_the_requests_fault() {
            true => self.unsettled.push((i, cause, report, took)),
            false => errand.pool.settle(now, i, class, took, report),
        }
        if let Ok(got) = ended.end {
            self.last = Some(got);
        }
        None
    }

    /// Nobody else is to be asked.
    fn conclude(&mut self) -> Response<ReplyBody> {
        let errand = self.errand;
        let now = errand.visit.worker.clock.mono();
        for (i, cause, report, _) in self.unsettled.drain(..) {
            let asked = match report {
                Report::Failed { asked, .. } => asked,
                Report::Answered => None,
            };
            errand.pool.unsettled(now, i, errand.class, cause, asked);
        }
        match (self.last.take(), self.cause) {
            (Some(got), _) => got.give(errand),
            (None, Some(cause)) => Refusal::AllFailed(cause).response(errand.visit),
            (None, None) => Refusal::NobodyHealthy.response(errand.visit),
        }
    }

    fn out_of_time(&mut self) -> Response<ReplyBody> {
        match self.last {
            Some(_) => self.conclude(),
            None => Refusal::Deadline.response(self.errand.visit),
        }
    }

    fn now(&self) -> Mono {
        self.errand.worker.clock.mono()
    }
}
