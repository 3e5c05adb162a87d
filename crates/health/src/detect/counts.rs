//! Sparse counts: a series of small whole numbers, most of them zero. That there is one, where none had been for long, is no
//! news by itself: how likely so many are follows from how many there were (Poisson, its rate unknown: negative binomial).

use super::score::surprise;

/// Points over which the rate is learnt.
const HORIZON: f64 = 1_024.0;
/// A series with more than this to a point is not sparse.
const SPARSE: f64 = 3.0;
/// More at once than this cannot be by chance.
const MOST: f64 = 64.0;
/// Terms of the tail that are added up; each is a small part of the one before.
const TERMS: usize = 16;

/// How many there were.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    /// So far there was nothing but whole numbers from zero up.
    whole: bool,
    sum: f64,
    points: f64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { whole: true, sum: 0.0, points: 0.0 }
    }

    pub(super) fn learn(&mut self, value: f64) {
        self.whole &= value >= 0.0 && value.fract() == 0.0;
        let keep = 1.0 - 1.0 / HORIZON;
        // One wild point does not make a series of another kind.
        self.sum = self.sum * keep + value.min(self.sum / self.points.max(1.0) + MOST);
        self.points = self.points * keep + 1.0;
    }

    /// The surprise at so many or more; `None` if this is no series of sparse counts.
    pub(super) fn surprise(&self, value: f64) -> Option<f64> {
        if !self.whole || value.fract() != 0.0 || self.points < 1.0 || self.sum > SPARSE * self.points {
            return None;
        }
        if !(1.0..=MOST).contains(&value) {
            return (value > MOST).then_some(f64::INFINITY);
        }
        let (shape, p) = (self.sum + 0.5, 1.0 / (self.points + 1.0));
        let mut term = (shape * (-p).ln_1p()).exp();
        let (mut tail, mut count) = (0.0, 0.0);
        while count < value + TERMS as f64 {
            if count >= value {
                tail += term;
            }
            term *= (shape + count) / (count + 1.0) * p;
            count += 1.0;
        }
        Some(surprise(tail.min(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_no_news_and_five_at_once_are() {
        let mut counts = Counts::new();
        (0..500).for_each(|_| counts.learn(0.0));
        assert!(counts.surprise(1.0).unwrap() < 3.5);
        assert!(counts.surprise(5.0).unwrap() > 9.0);
        // The tail of a Poisson distribution with a rate of one half: P(X >= 4) = 0.00175.
        (0..20_000).for_each(|i| counts.learn(f64::from(i % 2)));
        assert!((counts.surprise(4.0).unwrap() - 2.757).abs() < 0.02, "{:?}", counts.surprise(4.0));
        counts.learn(0.5);
        assert_eq!(counts.surprise(1.0), None);
    }
}
