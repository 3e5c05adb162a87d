//! A provider's budget at work: shared by all its upstreams in all pools.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::HeaderMap;
use seawall_model::{Mono, Name, Wall};
use serde::Serialize;

use crate::{
    core::{
        quota::Quota,
        rate::Rate,
        throttle::{Slowed, Throttle},
        told::Told,
    },
    estate::ProviderBudget,
};

/// A provider's own wish (Retry-After) is heeded up to this.
const ASKED_MAX: Duration = Duration::from_secs(120);
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// A provider's budget as the estate has it now, over what outlives reloads.
pub(crate) struct Allowance {
    pub(crate) section: ProviderBudget,
    pub(crate) state: Arc<AllowanceState>,
}

/// What has been sent to a provider, and what it was found to allow.
pub(crate) struct AllowanceState {
    requests: Rate,
    units: Rate,
    /// What its refusals taught.
    learned: Rate,
    /// What its headers told, until then.
    told: Rate,
    told_until: AtomicU64,
    /// It asks to be left alone until then.
    paused_until: AtomicU64,
    pub(crate) sent_requests: AtomicU64,
    pub(crate) sent_units: AtomicU64,
    pub(crate) refusals: AtomicU64,
    throttle: Mutex<Throttle>,
    day: Quota,
    month: Quota,
}

/// A provider's budget as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct AllowanceView {
    /// Whose it is.
    pub provider: Name,
    /// Requests sent since the start.
    pub requests: u64,
    /// Compute units sent since the start.
    pub units: u64,
    /// Requests that it refused for their rate since the start.
    pub refusals: u64,
    /// Compute units a second that it is found to allow; `None` if nothing is known of a limit.
    pub learned_units_per_second: Option<f64>,
    /// For how many milliseconds yet it asks to be left alone.
    pub paused_ms: u64,
    /// Why nothing may go out now, or why others are asked first; `None` if neither.
    pub held: Option<&'static str>,
    /// Compute units left of the day's quota.
    pub day_left: Option<u64>,
    /// Compute units left of the month's quota.
    pub month_left: Option<u64>,
}

/// What was spent of a provider's quotas, as it is kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// Whose.
    pub provider: Name,
    /// Days since the epoch, and the units spent on that one.
    pub day: (i64, u64),
    /// Months since the year 0, and the units spent in that one.
    pub month: (i64, u64),
}

impl Allowance {
    /// The budget, over what is known of the provider already.
    pub(crate) fn new(section: ProviderBudget, before: Option<Arc<AllowanceState>>) -> Self {
        let state = before.unwrap_or_else(|| {
            Arc::new(AllowanceState {
                requests: Rate::default(),
                units: Rate::default(),
                learned: Rate::default(),
                told: Rate::default(),
                told_until: AtomicU64::new(0),
                paused_until: AtomicU64::new(0),
                sent_requests: AtomicU64::new(0),
                sent_units: AtomicU64::new(0),
                refusals: AtomicU64::new(0),
                // One usual call a second is always worth trying.
                throttle: Mutex::new(Throttle::new(f64::from(section.costs.usual))),
                day: Quota::default(),
                month: Quota::default(),
            })
        });
        state.requests.limit(section.requests);
        state.units.limit(section.units);
        Self { section, state }
    }

    /// May anything go out at all?
    pub(crate) fn has_room(&self, now: Mono) -> bool {
        self.state.requests.has_room(now) && self.state.units.has_room(now) && !self.is_spent()
    }

    /// Is it better to ask somebody else first?
    pub(crate) fn is_held(&self, now: Mono) -> bool {
        let state = &self.state;
        now.0 < state.paused_until.load(Relaxed)
            || !state.learned.has_room(now)
            || (now.0 < state.told_until.load(Relaxed) && !state.told.has_room(now))
    }

    fn is_spent(&self) -> bool {
        let over = |quota: &Quota, limit: Option<u64>| {
            limit.is_some_and(|limit| quota.spent(self.state.sent_units.load(Relaxed)) >= limit)
        };
        over(&self.state.day, self.section.daily) || over(&self.state.month, self.section.monthly)
    }

    /// A call of `method` goes out.
    pub(crate) fn take(&self, now: Mono, method: &str) {
        let (state, units) = (&self.state, self.section.costs.of(method));
        state.requests.take(now);
        state.units.take_units(now, units);
        state.learned.take_units(now, units);
        state.told.take(now);
        state.sent_requests.fetch_add(1, Relaxed);
        state.sent_units.fetch_add(u64::from(units), Relaxed);
    }

    /// It refused a request for its rate, and asks to be left alone for a while, if it says so.
    pub(crate) fn refused(&self, now: Mono, asked: Option<Duration>) -> Slowed {
        self.state.refusals.fetch_add(1, Relaxed);
        if let Some(wait) = asked {
            self.state.paused_until.fetch_max((now + wait.min(ASKED_MAX)).0, Relaxed);
        }
        let mut throttle = self.throttle();
        let slowed = throttle.refused(now, self.state.sent_units.load(Relaxed));
        self.state.learned.limit(throttle.allowed());
        slowed
    }

    /// Heeds what an answer's headers tell of the limit.
    pub(crate) fn heed(&self, now: Mono, headers: &HeaderMap) {
        let Some(told) = Told::read(|name| headers.get(name)?.to_str().ok()) else { return };
        let state = &self.state;
        let until = (now + told.reset).0;
        if told.remaining == 0 {
            state.paused_until.fetch_max(until, Relaxed);
        } else {
            state.told.limit(Some(told.per_second()));
            state.told_until.store(until, Relaxed);
        }
    }

