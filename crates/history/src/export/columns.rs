//! The columns of each kind of rows, and their values.

use seawall_model::{Status, Wall};

use super::Kind;
use crate::{AffectedTotal, Maintenance, StatusTime, Tally, query::Row};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A time, in milliseconds since the epoch.
    Time,
    /// Yes or no.
    Flag,
}

/// A value. A column may lack one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Time(Wall),
    Flag(bool),
    Nothing,
}

use Holds::{Flag, Number, Text, Time};

const RESULTS: &[(&str, Holds)] = &[
    ("component", Text),
    ("at", Time),
    ("vantage", Text),
    ("source", Text),
    ("seq", Number),
    ("outcome", Text),
    ("latency_us", Number),
    ("cause", Text),
];

const HOURS: &[(&str, Holds)] = &[
    ("component", Text),
    ("from", Time),
    ("checks_ok", Number),
    ("checks_failed", Number),
    ("checks_unknown", Number),
    ("mean_us", Number),
    ("p50_us", Number),
    ("p95_us", Number),
    ("p99_us", Number),
    ("slowest_us", Number),
];

const DAYS: &[(&str, Holds)] = &[
    ("component", Text),
    ("day", Text),
    ("up_ms", Number),
    ("degraded_ms", Number),
    ("down_ms", Number),
    ("unknown_ms", Number),
    ("maintenance_ms", Number),
    ("maintenance_down_ms", Number),
    ("checks_ok", Number),
    ("checks_failed", Number),
    ("checks_unknown", Number),
    ("mean_us", Number),
    ("p50_us", Number),
    ("p95_us", Number),
    ("p99_us", Number),
    ("slowest_us", Number),
];

const STATUSES: &[(&str, Holds)] = &[
    ("component", Text),
    ("from", Time),
    ("until", Time),
    ("status", Text),
    ("cause", Text),
    ("maintenance", Flag),
];

const AFFECTED: &[(&str, Holds)] = &[
    ("component", Text),
    ("from", Time),
    ("attempted", Number),
    ("failed", Number),
    ("unknown", Number),
    ("customers_attempted_least", Number),
    ("customers_attempted_most", Number),
    ("customers_failed_least", Number),
    ("customers_failed_most", Number),
    ("value_attempted", Text),
    ("value_failed", Text),
    ("value_unknown", Text),
    ("countries_failed", Text),
];

/// The columns of a kind of rows.
pub(super) fn of(kind: Kind) -> &'static [(&'static str, Holds)] {
    match kind {
        Kind::Results => RESULTS,
        Kind::Hours => HOURS,
        Kind::Days => DAYS,
        Kind::Statuses => STATUSES,
        Kind::Affected => AFFECTED,
    }
}

fn number(n: u64) -> Value {
    // SQLite's and Parquet's integers are signed; what is beyond them has the same bits.
    Value::Number(n.cast_signed())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn or_nothing<T>(value: Option<T>, f: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Value::Nothing, f)
}

/// The values of a row, one for each of its kind's columns.
pub(super) fn values(row: &Row<'_>) -> Vec<Value> {
    match row {
        Row::Result { component, at, vantage, source, seq, outcome, latency_us, cause } => vec![
            text(component),
            Value::Time(*at),
            text(vantage),
            text(source),
            number(*seq),
            text(outcome.as_str()),
            or_nothing(*latency_us, number),
            or_nothing(*cause, text),
        ],
        Row::Hour { component, from, tally } => {
            let mut values = vec![text(component), Value::Time(*from)];
            checks(tally, &mut values);
            values
        }
        Row::Day { component, day, time, tally } => {
            let mut values = vec![text(component), Value::Text(day.to_string())];
            status_times(time, &mut values);
            checks(tally, &mut values);
            values
        }
        Row::Status { component, span } => vec![
            text(component),
            Value::Time(span.from),
            Value::Time(span.until),
            text(span.status.as_str()),
            or_nothing(span.cause, |cause| text(cause.as_str())),
            Value::Flag(span.maintenance),
        ],
        Row::Affected { component, from, total } => affected(component, *from, total),
    }
}

fn status_times(time: &StatusTime, values: &mut Vec<Value>) {
    for status in [Status::Up, Status::Degraded, Status::Down, Status::Unknown] {
        values.push(number(time.of(status, Maintenance::Counted)));
    }
    values.push(number(time.maintained()));
    let down = |maintenance| time.of(Status::Down, maintenance);
    values.push(number(down(Maintenance::Counted) - down(Maintenance::LeftOut)));
}

fn checks(tally: &Tally, values: &mut Vec<Value>) {
    values.extend([tally.ok, tally.failed, tally.unknown].map(number));
    values.push(or_nothing(tally.mean_us(), number));
    values.extend([500, 950, 990].map(|q| or_nothing(tally.latency.quantile(q), number)));
    values.push(or_nothing(tally.mean_us().map(|_| tally.slowest_us), number));
}

fn affected(component: &str, from: Wall, total: &AffectedTotal) -> Vec<Value> {
    let parts = [&total.attempted, &total.failed, &total.unknown];
    let mut values = vec![text(component), Value::Time(from)];
    values.extend(parts.map(|part| number(part.requests)));
    for part in [&total.attempted, &total.failed] {
        values.extend([number(part.customers_least), number(part.customers_most)]);
    }
    for part in parts {
        values.push(list(part.value.iter()));
    }
    values.push(list(total.failed.countries.iter()));
    values
}

/// Names with amounts, as in `EUR=12.5 USD=3`.
fn list<'a, V: ToString + 'a>(pairs: impl Iterator<Item = (&'a String, &'a V)>) -> Value {
    let pairs: Vec<String> = pairs.map(|(name, amount)| format!("{name}={}", amount.to_string())).collect();
    if pairs.is_empty() { Value::Nothing } else { Value::Text(pairs.join(" ")) }
}
