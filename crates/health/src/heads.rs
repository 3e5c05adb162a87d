//! Is the chain still moving? A suspicion that grows with the age of the newest head.
//!
//! With a block time that the chain keeps to, it is the age in blocks: deterministic, nothing to learn. Otherwise it is φ of the
//! φ accrual failure detector (Hayashibara et al., 2004): how many times the probability of so long a silence is to be
//! divided by ten, by what has been learnt of the silences before.
//!
//! **The promise.** Below [`threshold`](Heads::threshold) there is no false alarm in 24 hours of heads that come by the slot, some late by a
//! quarter of it and single slots missed; and no more than one in 30 days of heads that come by chance (exponentially, as with proof of
//! work), once 32 are known.

use std::time::Duration;

use seawall_model::Wall;

/// The suspicion, in blocks, that is an alarm where blocks come by the slot: two slots in a row are missed.
const SLOTS: f64 = 3.0;
/// Arrivals before anything is suspected where blocks come by chance.
const ENOUGH: f64 = 32.0;
/// Arrivals over which their distribution is learnt.
const HORIZON: f64 = 256.0;
/// A shape of the gamma distribution: 1 is chance alone; none is taken to be more regular than the other.
const SHAPES: (f64, f64) = (1.0, 64.0);
/// The time in which there may be one false alarm, with a tenth to spare.
const PATIENCE: Duration = Duration::from_secs(30 * 86_400);
/// See [`PATIENCE`].
const SPARE: f64 = 10.0;
/// No silence is learnt to be longer than this many mean ones: an outage is not how things are.
const LONG: f64 = 16.0;

/// The arrivals of a chain's heads.
#[derive(Debug, Clone)]
pub struct Heads {
    block_time: Option<f64>,
    last: Option<Wall>,
    count: f64,
    mean: f64,
    /// Mean square.
    square: f64,
}

impl Heads {
    /// Nothing has arrived yet. `block_time` is that of a chain that keeps to it; `None` where blocks come by chance, or
    /// nobody knows.
    pub fn new(block_time: Option<Duration>) -> Self {
        let block_time = block_time.map(|t| t.as_secs_f64()).filter(|t| *t > 0.0);
        Self { block_time, last: None, count: 0.0, mean: 0.0, square: 0.0 }
    }

    /// A new head was seen, higher than all before. One that is told of late, with a time before the last one's, changes nothing.
    pub fn arrived(&mut self, at: Wall) {
        let Some(last) = self.last else {
            self.last = Some(at);
            return;
        };
        if at < last {
            return;
        }
        self.last = Some(at);
        let mut silence = at.since(last).as_secs_f64();
        if self.count >= ENOUGH {
            silence = silence.min(LONG * self.mean);
        }
        self.count = (self.count + 1.0).min(HORIZON);
        self.mean += (silence - self.mean) / self.count;
        self.square += (silence * silence - self.square) / self.count;
    }

