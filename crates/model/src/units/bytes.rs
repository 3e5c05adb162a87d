//! Sizes: `64MiB`, `1GB`.

use std::{fmt, str::FromStr};

use super::{InvalidUnit, Unfit, decimal::Decimal};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// Units, largest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let read = || {
            let (number, unit) = Decimal::split(text)?;
            let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(Unfit::Form)?;
            number.times(*size)
        };
        read().map(Self).map_err(|why| {
            let accepted = "a number and a unit (B, kB, KiB, MB, MiB, GB, GiB, TB or TiB), as in `64MiB`";
            InvalidUnit::new(text, "a size in bytes", accepted, why)
        })
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size));
        let (name, size) = whole.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}
