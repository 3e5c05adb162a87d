//! The breaker of one upstream and method class.
//!
//! It ejects on a run of consecutive failures, *or* on a failure rate over enough calls, *or* on a rate of calls
//! that are slow by the upstream's own past. It waits out a back-off that doubles with every ejection in a row,
//! or longer if the upstream has been in and out for some time ([`Flaps`]), and then lets one call through to
//! find out. It never asks whether the upstream is the last one: its caller does (see [`Breaker::fail`]).

use std::time::Duration;

use seawall_model::{Cause, Mono};

use super::flap::Flaps;

/// Failures in a row that eject.
const RUN: u32 = 5;
/// Share of failures that ejects, in percent, once there are [`VOLUME`] calls in the window.
const RATE_PERCENT: u32 = 50;
/// Share of slow answers that ejects, in percent, once there are as many.
const SLOW_PERCENT: u32 = 50;
/// Calls in the window below which a rate says nothing.
const VOLUME: u32 = 20;
/// Seconds the window spans, one bucket each.
const WINDOW: usize = 10;
/// The first ejection lasts this long.
const BACKOFF: Duration = Duration::from_secs(1);
/// No back-off is longer, unless the upstream itself asked for it.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// An upstream's own wish (Retry-After) is heeded up to this.
const ASKED_MAX: Duration = Duration::from_secs(120);
/// A probing call that has not reported by now is forgotten and another may go.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// After this long without an ejection the back-off starts small again.
const FORGIVE: Duration = Duration::from_secs(60);
/// Every ejection lasts up to this share longer, by the dice, so that not all that failed together comes back
/// together.
const JITTER: f64 = 0.25;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Traffic flows.
    Admitting,
    /// No traffic until then.
    Ejected {
        /// When one call may try.
        until: Mono,
        /// What it was ejected for.
        cause: Cause,
    },
    /// One call is finding out.
    Probing {
        /// When that call went.
        began: Mono,
        /// What it had been ejected for.
        cause: Cause,
    },
}

impl State {
    /// The state's name, as in metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admitting => "admitting",
            Self::Ejected { .. } => "ejected",
            Self::Probing { .. } => "probing",
        }
    }

    /// What it was ejected for, unless it admits.
    pub fn cause(self) -> Option<Cause> {
        match self {
            Self::Admitting => None,
            Self::Ejected { cause, .. } | Self::Probing { cause, .. } => Some(cause),
        }
    }
}

/// May a call go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Yes,
    /// Yes, as the one that finds out: call [`Breaker::probe`] when it goes.
    Probe,
    /// No.
    No,
}

/// What an answer led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Nothing new.
    Same,
    /// It showed that the upstream is back, and calls are admitted again.
    Readmitted,
    /// Too many are slow: [`Breaker::eject`], unless nobody else is left, and then [`Breaker::readmit`].
    TooSlow,
}

/// The breaker of one upstream and method class.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    since: Mono,
    /// Failures in a row.
    run: u32,
    /// Ejections in a row, for the back-off.
    ejections: u32,
    flaps: Flaps,
    window: Window,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Admitting,
            since: Mono::ZERO,
            run: 0,
            ejections: 0,
            flaps: Flaps::default(),
            window: Window::default(),
        }
    }
}

impl Breaker {
    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> Mono {
        self.since
    }

    /// May a call go now?
    pub fn admission(&self, now: Mono) -> Admission {
        match self.state {
            State::Admitting => Admission::Yes,
            State::Ejected { until, .. } if now >= until => Admission::Probe,
            State::Probing { began, .. } if now.since(began) >= PROBE_LIMIT => Admission::Probe,
            State::Ejected { .. } | State::Probing { .. } => Admission::No,
        }
    }

    /// For how long a probing call has been due.
    pub fn overdue(&self, now: Mono) -> Duration {
        match self.state {
            State::Admitting => Duration::ZERO,
            State::Ejected { until, .. } => now.since(until),
            State::Probing { began, .. } => now.since(began + PROBE_LIMIT),
        }
    }

    /// The probing call goes.
    pub fn probe(&mut self, now: Mono) {
        if let Some(cause) = self.state.cause() {
            self.enter(now, State::Probing { began: now, cause });
        }
    }

