//! Work that is announced: once, or every week in some place's own time.

use jiff::{
    Timestamp,
    civil::{Time, Weekday},
    tz::TimeZone,
};
use seawall_model::{
    ComponentId, Wall, choice,
    estate::{At, Code, Decode, Graph, Node, Place, Problem, Problems},
    section,
};
use serde_json::{Value, json};
use toml::de::DeValue;

/// Most announcements of one estate.
const MAX_ANNOUNCED: usize = 1_000;
/// Most components of one announcement.
const MAX_COMPONENTS: usize = 256;
/// Longest reason, in characters.
const MAX_REASON: usize = 200;
/// Longest work that is announced, in milliseconds: what the history takes.
const LONGEST: i64 = seawall_history::MAX_MAINTENANCE_MS;

section! {
    /// Work that is announced: what is bad of the components meanwhile is put down to that.
    pub(super) struct RawMaintenance {
        /// What is worked on, as in `service:checkout`, `pool:ethereum` or `upstream:ethereum/alchemy`.
        components: At<Vec<At<String>>>, required;
        /// From when (RFC 3339, with `Z` or an offset), as in `2026-11-28T22:00:00+01:00`.
        from: At<RawTime>, optional;
        /// Until when.
        until: At<RawTime>, optional;
        /// Every week, instead of `from` and `until`.
        weekly: At<RawWeekly>, optional;
        /// Why: shown in verdicts.
        reason: At<String>, required;
    }
}

section! {
    /// Hours of some days of every week.
    pub(super) struct RawWeekly {
        /// The days on which it begins.
        days: At<Vec<Day>>, required;
        /// From when on these days, as in `02:00`.
        from: At<RawClock>, required;
        /// Until when; on the next day if that is not after `from`.
        until: At<RawClock>, required;
        /// Whose clock that is, as in `Europe/Berlin` (IANA).
        zone: At<String>, required;
    }
}

choice! {
    /// A day of the week.
    pub(super) enum Day {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
}

/// A moment, as RFC 3339 or TOML itself has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawTime(Wall);

impl Decode for RawTime {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match node.value {
            DeValue::Datetime(time) => time.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => {
                node.mismatch("a time with its zone, as in `2026-11-28T22:00:00Z`", problems);
                return None;
            }
        };
        let read = text.parse::<Timestamp>().ok().map(|at| Self(Wall(at.as_millisecond())));
        if read.is_none() {
            let message = format!("{} is no moment", problems.quote(&text, node.place));
            let help = "write date, time and `Z` or an offset, as in `2026-11-28T22:00:00+01:00`";
            problems.report(Problem::new(Code::InvalidValue, node.place, message).help(help));
        }
        read
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "date-time" })
    }
}

/// A time of day.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawClock(Time);

impl Decode for RawClock {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match node.value {
            DeValue::Datetime(time) => time.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => {
                node.mismatch("a time of day, as in `02:00`", problems);
                return None;
            }
        };
        let read = text.parse::<Time>().ok().filter(|_| text.contains(':') && text.len() <= 8).map(Self);
        if read.is_none() {
            let message = format!("{} is no time of day", problems.quote(&text, node.place));
            let help = "write it as in `02:00` or `23:30:00`";
            problems.report(Problem::new(Code::InvalidValue, node.place, message).help(help));
        }
        read
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$" })
    }
}

/// Work that is announced.
#[derive(Debug, Clone, PartialEq)]
pub struct Announced {
    /// What is worked on.
    pub components: Vec<ComponentId>,
    /// Why.
    pub reason: String,
    when: When,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    Once { from: Wall, until: Wall },
    Weekly { days: Vec<Weekday>, from: Time, until: Time, zone: TimeZone },
}

