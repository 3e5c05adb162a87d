//! Signals in, verdicts out: what is believed of each component, why, and who is to blame.
//!
//! Pure: `now` comes in as an argument, the estate as a [`Plan`], and what follows comes back as the
//! verdicts that have changed. The rules are product behaviour:
//!
//! - An **upstream** is *down* when its head is faulty, or every method class in use is ejected by its
//!   breaker. It is *degraded* when some class is ejected, or failures are elevated ([`FAILURE_SHARE`] of at
//!   least [`FAILURES`] over [`WINDOW`]). It is *unknown* when nothing fresher than [`FRESH`] says that it
//!   works. What a source said of a breaker stands for as long as the source itself is heard from.
//! - **Whatever is probed** is what a [`Quorum`] of the vantage points says that have a say: whose last result is
//!   fresh, and who are not in trouble themselves. Where they do not agree it is *degraded*; where nobody has a
//!   say, *unknown*. A vantage point that tells of its own trouble takes back all that it said, and has no say until
//!   [`TROUBLE`] has passed since.
//! - A **pool** is *up* when all its upstreams are, *down* when none is known to serve, *degraded* in
//!   between, and *unknown* when all of them are. It is *degraded* too when its chain stands still as a whole, or
//!   does not go on as it should (`chain.rs`). An upstream that is new counts for its pool and provider once it has been
//!   judged, or is [`FRESH`] old.
//! - A **provider**, or a region, is *down* when every one of those that stand on it is down, *up* when all are up,
//!   *unknown* when all are unknown, else *degraded*. What needs others does not count, nor what is worked on.
//! - **What needs others** is what follows from theirs; where it is probed as well, and found up, it is no worse than
//!   *degraded*.
//! - **Damping**: no verdict turns, or comes back to what it was, within [`Plan::damping`] of its last change; what is
//!   so held up is told when that has passed. An outage that grows is told at once (`damping.rs`).
//! - **Blame**: [`Engine::blame`] names the fewest components that explain all that is bad, the most specific of
//!   equally few.
//!
//! A signal is judged by what it concerns alone, and what the passing of time may change has a deadline, so that the
//! number of components does not matter. Evidence is worded when a verdict changes or is asked for.

mod aggregate;
mod blame;
mod chain;
mod damping;
mod deadlines;
pub mod detect;
mod engine;
mod heads;
mod judge;
mod layout;
mod plan;
mod slo;
mod sources;
mod tally;
#[cfg(test)]
mod tests;
mod upstream;
mod votes;
mod words;

use std::time::Duration;

pub use blame::{Blame, Root};
pub use chain::{BEHIND, ChainPlan, Culprit};
pub use engine::Engine;
pub use heads::Heads;
pub use plan::{ComponentPlan, Maintenance, Plan, PoolPlan, ProbePlan, Quorum, Rule, UpstreamPlan, Vantage};
use seawall_model::{Cause, Status, Wall};
pub use slo::{Alert, Burn, Good, Slo, SloPlan, SloState};
pub use sources::SOURCES;
pub use tally::BUCKETS;

/// How old a signal may be and still say something.
pub const FRESH: Duration = Duration::from_secs(10);
/// The time over which failures are counted.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Failures below this many in [`WINDOW`] are not held against an upstream.
pub const FAILURES: u64 = 3;
/// Share of attempts in [`WINDOW`] that must fail to make an upstream degraded.
pub const FAILURE_SHARE: f64 = 0.1;
/// How long after a change nothing changes for the better, unless the plan says otherwise.
pub const HOLD: Duration = Duration::from_secs(10);
/// How long a vantage point has no say after it told of its own trouble.
pub const TROUBLE: Duration = Duration::from_secs(10);
/// How much later than twice its interval a probe's next result may come.
pub const LATE: Duration = Duration::from_secs(5);

/// What is thought of a component, before damping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opinion {
    status: Status,
    cause: Option<Cause>,
}

/// How long ago `at` was. What the clock, set back, says is yet to come is as old as can be: it counts for
/// nothing, and holds nothing up.
pub(crate) fn age(now: Wall, at: Wall) -> Duration {
    if at <= now { now.since(at) } else { Duration::MAX }
}

/// The moment that is so long after `at`.
pub(crate) fn after(at: Wall, time: Duration) -> Wall {
    Wall(at.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

/// The first moment at which more than that time has passed.
pub(crate) fn past(at: Wall, time: Duration) -> Wall {
    Wall(after(at, time).0.saturating_add(1))
}
