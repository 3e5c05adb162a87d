//! The steps of a check. Each notes when it begins and ends, so that a check which is cut short can still tell where.

pub(crate) mod chain;
mod connect;
pub(crate) mod datagram;
pub(crate) mod dns;
pub(crate) mod evm;
pub(crate) mod exec;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod journey;
mod link;
mod notes;
pub(crate) mod push;
pub(crate) mod socket;
pub(crate) mod talk;

pub(crate) use link::Parked;
pub(crate) use notes::Notes;
