use std::sync::Arc;

use jiff::{civil::date, tz::TimeZone};
use seawall_history::{Batch, Change, Check, History, Outcome, Policy, Stretched};
use seawall_model::{
    Affected, AffectedSum, Cause,
    estate::{Recovered, Terms, WEEK_HOURS},
    units::{Currency, Percent},
};

use super::*;

/// 2026-03-29, 12:00 UTC.
const NOON: Wall = Wall(1_774_785_600_000);
const MINUTE: i64 = 60_000;

pub(in crate::history) fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

/// Until noon, for two hours: a shop that was down for ten minutes from 11:00 on, and a pool whose requests failed by
/// half meanwhile.
pub(in crate::history) fn history() -> History {
    let mut history = History::in_memory(Policy::default()).unwrap();
    let component = id("service:shop");
    for minute in 0..120 {
        let now = Wall(NOON.0 + (minute - 120) * MINUTE);
        let down = (60..70).contains(&minute);
        let mut batch = Batch::default();
        if [0, 60, 70].contains(&minute) {
            let (status, cause) = match down {
                true => (Status::Down, Some(Cause::Timeout)),
                false => (Status::Up, None),
            };
            batch.changes.push(Change {
                component: component.clone(),
                status: Some(status),
                since: now,
                cause,
            });
        }
        let source: Arc<str> = "test".into();
        batch.checks.push(Check {
            source: source.clone(),
            seq: u64::try_from(minute).unwrap(),
            component: component.clone(),
            at: now,
            vantage: source.clone(),
            outcome: if down { Outcome::Failed } else { Outcome::Ok },
            latency_us: Some(2_000),
            cause: down.then_some(Cause::Timeout),
        });
        let sum = |requests| AffectedSum { requests, ..AffectedSum::default() };
        let (attempted, failed) = (sum(100), sum(if down { 50 } else { 0 }));
        batch.affected.push(Stretched {
            source,
            seq: u64::try_from(minute).unwrap(),
            component: id("pool:orders"),
            affected: Affected {
                since: now,
                until: Wall(now.0 + MINUTE),
                attempted,
                failed,
                unknown: sum(0),
            },
        });
        history.write(now, &batch).unwrap();
    }
    history.write(NOON, &Batch::default()).unwrap();
    history
}

/// The shop is worth 600 USD an hour; whether it failed is told by itself, or by the requests to a pool.
pub(in crate::history) fn costs(requests: Option<&str>) -> Costs {
    let none = Recovered { least: Percent::NONE, likely: Percent::NONE, most: Percent::NONE };
    let terms =
        Terms { currency: Currency::Usd, recovered: none, credits: Vec::new(), penalties: Vec::new() };
    let hours = Some(Box::new([60_000; WEEK_HOURS]));
    let cost = ServiceCost { terms, hours, zone: TimeZone::UTC, requests: requests.map(id) };
    Costs::from([(id("service:shop"), cost)])
}

pub(in crate::history) fn told(question: &Question, requests: Option<&str>) -> Value {
    answer(question, history().reader(), &costs(requests), NOON).unwrap()
}

fn hours() -> Time {
    Time { from: Some(Wall(NOON.0 - 120 * MINUTE)), until: None }
}

#[test]
fn a_page_tells_each_day_and_what_all_come_to() {
    let told = told(&Question::Page { days: 2, of: Selection::default() }, None);
    assert_eq!((&told["first"], &told["days"]), (&json!("2026-03-28"), &json!(2)));
    // The pool is counted, but nothing was ever believed of it.
    assert_eq!(told["components"][1]["availability"], Value::Null);
    let shop = &told["components"][0];
    assert_eq!(shop["days"]["down_s"], json!([0.0, 600.0]));
    assert_eq!(shop["days"]["up_s"], json!([0.0, 6_600.0]));
    assert_eq!(shop["checks"], json!({"ok": 110, "failed": 10, "unknown": 0}));
    let share = shop["availability"].as_f64().unwrap();
    assert!((share - 110.0 / 120.0).abs() < 1e-9, "{share}");
    let p95 = shop["latency_us"]["p95"].as_u64().unwrap();
    assert!((1_950..2_070).contains(&p95), "{p95}");
}

