//! The scripted tour: what the demo does to the providers where nobody is there to do it.

use std::time::Duration;

use super::stage::{Fault, Who};

/// One step of the tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Do this to a provider.
    Break(Who, Fault),
    /// Undo it.
    Heal(Who),
}

/// The steps, in equal parts of the run: quiet first and last, one provider at a time, and once two.
const STEPS: [Option<Step>; 15] = [
    None,
    Some(Step::Break(Who::A, Fault::Freeze)),
    Some(Step::Heal(Who::A)),
    Some(Step::Break(Who::B, Fault::Kill)),
    Some(Step::Break(Who::A, Fault::Freeze)),
    Some(Step::Heal(Who::B)),
    Some(Step::Heal(Who::A)),
    Some(Step::Break(Who::C, Fault::Lie)),
    Some(Step::Heal(Who::C)),
    Some(Step::Break(Who::B, Fault::Lag)),
    Some(Step::Heal(Who::B)),
    Some(Step::Break(Who::A, Fault::Fail)),
    Some(Step::Heal(Who::A)),
    Some(Step::Break(Who::C, Fault::Slow)),
    Some(Step::Heal(Who::C)),
];

/// A tour under way.
#[derive(Debug)]
pub(super) struct Tour {
    length: Duration,
    next: usize,
}

impl Tour {
    /// A tour that takes `length` in all.
    pub(super) fn of(length: Duration) -> Self {
        Self { length, next: 0 }
    }

    /// The next step, if its time has come.
    pub(super) fn next(&mut self, elapsed: Duration) -> Option<Step> {
        while let Some(step) = STEPS.get(self.next) {
            if elapsed < self.length.mul_f64(self.next as f64 / STEPS.len() as f64) {
                return None;
            }
            self.next += 1;
            if step.is_some() {
                return *step;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::stage::{Deeds, refusal};

    #[test]
    fn the_tour_keeps_its_own_rules_and_ends_healed() {
        let mut tour = Tour::of(Duration::from_secs(30));
        let (mut deeds, mut seen): (Deeds, _) = ([None; 3], Vec::new());
        for ms in (0..30_000).step_by(100) {
            match tour.next(Duration::from_millis(ms)) {
                Some(Step::Break(who, fault)) => {
                    assert_eq!(refusal(deeds, who, fault), None, "{who} {fault:?}");
                    deeds[who as usize] = Some(fault);
                    seen.push(fault);
                }
                Some(Step::Heal(who)) => deeds[who as usize] = None,
                None => {}
            }
        }
        assert_eq!(deeds, [None; 3]);
        assert!(Fault::ALL.iter().all(|fault| seen.contains(fault)), "{seen:?}");
    }
}
