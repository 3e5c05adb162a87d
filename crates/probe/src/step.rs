//! The steps of a check. Each notes when it begins and ends, so that a check which is cut short can still tell where.

mod connect;
pub(crate) mod dns;
pub(crate) mod evm;
pub(crate) mod http;
pub(crate) mod journey;
mod link;
mod notes;
pub(crate) mod socket;
pub(crate) mod talk;

pub(crate) use link::Link;
pub(crate) use notes::Notes;
