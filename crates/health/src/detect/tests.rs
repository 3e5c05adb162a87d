use proptest::prelude::*;

use super::{
    generators::{KNOWN, Kind, TROUBLES, Trouble, UNKNOWN, normal},
    *,
};

/// Points of a healthy series: three weeks of five minutes.
const POINTS: usize = 6_000;
/// Until here a series is young: not much more than three days of five minutes.
const YOUNG: usize = 1_000;

fn scores(series: &[(Wall, f64)]) -> Vec<Score> {
    let mut detector = Detector::new();
    series.iter().map(|(at, value)| detector.push(*at, Some(*value))).collect()
}

/// Of a healthy kind: the shares of the scores from `from` up to `to` that are above 0.5 and above 0.9.
fn false_alarms(kind: &Kind, seeds: u64, from: usize, to: usize) -> [f64; 2] {
    let of = |seed| scores(&kind.series(seed, to)).split_off(from);
    let all: Vec<Score> = (0..seeds).flat_map(of).collect();
    [0.5, 0.9].map(|limit| all.iter().filter(|s| s.value > limit).count() as f64 / all.len() as f64)
}

/// Makes the trouble in the middle of a healthy series, and says what the highest score is in time; the median and the
/// least of so many series.
fn caught(kind: &Kind, trouble: &Trouble, seeds: u64) -> [f64; 2] {
    let from = POINTS / 2;
    let highest = |seed| {
        let mut series = kind.series(seed, from + trouble.within);
        let (scatter, before) = (scatter(&series[..from]), series[from - 1].1);
        for i in 0..trouble.within {
            series[from + i].1 = (trouble.make)(series[from + i].1, scatter, i, before);
        }
        scores(&series)[from..].iter().map(|s| s.value).fold(0.0, f64::max)
    };
    let mut found: Vec<f64> = (100..100 + seeds).map(highest).collect();
    found.sort_unstable_by(f64::total_cmp);
    [found[found.len() / 2], found[0]]
}

/// How far a point is off by itself: a robust standard deviation of the moves, over the square root of two. At least 1.
fn scatter(series: &[(Wall, f64)]) -> f64 {
    let mut moves: Vec<f64> = series.windows(2).map(|w| (w[1].1 - w[0].1).abs()).collect();
    moves.sort_unstable_by(f64::total_cmp);
    let mean = moves.iter().sum::<f64>() / moves.len() as f64;
    (moves[moves.len() / 2].max(0.5 * mean) * 1.05).max(1.0)
}

#[test]
#[ignore = "prints what the detector is worth: `cargo test --release -p seawall-health report -- --ignored --nocapture`"]
fn report_of_all_kinds() {
    for (title, kinds) in [("known kinds", &KNOWN[..]), ("unknown kinds", &UNKNOWN[..])] {
        println!(
            "{title}: % of healthy scores > 0.5 and > 0.9; median/least highest score in time with trouble"
        );
        for kind in kinds {
            let young = false_alarms(kind, 8, WARM_UP, YOUNG).map(|s| s * 100.0);
            let old = false_alarms(kind, 8, YOUNG, POINTS).map(|s| s * 100.0);
            print!("{:20} young {:.3} {:.3} old {:.3} {:.3}", kind.name, young[0], young[1], old[0], old[1]);
            for trouble in &TROUBLES {
                let [median, least] = caught(kind, trouble, 9);
                print!(" | {} {median:.2}/{least:.2}", trouble.name);
            }
            println!();
        }
    }
}

#[test]
fn healthy_series_of_known_kinds_rarely_score_high() {
    for kind in &KNOWN {
        let [half, most] = false_alarms(kind, 2, YOUNG, POINTS);
        assert!(half <= 0.002 && most <= 0.0005, "{}: {half} {most}", kind.name);
    }
}

/// Wider, since nothing was chosen by them; the worst is the gauge that flips.
#[test]
fn healthy_series_of_unknown_kinds_rarely_score_high() {
    for kind in &UNKNOWN {
        let [half, most] = false_alarms(kind, 2, YOUNG, POINTS);
        assert!(half <= 0.004 && most <= 0.002, "{}: {half} {most}", kind.name);
    }
}

#[test]
fn trouble_is_seen_in_time() {
    let kind = |name: &str| KNOWN.iter().find(|k| k.name == name).unwrap();
    let cases = [
        ("gaussian", [0.9, 0.9, 0.85, 0.75, 0.75, 0.9, 0.75]),
        ("daily, 5 min", [0.9, 0.9, 0.85, 0.6, 0.7, 0.9, 0.7]),
        ("office hours, 5 min", [0.9, 0.9, 0.85, 0.0, 0.6, 0.9, 0.0]),
        ("random walk", [0.9, 0.9, 0.85, 0.0, 0.85, 0.9, 0.0]),
        ("trend", [0.9, 0.9, 0.85, 0.4, 0.75, 0.9, 0.6]),
        ("constant", [0.99, 0.99, 0.99, 0.99, 0.99, 0.0, 0.99]),
    ];
    for (name, least) in cases {
        for (trouble, least) in TROUBLES.iter().zip(least) {
            let [median, _] = caught(kind(name), trouble, 5);
            assert!(median >= least, "{name}, {}: {median}", trouble.name);
        }
    }
}

