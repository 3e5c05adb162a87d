use jiff::tz::TimeZone;
use seawall_model::{
    AffectedSum,
    estate::{Recovered, Terms, WEEK_HOURS},
};

use super::*;

const NOON: Wall = Wall(1_774_785_600_000);
const SECOND: Duration = Duration::from_secs(1);

fn id(n: usize) -> ComponentId {
    format!("service:s{n:05}").parse().unwrap()
}

/// Worth 72,000 USD an hour, of which so much comes later.
fn said(later: &str) -> ServiceCost {
    let later: Percent = later.parse().unwrap();
    let recovered = Recovered { least: later, likely: later, most: later };
    let terms = Terms { currency: Currency::Usd, recovered, credits: Vec::new(), penalties: Vec::new() };
    ServiceCost { terms, hours: Some(Box::new([7_200_000; WEEK_HOURS])), zone: TimeZone::UTC, requests: None }
}

fn count(attempted: u64, failed: u64, unknown: u64) -> Affected {
    let sum = |requests| AffectedSum { requests, ..AffectedSum::default() };
    Affected {
        since: Wall(NOON.0 - 60_000),
        until: NOON,
        attempted: sum(attempted),
        failed: sum(failed),
        unknown: sum(unknown),
    }
}

fn told(meter: &Meter) -> String {
    meter.show()["services"][0]["words"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_down_costs_what_it_is_worth_until_it_is_back() {
    let (meter, costs) = (Meter::default(), Costs::from([(id(0), said("0%"))]));
    let tick = |status, seconds: i64| {
        meter.tick(&costs, |_| status, &BTreeMap::new(), Wall(NOON.0 + seconds * 1_000), SECOND);
    };
    tick(Status::Up, 0);
    assert_eq!(told(&meter), "costs nothing now");
    (1..=171).for_each(|second| tick(Status::Down, second));
    assert_eq!(told(&meter), "costs 1,200 USD a minute now; 3,400 USD so far");
    tick(Status::Up, 172);
    assert_eq!(told(&meter), "costs nothing now; the last trouble cost 3,400 USD");
    // The next one begins from nothing.
    tick(Status::Down, 173);
    assert_eq!(told(&meter), "costs 1,200 USD a minute now; 0.00 USD so far");
    tick(Status::Unknown, 174);
    assert_eq!(meter.show()["services"][0]["a_minute"], json!({"low": 0, "likely": 0, "high": 120_000}));
}

#[test]
fn the_last_minutes_requests_tell_of_a_service_that_is_not_down() {
    let costs = Costs::from([(id(0), said("50%"))]);
    let check = |count: Affected, late_ms: i64, wanted: [i64; 3]| {
        let (meter, counts) = (Meter::default(), BTreeMap::from([(id(0), count)]));
        meter.tick(&costs, |_| Status::Up, &counts, Wall(NOON.0 + late_ms), SECOND);
        let [low, likely, high] = wanted;
        let rate = &meter.show()["services"][0]["a_minute"];
        assert_eq!(rate, &json!({"low": low, "likely": likely, "high": high}));
    };
    check(count(100, 10, 20), 1_000, [6_000, 12_000, 18_000]);
    check(count(100, 0, 0), 1_000, [0; 3]);
    check(count(0, 0, 0), 1_000, [0; 3]);
    // What was a while ago says nothing of now.
    check(count(100, 10, 20), COUNT_HOLDS_MS + 1, [0; 3]);
}

#[test]
fn a_service_whose_worth_is_learned_has_no_rate() {
    let (meter, costs) =
        (Meter::default(), Costs::from([(id(0), ServiceCost { hours: None, ..said("0%") })]));
    meter.tick(&costs, |_| Status::Down, &BTreeMap::new(), NOON, SECOND);
    assert_eq!(meter.show()["services"][0]["a_minute"], Value::Null);
    assert!(told(&meter).starts_with("what it is worth is learned"));
}

#[test]
fn what_leaves_the_estate_leaves_the_meter_and_labels_are_bounded() {
    let (meter, metrics) = (Arc::<Meter>::default(), Metrics::default());
    meter.register(&metrics);
    let costs: Costs = (0..MAX_LABELS + 500).map(|n| (id(n), said("0%"))).collect();
    meter.tick(&costs, |_| Status::Down, &BTreeMap::new(), NOON, SECOND);
    let text = metrics.encode();
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("seawall_cost_per_minute{")).collect();
    assert_eq!(rows.len(), MAX_LABELS + 1);
    assert!(rows[0].ends_with("{service=\"_other\",currency=\"USD\"} 600000.0"), "{}", rows[0]);
    assert!(rows[1].ends_with("{service=\"s00000\",currency=\"USD\"} 1200.0"), "{}", rows[1]);
    meter.tick(&Costs::from([(id(7), said("0%"))]), |_| Status::Up, &BTreeMap::new(), NOON, SECOND);
    assert_eq!(meter.show()["services"].as_array().unwrap().len(), 1);
}
