//! What a time of trouble cost: what failed, less what came later, and what is owed for it.
//!
//! Nothing of it is known exactly. So there are three figures, and with them everything that was assumed.

use std::{fmt, time::Duration};

use seawall_model::{
    Status,
    estate::{Credit, Recovered, Terms},
    units::{Currency, Money, Percent, show_duration},
};

use super::{
    standing::{Maintenance, StatusTime},
    timeline::Downtime,
    week::{Estimate, WeekValue},
};

/// Shares are counted in billionths.
const BILLION: i128 = 1_000_000_000;
/// Milliseconds of an hour.
const HOUR: i128 = 3_600_000;

/// A part of the time in question, within one hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The hour of the week.
    pub hour: usize,
    /// How long it is, in milliseconds.
    pub millis: u64,
    /// Requests in it.
    pub attempted: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that may have taken effect or not.
    pub unknown: u64,
    /// What the service was.
    pub time: StatusTime,
}

/// All that the cost of a time is worked out from.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the service's failure costs.
    pub terms: &'a Terms,
    /// What its hours are worth.
    pub week: &'a WeekValue,
    /// The time in question.
    pub slices: &'a [Slice],
    /// The downtimes in it.
    pub downtimes: &'a [Downtime],
    /// What the service was over the month that credits go by, the time in question included.
    pub month: &'a StatusTime,
}

/// What was assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assumption {
    /// Hours are worth what the estate says.
    Declared,
    /// Hours are worth what they were before: median and quartiles of so many.
    Learned(usize),
    /// For so many milliseconds nothing says what they are worth; they count as nothing.
    Worthless(u64),
    /// For so many milliseconds no request was counted; what failed is taken from what the service was.
    Uncounted(u64),
    /// So many requests may have taken effect or not: none, half and all of them count as failed.
    Unsettled(u64),
    /// Such a share comes later.
    Comes(Recovered),
    /// Nothing is known of the service for so many milliseconds: they count as available, left out and unavailable.
    Unseen(u64),
    /// Credits count by what this time adds to what the month owes.
    Credits,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = |ms: &u64| show_duration(Duration::from_millis(*ms));
        match self {
            Self::Declared => write!(f, "an hour is worth what the estate says"),
            Self::Learned(n) => {
                write!(f, "an hour is worth what it was: the median, and the quartiles, of {n} hours before")
            }
            Self::Worthless(ms) => write!(f, "{} have no known worth and count as nothing", long(ms)),
            Self::Uncounted(ms) => {
                write!(f, "no request was counted in {}: as much failed as the service was down", long(ms))
            }
            Self::Unsettled(n) => {
                write!(f, "{n} requests may have taken effect: none, half and all of them count as failed")
            }
            Self::Comes(r) => {
                write!(
                    f,
                    "of what failed {} comes later, at least {} and at most {}",
                    r.likely, r.least, r.most
                )
            }
            Self::Unseen(ms) => {
                write!(f, "of {} nothing is known: available, left out, and unavailable", long(ms))
            }
            Self::Credits => write!(f, "credits are what this time adds to what the month owes"),
        }
    }
}

/// What a time cost, in the currency's minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// What the figures are in.
    pub currency: Currency,
    /// What failed.
    pub lost: Estimate,
    /// What of it came, or comes, later.
    pub recovered: Estimate,
    /// Credits.
    pub credits: Estimate,
    /// Penalties.
    pub penalties: Estimate,
    /// Lost, less recovered, and credits and penalties.
    pub total: Estimate,
    /// What was assumed.
    pub assumptions: Vec<Assumption>,
}

impl Cost {
    /// The likely total.
    pub fn likely(&self) -> Money {
        Money { minor: self.total.likely, currency: self.currency }
    }

    /// The low and the high total.
    pub fn range(&self) -> (Money, Money) {
        let money = |minor| Money { minor, currency: self.currency };
        (money(self.total.low), money(self.total.high))
    }
}

/// Works out what a time cost.
pub fn cost(case: &Case<'_>) -> Cost {
    let mut assumptions = vec![match case.week.learned_from {
        None => Assumption::Declared,
        Some(hours) => Assumption::Learned(hours),
    }];
    let lost = lost(case, &mut assumptions);
    let Recovered { least, likely, most } = case.terms.recovered;
    // What is cheapest comes together in the low figure: little failed, and most of it comes later.
    let recovered = Estimate {
        low: share(lost.low, most),
        likely: share(lost.likely, likely),
        high: share(lost.high, least),
    };
    if lost.high > 0 {
        assumptions.push(Assumption::Comes(case.terms.recovered));
    }
    let credits = credits(case, &mut assumptions);
    let penalties = Estimate::exactly(penalties(case));
    let total = lost.with(recovered, i64::saturating_sub).plus(credits).plus(penalties);
    Cost { currency: case.terms.currency, lost, recovered, credits, penalties, total, assumptions }
}

