//! A client's WebSocket (RFC 6455). To a chain it is a talk: calls and batches, answered as they are done, and
//! notifications. To an API it is a tunnel (`forward::socket`).
//!
//! One task serves it. What a client does not take waits in its `pipe` up to a limit, and behind that in the
//! windows of the feed, where it costs nobody anything; one that stays behind is told so and closed.

mod handshake;
mod pipe;
mod run;
mod talk;

pub(crate) use handshake::{Slot, Then, Welcome};
pub(super) use handshake::{accept, is_asked_for, is_asked_for_in_full};
pub(crate) use pipe::{Event, Pipe};
pub(super) use run::run;
