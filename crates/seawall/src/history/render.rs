//! What the history answers, as people read it.

use std::{fmt::Write as _, time::Duration};

use seawall_model::{Status, units::show_duration};
use serde_json::Value;

use super::{
    Sight,
    question::Question,
    strip::{bars, mark},
};
use crate::output::table;

/// Rows of a list that is shown at its end only.
const ROWS: usize = 40;
/// Columns that a strip of days has at least.
const NARROW: usize = 10;

/// The answer to a question.
pub(super) fn show(question: &Question, told: &Value, sight: Sight) -> String {
    match question {
        Question::Page { .. } => page(told, sight),
        Question::Report { .. } => report(told),
        Question::Series { .. } => series(told, sight),
        Question::Downtime { .. } => downtime(told),
        Question::Cost { .. } => cost(told),
    }
}

fn list<'a>(told: &'a Value, key: &str) -> &'a [Value] {
    told[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(told: &'a Value, key: &str) -> &'a str {
    told[key].as_str().unwrap_or("-")
}

/// A time to the second.
fn clock(told: &Value, key: &str) -> String {
    let text = word(told, key);
    text.get(..19).map_or_else(|| text.to_owned(), |to_second| format!("{}Z", to_second.replace('T', " ")))
}

fn share(told: &Value) -> String {
    told.as_f64().map_or("-".to_owned(), |share| {
        // Cut and not rounded: what was down for a moment is not 100 %.
        format!("{:.3} %", (share * 1e5).floor() / 1e3)
    })
}

fn long(told: &Value) -> String {
    let seconds = told.as_f64().unwrap_or(0.0).max(0.0);
    // Whole seconds, but never nothing of what was something.
    let whole = if seconds > 0.0 && seconds < 1.0 { 1 } else { seconds as u64 };
    show_duration(Duration::from_secs(whole))
}

fn micros(told: &Value) -> String {
    told.as_u64().map_or("-".to_owned(), |us| match us {
        0..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    })
}

/// The worst that a day was.
fn worst(days: &Value, day: usize) -> Option<Status> {
    let some = |key: &str| days[key][day].as_f64().is_some_and(|seconds| seconds > 0.0);
    let order = [
        (Status::Down, "down_s"),
        (Status::Degraded, "degraded_s"),
        (Status::Unknown, "unknown_s"),
        (Status::Up, "up_s"),
    ];
    order.into_iter().find(|(_, key)| some(key)).map(|(status, _)| status)
}

fn page(told: &Value, sight: Sight) -> String {
    let components = list(told, "components");
    if components.is_empty() {
        return "the history knows no such component yet: it fills as the daemon watches\n".to_owned();
    }
    let days = usize::try_from(told["days"].as_u64().unwrap_or(0)).unwrap_or(0);
    let rows: Vec<_> = components
        .iter()
        .map(|row| {
            [
                word(row, "component").to_owned(),
                share(&row["availability"]),
                micros(&row["latency_us"]["p95"]),
            ]
        })
        .collect();
    let mut head = vec![["component", "available", "p95"].map(str::to_owned)];
    head.extend(rows);
    let left = table(&head);
    let taken = left.lines().map(|line| line.chars().count()).max().unwrap_or(0) + 2;
    let fits = days.min(sight.width.saturating_sub(taken).max(NARROW));
    let mut text = String::new();
    for (n, line) in left.lines().enumerate() {
        let strip: String = match n.checked_sub(1) {
            None => format!("the last {fits} days, today at the end"),
            Some(at) => {
                let of = &components[at]["days"];
                (days - fits..days).map(|day| mark(worst(of, day), sight.colour)).collect()
            }
        };
        let line = format!("{line:w$}{strip}", w = taken);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let marks = [
        (Status::Up, "up"),
        (Status::Degraded, "degraded"),
        (Status::Down, "down"),
        (Status::Unknown, "not known"),
    ];
    let legend = marks.map(|(status, word)| format!("{} {word}", mark(Some(status), sight.colour)));
    let _ = writeln!(text, "\n{}; a day shows the worst of it", legend.join("  "));
    text
}

fn report(told: &Value) -> String {
    let components = list(told, "components");
    if components.is_empty() {
        return "the history knows no such component\n".to_owned();
    }
    let head = [
        "component",
        "available",
        "with maintenance",
        "down",
        "not known",
        "downtimes",
        "p50",
        "p95",
        "p99",
        "failed",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for row in components {
        let latency = &row["latency_us"];
        rows.push([
            word(row, "component").to_owned(),
            share(&row["availability"]),
            share(&row["availability_with_maintenance"]),
            long(&row["down_s"]),
            long(&row["unknown_s"]),
            row["downtimes_in_all"].to_string(),
            micros(&latency["p50"]),
            micros(&latency["p95"]),
            micros(&latency["p99"]),
            requests(&row["affected"]),
        ]);
    }
    format!("from {} until {}\n\n{}", clock(told, "from"), clock(told, "until"), table(&rows))
}

/// Requests that failed, of all that were counted.
fn requests(affected: &Value) -> String {
    let count = |key: &str| affected[key]["requests"].as_u64().unwrap_or(0);
    match count("attempted") {
        0 => "-".to_owned(),
        all => format!("{} of {all} requests", count("failed")),
    }
}

fn series(told: &Value, sight: Sight) -> String {
    let points = list(told, "points");
    let step = word(told, "step");
    let some =
        points.iter().any(|point| point["checks"] != serde_json::json!({"ok": 0, "failed": 0, "unknown": 0}));
    if !some {
        return format!("{}: no checks are kept of that time by {step}\n", word(told, "component"));
    }
    let width = sight.width.saturating_sub(10).max(NARROW);
    let line = |name: &str, of: &dyn Fn(&Value) -> Option<u64>| {
        let figures: Vec<_> = points.iter().map(of).collect();
        format!("{name:10}{}\n", bars(&figures, width).trim_end())
    };
    let mut text = format!("{}, by {step}\n\n", word(told, "component"));
    text += &line("p95", &|point| point["latency_us"]["p95"].as_u64());
    text += &line("failed", &|point| point["checks"]["failed"].as_u64().filter(|n| *n > 0));
    let mut rows = vec![["from", "ok", "failed", "unknown", "p50", "p95", "p99", "down"].map(str::to_owned)];
    let shown = &points[points.len().saturating_sub(ROWS)..];
    for point in shown {
        let (checks, latency) = (&point["checks"], &point["latency_us"]);
        rows.push([
            clock(point, "from"),
            checks["ok"].to_string(),
            checks["failed"].to_string(),
            checks["unknown"].to_string(),
            micros(&latency["p50"]),
            micros(&latency["p95"]),
            micros(&latency["p99"]),
            long(&point["down_s"]),
        ]);
    }
    let _ = write!(text, "\n{}", table(&rows));
    if shown.len() < points.len() {
        let _ = writeln!(text, "the last {} of {} steps; --json has them all", shown.len(), points.len());
    }
    text
}

fn downtime(told: &Value) -> String {
    let (of, all) = (list(told, "downtimes"), &told["downtimes_in_all"]);
    let span = format!("from {} until {}", clock(told, "from"), clock(told, "until"));
    if of.is_empty() {
        return format!("{} was not down {span}\n", word(told, "component"));
    }
    let mut rows = vec![["from", "until", "for", "in maintenance", "cause"].map(str::to_owned)];
    let shown = &of[of.len().saturating_sub(ROWS)..];
    rows.extend(shown.iter().map(|one| {
        [
            clock(one, "from"),
            clock(one, "until"),
            long(&one["seconds"]),
            long(&one["maintenance_s"]),
            word(one, "cause").to_owned(),
        ]
    }));
    let times = if all == 1 { "once".to_owned() } else { format!("{all} times") };
    let mut text = format!("{} was down {times} {span}\n\n{}", word(told, "component"), table(&rows));
    if shown.len() < of.len() {
        let _ = writeln!(text, "the last {} of them; --json has more", shown.len());
    }
    text
}

fn cost(told: &Value) -> String {
    let services = list(told, "services");
    let span = format!("from {} until {}", clock(told, "from"), clock(told, "until"));
    if services.is_empty() {
        return "the estate says of no service what its failure costs: add `value = \"$120k/h\"` to one\n"
            .to_owned();
    }
    let mut rows = vec![["service", "likely", "low", "high", "failed"].map(str::to_owned)];
    for service in services {
        let shown = |key: &str| word(&service["shown"], key).to_owned();
        let name = word(service, "service").to_owned();
        rows.push([name, shown("likely"), shown("low"), shown("high"), requests(&service["affected"])]);
    }
    let mut text = format!("what failed {span} cost\n\n{}\nassuming that\n", table(&rows));
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for service in services {
        for assumed in list(service, "assumptions").iter().filter_map(Value::as_str) {
            let name = word(service, "service");
            match said.iter_mut().find(|(text, _)| text == assumed) {
                Some((_, of)) => of.push(name),
                None => said.push((assumed.to_owned(), vec![name])),
            }
        }
    }
    for (assumed, of) in said {
        let whose = if of.len() == services.len() { String::new() } else { format!(" ({})", of.join(", ")) };
        let _ = writeln!(text, "- {assumed}{whose}");
    }
    text
}

#[cfg(test)]
mod tests;
