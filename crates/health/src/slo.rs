//! Objectives: how much of the budget for errors is left, and how fast it burns.
//!
//! The alerts are those of the Google SRE workbook, chapter 5: a rate of burning over a long window, which says that it
//! matters, and over a short one, which says that it goes on. Counts are kept in rings of fixed length, so that an
//! objective costs the same whatever happens.

mod ring;

use std::time::Duration;

use ring::Ring;
use seawall_model::{ComponentId, Fact, Outcome, Wall, units::Percent};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The period that the budget is for.
pub(crate) const PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);

/// Rings: the width of a step, and how many there are. A window is so many whole steps, the last of them begun.
const RINGS: [(Duration, usize); 4] =
    [(MINUTE, 60), (Duration::from_secs(5 * 60), 72), (HOUR, 72), (Duration::from_secs(12 * 3600), 60)];

/// What is wanted of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct SloPlan {
    /// The service that the objective is of.
    pub service: ComponentId,
    /// The component whose checks and requests count.
    pub of: ComponentId,
    /// What is a good one.
    pub good: Good,
    /// The share that is to be good.
    pub target: Percent,
    /// Events in the long window below which there is no alert.
    pub least: u64,
}

/// What makes a check or a request a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// It did not fail.
    Available,
    /// It did not fail, and took no longer. Only checks tell how long each took.
    Within(Duration),
}

/// An objective with what has been counted for it.
#[derive(Debug, Clone)]
pub struct Slo {
    plan: SloPlan,
    rings: [Ring; 4],
}

/// How an objective stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SloState {
    /// The share of the budget of the last 30 days that is left: 1 if nothing failed, below 0 if more failed than
    /// may. With a target of 100 %, 1 or −∞.
    pub budget_left: f64,
    /// How fast the budget burns, in each pair of windows.
    pub burns: [Burn; 3],
    /// The most urgent alert that stands.
    pub alert: Option<Alert>,
}

/// How many times faster than evenly the budget burns: 1 spends it exactly in its 30 days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burn {
    /// Over the long window.
    pub long: f64,
    /// Over the short one.
    pub short: f64,
}

/// An alert, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alert {
    /// Over an hour and five minutes at 14.4 and more: 2 % of the budget in an hour. Wakes somebody.
    Fast,
    /// Over six hours and half an hour at 6 and more: 5 % of the budget. Wakes somebody.
    Slow,
    /// Over three days and six hours at 1 and more: 10 % of the budget. For the next working day.
    Creeping,
}

impl Alert {
    /// All of them, most urgent first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Slow, Self::Creeping];

    /// How fast the budget must burn.
    pub fn rate(self) -> f64 {
        match self {
            Self::Fast => 14.4,
            Self::Slow => 6.0,
            Self::Creeping => 1.0,
        }
    }

    /// The long window and the short one.
    pub fn windows(self) -> (Duration, Duration) {
        match self {
            Self::Fast => (HOUR, 5 * MINUTE),
            Self::Slow => (6 * HOUR, 30 * MINUTE),
            Self::Creeping => (3 * DAY, 6 * HOUR),
        }
    }
}

impl Slo {
    /// An objective that nothing has been counted for.
    pub fn new(plan: SloPlan) -> Self {
        Self { plan, rings: RINGS.map(|(width, steps)| Ring::new(width, steps)) }
    }

    /// What it is of.
    pub fn plan(&self) -> &SloPlan {
        &self.plan
    }

    /// Counts what a fact about [`SloPlan::of`] says. What a prober in trouble says is not counted.
    pub fn take(&mut self, now: Wall, fact: &Fact) {
        let (good, bad) = match (fact, self.plan.good) {
            (Fact::Check(check), good) => {
                let in_time = match good {
                    Good::Available => true,
                    Good::Within(limit) => u128::from(check.latency_us) <= limit.as_micros(),
                };
                match check.outcome {
                    Outcome::Ok => (u64::from(in_time), u64::from(!in_time)),
                    Outcome::Failed => (0, 1),
                    Outcome::OwnTrouble => return,
                }
            }
            (Fact::Traffic(traffic), Good::Available) => {
                let failed = traffic.failures.min(traffic.attempts);
                (traffic.attempts - failed, failed)
            }
            (Fact::Affected(affected), Good::Available) => {
                let failed = affected.failed.requests.saturating_add(affected.unknown.requests);
                (affected.attempted.requests.saturating_sub(failed), failed)
            }
            (Fact::Traffic(_) | Fact::Affected(_), Good::Within(_)) => return,
            (Fact::Head { .. } | Fact::Heads(_) | Fact::Conductor(_) | Fact::Breaker { .. }, _) => return,
        };
        self.count(now, good, bad);
    }

    /// Counts events.
    pub fn count(&mut self, now: Wall, good: u64, bad: u64) {
        self.rings.iter_mut().for_each(|ring| ring.add(now, good, bad));
    }

    /// Good and bad events in the last `window`, in steps of the finest ring that is long enough.
    fn sums(&self, now: Wall, window: Duration) -> (u64, u64) {
        let ring = self.rings.iter().find(|r| r.reach() >= window).unwrap_or(&self.rings[3]);
        ring.sums(now, window)
    }

    fn allowed(&self) -> f64 {
        f64::from(1_000_000 - self.plan.target.parts_per_million()) / 1e6
    }

    fn burn(&self, (good, bad): (u64, u64)) -> f64 {
        match (bad, good.saturating_add(bad)) {
            (0, _) => 0.0,
            (bad, all) => bad as f64 / all as f64 / self.allowed(),
        }
    }

    /// How it stands.
    pub fn state(&self, now: Wall) -> SloState {
        let burn = |alert: Alert| {
            let (long, short) = alert.windows();
            Burn { long: self.burn(self.sums(now, long)), short: self.burn(self.sums(now, short)) }
        };
        let burns = Alert::ALL.map(burn);
        let stands = |(alert, burn): &(Alert, Burn)| {
            let (good, bad) = self.sums(now, alert.windows().0);
            let enough = good.saturating_add(bad) >= self.plan.least;
            enough && burn.long >= alert.rate() && burn.short >= alert.rate()
        };
        let alert = Alert::ALL.into_iter().zip(burns).find(stands).map(|(alert, _)| alert);
        SloState { budget_left: 1.0 - self.burn(self.sums(now, PERIOD)), burns, alert }
    }
}
