//! Quantities as people write them: `250ms`, `64MiB`, `300/s`, `99.95%`, `$120k/h`.
//!
//! All of them are exact (no floating point), refuse what they cannot hold, and print as a text that
//! parses back to the same quantity.

mod bytes;
mod decimal;
mod duration;
mod money;
mod percent;
mod rate;

use std::fmt;

pub use bytes::Bytes;
pub use duration::{parse_duration, show_duration};
pub use money::{CostRate, Currency, Money};
pub use percent::Percent;
pub use rate::{Per, Rate};

/// Why a text is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {why} {what}")]
pub struct InvalidUnit {
    /// The text, cut to [`InvalidUnit::SHOWN`] characters.
    pub text: String,
    /// What it should have been, with its article.
    pub what: &'static str,
    /// How such a thing is written.
    pub accepted: &'static str,
    /// What is wrong.
    pub why: Unfit,
}

/// What is wrong with a quantity's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is written in another way.
    Form,
    /// It is more than can be held.
    TooLarge,
    /// It is finer than the smallest step.
    TooFine,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "is not",
            Self::TooLarge => "is too large for",
            Self::TooFine => "is too fine for",
        })
    }
}

impl InvalidUnit {
    /// Most characters of the offending text that are kept.
    pub const SHOWN: usize = 40;

    fn new(text: &str, what: &'static str, accepted: &'static str, why: Unfit) -> Self {
        Self { text: text.chars().take(Self::SHOWN).collect(), what, accepted, why }
    }
}

#[cfg(test)]
mod tests;
