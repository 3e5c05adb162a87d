//! Runs of points in some state that is rare: no value, or the same value again.

use super::score::surprise;

/// Points after which what was seen is forgotten to a half.
const HORIZON: f64 = 4_096.0;
/// A run that has lasted this long is how things are now.
const PATIENCE: f64 = 96.0;
/// Of a run that began when less than this had been seen nobody can say whether it is rare.
const ENOUGH: f64 = 16.0;
/// The first guess of how a run goes on: that many did, out of that many.
const STAYS: (f64, f64) = (2.4, 4.0);

/// How often such runs begin, how long they last, and the one that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    /// Points at which a run could have begun.
    chances: f64,
    begun: f64,
    stayed: f64,
    run: f64,
    accepted: bool,
}

impl Runs {
    /// Takes in a point, that is in the state or not. Returns the surprise at the run that is under way.
    pub(super) fn note(&mut self, inside: bool) -> f64 {
        if !inside {
            if self.run > 0.0 && !self.accepted {
                self.commit();
            }
            (self.run, self.accepted) = (0.0, false);
            self.chances += 1.0;
            if self.chances > HORIZON {
                (self.chances, self.begun, self.stayed) =
                    (self.chances / 2.0, self.begun / 2.0, self.stayed / 2.0);
            }
            return 0.0;
        }
        self.run += 1.0;
        if self.accepted {
            return 0.0;
        }
        if self.run >= PATIENCE {
            self.commit();
            self.accepted = true;
        }
        if self.chances < ENOUGH && self.begun == 0.0 {
            return 0.0;
        }
        let begins = (self.begun + 0.5) / (self.chances + self.begun + 1.0);
        let stays = (self.stayed + STAYS.0) / (self.stayed + self.begun + STAYS.1);
        surprise(begins) + (self.run - 1.0) * surprise(stays)
    }

    fn commit(&mut self) {
        self.begun += 1.0;
        self.stayed += self.run - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_surprises_the_more_the_longer_it_is_until_it_is_how_things_are() {
        let mut runs = Runs::default();
        (0..1_000).for_each(|_| assert_eq!(runs.note(false), 0.0));
        let surprises: Vec<f64> = (0..200).map(|_| runs.note(true)).collect();
        assert!(surprises[0] > 2.5 && surprises[19] > 6.0, "{surprises:?}");
        assert!(surprises[..95].windows(2).all(|w| w[0] < w[1]));
        assert!(surprises[96..].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn what_is_habitual_surprises_nobody() {
        let (mut runs, mut random) = (Runs::default(), fastrand::Rng::with_seed(1));
        let surprises: Vec<f64> = (0..5_000).map(|_| runs.note(random.f64() < 0.3)).collect();
        let high = surprises[200..].iter().filter(|s| **s > 3.3).count();
        assert!(high <= 5, "{high}");
    }
}
