//! One HTTP request: routed, read within its limits, answered.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::BoxFuture, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seawall_chain::envelope::{self, Call, Invalid, code};
use serde_json::value::RawValue;

use super::{
    Client, Floor, Pulse, ReplyBody, Visit, entrance, observe,
    socket::{self, Slot},
};
use crate::{
    access,
    call::{self, Refusal, Reply},
    forward,
    pool::Pool,
    worker::Worker,
};

/// Calls of one batch that are in flight at once.
const BATCH_WIDTH: usize = 32;
/// Answers of one batch together may hold this many times the limit of a verified answer.
const BATCH_HOLD: usize = 4;

/// Boxed, so that an idle connection does not hold the room of a call.
pub(super) type Answer = BoxFuture<'static, Result<Response<ReplyBody>, Infallible>>;

/// Answers one HTTP request. What can be told from its head is done at once, so that the head is not held
/// while the call is on its way.
pub(super) fn respond(
    worker: &Arc<Worker>,
    client: &Client,
    pulse: &Arc<Pulse>,
    slot: Option<&Slot>,
    mut request: Request<Incoming>,
) -> Answer {
    let visit = match entrance::enter(worker, client, &mut request) {
        Ok(visit) => visit,
        Err(response) => return at_once(*response),
    };
    let page = entrance::page(&visit, &request);
    let answer = admitted(visit, pulse.clone(), slot, request);
    match page {
        None => answer,
        Some((pool, origin)) => Box::pin(async move {
            let mut answer = answer.await?;
            entrance::tell(&pool, origin.as_ref(), &mut answer);
            Ok(answer)
        }),
    }
}

/// Answers a request whose pool is known, and whose client may use it.
fn admitted(mut visit: Visit, pulse: Arc<Pulse>, slot: Option<&Slot>, request: Request<Incoming>) -> Answer {
    if visit.pool.section.observes {
        return Box::pin(async move {
            let response = observe::respond(&visit, request).await;
            Ok(visit.close(response))
        });
    }
    if visit.pool.evm().is_none() {
        if let Some(sheet) = &visit.sheet {
            sheet.http(request.method(), request.uri());
        }
        let slot = slot.filter(|_| socket::is_asked_for_in_full(&request)).cloned();
        let is_grpc = visit.pool.is_grpc();
        return Box::pin(async move {
            let response = match access::permit(&visit, || entrance::name(&visit.pool, &request).into()) {
                Ok(_turn) if is_grpc => Box::pin(forward::grpc(&visit, &pulse, request)).await,
                Ok(_turn) => match slot {
                    None => forward::respond(&visit, &pulse, request).await,
                    Some(slot) => Box::pin(forward::socket(&visit, &slot, request)).await,
                },
                Err(denied) if is_grpc => forward::dressed(denied.response(&visit.pool.section)),
                Err(denied) => denied.response(&visit.pool.section),
            };
            Ok(visit.close(response))
        });
    }
    if let Some(slot) = slot
        && socket::is_asked_for(&request)
    {
        let response = socket::accept(&visit, request, slot);
        return at_once(visit.close(response));
    }
    if request.method() != Method::POST {
        let message = "SW0311: this is a JSON-RPC endpoint: POST one call or a batch to it";
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, code::INVALID_REQUEST, message);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return at_once(visit.close(response));
    }
    let Ok(floor) = Floor::of(request.headers()) else {
        let message = "SW0352: x-seawall-seen holds nothing that was ever given out";
        return at_once(visit.close(error(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, message)));
    };
    visit.floor = floor;
    // Other streams keep a connection of HTTP/2 alive, whatever becomes of this one's body.
    let patience = (request.version() == Version::HTTP_2).then_some(visit.worker.limits.idle);
    let body = request.into_body();
    Box::pin(async move {
        let response = calls(&visit, &pulse, body, patience).await;
        Ok(visit.close(response))
    })
}

/// An answer that needs nobody else.
fn at_once(response: Response<ReplyBody>) -> Answer {
    Box::pin(std::future::ready(Ok(response)))
}

