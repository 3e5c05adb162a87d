//! HTTP/1.1 over one connection.
//!
//! The connection has no task of its own: whoever waits for an answer drives it, so that an answer costs no hop between
//! tasks.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use seawall_runtime::net::Conn;
use tokio::io::{AsyncRead, ReadBuf};

use crate::core::fault::Fault;

/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most of a body that is held to be looked at, in bytes.
pub(crate) const MAX_HELD: usize = 1024 * 1024;
/// Most of a body that is read, in bytes.
const MAX_READ: u64 = 64 * 1024 * 1024;

/// A connection and the means to use it.
pub(crate) struct Link {
    send: SendRequest<Full<Bytes>>,
    drive: Pin<Box<Connection<TokioIo<Conn>, Full<Bytes>>>>,
}

/// A body that was read.
pub(crate) struct Read {
    /// The part of it that was held.
    pub(crate) held: Bytes,
    pub(crate) bytes: u64,
    /// There was more than is ever read.
    pub(crate) cut: bool,
}

/// Why no head of an answer came.
pub(crate) enum NoHead {
    /// The connection ended before a byte of it.
    Closed,
    /// It was not HTTP, or ended within.
    Bad(hyper::Error),
}

impl NoHead {
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Closed => Fault::Closed,
            Self::Bad(e) => Fault::Malformed { why: e.to_string() },
        }
    }
}

impl Link {
    /// Speaks HTTP/1.1 over a fresh connection.
    pub(crate) async fn start(conn: Conn) -> Result<Self, Fault> {
        let started =
            http1::Builder::new().max_buf_size(MAX_HEAD).writev(false).handshake(TokioIo::new(conn)).await;
        let (send, drive) = started.map_err(|e| NoHead::Bad(e).fault())?;
        Ok(Self { send, drive: Box::pin(drive) })
    }

    /// Is it still good? Also hears of a close that has arrived.
    async fn is_alive(&mut self) -> bool {
        poll_fn(|cx| {
            let alive = self.drive.as_mut().poll(cx).is_pending();
            Poll::Ready(alive && self.send.is_ready())
        })
        .await
    }

    /// Ends with the bare connection, if it is good for another request: a tenth of the room that it takes with buffers.
    pub(crate) async fn part(mut self) -> Option<Conn> {
        if !self.is_alive().await {
            return None;
        }
        let Self { send, mut drive } = self;
        drop(send);
        poll_fn(|cx| drive.poll_without_shutdown(cx)).await.ok()?;
        let parts = Pin::into_inner(drive).into_parts();
        // What was not asked for would be taken for the next answer.
        parts.read_buf.is_empty().then(|| parts.io.into_inner())
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn head(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NoHead> {
        let mut answer = std::pin::pin!(self.send.send_request(request));
        let drive = &mut self.drive;
        poll_fn(|cx| {
            let ended = drive.as_mut().poll(cx);
            // All news of the answer comes through `drive`, just polled: no wake-up of its own is needed.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(e)) => Poll::Ready(Err(no_head(e))),
                Poll::Pending => match ended {
                    Poll::Ready(Err(e)) => Poll::Ready(Err(no_head(e))),
                    Poll::Ready(Ok(())) => Poll::Ready(Err(NoHead::Closed)),
                    Poll::Pending => Poll::Pending,
                },
            }
        })
        .await
    }

    /// Reads a body to its end, and holds up to `hold` bytes of it.
    pub(crate) async fn body(&mut self, mut incoming: Incoming, hold: usize) -> Result<Read, Fault> {
        let (mut held, mut more, mut bytes) = (Bytes::new(), BytesMut::new(), 0_u64);
        while !incoming.is_end_stream() {
            let Some(data) = self.frame(&mut incoming).await.map_err(|_| Fault::Truncated)? else { break };
            let room = hold.saturating_sub(held.len() + more.len());
            match (bytes, room) {
                (_, 0) => {}
                // Most bodies come in one piece.
                (0, room) => held = data.slice(..data.len().min(room)),
                (_, room) => {
                    if more.is_empty() {
                        more.extend_from_slice(&std::mem::take(&mut held));
                    }
                    more.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
            bytes += data.len() as u64;
            if bytes > MAX_READ {
                break;
            }
        }
        let held = if more.is_empty() { held } else { more.freeze() };
        Ok(Read { held, bytes, cut: bytes > MAX_READ })
    }

    /// The next piece of a body; `None` at its end.
    async fn frame(&mut self, incoming: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
        poll_fn(|cx| {
            if let Poll::Ready(piece) = piece(incoming) {
                return Poll::Ready(piece);
            }
            let ended = self.drive.as_mut().poll(cx);
            // Once more, for what has just come.
            match (piece(incoming), ended) {
                (Poll::Ready(piece), _) => Poll::Ready(piece),
                (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
                (Poll::Pending, Poll::Ready(Err(e))) => Poll::Ready(Err(e)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }
}

/// Is nothing to be heard from a connection on which nobody was asked? Else it has ended, or is out of step.
pub(crate) async fn is_quiet(conn: &mut Conn) -> bool {
    let mut byte = [0];
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *conn).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()))
        .await
}

/// What there is of a body already. Trailers are passed over.
fn piece(incoming: &mut Incoming) -> Poll<Result<Option<Bytes>, hyper::Error>> {
    // All news of it comes through the connection: no wake-up of its own is needed.
    let mut quiet = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut *incoming).poll_frame(&mut quiet) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Ok(Some(data)));
                }
            }
            Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(e)),
            Poll::Ready(None) => return Poll::Ready(Ok(None)),
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn no_head(e: hyper::Error) -> NoHead {
    if e.is_canceled() || e.is_closed() || e.is_incomplete_message() {
        NoHead::Closed
    } else {
        NoHead::Bad(e)
    }
}
