//! The metrics registry.
//!
//! Every name begins with `seawall_` and the capability's prefix, ends in its unit, and keeps to what
//! `promtool check metrics` accepts. What the operating system counts of the process keeps the names
//! every Prometheus client gives it (`process_…`).

mod labels;
mod process;
mod reading;
mod text;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;

pub use labels::Labels;
pub use process::Build;
pub use reading::read_counter;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The registry of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::default())) }
    }

    /// Registers metrics under `seawall_<prefix>_`. The registry adds `_total` to counters by itself.
    pub fn within<R>(&self, prefix: &str, register: impl FnOnce(&mut Registry) -> R) -> R {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix("seawall").sub_registry_with_prefix(prefix))
    }

    /// Adds what the system counts of this process, and the build it runs. Left out in a simulation,
    /// whose output must repeat.
    pub fn describe_process(&self, build: Build) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        process::register(&mut registry, build);
    }

    /// Everything registered, as Prometheus text; see [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&registry)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
