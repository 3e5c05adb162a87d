//! A socket's bytes: messages in, messages out, neither waiting for the other.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use crate::{feed::Note, serve::Pulse};

/// How a notification ends.
const TAIL: &[u8] = b"}}";
/// What a message is counted as besides its text, in bytes.
const CONTROL: usize = 130;

/// Something on its way to the client.
enum Out {
    Whole(Bytes),
    Note(Note),
    /// A message as it is.
    Control(Message),
}

impl Out {
    fn len(&self) -> usize {
        match self {
            Self::Whole(text) => text.len(),
            Self::Note(note) => note.head.len() + note.payload.len(),
            Self::Control(message) => CONTROL + message.len(),
        }
    }

    /// The message itself, made as late as can be: until then a notification's payload is everybody's.
    fn message(self) -> Message {
        let text = match self {
            Self::Control(message) => return message,
            Self::Whole(text) => text,
            Self::Note(Note { head, payload }) => {
                let mut text = Vec::with_capacity(head.len() + payload.len() + TAIL.len());
                text.extend_from_slice(&head);
                text.extend_from_slice(&payload);
                text.extend_from_slice(TAIL);
                text.into()
            }
        };
        // UTF-8 as it must be: our own words, and JSON that was read as such.
        Message::Frame(Frame::message(text, OpCode::Data(Data::Text), true))
    }
}

/// What happened on the socket.
pub(crate) enum Event {
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
pub(crate) struct Pipe<S> {
    socket: WebSocketStream<S>,
    waiting: VecDeque<Out>,
    /// Bytes that wait.
    bytes: usize,
    /// Something has been handed to the socket and not all of it has gone out.
    unflushed: bool,
    /// To be told when there is room again.
    pub(crate) wants_room: bool,
    /// The limit of what may wait.
    limit: usize,
    taken: Arc<Pulse>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// Of that socket; at most `limit` bytes wait. `taken` beats when something is taken.
    pub(crate) fn new(socket: WebSocketStream<S>, limit: usize, taken: Arc<Pulse>) -> Self {
        Self { socket, waiting: VecDeque::new(), bytes: 0, unflushed: false, wants_room: false, limit, taken }
    }

    /// True while less waits than may.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    /// Grows whenever the client takes something.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.beats()
    }

    /// True once everything has gone out.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    pub(crate) fn say(&mut self, text: Bytes) {
        self.put(Out::Whole(text));
    }

    /// Passes a message on as it is.
    pub(crate) fn pass(&mut self, message: Message) {
        self.put(Out::Control(message));
    }

    pub(crate) fn tell(&mut self, note: Note) {
        self.put(Out::Note(note));
    }

    pub(crate) fn ping(&mut self) {
        self.put(Out::Control(Message::Ping(Bytes::new())));
    }

    /// The last thing that is said; what waits goes out before it, unless `at_once`.
    pub(crate) fn close(&mut self, frame: CloseFrame, at_once: bool) {
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
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, reading: bool, last: bool) -> Poll<Event> {
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
