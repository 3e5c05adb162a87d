//! Good and bad events by the step of time.

use std::time::Duration;

use seawall_model::Wall;

/// A fixed number of steps, the oldest of which makes room for the newest.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    width_ms: i64,
    /// The newest step, counted from the epoch.
    newest: i64,
    steps: Box<[(u64, u64)]>,
}

impl Ring {
    pub(super) fn new(width: Duration, steps: usize) -> Self {
        let width_ms = i64::try_from(width.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { width_ms, newest: i64::MIN, steps: vec![(0, 0); steps].into() }
    }

    /// The longest window that can be asked for.
    pub(super) fn reach(&self) -> Duration {
        Duration::from_millis(self.width_ms as u64) * self.steps.len() as u32
    }

    fn slot(&self, step: i64) -> usize {
        step.rem_euclid(self.steps.len() as i64) as usize
    }

    /// Counts events in the step of `now`; in the newest, if the clock was set back.
    pub(super) fn add(&mut self, now: Wall, good: u64, bad: u64) {
        let step = now.0.div_euclid(self.width_ms);
        if step > self.newest {
            let gone = step.saturating_sub(self.newest).min(self.steps.len() as i64);
            for back in 0..gone {
                let slot = self.slot(step - back);
                self.steps[slot] = (0, 0);
            }
            self.newest = step;
        }
        let slot = self.slot(self.newest);
        let sums = &mut self.steps[slot];
        *sums = (sums.0.saturating_add(good), sums.1.saturating_add(bad));
    }

    /// What was counted in the step of `now` and the whole ones before it that make up `window`.
    pub(super) fn sums(&self, now: Wall, window: Duration) -> (u64, u64) {
        let width = Duration::from_millis(self.width_ms as u64).as_millis();
        let steps = (window.as_millis().div_ceil(width) as i64).min(self.steps.len() as i64);
        let gone = now.0.div_euclid(self.width_ms).saturating_sub(self.newest).clamp(0, steps);
        let counted = (0..steps - gone).map(|back| self.steps[self.slot(self.newest.wrapping_sub(back))]);
        counted.fold((0, 0), |sum, step| (sum.0.saturating_add(step.0), sum.1.saturating_add(step.1)))
    }
}
