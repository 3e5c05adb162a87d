//! How fast an upstream usually is, and from that: when to hedge, and what counts as slow.

use std::time::Duration;

use hdrhistogram::Histogram;
use seawall_model::Mono;

/// Longest time told apart, in microseconds.
const MAX_US: u64 = 60_000_000;
/// The histogram of one half of the memory spans this long.
const HALF: Duration = Duration::from_secs(10);
/// Samples below which a quantile says nothing.
const ENOUGH: u64 = 50;
/// Time in which the influence of one sample on the mean falls to 1/e, in microseconds.
const DECAY_US: f64 = 10e6;

/// Hedge no sooner than this: below it a second attempt costs more than it gains.
const HEDGE_MIN: Duration = Duration::from_millis(20);
/// Hedge no later than this.
const HEDGE_MAX: Duration = Duration::from_secs(1);
/// Before enough is known.
const HEDGE_UNKNOWN: Duration = Duration::from_millis(200);
/// An answer this many times later than the usual one is slow,
const SLOW_FACTOR: u64 = 10;
/// if it took at least this long, in microseconds.
const SLOW_MIN_US: u64 = 100_000;
/// An upstream that has been slow for this long without a break has a new past: it is far away now, not unwell.
const REBASE: Duration = Duration::from_secs(600);

/// The pace of one upstream in one method class.
#[derive(Debug, Clone)]
pub struct Pace {
    mean_us: f64,
    last: Mono,
    /// Slow-moving mean over calls that were not slow: the upstream's own past.
    usual_us: f64,
    /// Since when every answer has been slow.
    slow_since: Option<Mono>,
    halves: Option<Box<Halves>>,
}

#[derive(Debug, Clone)]
struct Halves {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    turned: Mono,
}

impl Default for Pace {
    fn default() -> Self {
        Self { mean_us: 0.0, last: Mono::ZERO, usual_us: 0.0, slow_since: None, halves: None }
    }
}

impl Pace {
    /// A whole answer came after `us` microseconds. True if that is slow for this upstream.
    pub fn answered(&mut self, now: Mono, us: u64) -> bool {
        self.penalise(now, us);
        let slow = self.is_slow(us);
        let rebased = slow && now.since(*self.slow_since.get_or_insert(now)) >= REBASE;
        if !slow || rebased {
            let weight = if self.usual_us == 0.0 || rebased { 1.0 } else { 0.002 };
            self.usual_us += weight * (us as f64 - self.usual_us);
            self.slow_since = None;
        }
        let halves = self.halves.get_or_insert_with(|| Box::new(Halves::new(now)));
        halves.turn(now);
        halves.current.saturating_record(us.clamp(1, MAX_US));
        slow && !rebased
    }

    /// A failure, or a wait that was given up: for the choice it counts like an answer that took `us`.
    ///
    /// The mean jumps up to a worse sample and drifts down to better ones (Peak-EWMA).
    pub fn penalise(&mut self, now: Mono, us: u64) {
        let sample = us as f64;
        if sample >= self.mean_us {
            self.mean_us = sample;
        } else {
            let elapsed = now.since(self.last).as_micros() as f64;
            let keep = (-elapsed / DECAY_US).exp();
            // Between calls that come fast the decay is by count, or a burst would never recover.
            self.mean_us = sample + (self.mean_us - sample) * keep.min(0.98);
        }
        self.last = now;
    }

    /// Mean time to an answer, in microseconds, with failures counted as long ones.
    pub fn mean_us(&self) -> u64 {
        self.mean_us as u64
    }

    /// Is `us` slow for this upstream, going by its own past?
    pub fn is_slow(&self, us: u64) -> bool {
        self.usual_us > 0.0 && us >= SLOW_MIN_US && us as f64 >= self.usual_us * SLOW_FACTOR as f64
    }