#[test]
fn only_what_was_asked_for_is_told() {
    let page = |of| answer(&Question::Page { days: 2, of }, history().reader(), &Costs::new(), NOON);
    let named = |name: &str| Selection { components: vec![id(name)], kind: None };
    let names = |told: Value| -> Vec<String> {
        let rows = told["components"].as_array().unwrap();
        rows.iter().map(|row| row["component"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(page(named("pool:orders")).unwrap()), ["pool:orders"]);
    let services = Selection { components: Vec::new(), kind: Some(seawall_model::ComponentKind::Service) };
    assert_eq!(names(page(services).unwrap()), ["service:shop"]);
    assert_eq!(page(named("pool:other")).unwrap_err().code(), "SW0466");
}

#[test]
fn a_month_tells_downtimes_and_who_was_affected() {
    let told = told(&Question::Report { month: date(2026, 3, 1), of: Selection::default() }, None);
    assert_eq!(told["components"][1]["affected"]["failed"]["requests"], 500);
    let shop = &told["components"][0];
    let downtime = &shop["downtimes"][0];
    assert_eq!(
        (&downtime["from"], &downtime["seconds"]),
        (&json!("2026-03-29T11:00:00.000Z"), &json!(600.0))
    );
    assert_eq!((&downtime["cause"], &shop["downtimes_in_all"]), (&json!("timeout"), &json!(1)));
    assert_eq!(shop["days"]["down_s"][28], 600.0);
}

#[test]
fn a_series_tells_each_step_and_no_more_than_fit() {
    let ask = |step, time| Question::Series { component: id("service:shop"), time, step };
    let told = told(&ask(Some(Grain::Hour), hours()), None);
    let points = told["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert_eq!((&points[1]["checks"]["failed"], &points[1]["down_s"]), (&json!(10), &json!(600.0)));
    let year = Time { from: Some(Wall(NOON.0 - 365 * 86_400_000)), until: None };
    let history = history();
    let answered = |question| answer(&question, history.reader(), &Costs::new(), NOON);
    assert_eq!(answered(ask(Some(Grain::Minute), year)).unwrap_err().code(), "SW0465");
    assert_eq!(answered(ask(None, year)).unwrap()["step"], "day");
    let backwards = Time { from: Some(NOON), until: Some(Wall(0)) };
    assert_eq!(answered(ask(None, backwards)).unwrap_err().code(), "SW0465");
}

#[test]
fn downtimes_are_told_within_the_time() {
    let from = Some(Wall(NOON.0 - 55 * MINUTE));
    let question = Question::Downtime { component: id("service:shop"), time: Time { from, until: None } };
    let told = told(&question, None);
    assert_eq!(told["downtimes_in_all"], 1);
    assert_eq!(told["downtimes"][0]["seconds"], 300.0);
}

#[test]
fn a_cost_follows_the_requests_that_were_counted_or_else_the_downtime() {
    let question = Question::Cost { component: Some(id("service:shop")), time: hours() };
    // Ten minutes of 600 USD an hour.
    let by_downtime = told(&question, None);
    assert_eq!(by_downtime["services"][0]["total"], json!({"low": 10_000, "likely": 10_000, "high": 10_000}));
    assert_eq!(by_downtime["services"][0]["affected"]["attempted"]["requests"], 0);
    // Half of them, as the pool's requests have it: 500 of the 6,000 of that hour.
    let by_requests = told(&question, Some("pool:orders"));
    let shop = &by_requests["services"][0];
    assert_eq!(shop["total"]["likely"], 5_000);
    assert_eq!((&shop["requests_of"], &shop["shown"]["likely"]), (&json!("pool:orders"), &json!("$50")));
    assert_eq!(shop["affected"]["failed"]["requests"], 500);
    assert_eq!(by_requests["totals"]["USD"]["likely"], 5_000);
    let other = Question::Cost { component: Some(id("service:other")), time: hours() };
    assert_eq!(answer(&other, history().reader(), &costs(None), NOON).unwrap_err().code(), "SW0466");
    let long = Time { from: Some(Wall(NOON.0 - 40 * 86_400_000)), until: None };
    let long = Question::Cost { component: None, time: long };
    assert_eq!(answer(&long, history().reader(), &costs(None), NOON).unwrap_err().code(), "SW0455");
}

#[test]
fn a_question_is_given_up_when_told_to() {
    let history = history();
    history.reader().give_up_when(Some(|| true)).unwrap();
    // Many enough that SQLite looks whether to give up.
    let ask = || -> Result<(), Unanswered> {
        for _ in 0..10_000 {
            answer(
                &Question::Page { days: 2, of: Selection::default() },
                history.reader(),
                &Costs::new(),
                NOON,
            )?;
        }
        Ok(())
    };
    assert_eq!(ask().unwrap_err().code(), "SW0462");
    history.reader().give_up_when(None::<fn() -> bool>).unwrap();
    assert!(
        answer(&Question::Page { days: 2, of: Selection::default() }, history.reader(), &Costs::new(), NOON)
            .is_ok()
    );
}
