//! What the history answers, as JSON. Times are RFC 3339 in UTC, lengths of time seconds, latencies microseconds, money
//! the currency's minor units (cents).

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use seawall_history::{
    AffectedTotal, Cost, Day, Downtime, Estimate, Grain, HistoryError, MAX_POINTS, Maintenance, Page, Period,
    Reach, Reader, Report, StatusTime, Tally,
};
use seawall_model::{ComponentId, Status, Wall, estate::ServiceCost, units::Money};
use serde_json::{Map, Value, json};

use super::question::{Question, Selection, Time, step_word};
use crate::estate::Costs;

/// Most days of all components of one answer together.
const MAX_CELLS: usize = 90_000;
/// Most downtimes of a component, or of all in a report together; the first ones are told, and how many there are.
const MAX_DOWNTIMES: usize = 5_000;
/// The longest time that downtimes are told of, in milliseconds: two years.
const MAX_SPAN: i64 = 732 * 86_400_000;
/// Most services whose cost one answer tells.
const MAX_SERVICES: usize = 1_000;
/// How far back a series, downtimes and a cost go where nobody says.
const SERIES: i64 = 86_400_000;
const DOWNTIMES: i64 = 30 * 86_400_000;
/// Steps of a series where nobody says how long they are: the finest of which there are no more than these.
const STEPS: i64 = 1_440;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It cannot be asked like that.
    #[error("{0}")]
    Question(String),
    /// Nothing is known of it.
    #[error("{0}")]
    Unknown(String),
    /// The history failed, or found it too much.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl Unanswered {
    /// The code an operator looks up.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Question(_) => "SW0465",
            Self::Unknown(_) => "SW0466",
            Self::History(error) if error.is_stopped() => "SW0462",
            Self::History(error) => error.code(),
        }
    }
}

/// Answers a question as of `now`.
///
/// # Errors
/// If the question goes beyond a limit or is about what nobody knows, and if the history cannot be read.
pub fn answer(question: &Question, reader: &Reader, costs: &Costs, now: Wall) -> Result<Value, Unanswered> {
    match question {
        Question::Page { days, of } => page(*days as usize, of, reader, now),
        Question::Report { month, of } => {
            let period = Period::month(month.year(), month.month(), &TimeZone::UTC)
                .ok_or_else(|| Unanswered::Question(format!("no calendar has the month {month}")))?;
            report(&period, of, reader)
        }
        Question::Series { component, time, step } => {
            let (from, until) = ends(time, now, SERIES)?;
            let step = step.unwrap_or_else(|| finest(until.0 - from.0));
            series(known(component, reader)?, (from, until), step, reader)
        }
        Question::Downtime { component, time } => {
            let (from, until) = ends(time, now, DOWNTIMES)?;
            downtime(known(component, reader)?, (from, until), reader)
        }
        Question::Cost { component, time } => {
            let (from, until) = ends(time, now, DOWNTIMES)?;
            let of: Vec<_> = match component {
                None => costs.iter().collect(),
                Some(id) => vec![costs.get_key_value(id).ok_or_else(|| {
                    Unanswered::Unknown(format!(
                        "the estate says of no service `{id}` what its failure costs"
                    ))
                })?],
            };
            cost(&of, (from, until), reader)
        }
    }
}

fn ends(time: &Time, now: Wall, usual: i64) -> Result<(Wall, Wall), Unanswered> {
    let (from, until) = time
        .ends(now, usual)
        .ok_or_else(|| Unanswered::Question("nothing lies between `from` and `until`".to_owned()))?;
    if until.0.saturating_sub(from.0) > MAX_SPAN {
        return Err(Unanswered::Question(format!("more than {} days are asked for", MAX_SPAN / SERIES)));
    }
    Ok((from, until))
}

fn finest(millis: i64) -> Grain {
    let fits = |grain: &Grain| millis / grain.millis() <= STEPS;
    [Grain::Minute, Grain::Hour].into_iter().find(fits).unwrap_or(Grain::Day)
}

fn known<'a>(id: &'a ComponentId, reader: &Reader) -> Result<&'a ComponentId, Unanswered> {
    let known = reader.components()?.binary_search(id).is_ok();
    known.then_some(id).ok_or_else(|| Unanswered::Unknown(format!("the history knows no `{id}`")))
}

