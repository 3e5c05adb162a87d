//! What a pool lets through, as an operator or a plan has set it.

use std::{fmt, str::FromStr};

/// How much of a pool is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Mode {
    /// Everything.
    #[default]
    Normal,
    /// Reads, and what the estate calls critical: what closes, cancels or withdraws, and opens nothing.
    ReduceOnly,
    /// Reads.
    ReadOnly,
    /// Nothing. Health is still looked at.
    Closed,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It changes something.
    Write,
    /// It changes something, and the estate calls it critical.
    CriticalWrite,
}

/// No mode is called that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mode: there is normal, reduce-only, read-only and closed")]
pub struct NoSuchMode(pub String);

impl Mode {
    /// Every mode, the widest first.
    pub const ALL: [Self; 4] = [Self::Normal, Self::ReduceOnly, Self::ReadOnly, Self::Closed];

    /// Does it let that through?
    pub fn lets(self, effect: Effect) -> bool {
        match (self, effect) {
            (Self::Normal, _) | (Self::ReduceOnly | Self::ReadOnly, Effect::Read) => true,
            (Self::ReduceOnly, Effect::CriticalWrite) => true,
            (Self::ReduceOnly, Effect::Write) => false,
            (Self::ReadOnly, Effect::Write | Effect::CriticalWrite) | (Self::Closed, _) => false,
        }
    }

    /// The mode's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ReduceOnly => "reduce-only",
            Self::ReadOnly => "read-only",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = NoSuchMode;

    fn from_str(text: &str) -> Result<Self, NoSuchMode> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| NoSuchMode(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_lets_through_less_than_the_one_before() {
        let lets =
            |mode: Mode| [Effect::Read, Effect::CriticalWrite, Effect::Write].map(|effect| mode.lets(effect));
        assert_eq!(
            Mode::ALL.map(lets),
            [[true, true, true], [true, true, false], [true, false, false], [false, false, false],]
        );
    }

    #[test]
    fn modes_are_read_back_by_their_names() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert!("Closed".parse::<Mode>().is_err());
    }
}
