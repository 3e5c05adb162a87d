//! Probes: a pure [`core`] under a thin async shell.
//!
//! A [`Check`] says what to do and what it must come to; a [`Prober`] makes it and gives a [`Report`]. A [`Runner`]
//! makes many, each when the [`core::schedule`] says, and holds back what may be its own fault until
//! [`core::own`] knows better.

mod beats;
pub mod core;
pub mod estate;
mod metrics;
mod prober;
mod runner;
mod step;

pub use beats::Beats;
pub use core::{
    check::Check,
    expect::Expect,
    fault::{Fault, Place},
    report::{Outcome, Report, Timings},
    target::{InvalidTarget, Target},
};
pub use metrics::Counters;
pub use prober::{Kept, Prober};
pub use runner::{Finished, Owing, Plan, Planned, Runner, Sink};
