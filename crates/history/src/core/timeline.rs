//! What a component was, when: from changes of verdict, from when anybody was watching, and from announced maintenance.
//!
//! - A change holds until the next one.
//! - Where nobody watched (Seawall did not run), the status is `unknown`, whatever was believed before.
//! - Before the first change, after a component has left the estate, and after the last moment watched there is
//!   nothing: such time is in no sum.

use seawall_model::{Cause, Status, Wall};

use super::standing::StatusTime;

/// From when on a component is what. Without a status: no longer part of the estate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) since: i64,
    pub(crate) status: Option<Status>,
    pub(crate) cause: Option<Cause>,
}

/// A stretch of time, its end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stretch {
    pub(crate) since: i64,
    pub(crate) until: i64,
}

/// A stretch in which nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From when.
    pub from: Wall,
    /// Until when; not itself part of it.
    pub until: Wall,
    /// What the component was.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// True within announced maintenance.
    pub maintenance: bool,
}

impl Span {
    fn millis(&self) -> u64 {
        u64::try_from(self.until.0 - self.from.0).unwrap_or(0)
    }
}

/// A time in which a component was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downtime {
    /// From when; no earlier than what was asked for.
    pub from: Wall,
    /// Until when; no later than what was asked for, or than what is known.
    pub until: Wall,
    /// The first cause that was told.
    pub cause: Option<Cause>,
    /// Milliseconds of it within announced maintenance.
    pub maintenance_ms: u64,
}

/// Stretches in order and apart from each other, as much as they may overlap as given.
pub(crate) fn union(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable();
    let mut apart: Vec<Stretch> = Vec::with_capacity(stretches.len());
    for next in stretches.into_iter().filter(|s| s.since < s.until) {
        match apart.last_mut() {
            Some(last) if next.since <= last.until => last.until = last.until.max(next.until),
            _ => apart.push(next),
        }
    }
    apart
}

/// Where a sweep is in a list of stretches.
struct Cursor<'a>(&'a [Stretch]);

impl Cursor<'_> {
    /// True if `at` is within one. Times must not go back.
    fn holds(&mut self, at: i64) -> bool {
        while self.0.first().is_some_and(|s| s.until <= at) {
            self.0 = &self.0[1..];
        }
        self.0.first().is_some_and(|s| s.since <= at)
    }

    /// When what [`holds`](Self::holds) said of `at` ends.
    fn end(&self, at: i64) -> i64 {
        self.0.first().map_or(i64::MAX, |s| if s.since <= at { s.until } else { s.since })
    }
}

/// What the component was from `from` until `until`. `steps` are in order, the stretches in order and apart; the last
/// of `watched` tells until when anything is known.
pub(crate) fn spans(
    steps: &[Step],
    watched: &[Stretch],
    maintenance: &[Stretch],
    from: i64,
    until: i64,
) -> Vec<Span> {
    let until = until.min(watched.last().map_or(i64::MIN, |s| s.until));
    let (mut watched, mut maintenance) = (Cursor(watched), Cursor(maintenance));
    let mut next = steps.partition_point(|s| s.since <= from);
    let mut spans: Vec<Span> = Vec::new();
    let mut at = from;
    while at < until {
        while steps.get(next).is_some_and(|s| s.since <= at) {
            next += 1;
        }
        let (seen, maintained) = (watched.holds(at), maintenance.holds(at));
        let change = steps.get(next).map_or(i64::MAX, |s| s.since);
        let end = until.min(change).min(watched.end(at)).min(maintenance.end(at));
        let current = next.checked_sub(1).map(|i| steps[i]);
        if let Some(Step { status: Some(status), cause, .. }) = current {
            let (status, cause) = if seen { (status, cause) } else { (Status::Unknown, None) };
            let span = Span { from: Wall(at), until: Wall(end), status, cause, maintenance: maintained };
            match spans.last_mut() {
                Some(last)
                    if (last.until, last.status, last.cause, last.maintenance)
                        == (span.from, status, cause, maintained) =>
                {
                    last.until = span.until;
                }
                _ => spans.push(span),
            }
        }
        at = end;
    }
    spans
}

/// The part of the spans, which are in order, from `from` until `until`, added up.
pub(crate) fn time(spans: &[Span], from: i64, until: i64) -> StatusTime {
    let mut sum = StatusTime::default();
    let first = spans.partition_point(|s| s.until.0 <= from);
    for span in spans[first..].iter().take_while(|s| s.from.0 < until) {
        let part = Span { from: Wall(span.from.0.max(from)), until: Wall(span.until.0.min(until)), ..*span };
        sum.add(part.status, part.maintenance, part.millis());
    }
    sum
}

/// The times in which it was down. Such that touch are one, whatever the causes.
pub(crate) fn downtimes(spans: &[Span]) -> Vec<Downtime> {
    let mut found: Vec<Downtime> = Vec::new();
    for span in spans.iter().filter(|s| s.status == Status::Down) {
        let maintenance_ms = if span.maintenance { span.millis() } else { 0 };
        match found.last_mut() {
            Some(last) if last.until == span.from => {
                last.until = span.until;
                last.cause = last.cause.or(span.cause);
                last.maintenance_ms += maintenance_ms;
            }
            _ => {
                found.push(Downtime { from: span.from, until: span.until, cause: span.cause, maintenance_ms })
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
