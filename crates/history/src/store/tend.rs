//! The work that is done beside writing, a bounded piece at a time.

use seawall_model::Wall;

use super::History;
use crate::{HistoryError, core::calendar::Grain};

/// What [`History::tend`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tended {
    /// Rows of results added up.
    pub folded: usize,
    /// Components whose days were settled.
    pub settled: usize,
    /// Rows deleted since they have been kept for long enough.
    pub expired: usize,
    /// Rows deleted before their time, since there was no room.
    pub squeezed: usize,
    /// There is less room than days, changes and what is newest need.
    pub full: bool,
    /// There is more to do at once.
    pub more: bool,
}

impl History {
    /// Adds up results of minutes that are over, settles days that are over, and lets go of what need not be kept: a
    /// piece of each. To be called every few seconds, and at once again while there is more to do.
    ///
    /// # Errors
    /// If the store fails. What has been done stays done.
    pub fn tend(&mut self, now: Wall) -> Result<Tended, HistoryError> {
        let mut tended = Tended { folded: self.fold(Grain::Minute.slot(now.0))?, ..Tended::default() };
        if let Some(trusted) = self.trusted()? {
            tended.settled = self.settle(Grain::Day.slot(trusted.0))?;
        }
        tended.expired = self.expire()?;
        tended.squeezed = self.shrink()?;
        let returned = self.give_back()?;
        tended.full = tended.squeezed == 0 && self.used_bytes()? > self.policy.max_bytes;
        tended.more = returned
            || [tended.folded, tended.settled, tended.expired, tended.squeezed].iter().any(|n| *n > 0);
        Ok(tended)
    }
}