fn share(minor: i64, of: Percent) -> i64 {
    to_i64(i128::from(minor) * i128::from(of.parts_per_million()) / 1_000_000)
}

fn to_i64(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

/// What failed is worth, slice by slice: failed share × value of the hour × part of the hour.
fn lost(case: &Case<'_>, assumptions: &mut Vec<Assumption>) -> Estimate {
    let (mut worthless, mut uncounted, mut unsettled) = (0_u64, 0_u64, 0_u64);
    // In billionths of a minor unit, so that what is rounded away does not add up.
    let mut sum = [0_i128; 3];
    for slice in case.slices.iter().filter(|s| s.millis > 0) {
        let Some(value) = case.week.at(slice.hour) else {
            worthless = worthless.saturating_add(slice.millis);
            continue;
        };
        let shares = if slice.attempted > 0 {
            unsettled = unsettled.saturating_add(slice.unknown);
            failed_share(slice.failed, slice.unknown, slice.attempted)
        } else {
            uncounted = uncounted.saturating_add(slice.millis);
            let of = |status| slice.time.of(status, Maintenance::Counted);
            failed_share(of(Status::Down), of(Status::Unknown), slice.millis)
        };
        for (at, value) in [value.low, value.likely, value.high].into_iter().enumerate() {
            let part = i128::from(value).saturating_mul(i128::from(slice.millis)).saturating_mul(shares[at]);
            sum[at] = sum[at].saturating_add(part / HOUR);
        }
    }
    let mut note = |n: u64, assumption: fn(u64) -> Assumption| {
        if n > 0 {
            assumptions.push(assumption(n));
        }
    };
    note(worthless, Assumption::Worthless);
    note(uncounted, Assumption::Uncounted);
    note(unsettled, Assumption::Unsettled);
    let [low, likely, high] = sum.map(|n| to_i64((n + BILLION / 2) / BILLION));
    Estimate { low, likely, high }
}

/// The share that failed, in billionths: without what is uncertain, with half of it, with all of it.
fn failed_share(failed: u64, uncertain: u64, all: u64) -> [i128; 3] {
    let (failed, uncertain, all) = (i128::from(failed), i128::from(uncertain), i128::from(all));
    [2 * failed, 2 * failed + uncertain, 2 * (failed + uncertain)]
        .map(|twice| (twice * BILLION / (2 * all)).min(BILLION))
}

/// What the time adds to what the month owes.
fn credits(case: &Case<'_>, assumptions: &mut Vec<Assumption>) -> Estimate {
    if case.terms.credits.is_empty() {
        return Estimate::default();
    }
    assumptions.push(Assumption::Credits);
    let of = |time: &StatusTime, status| time.of(status, Maintenance::LeftOut);
    let unseen = of(case.month, Status::Unknown);
    if unseen > 0 {
        assumptions.push(Assumption::Unseen(unseen));
    }
    let mut within = StatusTime::default();
    case.slices.iter().for_each(|s| within.merge(&s.time));
    let (up, unknown) = (of(case.month, Status::Up) + of(case.month, Status::Degraded), unseen);
    let down = of(case.month, Status::Down);
    let (here, here_unknown) = (of(&within, Status::Down), of(&within, Status::Unknown));
    // Available and unavailable time, as it was, and had the time in question been a good one.
    let added = |up: u64, down: u64, here: u64| {
        let better = owed(&case.terms.credits, up.saturating_add(here), down.saturating_sub(here));
        owed(&case.terms.credits, up, down) - better
    };
    let (best, likely, worst) = (
        added(up + unknown, down, here),
        added(up, down, here),
        added(up, down + unknown, here + here_unknown),
    );
    // Where the rest of the month owes the most already, this time adds nothing: the worst case may be the cheaper one.
    Estimate { low: best.min(likely).min(worst), likely, high: best.max(likely).max(worst) }
}

fn owed(credits: &[Credit], up: u64, down: u64) -> i64 {
    let all = u128::from(up) + u128::from(down);
    let below = |c: &&Credit| u128::from(up) * 1_000_000 < all * u128::from(c.below.parts_per_million());
    credits.iter().filter(below).map(|c| c.owed).max().unwrap_or(0)
}

fn penalties(case: &Case<'_>) -> i64 {
    let owed = |d: &Downtime| {
        let millis = u64::try_from(d.until.0 - d.from.0).unwrap_or(0).saturating_sub(d.maintenance_ms);
        let due = case.terms.penalties.iter().filter(|p| Duration::from_millis(millis) > p.after);
        due.map(|p| p.owed).max().unwrap_or(0)
    };
    case.downtimes.iter().map(owed).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests;
