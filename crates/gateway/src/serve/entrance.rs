//! Between a request's head and its pool: which pool it is for, who sends it, and whether they may.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use seawall_chain::envelope::code;

use super::{Client, ReplyBody, Visit, request::error, strict};
use crate::{access::Denied, forward::dressed, pool::Pool, worker::Worker};

/// Finds the pool that a request is for, and who sends it; if that comes to nothing, what it is answered. What
/// showed who sends it is taken out of the request.
pub(super) fn enter(
    worker: &Arc<Worker>,
    client: &Client,
    request: &mut Request<Incoming>,
) -> Result<Visit, Box<Response<ReplyBody>>> {
    if let Err(unclear) = strict::check(request) {
        return Err(Box::new(unclear.refusal(request.version())));
    }
    let routes = worker.routes.load();
    let path = request.uri().path();
    let found = routes.find(path).map(|pool| (pool, None));
    let Some((pool, key)) = found.or_else(|| routes.find_keyed(path).map(|(pool, key)| (pool, Some(key))))
    else {
        let message = "SW0310: no pool is served at this path";
        return Err(Box::new(error(StatusCode::NOT_FOUND, code::INVALID_REQUEST, message)));
    };
    let (pool, key) = (pool.clone(), key.map(str::to_owned));
    let mut visit = Visit::new(worker.clone(), pool, client.clone(), request.headers());
    let access = &visit.pool.section.access;
    if let Some(cors) = &access.cors {
        if let Some(told) = cors.preflight(request.method(), request.headers()) {
            return Err(Box::new(visit.close(told)));
        }
        if !cors.admits(request.headers()) {
            return Err(deny(visit, request, Denied::Origin));
        }
    }
    if !access.require.is_none() || client.certificate.is_some() {
        let now = worker.clock.wall();
        let who = routes.access.identify(&visit.pool.section, client, request, key.as_deref(), now);
        match who {
            Ok(identity) => visit.client.identity = identity,
            Err(denied) => return Err(deny(visit, request, denied)),
        }
    }
    if !visit.pool.section.kind.is_chain() {
        strict::clean(request.headers_mut());
    }
    Ok(visit)
}

/// Of what origin the page is that an answer goes to, where the pool's answers speak of that.
pub(super) fn page(visit: &Visit, request: &Request<Incoming>) -> Option<(Arc<Pool>, Option<HeaderValue>)> {
    visit.pool.section.access.cors.as_ref()?;
    Some((visit.pool.clone(), request.headers().get(header::ORIGIN).cloned()))
}

/// Has the answer speak of the origin.
pub(super) fn tell(pool: &Pool, origin: Option<&HeaderValue>, response: &mut Response<ReplyBody>) {
    if let Some(cors) = &pool.section.access.cors {
        cors.tell(origin, response.headers_mut());
    }
}

/// What rules of methods are about at an HTTP API: method and path, below the pool's route; with gRPC the whole path, since
/// it is the method's name.
pub(super) fn name(pool: &Pool, request: &Request<Incoming>) -> String {
    let (method, path) = (request.method(), request.uri().path());
    if pool.is_grpc() {
        return format!("{method} {path}");
    }
    let route = pool.section.route.trim_end_matches('/');
    format!("{method} {}", path.strip_prefix(route).unwrap_or(path))
}

fn deny(visit: Visit, request: &Request<Incoming>, denied: Denied) -> Box<Response<ReplyBody>> {
    visit.pool.state.counts.denials.count(denied);
    let mut response = denied.response(&visit.pool.section);
    if visit.pool.is_grpc() {
        response = dressed(response);
    }
    tell(&visit.pool, request.headers().get(header::ORIGIN), &mut response);
    Box::new(visit.close(response))
}
