//! The probes' section of the estate, validated.

mod assert;
mod expect;
mod headers;
mod journey;
pub mod raw;
mod target;
mod validate;

pub use headers::header;
pub use target::read_resolver;
pub use validate::{MAX_PROBES, validate};

use std::{sync::Arc, time::Duration};

use seawall_model::{ComponentId, Name};

use crate::{
    core::{check::Check, schedule::Bounds},
    runner::{Plan, Planned, spread},
};

/// Everything the probes need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbesSection {
    /// The probes, in name order.
    pub probes: Vec<ProbeSection>,
    /// What holds for all of them.
    pub watch: WatchSection,
}

/// One probe.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSection {
    /// Its name.
    pub name: Name,
    /// The component it speaks about.
    pub of: ComponentId,
    /// Time from one check to the next.
    pub every: Duration,
    /// Failures on end after which it is taken for down.
    pub down_after: u32,
    /// Successes on end after which it is taken for up again.
    pub up_after: u32,
    /// What it does.
    pub check: Arc<Check>,
}

/// What holds for all probes.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchSection {
    /// Targets that hardly ever fail all at once.
    pub anchors: Vec<Check>,
    /// As many checks as may be under way.
    pub bounds: Bounds,
    /// What this place is called from which they are made.
    pub vantage: Name,
    /// Other places that push what they find.
    pub remote: Vec<Name>,
}

impl WatchSection {
    /// The source of the signals of a place that checks are made from.
    pub fn source(vantage: &Name) -> String {
        format!("probe/{vantage}")
    }
}

impl ProbesSection {
    /// The checks as a runner wants them, numbered as in [`ProbesSection::probes`]. A probe's turns come at the same place
    /// of its interval every time.
    pub fn plan(&self) -> Plan {
        let planned = |(number, probe): (usize, &ProbeSection)| Planned {
            number,
            check: probe.check.clone(),
            every: probe.every,
            draw: spread(probe.name.as_str()),
        };
        let checks = self.probes.iter().enumerate().map(planned).collect();
        Plan { checks, anchors: self.watch.anchors.clone(), bounds: self.watch.bounds }
    }
}
