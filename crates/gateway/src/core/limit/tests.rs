//! The limiter against simulated upstreams, on a clock of its own.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// What an upstream is like.
#[derive(Debug, Clone, Copy)]
enum Nature {
    /// It serves so many at a time; the rest wait.
    Servers { n: usize },
    /// Every call takes longer by this share for each other one in flight.
    Slows { by: f64 },
    /// It takes any number.
    Ample,
}

/// An upstream, a limiter before it, and a queue before that.
struct World {
    nature: Nature,
    service_us: f64,
    /// How much service times vary: a factor from 1 / (1 + spread) to 1 + spread.
    spread: f64,
    random: fastrand::Rng,
    limiter: Limiter,
    now: u64,
    /// When each call in flight ends, and when it began.
    flights: BinaryHeap<Reverse<(u64, u64)>>,
    /// When each server is free.
    free: Vec<u64>,
    served: u64,
}

impl World {
    fn new(nature: Nature, service_us: f64, seed: u64) -> Self {
        let free = match nature {
            Nature::Servers { n } => vec![0; n],
            Nature::Slows { .. } | Nature::Ample => Vec::new(),
        };
        let random = fastrand::Rng::with_seed(seed);
        let limiter = Limiter::default();
        Self {
            nature,
            service_us,
            spread: 0.2,
            random,
            limiter,
            now: 0,
            flights: BinaryHeap::new(),
            free,
            served: 0,
        }
    }

    fn begin(&mut self) {
        let vary = (1.0 + self.spread).powf(self.random.f64() * 2.0 - 1.0);
        let service = self.service_us * 1_000.0 * vary;
        let end = match self.nature {
            Nature::Servers { .. } => {
                let first = (0..self.free.len()).min_by_key(|i| self.free[*i]).unwrap();
                self.free[first] = self.free[first].max(self.now) + service as u64;
                self.free[first]
            }
            Nature::Slows { by } => self.now + (service * (1.0 + by * self.flights.len() as f64)) as u64,
            Nature::Ample => self.now + service as u64,
        };
        self.flights.push(Reverse((end, self.now)));
    }

    /// Runs for a while with so many callers, each of whom calls again at once.
    fn run(&mut self, callers: usize, for_secs: f64) -> f64 {
        let (end, before) = (self.now + (for_secs * 1e9) as u64, self.served);
        while self.now < end {
            while self.flights.len() < callers.min(self.limiter.limit() as usize) {
                self.begin();
            }
            let Reverse((at, began)) = self.flights.pop().unwrap();
            self.now = at.max(self.now);
            self.served += 1;
            let in_flight = self.flights.len() as u32 + 1;
            let took = Duration::from_nanos(self.now - began);
            self.limiter.sample(Mono(self.now), Sample { took, in_flight, all_in_flight: in_flight });
        }
        (self.served - before) as f64 / for_secs
    }
}

