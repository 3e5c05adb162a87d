//! gRPC, passed through: messages and trailers go both ways as they come, over HTTP/2 on both sides.
//!
//! A call is sent to another upstream only where nothing can have taken effect: nobody took the connection, or the upstream
//! says that it has not looked at the call. A method that the estate lists may be repeated besides, as long as no more has
//! come from the client than is kept, and nothing has gone back to it. `call` makes attempts, `source` is what the client sends, `relay` what it gets;
//! `status` reads and writes how calls end.

mod call;
mod relay;
mod source;
mod status;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use seawall_model::Cause;

pub(crate) use relay::Relay;
pub(crate) use source::Reader;
pub(crate) use status::dressed;

use super::{
    answer::{Refusal, is_unknown},
    onward::{end_to_end, fault},
    turned_away,
};
use crate::{
    call::{By, status_fault},
    core::{affected::Fate, choose::Set},
    serve::{Pulse, ReplyBody, Visit},
};
use call::{Call, Came, Leased};

/// What is known so far.
struct Ledger<'a> {
    call: &'a Call<'a>,
    tried: Set,
    begun: u32,
    /// Why the last attempt gave no answer.
    cause: Option<Cause>,
    /// An upstream may have looked at it.
    arrived: bool,
    /// The last answer that another upstream might better.
    last: Option<Response<ReplyBody>>,
}

/// Passes one call through.
pub(crate) async fn respond(
    visit: &Visit,
    pulse: &Arc<Pulse>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let Visit { worker, pool, .. } = visit;
    let now = worker.clock.mono();
    pool.state.counts.requests.fetch_add(1, Relaxed);
    pool.state.budget().call(now);
    if !is_grpc(&request) {
        return Refusal::NoGrpc.response(visit);
    }
    let (parts, body) = request.into_parts();
    if let Some(refusal) = fault(&parts) {
        return dressed(refusal.response(visit));
    }
    let _busy = pulse.busy();
    let Some(call) = Call::new(visit, pulse, parts, body) else {
        return dressed(Refusal::Unforwardable.response(visit));
    };
    let response = admitted(&call).await;
    if !matches!(response.body(), ReplyBody::Relayed(_)) {
        call.source.give_up(call.source.turn());
    }
    if let Some(sheet) = &visit.sheet {
        sheet.received(call.source.received());
    }
    response
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2 && request.method() == Method::POST && names_grpc(request.headers())
}

/// `application/grpc`, or that and a format, as in `application/grpc+proto`.
fn names_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|v| v.as_bytes());
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Sends a call on once it is let in.
async fn admitted(call: &Call<'_>) -> Response<ReplyBody> {
    let (visit, now) = (call.visit, call.worker.clock.mono());
    let priority = call.pool.section.admission.of_request(&Method::POST, &call.path);
    let response = match visit.may_send(now, !call.repeatable, priority) {
        Err(refusal) => dressed(turned_away(visit, &refusal)),
        Ok(()) => {
            let heads = call.pool.state.heads.load_full();
            // The permit is held until the answer begins.
            match visit.enter(now, &heads, call.class, priority, call.deadline()).await {
                Ok(_permit) => send(call).await,
                Err(refusal) => dressed(turned_away(visit, &refusal)),
            }
        }
    };
    let fate = match (is_unknown(&response), status::status_of(response.headers())) {
        (true, _) => Fate::Unknown,
        (false, Some(status))
            if status::is_fault(status) || status == status::Code::DeadlineExceeded as u16 =>
        {
            Fate::Failed
        }
        (false, Some(_) | None) if response.status().is_server_error() => Fate::Failed,
        (false, Some(_) | None) => Fate::Answered,
    };
    visit.count(fate, || &[]);
    response
}

