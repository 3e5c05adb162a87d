//! What was: the history behind every chart, every figure of availability, and every bill.
//!
//! [`History`] takes results of checks, changes of verdict, who was affected and announced maintenance, a [`Batch`] at
//! a time, and keeps them in one SQLite file. [`Reader`] answers: the days of a page, the report of a month, a series,
//! downtimes, and what a time of trouble cost.
//!
//! - **Results** are kept for days, each once, and added up by minute, hour and day as soon as their minute is over;
//!   those that come late are added to what is there. Sums and sketches are of whole numbers, so that they are the
//!   same whatever the order, however often a batch is repeated, and wherever a crash came between.
//! - **Statuses** follow from the changes of verdict, which are kept for ever. Time in which nobody watched is
//!   `unknown`, which never counts as up.
//! - **Clocks** jump. A clock that leaps ahead for less than an hour erases nothing; one that was set back takes back
//!   what it said of the time that has yet to come; one that stands a week before the history is refused.
//!
//! There is no thread here, no clock and no async code: whoever owns the [`History`] calls it from a thread of its own.

#![forbid(unsafe_code)]

mod core;
mod error;
pub mod estate;
pub mod export;
mod fact;
mod policy;
mod query;
mod store;

pub use core::{
    affected::{AffectedTotal, MAX_COUNTRIES, MAX_CURRENCIES, Reach},
    amount::Amount,
    budget::Budget,
    calendar::{Day, Grain, LocalDay, MAX_PERIOD_DAYS, Period, parse_time},
    coding::Damaged,
    cost::{Assumption, Case, Cost, Slice, cost},
    sketch::{MAX_MICROS, Sketch},
    standing::{Maintenance, StatusTime},
    tally::{Outcome, Tally},
    timeline::{Downtime, Span},
    week::{Estimate, WeekValue, hour_of_week},
};

/// The name of the history's file within its directory.
pub const FILE: &str = "history.sqlite";

pub use error::HistoryError;
pub use fact::{
    Batch, Change, Check, MAX_AHEAD_MS, MAX_ANNOUNCED_MS, MAX_BATCH, MAX_BEHIND_MS, MAX_MAINTENANCE_MS,
    MAX_WORD, Stretched, Window, Written,
};
pub use policy::Policy;
pub use query::{LEARNED_WEEKS, MAX_PAGE_DAYS, MAX_POINTS, Page, PageRow, Point, Reader, Report};
pub use store::{History, MAX_COMPONENTS, MAX_PENDING, MAX_SILENCE_MS, MAX_WORDS, Tended};
