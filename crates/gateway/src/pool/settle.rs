//! What an attempt teaches.

use std::{
    sync::{PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};

use super::{Pool, upstream::Learned};
use crate::{
    core::{
        breaker::{Admission, Answered, State},
        throttle::Slowed,
    },
    event::Event,
};

/// Failed polls in a row after which every class is ejected.
const POLLS: u32 = 2;

/// A failure of the same upstream and cause is told of again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// How an attempt ended, for the upstream it went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// A whole answer, well or not the upstream's fault.
    Answered,
    /// The upstream is to blame.
    Failed {
        /// Why.
        cause: Cause,
        /// How long it asks to be left alone.
        asked: Option<Duration>,
    },
}

impl Pool {
    /// Takes in how an attempt on upstream `i` ended, `took` after it began.
    pub(crate) fn settle(&self, now: Mono, i: usize, class: Class, took: Duration, report: Report) {
        let state = &self.upstreams[i].state;
        state.counts.attempts[class as usize].fetch_add(1, Relaxed);
        match report {
            Report::Answered => {
                let mut learned = state.learned();
                let slow = state.pace(&mut learned, now, class, took);
                state.weigh(&mut learned, now, class, took);
                match learned.breakers[class as usize].succeed(now, slow) {
                    Answered::Same => {}
                    Answered::Readmitted => {
                        state.publish(&learned);
                        drop(learned);
                        self.tell_breaker(now, i, class);
                    }
                    Answered::TooSlow => {
                        drop(learned);
                        self.too_slow(now, i, class);
                    }
                }
            }
            Report::Failed { cause, asked } => self.failed(now, i, class, took, cause, asked),
        }
    }

    /// Too many of upstream `i`'s answers are slow by its own past: it is ejected, if others are left.
    fn too_slow(&self, now: Mono, i: usize, class: Class) {
        let state = &self.upstreams[i].state;
        let _one_at_a_time = self.state.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let may_eject = self.others_admit(now, i, class);
        let mut learned = state.learned();
        let breaker = &mut learned.breakers[class as usize];
        // Others may have changed it while the lock was waited for.
        match breaker.state() {
            State::Admitting | State::Probing { .. } if may_eject => {
                breaker.eject(now, Cause::Slow, None, self.random());
                learned.failures_by_cause[Cause::Slow as usize] += 1;
                self.tell_fault(&mut learned, now, i, Cause::Slow);
            }
            State::Probing { .. } => breaker.readmit(now),
            State::Admitting | State::Ejected { .. } => return,
        }
        learned.ejected_whole &= !(1 << class as u32);
        state.publish(&learned);
        drop(learned);
        self.tell_breaker(now, i, class);
    }

    fn failed(
        &self,
        now: Mono,
        i: usize,
        class: Class,
        took: Duration,
        cause: Cause,
        asked: Option<Duration>,
    ) {
        let state = &self.upstreams[i].state;
        state.counts.failures[class as usize].fetch_add(1, Relaxed);
        if self.slowed(now, i, cause, asked) {
            let mut learned = state.learned();
            learned.failures_by_cause[cause as usize] += 1;
            return self.tell_fault(&mut learned, now, i, cause);
        }
        let _one_at_a_time = self.state.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let may_eject = self.others_admit(now, i, class);
        let mut learned = state.learned();
        learned.failures_by_cause[cause as usize] += 1;
        self.tell_fault(&mut learned, now, i, cause);
        state.penalise(&mut learned, now, class, took);
        if matches!(cause, Cause::Timeout | Cause::Hang | Cause::Slow) {
            state.weigh(&mut learned, now, class, took);
        }
        let breaker = &mut learned.breakers[class as usize];
        let changed = match asked {
            // It said so itself: no need to see more of it.
            Some(wait) if may_eject && breaker.state() == State::Admitting => {
                breaker.eject(now, cause, Some(wait), self.random());
                true
            }
            Some(_) | None => breaker.fail(now, cause, may_eject, self.random()),
        };
        if changed {
            learned.ejected_whole &= !(1 << class as u32);
            state.publish(&learned);
            drop(learned);
            self.tell_breaker(now, i, class);
        }
    }

    /// Where the provider has a budget, a refusal for its rate means that less is sent to it from now on. True if
    /// that is likely to help, so that nobody needs to be ejected.
    fn slowed(&self, now: Mono, i: usize, cause: Cause, asked: Option<Duration>) -> bool {
        match &self.upstreams[i].allowance {
            Some(allowance) if cause == Cause::RateLimited => allowance.refused(now, asked) == Slowed::Yes,
            Some(_) | None => false,
        }
    }

    /// A failure in a call that failed everywhere: it is counted, and held against nobody.
    pub(crate) fn unsettled(&self, now: Mono, i: usize, class: Class, cause: Cause, asked: Option<Duration>) {
        self.slowed(now, i, cause, asked);
        let state = &self.upstreams[i].state;
        state.counts.attempts[class as usize].fetch_add(1, Relaxed);
        state.counts.failures[class as usize].fetch_add(1, Relaxed);
        state.learned().failures_by_cause[cause as usize] += 1;
    }

