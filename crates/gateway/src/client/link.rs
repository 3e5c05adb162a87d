//! One connection to an upstream.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use seawall_model::Cause;
use seawall_runtime::net::Conn;

use super::Sending;

/// Of an answer that says it is too large to hold, this much is waited for: enough to see whether it comes at all.
const FRONT: usize = 256 * 1024;
/// Largest head of an answer.
const HEAD_LIMIT: usize = 64 * 1024;

/// A connection and the means to use it.
pub(crate) struct Link {
    send: SendRequest<Sending>,
    drive: Pin<Box<Connection<TokioIo<Conn>, Sending>>>,
    /// True once an exchange has been completed on it.
    pub(crate) used: bool,
    /// In which of its upstream's eras it was made: those of an era that is over are not trusted.
    pub(crate) era: u32,
    /// Something of a request may still be on its way: it is good for no other.
    pub(crate) spent: bool,
}

/// An answer: all of it, or the first part of one too large to hold.
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What is still to come, if the answer is larger than the caller would hold, or none of it if that was nothing.
    pub(crate) rest: Option<Incoming>,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The connection ended before a byte of the answer came.
    Closed,
    /// The connection failed within the answer's head, or it was not HTTP.
    Head(hyper::Error),
    /// The answer's body ended short.
    Body,
}

impl ExchangeError {
    /// The upstream's fault in it.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Head(e) if e.is_parse() => Cause::Malformed,
            Self::Closed | Self::Head(_) => Cause::Reset,
            Self::Body => Cause::Truncated,
        }
    }
}

impl Link {
    /// Speaks HTTP/1.1 on a fresh connection, made in that era of its upstream.
    pub(crate) async fn start(conn: Conn, era: u32) -> Result<Self, hyper::Error> {
        let (send, drive) = http1::Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .writev(false)
            .handshake(TokioIo::new(conn))
            .await?;
        Ok(Self { send, drive: Box::pin(drive), used: false, era, spent: false })
    }

    /// Is it still good, after lying idle? Also hears of a close that has arrived since.
    pub(crate) async fn is_alive(&mut self) -> bool {
        poll_fn(|cx| {
            let alive = self.drive.as_mut().poll(cx).is_pending();
            Poll::Ready(alive && self.send.is_ready())
        })
        .await
    }

    /// Sends a request and receives the answer, up to as many bytes of it as `hold` says after a look at its headers;
    /// the head alone, if that is none. The request is made within, so that this does not hold room for it.
    ///
    /// Cancelled, it leaves the connection unusable: drop it.
    pub(crate) async fn exchange(
        &mut self,
        request: impl FnOnce() -> Request<Sending>,
        hold: impl FnOnce(&HeaderMap) -> usize,
    ) -> Result<Received, ExchangeError> {
        let head = self.head(request).await?;
        let (parts, mut incoming) = head.into_parts();
        let hold = hold(&parts.headers);
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let (body, whole) = self.body(&mut incoming, declared, hold).await?;
        self.used = true;
        let rest = (!whole).then_some(incoming);
        Ok(Received { status: parts.status, headers: parts.headers, body, rest })
    }

    async fn head(
        &mut self,
        request: impl FnOnce() -> Request<Sending>,
    ) -> Result<http::Response<Incoming>, ExchangeError> {
        let mut answer = std::pin::pin!(self.send.send_request(request()));
        let drive = &mut self.drive;
        poll_fn(|cx| {
            let ended = drive.as_mut().poll(cx);
            // All news of the answer comes through `drive`, just polled: no wake-up of its own is needed.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(e)) => Poll::Ready(Err(closed_or_head(e))),
                Poll::Pending => match ended {
                    Poll::Ready(Err(e)) => Poll::Ready(Err(closed_or_head(e))),
                    Poll::Ready(Ok(())) => Poll::Ready(Err(ExchangeError::Closed)),
                    Poll::Pending => Poll::Pending,
                },
            }
        })
        .await
    }

    /// Reads up to `hold` bytes; false if there is more.
    async fn body(
        &mut self,
        incoming: &mut Incoming,
        declared: Option<usize>,
        hold: usize,
    ) -> Result<(Bytes, bool), ExchangeError> {
        let hold = if declared.is_some_and(|length| length > hold) { hold.min(FRONT) } else { hold };
        let mut first = Bytes::new();
        let mut more: Option<BytesMut> = None;
        if hold == 0 {
            return Ok((first, incoming.is_end_stream()));
        }
        loop {
            let frame = self.frame(incoming).await.map_err(|_| ExchangeError::Body)?;
            let Some(data) = frame else { break };
            match &mut more {
                None if first.is_empty() => first = data,
                None => {
                    let room =
                        declared.unwrap_or(2 * first.len()).clamp(first.len() + data.len(), hold.max(64) * 2);
                    let mut all = BytesMut::with_capacity(room);
                    all.extend_from_slice(&first);
                    all.extend_from_slice(&data);
                    more = Some(all);
                }
                Some(all) => all.extend_from_slice(&data),
            }
            let held = more.as_ref().map_or(first.len(), BytesMut::len);
            if incoming.is_end_stream() {
                break;
            }
            if held > hold {
                return Ok((more.map_or(first, BytesMut::freeze), false));
            }
        }
        Ok((more.map_or(first, BytesMut::freeze), true))
    }

    /// The next piece of a body that [`Self::exchange`] left unread; `None` at its end.
    pub(crate) async fn frame(&mut self, incoming: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
        poll_fn(|cx| self.poll_frame(cx, incoming)).await
    }

    /// As [`Self::frame`], to be polled.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        incoming: &mut Incoming,
    ) -> Poll<Result<Option<Bytes>, hyper::Error>> {
        let mut quiet = Context::from_waker(Waker::noop());
        loop {
            match Pin::new(&mut *incoming).poll_frame(&mut quiet) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(e)),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending => {}
            }
            let ended = self.drive.as_mut().poll(cx);
            match Pin::new(&mut *incoming).poll_frame(&mut quiet) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(e)),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending => match ended {
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(None)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}

fn closed_or_head(e: hyper::Error) -> ExchangeError {
    if e.is_canceled() || e.is_closed() || e.is_incomplete_message() {
        ExchangeError::Closed
    } else {
        ExchangeError::Head(e)
    }
}