    /// The `q` quantile of the last ten to twenty seconds, in microseconds, if enough is known.
    pub fn quantile(&mut self, now: Mono, q: f64) -> Option<u64> {
        let halves = self.halves.as_mut()?;
        halves.turn(now);
        let from = if halves.current.len() >= ENOUGH { &halves.current } else { &halves.previous };
        (from.len() >= ENOUGH).then(|| from.value_at_quantile(q))
    }
}

impl Halves {
    fn new(now: Mono) -> Self {
        let empty = || Histogram::new_with_bounds(1, MAX_US, 1).expect("the bounds are constants and fit");
        Self { current: empty(), previous: empty(), turned: now }
    }

    fn turn(&mut self, now: Mono) {
        if now.since(self.turned) >= HALF {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.reset();
            self.turned = now;
        }
    }
}

/// When to send a second attempt after the first: the 99th percentile of a typical upstream (the
/// lower median, so that one slow upstream does not slow the hedge against it).
pub fn hedge_after(mut p99_us: Vec<u64>) -> Duration {
    if p99_us.is_empty() {
        return HEDGE_UNKNOWN;
    }
    p99_us.sort_unstable();
    Duration::from_micros(p99_us[(p99_us.len() - 1) / 2]).clamp(HEDGE_MIN, HEDGE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_felt_at_once_and_forgotten_slowly() {
        let mut p = Pace::default();
        let mut now = Mono::from_millis(1);
        for _ in 0..100 {
            now = now + Duration::from_millis(10);
            p.answered(now, 1_000);
        }
        assert_eq!(p.mean_us(), 1_000);
        p.answered(now, 300_000);
        assert_eq!(p.mean_us(), 300_000);
        p.answered(now + Duration::from_millis(10), 1_000);
        assert!(p.mean_us() > 250_000);
        p.answered(now + Duration::from_secs(60), 1_000);
        assert!(p.mean_us() < 3_000);
    }

    #[test]
    fn slow_is_told_by_its_own_past() {
        let mut p = Pace::default();
        assert!(!p.is_slow(5_000_000), "nothing is known yet");
        for i in 0..100 {
            p.answered(Mono::from_millis(i), 1_000);
        }
        assert!(p.is_slow(400_000));
        assert!(!p.is_slow(99_000), "too short to matter");
        let mut far = Pace::default();
        for i in 0..100 {
            far.answered(Mono::from_millis(i), 80_000);
        }
        assert!(!far.is_slow(400_000), "it always was far away");
    }

    #[test]
    fn slow_for_long_enough_is_the_new_past() {
        let mut p = Pace::default();
        let second = |s: u64| Mono::from_millis(1_000 * s);
        for s in 0..100 {
            assert!(!p.answered(second(s), 5_000));
        }
        assert!((100..700).all(|s| p.answered(second(s), 400_000)));
        assert!(!p.answered(second(700), 400_000));
        assert!(!p.answered(second(701), 400_000));
    }

    #[test]
    fn the_hedge_follows_the_typical_upstream() {
        assert_eq!(hedge_after(vec![]), Duration::from_millis(200));
        assert_eq!(hedge_after(vec![30_000, 400_000]), Duration::from_millis(30));
        assert_eq!(hedge_after(vec![1_000, 1_200, 900]), HEDGE_MIN);
        assert_eq!(hedge_after(vec![5_000_000]), HEDGE_MAX);
    }

    #[test]
    fn a_quantile_needs_enough_and_forgets() {
        let mut p = Pace::default();
        for i in 0..49 {
            p.answered(Mono::from_millis(i), 2_000);
        }
        assert_eq!(p.quantile(Mono::from_millis(50), 0.99), None);
        p.answered(Mono::from_millis(50), 2_000);
        let p99 = p.quantile(Mono::from_millis(51), 0.99).unwrap();
        assert!((1_900..2_200).contains(&p99), "{p99}");
        assert!(p.quantile(Mono::from_millis(10_060), 0.99).is_some(), "from the half before");
        assert_eq!(p.quantile(Mono::from_millis(20_070), 0.99), None);
    }
}
