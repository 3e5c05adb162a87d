use proptest::prelude::*;
use seawall_model::Wall;

use super::*;
use seawall_model::estate::{Penalty, WEEK_HOURS};

fn terms() -> Terms {
    let percent = |text: &str| text.parse().unwrap();
    Terms {
        currency: Currency::Usd,
        recovered: Recovered { least: percent("10%"), likely: percent("40%"), most: percent("60%") },
        credits: vec![
            Credit { below: percent("99.9%"), owed: 100_000 },
            Credit { below: percent("99%"), owed: 500_000 },
        ],
        penalties: vec![Penalty { after: Duration::from_secs(1_800), owed: 70_000 }],
    }
}

fn time(status: Status, millis: u64) -> StatusTime {
    let mut time = StatusTime::default();
    time.add(status, false, millis);
    time
}

fn slice(hour: usize, minutes: u64, [attempted, failed, unknown]: [u64; 3]) -> Slice {
    let millis = minutes * 60_000;
    Slice { hour, millis, attempted, failed, unknown, time: time(Status::Down, millis) }
}

#[test]
fn an_outage_of_an_hour_across_two_hours_of_the_week() {
    let mut hours = [0; WEEK_HOURS];
    (hours[10], hours[11]) = (12_000_000, 6_000_000);
    let week = WeekValue::declared(&hours);
    // Half an hour at 120k with half failed; half an hour at 60k, of which a tenth is uncertain.
    let slices = [slice(10, 30, [1000, 500, 0]), slice(11, 30, [1000, 800, 100])];
    let down = Downtime { from: Wall(0), until: Wall(3_600_000), cause: None, maintenance_ms: 0 };
    let mut month = time(Status::Down, 3_600_000);
    month.add(Status::Up, false, 30 * 86_400_000 - 3_600_000);
    let terms = terms();
    let cost = cost(&Case { terms: &terms, week: &week, slices: &slices, downtimes: &[down], month: &month });
    assert_eq!(cost.lost, Estimate { low: 5_400_000, likely: 5_550_000, high: 5_700_000 });
    assert_eq!(cost.recovered, Estimate { low: 3_240_000, likely: 2_220_000, high: 570_000 });
    // An hour of thirty days leaves 99.86 %.
    assert_eq!((cost.credits, cost.penalties), (Estimate::exactly(100_000), Estimate::exactly(70_000)));
    assert_eq!(cost.total, Estimate { low: 2_330_000, likely: 3_500_000, high: 5_300_000 });
    assert_eq!(cost.likely().to_string(), "$35k");
    let told: Vec<String> = cost.assumptions.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "an hour is worth what the estate says",
            "100 requests may have taken effect: none, half and all of them count as failed",
            "of what failed 40% comes later, at least 10% and at most 60%",
            "credits are what this time adds to what the month owes",
        ]
    );
}

#[test]
fn without_traffic_verdicts_say_what_failed_and_without_value_nothing_does() {
    let week = WeekValue::learned(&[(5, 60_000)]);
    let slices = [slice(5, 6, [0, 0, 0]), slice(6, 6, [10, 10, 0])];
    let terms = Terms { credits: Vec::new(), penalties: Vec::new(), ..terms() };
    let month = StatusTime::default();
    let cost = cost(&Case { terms: &terms, week: &week, slices: &slices, downtimes: &[], month: &month });
    assert_eq!(cost.lost, Estimate::exactly(6_000));
    assert!(cost.assumptions.contains(&Assumption::Uncounted(360_000)));
    assert!(cost.assumptions.contains(&Assumption::Worthless(360_000)));
}

proptest! {
    #[test]
    fn low_is_no_more_than_likely_and_likely_no_more_than_high(
        past in prop::collection::vec((0_usize..4, 0_i64..1_000_000_000), 0..20),
        slices in prop::collection::vec((0_usize..4, 0_u64..60, (0_u64..1000, 0_u64..1000, 0_u64..1000)), 0..9),
        (month_up, month_unknown) in (0_u64..10_000_000_000, 0_u64..100_000_000),
    ) {
        let slices: Vec<Slice> = slices
            .into_iter()
            .map(|(hour, minutes, (ok, failed, unknown))| slice(hour, minutes, [ok + failed + unknown, failed, unknown]))
            .collect();
        let mut month = StatusTime::default();
        slices.iter().for_each(|s| month.merge(&s.time));
        month.add(Status::Up, false, month_up);
        month.add(Status::Unknown, false, month_unknown);
        let (terms, week) = (terms(), WeekValue::learned(&past));
        let cost = cost(&Case { terms: &terms, week: &week, slices: &slices, downtimes: &[], month: &month });
        prop_assert!(cost.lost.low <= cost.lost.likely && cost.lost.likely <= cost.lost.high);
        prop_assert!(cost.total.low <= cost.total.likely && cost.total.likely <= cost.total.high);
        prop_assert!(cost.total.low >= 0);
    }
}
