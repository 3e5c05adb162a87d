//! What is counted of HTTP APIs.

use std::sync::atomic::AtomicU64;

/// Counters that are only ever added to.
#[derive(Default)]
pub(crate) struct ApiCounts {
    /// Writes in doubt whose outcome was found by a look-up.
    pub(crate) reconciled: AtomicU64,
    /// Writes in doubt that proved to have no effect.
    pub(crate) absent: AtomicU64,
    /// Attempts by a second path.
    pub(crate) second_path: AtomicU64,
}

type Counter = (&'static str, &'static str, fn(&ApiCounts) -> &AtomicU64);

/// Their names and meanings.
pub(crate) const COUNTERS: [Counter; 3] = [
    ("reconciled_writes", "Writes in doubt whose outcome was found by a look-up", |c| &c.reconciled),
    ("absent_writes", "Writes in doubt that a look-up proved to have no effect", |c| &c.absent),
    ("second_path_attempts", "Attempts by a second path", |c| &c.second_path),
];