    /// Ejects upstream `i` for every class at once, as a hang or a dead port calls for. True if that changed
    /// anything.
    fn eject_all(&self, now: Mono, i: usize, cause: Cause) -> bool {
        let state = &self.upstreams[i].state;
        let _one_at_a_time = self.state.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        for class in Class::ALL {
            if !self.others_admit(now, i, class) {
                continue;
            }
            let mut learned = state.learned();
            if learned.breakers[class as usize].state() == State::Admitting {
                learned.breakers[class as usize].eject(now, cause, None, self.random());
                learned.ejected_whole |= 1 << class as u32;
                state.publish(&learned);
                last = Some(learned.breakers[class as usize].state());
            }
        }
        self.tell_whole(now, i, last);
        last.is_some()
    }

    /// A poll of the upstream's head ended, in failure if there is a cause.
    pub(crate) fn polled(&self, now: Mono, i: usize, failure: Option<Cause>) {
        let mut learned = self.upstreams[i].state.learned();
        let Some(cause) = failure else {
            learned.poll_failures = 0;
            drop(learned);
            return self.readmit_whole(now, i);
        };
        learned.poll_failures += u32::from(!self.slowed(now, i, cause, None));
        learned.failures_by_cause[cause as usize] += 1;
        self.tell_fault(&mut learned, now, i, cause);
        let tripped = learned.poll_failures >= POLLS;
        drop(learned);
        if tripped {
            self.eject_all(now, i, cause);
        }
    }

    /// A fresh connection to upstream `i` could be opened, or not though those made before still serve.
    pub(crate) fn dialled(&self, now: Mono, i: usize, came: bool) {
        let state = &self.upstreams[i].state;
        if state.set_stranded(!came) {
            let upstream = self.upstreams[i].component.clone();
            self.state.events.send(Event::Stranded { at: now, upstream, stranded: !came });
        }
        if !came {
            state.learned().failures_by_cause[Cause::FreshConnect as usize] += 1;
        }
    }

    /// A poll came back: the classes that were ejected together, for a hang or a dead port, and have waited
    /// out their back-off are admitted again. Their breakers remember how often that has happened.
    fn readmit_whole(&self, now: Mono, i: usize) {
        let state = &self.upstreams[i].state;
        let mut last = None;
        for class in Class::ALL {
            let mut learned = state.learned();
            let bit = 1 << class as u32;
            let due = learned.breakers[class as usize].admission(now) == Admission::Probe;
            if learned.ejected_whole & bit != 0 && due {
                learned.ejected_whole &= !bit;
                learned.breakers[class as usize].readmit(now);
                state.publish(&learned);
                last = Some(State::Admitting);
            }
        }
        self.tell_whole(now, i, last);
    }

    /// An attempt has waited for `waited` and the upstream has sent nothing at all since it began: past the
    /// hang limit that is a hang. True if it is one.
    pub(crate) fn suspect(&self, now: Mono, i: usize, began: Mono) -> bool {
        let hangs = now.since(began) >= self.section.hang && self.upstreams[i].state.last_answer() < began;
        if hangs && self.eject_all(now, i, Cause::Hang) {
            // Where it was one of two, the head waits for its vote.
            self.state.tracker().hung(i);
            self.state.nudge();
        }
        hangs
    }

    /// Would somebody be left for `class` without upstream `i`?
    fn others_admit(&self, now: Mono, i: usize, class: Class) -> bool {
        let heads = self.state.heads.load();
        self.sound(&heads, now).iter().any(|o| o != i && self.upstreams[o].state.admits(class))
    }

    pub(crate) fn tell_breaker(&self, now: Mono, i: usize, class: Class) {
        let upstream = &self.upstreams[i];
        let state = upstream.state.learned().breakers[class as usize].state();
        self.state.events.send(Event::Breaker {
            at: now,
            upstream: upstream.component.clone(),
            class: Some(class),
            state,
        });
    }

    /// Tells that the classes of upstream `i` changed together.
    fn tell_whole(&self, now: Mono, i: usize, state: Option<State>) {
        if let Some(state) = state {
            let upstream = self.upstreams[i].component.clone();
            self.state.events.send(Event::Breaker { at: now, upstream, class: None, state });
        }
    }

    /// Tells of a failure, unless one of its cause was told of a while ago: one alone may eject nobody, and is
    /// still worth a record.
    fn tell_fault(&self, learned: &mut Learned, now: Mono, i: usize, cause: Cause) {
        let told = &mut learned.told[cause as usize];
        if told.is_none_or(|at| now.since(at) >= TELL_AGAIN) {
            *told = Some(now);
            let upstream = self.upstreams[i].component.clone();
            self.state.events.send(Event::Fault { at: now, upstream, cause });
        }
    }
}
