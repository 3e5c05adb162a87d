//! How long what is kept, and how much of it.

use seawall_model::Wall;

use crate::{HistoryError, core::calendar::Grain};

/// How long what is kept. Days, changes of verdict, maintenance and the stretches watched are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Days that every single result is kept, and that a result may come late by.
    pub raw_days: u32,
    /// Days that minutes are kept.
    pub minute_days: u32,
    /// Days that hours are kept.
    pub hour_days: u32,
    /// Bytes beyond which results, then minutes, then hours go before their time, the oldest first.
    pub max_bytes: u64,
}

impl Default for Policy {
    /// Results for 3 days, minutes for 14, hours for two years, 20 GiB.
    fn default() -> Self {
        Self { raw_days: 3, minute_days: 14, hour_days: 731, max_bytes: 20 << 30 }
    }
}

impl Policy {
    /// Most days of anything but days: a century.
    pub const MAX_DAYS: u32 = 36_525;
    /// Fewest bytes of a history: what tables and some hours need.
    pub const MIN_BYTES: u64 = 1 << 20;

    /// Checks that what is coarser is kept for as long as what is finer, that something is kept, and that nothing is
    /// without a limit.
    pub(crate) fn check(&self) -> Result<(), HistoryError> {
        let rising = 1 <= self.raw_days
            && self.raw_days <= self.minute_days
            && self.minute_days <= self.hour_days
            && self.hour_days <= Self::MAX_DAYS;
        if !rising {
            return Err(HistoryError::Policy(
                "results need at least a day, minutes as many days as results, hours as many as minutes",
            ));
        }
        if self.max_bytes < Self::MIN_BYTES {
            return Err(HistoryError::Policy("it needs room for a MiB at least"));
        }
        Ok(())
    }

    /// Before which minute or hour nothing has to be kept.
    pub(crate) fn floor(&self, kept: super::store::Kept, trusted: Wall) -> i64 {
        let days = match kept {
            super::store::Kept::Raw => self.raw_days,
            super::store::Kept::Minutes => self.minute_days,
            super::store::Kept::Hours => self.hour_days,
        };
        kept.grain().slot(trusted.0.saturating_sub(i64::from(days) * Grain::Day.millis()))
    }
}
