//! How many calls at once are good for an upstream, in one method class.
//!
//! Like the gradient limiters (Netflix's Gradient2, Envoy's adaptive concurrency) it compares the time an
//! answer takes with the time it takes where there is no queue, and shrinks when there is one. Unlike them it never
//! trusts that the times it compares are of the same kind of call, nor that it has ever seen the upstream idle: every
//! cut is an experiment. If fewer calls at once make answers no faster, then it was not they that made them slow: the
//! cut is taken back, and what was measured is what is usual now. And while calls press against the limit, every ten
//! seconds a short stretch at half of it shows afresh what is usual, so that a queue that was always there is found.

use std::time::Duration;

use seawall_model::Mono;

/// The limit before anything is known: enough not to be felt, and few enough that one hung upstream does not take
/// everything.
const FIRST: f64 = 128.0;
/// No limit is larger.
const MOST: f64 = 16_384.0;
/// Answers may take this many times as long as without a queue,
const TOLERANCE: f64 = 1.5;
/// or this much longer, in microseconds, before that counts as queueing.
const SLACK_US: f64 = 10_000.0;
/// Fewer calls at once than this are never what makes an upstream slow.
const FEW: f64 = 4.0;
/// One window is at least this long,
const WINDOW: Duration = Duration::from_millis(100);
/// and has so many samples,
const ENOUGH: u32 = 32;
/// or has at least this many after
const SCARCE: u32 = 8;
/// this long.
const LONG_WINDOW: Duration = Duration::from_secs(2);
/// One cut leaves at least this share of what was in flight, and
const CUT_MOST: f64 = 0.7;
/// at most this one.
const CUT_LEAST: f64 = 0.9;
/// Where there is no queue at all, the limit grows by this factor.
const GROW: f64 = 1.5;
/// How often what is usual is looked at afresh while calls press against the limit.
const AFRESH: Duration = Duration::from_secs(10);
/// Calls press against the limit when so much of it is used.
const PRESSED: f64 = 0.65;
/// Latency grows with the calls in flight to this power, or it is not they that make it grow.
const ELASTIC: f64 = 0.3;
/// Where it grows to this power and more, there is nothing but queue.
const QUEUE: f64 = 0.7;
/// What was in flight before a trial has left after this long at most.
const DRAIN: Duration = Duration::from_secs(5);

/// One attempt that got its answer, or waited in vain.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How long it took.
    pub took: Duration,
    /// Attempts of its class in flight at that upstream when it ended, itself among them.
    pub in_flight: u32,
    /// Attempts of every class then.
    pub all_in_flight: u32,
}

/// The limit of one upstream and method class.
#[derive(Debug, Clone)]
pub struct Limiter {
    limit: f64,
    /// What an answer takes where there is no queue, in microseconds; 0 until something is known.
    usual_us: f64,
    window: Window,
    trial: Option<Trial>,
    /// When what is usual was last looked at, once calls pressed.
    looked: Option<Mono>,
    has_looked: bool,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// Only attempts that began since then are of this window.
    from: Mono,
    samples: u32,
    /// Sums: of the logarithm of the times, so that one slow call in a mix weighs no more than it should.
    ln_us: f64,
    in_flight: f64,
    all_in_flight: f64,
}

/// Fewer calls at once, to see whether that makes them faster.
#[derive(Debug, Clone, Copy)]
struct Trial {
    before: Seen,
    back_to: f64,
    kind: TrialKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrialKind {
    /// It stays if it helps.
    Cut,
    /// As that, but deeper, since the first did not seem to help.
    DeepCut,
    /// It ends in any case.
    Look,
}

/// What a window shows.
#[derive(Debug, Clone, Copy)]
struct Seen {
    us: f64,
    in_flight: f64,
    /// This class has its part in what is in flight.
    is_ours: bool,
}

impl Default for Limiter {
    fn default() -> Self {
        let window = Window { from: Mono::ZERO, samples: 0, ln_us: 0.0, in_flight: 0.0, all_in_flight: 0.0 };
        Self { limit: FIRST, usual_us: 0.0, window, trial: None, looked: None, has_looked: false }
    }
}

impl Limiter {
    /// How many may be in flight; at least one.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// What an answer takes where there is no queue, in microseconds; 0 until something is known.
    pub fn usual_us(&self) -> u64 {
        self.usual_us as u64
    }

    /// An attempt ended. True if the limit is another one now.
    pub fn sample(&mut self, now: Mono, sample: Sample) -> bool {
        if now - sample.took < self.window.from {
            return false;
        }
        let w = &mut self.window;
        w.samples += 1;
        w.ln_us += (sample.took.as_nanos() as f64 / 1_000.0).max(1.0).ln();
        w.in_flight += f64::from(sample.in_flight.max(1));
        w.all_in_flight += f64::from(sample.all_in_flight.max(1));
        let open = now.since(w.from);
        let over = (w.samples >= ENOUGH && open >= WINDOW) || (w.samples >= SCARCE && open >= LONG_WINDOW);
        if !over {
            return false;
        }
        let before = self.limit();
        self.turn(now);
        self.limit() != before
    }

