//! What an hour is worth, by the hour of the week.

use jiff::tz::TimeZone;
use seawall_model::{Wall, estate::WEEK_HOURS};

/// Three figures of one thing, in a currency's minor units (cents): what it is at least likely to be, what it most
/// likely is, and what it may well be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The low figure.
    pub low: i64,
    /// The likely figure.
    pub likely: i64,
    /// The high figure.
    pub high: i64,
}

impl Estimate {
    /// A figure that is known.
    pub const fn exactly(minor: i64) -> Self {
        Self { low: minor, likely: minor, high: minor }
    }

    pub(crate) fn with(self, other: Self, f: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            low: f(self.low, other.low),
            likely: f(self.likely, other.likely),
            high: f(self.high, other.high),
        }
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, i64::saturating_add)
    }
}

/// The hour of the week at a place that a time is in: 0 is Monday from midnight on.
pub fn hour_of_week(at: Wall, zone: &TimeZone) -> usize {
    let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return 0 };
    let there = zone.to_datetime(at);
    let day = usize::try_from(there.weekday().to_monday_zero_offset()).unwrap_or(0);
    (day * 24 + usize::try_from(there.hour()).unwrap_or(0)) % WEEK_HOURS
}

/// What each hour of a week is worth. `None` where nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeekValue {
    hours: Vec<Option<Estimate>>,
    /// Whole hours of the past that it was learned from; none if it was declared.
    pub(crate) learned_from: Option<usize>,
}

impl WeekValue {
    /// As somebody says it is, in minor units.
    pub fn declared(hours: &[i64; WEEK_HOURS]) -> Self {
        Self { hours: hours.iter().map(|n| Some(Estimate::exactly(*n))).collect(), learned_from: None }
    }

    /// As hours of the past were, each by its place in the week: the likely value is their median, the low and the high
    /// one are the quartiles.
    pub fn learned(past: &[(usize, i64)]) -> Self {
        let mut by_hour = vec![Vec::new(); WEEK_HOURS];
        past.iter().for_each(|(hour, minor)| by_hour[hour % WEEK_HOURS].push(*minor));
        let estimate = |mut values: Vec<i64>| {
            values.sort_unstable();
            let last = values.len().checked_sub(1)?;
            Some(Estimate {
                low: values[last / 4],
                likely: values[last / 2],
                high: values[(last * 3).div_ceil(4)],
            })
        };
        Self { hours: by_hour.into_iter().map(estimate).collect(), learned_from: Some(past.len()) }
    }

    /// What an hour of the week is worth.
    pub fn at(&self, hour: usize) -> Option<Estimate> {
        self.hours[hour % WEEK_HOURS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_the_place() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // Monday 2026-03-30 00:30 in Berlin, by summer time.
        let at = Wall(1_774_823_400_000);
        assert_eq!(at.to_string(), "2026-03-29T22:30:00.000Z");
        assert_eq!((hour_of_week(at, &berlin), hour_of_week(at, &TimeZone::UTC)), (0, 166));
    }

    #[test]
    fn quartiles_bound_what_is_learned() {
        let past: Vec<_> = [40, 10, 30, 20, 1_000].map(|n| (7, n)).into();
        let week = WeekValue::learned(&past);
        assert_eq!(week.at(7), Some(Estimate { low: 20, likely: 30, high: 40 }));
        assert_eq!(week.at(8), None);
        assert_eq!(WeekValue::learned(&[(3, 5)]).at(3), Some(Estimate::exactly(5)));
    }
}