    /// A call was answered, and whether that was slow by the upstream's own past.
    ///
    /// A straggler that comes back while the upstream is ejected proves nothing about new calls.
    pub fn succeed(&mut self, now: Mono, slow: bool) -> Answered {
        match self.state {
            State::Ejected { .. } => Answered::Same,
            State::Admitting => {
                self.run = 0;
                self.window.add(now, if slow { Call::Slow } else { Call::Good });
                if self.ejections > 0 && now.since(self.since) >= FORGIVE {
                    self.ejections = 0;
                }
                if slow && self.window.tripped(now, Call::Slow) { Answered::TooSlow } else { Answered::Same }
            }
            State::Probing { cause: Cause::Slow, .. } if slow => Answered::TooSlow,
            State::Probing { .. } => {
                self.readmit(now);
                Answered::Readmitted
            }
        }
    }

    /// A call failed through the upstream's fault. True if the state changed.
    ///
    /// With `may_eject` false (nobody else is left) the failure is counted and traffic flows on.
    /// `dice` is any 64 random bits.
    pub fn fail(&mut self, now: Mono, cause: Cause, may_eject: bool, dice: u64) -> bool {
        match self.state {
            State::Ejected { .. } => false,
            State::Probing { .. } => {
                self.eject(now, cause, None, dice);
                true
            }
            State::Admitting => {
                self.run = self.run.saturating_add(1);
                self.window.add(now, Call::Failed);
                let tripped = self.run >= RUN || self.window.tripped(now, Call::Failed);
                if tripped && may_eject {
                    self.eject(now, cause, None, dice);
                }
                tripped && may_eject
            }
        }
    }

    /// Ejects at once, for the back-off or for as long as the upstream asked. `dice` is any 64 random bits.
    pub fn eject(&mut self, now: Mono, cause: Cause, asked: Option<Duration>, dice: u64) {
        let backoff = BACKOFF.saturating_mul(1 << self.ejections.min(8)).min(BACKOFF_MAX);
        let wait = asked.map_or(backoff, |a| a.clamp(BACKOFF, ASKED_MAX));
        // A probe that fails is the same bad time still; and a limit that was reached is no illness.
        let damped = match (self.state, cause) {
            (State::Admitting, Cause::RateLimited) | (State::Ejected { .. } | State::Probing { .. }, _) => {
                Duration::ZERO
            }
            (State::Admitting, _) => self.flaps.again(now),
        };
        let jitter = 1.0 + JITTER * (dice as f64 / u64::MAX as f64);
        self.ejections = self.ejections.saturating_add(1);
        self.run = 0;
        self.enter(now, State::Ejected { until: now + wait.max(damped).mul_f64(jitter), cause });
    }

    /// How often it has been in and out of late: the figure of [`Flaps`].
    pub fn flapping(&self, now: Mono) -> f64 {
        self.flaps.figure(now)
    }

    /// Admits again without a probing call: something else has shown that the upstream is back.
    pub fn readmit(&mut self, now: Mono) {
        self.run = 0;
        self.window = Window::default();
        self.enter(now, State::Admitting);
    }

    fn enter(&mut self, now: Mono, state: State) {
        self.state = state;
        self.since = now;
    }
}

/// Exact counts for each of the last [`WINDOW`] seconds.
#[derive(Debug, Clone, Default)]
struct Window {
    buckets: [Bucket; WINDOW],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    second: u64,
    calls: u32,
    failures: u32,
    slow: u32,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Good,
    Slow,
    Failed,
}

impl Window {
    fn add(&mut self, now: Mono, call: Call) {
        let second = now.0 / 1_000_000_000;
        let bucket = &mut self.buckets[(second % WINDOW as u64) as usize];
        if bucket.second != second {
            *bucket = Bucket { second, ..Bucket::default() };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(call == Call::Failed));
        bucket.slow = bucket.slow.saturating_add(u32::from(call == Call::Slow));
    }

