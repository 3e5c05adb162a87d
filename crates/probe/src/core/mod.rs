//! What to check, what was found and what is wrong with it: no clock, no network.

pub mod answer;
pub mod assert;
pub mod beat;
pub mod certificate;
pub mod chain;
pub mod check;
pub mod cookies;
pub mod dns;
pub mod evm;
pub mod expect;
pub mod exposition;
pub mod fault;
pub mod grpc;
pub mod icmp;
pub mod journey;
pub mod ntp;
pub mod own;
pub mod report;
pub mod schedule;
pub mod target;
