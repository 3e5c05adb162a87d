//! How long a silence is unusual, learned from the silences before it: the idea of the φ accrual failure detector
//! (Hayashibara et al., 2004) at a fixed φ of 8, over a gamma distribution, which fits blocks by the clock as well as
//! blocks by chance.

use std::{collections::VecDeque, time::Duration};

/// Silences remembered.
const HELD: usize = 128;
/// Fewer than this tell nothing.
const ENOUGH: usize = 32;
/// The standard normal quantile at 1 - 10^-φ for a φ of 8: one false alarm in a hundred million arrivals.
const QUANTILE: f64 = 5.612;

/// The last silences between arrivals.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals {
    gaps: VecDeque<f64>,
    threshold: Option<Duration>,
}

impl Arrivals {
    /// Something arrived after this long.
    pub(super) fn note(&mut self, gap: Duration) {
        if self.gaps.len() == HELD {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap.as_secs_f64());
        self.threshold = self.unusual();
    }

    /// A silence longer than this is no accident; `None` while too little is known.
    pub(super) fn threshold(&self) -> Option<Duration> {
        self.threshold
    }

    /// The longest silence but one is what the estimate stands on at most: one outage says nothing of the usual.
    fn unusual(&self) -> Option<Duration> {
        if self.gaps.len() < ENOUGH {
            return None;
        }
        let longest = self.gaps.iter().copied().fold(0.0, f64::max);
        let count = (self.gaps.len() - 1) as f64;
        let mean = (self.gaps.iter().sum::<f64>() - longest) / count;
        let squares =
            self.gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() - (longest - mean).powi(2);
        // A ninth of the inverse of the gamma distribution's shape; its quantile by Wilson and Hilferty (1931), who
        // err on the patient side this far out.
        let ninth = squares / count / mean.powi(2).max(f64::MIN_POSITIVE) / 9.0;
        let quantile = mean * (1.0 - ninth + QUANTILE * ninth.sqrt()).powi(3);
        Duration::try_from_secs_f64(quantile).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gap: impl Fn(f64) -> f64, arrivals: usize) -> (usize, f64) {
        let (mut learned, mut random, mut alarms) = (Arrivals::default(), fastrand::Rng::with_seed(7), 0);
        for _ in 0..arrivals {
            let gap = Duration::from_secs_f64(gap(1.0 - random.f64()));
            alarms += usize::from(learned.threshold().is_some_and(|t| gap > t));
            learned.note(gap);
        }
        (alarms, learned.threshold().unwrap().as_secs_f64())
    }

    #[test]
    fn thirty_days_of_blocks_by_chance_give_no_more_than_one_false_alarm() {
        let days = 30 * 86_400;
        let (alarms, _) = check(|dice| -12.0 * dice.ln(), days / 12);
        assert!(alarms <= 1, "{alarms}");
        let (alarms, threshold) = check(|dice| -600.0 * dice.ln(), days / 600);
        assert!(alarms <= 1, "{alarms}");
        assert!((9_000.0..20_000.0).contains(&threshold), "{threshold}");
    }

    #[test]
    fn blocks_by_the_clock_are_missed_at_once() {
        let (alarms, threshold) = check(|dice| 12.0 + 0.5 * (dice - 0.5), 10_000);
        assert_eq!(alarms, 0);
        assert!((12.0..15.0).contains(&threshold), "{threshold}");
    }

    #[test]
    fn one_outage_is_not_the_usual() {
        let mut learned = Arrivals::default();
        (0..100).for_each(|_| learned.note(Duration::from_secs(12)));
        learned.note(Duration::from_secs(3_600));
        assert_eq!(learned.threshold(), Some(Duration::from_secs(12)));
    }

    #[test]
    fn a_few_tell_nothing() {
        let mut learned = Arrivals::default();
        (1..ENOUGH).for_each(|_| learned.note(Duration::from_secs(1)));
        assert_eq!(learned.threshold(), None);
        let mut none = Arrivals::default();
        (0..HELD).for_each(|_| none.note(Duration::ZERO));
        assert_eq!(none.threshold(), Some(Duration::ZERO));
    }
}
