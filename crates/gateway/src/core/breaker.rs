//! The breaker of one upstream and method class.
//!
//! It ejects on a run of consecutive failures *or* on a failure rate over enough calls, waits out a
//! back-off that doubles with every ejection in a row, and then lets one call through to find out.
//! It never asks whether the upstream is the last one: its caller does (see [`Breaker::fail`]).

use std::time::Duration;

use seawall_model::{Cause, Mono};

/// Failures in a row that eject.
const RUN: u32 = 5;
/// Share of failures that ejects, in percent, once there are [`VOLUME`] calls in the window.
const RATE_PERCENT: u32 = 50;
/// Calls in the window below which a rate says nothing.
const VOLUME: u32 = 20;
/// Seconds the window spans, one bucket each.
const WINDOW: usize = 10;
/// The first ejection lasts this long.
const BACKOFF: Duration = Duration::from_secs(1);
/// No ejection lasts longer, unless the upstream itself asked for it.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// An upstream's own wish (Retry-After) is heeded up to this.
const ASKED_MAX: Duration = Duration::from_secs(120);
/// A probing call that has not reported by now is forgotten and another may go.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// After this long without an ejection the back-off starts small again.
const FORGIVE: Duration = Duration::from_secs(60);

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

/// The breaker of one upstream and method class.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    since: Mono,
    /// Failures in a row.
    run: u32,
    /// Ejections in a row, for the back-off.
    ejections: u32,
    window: Window,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Admitting, since: Mono::ZERO, run: 0, ejections: 0, window: Window::default() }
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

    /// The probing call goes.
    pub fn probe(&mut self, now: Mono) {
        if let Some(cause) = self.state.cause() {
            self.enter(now, State::Probing { began: now, cause });
        }
    }

    /// A call succeeded. True if the state changed.
    ///
    /// A straggler that comes back while the upstream is ejected proves nothing about new calls.
    pub fn succeed(&mut self, now: Mono) -> bool {
        match self.state {
            State::Ejected { .. } => false,
            State::Admitting => {
                self.run = 0;
                self.window.add(now, false);
                if self.ejections > 0 && now.since(self.since) >= FORGIVE {
                    self.ejections = 0;
                }
                false
            }
            State::Probing { .. } => {
                self.run = 0;
                self.window = Window::default();
                self.enter(now, State::Admitting);
                true
            }
        }
    }

    /// A call failed through the upstream's fault. True if the state changed.
    ///
    /// With `may_eject` false (nobody else is left) the failure is counted and traffic flows on.
    pub fn fail(&mut self, now: Mono, cause: Cause, may_eject: bool) -> bool {
        match self.state {
            State::Ejected { .. } => false,
            State::Probing { .. } => {
                self.eject(now, cause, None);
                true
            }
            State::Admitting => {
                self.run = self.run.saturating_add(1);
                self.window.add(now, true);
                let tripped = self.run >= RUN || self.window.tripped(now);
                if tripped && may_eject {
                    self.eject(now, cause, None);
                }
                tripped && may_eject
            }
        }
    }

    /// Ejects at once, for the back-off or for as long as the upstream asked.
    pub fn eject(&mut self, now: Mono, cause: Cause, asked: Option<Duration>) {
        let backoff = BACKOFF.saturating_mul(1 << self.ejections.min(8)).min(BACKOFF_MAX);
        let wait = asked.map_or(backoff, |a| a.clamp(BACKOFF, ASKED_MAX));
        self.ejections = self.ejections.saturating_add(1);
        self.run = 0;
        self.enter(now, State::Ejected { until: now + wait, cause });
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
}

impl Window {
    fn add(&mut self, now: Mono, failed: bool) {
        let second = now.0 / 1_000_000_000;
        let bucket = &mut self.buckets[(second % WINDOW as u64) as usize];
        if bucket.second != second {
            *bucket = Bucket { second, ..Bucket::default() };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(failed));
    }