impl Announced {
    /// Its windows that touch the stretch, in their order.
    ///
    /// Those of every week are in the zone's own time, whatever its offset is then: an hour that comes twice when the
    /// clocks go back is counted both times, and where a time is left out as they go forward, the window is as long as it
    /// would have been.
    pub fn windows(&self, since: Wall, until: Wall) -> Vec<(Wall, Wall)> {
        let touches = |(from, to): &(Wall, Wall)| *to > since && *from < until;
        match &self.when {
            When::Once { from, until } => [(*from, *until)].into_iter().filter(touches).collect(),
            When::Weekly { days, from, until: to, zone } => {
                let date = |at: Wall| {
                    let at = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MAX);
                    at.to_zoned(zone.clone()).date()
                };
                // One that began two days before may not have ended.
                let first = date(since).saturating_sub(jiff::Span::new().days(2));
                let last = date(until);
                let mut found = Vec::new();
                for day in first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last) {
                    if !days.contains(&day.weekday()) {
                        continue;
                    }
                    let end = if to > from { Some(day) } else { day.tomorrow().ok() };
                    let begins = zone.to_ambiguous_zoned(day.to_datetime(*from)).earlier();
                    let ends = end.and_then(|end| zone.to_ambiguous_zoned(end.to_datetime(*to)).later().ok());
                    if let (Ok(begins), Some(ends)) = (begins, ends) {
                        let wall = |at: &jiff::Zoned| Wall(at.timestamp().as_millisecond());
                        found.push((wall(&begins), wall(&ends)));
                    }
                }
                found.into_iter().filter(touches).collect()
            }
        }
    }
}

