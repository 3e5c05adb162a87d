//! Any times and any values, finite or not: nothing panics, every score lies between 0 and 1, and the same input gives the
//! same scores.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_health::{
    Heads,
    detect::{Detector, Score},
};
use seawall_model::Wall;

/// A point: its time, or a step from the one before, and its value, from as few bytes as will do.
fn points(mut data: &[u8]) -> Vec<(Wall, Option<f64>)> {
    let (mut points, mut at) = (Vec::new(), 0_i64);
    while let [kind, rest @ ..] = data {
        data = rest;
        let mut take = || {
            let (word, rest) = data.split_at(data.len().min(8));
            data = rest;
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            u64::from_le_bytes(bytes)
        };
        at = if kind & 1 == 0 { at.wrapping_add(60_000) } else { take() as i64 };
        let value = match kind >> 1 & 3 {
            0 => Some(f64::from(kind >> 3)),
            1 => Some(f64::from_bits(take())),
            2 => Some(take() as i32 as f64 / 1e3),
            _ => None,
        };
        points.push((Wall(at), value));
    }
    points
}

fn scores(points: &[(Wall, Option<f64>)]) -> Vec<Score> {
    let mut detector = Detector::new();
    points.iter().map(|(at, value)| detector.push(*at, *value)).collect()
}

fuzz_target!(|data: &[u8]| {
    let points = points(data);
    let found = scores(&points);
    assert!(found.iter().all(|s| (0.0..=1.0).contains(&s.value)));
    assert_eq!(found, scores(&points));
    for block_time in [None, Some(std::time::Duration::from_secs(2))] {
        let mut heads = Heads::new(block_time);
        for (at, _) in &points {
            heads.arrived(*at);
            let suspicion = heads.suspicion(Wall(at.0.wrapping_add(9_999)));
            assert!(suspicion >= 0.0 && !heads.threshold().is_nan(), "{suspicion}");
        }
    }
});
