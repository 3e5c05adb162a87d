//! A client's WebSocket (RFC 6455): calls and batches, answered as they are done, and notifications.
//!
//! One task serves it. What a client does not take waits in its `pipe` up to a limit, and behind that in the
//! windows of the feed, where it costs nobody anything; one that stays behind is told so and closed.

mod handshake;
mod pipe;
mod talk;

pub(super) use handshake::{Slot, accept, is_asked_for};
pub(super) use talk::run;
