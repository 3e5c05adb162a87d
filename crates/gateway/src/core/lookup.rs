//! When to look again for the outcome of a write, and when to believe what is seen.
//!
//! That it is there is proof at once. That it is not proves something only once it has had the time to arrive: a
//! request that hangs on its way may yet be carried out.

use std::time::Duration;

use seawall_model::Mono;

use super::outcome::Shown;

/// Time to the second look; it doubles with each.
const FIRST: Duration = Duration::from_millis(50);
/// No two looks lie further apart.
const LONGEST: Duration = Duration::from_millis(500);
/// The first look is waited for during this part of the time that there is, each after one that came to nothing twice as
/// long: there is time for several, and one that takes long is waited for in the end.
const PARTS: u32 = 16;

/// The looks for one write.
#[derive(Debug, Clone)]
pub struct Watch {
    /// From when on what is not there never comes.
    settled: Mono,
    /// When to give up.
    end: Mono,
    /// Time to the next look.
    pause: Duration,
    /// How long the next look may take.
    patience: Duration,
    /// It was not there at the last look that said anything.
    absent: bool,
}

/// What to do after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// That is the outcome.
    Done(Shown),
    /// Look again then.
    Again(Mono),
}

impl Watch {
    /// For a write that fell into doubt at `now`, which takes effect within `settle` or never, to be cleared up within
    /// `within`.
    pub fn new(now: Mono, settle: Duration, within: Duration) -> Self {
        let patience = within / PARTS;
        Self { settled: now + settle, end: now + within, pause: FIRST, patience, absent: false }
    }

    /// How long a look begun at `now` is waited for, where `longest` is what any attempt may take.
    pub fn patience(&self, now: Mono, longest: Duration) -> Duration {
        self.patience.min(longest).min(self.end.since(now))
    }

    /// Takes in what a look begun at `began` has shown at `now`.
    pub fn saw(&mut self, began: Mono, now: Mono, shown: Shown) -> Step {
        match shown {
            Shown::Found => return Step::Done(shown),
            // Seen missing once before, so that no single answer decides.
            Shown::Absent if self.absent && began >= self.settled => return Step::Done(shown),
            Shown::Absent => self.absent = true,
            Shown::Nothing => self.patience = self.patience.saturating_mul(2),
        }
        let mut next = now + self.pause;
        if self.absent && next < self.settled && next + self.pause > self.settled {
            next = self.settled;
        }
        self.pause = (self.pause * 2).min(LONGEST);
        if next >= self.end { Step::Done(Shown::Nothing) } else { Step::Again(next) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks until the end; what `at` shows at each time (in ms since the doubt), each look taking `took`.
    fn watch(settle: u64, within: u64, took: u64, at: impl Fn(u64) -> Shown) -> (Shown, u64) {
        let origin = Mono::from_millis(1_000);
        let ms = Duration::from_millis;
        let mut watch = Watch::new(origin, ms(settle), ms(within));
        let mut now = origin;
        loop {
            let began = now;
            now = now + ms(took);
            let since = |t: Mono| t.since(origin).as_millis() as u64;
            match watch.saw(began, now, at(since(began))) {
                Step::Done(shown) => return (shown, since(now)),
                Step::Again(next) => now = next,
            }
        }
    }

    #[test]
    fn what_is_there_is_there() {
        assert_eq!(watch(2_000, 5_000, 1, |_| Shown::Found), (Shown::Found, 1));
        let (shown, after) = watch(2_000, 5_000, 1, |t| if t > 700 { Shown::Found } else { Shown::Absent });
        assert!(shown == Shown::Found && after < 1_300, "{after}");
    }

    /// Where nobody so much as refuses slowly, there are far more looks than a time can be doubled.
    #[test]
    fn a_look_that_comes_to_nothing_has_the_next_one_waited_for_longer_but_never_too_long() {
        let within = 600 * SECOND;
        let mut watch = Watch::new(Mono::ZERO, SECOND, within);
        let mut waits = Vec::new();
        let mut now = Mono::ZERO;
        while let Step::Again(next) = watch.saw(now, now, Shown::Nothing) {
            now = next;
            waits.push(watch.patience(now, 100 * SECOND));
            assert!(watch.patience(now, within) <= Duration::from_secs(600) - now.since(Mono::ZERO));
        }
        assert!(waits.len() > 1_000 && waits.iter().all(|wait| *wait <= 100 * SECOND));
        assert_eq!(
            (Watch::new(now, SECOND, within).patience(now, within), waits[0]),
            (within / 16, within / 8)
        );
    }

    #[test]
    fn what_is_missing_is_missing_once_it_has_settled() {
        let (shown, after) = watch(2_000, 5_000, 1, |_| Shown::Absent);
        assert!(shown == Shown::Absent && (2_000..2_600).contains(&after), "{after}");
        // The only answer comes late: one more is waited for.
        let (shown, _) = watch(100, 5_000, 1, |t| if t > 1_000 { Shown::Absent } else { Shown::Nothing });
        assert_eq!(shown, Shown::Absent);
    }

    #[test]
    fn without_an_answer_nothing_is_said() {
        let (shown, after) = watch(2_000, 5_000, 1, |_| Shown::Nothing);
        assert!(shown == Shown::Nothing && after <= 5_000, "{after}");
        assert_eq!(watch(6_000, 5_000, 1, |_| Shown::Absent).0, Shown::Nothing, "it has not settled");
    }

    proptest! {
        /// A write that takes effect within its time to settle is never called absent, and the looks end in time.
        #[test]
        fn never_too_early(settle in 0u64..3_000, took in 0u64..300, lands in 0u64..3_000, gaps in any::<u8>()) {
            prop_assume!(lands < settle);
            let (shown, after) = watch(settle, 5_000, took, |t| match t {
                t if (t / 64) % 8 == u64::from(gaps % 8) => Shown::Nothing,
                t if t >= lands => Shown::Found,
                _ => Shown::Absent,
            });
            prop_assert!(shown != Shown::Absent);
            prop_assert!(after <= 5_000 + took);
            prop_assert!(SECOND > LONGEST);
        }
    }
}
