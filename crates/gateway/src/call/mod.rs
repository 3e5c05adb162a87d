//! One call, from the client's words to the answer it gets.

mod attempt;
mod entry;
mod judge;
mod quorum;
mod race;
mod read;
mod refusal;
mod split;
mod write;

use bytes::Bytes;
use hyper::body::Incoming;

pub(crate) use attempt::Ask;
pub(crate) use entry::answer;
pub(crate) use judge::{asked_wait, status_fault};
pub(crate) use refusal::Refusal;

use crate::client::Link;

/// What the client gets.
pub(crate) enum Reply {
    /// A whole JSON-RPC answer.
    Whole(Bytes),
    /// An answer too large to verify before its first byte goes out.
    Large(Large),
    /// An error of the gateway's own, already written, with the HTTP status it calls for alone.
    Refused(Bytes, http::StatusCode),
    /// The call was a notification.
    Nothing,
}

/// An answer that streams: what has come of it, and what is still to come.
pub(crate) struct Large {
    pub(crate) first: Bytes,
    pub(crate) link: Box<Link>,
    pub(crate) rest: Incoming,
}
