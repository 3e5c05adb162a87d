//! One attempt: a request sent to one upstream, and what came back.

use std::{future::Future, pin::Pin, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use http::{HeaderMap, HeaderValue, Request, header};
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};

use super::{
    errand::Errand,
    onward::{Onward, target, with_own},
};
use crate::{
    call::{asked_wait, status_fault},
    client::{Link, Received, Sending},
    core::outcome::{Came, is_uncertain},
    pool::{Pool, Report, Upstream},
    trace::TRACEPARENT,
    worker::Worker,
};

/// What an attempt has at the least, however late it is begun.
const LEAST: Duration = Duration::from_millis(10);

/// What an answer of events says that it is.
const EVENTS: &[u8] = b"text/event-stream";

/// An attempt under way.
pub(super) type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// How an attempt ended.
pub(super) struct Ended {
    pub(super) upstream: usize,
    pub(super) took: Duration,
    pub(super) end: Result<Got, Lost>,
}

/// An answer, and the connection that it came by.
pub(super) struct Got {
    pub(super) upstream: usize,
    pub(super) received: Received,
    pub(super) link: Link,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) cause: Cause,
    /// The request may have reached the upstream.
    pub(super) sent: bool,
}

impl Errand<'_> {
    /// Begins an attempt.
    pub(super) fn attempt(&self, upstream: usize) -> Running {
        let left = self.deadline.since(self.worker.clock.mono());
        self.send(upstream, self.onward.clone(), self.attempt_timeout.min(left.max(LEAST)))
    }

    /// Sends something that belongs to it.
    pub(super) fn send(&self, upstream: usize, onward: Arc<Onward>, limit: Duration) -> Running {
        let (began, trace) = self.begin(upstream);
        let to = (self.worker.clone(), self.pool.clone(), upstream);
        Box::pin(attempt(to, onward, trace, began, limit))
    }

    /// Notes that an attempt begins: when, and what the upstream is told of its trace.
    pub(super) fn begin(&self, upstream: usize) -> (Mono, Option<HeaderValue>) {
        if self.pool.paths.second.has(upstream) {
            self.state().counts.api.second_path.fetch_add(1, Relaxed);
        }
        let began = self.worker.clock.mono();
        self.visit.trail.begin(upstream, began);
        (began, self.visit.trace().map(|trace| trace.header(trace.attempt(upstream, began))))
    }

    /// Notes how an attempt ended.
    pub(super) fn note(&self, ended: &Ended) {
        self.visit.trail.end(ended.upstream, self.worker.clock.mono(), ended.cause());
    }
}

async fn attempt(
    (worker, pool, upstream): (Arc<Worker>, Arc<Pool>, usize),
    onward: Arc<Onward>,
    trace: Option<HeaderValue>,
    began: Mono,
    limit: Duration,
) -> Ended {
    let end = match tokio::time::timeout(limit, exchange(&worker, &pool, upstream, &onward, trace)).await {
        Ok(end) => end,
        Err(_) => Err(Lost { cause: Cause::Timeout, sent: true }),
    };
    Ended { upstream, took: worker.clock.mono().since(began), end }
}

async fn exchange(
    worker: &Worker,
    pool: &Pool,
    i: usize,
    onward: &Onward,
    trace: Option<HeaderValue>,
) -> Result<Got, Lost> {
    let upstream = &pool.upstreams[i];
    let unsent = |cause| Lost { cause, sent: false };
    let now = worker.clock.mono();
    let _in_flight = upstream.state.begin(onward.class);
    upstream.take(now, onward.method.as_str());
    let mut link = connect(worker, pool, i).await.ok_or(unsent(Cause::Connect))?;
    let request = head(upstream, onward, trace).ok_or(unsent(Cause::Malformed))?;
    let received = link.exchange(|| request, |headers| held(headers, worker)).await;
    upstream.state.heard(worker.clock.mono());
    let received = received.map_err(|e| Lost { cause: e.cause(), sent: true })?;
    upstream.heed(worker.clock.mono(), &received.headers);
    Ok(Got { upstream: i, received, link })
}

/// Does it tell of events as they come (WHATWG HTML, section 9.2, "Server-sent events")?
pub(super) fn is_of_events(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..EVENTS.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// How much of an answer is held, to see it whole: of events none.
pub(super) fn held(headers: &HeaderMap, worker: &Worker) -> usize {
    if is_of_events(headers) { 0 } else { worker.limits.verified_answer }
}

/// A connection to upstream `i`: one that lies idle, or another.
pub(super) async fn connect(worker: &Worker, pool: &Pool, i: usize) -> Option<Link> {
    let (upstream, now) = (&pool.upstreams[i], worker.clock.mono());
    let era = upstream.state.era();
    if let Some(mut link) = worker.links.take(upstream.state.id, now, era)
        && link.is_alive().await
    {
        return Some(link);
    }
    let dial = async {
        let conn = worker.net.connect(&upstream.section.endpoint).await.ok()?;
        Link::start(conn, era).await.ok()
    };
    tokio::time::timeout(pool.section.connect_timeout, dial).await.ok().flatten()
}

/// The request as that upstream is sent it; `None` if there is no way to write it.
pub(super) fn head(
    upstream: &Upstream,
    onward: &Onward,
    trace: Option<HeaderValue>,
) -> Option<Request<Sending>> {
    let mut request = Request::new(Sending::from(onward.body.clone()));
    *request.method_mut() = onward.method.clone();
    *request.uri_mut() = target(upstream.uri.path(), &onward.tail)?;
    *request.headers_mut() = with_own(&onward.headers, &upstream.headers);
    if let Some(trace) = trace {
        request.headers_mut().insert(TRACEPARENT, trace);
    }
    Some(request)
}

impl Ended {
    /// What it says of the request.
    pub(super) fn came(&self) -> Came {
        match &self.end {
            Ok(got) => Came::Status(got.received.status.as_u16()),
            Err(Lost { sent: false, .. }) => Came::Unsent,
            Err(Lost { sent: true, .. }) => Came::Silence,
        }
    }

    /// Why it is no good answer, if it is none.
    pub(super) fn cause(&self) -> Option<Cause> {
        match &self.end {
            Ok(got) => status_fault(got.received.status),
            Err(lost) => Some(lost.cause),
        }
    }

    /// How long the upstream asks to be left alone.
    pub(super) fn asked(&self) -> Option<Duration> {
        self.end.as_ref().ok().and_then(|got| asked_wait(&got.received.headers))
    }

    /// Would everybody say so, for all that is known? What is no HTTP answer, and what a proxy says of a server
    /// behind it (502, 503, 504), is the upstream's own.
    pub(super) fn may_be_the_requests_fault(&self) -> bool {
        self.end.as_ref().is_ok_and(|got| !matches!(got.received.status.as_u16(), 502..=504))
    }
}

impl Pool {
    /// Takes in how an attempt at a write, or at its look-up, ended: a failed server is one, whatever the client is
    /// told; what may be the client's own affair is held against nobody.
    pub(super) fn settle_api(&self, worker: &Worker, class: Class, ended: &Ended) {
        let (i, now) = (ended.upstream, worker.clock.mono());
        match (ended.cause(), &ended.end) {
            (None, _) => self.settle(now, i, class, ended.took, Report::Answered),
            (Some(cause), Ok(got)) if !is_uncertain(got.received.status.as_u16()) => {
                self.unsettled(now, i, class, cause, ended.asked());
            }
            (Some(cause), _) => {
                self.settle(now, i, class, ended.took, Report::Failed { cause, asked: ended.asked() });
            }
        }
    }
}
