//! The machine room: supervised tasks, the clock, network and disk seams, metrics, logs and TLS, and
//! the four seams through which a capability reaches the rest of the house.

pub mod bus;
pub mod clock;
pub mod disk;
pub mod lease;
pub mod logs;
pub mod metrics;
pub mod net;
pub mod random;
pub mod seam;
pub mod signals;
pub mod state;
pub mod tasks;
pub mod watch;

use std::sync::Arc;

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
    /// What every generator of random numbers is made from.
    pub seed: random::Seed,
    /// The metrics registry.
    pub metrics: metrics::Metrics,
}
