//! What has been spent in the running day or month.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// One period's account, over a counter of all that was ever spent. Read without a lock.
#[derive(Debug, Default)]
pub struct Quota {
    /// The number of the period, from whatever origin.
    period: AtomicI64,
    /// The counter when the period began; beyond it, wrapping, if something was spent before the counter began.
    base: AtomicU64,
}

impl Quota {
    /// What has been spent in the running period, of `total` in all.
    pub fn spent(&self, total: u64) -> u64 {
        total.wrapping_sub(self.base.load(Relaxed))
    }

    /// The number of the running period.
    pub fn period(&self) -> i64 {
        self.period.load(Relaxed)
    }

    /// It is `period` now: if that is a later one than before, it begins with nothing spent. A clock that is set
    /// back begins none.
    pub fn turn(&self, period: i64, total: u64) {
        if self.period.fetch_max(period, Relaxed) < period {
            self.base.store(total, Relaxed);
        }
    }

    /// Of `period` so much had been spent before the counter began.
    pub fn recall(&self, period: i64, spent: u64, total: u64) {
        self.period.store(period, Relaxed);
        self.base.store(total.wrapping_sub(spent), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_begins_anew_and_what_was_spent_before_a_restart_counts() {
        let quota = Quota::default();
        quota.turn(5, 100);
        assert_eq!(quota.spent(130), 30);
        quota.turn(5, 130);
        quota.turn(4, 130);
        assert_eq!((quota.spent(130), quota.period()), (30, 5));
        quota.turn(6, 150);
        assert_eq!(quota.spent(150), 0);
        let after = Quota::default();
        after.recall(6, 40, 0);
        after.turn(6, 0);
        assert_eq!(after.spent(2), 42);
        after.turn(7, 10);
        assert_eq!(after.spent(11), 1);
    }
}
