//! A request's body that goes on as it comes from the client.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use seawall_model::Mono;
use seawall_runtime::clock::Clock;
use tokio::time::Sleep;

/// What a client that goes on sending sends at the least, in bytes a second: it is waited for no longer than that and its
/// connection's idle time allow.
const LEAST_RATE: u64 = 4 << 10;

/// The body of a request to an upstream.
pub(crate) enum Sending {
    /// All of it.
    Whole(Full<Bytes>),
    /// As it comes from the client.
    Streaming(Box<Upload>),
}

/// The client's body did not come whole. The upstream's connection is closed, so that it cannot take the part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the client's body ended short")]
pub(crate) struct EndsShort;

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it has gone on.
    Whole,
    /// The client broke it off.
    Broken,
    /// It is longer than it may be.
    TooLong,
    /// It came too slowly.
    Slow,
}

/// How far a body has gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Bytes that have gone on.
    pub(crate) sent: u64,
    /// When the connection to the upstream last took some, or had to wait for some.
    pub(crate) moved: Mono,
    /// The client is waited for.
    pub(crate) waits: bool,
    /// How it ended, once it has.
    pub(crate) end: Option<End>,
}

/// What is known of a body by those who wait for its upstream.
#[derive(Clone)]
pub(crate) struct Flow(Arc<Mutex<Progress>>);

/// The body, on its way. It is read as fast as the upstream takes it.
pub(crate) struct Upload {
    body: Incoming,
    limit: u64,
    flow: Flow,
    clock: Clock,
    /// Time that the client may still be waited for, without what it earns by sending.
    idle: Duration,
    waited: Duration,
    /// Since when it is waited for, and until when.
    waiting: Option<(Mono, Pin<Box<Sleep>>)>,
}

impl Flow {
    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        *self.lock()
    }

    /// Ends once the upstream has taken nothing, and the client was not waited for, for that long.
    pub(crate) async fn stalls(&self, clock: Clock, patience: Duration) {
        let mut until = clock.mono() + patience;
        loop {
            tokio::time::sleep_until(clock.instant(until)).await;
            let (now, seen) = (clock.mono(), self.progress());
            let since = if seen.waits { now } else { seen.moved };
            if now.since(since) >= patience {
                return;
            }
            until = since + patience;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    /// A body of at most `limit` bytes, whose client may be silent for `idle` altogether; `None` if it says that it is longer.
    pub(crate) fn new(body: Incoming, limit: u64, clock: Clock, idle: Duration) -> Option<Self> {
        let begun = Progress { sent: 0, moved: clock.mono(), waits: false, end: None };
        let flow = Flow(Arc::new(Mutex::new(begun)));
        let fits = body.size_hint().lower() <= limit;
        fits.then(|| Self { body, limit, flow, clock, idle, waited: Duration::ZERO, waiting: None })
    }

    /// How far it is, for as long as anybody wants to know.
    pub(crate) fn flow(&self) -> Flow {
        self.flow.clone()
    }

    fn piece(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, EndsShort>>> {
        let now = self.clock.mono();
        let mut flow = self.flow.lock();
        if flow.sent + data.len() as u64 > self.limit {
            flow.end = Some(End::TooLong);
            return Poll::Ready(Some(Err(EndsShort)));
        }
        flow.sent += data.len() as u64;
        (flow.moved, flow.waits) = (now, false);
        if self.body.is_end_stream() {
            flow.end = Some(End::Whole);
        }
        if let Some((since, _)) = self.waiting.take() {
            self.waited += now.since(since);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn ends(&mut self, how: End) {
        let now = self.clock.mono();
        let mut flow = self.flow.lock();
        (flow.moved, flow.waits) = (now, false);
        flow.end.get_or_insert(how);
    }

    /// Waits for the client, unless it has been waited for long enough.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EndsShort>>> {
        let now = self.clock.mono();
        let earned = {
            let mut flow = self.flow.lock();
            (flow.moved, flow.waits) = (now, true);
            Duration::from_secs(flow.sent / LEAST_RATE)
        };
        let left = (self.idle + earned).saturating_sub(self.waited);
        let (_, timer) = self.waiting.get_or_insert_with(|| (now, Box::pin(tokio::time::sleep(left))));
        ready!(timer.as_mut().poll(cx));
        self.ends(End::Slow);
        Poll::Ready(Some(Err(EndsShort)))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = EndsShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EndsShort>>> {
        let this = self.get_mut();
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return this.piece(data),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(_))) => {
                    this.ends(End::Broken);
                    return Poll::Ready(Some(Err(EndsShort)));
                }
                Poll::Ready(None) => {
                    this.ends(End::Whole);
                    return Poll::Ready(None);
                }
                Poll::Pending => return this.wait(cx),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = EndsShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EndsShort>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Streaming(upload) => Pin::new(upload.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streaming(upload) => upload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streaming(upload) => upload.size_hint(),
        }
    }
}

impl From<Bytes> for Sending {
    fn from(body: Bytes) -> Self {
        Self::Whole(Full::new(body))
    }
}
