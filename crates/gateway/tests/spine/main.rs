//! The gateway's spine, end to end: the real gateway on loopback ports, between scripted upstreams and clients
//! that speak HTTP as they should or write what they like.
//!
//! Nothing waits for a time to pass where it can look for what is to happen.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

mod access;
mod account;
mod admission;
mod batch;
mod budgets;
mod cache;
mod choice;
mod client;
mod coherent;
mod drain;
mod explain;
mod families;
mod faults;
mod filters;
mod framing;
mod grpc;
mod grpc_ends;
mod halted;
mod herald;
mod heralds;
mod hostile_h2;
mod house;
mod http2;
mod http_api;
mod idle;
mod ledger;
mod node;
mod outage;
mod paths;
mod pki;
mod port;
mod probing;
mod quorum;
mod ranges;
mod reload;
mod rpc;
mod smuggling;
mod socket;
mod streaming;
mod subscribe;
mod tls;
mod told;
mod tunnel;
mod uploads;
mod upstream;
mod venue;
mod write;
