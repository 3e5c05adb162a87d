//! One call over gRPC: who it goes to, and what an attempt at it came to.

use std::{error::Error, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header, request::Parts};
use hyper::body::Incoming;
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};
use tokio::time::timeout;

use super::{
    source::{Reader, Source},
    status,
};
use crate::{
    client::{Lease, start_h2},
    core::choose::Set,
    estate::{GrpcSection, PoolKind},
    forward::onward::{end_to_end, target, with_own},
    pool::{Pool, Report},
    serve::{Pulse, Visit},
    trace::TRACEPARENT,
    worker::Worker,
};

/// What keeps a connection for a call.
pub(super) type Leased = Lease<Reader>;

/// A call on its way.
pub(super) struct Call<'v> {
    pub(super) visit: &'v Visit,
    pub(super) pulse: &'v Arc<Pulse>,
    pub(super) worker: Arc<Worker>,
    pub(super) pool: Arc<Pool>,
    /// The method by its full name, as in `/package.Service/Get`.
    pub(super) path: String,
    headers: HeaderMap,
    /// It may be sent again after a failure.
    pub(super) repeatable: bool,
    pub(super) class: Class,
    /// When its time is over, as the client told it.
    pub(super) told: Option<Mono>,
    pub(super) source: Source,
}

/// What came of an attempt.
pub(super) enum Came {
    /// The answer has begun.
    Begun(Box<Response<Incoming>>, Leased),
    /// Nothing of it was looked at: there was no connection, or the upstream says so.
    Untouched(Cause),
    /// No answer, though it may have arrived.
    Lost(Cause),
    /// The call's own time is over.
    OutOfTime,
}

impl<'v> Call<'v> {
    pub(super) fn new(visit: &'v Visit, pulse: &'v Arc<Pulse>, parts: Parts, body: Incoming) -> Option<Self> {
        let (worker, pool) = (visit.worker.clone(), visit.pool.clone());
        let PoolKind::Grpc(section) = &pool.section.kind else { return None };
        let path = parts.uri.path().to_owned();
        let repeatable = section.may_repeat(&path);
        let now = worker.clock.mono();
        let told = status::timeout_of(&parts.headers).map(|limit| now + limit);
        Some(Self {
            visit,
            pulse,
            path,
            headers: end_to_end(parts.headers),
            repeatable,
            class: if repeatable { Class::Other } else { Class::Write },
            told,
            source: Source::new(body, worker.clock),
            worker,
            pool,
        })
    }

    /// When it is given up at the latest where nothing comes: the client's word for it, or else the pool's deadline.
    pub(super) fn deadline(&self) -> Mono {
        self.told.unwrap_or_else(|| self.worker.clock.mono() + self.pool.section.deadline)
    }

    /// Who it goes to, of those not `tried`.
    pub(super) fn choose(&self, tried: Set) -> Option<usize> {
        let heads = self.pool.state.heads.load();
        self.pool.choose(self.worker.clock.mono(), self.class, &heads, Set::ALL, tried)
    }

    /// Sends it to one upstream and waits until the answer begins; with the time that took.
    pub(super) async fn attempt(&self, i: usize) -> (Came, Duration) {
        let (worker, upstream) = (&self.worker, &self.pool.upstreams[i]);
        let began = worker.clock.mono();
        self.visit.trail.begin(i, began);
        let _in_flight = upstream.state.begin(self.class);
        upstream.take(began, &self.path);
        let came = tokio::select! {
            biased;
            came = self.exchange(i, began) => came,
            late = self.is_late(began) => late,
        };
        let now = worker.clock.mono();
        if let Came::Begun(answer, _) = &came {
            upstream.state.heard(now);
            upstream.heed(now, answer.headers());
        }
        (came, now.since(began))
    }

