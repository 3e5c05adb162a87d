//! What the clients saw.

use std::{collections::VecDeque, time::Duration};

use hdrhistogram::Histogram;

/// Failures and wrong answers kept in words; the rest are counted.
const KEPT: usize = 10;
/// Seconds kept for the picture.
const SECONDS: usize = 60;
/// Longest latency the histogram tells apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Counts over the whole run, and the last minute by the second.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Requests answered, or failed.
    pub(super) requests: u64,
    /// Requests that got no answer, or an error.
    pub(super) failed: u64,
    /// Answers that the chain contradicts.
    pub(super) wrong: u64,
    /// The first failures and wrong answers, in words.
    pub(super) complaints: Vec<String>,
    /// The last seconds, newest last.
    pub(super) seconds: VecDeque<Second>,
    latency: Histogram<u64>,
}

/// One second of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Second {
    /// Requests that ended in it.
    pub(super) requests: u64,
    /// The slowest of them, in microseconds.
    pub(super) slowest_us: u64,
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the right answer.
    Right,
    /// With a wrong one.
    Wrong(String),
    /// With none.
    Failed(String),
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: 0,
            failed: 0,
            wrong: 0,
            complaints: Vec::new(),
            seconds: VecDeque::new(),
            latency: Histogram::new_with_bounds(1, LONGEST_US, 3)
                .expect("1 µs to 60 s at 3 digits are valid bounds"),
        }
    }
}

impl Tally {
    /// Counts a request that ended in the run's second `second`, so long after it should have been sent.
    pub(super) fn count(&mut self, second: usize, took: Duration, ending: Ending) {
        let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
        self.requests += 1;
        self.latency.saturating_record(us);
        if let Some(now) = self.seconds.back_mut() {
            now.requests += 1;
            now.slowest_us = now.slowest_us.max(us);
        }
        let complaint = match ending {
            Ending::Right => return,
            Ending::Wrong(how) => {
                self.wrong += 1;
                format!("second {second}: wrong: {how}")
            }
            Ending::Failed(why) => {
                self.failed += 1;
                format!("second {second}: failed: {why}")
            }
        };
        if self.complaints.len() < KEPT {
            self.complaints.push(complaint);
        }
    }

    /// Begins a new second.
    pub(super) fn tick(&mut self) {
        self.seconds.push_back(Second::default());
        if self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
    }

    /// The last whole second.
    pub(super) fn last_second(&self) -> Second {
        self.seconds.iter().rev().nth(1).copied().unwrap_or_default()
    }

    /// The latency below which this share of all requests ended.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(share))
    }

    /// The slowest request.
    pub(super) fn slowest(&self) -> Duration {
        Duration::from_micros(self.latency.max())
    }

    /// True if every request got the right answer.
    pub(super) fn flawless(&self) -> bool {
        self.failed == 0 && self.wrong == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_counted_and_the_first_faults_told() {
        let mut tally = Tally::default();
        tally.tick();
        for n in 0..100 {
            tally.count(0, Duration::from_millis(n), Ending::Right);
        }
        assert!(tally.flawless());
        for n in 0..20 {
            tally.count(3, Duration::ZERO, Ending::Failed(format!("no {n}")));
        }
        tally.count(3, Duration::ZERO, Ending::Wrong("0x1".into()));
        assert_eq!((tally.requests, tally.failed, tally.wrong, tally.flawless()), (121, 20, 1, false));
        assert_eq!((tally.complaints.len(), &*tally.complaints[0]), (KEPT, "second 3: failed: no 0"));
        tally.tick();
        assert_eq!(tally.last_second(), Second { requests: 121, slowest_us: 99_000 });
    }
}