/// Judges what is announced; what cannot be used has been reported.
pub(super) fn validate(
    raw: &[At<RawMaintenance>],
    graph: &Graph,
    problems: &mut Problems,
) -> Option<Vec<Announced>> {
    if let Some(beyond) = raw.get(MAX_ANNOUNCED) {
        let message = format!("{} announcements; at most {MAX_ANNOUNCED} are taken", raw.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let judged: Vec<_> = raw.iter().filter_map(|at| one(&at.value, at.place, graph, problems)).collect();
    (judged.len() == raw.len()).then_some(judged)
}

fn one(raw: &RawMaintenance, place: Place, graph: &Graph, problems: &mut Problems) -> Option<Announced> {
    let components = raw.components.as_ref().and_then(|at| components(at, graph, problems));
    let when = when(raw, place, problems);
    let reason = raw.reason.as_ref()?;
    let good =
        (1..=MAX_REASON).contains(&reason.value.chars().count()) && !reason.value.contains(char::is_control);
    if !good {
        let message = format!("`reason` must be one line of 1 to {MAX_REASON} characters");
        problems.report(Problem::new(Code::InvalidValue, reason.place, message));
        return None;
    }
    Some(Announced { components: components?, reason: reason.value.clone(), when: when? })
}

fn components(at: &At<Vec<At<String>>>, graph: &Graph, problems: &mut Problems) -> Option<Vec<ComponentId>> {
    if at.value.is_empty() || at.value.len() > MAX_COMPONENTS {
        let message = format!("`components` must name 1 to {MAX_COMPONENTS}");
        problems.report(Problem::new(Code::InvalidValue, at.place, message));
        return None;
    }
    let mut found = Vec::new();
    for name in &at.value {
        match name.value.parse::<ComponentId>().ok().filter(|id| graph.contains(id)) {
            Some(id) => found.push(id),
            None => {
                let message = format!("unknown component {}", problems.quote(&name.value, name.place));
                let help = "name one that the estate declares, as in `service:checkout` or `pool:ethereum`";
                let problem = Problem::new(Code::UnknownReference, name.place, message).help(help);
                let all: Vec<String> = graph.components().map(ToString::to_string).collect();
                problems.report_unlike(problem, &name.value, all);
            }
        }
    }
    (found.len() == at.value.len()).then_some(found)
}

fn when(raw: &RawMaintenance, place: Place, problems: &mut Problems) -> Option<When> {
    match (raw.from, raw.until, &raw.weekly) {
        (Some(from), Some(until), None) => {
            let (begins, ends) = (from.value.0, until.value.0);
            let long = ends.0.saturating_sub(begins.0);
            if long <= 0 || long > LONGEST {
                let message =
                    format!("`until` must be after `from`, by {} days at most", LONGEST / 86_400_000);
                let problem = Problem::new(Code::Contradiction, until.place, message);
                problems.report(problem.other(from.place, "`from`").help("correct one of them"));
                return None;
            }
            Some(When::Once { from: begins, until: ends })
        }
        (None, None, Some(weekly)) => self::weekly(&weekly.value, weekly.place, problems),
        _ => {
            let message = "it needs `from` and `until`, or else `weekly`";
            let help = "write both times, or `weekly = { days = [\"sun\"], from = \"02:00\", until = \"04:00\", zone = \
                        \"Europe/Berlin\" }`";
            problems.report(Problem::new(Code::Contradiction, place, message).help(help));
            None
        }
    }
}

fn weekly(raw: &RawWeekly, place: Place, problems: &mut Problems) -> Option<When> {
    let zone = raw.zone.as_ref()?;
    let known = TimeZone::get(&zone.value).ok();
    if known.is_none() {
        let message = format!("{} is no time zone", problems.quote(&zone.value, zone.place));
        let help = "name one of the IANA database, as in `Europe/Berlin` or `UTC`";
        problems.report(Problem::new(Code::InvalidValue, zone.place, message).help(help));
    }
    let days = raw.days.as_ref()?;
    if days.value.is_empty() {
        problems.report(
            Problem::new(Code::NoChoice, days.place, "`days` names no day").help("name one, as in `\"sun\"`"),
        );
        return None;
    }
    let (from, until) = (raw.from?.value.0, raw.until?.value.0);
    if from == until {
        let problem = Problem::new(Code::Contradiction, place, "`from` and `until` are the same");
        problems.report(problem.help("correct one of them"));
        return None;
    }
    let days = days.value.iter().map(|day| match day {
        Day::Monday => Weekday::Monday,
        Day::Tuesday => Weekday::Tuesday,
        Day::Wednesday => Weekday::Wednesday,
        Day::Thursday => Weekday::Thursday,
        Day::Friday => Weekday::Friday,
        Day::Saturday => Weekday::Saturday,
        Day::Sunday => Weekday::Sunday,
    });
    Some(When::Weekly { days: days.collect(), from, until, zone: known? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn check(
        days: &[Weekday],
        hours: (&str, &str),
        zone: &str,
        since: &str,
        until: &str,
        wanted: &[(&str, &str)],
    ) {
        let when = When::Weekly {
            days: days.to_vec(),
            from: hours.0.parse().unwrap(),
            until: hours.1.parse().unwrap(),
            zone: TimeZone::get(zone).unwrap(),
        };
        let announced = Announced { components: Vec::new(), reason: "x".to_owned(), when };
        let wanted: Vec<_> = wanted.iter().map(|(from, to)| (at(from), at(to))).collect();
        assert_eq!(announced.windows(at(since), at(until)), wanted);
    }

    #[test]
    fn a_weekly_window_keeps_to_the_clock_on_the_wall() {
        // Berlin goes from +01:00 to +02:00 on 29 March 2026, at 02:00.
        let weeks = [
            ("2026-03-22T03:30:00Z", "2026-03-22T04:30:00Z"),
            ("2026-03-29T02:30:00Z", "2026-03-29T03:30:00Z"),
        ];
        check(
            &[Weekday::Sunday],
            ("04:30", "05:30"),
            "Europe/Berlin",
            "2026-03-20T00:00:00Z",
            "2026-04-01T00:00:00Z",
            &weeks,
        );
    }

    #[test]
    fn an_hour_that_is_left_out_or_comes_twice_loses_no_work() {
        let sunday = [Weekday::Sunday];
        let berlin = "Europe/Berlin";
        // 02:00 to 03:00 is left out: work from 02:30 to 03:30 is an hour long all the same.
        let (since, until) = ("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z");
        check(
            &sunday,
            ("02:30", "03:30"),
            berlin,
            since,
            until,
            &[("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z")],
        );
        // What spans the change is by the clock on the wall: from 01:00 to 04:00 it is two hours.
        check(
            &sunday,
            ("01:00", "04:00"),
            berlin,
            since,
            until,
            &[("2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z")],
        );
        // 02:00 to 03:00 comes twice on 25 October 2026.
        let (since, until) = ("2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z");
        check(
            &sunday,
            ("02:15", "02:45"),
            berlin,
            since,
            until,
            &[("2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z")],
        );
    }

    #[test]
    fn a_window_may_go_past_midnight_and_be_under_way() {
        let days = [Weekday::Friday, Weekday::Saturday];
        check(
            &days,
            ("23:00", "01:00"),
            "America/New_York",
            "2026-11-29T05:30:00Z",
            "2026-12-05T03:59:00Z",
            &[("2026-11-29T04:00:00Z", "2026-11-29T06:00:00Z")],
        );
    }
}
