//! Error budgets: how much an objective allows, and what is left of it.

use seawall_model::units::Percent;

use super::standing::{Maintenance, StatusTime};

/// What an availability objective allows over a period, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How long it may be unavailable.
    pub allowed_ms: u64,
    /// How long it was, or may have been: down, or nothing is known of it. Announced maintenance does not count.
    pub spent_ms: u64,
    /// Of what is spent, the time that nothing is known of.
    pub unknown_ms: u64,
}

impl Budget {
    /// What an objective allows over `period_ms`, and what of it has been spent in `time`.
    pub fn of(objective: Percent, period_ms: u64, time: &StatusTime) -> Self {
        const MILLION: u128 = 1_000_000;
        let rest = MILLION - u128::from(objective.parts_per_million());
        let allowed = u128::from(period_ms) * rest / MILLION;
        let unknown_ms = time.of(seawall_model::Status::Unknown, Maintenance::LeftOut);
        Self {
            allowed_ms: u64::try_from(allowed).unwrap_or(u64::MAX),
            spent_ms: time.of(seawall_model::Status::Down, Maintenance::LeftOut).saturating_add(unknown_ms),
            unknown_ms,
        }
    }

    /// What is left, in milliseconds; negative once more is spent than is allowed.
    pub fn left_ms(&self) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(self.allowed_ms) - signed(self.spent_ms)
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::Status;

    use super::*;

    #[test]
    fn three_nines_of_thirty_days_are_43_minutes() {
        let mut time = StatusTime::default();
        time.add(Status::Down, false, 40 * 60_000);
        time.add(Status::Down, true, 3_600_000);
        time.add(Status::Unknown, false, 4 * 60_000);
        let budget = Budget::of("99.9%".parse().unwrap(), 30 * 86_400_000, &time);
        assert_eq!((budget.allowed_ms, budget.spent_ms, budget.unknown_ms), (2_592_000, 2_640_000, 240_000));
        assert_eq!(budget.left_ms(), -48_000);
    }
}