/// Asks one upstream after the other, as far as it may go to more than one.
async fn send(call: &Call<'_>) -> Response<ReplyBody> {
    let mut ledger = Ledger { call, tried: Set::NONE, begun: 0, cause: None, arrived: false, last: None };
    while let Some(i) = ledger.next() {
        let (came, took) = call.attempt(i).await;
        match came {
            Came::Begun(answer, lease) => {
                if let Some(response) = ledger.begins(*answer, lease, i, took) {
                    return response;
                }
            }
            Came::Untouched(cause) => {
                call.note(i, Some(cause));
                call.settle(i, took, Some(cause));
                ledger.cause = Some(cause);
                if !call.source.may_repeat() {
                    return dressed(Refusal::NotSent(cause).response(call.visit));
                }
            }
            Came::Lost(cause) => {
                call.note(i, Some(cause));
                // One whose client is gone proves nothing.
                if !call.source.is_broken() {
                    call.settle(i, took, Some(cause));
                }
                (ledger.cause, ledger.arrived) = (Some(cause), true);
                if !call.repeatable {
                    call.pool.state.counts.unknown_writes.fetch_add(1, Relaxed);
                    return dressed(Refusal::Unknown(cause).response(call.visit));
                }
                if !call.source.may_repeat() {
                    break;
                }
            }
            Came::OutOfTime => {
                call.note(i, Some(Cause::Timeout));
                call.out_of_time(i, took);
                return dressed(Refusal::Deadline.response(call.visit));
            }
        }
    }
    ledger.conclude()
}

impl Ledger<'_> {
    /// Who is asked next; all but the first are attempts more, and cost the budget.
    fn next(&mut self) -> Option<usize> {
        let (call, state) = (self.call, &self.call.pool.state);
        if self.begun >= call.pool.section.attempts {
            return None;
        }
        let i = call.choose(self.tried)?;
        if self.begun > 0 {
            if !state.budget().spend(call.worker.clock.mono()) {
                state.counts.budget_refused.fetch_add(1, Relaxed);
                return None;
            }
            state.counts.retries.fetch_add(1, Relaxed);
        }
        self.begun += 1;
        self.tried.insert(i);
        Some(i)
    }

    /// An answer begins: it is the client's, unless it says that another upstream may do better and that is allowed.
    fn begins(
        &mut self,
        answer: Response<Incoming>,
        lease: Leased,
        i: usize,
        took: Duration,
    ) -> Option<Response<ReplyBody>> {
        let call = self.call;
        let (mut parts, body) = answer.into_parts();
        let is_grpc = parts.status == StatusCode::OK;
        // Without a body, the headers are the trailers.
        let said = status::status_of(&parts.headers).filter(|_| is_grpc);
        let fault = match (is_grpc, said) {
            (false, _) => Some(status_fault(parts.status).unwrap_or(Cause::HttpStatus)),
            (true, Some(status)) if status::is_fault(status) => Some(Cause::Unwell),
            (true, Some(_) | None) => None,
        };
        call.note(i, fault);
        if said.is_some() || !is_grpc {
            call.settle(i, took, fault);
        }
        let unavailable = match said {
            Some(status) => status == status::Code::Unavailable as u16,
            // What stands for it where a proxy answers (gRPC's mapping of HTTP statuses).
            None => matches!(parts.status.as_u16(), 429 | 502..=504),
        };
        let again =
            unavailable && call.repeatable && call.source.may_repeat() && status::may_retry(&parts.headers);
        parts.headers = end_to_end(parts.headers);
        call.visit.trail.by(By::Upstream(i));
        let body = match said {
            Some(_) => ReplyBody::Whole(Bytes::new()),
            None => ReplyBody::Relayed(Box::new(Relay::new(call, body, lease, i, took, is_grpc))),
        };
        let response = Response::from_parts(parts, body);
        if again {
            (self.cause, self.last) = (fault, Some(response));
            return None;
        }
        Some(response)
    }

    /// Nobody else is to be asked.
    fn conclude(self) -> Response<ReplyBody> {
        let visit = self.call.visit;
        match (self.last, self.cause) {
            (Some(response), _) => response,
            (None, Some(cause)) if !self.arrived => dressed(Refusal::NotSent(cause).response(visit)),
            (None, Some(cause)) => dressed(Refusal::AllFailed(cause).response(visit)),
            (None, None) => dressed(Refusal::NobodyHealthy.response(visit)),
        }
    }
}