/// Answers the call, or the batch of calls, that a body holds.
async fn calls(
    visit: &Visit,
    pulse: &Arc<Pulse>,
    body: Incoming,
    patience: Option<Duration>,
) -> Response<ReplyBody> {
    let limits = &visit.worker.limits;
    let reading = read_body(body, limits.request_body);
    let read = match patience {
        None => reading.await,
        Some(patience) => tokio::time::timeout(patience, reading).await.unwrap_or(Err(Unread::Broken)),
    };
    let body = match read {
        Ok(body) => body,
        Err(unread) => return unread.refusal(),
    };
    let _busy = pulse.busy();
    let request = envelope::parse_versions(&body, limits.batch, visit.pool.rules().versions);
    if let Some(sheet) = &visit.sheet {
        sheet.asked(&request, body.len());
    }
    match request {
        Ok(envelope::Request::Single(call)) => single(call::answer(visit, &call).await, &visit.pool),
        // Boxed, so that the room of the usual call is not that of the largest.
        Ok(envelope::Request::Batch(calls)) => Box::pin(batch(visit, calls)).await,
        Err(invalid) => {
            let mut out = Vec::with_capacity(128);
            envelope::write_error(&mut out, invalid.id, invalid.code, invalid.message, None);
            json(StatusCode::BAD_REQUEST, out.into())
        }
    }
}

/// Why a body is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than the limit.
    TooLong,
    /// It ended short, or its chunks are none.
    Broken,
}

impl Unread {
    /// What the client is told.
    pub(crate) fn refusal(self) -> Response<ReplyBody> {
        let (status, message) = match self {
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "SW0312: the request is too large"),
            Self::Broken => (StatusCode::BAD_REQUEST, "SW0313: the request's body is broken"),
        };
        error(status, code::INVALID_REQUEST, message)
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLong);
    }
    let mut all: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        let so_far = all.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > limit {
            return Err(Unread::TooLong);
        }
        match &mut all {
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(2 * (first.len() + data.len()));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                all = Some(joined);
            }
            Some(all) => all.extend_from_slice(&data),
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(all.map_or(first, BytesMut::freeze))
}

fn single(reply: Reply, pool: &Arc<Pool>) -> Response<ReplyBody> {
    match reply {
        Reply::Whole(body) => json(StatusCode::OK, body),
        Reply::Large(large) => {
            let mut response =
                Response::new(ReplyBody::streaming(large, pool.clone(), pool.section.attempt_timeout));
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response
        }
        Reply::Refused(body, status) => {
            let mut response = json(status, body);
            if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
        Reply::Nothing => {
            let mut response = Response::new(ReplyBody::Whole(Bytes::new()));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
    }
}

/// Each call of a batch goes its own way; the answers come back in the order of the calls.
pub(super) async fn batch(visit: &Visit, calls: Vec<Result<Call<'_>, Invalid<'_>>>) -> Response<ReplyBody> {
    let Visit { worker, pool, .. } = visit;
    let mut entries: Vec<BoxFuture<'_, Entry<'_>>> = Vec::with_capacity(calls.len());
    for call in calls {
        entries.push(Box::pin(entry(visit, call)));
    }
    let mut answers = stream::iter(entries).buffered(BATCH_WIDTH);
    let mut out = vec![b'['];
    while let Some((answer, id)) = answers.next().await {
        let Some(answer) = answer else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        if out.len() + answer.len() <= BATCH_HOLD * worker.limits.verified_answer {
            out.extend_from_slice(&answer);
        } else {
            Refusal::TooLarge.write(&mut out, id, pool, worker);
        }
    }
    if out.len() == 1 {
        return single(Reply::Nothing, pool); // nothing but notifications
    }
    out.push(b']');
    json(StatusCode::OK, out.into())
}

/// An answer, if the call wants one, and the call's id.
type Entry<'a> = (Option<Bytes>, Option<&'a RawValue>);

async fn entry<'a>(visit: &Visit, call: Result<Call<'a>, Invalid<'a>>) -> Entry<'a> {
    let mut out = Vec::new();
    match call {
        Ok(call) => match call::answer(visit, &call).await {
            Reply::Whole(body) | Reply::Refused(body, _) => return (Some(body), call.id),
            Reply::Large(_) => Refusal::TooLarge.write(&mut out, call.id, &visit.pool, &visit.worker),
            Reply::Nothing => return (None, None),
        },
        Err(invalid) => envelope::write_error(&mut out, invalid.id, invalid.code, invalid.message, None),
    }
    (Some(out.into()), None)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A JSON-RPC error that belongs to no call.
pub(crate) fn error(status: StatusCode, code: i64, message: &str) -> Response<ReplyBody> {
    let mut out = Vec::with_capacity(128);
    envelope::write_error(&mut out, None, code, message, None);
    json(status, out.into())
}
