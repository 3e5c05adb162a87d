//! What there is to judge, and by which rules.

use std::{sync::Arc, time::Duration};

use seawall_model::{ComponentId, Wall, estate::Need};

use crate::{HOLD, SloPlan, chain::ChainPlan};

/// The part of an estate that verdicts are about.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The pools.
    pub pools: Vec<PoolPlan>,
    /// What is probed, needs something, or shares somebody's fate; pools, upstreams and providers among them.
    pub components: Vec<ComponentPlan>,
    /// What is known of the chains behind some of the pools.
    pub chains: Vec<ChainPlan>,
    /// Work that was announced.
    pub maintenance: Vec<Maintenance>,
    /// Objectives of services.
    pub objectives: Vec<SloPlan>,
    /// The time within which no verdict flips twice. Nothing is damped if it is zero.
    pub damping: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            pools: Vec::new(),
            components: Vec::new(),
            chains: Vec::new(),
            maintenance: Vec::new(),
            objectives: Vec::new(),
            damping: HOLD,
        }
    }
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPlan {
    /// The pool itself.
    pub component: ComponentId,
    /// Its chain has stopped if no head has moved for this long; `None` if it is no chain.
    pub halted_after: Option<Duration>,
    /// Its upstreams.
    pub upstreams: Vec<UpstreamPlan>,
}

/// An upstream of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamPlan {
    /// The upstream itself.
    pub component: ComponentId,
    /// Who operates it.
    pub provider: ComponentId,
}

/// How a component is watched, and what it depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentPlan {
    /// The component.
    pub component: ComponentId,
    /// What probes it.
    pub probes: Vec<ProbePlan>,
    /// What it needs to be up. Has no effect on pools, upstreams, and whatever others stand on; nor has a circle.
    pub needs: Option<Need>,
    /// Whose fate it shares: its region, or else its provider. A region stands on its provider.
    pub on: Vec<ComponentId>,
}

impl ComponentPlan {
    /// A component that nothing watches yet.
    pub fn new(component: ComponentId) -> Self {
        Self { component, probes: Vec::new(), needs: None, on: Vec::new() }
    }
}

/// A probe of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbePlan {
    /// Its name among those of the component, as in [`Check::probe`](seawall_model::Check::probe).
    pub name: Arc<str>,
    /// How often each vantage point runs it. A result says something for twice as long, and
    /// [`LATE`](crate::LATE) more.
    pub interval: Duration,
    /// Where it is run from. What others report is not counted.
    pub vantages: Vec<Vantage>,
    /// When a vantage point takes the component to be down, and up again.
    pub rule: Rule,
    /// How many must agree.
    pub quorum: Quorum,
}

/// A place to probe from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vantage {
    /// The source of its signals.
    pub source: Arc<str>,
    /// Where it stands. Those that stand in one place have one vote together, if they agree.
    pub site: Option<ComponentId>,
}

impl Vantage {
    /// A vantage point that shares its place with no other.
    pub fn alone(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), site: None }
    }
}

/// When a vantage point takes a component to be down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// After `down` failures on end; and up again after `up` successes. The first success of all says up.
    Consecutive {
        /// Failures; at least 1.
        down: u32,
        /// Successes; at least 1.
        up: u32,
    },
    /// While at least this share of the checks in a window failed.
    Rate {
        /// The window, counted in [`BUCKETS`](crate::BUCKETS) steps, of which the last has begun.
        window: Duration,
        /// The share, from 0 to 1.
        share: f64,
        /// Checks in the window below which it says nothing bad.
        least: u32,
    },
}

/// How many vantage points must agree. A place with several counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quorum {
    /// More than half of those that have a say now.
    #[default]
    Majority,
    /// So many. While fewer have a say nothing is known.
    AtLeast(usize),
}

/// Work on a component that was announced: what is bad of it meanwhile is put down to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// What is worked on.
    pub component: ComponentId,
    /// From when.
    pub from: Wall,
    /// Until when; that moment is no longer part of it.
    pub until: Wall,
    /// Why, if that is told.
    pub reason: Arc<str>,
}

impl Plan {
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &UpstreamPlan> {
        self.pools.iter().flat_map(|pool| &pool.upstreams)
    }
}
