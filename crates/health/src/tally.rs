//! How many checks of a window failed, in a fixed number of steps.

use std::time::Duration;

use seawall_model::Wall;

/// Steps that a window is counted in.
pub const BUCKETS: usize = 16;

/// A ring of counts. What is counted is the step that has begun and the whole ones before it.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    step_ms: i64,
    /// The newest step that was counted in, since the epoch.
    newest: i64,
    steps: [(u32, u32); BUCKETS],
}

impl Tally {
    pub(crate) fn new(window: Duration) -> Self {
        let ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { step_ms: (ms / BUCKETS as i64).max(1), newest: i64::MIN, steps: [(0, 0); BUCKETS] }
    }

    /// The same window with nothing in it.
    pub(crate) fn emptied(self) -> Self {
        Self { newest: i64::MIN, steps: [(0, 0); BUCKETS], ..self }
    }

    fn step(&self, now: Wall) -> i64 {
        now.0.div_euclid(self.step_ms)
    }

    fn slot(step: i64) -> usize {
        step.rem_euclid(BUCKETS as i64) as usize
    }

    pub(crate) fn add(&mut self, now: Wall, ok: bool) {
        let step = self.step(now);
        if step > self.newest {
            let gone = step.saturating_sub(self.newest).min(BUCKETS as i64);
            for old in 0..gone {
                self.steps[Self::slot(step - old)] = (0, 0);
            }
            self.newest = step;
        }
        // A clock that was set back counts in the newest step.
        let (all, failed) = &mut self.steps[Self::slot(self.newest)];
        *all = all.saturating_add(1);
        *failed = failed.saturating_add(u32::from(!ok));
    }

    /// Checks in the window, and those of them that failed.
    fn sums(&self, now: Wall) -> (u64, u64) {
        let gone = self.step(now).saturating_sub(self.newest).clamp(0, BUCKETS as i64);
        let counted =
            (0..BUCKETS as i64 - gone).map(|back| self.steps[Self::slot(self.newest.wrapping_sub(back))]);
        counted.fold((0, 0), |sum, step| (sum.0 + u64::from(step.0), sum.1 + u64::from(step.1)))
    }

    pub(crate) fn is_bad(&self, now: Wall, share: f64, least: u32) -> bool {
        let (all, failed) = self.sums(now);
        failed > 0 && all >= u64::from(least) && failed as f64 >= all as f64 * share
    }

    /// True if a check of the window failed.
    pub(crate) fn has_failures(&self, now: Wall) -> bool {
        self.sums(now).1 > 0
    }

    /// When something leaves the window, if anything in it matters.
    pub(crate) fn next_step(&self, now: Wall) -> Option<Wall> {
        let next = self.step(now).saturating_add(1).saturating_mul(self.step_ms);
        self.has_failures(now).then_some(Wall(next))
    }
}
