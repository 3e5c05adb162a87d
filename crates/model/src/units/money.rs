//! Money: `$120k`, `EUR 99.50`; and what time costs: `$120k/h`.

use std::{fmt, str::FromStr};

use super::{InvalidUnit, Per, Unfit, decimal::Decimal};

/// A currency, by its ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Currency {
    /// United States dollar.
    Usd,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
    /// Yen.
    Jpy,
    /// Swiss franc.
    Chf,
}

impl Currency {
    /// Every currency.
    pub const ALL: [Self; 5] = [Self::Usd, Self::Eur, Self::Gbp, Self::Jpy, Self::Chf];

    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Jpy => "JPY",
            Self::Chf => "CHF",
        }
    }

    /// What stands before an amount: the sign, or the code and a space.
    fn prefix(self) -> &'static str {
        match self {
            Self::Usd => "$",
            Self::Eur => "€",
            Self::Gbp => "£",
            Self::Jpy => "¥",
            Self::Chf => "CHF ",
        }
    }

    /// Minor units (cents) in one.
    pub fn minor(self) -> u64 {
        match self {
            Self::Usd | Self::Eur | Self::Gbp | Self::Chf => 100,
            Self::Jpy => 1,
        }
    }

    /// Takes the sign or code at the head of `text`.
    fn split(text: &str) -> Result<(Self, &str), Unfit> {
        let strip = |c: Self| {
            let by_code = || text.strip_prefix(c.code()).map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
            Some((c, text.strip_prefix(c.prefix()).or_else(by_code)?))
        };
        Self::ALL.into_iter().find_map(strip).ok_or(Unfit::Form)
    }
}

/// An amount of money, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// The amount in the currency's minor units (cents).
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// Multipliers, largest first.
const MULTIPLES: [(&str, u64); 4] = [("B", 1_000_000_000), ("M", 1_000_000), ("k", 1_000), ("", 1)];

impl Money {
    fn parse(text: &str) -> Result<Self, Unfit> {
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (currency, amount) = Currency::split(unsigned)?;
        let (number, suffix) = Decimal::split(amount)?;
        let (_, multiple) = MULTIPLES.iter().find(|(name, _)| *name == suffix).ok_or(Unfit::Form)?;
        let minor = number.times(multiple * currency.minor())?;
        Ok(Self { minor: sign * i64::try_from(minor).map_err(|_| Unfit::TooLarge)?, currency })
    }
}

impl FromStr for Money {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        Self::parse(text).map_err(|why| {
            let accepted = "a currency ($, €, £, ¥ or a code of USD, EUR, GBP, JPY, CHF) and an amount, \
                            with k, M or B if large, as in `$120k`";
            InvalidUnit::new(text, "an amount of money", accepted, why)
        })
    }
}

impl fmt::Display for Money {
    /// With `k`, `M` or `B` where that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, size) = (self.minor.unsigned_abs(), self.currency.minor());
        let sign = if self.minor < 0 { "-" } else { "" };
        write!(f, "{sign}{}", self.currency.prefix())?;
        let whole = MULTIPLES.iter().find(|(_, n)| units != 0 && units.is_multiple_of(n * size));
        match whole {
            Some((name, n)) => write!(f, "{}{name}", units / (n * size)),
            None if units == 0 => f.write_str("0"),
            None => write!(f, "{}.{:02}", units / size, units % size),
        }
    }
}

/// What a unit of time costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CostRate {
    /// How much; never negative.
    pub money: Money,
    /// In what time.
    pub per: Per,
}

impl FromStr for CostRate {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let read = || {
            let (money, per) = text.rsplit_once('/').ok_or(Unfit::Form)?;
            let (money, per) = (Money::parse(money)?, Per::parse(per)?);
            if money.minor < 0 { Err(Unfit::Form) } else { Ok(Self { money, per }) }
        };
        read().map_err(|why| {
            let accepted = "a currency ($, €, £, ¥ or a code), an amount, a slash and s, m, h or d, as in \
                            `$120k/h`";
            InvalidUnit::new(text, "a cost over time", accepted, why)
        })
    }
}

impl fmt::Display for CostRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.money, self.per.as_str())
    }
}
