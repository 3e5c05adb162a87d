//! HTTP/1.1 to upstreams: one exchange at a time on pooled connections; and HTTP/2 to those that speak gRPC (`channel`).
//!
//! A connection has no task of its own: whoever exchanges on it also drives it, so that an answer costs
//! no hop between tasks. While it lies idle nobody drives it; it is looked at once before it is used
//! again.

mod channel;
mod link;
mod pool;
mod upload;

pub(crate) use channel::{Channels, Lease, start as start_h2};
pub(crate) use link::{ExchangeError, Link, Received};
pub(crate) use pool::Links;
pub(crate) use upload::{End, Sending, Upload};