    /// Is the share of such calls too large?
    fn tripped(&self, now: Mono, of: Call) -> bool {
        let (count, percent): (fn(&Bucket) -> u32, u32) = match of {
            Call::Good => return false,
            Call::Slow => (|b| b.slow, SLOW_PERCENT),
            Call::Failed => (|b| b.failures, RATE_PERCENT),
        };
        let oldest = (now.0 / 1_000_000_000).saturating_sub(WINDOW as u64 - 1);
        let (calls, such) = self
            .buckets
            .iter()
            .filter(|b| b.second >= oldest)
            .fold((0u32, 0u32), |(c, s), b| (c.saturating_add(b.calls), s.saturating_add(count(b))));
        calls >= VOLUME && such.saturating_mul(100) >= calls.saturating_mul(percent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_millis(100_000 + ms)
    }

    #[test]
    fn five_failures_in_a_row_eject_and_one_call_readmits() {
        let mut b = Breaker::default();
        for i in 0..4 {
            assert!(!b.fail(at(i), Cause::Reset, true, 0));
        }
        assert!(b.fail(at(4), Cause::Reset, true, 0));
        assert_eq!(b.admission(at(900)), Admission::No);
        assert_eq!(b.admission(at(1_004)), Admission::Probe);
        b.probe(at(1_004));
        assert_eq!(b.admission(at(1_005)), Admission::No, "one call at a time finds out");
        assert_eq!(b.succeed(at(1_010), false), Answered::Readmitted);
        assert_eq!(b.admission(at(1_010)), Admission::Yes);
    }

    #[test]
    fn half_of_many_eject_though_never_five_in_a_row() {
        let mut b = Breaker::default();
        let tripped = (0..40).any(|i| match i % 2 {
            0 => b.fail(at(i), Cause::Timeout, true, 0),
            _ => b.succeed(at(i), false) != Answered::Same,
        });
        assert!(tripped);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut b = Breaker::default();
        for i in 0..19 {
            assert!(!match i % 2 {
                0 => b.fail(at(i), Cause::Timeout, true, 0),
                _ => b.succeed(at(i), false) != Answered::Same,
            });
        }
        b.succeed(at(20_000), false);
        assert!(!b.fail(at(20_001), Cause::Timeout, true, 0));
    }

    #[test]
    fn back_off_doubles_while_it_keeps_failing_and_is_bounded() {
        let mut b = Breaker::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        b.eject(now, Cause::Hang, None, 0);
        for _ in 0..8 {
            let State::Ejected { until, .. } = b.state() else { panic!("ejected") };
            waits.push(until.since(now).as_secs());
            now = until;
            b.probe(now);
            assert!(b.fail(now, Cause::Hang, true, 0));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_straggler_does_not_readmit() {
        let mut b = Breaker::default();
        b.eject(at(0), Cause::Hang, None, 0);
        assert_eq!(b.succeed(at(10), false), Answered::Same);
        assert_eq!(b.admission(at(20)), Admission::No);
    }

    #[test]
    fn a_lost_probe_is_not_waited_for_for_ever() {
        let mut b = Breaker::default();
        b.eject(at(0), Cause::Hang, None, 0);
        b.probe(at(1_000));
        assert_eq!(b.admission(at(6_000)), Admission::Probe);
    }

    #[test]
    fn the_last_one_is_counted_but_not_ejected() {
        let mut b = Breaker::default();
        for i in 0..100 {
            assert!(!b.fail(at(i), Cause::HttpStatus, false, 0));
        }
        assert_eq!(b.state(), State::Admitting);
    }

    #[test]
    fn an_upstream_may_ask_for_longer_but_not_for_ever() {
        let mut b = Breaker::default();
        b.eject(at(0), Cause::RateLimited, Some(Duration::from_secs(7)), 0);
        assert_eq!(b.admission(at(6_999)), Admission::No);
        assert_eq!(b.admission(at(7_000)), Admission::Probe);
        b.eject(at(8_000), Cause::RateLimited, Some(Duration::from_secs(86_400)), 0);
        assert_eq!(b.admission(at(8_000 + 120_000)), Admission::Probe);
    }

    #[test]
    fn half_of_many_slow_eject_though_all_are_answered() {
        let mut b = Breaker::default();
        let seen: Vec<_> = (0..20).map(|i| b.succeed(at(i), i % 2 == 1)).collect();
        assert_eq!(seen[19], Answered::TooSlow);
        assert!(seen[..19].iter().all(|s| *s == Answered::Same));
        b.eject(at(20), Cause::Slow, None, 0);
        b.probe(at(1_020));
        assert_eq!(b.succeed(at(1_020), true), Answered::TooSlow, "it is slow still");
        b.eject(at(1_021), Cause::Slow, None, 0);
        b.probe(at(3_021));
        assert_eq!(b.succeed(at(3_022), false), Answered::Readmitted);
        assert_eq!(b.succeed(at(3_023), true), Answered::Same, "the window began anew");
    }

    #[test]
    fn one_that_comes_and_goes_is_held_out_longer() {
        let mut b = Breaker::default();
        let (mut now, mut held) = (at(0), Vec::new());
        for _ in 0..6 {
            b.eject(now, Cause::HttpStatus, None, 0);
            let State::Ejected { until, .. } = b.state() else { panic!("ejected") };
            held.push(until.since(now).as_secs());
            // Back at once when it is asked, and well for ten minutes.
            b.probe(until);
            assert_eq!(b.succeed(until, false), Answered::Readmitted);
            b.succeed(until + Duration::from_secs(300), false);
            now = until + Duration::from_secs(600);
        }
        assert_eq!(held, [1, 1, 30, 30, 30, 30]);
    }

    #[test]
    fn no_two_need_come_back_together() {
        let until = |dice| {
            let mut b = Breaker::default();
            b.eject(at(0), Cause::Reset, None, dice);
            let State::Ejected { until, .. } = b.state() else { panic!("ejected") };
            until.since(at(0)).as_millis()
        };
        assert_eq!((until(0), until(u64::MAX / 2), until(u64::MAX)), (1_000, 1_125, 1_250));
    }

    /// A breaker that keeps everything and works each question out anew.
    #[derive(Default)]
    struct Naive {
        calls: Vec<(u64, Call)>,
        run: u32,
    }

    impl Naive {
        /// The call comes in at that time; should it eject?
        fn takes(&mut self, at: Mono, call: Call) -> bool {
            let second = at.0 / 1_000_000_000;
            self.calls.push((second, call));
            self.run = if call == Call::Failed { self.run + 1 } else { 0 };
            let recent: Vec<_> = self.calls.iter().filter(|(s, _)| s + 10 > second).collect();
            let such = recent.iter().filter(|(_, c)| *c == call).count();
            let many = recent.len() >= 20 && such * 2 >= recent.len();
            match call {
                Call::Good => false,
                Call::Slow => many,
                Call::Failed => self.run >= 5 || many,
            }
        }
    }

    fn call() -> impl Strategy<Value = Call> {
        prop_oneof![Just(Call::Good), Just(Call::Slow), Just(Call::Failed)]
    }

    proptest! {
        /// The rules of runs and rates against a list of every call of the last ten seconds, over ejections and
        /// readmissions.
        #[test]
        fn agrees_with_a_list_of_calls(
            calls in prop::collection::vec((0u64..700, call()), 1..120),
            dice: u64,
        ) {
            let mut b = Breaker::default();
            let mut naive = Naive::default();
            let mut now = at(0);
            let (mut ejections, mut flaps, mut back) = (0u32, Flaps::default(), now);
            for (gap, call) in calls {
                now = now + Duration::from_millis(gap);
                let expected = naive.takes(now, call);
                if call != Call::Failed && ejections > 0 && now.since(back) >= FORGIVE {
                    ejections = 0;
                }
                let tripped = match call {
                    Call::Good => b.succeed(now, false) != Answered::Same,
                    Call::Slow => b.succeed(now, true) == Answered::TooSlow,
                    Call::Failed => b.fail(now, Cause::Reset, true, dice),
                };
                prop_assert_eq!(tripped, expected);
                if !tripped { continue }
                if call == Call::Slow {
                    b.eject(now, Cause::Slow, None, dice);
                }
                let State::Ejected { until, .. } = b.state() else { panic!("ejected") };
                let wait = Duration::from_secs(1 << ejections.min(8)).min(BACKOFF_MAX).max(flaps.again(now));
                let (least, most) = (wait, wait.mul_f64(1.0 + JITTER));
                prop_assert!((least..=most).contains(&until.since(now)), "{:?}", until.since(now));
                ejections += 1;
                prop_assert_eq!(b.admission(until), Admission::Probe);
                now = until;
                b.probe(now);
                prop_assert_eq!(b.succeed(now, false), Answered::Readmitted);
                (naive, back) = (Naive::default(), now);
            }
        }
    }
}
