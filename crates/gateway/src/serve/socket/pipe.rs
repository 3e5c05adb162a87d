//! A socket's bytes: messages in, messages out, neither waiting for the other.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, Utf8Bytes, protocol::CloseFrame},
};

use crate::{
    feed::Note,
    serve::{Pulse, preface::Seen},
};

/// What a notification is besides its payload, in bytes.
const AROUND: usize = 130;

/// Something on its way to the client.
enum Out {
    Whole(Bytes),
    Note(Note),
    Control(Message),
}

impl Out {
    fn len(&self) -> usize {
        match self {
            Self::Whole(text) => text.len(),
            Self::Note(note) => note.payload.len() + AROUND,
            Self::Control(_) => AROUND,
        }
    }

    /// The message itself, made as late as can be: until then a notification's payload is everybody's.
    fn message(self) -> Message {
        let text = match self {
            Self::Control(message) => return message,
            Self::Whole(text) => text,
            Self::Note(Note { id, payload }) => {
                let mut text = Vec::with_capacity(AROUND + payload.len());
                let head = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":""#;
                text.extend_from_slice(head.as_bytes());
                text.extend_from_slice(format!("{id:#x}").as_bytes());
                text.extend_from_slice(br#"","result":"#);
                text.extend_from_slice(&payload);
                text.extend_from_slice(b"}}");
                text.into()
            }
        };
        // An upstream's answer is UTF-8, or it would have been none.
        Message::Text(Utf8Bytes::try_from(text).unwrap_or_default())
    }
}

/// What happened on the socket.
pub(super) enum Event {
    /// The client said this.
    Heard(Message),
    /// What was in the way has gone out: there is room again.
    Room,
    /// It has ended.
    Ended,
    /// The client broke the protocol.
    Broken(tungstenite::Error),
}

/// The socket and what waits to go out on it.
pub(super) struct Pipe {
    socket: WebSocketStream<Seen>,
    waiting: VecDeque<Out>,
    /// Bytes that wait.
    bytes: usize,
    /// Something has been handed to the socket and not all of it has gone out.
    unflushed: bool,
    /// To be told when there is room again.
    pub(super) wants_room: bool,
    /// The limit of what may wait.
    limit: usize,
    taken: Arc<Pulse>,
}

impl Pipe {
    pub(super) fn new(socket: WebSocketStream<Seen>, limit: usize) -> Self {
        let taken = socket.get_ref().pulse();
        Self { socket, waiting: VecDeque::new(), bytes: 0, unflushed: false, wants_room: false, limit, taken }
    }

    /// True while less waits than may.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    /// Grows whenever the client takes something.
    pub(super) fn taken(&self) -> u32 {
        self.taken.beats()
    }

    /// True once everything has gone out.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    pub(super) fn say(&mut self, text: Bytes) {
        self.put(Out::Whole(text));
    }

    pub(super) fn tell(&mut self, note: Note) {
        self.put(Out::Note(note));
    }

    pub(super) fn ping(&mut self) {
        self.put(Out::Control(Message::Ping(Bytes::new())));
    }

    /// The last thing that is said; what waits goes out before it, unless `at_once`.
    pub(super) fn close(&mut self, frame: CloseFrame, at_once: bool) {
        if at_once {
            self.waiting.clear();
            self.bytes = 0;
        }
        self.put(Out::Control(Message::Close(Some(frame))));
    }

    fn put(&mut self, out: Out) {
        self.bytes += out.len();
        self.waiting.push_back(out);
    }

    /// Writes what it can and, if `reading`, reads. With `last`, it is an event that everything has gone out.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, reading: bool, last: bool) -> Poll<Event> {
        if self.write(cx).is_err() {
            return Poll::Ready(Event::Ended);
        }
        if last && self.is_empty() {
            return Poll::Ready(Event::Room);
        }
        if self.wants_room && self.bytes <= self.limit / 2 {
            self.wants_room = false;
            return Poll::Ready(Event::Room);
        }
        if !reading {
            return Poll::Pending;
        }
        let event = match Pin::new(&mut self.socket).poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(message))) => Event::Heard(message),
            Poll::Ready(None) => Event::Ended,
            Poll::Ready(Some(Err(
                error @ (tungstenite::Error::Io(_) | tungstenite::Error::AlreadyClosed),
            ))) => {
                tracing::trace!(%error, "a client's socket ended early");
                Event::Ended
            }
            Poll::Ready(Some(Err(error))) => Event::Broken(error),
        };
        Poll::Ready(event)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), tungstenite::Error> {
        while !self.waiting.is_empty() {
            match Pin::new(&mut self.socket).poll_ready(cx)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) => {}
            }
            let Some(out) = self.waiting.pop_front() else { break };
            self.bytes -= out.len();
            Pin::new(&mut self.socket).start_send(out.message())?;
            self.unflushed = true;
        }
        if self.unflushed && Pin::new(&mut self.socket).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }
}
