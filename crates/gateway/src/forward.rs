//! HTTP APIs: a request forwarded as it is, under the pool's route.
//!
//! A request whose method may be repeated goes to another upstream when the first fails; any other goes
//! out once, unless it reached nobody. Bodies are held, answers stream.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};

use crate::{
    call::{By, Large, Refusal, asked_wait, status_fault},
    client::{Link, Received},
    core::{affected::Fate, choose::Set, line::Priority},
    estate::PoolKind,
    pool::{Pool, Report},
    serve::{Pulse, ReplyBody, Visit, json, read_body},
    trace::TRACEPARENT,
    worker::Worker,
};

/// Headers that belong to one connection (RFC 9110, section 7.6.1), and those that are made anew.
const HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
/// Every call of an HTTP API is of this class.
const CLASS: Class = Class::Other;

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
    let body = match read_body(body, worker.limits.request_body).await {
        Ok(body) => body,
        Err(unread) => return unread.refusal(),
    };
    let _busy = pulse.busy();
    if let Some(sheet) = &visit.sheet {
        sheet.received(body.len());
    }
    let onward = Onward {
        method: parts.method,
        tail: tail(&parts.uri, pool),
        headers: end_to_end(parts.headers),
        body,
    };
    let priority = pool.section.admission.of_request(&onward.method, path(&onward.tail));
    let fare = visit.may_send(now, &onward.method, priority);
    let response = match fare {
        Ok(()) => admitted(visit, now, priority, &onward).await,
        Err(refusal) => turned_away(visit, &refusal),
    };
    let failed = response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS;
    visit.count(if failed { Fate::Failed } else { Fate::Answered }, || &onward.body);
    response
}

/// Sends a request on once it is let in.
async fn admitted(visit: &Visit, now: Mono, priority: Priority, onward: &Onward) -> Response<ReplyBody> {
    let pool = &visit.pool;
    let deadline = now + pool.section.deadline;
    let heads = pool.state.heads.load_full();
    let (_permit, since) = match visit.enter(now, &heads, CLASS, priority, deadline).await {
        Ok(entered) => entered,
        Err(refusal) => return turned_away(visit, &refusal),
    };
    let left = deadline.since(since);
    match tokio::time::timeout(left, tries(visit, onward)).await {
        Ok(Ok(response)) => response,
        Ok(Err(cause)) => refuse(visit, StatusCode::BAD_GATEWAY, cause),
        Err(_) => refuse(visit, StatusCode::GATEWAY_TIMEOUT, Some(Cause::Timeout)),
    }
}