proptest! {
    // What holds here holds of most noise, not of all: the same noise each time, and other noise by another seed.
    #![proptest_config(ProptestConfig { cases: 16, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// An upstream that serves only so many at a time is asked for about as many, though it was never seen idle,
    /// and loses no throughput by it.
    #[test]
    fn finds_how_many_are_served_at_a_time(n in 4usize..64, service_ms in 5u64..200, seed: u64, idle_first: bool) {
        let service_us = service_ms as f64 * 1_000.0;
        let mut world = World::new(Nature::Servers { n }, service_us, seed);
        if idle_first {
            world.run(2, 5.0);
        }
        world.run(1_000, 30.0 + service_us / 10_000.0);
        let rate = world.run(1_000, 60.0);
        let capacity = n as f64 / (service_us / 1e6);
        prop_assert!(rate > 0.85 * capacity, "{} of {capacity}, limit {}", rate, world.limiter.limit());
        let slack = (n as f64 * SLACK_US / service_us).max(n as f64 * 0.5);
        let most = (n as f64 + slack) * 1.6 + 4.0;
        prop_assert!(f64::from(world.limiter.limit()) < most, "{} for {n} servers", world.limiter.limit());
    }

    /// One that takes any number is not held back, whatever its answers take, but for a while in which fewer are tried.
    #[test]
    fn never_holds_back_one_that_takes_any_number(service_us in 50.0f64..500_000.0, callers in 1usize..600, seed: u64) {
        let mut world = World::new(Nature::Ample, service_us, seed);
        world.spread = 3.0;
        world.run(callers, 20.0 + service_us / 5_000.0);
        let mut limits = Vec::new();
        for _ in 0..10 {
            limits.push(world.limiter.limit() as usize);
            world.run(callers, 2.0 + service_us / 50_000.0);
        }
        prop_assert!(limits.iter().any(|limit| *limit >= callers), "{limits:?} for {callers}");
    }

    /// One whose answers take longer the more there are is kept where it answers about as fast as it can.
    #[test]
    fn keeps_one_that_slows_near_its_knee(by in 0.02f64..0.5, seed: u64) {
        let mut world = World::new(Nature::Slows { by }, 50_000.0, seed);
        world.run(600, 90.0);
        let latency = 1.0 + by * f64::from(world.limiter.limit());
        prop_assert!(latency < 6.0 || world.limiter.limit() <= 8, "{latency} times as long");
    }

    /// When an upstream becomes slower for reasons of its own, it is not starved for it; and when it is fast again
    /// nothing is left of that.
    #[test]
    fn does_not_starve_one_that_became_slower(factor in 1.5f64..8.0, callers in 10usize..100, seed: u64) {
        let mut world = World::new(Nature::Ample, 20_000.0, seed);
        world.run(callers, 10.0);
        world.service_us *= factor;
        world.run(callers, 60.0);
        prop_assert!(world.limiter.limit() as usize >= callers, "{} for {callers}", world.limiter.limit());
        world.service_us /= factor;
        world.run(callers, 30.0);
        prop_assert!(world.limiter.limit() as usize >= callers);
    }

    /// When an upstream gets more servers, they are used.
    #[test]
    fn uses_what_is_added(n in 4usize..16, times in 2usize..6, seed: u64) {
        let mut world = World::new(Nature::Servers { n }, 20_000.0, seed);
        world.run(2, 3.0);
        world.run(400, 30.0);
        world.free.resize(n * times, world.now);
        world.nature = Nature::Servers { n: n * times };
        world.run(400, 30.0);
        let rate = world.run(400, 20.0);
        prop_assert!(rate > 0.85 * (n * times) as f64 / 0.02, "{rate}");
    }

    /// Whatever it is told, at least one may go.
    #[test]
    fn never_nobody(samples in prop::collection::vec((0u64..10_000, 0u64..10_000_000, 0u32..500, 0u32..500), 1..400)) {
        let mut limiter = Limiter::default();
        let mut now = Mono::from_millis(1);
        for (gap, us, in_flight, more) in samples {
            now = now + Duration::from_millis(gap);
            let all_in_flight = in_flight + more;
            limiter.sample(now, Sample { took: Duration::from_micros(us), in_flight, all_in_flight });
            prop_assert!((1..=MOST as u32).contains(&limiter.limit()));
        }
    }
}

#[test]
fn a_fast_one_behind_many_connections_is_left_alone() {
    // One at a time, 20 µs each: 64 callers wait for one another, and none of them for long.
    let mut world = World::new(Nature::Servers { n: 1 }, 20.0, 7);
    world.run(64, 20.0);
    assert!(world.limiter.limit() >= 64, "{}", world.limiter.limit());
}

#[test]
fn a_class_that_others_crowd_out_is_not_cut() {
    let mut limiter = Limiter::default();
    let mut now = Mono::from_millis(1);
    for i in 0..2_000u64 {
        now = now + Duration::from_millis(5);
        let took = Duration::from_millis(if i < 500 { 10 } else { 80 });
        limiter.sample(now, Sample { took, in_flight: 5, all_in_flight: 60 });
    }
    assert_eq!(limiter.limit(), FIRST as u32);
}
