//! The machine room: supervised tasks, the clock, network and disk seams, metrics, logs and TLS, and
//! the four seams through which a capability reaches the rest of the house.

pub mod bus;
pub mod clock;
pub mod disk;
pub mod lease;
pub mod lines;
pub mod logs;
pub mod metrics;
pub mod neighbours;
pub mod net;
pub mod programs;
pub mod random;
pub mod seam;
pub mod signals;
pub mod state;
pub mod succession;
pub mod tasks;
pub mod watch;

use std::{path::Path, sync::Arc};

/// What the whole daemon is given, and all it knows of the machine: the same wiring runs on a real one
/// and in a simulation.
#[derive(Clone)]
pub struct Machine {
    /// Readings of the time.
    pub clock: clock::Clock,
    /// The network.
    pub net: Arc<dyn net::Net>,
    /// The file system.
    pub disk: Arc<dyn disk::Disk>,
    /// Where the data path's workers run.
    pub threads: tasks::Threads,
    /// How other programs are run.
    pub programs: Arc<dyn programs::Programs>,
    /// What every generator of random numbers is made from.
    pub seed: random::Seed,
    /// The metrics registry.
    pub metrics: metrics::Metrics,
}

impl Machine {
    /// The machine this process runs on. Upstreams' certificates are checked against the Mozilla roots and
    /// those in `ca_bundle` (a PEM file). What it listens on is kept in `sockets`.
    ///
    /// # Errors
    /// If the bundle cannot be used.
    pub fn system(
        ca_bundle: Option<&Path>,
        sockets: Arc<net::sockets::Sockets>,
    ) -> Result<Self, net::system::TlsError> {
        let metrics = metrics::Metrics::new();
        Ok(Self {
            clock: clock::Clock::system(),
            net: Arc::new(net::system::SystemNet::new(ca_bundle, sockets, &metrics)?),
            disk: Arc::new(disk::SystemDisk),
            threads: tasks::Threads::System,
            programs: Arc::new(programs::SystemPrograms::default()),
            seed: random::Seed::system(),
            metrics,
        })
    }
}
