//! What a provider turns out to allow, learned from its refusals: the rate falls at once by a share of what was
//! being sent and comes back in even steps (additive increase, multiplicative decrease: Chiu and Jain, 1989).

use std::time::Duration;

use seawall_model::Mono;

/// What is left of the rate after a refusal.
const CUT: f64 = 0.7;
/// Refusals that come this soon after a cut are of requests sent before it.
const CUT_GAP: Duration = Duration::from_secs(1);
/// Time in which the rate grows by as much as it was when it was last refused.
const GROWTH: Duration = Duration::from_secs(60);
/// Without a refusal for this long nothing is known of a limit any more.
const FORGET: Duration = Duration::from_secs(600);
/// A stretch shorter than this says nothing of the rate.
const MEASURABLE: Duration = Duration::from_millis(200);

/// The learned rate of one provider, in units a second.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// The rate that is never cut below.
    least: f64,
    allowed: Option<f64>,
    /// The rate at which it was last refused.
    refused_at: f64,
    cut: Mono,
    grown: Mono,
    meter: Meter,
}

/// What is being sent: units in all, as of the last look, and the rate between the last two.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    at: Mono,
    units: u64,
    rate: f64,
}

/// What a refusal led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowed {
    /// Less is sent from now on.
    Yes,
    /// As little as may be was being sent already: slowing does not help.
    AtLeast,
}

impl Throttle {
    /// Nothing is known yet. The rate will not be cut below `least`.
    pub fn new(least: f64) -> Self {
        Self {
            least,
            allowed: None,
            refused_at: least,
            cut: Mono::ZERO,
            grown: Mono::ZERO,
            meter: Meter::default(),
        }
    }

    /// The rate that is thought to be allowed; `None` if nothing is known of a limit.
    pub fn allowed(&self) -> Option<f64> {
        self.allowed
    }

    /// A request was refused for its rate; `units` have been sent since the start.
    pub fn refused(&mut self, now: Mono, units: u64) -> Slowed {
        if self.allowed.is_some() && now.since(self.cut) < CUT_GAP {
            return Slowed::Yes;
        }
        let sending = self.sending(now, units);
        let rate = self.allowed.map_or(sending, |allowed| allowed.min(sending)).max(self.least);
        let helps = rate > self.least;
        self.refused_at = rate;
        self.allowed = Some((rate * CUT).max(self.least));
        (self.cut, self.grown) = (now, now);
        if helps { Slowed::Yes } else { Slowed::AtLeast }
    }

    /// Time has passed and `units` have been sent since the start. To be called about once a second.
    pub fn tick(&mut self, now: Mono, units: u64) {
        if now.since(self.meter.at) >= MEASURABLE {
            let rate = self.sending(now, units);
            self.meter = Meter { at: now, units, rate };
        }
        let Some(allowed) = self.allowed else { return };
        if now.since(self.cut) >= FORGET {
            self.allowed = None;
            return;
        }
        let share = now.since(self.grown).as_secs_f64() / GROWTH.as_secs_f64();
        self.allowed = Some(allowed + self.refused_at * share);
        self.grown = now;
    }

    /// Units a second that are being sent, by the busier of the last two looks.
    fn sending(&self, now: Mono, units: u64) -> f64 {
        let stretch = now.since(self.meter.at);
        if stretch < MEASURABLE {
            return self.meter.rate.max(self.least);
        }
        let since = units.saturating_sub(self.meter.units) as f64 / stretch.as_secs_f64();
        since.max(if stretch < Duration::from_secs(1) { self.meter.rate } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends to a provider that takes `limit` a second, at `demand`, for so many seconds; what it refused in
    /// the last ten of them, and what went through.
    fn run(throttle: &mut Throttle, limit: u64, demand: u64, seconds: u64) -> (u64, u64) {
        let (mut units, mut refused, mut taken) = (0, 0, 0);
        for second in 1..=seconds {
            let now = Mono::from_millis(1_000 * second);
            let sent = throttle.allowed().map_or(demand, |allowed| (allowed as u64).min(demand));
            units += sent;
            let over = sent.saturating_sub(limit);
            for _ in 0..over {
                throttle.refused(now, units);
            }
            throttle.tick(now, units);
            if second + 10 > seconds {
                refused += over;
                taken += sent.min(limit);
            }
        }
        (refused, taken)
    }

    #[test]
    fn it_finds_the_limit_and_uses_most_of_it() {
        let mut throttle = Throttle::new(1.0);
        let (refused, taken) = run(&mut throttle, 100, 500, 300);
        assert!(refused <= 40, "{refused} of 1000 refused");
        assert!(taken >= 750, "{taken} of 1000 used");
    }

    #[test]
    fn refusals_of_what_was_sent_before_do_not_cut_again() {
        let mut throttle = Throttle::new(1.0);
        throttle.tick(Mono::from_millis(1_000), 0);
        for n in 0..50 {
            assert_eq!(throttle.refused(Mono::from_millis(2_000 + n), 100), Slowed::Yes);
        }
        assert_eq!(throttle.allowed(), Some(70.0));
    }

    #[test]
    fn it_is_forgotten_and_never_falls_to_nothing() {
        let mut throttle = Throttle::new(2.0);
        let mut last = Slowed::Yes;
        for n in 1..100 {
            last = throttle.refused(Mono::from_millis(2_000 * n), 0);
        }
        assert_eq!((throttle.allowed(), last), (Some(2.0), Slowed::AtLeast));
        throttle.tick(Mono::from_millis(198_000 + 600_000), 0);
        assert_eq!(throttle.allowed(), None);
    }

    proptest! {
        /// It never allows more than was refused but by the time that has passed, and never less than the least.
        #[test]
        fn bounded(events in prop::collection::vec((0u64..5_000, any::<bool>(), 0u64..1_000), 1..200)) {
            let mut throttle = Throttle::new(1.0);
            let (mut now, mut units) = (Mono::ZERO, 0);
            for (gap, refused, more) in events {
                now = now + Duration::from_millis(gap);
                units += more;
                let before = throttle.allowed();
                match refused {
                    true => {
                        throttle.refused(now, units);
                    }
                    false => throttle.tick(now, units),
                }
                match (before, throttle.allowed()) {
                    (Some(before), Some(after)) if refused => prop_assert!(after <= before.max(1.0)),
                    (_, Some(after)) => prop_assert!(after >= 1.0),
                    (_, None) => prop_assert!(!refused),
                }
            }
        }
    }
}
