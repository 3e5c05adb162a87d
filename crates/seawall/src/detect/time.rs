//! Timestamps as people write them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use seawall_model::Wall;

/// Numbers from here on are milliseconds: as seconds they would lie beyond the year 5000, as milliseconds they begin in 1973.
const MILLISECONDS: f64 = 1e11;
/// Numbers beyond this are neither: as milliseconds they would lie beyond the year 5000.
const LARGEST: f64 = 1e14;

/// RFC 3339, a date and a time without an offset (UTC), or Unix time in seconds or milliseconds.
pub(super) fn parse(text: &str) -> Option<Wall> {
    let text = text.trim();
    // A calendar has no number that begins like this, and `inf` is none either.
    if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
        && let Ok(number) = text.parse::<f64>()
    {
        let millis = if number.abs() < MILLISECONDS { number * 1_000.0 } else { number };
        return (millis.abs() <= LARGEST).then_some(Wall(millis.round() as i64));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Wall(at.as_millisecond()));
    }
    let at = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Wall(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read() {
        let at = Some(Wall(1_754_374_027_000));
        for text in [
            "2025-08-05T06:07:07Z",
            "2025-08-05T08:07:07+02:00",
            "2025-08-05 06:07:07",
            " 2025-08-05 06:07:07.000 ",
            "1754374027",
            "1754374027.0",
            "1754374027000",
        ] {
            assert_eq!(parse(text), at, "{text}");
        }
        assert_eq!(parse("17"), Some(Wall(17_000)));
        assert_eq!(parse("2025-08-05"), Some(Wall(1_754_352_000_000)));
        for text in ["", "timestamp", "12:00", "2025-13-01 00:00:00", "1e99", "inf", "nan", "--1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