    fn tripped(&self, now: Mono) -> bool {
        let oldest = (now.0 / 1_000_000_000).saturating_sub(WINDOW as u64 - 1);
        let (calls, failures) = self
            .buckets
            .iter()
            .filter(|b| b.second >= oldest)
            .fold((0u32, 0u32), |(c, f), b| (c.saturating_add(b.calls), f.saturating_add(b.failures)));
        calls >= VOLUME && failures.saturating_mul(100) >= calls.saturating_mul(RATE_PERCENT)
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
            assert!(!b.fail(at(i), Cause::Reset, true));
        }
        assert!(b.fail(at(4), Cause::Reset, true));
        assert_eq!(b.admission(at(900)), Admission::No);
        assert_eq!(b.admission(at(1_004)), Admission::Probe);
        b.probe(at(1_004));
        assert_eq!(b.admission(at(1_005)), Admission::No, "one call at a time finds out");
        assert!(b.succeed(at(1_010)));
        assert_eq!(b.admission(at(1_010)), Admission::Yes);
    }

    #[test]
    fn half_of_many_eject_though_never_five_in_a_row() {
        let mut b = Breaker::default();
        let tripped = (0..40).any(|i| match i % 2 {
            0 => b.fail(at(i), Cause::Timeout, true),
            _ => b.succeed(at(i)),
        });
        assert!(tripped);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut b = Breaker::default();
        for i in 0..19 {
            assert!(!match i % 2 {
                0 => b.fail(at(i), Cause::Timeout, true),
                _ => b.succeed(at(i)),
            });
        }
        b.succeed(at(20_000));
        assert!(!b.fail(at(20_001), Cause::Timeout, true));
    }

    #[test]
    fn back_off_doubles_while_it_keeps_failing_and_is_bounded() {
        let mut b = Breaker::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        b.eject(now, Cause::Hang, None);
        for _ in 0..8 {
            let State::Ejected { until, .. } = b.state() else { panic!("ejected") };
            waits.push(until.since(now).as_secs());
            now = until;
            b.probe(now);
            assert!(b.fail(now, Cause::Hang, true));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_straggler_does_not_readmit() {
        let mut b = Breaker::default();
        b.eject(at(0), Cause::Hang, None);
        assert!(!b.succeed(at(10)));
        assert_eq!(b.admission(at(20)), Admission::No);
    }

    #[test]
    fn a_lost_probe_is_not_waited_for_for_ever() {
        let mut b = Breaker::default();
        b.eject(at(0), Cause::Hang, None);
        b.probe(at(1_000));
        assert_eq!(b.admission(at(6_000)), Admission::Probe);
    }

    #[test]
    fn the_last_one_is_counted_but_not_ejected() {
        let mut b = Breaker::default();
        for i in 0..100 {
            assert!(!b.fail(at(i), Cause::HttpStatus, false));
        }
        assert_eq!(b.state(), State::Admitting);
    }

    #[test]
    fn an_upstream_may_ask_for_longer_but_not_for_ever() {
        let mut b = Breaker::default();
        b.eject(at(0), Cause::RateLimited, Some(Duration::from_secs(7)));
        assert_eq!(b.admission(at(6_999)), Admission::No);
        assert_eq!(b.admission(at(7_000)), Admission::Probe);
        b.eject(at(8_000), Cause::RateLimited, Some(Duration::from_secs(86_400)));
        assert_eq!(b.admission(at(8_000 + 120_000)), Admission::Probe);
    }

    proptest! {
        /// The rate rule against a list of every call of the last ten seconds.
        #[test]
        fn agrees_with_a_list_of_calls(calls in prop::collection::vec((0u64..700, any::<bool>()), 1..200)) {
            let mut b = Breaker::default();
            let (mut now, mut run) = (0u64, 0u32);
            let mut seen: Vec<(u64, bool)> = Vec::new();
            for (gap, failed) in calls {
                now += gap;
                let t = at(now);
                seen.push((t.0 / 1_000_000_000, failed));
                run = if failed { run + 1 } else { 0 };
                let recent: Vec<_> = seen.iter().filter(|(s, _)| s + 10 > t.0 / 1_000_000_000).collect();
                let bad = recent.iter().filter(|(_, f)| *f).count();
                let expected = failed && (run >= 5 || (recent.len() >= 20 && bad * 2 >= recent.len()));
                let changed = if failed { b.fail(t, Cause::Reset, true) } else { b.succeed(t) };
                prop_assert_eq!(changed, expected);
                if changed { break }
            }
        }
    }
}
