//! Opening a socket at an upstream.

use std::sync::atomic::Ordering::Relaxed;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};
use seawall_runtime::net::Conn;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, handshake::client::generate_key, protocol::WebSocketConfig},
};

use super::super::{
    answer::Refusal,
    errand::Errand,
    onward::{end_to_end, target, with_own},
};
use crate::{
    call::{By, status_fault},
    core::{choose::Set, outcome::is_fault},
    pool::Report,
    serve::ReplyBody,
    trace::TRACEPARENT,
};

/// Bytes read from a socket at once.
const READ: usize = 16 << 10;

/// A socket to an upstream.
pub(super) struct Dialled {
    pub(super) upstream: usize,
    pub(super) socket: WebSocketStream<Conn>,
    /// What of its answer the client is told.
    pub(super) told: HeaderMap,
}

/// Why an upstream opened none.
enum Declined {
    /// There is no word from it, or none that makes sense.
    Lost(Cause),
    /// It says so.
    Said(Box<http::Response<Option<Vec<u8>>>>),
}

/// Opens a socket at whoever will, asking one after the other; if nobody will, what the client is told.
pub(super) async fn dial(errand: &Errand<'_>) -> Result<Dialled, Box<Response<ReplyBody>>> {
    let (pool, counts) = (&errand.pool, &errand.state().counts);
    let (mut tried, mut last) = (Set::NONE, None);
    for begun in 0..pool.section.attempts {
        let Some(i) = errand.choose(Class::Other, Set::ALL, tried) else { break };
        let began = errand.worker.clock.mono();
        if began >= errand.deadline {
            break;
        }
        if begun > 0 {
            if !errand.spend() {
                break;
            }
            counts.retries.fetch_add(1, Relaxed);
        }
        tried.insert(i);
        errand.visit.trail.begin(i, began);
        let limit = errand.attempt_timeout.min(errand.deadline.since(began));
        let declined = match timeout(limit, open(errand, i)).await {
            Ok(Ok(dialled)) => {
                settle(errand, i, began, None);
                errand.visit.trail.by(By::Upstream(i));
                return Ok(dialled);
            }
            Ok(Err(declined)) => declined,
            Err(_) => Declined::Lost(Cause::Timeout),
        };
        match &declined {
            Declined::Lost(cause) => settle(errand, i, began, Some(*cause)),
            // What may be the client's own affair is held against nobody.
            Declined::Said(said) if is_fault(said.status().as_u16()) && said.status().as_u16() >= 500 => {
                settle(errand, i, began, status_fault(said.status()));
            }
            Declined::Said(_) => settle(errand, i, began, None),
        }
        let is_final = matches!(&declined, Declined::Said(said) if !is_fault(said.status().as_u16()));
        last = Some(declined);
        if is_final {
            break;
        }
    }
    Err(Box::new(match last {
        Some(Declined::Said(said)) => give(*said),
        Some(Declined::Lost(cause)) => Refusal::AllFailed(cause).response(errand.visit),
        None => Refusal::NobodyHealthy.response(errand.visit),
    }))
}

fn settle(errand: &Errand<'_>, i: usize, began: Mono, cause: Option<Cause>) {
    let now = errand.worker.clock.mono();
    errand.visit.trail.end(i, now, cause);
    let report = cause.map_or(Report::Answered, |cause| Report::Failed { cause, asked: None });
    errand.pool.settle(now, i, Class::Other, now.since(began), report);
}

async fn open(errand: &Errand<'_>, i: usize) -> Result<Dialled, Declined> {
    let (worker, pool) = (&errand.worker, &errand.pool);
    let upstream = &pool.upstreams[i];
    let lost = Declined::Lost;
    let _in_flight = upstream.state.begin(Class::Other);
    upstream.take(worker.clock.mono(), "GET");
    let connect = worker.net.connect(&upstream.section.endpoint);
    let connected = timeout(pool.section.connect_timeout, connect).await;
    let conn = connected.ok().and_then(Result::ok).ok_or(lost(Cause::Connect))?;
    let path = target(upstream.uri.path(), &errand.onward.tail).ok_or(lost(Cause::Malformed))?;
    let host = upstream.section.host.as_ref();
    let mut request = Request::new(());
    let uri = format!("ws://{host}{path}");
    *request.uri_mut() = uri.parse().map_err(|_| lost(Cause::Malformed))?;
    let mut headers = with_own(&errand.onward.headers, &upstream.headers);
    headers.insert(header::HOST, HeaderValue::from_str(host).map_err(|_| lost(Cause::Malformed))?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = HeaderValue::from_str(&generate_key()).map_err(|_| lost(Cause::Malformed))?;
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    if let Some(trace) = errand.visit.trace() {
        headers.insert(TRACEPARENT, trace.header(trace.attempt(i, worker.clock.mono())));
    }
    *request.headers_mut() = headers;
    let limit = worker.limits.verified_answer;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    match client_async_with_config(request, conn, Some(config)).await {
        Ok((socket, answer)) => {
            upstream.state.heard(worker.clock.mono());
            let mut told = end_to_end(answer.into_parts().0.headers);
            for name in [header::SEC_WEBSOCKET_ACCEPT, header::SEC_WEBSOCKET_EXTENSIONS] {
                told.remove(name);
            }
            Ok(Dialled { upstream: i, socket, told })
        }
        // A success without a socket is no answer to this.
        Err(Error::Http(said)) if !said.status().is_success() => Err(Declined::Said(said)),
        Err(Error::Io(_)) => Err(lost(Cause::Reset)),
        Err(_) => Err(lost(Cause::Malformed)),
    }
}

/// What the upstream said instead.
fn give(said: http::Response<Option<Vec<u8>>>) -> Response<ReplyBody> {
    let (parts, body) = said.into_parts();
    let mut response = Response::new(ReplyBody::Whole(body.unwrap_or_default().into()));
    *response.status_mut() = match parts.status {
        // Without a socket there is nothing to switch to.
        status if status.is_informational() => StatusCode::BAD_GATEWAY,
        status => status,
    };
    *response.headers_mut() = end_to_end(parts.headers);
    response
}