    /// A window is over.
    fn turn(&mut self, now: Mono) {
        let w = self.window;
        let n = f64::from(w.samples);
        let seen = Seen {
            us: (w.ln_us / n).exp(),
            in_flight: w.in_flight / n,
            is_ours: w.in_flight * 3.0 >= w.all_in_flight,
        };
        self.open(now);
        if self.usual_us == 0.0 {
            self.usual_us = seen.us;
        }
        match self.trial.take() {
            Some(trial) => self.judge(now, trial, seen),
            None => self.steer(now, seen),
        }
    }

    fn open(&mut self, from: Mono) {
        self.window = Window { from, samples: 0, ln_us: 0.0, in_flight: 0.0, all_in_flight: 0.0 };
    }

    /// Goes by what is seen: less if there is a queue, more if calls press and there is none.
    fn steer(&mut self, now: Mono, seen: Seen) {
        let presses = seen.in_flight >= self.limit * PRESSED;
        let tolerated = self.tolerated_us();
        if seen.us > tolerated && seen.is_ours && seen.in_flight >= FEW {
            let share = (tolerated / seen.us).clamp(CUT_MOST, CUT_LEAST);
            self.attempt(now, TrialKind::Cut, seen, seen.in_flight * share);
            return;
        }
        self.learn(seen, presses);
        if !presses {
            self.looked = None;
            return;
        }
        let since = *self.looked.get_or_insert(now);
        // At first nothing is known but what they take when they press.
        let due = !self.has_looked || now.since(since) >= AFRESH;
        if due && seen.is_ours && seen.in_flight >= FEW {
            (self.looked, self.has_looked) = (Some(now), true);
            self.attempt(now, TrialKind::Look, seen, seen.in_flight / 2.0);
        } else if seen.us <= self.usual_us + (tolerated - self.usual_us) / 4.0 {
            self.limit = (self.limit * GROW).min(MOST);
        } else if seen.us <= tolerated {
            self.limit = (self.limit + (self.limit.sqrt() / 2.0).max(1.0)).min(MOST);
        }
    }

    /// Takes in what is usual: less at once, more only where nothing presses.
    fn learn(&mut self, seen: Seen, presses: bool) {
        if seen.us < self.usual_us {
            self.usual_us += 0.3 * (seen.us - self.usual_us);
        } else if !presses {
            self.usual_us += 0.1 * (seen.us - self.usual_us);
        }
    }

    fn attempt(&mut self, now: Mono, kind: TrialKind, before: Seen, limit: f64) {
        let limit = limit.max(1.0).min(self.limit);
        self.begin(now, Trial { before, back_to: self.limit, kind }, limit, before);
    }

    fn begin(&mut self, now: Mono, trial: Trial, limit: f64, seen: Seen) {
        self.trial = Some(trial);
        self.limit = limit;
        // What is in flight now has still to leave; only then does the upstream feel the difference.
        self.open(now + Duration::from_micros(seen.us as u64).min(DRAIN));
    }

    fn judge(&mut self, now: Mono, trial: Trial, seen: Seen) {
        let fewer = (seen.in_flight / trial.before.in_flight).ln();
        let faster = (seen.us / trial.before.us).ln();
        // Where there are hardly fewer in flight, nothing is shown.
        let shown = fewer < CUT_LEAST.sqrt().ln();
        let helps = faster < ELASTIC * fewer;
        match (trial.kind, shown) {
            // A small cut proves little: one that is deeper decides.
            (TrialKind::Cut, true) if !helps => {
                let limit = (seen.in_flight * CUT_MOST).clamp(1.0, self.limit);
                self.begin(now, Trial { kind: TrialKind::DeepCut, ..trial }, limit, seen);
            }
            (TrialKind::DeepCut, true) if !helps => {
                self.usual_us = seen.us;
                self.limit = trial.back_to;
            }
            (TrialKind::Cut | TrialKind::DeepCut, _) => self.usual_us = self.usual_us.min(seen.us),
            // It was nothing but queue: there may be more of it.
            (TrialKind::Look, true) if faster < QUEUE * fewer && seen.in_flight >= FEW => {
                self.usual_us = self.usual_us.min(seen.us);
                self.attempt(now, TrialKind::Look, seen, seen.in_flight / 2.0);
            }
            (TrialKind::Look, true) => {
                self.usual_us = if helps { self.usual_us.min(seen.us) } else { seen.us };
                self.limit = trial.back_to;
            }
            (TrialKind::Look, false) => self.limit = trial.back_to,
        }
    }

    fn tolerated_us(&self) -> f64 {
        (self.usual_us * TOLERANCE).max(self.usual_us + SLACK_US)
    }
}

#[cfg(test)]
mod tests;
