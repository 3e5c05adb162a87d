//! What is known of a chain.

use std::time::Duration;

use seawall_model::ComponentId;

use crate::LATE;

/// Slots that a head may be old where blocks come at fixed times.
const SLOTS: u32 = 3;
/// Mean times between blocks that a head may be old where they come at random: one gap in e²⁰, or 485 million, is
/// longer.
const MEANS: u32 = 20;

/// A chain behind a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPlan {
    /// The pool, whose upstreams follow the chain.
    pub pool: ComponentId,
    /// The time between blocks, or its mean.
    pub block_time: Duration,
    /// The age from which an unsafe head stands.
    pub late: Duration,
    /// The age from which a safe head stands; `None` where there is no such head, or nobody minds.
    pub safe_late: Option<Duration>,
    /// How often each vantage point reports heads, and asks conductors.
    pub interval: Duration,
    /// Who makes its blocks, or stands by to.
    pub sequencers: Vec<ComponentId>,
}

impl ChainPlan {
    /// A chain whose blocks come at fixed times: three slots without one are too many.
    pub fn slots(pool: ComponentId, block_time: Duration, interval: Duration) -> Self {
        let late = block_time * SLOTS;
        Self { pool, block_time, late, safe_late: None, interval, sequencers: Vec::new() }
    }

    /// A chain whose blocks come at random, as where work is proved, so many apart on average.
    pub fn random(pool: ComponentId, mean: Duration, interval: Duration) -> Self {
        Self { late: mean * MEANS, ..Self::slots(pool, mean, interval) }
    }

    /// How long a report says something.
    pub(crate) fn fresh(&self) -> Duration {
        self.interval * 2 + LATE
    }

    /// An age in blocks.
    pub(crate) fn blocks(&self, age: Duration) -> f64 {
        age.as_secs_f64() / self.block_time.as_secs_f64().max(0.001)
    }
}
