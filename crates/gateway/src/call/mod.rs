//! One call, from the client's words to the answer it gets.

mod attempt;
mod entry;
mod judge;
mod pending;
mod quorum;
mod race;
mod read;
mod refusal;
mod share;
mod split;
mod trail;
mod write;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;

pub(crate) use attempt::Ask;
pub(crate) use entry::{answer, known, pinned};
pub(crate) use judge::{asked_wait, is_block, status_fault};
pub(crate) use refusal::{Refusal, Told};
pub(crate) use share::{Flights, Memo};
pub(crate) use trail::{By, Trail};

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

impl Large {
    /// All of it, for those who cannot stream; `None` if it is longer than `limit`, or breaks off.
    pub(crate) async fn whole(mut self, limit: usize, patience: Duration) -> Option<Bytes> {
        let mut all = BytesMut::from(&*self.first);
        while let Some(data) =
            tokio::time::timeout(patience, self.link.frame(&mut self.rest)).await.ok()?.ok()?
        {
            if all.len() + data.len() > limit {
                return None;
            }
            all.extend_from_slice(&data);
        }
        Some(all.freeze())
    }
}