/// The components that were asked for, if their days are not too many.
fn selected(of: &Selection, days: usize, reader: &Reader) -> Result<Vec<ComponentId>, Unanswered> {
    let all = reader.components()?;
    if let Some(id) = of.components.iter().find(|id| all.binary_search(id).is_err()) {
        return Err(Unanswered::Unknown(format!("the history knows no `{id}`")));
    }
    let some: Vec<_> = all.into_iter().filter(|id| of.holds(id)).collect();
    let cells = some.len().saturating_mul(days);
    if cells > MAX_CELLS {
        return Err(Unanswered::Question(format!(
            "{} components of {days} days are {cells} days, and at most {MAX_CELLS} are told at once: ask for a `kind`, \
             for some by `component`, or for fewer days",
            some.len(),
        )));
    }
    Ok(some)
}

fn page(days: usize, of: &Selection, reader: &Reader, now: Wall) -> Result<Value, Unanswered> {
    let components = selected(of, days, reader)?;
    let first = Day(Day::of(now).0 + 1 - i64::try_from(days).unwrap_or(0));
    let Page { rows, .. } = reader.page(&components, first, days)?;
    let until = Day(first.0 + i64::try_from(days).unwrap_or(0));
    let tallies = reader.tallies(&components, first.start(), until.start())?;
    let row = |(row, tally): (&seawall_history::PageRow, &Tally)| {
        let mut told = standing(&row.total);
        told.insert("component".to_owned(), json!(row.component));
        told.insert("days".to_owned(), columns(&row.days));
        told.insert("checks".to_owned(), checks(tally));
        told.insert("latency_us".to_owned(), latency(tally));
        Value::Object(told)
    };
    let rows: Vec<_> = rows.iter().zip(&tallies).map(row).collect();
    Ok(json!({"first": first.to_string(), "days": days, "components": rows}))
}

fn report(period: &Period, of: &Selection, reader: &Reader) -> Result<Value, Unanswered> {
    let components = selected(of, period.days().len(), reader)?;
    let reports = reader.report(&components, period)?;
    let mut room = MAX_DOWNTIMES;
    let mut row = |report: &Report| {
        let mut told = standing(&report.time);
        told.insert("component".to_owned(), json!(report.component));
        told.insert("days".to_owned(), columns(&report.days));
        told.insert("checks".to_owned(), checks(&report.tally));
        told.insert("latency_us".to_owned(), latency(&report.tally));
        told.insert("affected".to_owned(), affected(&report.affected));
        told.insert("downtimes_in_all".to_owned(), json!(report.downtimes.len()));
        let shown = report.downtimes.len().min(room);
        room -= shown;
        told.insert("downtimes".to_owned(), report.downtimes[..shown].iter().map(interval).collect());
        Value::Object(told)
    };
    let rows: Vec<_> = reports.iter().map(&mut row).collect();
    Ok(json!({
        "from": period.from().to_string(),
        "until": period.until().to_string(),
        "components": rows,
    }))
}

fn series(
    component: &ComponentId,
    (from, until): (Wall, Wall),
    step: Grain,
    reader: &Reader,
) -> Result<Value, Unanswered> {
    let points = (until.0 - from.0) / step.millis();
    if points > i64::try_from(MAX_POINTS).unwrap_or(i64::MAX) {
        return Err(Unanswered::Question(format!(
            "{points} steps are more than {MAX_POINTS}: ask for a coarser `step` or a shorter time"
        )));
    }
    let points = reader.series(component, from, until, step)?;
    let point = |point: &seawall_history::Point| {
        let mut told = seconds(&point.time);
        told.insert("from".to_owned(), json!(point.from.to_string()));
        told.insert("checks".to_owned(), checks(&point.tally));
        told.insert("latency_us".to_owned(), latency(&point.tally));
        Value::Object(told)
    };
    Ok(json!({
        "component": component,
        "step": step_word(step),
        "points": points.iter().map(point).collect::<Vec<_>>(),
    }))
}

fn downtime(
    component: &ComponentId,
    (from, until): (Wall, Wall),
    reader: &Reader,
) -> Result<Value, Unanswered> {
    let downtimes = reader.downtimes(component, from, until)?;
    let shown = downtimes.len().min(MAX_DOWNTIMES);
    Ok(json!({
        "component": component,
        "from": from.to_string(),
        "until": until.to_string(),
        "downtimes_in_all": downtimes.len(),
        "downtimes": downtimes[..shown].iter().map(interval).collect::<Vec<_>>(),
    }))
}