/// Says why a request is not sent on at all, and when to try again.
fn turned_away(visit: &Visit, refusal: &Refusal) -> Response<ReplyBody> {
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

/// The path of a path and query.
fn path(tail: &str) -> &str {
    tail.split_once('?').map_or(tail, |(path, _)| path)
}

/// A request as every upstream is sent it.
struct Onward {
    method: Method,
    /// Path and query below the pool's route.
    tail: String,
    headers: HeaderMap,
    body: Bytes,
}

async fn tries(visit: &Visit, onward: &Onward) -> Result<Response<ReplyBody>, Option<Cause>> {
    let Visit { worker, pool, trail, .. } = visit;
    let PoolKind::Http(http) = &pool.section.kind else { return Err(None) };
    let repeatable = http.retry_methods.contains(&onward.method);
    let mut tried = Set::NONE;
    let mut last = None;
    for begun in 0..pool.section.attempts {
        let now = worker.clock.mono();
        let heads = pool.state.heads.load();
        let Some(i) = pool.choose(now, CLASS, &heads, Set::ALL.without(tried), tried) else { break };
        drop(heads);
        if begun > 0 {
            if !pool.state.budget().spend(now) {
                pool.state.counts.budget_refused.fetch_add(1, Relaxed);
                break;
            }
            pool.state.counts.retries.fetch_add(1, Relaxed);
        }
        tried.insert(i);
        trail.begin(i, now);
        let attempt = tokio::time::timeout(pool.section.attempt_timeout, once(visit, i, now, onward)).await;
        let ended = worker.clock.mono();
        let took = ended.since(now);
        let (cause, sent, asked) = match attempt {
            Ok(Ok((received, link))) => match status_fault(received.status).filter(|_| repeatable) {
                None => {
                    trail.end(i, ended, None);
                    trail.by(By::Upstream(i));
                    pool.settle(worker.clock.mono(), i, CLASS, took, Report::Answered);
                    return Ok(back(worker, pool, i, &onward.method, received, link));
                }
                Some(cause) => (cause, true, asked_wait(&received.headers)),
            },
            Ok(Err((cause, sent))) => (cause, sent, None),
            Err(_) => (Cause::Timeout, true, None),
        };
        trail.end(i, ended, Some(cause));
        pool.settle(worker.clock.mono(), i, CLASS, took, Report::Failed { cause, asked });
        last = Some(cause);
        if sent && !repeatable {
            break;
        }
    }
    Err(last)
}

/// One attempt; on failure, why, and whether the request may have reached the upstream.
async fn once(
    visit: &Visit,
    i: usize,
    now: Mono,
    onward: &Onward,
) -> Result<(Received, Link), (Cause, bool)> {
    let Visit { worker, pool, .. } = visit;
    let upstream = &pool.upstreams[i];
    let _in_flight = upstream.state.begin(CLASS);
    upstream.state.rate.take(now);
    let mut idle = worker.links.take(upstream.state.id, now);
    if let Some(link) = &mut idle
        && !link.is_alive().await
    {
        idle = None;
    }
    let mut link = match idle {
        Some(link) => link,
        None => {
            let dial = async {
                let conn = worker.net.connect(&upstream.section.endpoint).await.ok()?;
                Link::start(conn).await.ok()
            };
            let dialled = tokio::time::timeout(pool.section.connect_timeout, dial).await;
            dialled.ok().flatten().ok_or((Cause::Connect, false))?
        }
    };
    let mut request = Request::new(Full::new(onward.body.clone()));
    *request.method_mut() = onward.method.clone();
    *request.uri_mut() = target(upstream.uri.path(), &onward.tail).ok_or((Cause::Malformed, false))?;
    *request.headers_mut() = onward.headers.clone();
    for (name, value) in &upstream.headers {
        request.headers_mut().insert(name, value.clone());
    }
    if let Some(trace) = visit.trace() {
        request.headers_mut().insert(TRACEPARENT, trace.header(trace.attempt(i, now)));
    }
    let received = link.exchange(|| request, worker.limits.verified_answer).await;
    upstream.state.heard(worker.clock.mono());
    let received = received.map_err(|e| (e.cause(), true))?;
    Ok((received, link))
}

/// The answer as the client gets it.
fn back(
    worker: &Worker,
    pool: &Arc<Pool>,
    i: usize,
    method: &Method,
    received: Received,
    link: Link,
) -> Response<ReplyBody> {
    // Without a body to be measured, the length is only told (RFC 9110, section 9.3.2).
    let length = received.headers.get(header::CONTENT_LENGTH).filter(|_| method == Method::HEAD).cloned();
    let body = match received.rest {
        Some(rest) => {
            let large = Large { first: received.body, link: Box::new(link), rest };
            ReplyBody::streaming(large, pool.clone())
        }
        None => {
            worker.links.put(pool.upstreams[i].state.id, worker.clock.mono(), link);
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

fn refuse(visit: &Visit, status: StatusCode, cause: Option<Cause>) -> Response<ReplyBody> {
    let pool = &visit.pool;
    pool.state.counts.failed.fetch_add(1, Relaxed);
    let (status, message) = match cause {
        None => (StatusCode::SERVICE_UNAVAILABLE, "SW0301: the pool has no healthy upstream"),
        Some(_) => (status, "SW0302: no upstream answered this request"),
    };
    visit.trail.refused(&message[..6]);
    let body = serde_json::json!({"code": &message[..6], "error": message, "pool": pool.section.name, "cause": cause});
    json(status, body.to_string().into())
}

/// Path and query below the pool's route, beginning with a slash unless there is nothing.
fn tail(uri: &Uri, pool: &Pool) -> String {
    let route = pool.section.route.trim_end_matches('/');
    let path = uri.path().strip_prefix(route).unwrap_or(uri.path());
    match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

fn target(base: &str, tail: &str) -> Option<Uri> {
    let joined = format!("{}{tail}", base.trim_end_matches('/'));
    let joined = if joined.starts_with('/') { joined } else { format!("/{joined}") };
    joined.parse().ok()
}

/// The headers that go from end to end: without those of one connection, and those it names.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_with_one_slash() {
        for (base, tail, want) in [
            ("/", "/v1/orders?x=1", "/v1/orders?x=1"),
            ("/api", "/v1", "/api/v1"),
            ("/api/", "", "/api"),
            ("/", "", "/"),
            ("/", "?x=1", "/?x=1"),
        ] {
            assert_eq!(target(base, tail).unwrap(), want, "{base} {tail}");
        }
    }

    #[test]
    fn headers_of_one_connection_stay_behind() {
        let headers =
            [("connection", "x-secret, close"), ("x-secret", "1"), ("te", "trailers"), ("x-kept", "2")];
        let headers = headers.into_iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        let kept: Vec<_> = end_to_end(headers).keys().map(|k| k.to_string()).collect();
        assert_eq!(kept, ["x-kept"]);
    }
}
