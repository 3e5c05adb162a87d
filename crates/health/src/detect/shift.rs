//! What single points do not show: that many lie a little to one side, or scatter more or less than they did.

use super::{
    score::{Direction, surprise},
    tail::Tail,
};

/// A point counts for no more than this many standard deviations: a spike is told of by itself.
const BOUND: f64 = 3.5;
/// What a point must go beyond to be held against its series: half the shift that is found fastest (Page, 1954).
const SLACK: f64 = 0.4;
/// The sum rises no higher, so that it is back soon after the series is.
const MOST: f64 = 24.0;
/// Points over which the scatter is taken, and that it is compared with.
const NOW: f64 = 12.0;
const BEFORE: f64 = 256.0;
/// The usual scatter of the logarithm of the scatter itself over so few points.
const ROUGH: f64 = 0.25;
/// There is no quieter than this.
const QUIET: f64 = 0.05;
/// A surprise of this much is an alarm: what goes on is one alarm, and the rest of it counts for less.
const ALARM: f64 = 3.0;
const REST: f64 = 0.1;

/// Two-sided CUSUM of the errors.
#[derive(Debug, Clone)]
pub(super) struct Shift {
    up: f64,
    down: f64,
    past: Tail,
    alarmed: bool,
}

impl Shift {
    pub(super) fn new() -> Self {
        Self { up: 0.0, down: 0.0, past: Tail::new(2.0 * SLACK), alarmed: false }
    }

    pub(super) fn fade(&mut self) {
        self.past.fade();
    }

    /// Takes in an error, in standard deviations. Returns the surprise at where the sums stand.
    pub(super) fn note(&mut self, error: f64) -> (f64, Direction) {
        let error = error.clamp(-BOUND, BOUND);
        self.up = (self.up + error - SLACK).clamp(0.0, MOST);
        self.down = (self.down - error - SLACK).clamp(0.0, MOST);
        let (sum, sign) =
            if self.up >= self.down { (self.up, Direction::Up) } else { (self.down, Direction::Down) };
        let surprise = self.past.surprise(sum);
        let again = surprise >= ALARM && self.alarmed;
        self.past.learn(sum, if again { REST } else { 1.0 });
        self.alarmed = surprise >= ALARM;
        (surprise, sign)
    }
}

/// The scatter of the errors against what it was.
#[derive(Debug, Clone)]
pub(super) struct Scatter {
    now: f64,
    before: f64,
    seen: f64,
    more: Tail,
    less: Tail,
    alarmed: bool,
}

impl Scatter {
    pub(super) fn new() -> Self {
        Self { now: 0.0, before: 0.0, seen: 0.0, more: Tail::new(1.3), less: Tail::new(1.3), alarmed: false }
    }

    pub(super) fn fade(&mut self) {
        self.more.fade();
        self.less.fade();
    }

    /// Takes in an error, in standard deviations. Returns the surprise at how much the last few scatter.
    pub(super) fn note(&mut self, error: f64) -> (f64, Direction) {
        let size = error.abs().min(BOUND);
        self.seen += 1.0;
        self.now += (size - self.now) / NOW.min(self.seen);
        self.before += (size - self.before) / BEFORE.min(self.seen);
        if self.before <= f64::EPSILON || self.seen < NOW {
            return (0.0, Direction::Neither);
        }
        let ratio = (self.now / self.before).max(QUIET).ln() / ROUGH;
        let (more, less) = (ratio.max(0.0), (-ratio).max(0.0));
        let found = match ratio > 0.0 {
            true => (self.more.surprise(more), Direction::Up),
            false => (self.less.surprise(less), Direction::Down),
        };
        let found = (found.0 - surprise(0.5), found.1);
        let weight = if found.0 >= ALARM && self.alarmed { REST } else { 1.0 };
        self.more.learn(more, weight);
        self.less.learn(less, weight);
        self.alarmed = found.0 >= ALARM;
        found
    }
}