fn cost(
    of: &[(&ComponentId, &ServiceCost)],
    (from, until): (Wall, Wall),
    reader: &Reader,
) -> Result<Value, Unanswered> {
    if of.len() > MAX_SERVICES {
        return Err(Unanswered::Question(format!(
            "{} services are more than {MAX_SERVICES}: ask for one by `component`",
            of.len()
        )));
    }
    let (mut told, mut totals) = (Vec::new(), BTreeMap::<&str, Estimate>::new());
    for (id, said) in of {
        let cost = reader.cost(id, (from, until), said)?;
        let counted = said.requests.as_ref().unwrap_or(id);
        let reach = reader.affected(counted, from, until)?;
        let sum = totals.entry(cost.currency.code()).or_default();
        *sum = sum.plus(cost.total);
        told.push(one_cost(id, &cost, counted, &reach));
    }
    let totals: Map<_, _> = totals.iter().map(|(code, sum)| ((*code).to_owned(), estimate(sum))).collect();
    Ok(json!({"from": from.to_string(), "until": until.to_string(), "services": told, "totals": totals}))
}

fn one_cost(id: &ComponentId, cost: &Cost, counted: &ComponentId, reach: &AffectedTotal) -> Value {
    let money = |minor| Money { minor, currency: cost.currency }.to_string();
    json!({
        "service": id,
        "currency": cost.currency.code(),
        "minor_units": cost.currency.minor(),
        "total": estimate(&cost.total),
        "shown": {
            "low": money(cost.total.low), "likely": money(cost.total.likely), "high": money(cost.total.high),
        },
        "lost": estimate(&cost.lost),
        "recovered": estimate(&cost.recovered),
        "credits": estimate(&cost.credits),
        "penalties": estimate(&cost.penalties),
        "requests_of": counted,
        "affected": affected(reach),
        "assumptions": cost.assumptions.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn estimate(of: &Estimate) -> Value {
    json!({"low": of.low, "likely": of.likely, "high": of.high})
}

fn secs(millis: u64) -> f64 {
    millis as f64 / 1e3
}

const STATUSES: [(Status, &str); 4] = [
    (Status::Up, "up_s"),
    (Status::Degraded, "degraded_s"),
    (Status::Down, "down_s"),
    (Status::Unknown, "unknown_s"),
];

/// How long it was what, maintenance counted as what it was, and how much of it was maintenance.
fn seconds(time: &StatusTime) -> Map<String, Value> {
    let of =
        |(status, key): (Status, &str)| (key.to_owned(), json!(secs(time.of(status, Maintenance::Counted))));
    let mut told: Map<_, _> = STATUSES.into_iter().map(of).collect();
    told.insert("maintenance_s".to_owned(), json!(secs(time.maintained())));
    told
}

/// The same with the availability that follows, maintenance left out and counted.
fn standing(time: &StatusTime) -> Map<String, Value> {
    let mut told = seconds(time);
    told.insert("availability".to_owned(), json!(time.availability(Maintenance::LeftOut)));
    told.insert("availability_with_maintenance".to_owned(), json!(time.availability(Maintenance::Counted)));
    told
}

/// Days, a list for each thing that is told of them.
fn columns(days: &[StatusTime]) -> Value {
    let column = |(status, key): (Status, &str)| {
        let of = days.iter().map(|day| secs(day.of(status, Maintenance::Counted)));
        (key.to_owned(), of.collect::<Value>())
    };
    let mut told: Map<_, _> = STATUSES.into_iter().map(column).collect();
    told.insert("maintenance_s".to_owned(), days.iter().map(|day| secs(day.maintained())).collect());
    Value::Object(told)
}

fn checks(tally: &Tally) -> Value {
    json!({"ok": tally.ok, "failed": tally.failed, "unknown": tally.unknown})
}

/// Latencies of checks that were ok; all `null` if there are none.
fn latency(tally: &Tally) -> Value {
    let at = |per_mille| tally.latency.quantile(per_mille);
    json!({
        "p50": at(500), "p90": at(900), "p95": at(950), "p99": at(990), "mean": tally.mean_us(),
        "slowest": (tally.latency.count() > 0).then_some(tally.slowest_us),
    })
}

fn interval(downtime: &Downtime) -> Value {
    json!({
        "from": downtime.from.to_string(),
        "until": downtime.until.to_string(),
        "seconds": secs(u64::try_from(downtime.until.0 - downtime.from.0).unwrap_or(0)),
        "maintenance_s": secs(downtime.maintenance_ms),
        "cause": downtime.cause,
    })
}

fn affected(total: &AffectedTotal) -> Value {
    let reach = |reach: &Reach| {
        json!({
            "requests": reach.requests,
            "customers": {"least": reach.customers_least, "most": reach.customers_most},
            "value": reach.value,
        })
    };
    json!({"attempted": reach(&total.attempted), "failed": reach(&total.failed), "unknown": reach(&total.unknown)})
}

#[cfg(test)]
pub(super) mod tests;
