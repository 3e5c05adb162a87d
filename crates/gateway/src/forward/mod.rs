//! HTTP APIs: a request forwarded under the pool's route, by the rule that covers its path.
//!
//! `onward` makes of it what upstreams are sent, `errand` says what may be done with it, `attempt` sends it to one of
//! them. `read` asks until somebody answers, `write` sends it once and, where in doubt, looks up (`lookup`) what became
//! of it; what may be done next is decided in `core::outcome`. Bodies are held, answers stream. `socket` carries WebSockets.

mod answer;
mod attempt;
mod counts;
mod errand;
mod lookup;
mod onward;
mod read;
mod socket;
mod write;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use seawall_model::Mono;

pub(crate) use counts::{ApiCounts, COUNTERS};
pub(crate) use socket::{Tunnel, socket};

use crate::{
    call,
    core::{affected::Fate, line::Priority, outcome::Effect},
    serve::{Pulse, ReplyBody, Visit, json, read_body},
};
use answer::Refusal;
use errand::Errand;

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
        Ok(()) => admitted(&errand, now, priority).await,
        Err(refusal) => turned_away(visit, &refusal),
    };
    let status = response.status();
    let fate = match answer::is_unknown(&response) {
        true => Fate::Unknown,
        false if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Fate::Failed,
        false => Fate::Answered,
    };
    visit.count(fate, || &errand.onward.body);
    response
}

/// Sends a request on once it is let in.
async fn admitted(errand: &Errand<'_>, now: Mono, priority: Priority) -> Response<ReplyBody> {
    let visit = errand.visit;
    let heads = visit.pool.state.heads.load_full();
    // The permit is held until there is an answer.
    let _permit = match visit.enter(now, &heads, errand.class, priority, errand.deadline).await {
        Ok(entered) => entered,
        Err(refusal) => return turned_away(visit, &refusal),
    };
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
