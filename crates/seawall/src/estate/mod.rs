//! Reading an estate: files and includes, every section judged, every fault told at once.

mod assemble;
mod files;
mod maintenance;
mod report;
mod root;
mod secrets;
mod telemetry;

use std::{collections::BTreeMap, env::VarError, io, net::SocketAddr, path::Path, path::PathBuf};

use seawall_gateway::estate::GatewaySection;
use seawall_history::estate::HistorySection;
use seawall_journal::estate::JournalSection;
use seawall_model::{
    ComponentId, ComponentKind, Name, Secret,
    estate::{Graph, ServiceCost},
};
use seawall_probe::estate::ProbesSection;
use seawall_runtime::disk::Disk;

pub use maintenance::Announced;
pub use report::Report;
pub use root::{LogFormat, LogLevel, schema};
pub use telemetry::{AccessSection, Collector, TelemetrySection};

/// What the failure of services costs.
pub type Costs = BTreeMap<ComponentId, ServiceCost>;

/// An estate that can be run.
#[derive(Debug)]
pub struct Estate {
    /// Its name.
    pub name: Name,
    /// Where the admin listener is.
    pub admin: SocketAddr,
    /// What a request must show before it changes state. Always there if `admin` is not loopback.
    pub admin_token: Option<Secret>,
    /// How to log.
    pub log: LogSection,
    /// What others are told of requests.
    pub telemetry: TelemetrySection,
    /// The gateway, if there are pools.
    pub gateway: Option<GatewaySection>,
    /// The journal, if there is to be one.
    pub journal: Option<JournalSection>,
    /// The probes, if there are any.
    pub probes: Option<ProbesSection>,
    /// The history, if there is to be one.
    pub history: Option<HistorySection>,
    /// Work that is announced.
    pub maintenance: Vec<Announced>,
    /// Every component and what it needs.
    pub graph: Graph,
    /// Files and directories it was read from, secrets' included: a change to any of them may change it.
    pub files: Vec<PathBuf>,
    /// SHA-256 of the estate files' text in hexadecimal. Secrets held elsewhere do not enter.
    pub digest: String,
    /// Warnings.
    pub report: Report,
}

impl Estate {
    /// What the failure of services costs, each with whose requests tell what failed: those of the pool that the estate
    /// names, or of the one pool that is all the service needs, where it counts them and nothing else speaks about the
    /// service.
    pub fn costs(&self) -> Costs {
        let one_pool = |id: &ComponentId| {
            let probed = self.probes.iter().flat_map(|section| &section.probes).any(|probe| probe.of == *id);
            let [only] = self.graph.needs(id)?.components()[..] else { return None };
            let mut pools = self.gateway.iter().flat_map(|gateway| &gateway.pools);
            let counts = pools.any(|pool| pool.affected.is_some() && pool.component() == *only);
            (counts && !probed).then(|| only.clone())
        };
        let costs = self.graph.services.iter().filter_map(|(name, service)| {
            let id = ComponentId::new(ComponentKind::Service, name);
            let mut cost = service.cost.clone()?;
            cost.requests = cost.requests.or_else(|| one_pool(&id));
            Some((id, cost))
        });
        costs.collect()
    }
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
    /// What a line looks like.
    pub format: LogFormat,
    /// What is worth a line.
    pub level: LogLevel,
    /// The access log, if there is to be one.
    pub access: Option<AccessSection>,
}

/// What an estate is read with: the only way to files, variables and the machine.
pub struct Surroundings<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Environment variables.
    pub variable: &'a dyn Fn(&str) -> Result<String, VarError>,
    /// Cores, for the number of data-path threads where the estate does not say.
    pub cores: usize,
}

/// Why an estate was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The path itself could not be read.
    #[error("SW0101: cannot read the estate `{}`: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is wrong.
    #[error("the estate is not valid: {} found", report.count())]
    Invalid {
        /// How.
        report: Box<Report>,
    },
}

/// Reads the estate at `path`: a file, or a directory whose `*.toml` are read in name order.
pub fn load(path: &Path, with: &Surroundings<'_>) -> Result<Estate, LoadError> {
    let read = files::read(path, with.disk)
        .map_err(|cause| LoadError::Unreadable { path: path.to_owned(), cause })?;
    assemble::assemble(read, with)
}

#[cfg(test)]
pub(crate) mod tests;
