//! HTTP APIs: a request forwarded under the pool's route, by the rule that covers its path.
//!
//! `onward` makes of it what upstreams are sent, `errand` says what may be done with it, `attempt` sends it to one of
//! them. `read` asks until somebody answers, `write` sends it once and, where in doubt, looks up (`lookup`) what became
//! of it; what may be done next is decided in `core::outcome`. Bodies are held, unless the path's rule has
//! them go on as they come (`upload`); answers stream. `socket` carries WebSockets, `grpc` is a way of its own.

mod answer;
mod attempt;
mod counts;
mod errand;
mod grpc;
mod lookup;
mod onward;
mod read;
mod socket;
mod upload;
mod write;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use seawall_model::Mono;

pub(crate) use counts::{ApiCounts, COUNTERS};
pub(crate) use grpc::{Reader, Relay, dressed, respond as grpc};
pub(crate) use socket::{Tunnel, socket};

use crate::{
    call,
    client::Upload,
    core::{affected::Fate, line::Priority, outcome::Effect},
    serve::{Pulse, ReplyBody, Unread, Visit, json, read_body},
};
use answer::Refusal;
use errand::Errand;
use upload::Brought;

/// Forwards one request.
pub(crate) async fn respond(
    visit: &Visit,
    pulse: &Arc<Pulse>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let Visit { worker, pool, .. } = visit;
    let now = worker.clock.mono();
    pool.state.counts.requests.fetch_add(1, Relaxed);
    pool.state.budget().call(now);
    let (parts, body) = request.into_parts();
    if let Some(refusal) = onward::fault(&parts) {
        return refusal.response(visit);
    }
    let body = match upload::brought(visit, &parts, body) {
        Brought::Held(body) => body,
        // Boxed, so that the usual request does not hold room for it.
        Brought::Streams(upload) => return Box::pin(streamed(visit, pulse, parts, upload)).await,
        Brought::TooLong => return Unread::TooLong.refusal(),
    };
    let body = match read_body(body, worker.limits.request_body).await {
        Ok(body) => body,
        Err(unread) => return unread.refusal(),
    };
    let _busy = pulse.busy();
    if let Some(sheet) = &visit.sheet {
        sheet.received(body.len());
    }
    let Some(errand) = Errand::new(visit, parts, body) else {
        return Refusal::Unforwardable.response(visit);
    };
    let priority = errand.priority();
    let response = match visit.may_send(now, errand.changes, priority) {
        Ok(()) => admitted(&errand, now, priority, None).await,
        Err(refusal) => turned_away(visit, &refusal),
    };
    count(&errand, &response);
    response
}

/// Forwards a request whose body goes on as it comes.
async fn streamed(
    visit: &Visit,
    pulse: &Arc<Pulse>,
    parts: Parts,
    upload: Box<Upload>,
) -> Response<ReplyBody> {
    let now = visit.worker.clock.mono();
    let (_busy, flow) = (pulse.busy(), upload.flow());
    let Some(mut errand) = Errand::new(visit, parts, Bytes::new()) else {
        return Refusal::Unforwardable.response(visit);
    };
    errand.goes_once();
    let priority = errand.priority();
    let response = match visit.may_send(now, errand.changes, priority) {
        Ok(()) => admitted(&errand, now, priority, Some(upload)).await,
        Err(refusal) => turned_away(visit, &refusal),
    };
    if let Some(sheet) = &visit.sheet {
        sheet.received(usize::try_from(flow.progress().sent).unwrap_or(usize::MAX));
    }
    count(&errand, &response);
    response
}

/// Counts what became of it, for whoever sent it.
fn count(errand: &Errand<'_>, response: &Response<ReplyBody>) {
    let status = response.status();
    let fate = match answer::is_unknown(response) {
        true => Fate::Unknown,
        false if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Fate::Failed,
        false => Fate::Answered,
    };
    errand.visit.count(fate, || &errand.onward.body);
}

/// Sends a request on once it is let in.
async fn admitted(
    errand: &Errand<'_>,
    now: Mono,
    priority: Priority,
    upload: Option<Box<Upload>>,
) -> Response<ReplyBody> {
    let visit = errand.visit;
    let heads = visit.pool.state.heads.load_full();
    // The permit is held until there is an answer.
    let _permit = match visit.enter(now, &heads, errand.class, priority, errand.deadline).await {
        Ok(entered) => entered,
        Err(refusal) => return turned_away(visit, &refusal),
    };
    if let Some(upload) = upload {
        return Box::pin(upload::upload(errand, upload)).await;
    }
    match errand.terms.effect {
        Effect::Read => read::read(errand).await,
        Effect::Write => write::write(errand).await,
    }
}

/// Says why a request is not sent on at all, and when to try again.
fn turned_away(visit: &Visit, refusal: &call::Refusal) -> Response<ReplyBody> {
    let pool = &visit.pool;
    visit.trail.refused(refusal.code());
    pool.state.counts.failed.fetch_add(1, Relaxed);
    let (body, retry) = refusal.to_http(pool);
    let mut response = json(refusal.status(), body);
    if let Some(retry) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, retry.into());
    }
    response
}
