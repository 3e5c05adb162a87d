//! What a time of trouble cost, from what the history knows of it.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use rusqlite::Connection;
use seawall_model::{
    ComponentId, Wall,
    estate::{ServiceCost, WEEK_HOURS},
    units::Currency,
};

use super::{Reader, affected, timeline};
use crate::{
    HistoryError, Period,
    core::{
        affected::AffectedTotal,
        amount::ONE,
        calendar::Grain,
        cost::{Case, Cost, Slice, cost},
        timeline::{Span, downtimes, spans, time},
        week::{WeekValue, hour_of_week},
    },
    store::known,
};

/// Weeks before the time in question that hours' worth is learned from.
pub const LEARNED_WEEKS: i64 = 8;

/// The longest time that a cost is worked out for, in hours: the longest month.
const MAX_HOURS: usize = 24 * 31;

impl Reader {
    /// What the time from `from` until `until` cost a service.
    ///
    /// What failed is told by the requests of whoever `said` names, of the service itself if it names nobody: by the
    /// minutes of who was affected; where they are no longer kept, by the hours; where nothing was counted, by how long
    /// the service was down. Where it does not say what an hour is worth, that is learned from the [`LEARNED_WEEKS`]
    /// weeks before.
    ///
    /// # Errors
    /// If the store cannot be read, or the time is longer than a month.
    pub fn cost(
        &self,
        service: &ComponentId,
        (from, until): (Wall, Wall),
        said: &ServiceCost,
    ) -> Result<Cost, HistoryError> {
        let ServiceCost { terms, hours: worth, zone, requests } = said;
        let hours = Grain::Hour.slot(from.0)..Grain::Hour.slot_from(until.0);
        let count = usize::try_from(hours.end.saturating_sub(hours.start)).unwrap_or(0);
        if count > MAX_HOURS {
            return Err(HistoryError::TooMuch { what: "hours of a cost", count, limit: MAX_HOURS });
        }
        let state = self.conn.unchecked_transaction()?;
        let id = known(&state, service)?;
        let counted = match requests {
            Some(other) => known(&state, other)?,
            None => id,
        };
        let month = month_of(from, zone);
        let (start, end) = (from.0.min(month.0), until.0.max(month.1));
        let known = match id {
            Some(id) => {
                let it = timeline::of(&state, id, start, end)?;
                spans(&it.steps, &timeline::watched(&state, start)?, &it.maintenance, start, end)
            }
            None => Vec::new(),
        };
        let week = match (worth, counted) {
            (Some(hours), _) => WeekValue::declared(hours),
            (None, Some(id)) => learn(&state, id, hours.start, terms.currency, zone)?,
            (None, None) => WeekValue::learned(&[]),
        };
        let traffic = match counted {
            Some(id) => traffic(&state, id, from.0, until.0)?,
            None => BTreeMap::new(),
        };
        let slices: Vec<Slice> =
            hours.map(|hour| slice(hour, (from.0, until.0), &known, traffic.get(&hour), zone)).collect();
        let within: Vec<Span> = cut(&known, from, until);
        Ok(cost(&Case {
            terms,
            week: &week,
            slices: &slices,
            downtimes: &downtimes(&within),
            month: &time(&known, month.0, month.1),
        }))
    }
}

/// The month of a place that a time is in; the time alone where no calendar reaches.
fn month_of(at: Wall, zone: &TimeZone) -> (i64, i64) {
    let period = jiff::Timestamp::from_millisecond(at.0).ok().and_then(|t| {
        let date = zone.to_datetime(t).date();
        Period::month(date.year(), date.month(), zone)
    });
    period.map_or((at.0, at.0), |p| (p.from().0, p.until().0))
}

fn cut(spans: &[Span], from: Wall, until: Wall) -> Vec<Span> {
    spans
        .iter()
        .map(|s| Span { from: s.from.max(from), until: s.until.min(until), ..*s })
        .filter(|s| s.from < s.until)
        .collect()
}

fn slice(
    hour: i64,
    (from, until): (i64, i64),
    spans: &[Span],
    traffic: Option<&AffectedTotal>,
    zone: &TimeZone,
) -> Slice {
    let (start, end) = (Grain::Hour.start(hour).max(from), Grain::Hour.start(hour + 1).min(until));
    let count = |of: fn(&AffectedTotal) -> u64| traffic.map_or(0, of);
    Slice {
        hour: hour_of_week(Wall(start), zone),
        millis: u64::try_from(end - start).unwrap_or(0),
        attempted: count(|t| t.attempted.requests),
        failed: count(|t| t.failed.requests),
        unknown: count(|t| t.unknown.requests),
        time: time(spans, start, end),
    }
}

/// Requests between two times by hour, from the minutes; from whole hours where there are no minutes.
fn traffic(
    conn: &Connection,
    id: u32,
    from: i64,
    until: i64,
) -> Result<BTreeMap<i64, AffectedTotal>, HistoryError> {
    let mut hours = BTreeMap::<i64, AffectedTotal>::new();
    let whole = Grain::Hour.slot(from)..Grain::Hour.slot_from(until);
    let minutes =
        Grain::Minute.slot(Grain::Hour.start(whole.start))..Grain::Minute.slot(Grain::Hour.start(whole.end));
    for (minute, total) in affected::by_slot(conn, id, Grain::Minute, minutes)? {
        let start = Grain::Minute.start(minute);
        // That there are minutes at all says that they are kept, though none may lie within.
        let sum = hours.entry(Grain::Hour.slot(start)).or_default();
        if start + Grain::Minute.millis() > from && start < until {
            sum.merge(&total);
        }
    }
    for (hour, total) in affected::by_slot(conn, id, Grain::Hour, whole)? {
        hours.entry(hour).or_insert(total);
    }
    Ok(hours)
}

/// What hours of the weeks before an hour were worth.
fn learn(
    conn: &Connection,
    id: u32,
    before: i64,
    currency: Currency,
    zone: &TimeZone,
) -> Result<WeekValue, HistoryError> {
    let weeks = LEARNED_WEEKS * i64::try_from(WEEK_HOURS).unwrap_or(0);
    let mut past = Vec::new();
    for (hour, total) in affected::by_slot(conn, id, Grain::Hour, before - weeks..before)? {
        let Some(amount) = total.attempted.value.get(currency.code()) else { continue };
        let minor = amount.0.saturating_mul(i128::from(currency.minor())) / ONE;
        let place = hour_of_week(Wall(Grain::Hour.start(hour)), zone);
        past.push((place, i64::try_from(minor).unwrap_or(i64::MAX)));
    }
    Ok(WeekValue::learned(&past))
}
