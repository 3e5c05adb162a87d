//! The probes' section of the estate, validated.

mod assert;
pub mod chain;
mod expect;
mod headers;
mod journey;
mod kind;
pub mod raw;
mod target;
mod validate;

pub use chain::{ChainSection, MemberSection};
pub use headers::header;
pub use target::read_resolver;
pub use validate::{MAX_PROBES, validate};

use std::{sync::Arc, time::Duration};

use seawall_model::{ComponentId, Name};

use crate::{
    core::{chain::Part, check::Check, schedule::Bounds, target::Target},
    runner::{Plan, Planned, spread},
};

/// Everything the probes need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbesSection {
    /// The probes, in name order.
    pub probes: Vec<ProbeSection>,
    /// The chains that are watched, in name order.
    pub chains: Vec<ChainSection>,
    /// What holds for all of them.
    pub watch: WatchSection,
}

/// What a check of [`ProbesSection::plan`] is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Watched<'a> {
    /// A probe.
    Probe(&'a ProbeSection),
    /// A part of a member of a chain.
    Chain(&'a ChainSection, &'a MemberSection, Part),
}

/// One probe.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSection {
    /// Its name.
    pub name: Name,
    /// The component it speaks about.
    pub of: ComponentId,
    /// Time from one check, or heartbeat, to the next.
    pub every: Duration,
    /// Failures on end after which it is taken for down.
    pub down_after: u32,
    /// Successes on end after which it is taken for up again.
    pub up_after: u32,
    /// What it does.
    pub check: Arc<Check>,
}

/// Longest time from one look at a job's heartbeats to the next.
const LOOK: Duration = Duration::from_secs(10);

impl ProbeSection {
    /// Time from one check to the next: of heartbeats, which may be far apart, from one look to the next.
    pub fn turn(&self) -> Duration {
        if matches!(self.check.target, Target::Push(_)) { self.every.min(LOOK) } else { self.every }
    }
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
    /// What the check of that number is of, as [`ProbesSection::plan`] numbers them: probes first, then the chains' parts.
    pub fn watched(&self, number: usize) -> Option<Watched<'_>> {
        let part = || self.parts().nth(number - self.probes.len());
        match self.probes.get(number) {
            Some(probe) => Some(Watched::Probe(probe)),
            None => part().map(|(chain, member, part, _)| Watched::Chain(chain, member, part)),
        }
    }

    /// All that is asked of chains.
    pub fn parts(&self) -> impl Iterator<Item = (&ChainSection, &MemberSection, Part, &Arc<Check>)> {
        let members = self.chains.iter().flat_map(|chain| chain.members.iter().map(move |m| (chain, m)));
        members.flat_map(|(chain, m)| m.checks.iter().map(move |(part, check)| (chain, m, *part, check)))
    }

    /// The checks as a runner wants them, numbered as [`ProbesSection::watched`] has it. Each one's turns come at the same place
    /// of its interval every time.
    pub fn plan(&self) -> Plan {
        let probes = self.probes.iter().map(|p| (p.check.clone(), p.turn(), spread(p.name.as_str())));
        let parts = self.parts().map(|(chain, member, part, check)| {
            (check.clone(), chain.every, spread(&format!("{} {}", member.component, part.as_str())))
        });
        let planned = |(number, (check, every, draw))| Planned { number, check, every, draw };
        let checks = probes.chain(parts).enumerate().map(planned).collect();
        Plan { checks, anchors: self.watch.anchors.clone(), bounds: self.watch.bounds }
    }
}
