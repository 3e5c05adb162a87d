//! What a point is worth: surprise, which is a p-value, and the score that people see.

/// The surprise that makes a score of one half: something that happens to a healthy series once in 2,000 points.
const HALF: f64 = 3.3;
/// Surprises are no larger; beyond it the tails' estimates mean nothing.
const MOST: f64 = 300.0;

/// Whether a point is above or below what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Above.
    Up,
    /// Below.
    Down,
    /// Neither: as expected, or there is nothing to compare.
    Neither,
}

impl Direction {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Neither => "neither",
        }
    }

    pub(super) fn of(deviation: f64) -> Self {
        if deviation > 0.0 {
            Self::Up
        } else if deviation < 0.0 {
            Self::Down
        } else {
            Self::Neither
        }
    }
}

/// What a score rests on: of the tests that a point went through, the one it surprised most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too little has been seen yet to tell.
    Learning,
    /// Nothing stands out.
    Usual,
    /// The point lies far from where it was expected.
    Spike,
    /// The last points together lie on one side of where they were expected.
    Shift,
    /// The last points together are noisier, or quieter, than usual.
    Noise,
    /// The value does not move, where it used to.
    Stuck,
    /// There is no value, or there was none for longer than usual.
    NoData,
}

impl Why {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Learning => "learning",
            Self::Usual => "usual",
            Self::Spike => "spike",
            Self::Shift => "shift",
            Self::Noise => "noise",
            Self::Stuck => "stuck",
            Self::NoData => "no_data",
        }
    }
}

/// What a [`Detector`](super::Detector) thinks of one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// From 0, as usual, to 1. A healthy series that is no longer young has more than 0.5 once in 1,000 points or less, and more
    /// than 0.9 hardly ever.
    pub value: f64,
    /// To which side it stands out.
    pub sign: Direction,
    /// By what.
    pub why: Why,
}

/// Below this nothing is said to stand out.
const NOTABLE: f64 = 0.3;

impl Score {
    pub(super) const LEARNING: Self = Self { value: 0.0, sign: Direction::Neither, why: Why::Learning };

    /// The score of a surprise.
    pub(super) fn of(surprise: f64, sign: Direction, why: Why) -> Self {
        let value = scale(surprise);
        let notable = value >= NOTABLE || why == Why::NoData;
        Self { value, sign, why: if notable { why } else { Why::Usual } }
    }
}

/// A p-value as a surprise: how many times it is to be divided by ten.
pub(super) fn surprise(p: f64) -> f64 {
    if p > 0.0 { (-p.log10()).clamp(0.0, MOST) } else { MOST }
}

/// From 0 to 1, strictly rising, so that what is more surprising never ranks with what is less.
fn scale(surprise: f64) -> f64 {
    let cubed = (surprise.clamp(0.0, MOST) / HALF).powi(3);
    cubed / (cubed + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_rise_with_surprise_and_stay_within_bounds() {
        let scores: Vec<f64> = (0..3_000).map(|i| scale(f64::from(i) / 10.0)).collect();
        assert!(scores.windows(2).all(|w| w[0] < w[1]));
        assert!(scores[0] == 0.0 && scores[2_999] < 1.0);
        assert!((scale(HALF) - 0.5).abs() < 1e-12);
        assert_eq!(surprise(0.001), 3.0);
        assert_eq!((surprise(0.0), surprise(2.0), surprise(f64::NAN)), (MOST, 0.0, MOST));
    }
}
