//! Durations: `250ms`, `2s`, `1h30m`.

use std::time::Duration;

use super::{InvalidUnit, Unfit, decimal::Decimal};

/// Units, largest first, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration: numbers each with a unit (`d`, `h`, `m`, `s`, `ms`, `us`, `ns`), largest first, as in
/// `250ms`, `1.5s` or `1h30m`. Holds up to 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    nanos(text).map(Duration::from_nanos).map_err(|why| {
        let accepted = "a number and a unit (ms, s, m, h or d), as in `250ms`, `2s` or `1h30m`";
        InvalidUnit::new(text, "a duration", accepted, why)
    })
}

fn nanos(text: &str) -> Result<u64, Unfit> {
    let (mut rest, mut total, mut units) = (text, 0_u64, &UNITS[..]);
    while !rest.is_empty() || units.len() == UNITS.len() {
        let (number, after) = Decimal::split(rest)?;
        let end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(end);
        // Each unit once and the larger first, so that `30m1h` and `1s1s` are told as the slips they are.
        let at = units.iter().position(|(name, _)| *name == unit).ok_or(Unfit::Form)?;
        total = total.checked_add(number.times(units[at].1)?).ok_or(Unfit::TooLarge)?;
        units = &units[at + 1..];
        rest = tail;
    }
    Ok(total)
}

/// Writes a duration so that [`parse_duration`] reads it back; what is beyond 584 years is cut to that.
pub fn show_duration(d: Duration) -> String {
    let mut left = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in UNITS {
        if left >= unit {
            text.push_str(&format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
