//! What is written: results, changes of verdict, who was affected, announced maintenance.

use std::sync::Arc;

use seawall_model::{Affected, Cause, ComponentId, Status, Wall};

use crate::{HistoryError, core::tally::Outcome};

/// Most facts of a batch.
pub const MAX_BATCH: usize = 65_536;
/// How far ahead of the clock a fact may lie, in milliseconds: other machines' clocks differ.
pub const MAX_AHEAD_MS: i64 = 5 * 60_000;
/// How late a change of verdict may be told, and how far back the clock may be set, in milliseconds: a week.
pub const MAX_BEHIND_MS: i64 = 7 * 86_400_000;
/// The longest announced maintenance, in milliseconds: 90 days.
pub const MAX_MAINTENANCE_MS: i64 = 90 * 86_400_000;
/// How far ahead maintenance may be announced, in milliseconds: two years.
pub const MAX_ANNOUNCED_MS: i64 = 731 * 86_400_000;
/// The longest name of a source or a vantage, in bytes.
pub const MAX_WORD: usize = 128;

/// The result of one check. The same result told twice (source, number, time and vantage being the same) counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Who tells it.
    pub source: Arc<str>,
    /// The source's number for it.
    pub seq: u64,
    /// What was checked.
    pub component: ComponentId,
    /// When.
    pub at: Wall,
    /// From where.
    pub vantage: Arc<str>,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, in microseconds.
    pub latency_us: Option<u64>,
    /// Why it failed.
    pub cause: Option<Cause>,
}

/// A change of verdict, to be told in the order in which they are made.
///
/// It takes back what has been said before of the time from `since` on: where the clock has been set back, the later
/// word holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of which component.
    pub component: ComponentId,
    /// What it is from now on; `None` if it is no longer part of the estate.
    pub status: Option<Status>,
    /// Since when.
    pub since: Wall,
    /// Why.
    pub cause: Option<Cause>,
}

/// Who was affected in a stretch of time, a minute as a rule. Counted with the minute, hour and day that it begins in.
/// The same stretch told twice (source and number being the same) counts once.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretched {
    /// Who tells it.
    pub source: Arc<str>,
    /// The source's number for it.
    pub seq: u64,
    /// Who was asked.
    pub component: ComponentId,
    /// The figures.
    pub affected: Affected,
}

/// Announced maintenance, before or after the fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Of which component.
    pub component: ComponentId,
    /// From when.
    pub since: Wall,
    /// Until when.
    pub until: Wall,
    /// True if it takes an announcement with just these times back.
    pub withdrawn: bool,
}

/// What is written at once: all of it, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Results of checks.
    pub checks: Vec<Check>,
    /// Changes of verdict.
    pub changes: Vec<Change>,
    /// Who was affected.
    pub affected: Vec<Stretched>,
    /// Announced maintenance.
    pub windows: Vec<Window>,
}

impl Batch {
    /// How many facts it holds.
    pub fn len(&self) -> usize {
        self.checks.len() + self.changes.len() + self.affected.len() + self.windows.len()
    }

    /// True if it says nothing but that somebody watches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn check(&self) -> Result<(), HistoryError> {
        if self.len() > MAX_BATCH {
            return Err(HistoryError::TooMuch {
                what: "facts of a batch",
                count: self.len(),
                limit: MAX_BATCH,
            });
        }
        Ok(())
    }
}

/// What became of a batch. What is refused is refused for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Facts taken. A result told twice is among them; it counts once all the same.
    pub taken: usize,
    /// Facts from before anything that could still be told apart from what is there.
    pub late: usize,
    /// Facts from the future.
    pub early: usize,
    /// Facts beyond a limit: too many components or names, a name or a time that is too long, too many currencies or
    /// countries.
    pub excess: usize,
}
