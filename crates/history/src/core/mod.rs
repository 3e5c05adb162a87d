//! The arithmetic of what was: no file, no clock, no query.

pub(crate) mod affected;
pub(crate) mod amount;
pub(crate) mod budget;
pub(crate) mod calendar;
pub(crate) mod coding;
pub(crate) mod cost;
pub(crate) mod packed;
pub(crate) mod sheet;
pub(crate) mod sketch;
pub(crate) mod standing;
pub(crate) mod tally;
pub(crate) mod timeline;
pub(crate) mod week;
