//! What check results add up to.

use super::{
    coding::{Damaged, put, take},
    sketch::{MAX_MICROS, Sketch},
};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It found what it should.
    Ok,
    /// It did not.
    Failed,
    /// It could not be made, or who made it was in trouble itself. Never counts as up.
    Unknown,
}

impl Outcome {
    /// The outcome as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Check results of a stretch of time, added up. Adding is exact: the order and the grouping do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checks that found what they should.
    pub ok: u64,
    /// Checks that did not.
    pub failed: u64,
    /// Checks that tell nothing.
    pub unknown: u64,
    /// Sum of the latencies, in microseconds; of those checks that were ok and timed, as all that follows.
    pub sum_us: u64,
    /// The longest latency, in microseconds.
    pub slowest_us: u64,
    /// The latencies.
    pub latency: Sketch,
}

impl Tally {
    /// Counts one result. The latency of a check that was not ok tells of a timeout, not of the component, and is
    /// left out.
    pub fn add(&mut self, outcome: Outcome, latency_us: Option<u64>) {
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
        if let (Outcome::Ok, Some(us)) = (outcome, latency_us) {
            let us = us.min(MAX_MICROS);
            self.sum_us = self.sum_us.saturating_add(us);
            self.slowest_us = self.slowest_us.max(us);
            self.latency.add(us);
        }
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.add_counts([other.ok, other.failed, other.unknown, other.sum_us, other.slowest_us]);
        self.latency.merge(&other.latency);
    }

    /// How many results.
    pub fn count(&self) -> u64 {
        self.ok.saturating_add(self.failed).saturating_add(self.unknown)
    }

    /// The mean latency in microseconds, if there are any.
    pub fn mean_us(&self) -> Option<u64> {
        self.sum_us.checked_div(self.latency.count())
    }

    fn add_counts(&mut self, [ok, failed, unknown, sum, slowest]: [u64; 5]) {
        self.ok = self.ok.saturating_add(ok);
        self.failed = self.failed.saturating_add(failed);
        self.unknown = self.unknown.saturating_add(unknown);
        self.sum_us = self.sum_us.saturating_add(sum);
        self.slowest_us = self.slowest_us.max(slowest);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for n in [self.ok, self.failed, self.unknown, self.sum_us, self.slowest_us] {
            put(&mut out, n);
        }
        self.latency.encode(&mut out);
        out
    }

    /// Adds what [`encode`](Self::encode) wrote, without a sketch in between.
    pub(crate) fn merge_encoded(&mut self, mut bytes: &[u8]) -> Result<(), Damaged> {
        let mut counts = [0; 5];
        for n in &mut counts {
            *n = take(&mut bytes).ok_or(Damaged("tally"))?;
        }
        self.add_counts(counts);
        self.latency.merge_encoded(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut tally = Self::default();
        tally.merge_encoded(bytes)?;
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_ok_is_timed() {
        let mut tally = Tally::default();
        tally.add(Outcome::Ok, Some(100));
        tally.add(Outcome::Ok, None);
        tally.add(Outcome::Failed, Some(5_000_000));
        tally.add(Outcome::Unknown, Some(7));
        assert_eq!((tally.ok, tally.failed, tally.unknown), (2, 1, 1));
        assert_eq!((tally.mean_us(), tally.slowest_us, tally.latency.count()), (Some(100), 100, 1));
        assert_eq!(Tally::decode(&tally.encode()), Ok(tally));
        assert!(Tally::decode(&[1, 2, 3]).is_err());
    }
}
