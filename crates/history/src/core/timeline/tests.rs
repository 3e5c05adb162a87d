use proptest::prelude::*;

use super::*;

fn status() -> impl Strategy<Value = Option<Status>> {
    prop_oneof![
        Just(Some(Status::Up)),
        Just(Some(Status::Degraded)),
        Just(Some(Status::Down)),
        Just(Some(Status::Unknown)),
        Just(None)
    ]
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let stretch = (0_i64..100, 0_i64..30).prop_map(|(since, long)| Stretch { since, until: since + long });
    prop::collection::vec(stretch, 0..6).prop_map(union)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cause = prop::option::of(prop_oneof![Just(Cause::Connect), Just(Cause::Hang)]);
    prop::collection::btree_map(0_i64..100, (status(), cause), 0..12).prop_map(|all| {
        all.into_iter().map(|(since, (status, cause))| Step { since, status, cause }).collect()
    })
}

/// What it was at one millisecond, as the module says.
fn naive(steps: &[Step], watched: &[Stretch], maintenance: &[Stretch], at: i64) -> Option<(Status, bool)> {
    let within = |list: &[Stretch]| list.iter().any(|s| s.since <= at && at < s.until);
    if watched.iter().all(|s| s.until <= at) {
        return None;
    }
    let status = steps.iter().rfind(|s| s.since <= at)?.status?;
    Some((if within(watched) { status } else { Status::Unknown }, within(maintenance)))
}

proptest! {
    #[test]
    fn spans_say_what_every_millisecond_says(
        steps in steps(),
        watched in stretches(),
        maintenance in stretches(),
        (from, until) in (0_i64..130, 0_i64..130),
        (a, b) in (0_i64..130, 0_i64..130),
    ) {
        let spans = spans(&steps, &watched, &maintenance, from, until);
        prop_assert!(spans.iter().all(|s| s.from < s.until && s.from.0 >= from && s.until.0 <= until));
        prop_assert!(spans.windows(2).all(|w| w[0].until <= w[1].from));
        let mut whole = StatusTime::default();
        let mut part = StatusTime::default();
        for at in from..until {
            let told = spans.iter().find(|s| s.from.0 <= at && at < s.until.0).map(|s| (s.status, s.maintenance));
            let exact = naive(&steps, &watched, &maintenance, at);
            prop_assert_eq!(told, exact, "at {}", at);
            if let Some((status, maintained)) = exact {
                whole.add(status, maintained, 1);
                if (a..b).contains(&at) {
                    part.add(status, maintained, 1);
                }
            }
        }
        prop_assert_eq!(time(&spans, from, until), whole);
        prop_assert_eq!(time(&spans, a, b), part);
        let down: i64 = downtimes(&spans).iter().map(|d| d.until.0 - d.from.0).sum();
        prop_assert_eq!(down as u64, whole.of(Status::Down, crate::Maintenance::Counted));
        prop_assert!(downtimes(&spans).windows(2).all(|w| w[0].until < w[1].from));
    }
}

#[test]
fn downtime_has_the_first_cause_and_ends_where_nobody_watches() {
    let step = |since, status, cause| Step { since, status: Some(status), cause };
    let steps = [
        step(0, Status::Up, None),
        step(10, Status::Down, None),
        step(20, Status::Down, Some(Cause::Hang)),
        step(90, Status::Up, None),
    ];
    let watched = [Stretch { since: 0, until: 40 }, Stretch { since: 60, until: 100 }];
    let maintenance = [Stretch { since: 15, until: 25 }];
    let spans = spans(&steps, &watched, &maintenance, 0, 1_000);
    let told: Vec<_> =
        downtimes(&spans).iter().map(|d| (d.from.0, d.until.0, d.cause, d.maintenance_ms)).collect();
    assert_eq!(told, [(10, 40, Some(Cause::Hang), 10), (60, 90, Some(Cause::Hang), 0)]);
}
