//! What is expected next. A regression learns which of the last values, the level, the time of day and the hour of the week
//! foretell the next value, and how; where something simpler has done better of late, that is gone by instead.

use seawall_model::Wall;

use super::{
    regression::{INPUTS, Regression},
    season::Season,
};

/// Recent moves that a forecast goes by.
const MOVES: usize = 4;
/// Points over which the levels are taken.
const FAST: f64 = 8.0;
const SLOW: f64 = 128.0;
/// Points over which the usual error is learnt, and over which forecasters are compared.
const USUAL: f64 = 256.0;
const COMPARED: f64 = 128.0;
/// The error of an outlier counts for no more than this many usual ones.
const BOUND: f64 = 6.0;
/// Beyond this many usual errors a point is trusted less.
const TRUSTED: f64 = 2.5;
/// No input is larger, in usual errors.
const REACH: f64 = 64.0;
/// The usual error is no smaller than this share of the values: rounding is no news.
const ROUNDING: f64 = 1e-9;
/// From the mean absolute error to the standard deviation, if errors are normal: √(π/2).
const NORMAL: f64 = 1.253_314_137_315_5;
/// Outliers in a row after which they are the new level.
pub(super) const HOLD: u8 = 2;
/// What an outlier is taken for: this many usual errors.
const TAKEN_FOR: f64 = 3.0;
/// Outliers of as many usual errors say that the usual error is none.
const ABSURD: f64 = 1e3;

/// Those who foretell: the regression, the last value, the slow level.
const FORECASTERS: usize = 3;
/// What a season alone foretells: its level, and the last value with its step; of the day and of the week.
const SEASONAL: usize = 4;
/// A season that is usually farther off than this many usual errors explains nothing.
const WORTH: f64 = 1.5;

/// What is known of a series.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The last values, the newest first, outliers taken for what was expected.
    recent: [f64; MOVES + 1],
    fast: f64,
    slow: f64,
    season: Season,
    /// What the season expected of the last value.
    expected: [Option<f64>; 2],
    regression: Regression,
    errors: [f64; FORECASTERS],
    /// Those of [`SEASONAL`].
    off_season: [f64; SEASONAL],
    /// The day, and the week, have once been found to explain something.
    found: [bool; 2],
    usual: f64,
    size: f64,
    outliers: u8,
    seen: f64,
}

/// What is expected of a value.
#[derive(Debug, Clone)]
pub(super) struct Forecast {
    at: Wall,
    cadence: i64,
    inputs: [f64; INPUTS],
    season: [Option<f64>; 2],
    guesses: [f64; FORECASTERS],
    seasonal: [Option<f64>; SEASONAL],
    /// Those of them that explain something.
    worth: [bool; SEASONAL],
    value: f64,
    /// How far off it usually is, as a standard deviation. Never zero.
    pub(super) unit: f64,
}

impl Forecast {
    /// How far a value is off. One that is as usual at this time is not unusual for having changed: the nearest counts.
    pub(super) fn error(&self, value: f64) -> f64 {
        let seasonal = self.seasonal.iter().zip(self.worth).filter_map(|(s, worth)| s.filter(|_| worth));
        let nearer = |a: f64, b: f64| if b.abs() < a.abs() { b } else { a };
        seasonal.map(|s| value - s).fold(value - self.value, nearer)
    }
}

impl Model {
    /// Knows one value, and how large errors may be.
    pub(super) fn new(first: f64, usual: f64) -> Self {
        Self {
            recent: [first; MOVES + 1],
            fast: first,
            slow: first,
            season: Season::new(first),
            expected: [None; 2],
            regression: Regression::new(),
            errors: [usual; FORECASTERS],
            off_season: [usual; SEASONAL],
            found: [false; 2],
            usual,
            size: first.abs(),
            outliers: 0,
            seen: 0.0,
        }
    }

