//! Healthy series of many kinds, and what can go wrong with them. The detector's constants were chosen by [`KNOWN`] alone;
//! [`UNKNOWN`] shows what it makes of kinds it was not made for. It was not wholly blind: that gauges which flip, and jobs that run every
//! night, fared badly showed two faults of design (a usual error that shrank to nothing, a season that could not excuse a
//! jump), for which kinds of their own came among the known.

use std::f64::consts::TAU;

use fastrand::Rng;
use seawall_model::Wall;

/// Noon of some Monday.
const BEGIN: i64 = 1_700_481_600_000;
const MINUTE: i64 = 60_000;

/// A kind of healthy series.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Milliseconds between points.
    pub(super) cadence: i64,
    /// The points, so many from a seed.
    pub(super) make: fn(&mut Rng, usize) -> Vec<f64>,
}

const fn kind(name: &'static str, minutes: i64, make: fn(&mut Rng, usize) -> Vec<f64>) -> Kind {
    Kind { name, cadence: minutes * MINUTE, make }
}

impl Kind {
    pub(super) fn series(&self, seed: u64, points: usize) -> Vec<(Wall, f64)> {
        let values = (self.make)(&mut Rng::with_seed(seed), points);
        values.into_iter().enumerate().map(|(i, v)| (self.at(i), v)).collect()
    }

    pub(super) fn at(&self, i: usize) -> Wall {
        Wall(BEGIN + i as i64 * self.cadence)
    }
}

pub(super) const KNOWN: [Kind; 12] = [
    kind("gaussian", 1, |r, n| each(n, |_| 50.0 + 4.0 * normal(r))),
    kind("latency, lognormal", 1, |r, n| each(n, |_| 20.0 * (0.5 * normal(r)).exp())),
    kind("daily, 5 min", 5, |r, n| each(n, |i| 300.0 + 100.0 * wave(i, 288.0) + 10.0 * normal(r))),
    kind("sparse counts, 0.1", 1, |r, n| each(n, |_| poisson(r, 0.1))),
    kind("random walk", 1, |r, n| walk(n, |_, x| x + normal(r))),
    kind("trend", 5, |r, n| each(n, |i| i as f64 * 0.05 + 2.0 * normal(r))),
    kind("peers", 1, |r, n| {
        let mut peers = 12.0_f64;
        each(n, |_| {
            if r.f64() < 0.04 {
                peers = (peers + if r.bool() { 1.0 } else { -1.0 }).clamp(8.0, 16.0);
            }
            peers
        })
    }),
    kind("queue", 1, |r, n| each(n, |_| if r.f64() < 0.03 { -20.0 * (1.0 - r.f64()).ln() } else { 0.0 })),
    kind("constant", 1, |_, n| each(n, |_| 8.0)),
    kind("office hours, 5 min", 5, |r, n| {
        each(n, |i| 50.0 + 5.0 * normal(r) + if (108..204).contains(&(i % 288)) { 100.0 } else { 0.0 })
    }),
    kind("working days, 15 min", 15, |r, n| {
        each(n, |i| {
            let busy = i / 96 % 7 < 5 && (36..72).contains(&(i % 96));
            20.0 + 3.0 * wave(i, 96.0) + 2.0 * normal(r) + if busy { 30.0 } else { 0.0 }
        })
    }),
    kind("rate, traffic", 5, |r, n| {
        each(n, |i| poisson(r, (5.0 + wave(i, 288.0) + 0.4 * wave(i, 144.0)).exp()))
    }),
];

pub(super) const UNKNOWN: [Kind; 10] = [
    kind("student t, 3", 1, |r, n| each(n, |_| 5.0 + student(r, 3.0))),
    kind("ar(1), 0.9", 1, |r, n| walk(n, |_, x| 0.9 * x + normal(r))),
    kind("weekly, hourly", 60, |r, n| {
        each(n, |i| {
            let weekend = if i / 24 % 7 >= 5 { 0.5 } else { 1.0 };
            weekend * (200.0 + 80.0 * wave(i, 24.0)) + 8.0 * normal(r)
        })
    }),
    kind("sparse counts, 0.01", 1, |r, n| each(n, |_| poisson(r, 0.01))),
    kind("error share", 1, |r, n| each(n, |_| poisson(r, 2.0) / 400.0)),
    kind("gauge that flips", 1, |r, n| each(n, |_| if r.f64() < 0.02 { 7.0 } else { 8.0 })),
    kind("odd period", 1, |r, n| each(n, |i| 10.0 * wave(i, 37.0) + normal(r))),
    kind("volatile by turns", 1, |r, n| {
        let mut spread = 1.0_f64;
        each(n, |_| {
            let error = spread.sqrt() * normal(r);
            spread = 0.1 + 0.2 * error * error + 0.7 * spread;
            100.0 + error
        })
    }),
    kind("nightly job", 5, |r, n| {
        each(n, |i| 20.0 + 2.0 * normal(r) + if i % 288 < 3 { 60.0 + 5.0 * normal(r) } else { 0.0 })
    }),
    kind("gamma latency", 1, |r, n| each(n, |_| 3.0 - 8.0 * (r.f64() * r.f64()).max(1e-300).ln())),
];

/// What goes wrong.
pub(super) struct Trouble {
    pub(super) name: &'static str,
    /// Points after its first by which it should have been seen.
    pub(super) within: usize,
    /// The value that a point takes: of the usual value, the scatter of the series, points since the trouble began, and the
    /// value before it began.
    pub(super) make: fn(f64, f64, usize, f64) -> f64,
}

pub(super) const TROUBLES: [Trouble; 7] = [
    Trouble { name: "spike", within: 1, make: |x, s, i, _| if i == 0 { x + 10.0 * s } else { x } },
    Trouble { name: "dip", within: 1, make: |x, s, i, _| if i == 0 { x - 10.0 * s } else { x } },
    Trouble { name: "level up", within: 2, make: |x, s, _, _| x + 8.0 * s },
    Trouble { name: "level up a bit", within: 30, make: |x, s, _, _| x + 2.0 * s },
    Trouble {
        name: "noise",
        within: 20,
        make: |x, s, i, _| x + s * 5.0 * if i.is_multiple_of(2) { 1.0 } else { -1.0 },
    },
    Trouble { name: "stuck", within: 30, make: |_, _, _, before| before },
    Trouble { name: "drift", within: 100, make: |x, s, i, _| x + 0.1 * s * i as f64 },
];

fn each(n: usize, make: impl FnMut(usize) -> f64) -> Vec<f64> {
    (0..n).map(make).collect()
}

fn walk(n: usize, mut step: impl FnMut(usize, f64) -> f64) -> Vec<f64> {
    let mut x = 0.0;
    each(n, |i| {
        x = step(i, x);
        x
    })
}

fn wave(i: usize, period: f64) -> f64 {
    (TAU * i as f64 / period).sin()
}

pub(super) fn normal(random: &mut Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos()
}

fn student(random: &mut Rng, freedom: f64) -> f64 {
    let chi: f64 = (0..freedom as usize).map(|_| normal(random).powi(2)).sum();
    normal(random) / (chi / freedom).sqrt()
}

/// By inversion, or as a normal variate where that would take long.
fn poisson(random: &mut Rng, mean: f64) -> f64 {
    if mean > 50.0 {
        return (mean + mean.sqrt() * normal(random)).round().max(0.0);
    }
    let (dice, mut count, mut term) = (random.f64(), 0.0, (-mean).exp());
    let mut below = term;
    while dice > below && count < 500.0 {
        count += 1.0;
        term *= mean / count;
        below += term;
    }
    count
}
