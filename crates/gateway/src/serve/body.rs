//! Bodies of answers.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::sheet::Sheet;
use crate::{account::Ended, call::Large, forward::Relay, pool::Pool};

/// The body of an answer.
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// As it comes from the upstream.
    Streaming(Box<Streaming>),
    /// An answer over gRPC, as it comes from the upstream.
    Relayed(Box<Relay>),
}

/// An answer too large to hold, on its way through.
pub(crate) struct Streaming {
    large: Large,
    pool: Arc<Pool>,
    /// The upstream's time to send the next piece.
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    /// The request's account, if anybody wants one.
    sheet: Option<Box<Sheet>>,
}

/// The upstream's answer broke off after its first bytes had gone out; the client's connection is cut so
/// that it cannot take the part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's answer broke off")]
pub(crate) struct BrokeOff;

impl ReplyBody {
    /// As it comes; broken off when the upstream sends nothing for `patience`.
    pub(crate) fn streaming(large: Large, pool: Arc<Pool>, patience: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(patience));
        Self::Streaming(Box::new(Streaming { large, pool, patience, timer, sheet: None }))
    }

    /// Closes the request's account, at once if the body is all there; else once it has gone out.
    pub(super) fn account(&mut self, sheet: Box<Sheet>) {
        match self {
            Self::Whole(bytes) => sheet.sent(bytes.len()),
            Self::Streaming(streaming) => {
                sheet.end(Ended::Gone);
                streaming.sheet = Some(sheet);
            }
            Self::Relayed(relay) => relay.account(sheet),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Streaming(streaming) => streaming.poll_frame(cx),
            Self::Relayed(relay) => relay.poll_frame(cx).map(|frame| frame.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Streaming(_) => false,
            Self::Relayed(relay) => relay.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streaming(_) | Self::Relayed(_) => SizeHint::default(),
        }
    }
}

impl Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let first = std::mem::take(&mut self.large.first);
        if !first.is_empty() {
            return self.piece(first);
        }
        match self.large.link.poll_frame(cx, &mut self.large.rest) {
            Poll::Ready(Ok(Some(data))) => {
                self.timer.as_mut().reset(Instant::now() + self.patience);
                self.piece(data)
            }
            Poll::Ready(Ok(None)) => {
                self.end(Ended::Answered);
                Poll::Ready(None)
            }
            Poll::Ready(Err(_)) => self.broke_off(),
            Poll::Pending => match self.timer.as_mut().poll(cx) {
                Poll::Ready(()) => self.broke_off(),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn piece(&self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        if let Some(sheet) = &self.sheet {
            sheet.sent(data.len());
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn end(&mut self, how: Ended) {
        if let Some(sheet) = self.sheet.take() {
            sheet.end(how);
        }
    }

    fn broke_off(&mut self) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        self.pool.state.counts.truncated_streams.fetch_add(1, Relaxed);
        self.end(Ended::BrokeOff);
        Poll::Ready(Some(Err(BrokeOff)))
    }
}
