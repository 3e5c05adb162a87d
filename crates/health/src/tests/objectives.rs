//! Objectives against a judge who remembers every event.

use super::*;
use crate::{Alert, Good, Slo, SloPlan};

fn slo(target: &str, least: u64) -> Slo {
    let (service, of) = (id("service:shop"), id("service:shop"));
    Slo::new(SloPlan { service, of, good: Good::Available, target: target.parse().unwrap(), least })
}

/// Good and bad events in a window of whole steps, the last of them begun.
fn counted(events: &[(i64, u64, u64)], now: i64, step: i64, steps: i64) -> (u64, u64) {
    let inside = |at: i64| at.div_euclid(step) > now.div_euclid(step) - steps;
    let of = events.iter().filter(|(at, ..)| inside(*at));
    of.fold((0, 0), |sum, (_, good, bad)| (sum.0 + good, sum.1 + bad))
}

fn burn((good, bad): (u64, u64), allowed: f64) -> f64 {
    if bad == 0 { 0.0 } else { bad as f64 / (good + bad) as f64 / allowed }
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

proptest! {
    #[test]
    fn rings_count_as_one_who_remembers_everything(
        events in prop::collection::vec((0i64..30 * HOUR, 0u64..1000, 0u64..20), 1..150),
    ) {
        let (mut slo, mut all, mut now) = (slo("99.9%", 0), Vec::new(), START);
        for (wait, good, bad) in events {
            // Most come soon.
            now += if wait % 5 == 0 { wait } else { wait / 500 };
            slo.count(Wall(now), good, bad);
            all.push((now, good, bad));
            let state = slo.state(Wall(now));
            let sums = |step, steps| burn(counted(&all, now, step, steps), 0.001);
            let wanted = [
                (sums(MINUTE, 60), sums(MINUTE, 5)),
                (sums(5 * MINUTE, 72), sums(MINUTE, 30)),
                (sums(HOUR, 72), sums(5 * MINUTE, 72)),
            ];
            prop_assert_eq!(state.burns.map(|b| (b.long, b.short)), wanted);
            prop_assert_eq!(state.budget_left, 1.0 - sums(12 * HOUR, 60));
            let alert = Alert::ALL.into_iter().zip(wanted).find(|(a, (l, s))| *l >= a.rate() && *s >= a.rate());
            prop_assert_eq!(state.alert, alert.map(|(a, _)| a));
        }
    }
}

#[test]
fn alerts_are_those_of_the_workbook() {
    let check = |share_bad: u64, hours: i64, wanted: Option<Alert>| {
        let mut slo = slo("99.9%", 100);
        let mut now = START;
        for _ in 0..30 * 24 * 60 {
            now += MINUTE;
            slo.count(Wall(now), 10_000, 0);
        }
        for _ in 0..hours * 60 {
            now += MINUTE;
            slo.count(Wall(now), 10_000 - share_bad, share_bad);
        }
        assert_eq!(slo.state(Wall(now)).alert, wanted, "{share_bad} of 10,000 for {hours} h");
    };
    check(0, 1, None);
    check(150, 1, Some(Alert::Fast));
    check(70, 1, None);
    check(70, 6, Some(Alert::Slow));
    check(11, 24, None);
    check(11, 72, Some(Alert::Creeping));
    check(9, 72, None);
}

#[test]
fn few_events_raise_no_alert_and_hours_without_any_end_one() {
    let mut slo = slo("99%", 100);
    slo.count(Wall(START), 0, 99);
    assert_eq!(slo.state(Wall(START)).alert, None);
    slo.count(Wall(START), 0, 1);
    assert_eq!(slo.state(Wall(START)).alert, Some(Alert::Fast));
    assert_eq!(slo.state(Wall(START + 2 * HOUR)).alert, Some(Alert::Creeping));
    assert_eq!(slo.state(Wall(START + 7 * HOUR)).alert, None);
}
