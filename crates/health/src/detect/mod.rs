//! Early anomaly detection for any series of numbers: latencies, error rates, volumes, whatever is pushed.
//!
//! A [`Detector`] sees one point after the other and says of each how unusual it is: a [`Score`] from 0 to 1, the direction
//! and the reason. It needs no settings, is deterministic, and never looks back: a score never changes by what comes later.
//!
//! **How.** The cadence is the median of the last gaps between timestamps. A series that is positive and skewed is looked at by
//! its logarithm. A small robust regression expects the next value of the last ones, of the level, and of what was seen at this time of
//! day and hour of the week, where that has been seen often enough and has turned out to foretell anything. Four tests look at
//! the errors: their size against the tail of their own past, their sum (two-sided CUSUM), their scatter, and values that do not
//! move. The smallest p-value, times the number of tests, makes the score: 0.5 at 1 in 2,000, 0.78 at 1 in 100,000, 0.9 at 1 in 10 million.
//! What comes back often becomes usual, and a new level that stays is taken for one after a few points.
//!
//! **No data** is a finding of its own ([`Why::NoData`]): a value that is missing, or a time without any, against how often
//! that is so in this series.
//!
//! **Warm-up.** The first [`WARM_UP`] values score 0 ([`Why::Learning`]). Of time of day nothing is known before the third
//! day, of the day of the week nothing before the third week.
//!
//! **Cost.** [`MEMORY`] bytes a series, whatever its length; a point costs less than 2 µs (`benches/detect.rs`).

mod cadence;
mod counts;
#[cfg(test)]
mod generators;
mod model;
mod regression;
mod runs;
mod score;
mod season;
mod shape;
mod shift;
mod tail;
#[cfg(test)]
mod tests;
mod trial;

use seawall_model::Wall;

pub use self::score::{Direction, Score, Why};
use self::{
    cadence::Cadence,
    model::Model,
    runs::Runs,
    shape::{Sample, Shape},
    trial::{Point, Trial},
};

/// Values before the first score.
pub const WARM_UP: usize = 48;
/// Bytes that a detector takes at most.
pub const MEMORY: usize = 9_216;
/// How many values have been seen when it is looked again whether logarithms fit.
const REVIEWS: [u64; 2] = [256, 1_024];
/// Scores the points of one series as they come.
///
/// ```
/// use seawall_health::detect::{Detector, Direction, Why};
/// use seawall_model::Wall;
///
/// let mut detector = Detector::new();
/// let mut push = |i: i64, value| detector.push(Wall(i * 60_000), value);
/// for i in 0..200 {
///     // 20 to 26 ms, once a minute.
///     push(i, Some(20.0 + (i * i % 7) as f64));
/// }
/// let score = push(200, Some(90.0));
/// assert!(score.value > 0.9 && score.sign == Direction::Up && score.why == Why::Spike);
/// assert_eq!(push(201, None).why, Why::NoData);
/// ```
#[derive(Debug, Clone)]
pub struct Detector {
    cadence: Cadence,
    missing: Runs,
    sample: Sample,
    /// The last values as they came, the oldest at `seen % WARM_UP`.
    recent: [(Wall, f64); WARM_UP],
    seen: u64,
    shape: Shape,
    model: Option<Model>,
    trial: Trial,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new() -> Self {
        Self {
            cadence: Cadence::default(),
            missing: Runs::default(),
            sample: Sample::new(),
            recent: [(Wall(0), 0.0); WARM_UP],
            seen: 0,
            shape: Shape::Plain,
            model: None,
            trial: Trial::new(),
        }
    }

    /// Takes in the next point, `None` or a value that is not finite where there is none, and says what to think of it.
    /// Timestamps may be irregular, repeated or out of order.
    pub fn push(&mut self, at: Wall, value: Option<f64>) -> Score {
        let step = self.cadence.note(at);
        let Some(value) = value.filter(|v| v.is_finite()) else {
            let missing = self.missing.note(true);
            return Score::of(missing.max(step.surprise), Direction::Neither, Why::NoData);
        };
        self.missing.note(false);
        self.sample.note(value);
        let shape = self.shape;
        let score = match &mut self.model {
            None => {
                self.trial.watch(value);
                Score::LEARNING
            }
            Some(model) => {
                let cadences = step.cadences;
                let forecast = model.forecast(at, self.cadence.millis());
                if model.sees_anew(&forecast) {
                    self.trial.fade();
                }
                let point = Point { value, seen_as: shape.of(value), cadences };
                let (score, outlier) = self.trial.judge(&forecast, point);
                model.learn(&forecast, point.seen_as, outlier);
                score
            }
        };
        self.remember(at, value);
        let silence = Score::of(step.surprise, Direction::Neither, Why::NoData);
        if silence.value > score.value { silence } else { score }
    }

    fn remember(&mut self, at: Wall, value: f64) {
        self.recent[self.seen as usize % WARM_UP] = (at, value);
        self.seen += 1;
        if self.seen == WARM_UP as u64
            || REVIEWS.contains(&self.seen) && fits_otherwise(self.shape, self.sample.shape())
        {
            self.begin(self.sample.shape());
        }
    }

    /// Begins, or begins anew, with the values at hand. What is known of the tails stays.
    fn begin(&mut self, shape: Shape) {
        self.shape = shape;
        let oldest = self.seen as usize % WARM_UP;
        let values: [(Wall, f64); WARM_UP] = std::array::from_fn(|i| {
            let (at, value) = self.recent[(oldest + i) % WARM_UP];
            (at, shape.of(value))
        });
        let mut moves: [f64; WARM_UP - 1] = std::array::from_fn(|i| (values[i + 1].1 - values[i].1).abs());
        let mean = moves.iter().sum::<f64>() / moves.len() as f64;
        moves.sort_unstable_by(f64::total_cmp);
        let median = moves[moves.len() / 2];
        let mut model = Model::new(values[0].1, if median > 0.0 { median } else { mean });
        for (at, value) in &values[1..] {
            let forecast = model.forecast(*at, self.cadence.millis());
            model.learn(&forecast, *value, false);
        }
        self.model = Some(model);
    }
}

/// True if it is another kind of shape; that its offset would be another now is no reason to begin anew.
fn fits_otherwise(is: Shape, should: Shape) -> bool {
    match (is, should) {
        (Shape::Plain, Shape::Plain) | (Shape::Log(_), Shape::Log(_)) => false,
        (Shape::Plain, Shape::Log(_)) | (Shape::Log(_), Shape::Plain) => true,
    }
}
