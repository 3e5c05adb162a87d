//! The clock seam. Timers are tokio's, which a simulation pauses; readings come from here.

use std::time::{SystemTime, UNIX_EPOCH};

use seawall_model::{Mono, Wall};
use tokio::time::Instant;

/// Where readings of the time come from. Cheap to clone; every task of a process shares one origin.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall: WallSource,
}

#[derive(Debug, Clone, Copy)]
enum WallSource {
    System,
    /// A simulated day: this moment at the origin, and on with the monotonic clock.
    From(Wall),
}

impl Clock {
    /// The machine's clock, with its origin now.
    pub fn system() -> Self {
        Self { origin: Instant::now(), wall: WallSource::System }
    }

    /// A clock whose wall time began at `wall` and goes with tokio's (paused) time. For simulations.
    pub fn simulated(wall: Wall) -> Self {
        Self { origin: Instant::now(), wall: WallSource::From(wall) }
    }

    /// The monotonic reading.
    pub fn mono(&self) -> Mono {
        Mono::ZERO + self.origin.elapsed()
    }

    /// The tokio instant of a monotonic reading, to sleep until.
    pub fn instant(&self, at: Mono) -> Instant {
        self.origin + at.since(Mono::ZERO)
    }

    /// What the wall clock would have shown at `at`, going by `now` on both clocks.
    pub fn wall_at(&self, now: Mono, at: Mono) -> Wall {
        let ago = i64::try_from(now.since(at).as_millis()).unwrap_or(i64::MAX);
        Wall(self.wall().0.saturating_sub(ago))
    }

    /// The wall-clock reading.
    pub fn wall(&self) -> Wall {
        Wall(self.wall_us().div_euclid(1_000))
    }

    /// The same in microseconds since the Unix epoch, for who compares clocks.
    pub fn wall_us(&self) -> i64 {
        let us = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        match self.wall {
            WallSource::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(d) => us(d),
                Err(e) => -us(e.duration()),
            },
            WallSource::From(w) => w.0.saturating_mul(1_000).saturating_add(us(self.origin.elapsed())),
        }
    }
}
