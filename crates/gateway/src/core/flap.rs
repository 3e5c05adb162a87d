//! Flap damping: an upstream that is by turns well and unwell, minutes each, is held out longer than one that
//! is unwell for the first time (RFC 2439, the figure of merit that decays).
//!
//! Ejections that follow one another within [`APART`] are one bad time, which the breaker's own back-off is
//! for; they count for as much as they lie apart.

use std::time::Duration;

use seawall_model::Mono;

/// Time in which the figure falls to half.
const HALF_LIFE: Duration = Duration::from_secs(1_800);
/// Figure above which an upstream is held out: that of two ejections and a bit.
const CUTOFF: f64 = 2.0;
/// No upstream is held out for longer on this account: no longer than the longest back-off, so that one that is
/// well at last is soon of use again.
pub const MOST: Duration = Duration::from_secs(30);
/// Ejections that lie this far apart count in full.
pub const APART: Duration = Duration::from_secs(120);

/// How often an upstream has been ejected of late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flaps {
    figure: f64,
    last: Option<Mono>,
}

impl Flaps {
    /// It is ejected once more. How long it is to be held out on this account; zero as long as that has not
    /// happened often.
    pub fn again(&mut self, now: Mono) -> Duration {
        let apart = self.last.map_or(1.0, |last| now.since(last).as_secs_f64() / APART.as_secs_f64());
        let most = CUTOFF * (MOST.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        self.figure = (self.figure(now) + apart.min(1.0)).min(most);
        self.last = Some(now);
        match self.figure > CUTOFF {
            true => HALF_LIFE.mul_f64((self.figure / CUTOFF).log2()).min(MOST),
            false => Duration::ZERO,
        }
    }

    /// The figure as it has decayed by now.
    pub fn figure(&self, now: Mono) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        self.figure * (-now.since(last).as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ejected at that minute, it is held out for so many seconds.
    fn held(flaps: &mut Flaps, minute: u64) -> u64 {
        flaps.again(Mono::from_millis(minute * 60_000)).as_secs()
    }

    #[test]
    fn every_few_minutes_is_too_often() {
        // Good and bad by turns, five minutes each, as on 18 November 2025.
        let mut flaps = Flaps::default();
        let held: Vec<_> = [0, 10, 20, 30].map(|at| held(&mut flaps, at)).into();
        assert_eq!(held, [0, 0, 30, 30]);
    }

    #[test]
    fn once_a_day_is_nothing() {
        let mut flaps = Flaps::default();
        for day in 0..30 {
            assert_eq!(held(&mut flaps, day * 1_440), 0);
        }
    }

    #[test]
    fn two_bad_minutes_are_nothing() {
        let mut flaps = Flaps::default();
        for second in 0..120 {
            assert_eq!(flaps.again(Mono::from_millis(second * 1_000)), Duration::ZERO);
        }
    }

    proptest! {
        /// The figure is what a list of every ejection adds up to, as far as it is not bounded; what is held
        /// is bounded, and longer the more often.
        #[test]
        fn agrees_with_a_list_of_ejections(gaps in prop::collection::vec(1u64..7_200, 1..20)) {
            let mut flaps = Flaps::default();
            let (mut at, mut seen, mut bounded) = (0u64, Vec::<(u64, f64)>::new(), false);
            for gap in gaps {
                at += gap;
                let apart = seen.last().map_or(1.0, |(last, _)| ((at - last) as f64 / APART.as_secs_f64()).min(1.0));
                seen.push((at, apart));
                let held = flaps.again(Mono::from_millis(at * 1_000));
                let sum: f64 = seen.iter().map(|(t, w)| w * (-((at - t) as f64) / 1_800.0).exp2()).sum();
                bounded |= sum > CUTOFF * (MOST.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
                let figure = flaps.figure(Mono::from_millis(at * 1_000));
                prop_assert!(bounded || (figure - sum).abs() < 1e-6, "{figure} {sum}");
                prop_assert!(held <= MOST);
                prop_assert_eq!(held > Duration::ZERO, figure > CUTOFF);
            }
        }
    }
}