    /// How much speaks for a halt: 0 while nothing does, an alarm from [`threshold`](Self::threshold) on. With a block time the age of the
    /// newest head in blocks, else φ. Never falls as time passes without a head. A clock set back suspects nothing.
    pub fn suspicion(&self, now: Wall) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        let age = now.since(last).as_secs_f64();
        match self.block_time {
            Some(block_time) => age / block_time,
            None => self.phi(age),
        }
    }

    /// The suspicion that is an alarm.
    pub fn threshold(&self) -> f64 {
        match self.block_time {
            Some(_) => SLOTS,
            // As many heads as there are in the time, each of which may be the one.
            None => (SPARE * PATIENCE.as_secs_f64() / self.mean.max(1e-3)).log10().max(1.0),
        }
    }

    /// By Chernoff's bound for the gamma distribution, which never makes a silence less likely than it is; widened since its
    /// mean is learnt from so few (as Pareto's distribution follows from the exponential one with an unknown rate).
    fn phi(&self, age: f64) -> f64 {
        if self.count < ENOUGH || self.mean <= 0.0 {
            return 0.0;
        }
        let ratio = age / self.mean;
        if ratio <= 1.0 {
            return 0.0;
        }
        let variance = (self.square - self.mean * self.mean).max(f64::MIN_POSITIVE);
        let shape = (self.mean * self.mean / variance).clamp(SHAPES.0, SHAPES.1);
        let bound = shape * (ratio - 1.0 - ratio.ln());
        self.count * (bound / self.count).ln_1p() / std::f64::consts::LN_10
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const DAY: f64 = 86_400.0;

    /// Heads that come after one gap after the other, for so long, looked at twenty times in each gap. Returns the alarms
    /// (one a gap at most).
    fn alarms(block_time: Option<f64>, lasting: f64, mut gap: impl FnMut() -> f64) -> usize {
        let mut heads = Heads::new(block_time.map(Duration::from_secs_f64));
        let (mut now, mut alarms) = (0.0, 0);
        let wall = |s: f64| Wall(1_700_000_000_000 + (s * 1_000.0) as i64);
        while now < lasting {
            heads.arrived(wall(now));
            let gap = gap();
            let looks = (1..20).map(|i| now + gap * f64::from(i) / 20.0).chain([now + gap - 0.001]);
            let highest = looks.map(|at| heads.suspicion(wall(at))).fold(0.0, f64::max);
            alarms += usize::from(highest >= heads.threshold());
            now += gap;
        }
        alarms
    }

    #[test]
    fn a_day_of_heads_by_the_slot_gives_no_alarm() {
        for (seed, slot) in [(1, 0.25), (2, 2.0), (3, 12.0)] {
            let mut random = Rng::with_seed(seed);
            let (mut late, mut missed) = (0.0, false);
            let found = alarms(Some(slot), DAY, || {
                let before = late;
                late = slot * 0.25 * random.f64();
                missed = !missed && random.f64() < 0.01;
                slot * if missed { 2.0 } else { 1.0 } + late - before
            });
            assert_eq!(found, 0, "slot of {slot} s");
        }
    }

    #[test]
    fn a_halt_is_an_alarm_after_three_slots() {
        let mut heads = Heads::new(Some(Duration::from_secs(2)));
        (0..10).for_each(|i| heads.arrived(Wall(i * 2_000)));
        assert!(heads.suspicion(Wall(18_000 + 5_999)) < heads.threshold());
        assert!(heads.suspicion(Wall(18_000 + 6_000)) >= heads.threshold());
        assert_eq!(heads.suspicion(Wall(18_000 + 27_000)), 13.5);
    }

    #[test]
    fn thirty_days_by_chance_give_one_alarm_at_most() {
        for (seed, mean) in [(1, 1.0), (2, 12.0), (3, 15.0), (4, 120.0), (5, 600.0), (6, 600.0)] {
            let mut random = Rng::with_seed(seed);
            let found = alarms(None, 30.0 * DAY, || -mean * (1.0 - random.f64()).ln());
            assert!(found <= 1, "mean of {mean} s: {found}");
        }
    }

    #[test]
    fn what_is_regular_is_missed_soon_though_nobody_said_so() {
        let (mut heads, mut random) = (Heads::new(None), Rng::with_seed(9));
        let mut at = 0;
        for _ in 0..200 {
            heads.arrived(Wall(at));
            at += 2_000 + random.i64(-200..200);
        }
        assert!(heads.suspicion(Wall(at + 1_000)) < heads.threshold());
        assert!(heads.suspicion(Wall(at + 6_000)) >= heads.threshold());
    }

    #[test]
    fn an_outage_is_not_learnt_and_clocks_may_be_set() {
        let mut heads = Heads::new(None);
        (0..100).for_each(|i| heads.arrived(Wall(i * 12_000)));
        heads.arrived(Wall(99 * 12_000 + 86_400_000));
        let now = 99 * 12_000 + 86_400_000;
        assert!(heads.suspicion(Wall(now + 300_000)) >= heads.threshold());
        assert_eq!(heads.suspicion(Wall(0)), 0.0);
        assert_eq!(Heads::new(None).suspicion(Wall(i64::MAX)), 0.0);
    }
}