    /// Ends when no more is waited for an answer.
    async fn is_late(&self, began: Mono) -> Came {
        let (clock, section) = (self.worker.clock, &self.pool.section);
        let whole = async {
            match self.told {
                Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
                None => self.source.stalls(clock, section.deadline).await,
            }
        };
        let attempt = async {
            if self.repeatable {
                tokio::time::sleep_until(clock.instant(began + section.attempt_timeout)).await;
                if self.source.is_held() {
                    return;
                }
            }
            // What cannot be sent again is worth waiting for.
            std::future::pending().await
        };
        tokio::select! {
            biased;
            () = whole => Came::OutOfTime,
            () = attempt => Came::Lost(Cause::Timeout),
        }
    }

    async fn exchange(&self, i: usize, began: Mono) -> Came {
        let Some(mut lease) = self.lease(i).await else { return Came::Untouched(Cause::Connect) };
        let Some(request) = self.request(i, began) else { return Came::Untouched(Cause::Malformed) };
        if lease.send.ready().await.is_err() {
            return Came::Untouched(Cause::Connect);
        }
        let mut failed = match lease.send.try_send_request(request).await {
            Ok(answer) => return Came::Begun(Box::new(answer), lease),
            Err(failed) => failed,
        };
        // What comes back was not sent.
        match failed.take_message().is_some() || is_untouched(failed.error()) {
            true => Came::Untouched(Cause::Reset),
            false if failed.error().is_parse() => Came::Lost(Cause::Malformed),
            false => Came::Lost(Cause::Reset),
        }
    }

    async fn lease(&self, i: usize) -> Option<Leased> {
        let (worker, upstream) = (&self.worker, &self.pool.upstreams[i]);
        let dial = async {
            let conn = worker.net.connect_h2(&upstream.section.endpoint).await.ok()?;
            let (send, drive) = start_h2::<Reader>(conn).await?;
            // How it ended is known by the calls on it.
            let driven = worker.background(Box::pin(async move { drop(drive.await) }));
            driven.then_some(send)
        };
        let leased = worker.channels.lease(upstream.state.id, upstream.state.era(), dial);
        timeout(self.pool.section.connect_timeout, leased).await.ok().flatten()
    }

    /// The call as that upstream is sent it.
    fn request(&self, i: usize, began: Mono) -> Option<Request<Reader>> {
        let upstream = &self.pool.upstreams[i];
        let section = &upstream.section;
        let path = target(upstream.uri.path(), &self.path)?;
        let scheme = if section.endpoint.tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}{path}", section.host).parse().ok()?;
        let mut headers = with_own(&self.headers, &upstream.headers);
        // It is in the target.
        headers.remove(header::HOST);
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        if let Some(at) = self.told {
            headers.insert(status::TIMEOUT, status::timeout(at.since(self.worker.clock.mono())));
        }
        if let Some(trace) = self.visit.trace() {
            headers.insert(TRACEPARENT, trace.header(trace.attempt(i, began)));
        }
        let mut request = Request::new(self.source.read());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Some(request)
    }

    /// Notes how an attempt ended.
    pub(super) fn note(&self, i: usize, cause: Option<Cause>) {
        self.visit.trail.end(i, self.worker.clock.mono(), cause);
    }

    /// Takes in that its time is over. How much there was of that, the client may have said: too little of it is held
    /// against nobody.
    pub(super) fn out_of_time(&self, i: usize, took: Duration) {
        match took >= self.pool.section.hang {
            true => self.settle(i, took, Some(Cause::Timeout)),
            false => {
                let now = self.worker.clock.mono();
                self.pool.unsettled(now, i, self.class, Cause::Timeout, None);
            }
        }
    }

    /// Takes in how it ended.
    pub(super) fn settle(&self, i: usize, took: Duration, cause: Option<Cause>) {
        let report = cause.map_or(Report::Answered, |cause| Report::Failed { cause, asked: None });
        self.pool.settle(self.worker.clock.mono(), i, self.class, took, report);
    }
}

impl GrpcSection {
    /// May a call to that method be sent again after a failure?
    pub fn may_repeat(&self, path: &str) -> bool {
        self.retry_methods.iter().any(|glob| glob.fits(path))
    }
}

/// Does the upstream say that it has not looked at a call: by refusing its stream, or by going away before it
/// (RFC 9113, section 8.7)?
fn is_untouched(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (refused || error.is_go_away());
        }
        source = error.source();
    }
    false
}
