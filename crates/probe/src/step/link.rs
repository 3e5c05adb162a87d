//! HTTP over one connection.
//!
//! Over HTTP/1.1 it has no task of its own: whoever waits for an answer drives it, so that an answer costs no hop between
//! tasks. What HTTP/2 needs beside that ends with the connection.

use std::{
    error::Error as _,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use seawall_runtime::net::Conn;
use tokio::{
    io::{AsyncRead, ReadBuf},
    task::JoinSet,
};

use crate::core::{check::HttpVersion, fault::Fault};

/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The same over HTTP/2, counted as RFC 9113 has it.
const MAX_HEADERS: u32 = 64 * 1024;
/// Most of a body that is held to be looked at, in bytes.
pub(crate) const MAX_HELD: usize = 1024 * 1024;
/// Most of a body that is read, in bytes.
const MAX_READ: u64 = 64 * 1024 * 1024;

/// What drives HTTP/2.
type Second = http2::Connection<TokioIo<Conn>, Full<Bytes>, Crew>;

/// A connection and the means to use it.
pub(crate) enum Link {
    One {
        send: http1::SendRequest<Full<Bytes>>,
        drive: Pin<Box<http1::Connection<TokioIo<Conn>, Full<Bytes>>>>,
    },
    Two {
        send: http2::SendRequest<Full<Bytes>>,
        drive: Pin<Box<Second>>,
        _crew: Hands,
    },
}

/// A connection between two requests.
pub(crate) enum Parked {
    /// HTTP/1.1's, without buffers: a tenth of the room that it takes with them.
    Bare(Conn),
    /// HTTP/2's, which cannot be taken apart.
    Shared(Box<Link>),
}

/// The tasks of an HTTP/2 connection.
#[derive(Clone, Default)]
pub(crate) struct Crew(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Crew {
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Who ends them with it: they hold on to the crew themselves.
pub(crate) struct Hands(Crew);

impl Drop for Hands {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// A body that was read.
pub(crate) struct Read {
    /// The part of it that was held.
    pub(crate) held: Bytes,
    pub(crate) bytes: u64,
    /// There was more than is ever read.
    pub(crate) cut: bool,
    /// What came after it.
    pub(crate) trailers: Option<HeaderMap>,
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
            Self::Bad(e) => Fault::Malformed { why: told(&e) },
        }
    }
}

impl Link {
    /// Speaks HTTP over a fresh connection.
    pub(crate) async fn start(conn: Conn, version: HttpVersion) -> Result<Self, Fault> {
        let io = TokioIo::new(conn);
        let bad = |e| no_head(e).fault();
        match version {
            HttpVersion::One => {
                let started = http1::Builder::new().max_buf_size(MAX_HEAD).writev(false).handshake(io).await;
                let (send, drive) = started.map_err(bad)?;
                Ok(Self::One { send, drive: Box::pin(drive) })
            }
            HttpVersion::Two => {
                let crew = Crew::default();
                let mut builder = http2::Builder::new(crew.clone());
                let started = builder.max_header_list_size(MAX_HEADERS).handshake(io).await;
                let (send, drive) = started.map_err(bad)?;
                Ok(Self::Two { send, drive: Box::pin(drive), _crew: Hands(crew) })
            }
        }
    }

    /// Is it still good? Also hears of a close that has arrived.
    async fn is_alive(&mut self) -> bool {
        poll_fn(|cx| {
            let alive = self.drive(cx).is_pending();
            let ready = match self {
                Self::One { send, .. } => send.is_ready(),
                Self::Two { send, .. } => send.is_ready(),
            };
            Poll::Ready(alive && ready)
        })
        .await
    }

    /// Lays the connection aside, if it is good for another request.
    pub(crate) async fn park(mut self: Box<Self>) -> Option<Parked> {
        if !self.is_alive().await {
            return None;
        }
        match *self {
            Self::One { send, mut drive } => {
                drop(send);
                poll_fn(|cx| drive.poll_without_shutdown(cx)).await.ok()?;
                let parts = Pin::into_inner(drive).into_parts();
                // What was not asked for would be taken for the next answer.
                parts.read_buf.is_empty().then(|| Parked::Bare(parts.io.into_inner()))
            }
            two @ Self::Two { .. } => Some(Parked::Shared(Box::new(two))),
        }
    }

    /// Goes on with the connection; ready once it has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        match self {
            Self::One { drive, .. } => drive.as_mut().poll(cx),
            Self::Two { drive, .. } => drive.as_mut().poll(cx),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn head(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NoHead> {
        match self {
            Self::One { send, drive } => {
                let answer = send.send_request(request);
                // All news of it comes through `drive`: no wake-up of its own is needed.
                driven(drive.as_mut(), answer, true).await
            }
            Self::Two { send, drive, .. } => {
                let answer = send.send_request(request);
                driven(drive.as_mut(), answer, false).await
            }
        }
    }

    /// Reads a body to its end, and holds up to `hold` bytes of it.
    pub(crate) async fn body(&mut self, mut incoming: Incoming, hold: usize) -> Result<Read, Fault> {
        let (mut held, mut more, mut bytes) = (Bytes::new(), BytesMut::new(), 0_u64);
        let mut trailers = None;
        while !incoming.is_end_stream() {
            let Some(frame) = self.frame(&mut incoming).await.map_err(|_| Fault::Truncated)? else { break };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(other) => {
                    trailers = other.into_trailers().ok();
                    continue;
                }
            };
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
        Ok(Read { held, bytes, cut: bytes > MAX_READ, trailers })
    }

    /// The next piece of a body, or its trailers; `None` at its end.
    async fn frame(&mut self, incoming: &mut Incoming) -> Result<Option<Frame<Bytes>>, hyper::Error> {
        poll_fn(|cx| {
            if let Poll::Ready(piece) = self.piece(incoming, cx) {
                return Poll::Ready(piece);
            }
            let ended = self.drive(cx);
            // Once more, for what has just come.
            match (self.piece(incoming, cx), ended) {
                (Poll::Ready(piece), _) => Poll::Ready(piece),
                (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
                (Poll::Pending, Poll::Ready(Err(e))) => Poll::Ready(Err(e)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// What there is of a body already.
    fn piece(
        &self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, hyper::Error>> {
        let mut quiet = Context::from_waker(Waker::noop());
        let cx = match self {
            // All news of it comes through the connection: no wake-up of its own is needed.
            Self::One { .. } => &mut quiet,
            Self::Two { .. } => cx,
        };
        Pin::new(incoming).poll_frame(cx).map(Option::transpose)
    }
}

impl Parked {
    /// Takes it up again, if it is still good.
    pub(crate) async fn resume(self) -> Option<Box<Link>> {
        match self {
            Self::Bare(mut conn) => match is_quiet(&mut conn).await {
                true => Link::start(conn, HttpVersion::One).await.ok().map(Box::new),
                false => None,
            },
            Self::Shared(mut link) => link.is_alive().await.then_some(link),
        }
    }
}

/// Is nothing to be heard from a connection on which nobody was asked? Else it has ended, or is out of step.
async fn is_quiet(conn: &mut Conn) -> bool {
    let mut byte = [0];
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *conn).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()))
        .await
}

/// The answer, while the connection is driven: `quiet` if all news of it comes through that.
async fn driven(
    mut drive: Pin<&mut impl Future<Output = Result<(), hyper::Error>>>,
    answer: impl Future<Output = Result<Response<Incoming>, hyper::Error>>,
    quiet: bool,
) -> Result<Response<Incoming>, NoHead> {
    let mut answer = std::pin::pin!(answer);
    poll_fn(|cx| {
        let ended = drive.as_mut().poll(cx);
        let mut noop = Context::from_waker(Waker::noop());
        match answer.as_mut().poll(if quiet { &mut noop } else { cx }) {
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

fn no_head(e: hyper::Error) -> NoHead {
    if e.is_canceled() || e.is_closed() || e.is_incomplete_message() || is_cut(&e) {
        NoHead::Closed
    } else {
        NoHead::Bad(e)
    }
}

/// Does it say that the connection is gone? HTTP/2 tells by what lies beneath.
fn is_cut(e: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let beneath = e.source().and_then(|source| source.downcast_ref::<io::Error>());
    beneath
        .is_some_and(|e| matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

/// An error with what it says beneath, which is where HTTP/2 tells what happened.
fn told(e: &hyper::Error) -> String {
    e.source().map_or_else(|| e.to_string(), |source| format!("{e}: {source}"))
}
