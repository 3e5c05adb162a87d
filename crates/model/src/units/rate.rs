//! Rates: `300/s`, `6000/m`.

use std::{fmt, str::FromStr};

use super::{InvalidUnit, Unfit, decimal::Decimal};

/// A unit of time that something is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of 24 hours.
    Day,
}

impl Per {
    /// Every unit, shortest first.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// The unit as written after the slash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Unfit> {
        Self::ALL.into_iter().find(|per| per.as_str() == text).ok_or(Unfit::Form)
    }
}

/// So many a unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In what time.
    pub per: Per,
}

impl Rate {
    /// How many whole ones a second, rounded down, so that a limit is never exceeded.
    pub fn per_second(self) -> u64 {
        self.count / self.per.seconds()
    }
}

impl FromStr for Rate {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let read = || {
            let (number, unit) = Decimal::split(text)?;
            let per = Per::parse(unit.strip_prefix('/').ok_or(Unfit::Form)?)?;
            Ok(Self { count: number.times(1)?, per })
        };
        read().map_err(|why| {
            let accepted = "a whole number, a slash and s, m, h or d, as in `300/s` or `6000/m`";
            InvalidUnit::new(text, "a rate", accepted, why)
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.as_str())
    }
}
