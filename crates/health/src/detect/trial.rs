//! The tests that a point goes through, and what comes of them.

use super::{
    counts::Counts,
    model::Forecast,
    runs::Runs,
    score::{Direction, Score, Why, surprise},
    shift::{Scatter, Shift},
    tail::Tail,
};

/// Tests that a point goes through, for which its smallest p-value pays.
const TESTS: f64 = 4.0;
/// A point as surprising as this by itself does not move what is expected.
const OUTLIER: f64 = 3.5;
/// What the rest of a run of outliers counts for, in the tails: a run is one event.
const REST: f64 = 0.1;
/// A first guess of how errors spread, in standard deviations: a little wider than the normal distribution.
const RATE: f64 = 1.3;
/// After this many points a surprise is worth half: little is known from little.
const FEW: f64 = 48.0;
/// After a time without data an error may be larger by the square root of the cadences passed, and of no more than this.
const STALE: f64 = 16.0;

/// A point as it is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// As it came.
    pub(super) value: f64,
    /// As it is looked at.
    pub(super) seen_as: f64,
    /// Since the last one.
    pub(super) cadences: f64,
}

/// What the tests remember.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    up: Tail,
    down: Tail,
    shift: Shift,
    scatter: Scatter,
    stuck: Runs,
    counts: Counts,
    last: Option<f64>,
    /// The last point was an outlier.
    outlier: bool,
    points: f64,
}

impl Trial {
    pub(super) fn new() -> Self {
        Self {
            up: Tail::new(RATE),
            down: Tail::new(RATE),
            shift: Shift::new(),
            scatter: Scatter::new(),
            stuck: Runs::default(),
            counts: Counts::new(),
            last: None,
            outlier: false,
            points: 0.0,
        }
    }

    /// Takes in a value of which nothing was expected. Returns the surprise that it is the same again.
    pub(super) fn watch(&mut self, value: f64) -> f64 {
        self.points += 1.0;
        self.counts.learn(value);
        let same = self.last == Some(value);
        self.last = Some(value);
        self.stuck.note(same)
    }

    /// Errors are of another kind from now on.
    pub(super) fn fade(&mut self) {
        self.up.fade();
        self.down.fade();
        self.shift.fade();
        self.scatter.fade();
    }

    /// Tries a point. True if it lies so far off that nothing is to be learnt from it.
    pub(super) fn judge(&mut self, forecast: &Forecast, point: Point) -> (Score, bool) {
        let patience = point.cadences.clamp(1.0, STALE).sqrt();
        let error = forecast.error(point.seen_as) / forecast.unit / patience;
        let spike = self.spike(error, point.value);
        let stuck = self.watch(point.value);
        let (shift, side) = self.shift.note(error);
        let (noise, scatter) = self.scatter.note(error);
        let found = [
            (shift, side, Why::Shift),
            (noise, scatter, Why::Noise),
            (stuck, Direction::Neither, Why::Stuck),
        ];
        let first = (spike, Direction::of(error), Why::Spike);
        let (most, sign, why) = found.into_iter().fold(first, |a, b| if b.0 > a.0 { b } else { a });
        let known = self.points / (self.points + FEW);
        (Score::of(known * (most - TESTS.log10()), sign, why), self.outlier)
    }

    /// The surprise at the size of an error, on either side.
    fn spike(&mut self, error: f64, value: f64) -> f64 {
        let (up, down) = (error.max(0.0), (-error).max(0.0));
        let one_sided = if error > 0.0 { self.up.surprise(up) } else { self.down.surprise(down) };
        let mut found = one_sided - surprise(0.5);
        if error > 0.0
            && found > 1.0
            && let Some(counted) = self.counts.surprise(value)
        {
            found = found.min(counted);
        }
        let weight = if found >= OUTLIER && self.outlier { REST } else { 1.0 };
        self.up.learn(up, weight);
        self.down.learn(down, weight);
        self.outlier = found >= OUTLIER;
        found
    }
}
