//! What a client sends in a call: it goes on as it comes, and is kept while it is short, so that a call that nobody has
//! looked at can be sent elsewhere.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use seawall_model::Mono;
use seawall_runtime::clock::Clock;

/// Most bytes that are kept of a call.
const KEPT: usize = 64 << 10;

/// The client's side of a call, shared by the attempts at it.
#[derive(Clone)]
pub(crate) struct Source(Arc<Mutex<Inner>>);

struct Inner {
    body: Incoming,
    clock: Clock,
    /// All that has come, unless it was too much to keep.
    kept: Vec<Bytes>,
    kept_bytes: usize,
    overflowed: bool,
    /// The client has ended its side.
    whole: bool,
    /// It has broken off.
    broken: bool,
    received: u64,
    /// When something last came or went.
    moved: Mono,
    /// The attempt that reads it now.
    turn: u32,
    /// Who waits for more of it.
    waits: Option<Waker>,
}

/// The body of one attempt. Those of attempts before it end short.
pub(crate) struct Reader {
    source: Source,
    turn: u32,
    at: usize,
}

/// The call's messages do not come whole. The upstream is told that the call is given up, in so many words.
#[derive(Debug, thiserror::Error)]
#[error("the call is over on the client's side, or goes another way")]
pub(crate) struct EndsShort(#[source] h2::Error);

impl EndsShort {
    fn new() -> Self {
        Self(h2::Reason::CANCEL.into())
    }
}

impl Source {
    pub(crate) fn new(body: Incoming, clock: Clock) -> Self {
        let moved = clock.mono();
        Self(Arc::new(Mutex::new(Inner {
            whole: body.is_end_stream(),
            body,
            clock,
            kept: Vec::new(),
            kept_bytes: 0,
            overflowed: false,
            broken: false,
            received: 0,
            moved,
            turn: 0,
            waits: None,
        })))
    }

    /// The body of another attempt, from the beginning.
    pub(crate) fn read(&self) -> Reader {
        Reader { source: self.clone(), turn: self.stop(), at: 0 }
    }

    /// Which attempt reads it now.
    pub(crate) fn turn(&self) -> u32 {
        self.lock().turn
    }

    /// Ends that attempt, if it reads it still, whatever it waits for.
    pub(crate) fn give_up(&self, turn: u32) {
        if self.turn() == turn {
            self.stop();
        }
    }

    /// Ends the attempt that reads it now; the turn after it.
    fn stop(&self) -> u32 {
        let mut inner = self.lock();
        inner.turn += 1;
        let (turn, waits) = (inner.turn, inner.waits.take());
        drop(inner);
        if let Some(waits) = waits {
            waits.wake();
        }
        turn
    }

    /// Can it be read from the beginning?
    pub(crate) fn may_repeat(&self) -> bool {
        !self.lock().overflowed
    }

    /// Is all of it there, and short?
    pub(crate) fn is_held(&self) -> bool {
        let inner = self.lock();
        inner.whole && !inner.overflowed
    }

    /// The client has broken off.
    pub(crate) fn is_broken(&self) -> bool {
        self.lock().broken
    }

    /// Bytes that have come.
    pub(crate) fn received(&self) -> usize {
        usize::try_from(self.lock().received).unwrap_or(usize::MAX)
    }

    /// Ends once the client has sent nothing more for that long, from now on at the earliest.
    pub(crate) async fn stalls(&self, clock: Clock, patience: Duration) {
        let mut until = clock.mono() + patience;
        loop {
            tokio::time::sleep_until(clock.instant(until)).await;
            let moved = self.lock().moved;
            if moved + patience <= until {
                return;
            }
            until = moved + patience;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, data: &Bytes) {
        self.received += data.len() as u64;
        self.moved = self.clock.mono();
        self.whole = self.body.is_end_stream();
        if self.kept_bytes + data.len() > KEPT {
            self.overflowed = true;
            self.kept = Vec::new();
        }
        if !self.overflowed {
            self.kept_bytes += data.len();
            self.kept.push(data.clone());
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = EndsShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EndsShort>>> {
        let this = self.get_mut();
        let mut inner = this.source.lock();
        if inner.turn != this.turn {
            return Poll::Ready(Some(Err(EndsShort::new())));
        }
        if let Some(data) = inner.kept.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if inner.whole {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(came) = Pin::new(&mut inner.body).poll_frame(cx) else {
                inner.waits = Some(cx.waker().clone());
                return Poll::Pending;
            };
            match came {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    inner.keep(&data);
                    this.at = inner.kept.len();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(_)) => {
                    inner.broken = true;
                    return Poll::Ready(Some(Err(EndsShort::new())));
                }
                None => {
                    inner.whole = true;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.source.lock();
        inner.turn == self.turn && inner.whole && self.at >= inner.kept.len()
    }
}
