//! How often a series comes, learnt from its timestamps, and how unusual it is that nothing came for so long.

use seawall_model::Wall;

use super::score::surprise;

/// Gaps remembered: their median is the cadence.
const GAPS: usize = 15;
/// Gaps up to this many times the cadence are jitter.
const JITTER: f64 = 1.5;
/// Classes of longer gaps, each twice as long as the one before.
const CLASSES: usize = 16;
/// Gaps after which what was seen is forgotten to a half.
const HORIZON: f64 = 4_096.0;
/// Timestamps that go back are out of order, until as many in a row have: then the clock was set.
const BACK: u8 = 8;

/// The time between points.
#[derive(Debug, Clone, Default)]
pub(super) struct Cadence {
    last: Option<Wall>,
    gaps: [i64; GAPS],
    count: usize,
    median: i64,
    classes: [f64; CLASSES],
    total: f64,
    back: u8,
}

/// What a timestamp tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// How many cadences have passed, one at least.
    pub(super) cadences: f64,
    /// The surprise that nothing came for so long.
    pub(super) surprise: f64,
}

impl Cadence {
    /// Takes in a timestamp.
    pub(super) fn note(&mut self, at: Wall) -> Step {
        let regular = Step { cadences: 1.0, surprise: 0.0 };
        let Some(last) = self.last else {
            self.last = Some(at);
            return regular;
        };
        let gap = at.0.saturating_sub(last.0);
        if gap <= 0 {
            self.back = if gap < 0 { self.back.saturating_add(1) } else { self.back };
            if self.back >= BACK {
                (self.last, self.back) = (Some(at), 0);
            }
            return regular;
        }
        (self.last, self.back) = (Some(at), 0);
        let before = self.median;
        self.remember(gap);
        if before == 0 {
            return regular;
        }
        let ratio = gap as f64 / before as f64;
        let class = if ratio < JITTER { 0 } else { 1 + (ratio / JITTER).log2() as usize };
        Step { cadences: ratio.max(1.0), surprise: self.class(class.min(CLASSES - 1)) }
    }

    /// Milliseconds between points; zero while nothing is known.
    pub(super) fn millis(&self) -> i64 {
        self.median
    }

    fn remember(&mut self, gap: i64) {
        self.gaps[self.count % GAPS] = gap;
        self.count += 1;
        if gap != self.median || self.count <= GAPS {
            let mut sorted = self.gaps;
            let known = &mut sorted[..self.count.min(GAPS)];
            known.sort_unstable();
            self.median = known[known.len() / 2];
        }
    }

    /// The surprise at a gap of a class, which is taken in.
    fn class(&mut self, class: usize) -> f64 {
        let as_long: f64 = self.classes[class..].iter().sum();
        let longest = self.classes.iter().rposition(|n| *n > 0.0).unwrap_or(0);
        // Beyond all that was seen: half as likely for each doubling.
        let beyond = class.saturating_sub(longest + 1) as f64;
        let p = (as_long + 0.5) / (self.total + 1.0);
        let found = if class == 0 { 0.0 } else { surprise(p) + beyond * std::f64::consts::LOG10_2 };
        self.classes[class] += 1.0;
        self.total += 1.0;
        if self.total > HORIZON {
            self.classes.iter_mut().for_each(|n| *n /= 2.0);
            self.total /= 2.0;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cadence_is_found_through_jitter_gaps_and_disorder() {
        let (mut cadence, mut random) = (Cadence::default(), fastrand::Rng::with_seed(5));
        let mut high = 0;
        for i in 0..5_000_i64 {
            if i % 700 == 3 || i % 17 == 5 {
                // Lost, or it comes late.
                continue;
            }
            let back = if i % 91 == 0 { 130_000 } else { 0 };
            let step = cadence.note(Wall(i * 60_000 + random.i64(-9_000..9_000) - back));
            high += usize::from(i > 500 && step.surprise > 3.3);
        }
        assert!((55_000..65_000).contains(&cadence.millis()), "{}", cadence.millis());
        assert_eq!(high, 0);
        assert!(cadence.note(Wall(5_000 * 60_000 + 86_400_000)).surprise > 3.3);
    }

    #[test]
    fn a_timestamp_from_the_future_does_not_spoil_the_rest() {
        let mut cadence = Cadence::default();
        (0..100).for_each(|i| _ = cadence.note(Wall(i * 1_000)));
        cadence.note(Wall(i64::MAX));
        (100..120).for_each(|i| _ = cadence.note(Wall(i * 1_000)));
        assert_eq!((cadence.millis(), cadence.note(Wall(130_000)).cadences), (1_000, 11.0));
        cadence.note(Wall(i64::MIN));
        cadence.note(Wall(131_000));
        assert_eq!(cadence.millis(), 1_000);
    }
}
