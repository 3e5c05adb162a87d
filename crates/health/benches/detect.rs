//! What a point costs: less than 2 µs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use seawall_health::detect::Detector;
use seawall_model::Wall;

/// Five minutes, in milliseconds.
const CADENCE: i64 = 300_000;

/// Noise, the same on every run.
fn noise(i: i64) -> f64 {
    let mut x = i as u64;
    (0..4).map(|_| next(&mut x)).sum()
}

/// SplitMix64.
fn next(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}

fn benches(c: &mut Criterion) {
    type Value = fn(i64) -> f64;
    let kinds: [(&str, Value); 3] = [
        ("detect: a day's wave", |i| 100.0 + 30.0 * (i as f64 * 0.021_816_6).sin() + noise(i)),
        ("detect: latency", |i| (3.0 * noise(i)).exp()),
        ("detect: an outlier in three", |i| noise(i) + if i % 3 == 0 { 1e3 * noise(i + 7) } else { 0.0 }),
    ];
    for (name, value) in kinds {
        let (mut detector, mut i) = (Detector::new(), 0);
        // Three weeks, so that everything is in use.
        while i < 6_000 {
            detector.push(Wall(i * CADENCE), Some(value(i)));
            i += 1;
        }
        let values: Vec<f64> = (0..4_096).map(value).collect();
        c.bench_function(name, |b| {
            b.iter(|| {
                i += 1;
                detector.push(Wall(i * CADENCE), Some(black_box(values[i as usize % values.len()])))
            });
        });
    }
}

criterion_group!(detect, benches);
criterion_main!(detect);
