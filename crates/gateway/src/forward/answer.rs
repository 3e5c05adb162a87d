//! What the client gets: an upstream's answer, or the gateway's own word for why there is none.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use seawall_model::Cause;

use super::{
    attempt::{Got, is_of_events},
    errand::Errand,
    onward::end_to_end,
};
use crate::{
    call::{By, Large},
    serve::{ReplyBody, Visit, json},
};

/// What is said of a write's outcome where the answer alone does not tell it.
const OUTCOME: HeaderName = HeaderName::from_static("x-seawall-outcome");

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer is that of the look-up.
    Reconciled,
    /// It took no effect.
    Absent,
    /// Nobody knows.
    Unknown,
}

/// Why there is no answer of an upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody may be asked.
    NobodyHealthy,
    /// Everybody who could be asked failed.
    AllFailed(Cause),
    /// The request's time ran out.
    Deadline,
    /// A write may have taken effect or not.
    Unknown(Cause),
    /// A write reached nobody.
    NotSent(Cause),
    /// A write was proven not to have taken effect.
    Absent(Cause),
    /// The path may be read in more than one way.
    Path,
    /// The method is not for APIs.
    Method,
    /// It is not gRPC over HTTP/2.
    NoGrpc,
    /// A body that streams is longer than it may be.
    TooLong {
        /// It may have changed something.
        writes: bool,
    },
    /// A body that streams ended short.
    Cut {
        /// It may have changed something.
        writes: bool,
    },
    /// What it asks for cannot be written as a request to an upstream.
    Unforwardable,
}

impl Refusal {
    fn parts(self) -> (StatusCode, &'static str, Option<Cause>, Option<Outcome>) {
        let timed = |cause| match cause {
            Cause::Timeout => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        match self {
            Self::NobodyHealthy => {
                (StatusCode::SERVICE_UNAVAILABLE, "SW0301: the pool has no healthy upstream", None, None)
            }
            Self::AllFailed(cause) => {
                (timed(cause), "SW0302: no upstream answered this request", Some(cause), None)
            }
            Self::Deadline => {
                let what = "SW0303: no upstream answered in time";
                (StatusCode::GATEWAY_TIMEOUT, what, Some(Cause::Timeout), None)
            }
            Self::Unknown(cause) => {
                let what = "SW0305: the outcome is unknown: look it up before sending it again";
                (timed(cause), what, Some(cause), Some(Outcome::Unknown))
            }
            Self::NotSent(cause) => {
                let what = "SW0306: no upstream took the request; none has seen it";
                (StatusCode::BAD_GATEWAY, what, Some(cause), Some(Outcome::Absent))
            }
            Self::Absent(cause) => {
                let what = "SW0371: the upstream failed, and the look-up shows that nothing took effect";
                (StatusCode::BAD_GATEWAY, what, Some(cause), Some(Outcome::Absent))
            }
            Self::Path => {
                (StatusCode::BAD_REQUEST, "SW0372: the path can be read in more than one way", None, None)
            }
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "SW0373: this method is not forwarded", None, None)
            }
            Self::TooLong { writes } => {
                let what = "SW0312: the request is too large";
                (StatusCode::PAYLOAD_TOO_LARGE, what, None, writes.then_some(Outcome::Unknown))
            }
            Self::Cut { writes } => {
                let what = "SW0378: the body ended short, or came too slowly, when some of it had gone on";
                (StatusCode::BAD_REQUEST, what, None, writes.then_some(Outcome::Unknown))
            }
            Self::NoGrpc => {
                let what = "SW0379: this is a pool of gRPC services: POST `application/grpc` over HTTP/2";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, what, None, None)
            }
            Self::Unforwardable => {
                (StatusCode::BAD_REQUEST, "SW0374: the request cannot be forwarded", None, None)
            }
        }
    }

    /// What the client is told.
    pub(super) fn response(self, visit: &Visit) -> Response<ReplyBody> {
        let (status, message, cause, outcome) = self.parts();
        let pool = &visit.pool;
        visit.trail.refused(&message[..6]);
        pool.state.counts.failed.fetch_add(1, Relaxed);
        let body = serde_json::json!({"code": &message[..6], "error": message, "pool": pool.section.name, "cause": cause});
        let mut response = json(status, body.to_string().into());
        if let Some(outcome) = outcome {
            response.headers_mut().insert(OUTCOME, outcome.value());
        }
        response
    }
}

/// Does an answer leave open what became of a write?
pub(super) fn is_unknown(response: &Response<ReplyBody>) -> bool {
    response.headers().get(OUTCOME).is_some_and(|outcome| *outcome == Outcome::Unknown.value())
}

impl Outcome {
    fn value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Reconciled => "reconciled",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        })
    }
}

impl Got {
    /// The answer as the client gets it.
    pub(super) fn give(self, errand: &Errand<'_>) -> Response<ReplyBody> {
        errand.visit.trail.by(By::Upstream(self.upstream));
        let (worker, pool, received) = (&errand.worker, &errand.pool, self.received);
        // Without a body to be measured, the length is only told (RFC 9110, section 9.3.2).
        let told = errand.onward.method == Method::HEAD || received.status == StatusCode::NOT_MODIFIED;
        let length = received.headers.get(header::CONTENT_LENGTH).filter(|_| told).cloned();
        let body = match received.rest {
            Some(rest) => {
                let large = Large { first: received.body, link: Box::new(self.link), rest };
                // Between events it may be as silent as a client may.
                let patience = match is_of_events(&received.headers) {
                    true => worker.limits.idle,
                    false => pool.section.attempt_timeout,
                };
                ReplyBody::streaming(large, Arc::clone(pool), patience)
            }
            None => {
                worker.links.put(pool.upstreams[self.upstream].state.id, worker.clock.mono(), self.link);
                ReplyBody::Whole(received.body)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = received.status;
        *response.headers_mut() = end_to_end(received.headers);
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        response
    }

    /// The answer, with a word on what became of the write.
    pub(super) fn give_as(self, errand: &Errand<'_>, outcome: Outcome) -> Response<ReplyBody> {
        let mut response = self.give(errand);
        if outcome == Outcome::Unknown {
            errand.visit.trail.refused("SW0305");
        }
        response.headers_mut().insert(OUTCOME, outcome.value());
        if outcome == Outcome::Reconciled
            && let Some(status) = errand.lookup_rule().and_then(|(rule, _)| rule.status)
        {
            *response.status_mut() = status;
        }
        response
    }

    /// Puts the connection back, if nothing more is to come on it.
    pub(super) fn put_back(self, errand: &Errand<'_>) {
        if self.received.rest.is_none() {
            let (worker, pool) = (&errand.worker, &errand.pool);
            worker.links.put(pool.upstreams[self.upstream].state.id, worker.clock.mono(), self.link);
        }
    }
}
