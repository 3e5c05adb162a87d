//! Shares: `20%`, `99.95%`.

use std::{fmt, str::FromStr};

use super::{InvalidUnit, Unfit, decimal::Decimal};

/// A share from 0 % to 100 %, in steps of a ten-thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Steps in one percent.
    const STEPS: u32 = 10_000;

    /// Parts in a million: 999,500 for 99.95 %.
    pub fn parts_per_million(self) -> u32 {
        self.0
    }

    /// The share as a number from 0 to 1, for arithmetic that need not be exact.
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / f64::from(100 * Self::STEPS)
    }
}

impl FromStr for Percent {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let read = || {
            let (number, unit) = Decimal::split(text)?;
            if unit != "%" {
                return Err(Unfit::Form);
            }
            let steps = number.times(u64::from(Self::STEPS))?;
            u32::try_from(steps).ok().filter(|s| *s <= 100 * Self::STEPS).ok_or(Unfit::TooLarge)
        };
        read().map(Self).map_err(|why| {
            let accepted =
                "a number from 0 to 100 with up to four decimals and a percent sign, as in `99.95%`";
            InvalidUnit::new(text, "a percentage", accepted, why)
        })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, steps) = (self.0 / Self::STEPS, self.0 % Self::STEPS);
        if steps == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{steps:04}").trim_end_matches('0'))
    }
}
