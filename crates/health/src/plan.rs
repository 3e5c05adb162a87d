//! What there is to judge: the pools, their upstreams, and who operates them.

use std::time::Duration;

use seawall_model::ComponentId;

/// The part of an estate that verdicts are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The pools.
    pub pools: Vec<PoolPlan>,
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

impl Plan {
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &UpstreamPlan> {
        self.pools.iter().flat_map(|pool| &pool.upstreams)
    }

    /// Every component, some more than once.
    pub(crate) fn components(&self) -> impl Iterator<Item = &ComponentId> {
        let upstreams = self.upstreams().flat_map(|u| [&u.component, &u.provider]);
        self.pools.iter().map(|pool| &pool.component).chain(upstreams)
    }
}
