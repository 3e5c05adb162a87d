//! Exact amounts of money or an asset, in billionths.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Digits behind the point.
const SCALE: u32 = 9;

/// Billionths in one.
pub(crate) const ONE: i128 = 1_000_000_000;

/// An exact amount of a currency or an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(pub(crate) i128);

impl Amount {
    /// Reads a decimal number, as `Affected` holds it. `None` if it is none, is finer than a billionth, or does not
    /// fit.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, minus) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || fraction.len() > SCALE as usize {
            return None;
        }
        let units: i128 = format!("{whole}{fraction:0<9}").parse().ok()?;
        Some(Self(if minus { -units } else { units }))
    }

    /// The sum, if it fits.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0.unsigned_abs() / ONE as u128, self.0.unsigned_abs() % ONE as u128);
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{fraction:09}").trim_end_matches('0'))
    }
}

impl TryFrom<String> for Amount {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no amount")
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, units) in [("0", 0), ("12.5", 12_500_000_000), ("-0.000000001", -1), ("007", 7 * ONE)] {
            assert_eq!(Amount::parse(text), Some(Amount(units)), "{text}");
            assert_eq!(Amount::parse(&Amount(units).to_string()), Some(Amount(units)));
        }
        for text in ["", "-", ".5", "1.", "1e3", "+1", "0.0000000001", "1_0", &"9".repeat(40)] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
