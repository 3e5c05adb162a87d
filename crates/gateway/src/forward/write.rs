//! A request that changes something: sent once, and sent again only where it is known again, or was proven not to have
//! taken effect.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use http::Response;
use seawall_model::{Cause, Mono};

use super::{
    answer::{Outcome, Refusal},
    attempt::{Ended, Got},
    errand::Errand,
    lookup::look_up,
};
use crate::{
    core::{
        choose::Set,
        outcome::{Came, Finding, Next, is_uncertain},
    },
    serve::ReplyBody,
};

/// Pause before a write is repeated; it doubles with each.
const PAUSE: Duration = Duration::from_millis(50);

/// What is known so far.
pub(super) struct Ledger<'a> {
    pub(super) errand: &'a Errand<'a>,
    pub(super) begun: u32,
    /// Upstreams that it did not reach.
    unreached: Set,
    /// Upstreams that it was sent to, and that said nothing.
    silent: Set,
    /// Where it may go: wherever it is known again, once it may have arrived.
    within: Set,
    /// An attempt may have taken effect.
    doubt: bool,
    /// The last upstream that it may have reached.
    reached: usize,
    /// Why the last attempt gave no answer.
    pub(super) cause: Cause,
    /// A repetition was turned down, while in doubt.
    refused: Option<Got>,
}

/// Sends it and finds out what became of it.
pub(super) async fn write(errand: &Errand<'_>) -> Response<ReplyBody> {
    let mut ledger = Ledger::new(errand);
    loop {
        let Some(i) = ledger.choose() else {
            match ledger.nobody_left() {
                Some(response) => return response,
                None => match ledger.look().await {
                    Some(response) => return response,
                    None => continue,
                },
            }
        };
        ledger.begun += 1;
        let ended = errand.attempt(i).await;
        errand.note(&ended);
        errand.pool.settle_api(&errand.worker, errand.class, &ended);
        let came = ended.came();
        let mut next = errand.terms.next(came, ledger.doubt);
        ledger.take(&ended, came);
        if next == Next::Again && !ledger.may_repeat() {
            next = errand.terms.cornered(came);
        }
        match next {
            Next::Give => match ended.end {
                Ok(got) => return ledger.give(got),
                Err(_) => return ledger.unknown(),
            },
            Next::Elsewhere if ledger.begun < errand.pool.section.attempts => {}
            Next::Elsewhere => return Refusal::NotSent(ledger.cause).response(errand.visit),
            Next::Again => tokio::time::sleep(PAUSE * (1 << (ledger.begun - 1).min(3))).await,
            Next::LookUp => {
                ledger.refused = ended.end.ok().filter(|got| !is_uncertain(got.received.status.as_u16()));
                if let Some(response) = ledger.look().await {
                    return response;
                }
            }
            Next::Unknown => return ledger.unknown(),
        }
    }
}

impl<'a> Ledger<'a> {
    pub(super) fn new(errand: &'a Errand<'a>) -> Self {
        let within = Set::ALL;
        let (begun, unreached, silent) = (0, Set::NONE, Set::NONE);
        Self {
            errand,
            begun,
            unreached,
            silent,
            within,
            doubt: false,
            reached: 0,
            cause: Cause::Connect,
            refused: None,
        }
    }

    /// Where it goes next. A repetition may go to where it has been, if there is no other way.
    pub(super) fn choose(&self) -> Option<usize> {
        let errand = self.errand;
        let to = |tried| errand.choose(errand.class, self.within, tried);
        if !self.doubt {
            // Whoever said nothing before would most likely say nothing again.
            return to(self.unreached.or(self.silent)).or_else(|| to(self.unreached));
        }
        let mut been = self.unreached;
        been.insert(self.reached);
        to(been).or_else(|| to(self.unreached)).or_else(|| to(Set::NONE))
    }

    /// Takes in how an attempt ended.
    pub(super) fn take(&mut self, ended: &Ended, came: Came) {
        self.cause = ended.cause().unwrap_or(Cause::HttpStatus);
        match came {
            Came::Unsent => self.unreached.insert(ended.upstream),
            Came::Silence => {
                self.silent.insert(ended.upstream);
                self.fall_into_doubt(ended.upstream);
            }
            Came::Status(status) if is_uncertain(status) => self.fall_into_doubt(ended.upstream),
            Came::Status(_) => {}
        }
    }

    fn fall_into_doubt(&mut self, i: usize) {
        self.doubt = true;
        self.reached = i;
        self.within = self.errand.scope(i);
        self.unreached = Set::NONE;
    }

    /// Is there a further attempt to be had?
    fn has_more(&self) -> bool {
        self.begun < self.errand.pool.section.attempts && self.now() < self.errand.deadline
    }

    /// May it be sent once more, unplanned?
    fn may_repeat(&self) -> bool {
        let granted = self.has_more() && self.errand.spend();
        if granted {
            self.errand.state().counts.retries.fetch_add(1, Relaxed);
        }
        granted
    }

    /// There is no upstream to send it to; `None` if its outcome is to be looked up.
    pub(super) fn nobody_left(&self) -> Option<Response<ReplyBody>> {
        if !self.doubt {
            let reached_nobody = !self.unreached.is_empty();
            let refusal = if reached_nobody { Refusal::NotSent(self.cause) } else { Refusal::NobodyHealthy };
            return Some(refusal.response(self.errand.visit));
        }
        (!self.errand.terms.lookup).then(|| self.unknown())
    }

    /// Looks its outcome up; `None` if it is to be sent again.
    pub(super) async fn look(&mut self) -> Option<Response<ReplyBody>> {
        let errand = self.errand;
        let api = &errand.state().counts.api;
        let (shown, seen) = look_up(errand, self.reached).await;
        let mut finding = errand.terms.found(shown, self.refused.is_some(), self.has_more());
        if finding == Finding::Resend && !self.may_repeat() {
            finding = Finding::Absent;
        }
        match (finding, seen) {
            (Finding::Reconciled, Some(got)) => {
                api.reconciled.fetch_add(1, Relaxed);
                Some(got.give_as(errand, Outcome::Reconciled))
            }
            (Finding::Refused, _) => self.refused.take().map(|got| got.give(errand)),
            (Finding::Resend, _) => {
                api.absent.fetch_add(1, Relaxed);
                // What is proven not to be there has come to nothing: it is as though it had never been sent.
                (self.doubt, self.unreached) = (false, Set::NONE);
                None
            }
            (Finding::Absent, _) => {
                api.absent.fetch_add(1, Relaxed);
                Some(Refusal::Absent(self.cause).response(errand.visit))
            }
            (Finding::Unknown | Finding::Reconciled, _) => Some(self.unknown()),
        }
    }

    /// The answer, with a word on it if it leaves the outcome open.
    pub(super) fn give(&self, got: Got) -> Response<ReplyBody> {
        match is_uncertain(got.received.status.as_u16()) {
            true => {
                self.count_unknown();
                got.give_as(self.errand, Outcome::Unknown)
            }
            false => got.give(self.errand),
        }
    }

    pub(super) fn unknown(&self) -> Response<ReplyBody> {
        self.count_unknown();
        Refusal::Unknown(self.cause).response(self.errand.visit)
    }

    pub(super) fn count_unknown(&self) {
        self.errand.state().counts.unknown_writes.fetch_add(1, Relaxed);
    }

    fn now(&self) -> Mono {
        self.errand.worker.clock.mono()
    }
}