#[test]
fn a_new_level_is_told_of_and_then_taken_for_granted() {
    let mut random = fastrand::Rng::with_seed(8);
    let value = |i: usize, r: &mut fastrand::Rng| normal(r) + if i < 1_000 { 50.0 } else { 80.0 };
    let series: Vec<_> = (0..2_000).map(|i| (Wall(i as i64 * 60_000), value(i, &mut random))).collect();
    let found = scores(&series);
    assert!(found[1_000].value > 0.95 && found[1_000].sign == Direction::Up, "{:?}", found[1_000]);
    assert!(found[1_100..].iter().all(|s| s.value < 0.6));
}

#[test]
fn what_has_no_value_is_a_finding_of_its_own() {
    let mut detector = Detector::new();
    for i in 0..500 {
        detector.push(Wall(i * 1_000), Some((i * i % 11) as f64));
    }
    let first = detector.push(Wall(500_000), None);
    assert!(first.why == Why::NoData && first.value > 0.2, "{first:?}");
    let later = (501..515).map(|i| detector.push(Wall(i * 1_000), Some(f64::NAN))).last().unwrap();
    assert!(later.why == Why::NoData && later.value > 0.75, "{later:?}");
    // Silence, and then a value like any other.
    detector.push(Wall(515_000), Some(3.0));
    let after = detector.push(Wall(9_000_000), Some(4.0));
    assert!(after.why == Why::NoData && after.value > 0.4, "{after:?}");
}

#[test]
fn a_detector_takes_little_room() {
    assert!(size_of::<Detector>() <= MEMORY, "{}", size_of::<Detector>());
}

/// Points as they may come: mostly in order, mostly numbers.
fn any_points() -> impl Strategy<Value = Vec<(Wall, Option<f64>)>> {
    let time = prop_oneof![8 => -5_000_i64..60_000, 1 => any::<i64>()];
    let value = prop_oneof![
        6 => (-100.0..100.0).prop_map(Some),
        2 => (0_i32..3).prop_map(|n| Some(f64::from(n))),
        1 => any::<f64>().prop_map(Some),
        1 => Just(None),
    ];
    prop::collection::vec((time, value), 0..400).prop_map(|steps| {
        let mut at = 0_i64;
        let point = |(step, value): (i64, _)| {
            at = at.wrapping_add(step);
            (Wall(at), value)
        };
        steps.into_iter().map(point).collect()
    })
}

fn all(points: &[(Wall, Option<f64>)]) -> Vec<Score> {
    let mut detector = Detector::new();
    points.iter().map(|(at, value)| detector.push(*at, *value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scores_are_bounded_repeatable_and_never_depend_on_what_comes_later(points in any_points(), cut in 0_usize..400) {
        let found = all(&points);
        prop_assert!(found.iter().all(|s| (0.0..=1.0).contains(&s.value)));
        prop_assert!(found == all(&points), "not repeatable");
        let cut = cut.min(points.len());
        prop_assert!(found[..cut] == all(&points[..cut])[..], "depends on what comes later");
    }

    /// Doublings are exact in floating point, so the scores must be the same to the last bit.
    #[test]
    fn the_unit_of_measurement_does_not_matter(seed in any::<u64>(), doublings in -20_i32..20, kind in 0_usize..3) {
        // None of them is looked at by its logarithm, which a factor moves.
        let kind = [&KNOWN[0], &KNOWN[5], &UNKNOWN[1]][kind];
        let series = kind.series(seed, 1_500);
        let scaled: Vec<_> = series.iter().map(|(at, v)| (*at, v * 2.0_f64.powi(doublings))).collect();
        prop_assert!(scores(&series) == scores(&scaled), "of {}", kind.name);
    }

    #[test]
    fn nor_does_another_factor_but_for_rounding(seed in any::<u64>(), factor in 0.001..1_000.0) {
        let series = KNOWN[0].series(seed, 600);
        let scaled: Vec<_> = series.iter().map(|(at, v)| (*at, v * factor)).collect();
        for (a, b) in scores(&series).iter().zip(scores(&scaled)) {
            prop_assert!((a.value - b.value).abs() < 0.01, "{a:?} {b:?}");
        }
    }
}
