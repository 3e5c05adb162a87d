//! The vocabulary every part of Seawall shares: ids, time, causes, [`Signal`], [`Verdict`],
//! [`Record`], and the [`estate`] (what a user runs and depends on).
//!
//! Something goes in here when two crates need it, and nothing else does: no IO, no clock, no
//! randomness.

mod cause;
pub mod estate;
mod id;
mod record;
mod secret;
mod signal;
mod time;
pub mod units;
mod verdict;

pub use cause::{Blame, Cause};
pub use id::{ComponentId, ComponentKind, InvalidName, Name};
pub use record::{Record, RecordKind};
pub use secret::Secret;
pub use signal::{Affected, AffectedSum, Check, Conductor, Fact, Heads, Outcome, Signal, Tagged, Traffic};
pub use time::{Mono, Wall};
pub use verdict::{Status, Verdict};