    /// A second has passed.
    pub(crate) fn tick(&self, now: Mono, wall: Wall) {
        let total = self.state.sent_units.load(Relaxed);
        let mut throttle = self.throttle();
        throttle.tick(now, total);
        self.state.learned.limit(throttle.allowed());
        drop(throttle);
        let (day, month) = periods(wall);
        self.state.day.turn(day, total);
        self.state.month.turn(month, total);
    }

    pub(crate) fn spending(&self) -> Spending {
        let total = self.state.sent_units.load(Relaxed);
        let of = |quota: &Quota| (quota.period(), quota.spent(total));
        Spending {
            provider: self.section.provider.clone(),
            day: of(&self.state.day),
            month: of(&self.state.month),
        }
    }

    pub(crate) fn recall(&self, spent: &Spending) {
        let total = self.state.sent_units.load(Relaxed);
        self.state.day.recall(spent.day.0, spent.day.1, total);
        self.state.month.recall(spent.month.0, spent.month.1, total);
    }

    /// The budget as it is now.
    pub(crate) fn view(&self, now: Mono) -> AllowanceView {
        let state = &self.state;
        let total = state.sent_units.load(Relaxed);
        let left = |quota: &Quota, limit: Option<u64>| Some(limit?.saturating_sub(quota.spent(total)));
        AllowanceView {
            provider: self.section.provider.clone(),
            requests: state.sent_requests.load(Relaxed),
            units: total,
            refusals: state.refusals.load(Relaxed),
            learned_units_per_second: self.throttle().allowed(),
            paused_ms: Mono(state.paused_until.load(Relaxed)).since(now).as_millis() as u64,
            held: self.why_held(now),
            day_left: left(&state.day, self.section.daily),
            month_left: left(&state.month, self.section.monthly),
        }
    }

    pub(crate) fn why_held(&self, now: Mono) -> Option<&'static str> {
        let state = &self.state;
        match () {
            () if self.is_spent() => Some("its quota is spent"),
            () if !self.has_room(now) => Some("its budget allows no more at this moment"),
            () if now.0 < state.paused_until.load(Relaxed) => Some("it asked to be left alone"),
            () if self.is_held(now) => Some("it refused more than this, or said that it would"),
            () => None,
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.state.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Days since the epoch, and months since the year 0, both in UTC.
fn periods(wall: Wall) -> (i64, i64) {
    let day = wall.0.div_euclid(DAY);
    // As `Wall` is told, so is the month: "2026-11-26T…".
    let text = wall.to_string();
    let mut parts = text.splitn(3, '-').map(str::parse::<i64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(year)), Some(Ok(month))) => (day, year * 12 + month - 1),
        _ => (day, day.div_euclid(30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::Costs;

    fn allowance() -> Allowance {
        let costs = Costs { usual: 20, methods: [("eth_call".into(), 26)].into() };
        let section = ProviderBudget {
            provider: Name::new("p").unwrap(),
            requests: None,
            units: Some(260.0),
            daily: None,
            monthly: Some(1_000),
            costs,
        };
        let allowance = Allowance::new(section, None);
        allowance.tick(Mono::ZERO, Wall(1_764_028_800_000));
        allowance
    }

    #[test]
    fn calls_weigh_what_the_table_says() {
        let a = allowance();
        let mut went = 0;
        for ms in 0..1_000 {
            while a.has_room(Mono::from_millis(ms)) {
                a.take(Mono::from_millis(ms), "eth_call");
                went += 1;
            }
        }
        assert!((10..=12).contains(&went), "{went}");
        assert_eq!(a.state.sent_units.load(Relaxed), went * 26);
    }

    #[test]
    fn a_spent_quota_is_spent_until_the_month_is_over() {
        let a = allowance();
        let now = Mono::from_millis(60_000);
        (0..50).for_each(|_| a.take(Mono::ZERO, "other"));
        assert!(!a.has_room(now));
        assert_eq!(a.view(now).month_left, Some(0));
        assert_eq!(a.view(now).held, Some("its quota is spent"));
        // 1 December 2025.
        a.tick(now, Wall(1_764_547_200_000));
        assert!(a.has_room(now));
    }

    #[test]
    fn what_was_spent_before_a_restart_counts() {
        let (a, b) = (allowance(), allowance());
        (0..10).for_each(|_| a.take(Mono::ZERO, "other"));
        b.recall(&a.spending());
        assert_eq!(b.view(Mono::ZERO).month_left, Some(800));
    }

    #[test]
    fn a_refusal_slows_and_a_pause_ends() {
        let a = allowance();
        let at = Mono::from_millis;
        (0..10).for_each(|_| a.take(at(0), "other"));
        a.tick(at(1_000), Wall(1_764_028_801_000));
        assert_eq!(a.refused(at(1_000), Some(Duration::from_secs(2))), Slowed::Yes);
        assert!(a.is_held(at(2_999)));
        assert!(!a.is_held(at(3_000)));
        assert_eq!(a.view(at(1_000)).learned_units_per_second, Some(140.0));
    }

    #[test]
    fn headers_hold_before_a_refusal_comes() {
        let a = allowance();
        let headers = |text: &'static str| {
            HeaderMap::from_iter([("ratelimit".parse().unwrap(), text.parse().unwrap())])
        };
        let at = Mono::from_millis;
        a.heed(at(0), &headers("\"x\";r=10;t=10"));
        let went = (0..5_000).filter(|ms| {
            let go = !a.is_held(at(*ms));
            if go {
                a.take(at(*ms), "other");
            }
            go
        });
        assert!((4..=7).contains(&went.count()));
        a.heed(at(5_000), &headers("\"x\";r=0;t=5"));
        assert!(a.is_held(at(9_999)) && !a.is_held(at(12_000)));
    }
}
