//! Limits on WebSockets.

use seawall_model::{
    estate::{At, Problems},
    section,
    units::Bytes,
};

use super::validate::{size, within};

section! {
    /// Limits on clients' WebSockets.
    pub struct RawSockets {
        /// Most at once; `connections` holds for them too.
        open: At<u32>, default(10000);
        /// Most subscriptions on one.
        subscriptions: At<u32>, default(100);
        /// What may wait for one client to take it.
        queue: At<Bytes>, default("4MiB");
    }
}

/// Limits on clients' WebSockets.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketLimits {
    /// Most at once, over all workers.
    pub open: usize,
    /// Most subscriptions on one.
    pub subscriptions: usize,
    /// Bytes that may wait for one client to take them.
    pub queue: usize,
}

/// Judges the limits.
pub(super) fn validate(raw: &RawSockets, problems: &mut Problems) -> Option<SocketLimits> {
    let count = |at: At<u32>, most, key, problems: &mut Problems| {
        within(at, 0, most, key, u32::to_string, problems).and_then(|n| usize::try_from(n).ok())
    };
    let open = count(raw.open, 1_000_000, "open", problems);
    let subscriptions = count(raw.subscriptions, 10_000, "subscriptions", problems);
    let queue = size(raw.queue, "queue", problems);
    Some(SocketLimits { open: open?, subscriptions: subscriptions?, queue: queue? })
}