    /// What is expected at a time, a `cadence` of so many milliseconds.
    pub(super) fn forecast(&self, at: Wall, cadence: i64) -> Forecast {
        let unit = (self.usual * NORMAL).max(self.size * ROUNDING).max(f64::MIN_POSITIVE);
        let last = self.recent[0];
        let season = self.season.expected(at, cadence);
        let mut inputs = [0.0; INPUTS];
        inputs[0] = 1.0;
        let mut set = |i: usize, move_: f64| inputs[i] = (move_ / unit).clamp(-REACH, REACH);
        for i in 0..MOVES {
            set(1 + i, self.recent[i] - self.recent[i + 1]);
        }
        set(5, self.fast - last);
        set(6, self.slow - last);
        for (i, (now, before)) in season.into_iter().zip(self.expected).enumerate() {
            if let Some(now) = now {
                set(7 + 2 * i, now - last);
                set(8 + 2 * i, before.map_or(0.0, |before| now - before));
            }
        }
        let guesses = [last + unit * self.regression.forecast(&inputs), last, self.slow];
        let best = (1..FORECASTERS).fold(0, |a, b| if self.errors[b] < self.errors[a] { b } else { a });
        let seasonal = self.seasonal(season, last);
        let worth = self.off_season.map(|off| off <= WORTH * self.usual);
        Forecast { at, cadence, inputs, season, guesses, seasonal, worth, value: guesses[best], unit }
    }

    fn seasonal(&self, [day, week]: [Option<f64>; 2], last: f64) -> [Option<f64>; SEASONAL] {
        let step = |now: Option<f64>, before: Option<f64>| Some(last + now? - before?);
        [day, step(day, self.expected[0]), week, step(week, self.expected[1])]
    }

    /// True once for the day and once for the week: when they turn out to explain something.
    pub(super) fn sees_anew(&mut self, forecast: &Forecast) -> bool {
        let mut anew = false;
        for (i, found) in self.found.iter_mut().enumerate() {
            let explains = (2 * i..2 * i + 2).any(|s| forecast.worth[s] && forecast.seasonal[s].is_some());
            anew |= explains && !*found;
            *found |= explains;
        }
        anew
    }

    /// Takes in what came of a forecast. What is an outlier does not move what is expected, until enough have come in a row.
    pub(super) fn learn(&mut self, forecast: &Forecast, value: f64, outlier: bool) {
        let Forecast { unit, .. } = *forecast;
        let error = forecast.error(value);
        self.outliers = if outlier { self.outliers + 1 } else { 0 };
        let moved = self.outliers > HOLD;
        let taken = match outlier && !moved {
            true => value - error + error.signum() * TAKEN_FOR * unit,
            false => value,
        };
        self.note_errors(forecast, value, outlier);
        if moved && error.abs() > ABSURD * unit {
            self.usual = (unit * error.abs()).sqrt();
        }
        if !outlier {
            let off = (value - forecast.guesses[0]) / unit;
            let trust = (TRUSTED / off.abs().max(TRUSTED)).powi(2);
            self.regression.learn(&forecast.inputs, off.clamp(-REACH, REACH), trust);
        }
        self.season.learn(forecast.at, forecast.cadence, value, unit);
        self.expected = forecast.season;
        if moved {
            // The new level: what is remembered moves along with it.
            let by = value - self.recent[0];
            self.recent.iter_mut().for_each(|v| *v += by);
            (self.fast, self.slow, self.outliers) = (value, value, 0);
        }
        self.recent.rotate_right(1);
        self.recent[0] = taken;
        self.seen += 1.0;
        self.fast += (taken - self.fast) / FAST.min(self.seen + 1.0);
        self.slow += (taken - self.slow) / SLOW.min(self.seen + 1.0);
        self.size += (taken.abs() - self.size) / USUAL;
    }

    /// What is often far off, as a gauge that flips, is so in full: else the usual error would shrink to nothing.
    fn note_errors(&mut self, forecast: &Forecast, value: f64, outlier: bool) {
        let bound = if outlier { BOUND * forecast.unit } else { f64::MAX };
        let of = |guess: f64| (value - guess).abs().min(bound);
        for (mean, guess) in self.errors.iter_mut().zip(forecast.guesses) {
            *mean += (of(guess) - *mean) / COMPARED;
        }
        for (mean, guess) in self.off_season.iter_mut().zip(forecast.seasonal) {
            *mean += (guess.map_or(bound, of).min(REACH * forecast.unit) - *mean) / COMPARED;
        }
        self.usual += (forecast.error(value).abs().min(bound) - self.usual) / USUAL;
    }
}
