//! Minutes, hours and days of UTC, which what is kept is kept by; and the days and months of a place, which reports are
//! made by.

use std::fmt;

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use seawall_model::Wall;

/// A stretch that results are added up over. All begin at whole multiples of themselves since the epoch, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Grain {
    /// Its length in milliseconds.
    pub const fn millis(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// Which one a time is in, counted from the epoch.
    pub(crate) fn slot(self, at: i64) -> i64 {
        at.div_euclid(self.millis())
    }

    /// The first one that begins at or after a time.
    pub(crate) fn slot_from(self, at: i64) -> i64 {
        at.div_euclid(self.millis()) + i64::from(at.rem_euclid(self.millis()) > 0)
    }

    /// When one begins.
    pub(crate) fn start(self, slot: i64) -> i64 {
        slot.saturating_mul(self.millis())
    }
}

/// A day of UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The day that a time is in.
    pub fn of(at: Wall) -> Self {
        Self(Grain::Day.slot(at.0))
    }

    /// When it begins.
    pub fn start(self) -> Wall {
        Wall(Grain::Day.start(self.0))
    }
}

impl fmt::Display for Day {
    /// As in `2025-08-05`; the number itself where no calendar reaches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.start().0) {
            Ok(at) => write!(f, "{}", TimeZone::UTC.to_datetime(at).date()),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

/// Reads a time: a day of UTC (`2026-07-01`), which stands for its beginning, or a time with its distance from UTC (RFC
/// 3339). `None` if it is neither.
pub fn parse_time(text: &str) -> Option<Wall> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Wall(at.as_millisecond()));
    }
    let date = text.parse::<Date>().ok()?;
    Some(Wall(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

/// A day of a place: 24 hours, or 23 or 25 when its clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalDay {
    /// Its date there.
    pub date: Date,
    /// When it begins.
    pub from: Wall,
    /// When the next one begins.
    pub until: Wall,
}

/// Days of a place, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    days: Vec<LocalDay>,
}

/// Most days of a period: two years.
pub const MAX_PERIOD_DAYS: usize = 732;

impl Period {
    /// A month of a place. `None` if there is no such month.
    pub fn month(year: i16, month: i8, zone: &TimeZone) -> Option<Self> {
        let first = Date::new(year, month, 1).ok()?;
        Self::days_from(first, usize::try_from(first.days_in_month()).ok()?, zone)
    }

    /// So many days of a place from `first` on. `None` if there are none, more than [`MAX_PERIOD_DAYS`], or no calendar
    /// reaches there.
    pub fn days_from(first: Date, count: usize, zone: &TimeZone) -> Option<Self> {
        if count == 0 || count > MAX_PERIOD_DAYS {
            return None;
        }
        // Where clocks are put forward at midnight, the day begins at what they show then.
        let begin = |date: Date| Some(Wall(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()));
        let (mut days, mut date) = (Vec::with_capacity(count), first);
        for _ in 0..count {
            let next = date.checked_add(1.day()).ok()?;
            days.push(LocalDay { date, from: begin(date)?, until: begin(next)? });
            date = next;
        }
        Some(Self { days })
    }

    /// Its days, in order.
    pub fn days(&self) -> &[LocalDay] {
        &self.days
    }

    /// When it begins.
    pub fn from(&self) -> Wall {
        self.days.first().map_or(Wall(0), |d| d.from)
    }

    /// When it ends.
    pub fn until(&self) -> Wall {
        self.days.last().map_or(Wall(0), |d| d.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(period: &Period, index: usize) -> i64 {
        let day = period.days()[index];
        (day.until.0 - day.from.0) / Grain::Hour.millis()
    }

    #[test]
    fn days_of_a_place_are_as_long_as_its_clocks_make_them() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let march = Period::month(2026, 3, &berlin).unwrap();
        assert_eq!(
            (march.days().len(), hours(&march, 27), hours(&march, 28), hours(&march, 29)),
            (31, 24, 23, 24)
        );
        let october = Period::month(2026, 10, &berlin).unwrap();
        assert_eq!(hours(&october, 24), 25);
        assert_eq!(october.from().to_string(), "2026-09-30T22:00:00.000Z");
        assert_eq!(october.until().to_string(), "2026-10-31T23:00:00.000Z");
        assert_eq!(Period::month(2026, 13, &berlin), None);
        assert_eq!(Period::days_from(Date::new(2026, 1, 1).unwrap(), MAX_PERIOD_DAYS + 1, &berlin), None);
    }

    #[test]
    fn times_are_days_or_moments() {
        assert_eq!(parse_time("2026-03-28"), Some(Wall(1_774_656_000_000)));
        assert_eq!(parse_time("2026-03-28T01:00:00+01:00"), Some(Wall(1_774_656_000_000)));
        assert_eq!((parse_time("yesterday"), parse_time("2026-02-30")), (None, None));
    }

    #[test]
    fn slots_are_whole_before_the_epoch_too() {
        assert_eq!((Grain::Minute.slot(-1), Grain::Minute.slot_from(-1)), (-1, 0));
        assert_eq!((Grain::Minute.slot(60_000), Grain::Minute.slot_from(60_000)), (1, 1));
        assert_eq!(Day(20_305).to_string(), "2025-08-05");
        assert_eq!(Day(i64::MAX).to_string(), "day 9223372036854775807");
    }
}
