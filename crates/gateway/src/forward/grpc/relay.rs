//! An answer over gRPC on its way to the client: messages as they come, and the trailers that say how it ended.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use seawall_chain::method::Class;
use seawall_model::Cause;
use tokio::time::Sleep;

use super::{
    call::{Call, Leased},
    source::Source,
    status::{Code, is_fault, status_of, trailers},
};
use crate::{
    account::Ended,
    pool::{Pool, Report},
    serve::{Busy, Sheet},
    worker::Worker,
};

/// The body of an answer.
pub(crate) struct Relay {
    /// Dropped once it is over, which tells the upstream.
    body: Option<Incoming>,
    _lease: Leased,
    worker: Arc<Worker>,
    pool: Arc<Pool>,
    upstream: usize,
    class: Class,
    /// Time until the answer began.
    took: Duration,
    /// It speaks gRPC, so that it ends with a status.
    is_grpc: bool,
    /// The upstream's answer has been counted.
    settled: bool,
    /// The end of the client's time.
    timer: Option<Pin<Box<Sleep>>>,
    source: Source,
    /// Its turn at that.
    turn: u32,
    sheet: Option<Box<Sheet>>,
    /// The client's connection is not idle.
    _busy: Busy,
}

impl Relay {
    pub(super) fn new(
        call: &Call<'_>,
        body: Incoming,
        lease: Leased,
        i: usize,
        took: Duration,
        is_grpc: bool,
    ) -> Self {
        let clock = call.worker.clock;
        let timer = call.told.map(|at| Box::pin(tokio::time::sleep_until(clock.instant(at))));
        Self {
            body: Some(body),
            _lease: lease,
            worker: call.worker.clone(),
            pool: call.pool.clone(),
            upstream: i,
            class: call.class,
            took,
            is_grpc,
            settled: !is_grpc,
            timer,
            source: call.source.clone(),
            turn: call.source.turn(),
            sheet: None,
            _busy: call.pulse.busy(),
        }
    }

    /// Takes the request's account, to be closed once all has gone out.
    pub(crate) fn account(&mut self, sheet: Box<Sheet>) {
        sheet.end(Ended::Gone);
        self.sheet = Some(sheet);
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.passes(frame))),
            Poll::Ready(Some(Err(_))) => {
                let what = "SW0302: the upstream's answer broke off";
                self.breaks_off(Code::Unavailable, what, Cause::Truncated)
            }
            Poll::Ready(None) if self.is_grpc => {
                let what = "SW0302: the upstream's answer ended without a status";
                self.breaks_off(Code::Internal, what, Cause::Truncated)
            }
            Poll::Ready(None) => {
                self.ends(Ended::Answered);
                Poll::Ready(None)
            }
            Poll::Pending => match self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => {
                    let what = "SW0303: the call's time is over";
                    self.breaks_off(Code::DeadlineExceeded, what, Cause::Timeout)
                }
                Some(Poll::Pending) | None => Poll::Pending,
            },
        }
    }

    /// A part of the answer passes. An upstream that sends a message answers; how a call that goes on for long ends, is
    /// held against it only if that is its fault.
    fn passes(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(data) = frame.data_ref() {
            if let Some(sheet) = &self.sheet {
                sheet.sent(data.len());
            }
            self.settle(Report::Answered);
        }
        if let Some(trailers) = frame.trailers_ref() {
            match status_of(trailers) {
                Some(status) if !is_fault(status) => self.settle(Report::Answered),
                Some(_) | None => self.fails(Cause::Unwell),
            }
            self.ends(Ended::Answered);
        }
        frame
    }

    /// It ends otherwise than the upstream would have it end.
    fn breaks_off(&mut self, code: Code, message: &str, cause: Cause) -> Poll<Option<Frame<Bytes>>> {
        let client = self.source.is_broken();
        if cause != Cause::Timeout && !client {
            self.pool.state.counts.truncated_streams.fetch_add(1, Relaxed);
        }
        // That a call whose answer had begun has no more time is nobody's fault.
        match cause {
            Cause::Timeout if self.settled => {}
            Cause::Timeout => {
                self.settled = true;
                let now = self.worker.clock.mono();
                self.pool.unsettled(now, self.upstream, self.class, cause, None);
            }
            _ if client => {}
            cause => self.fails(cause),
        }
        self.ends(Ended::BrokeOff);
        let trailers: HeaderMap = trailers(code, message);
        Poll::Ready(self.is_grpc.then(|| Frame::trailers(trailers)))
    }

    fn settle(&mut self, report: Report) {
        if !self.settled {
            self.settled = true;
            let now = self.worker.clock.mono();
            self.pool.settle(now, self.upstream, self.class, self.took, report);
        }
    }

    fn fails(&mut self, cause: Cause) {
        self.settled = true;
        let now = self.worker.clock.mono();
        let report = Report::Failed { cause, asked: None };
        self.pool.settle(now, self.upstream, self.class, self.took, report);
    }

    fn ends(&mut self, how: Ended) {
        self.body = None;
        self.source.give_up(self.turn);
        if let Some(sheet) = self.sheet.take() {
            sheet.received(self.source.received());
            sheet.end(how);
        }
    }

    /// Is there nothing more?
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_none()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.source.give_up(self.turn);
        if let Some(sheet) = &self.sheet {
            sheet.received(self.source.received());
        }
    }
}
