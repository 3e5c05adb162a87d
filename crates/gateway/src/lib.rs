//! The failover gateway: a pure [`core`] under a thin async shell.
//!
//! One call's way: `serve` reads it, `call::entry` pins it to the agreed head, `pool` chooses an
//! upstream, `call::attempt` exchanges it over a `client` connection, `call::judge` says what the answer
//! is worth, and `call::read` or `call::write` decides what to do next. `poll` keeps the heads.

mod access;
mod account;
mod admission;
mod blooms;
mod call;
mod client;
pub mod core;
mod door;
pub mod estate;
mod event;
mod explain;
mod feed;
mod forward;
mod gateway;
mod heads;
mod metrics;
mod poll;
mod pool;
mod routes;
mod serve;
mod trace;
mod worker;

pub use account::{Account, Accounts, Ended, Tried, Wanted};
pub use admission::{ModeSet, ModeView};
pub use event::{Event, Events};
pub use explain::{CallExplained, Candidate, ExplainError, ExplainRequest, Explanation};
pub use gateway::{Gateway, NoSuchPool, NoSuchUpstream, ReloadError};
pub use pool::{
    AdmissionView, AllowanceView, BreakerView, CrowdView, HeadView, LatencyView, LimitView, PoolView,
    Spending, UpstreamView,
};
pub use trace::Context;
