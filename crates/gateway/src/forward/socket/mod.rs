//! A WebSocket to an HTTP API (RFC 6455): opened where a request would be sent, and carried on from there.
//!
//! `dial` opens it upstream, `tunnel` carries messages both ways, `order` knows those that change something: what
//! became of them is looked up where the upstream does not say.

mod dial;
mod order;
mod tunnel;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderName, Request, Response, header};
use hyper::body::Incoming;

pub(crate) use tunnel::Tunnel;

use super::{answer::Refusal, errand::Errand, onward, turned_away};
use crate::serve::{ReplyBody, Slot, Then, Visit, Welcome};

/// Headers that each of the two sockets has of its own; neither is compressed.
const OWN: [HeaderName; 3] =
    [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_EXTENSIONS];

/// Answers a request for a socket: once an upstream has opened one.
pub(crate) async fn socket(
    visit: &Visit,
    slot: &Slot,
    mut request: Request<Incoming>,
) -> Response<ReplyBody> {
    let Visit { worker, pool, .. } = visit;
    let now = worker.clock.mono();
    pool.state.counts.requests.fetch_add(1, Relaxed);
    pool.state.budget().call(now);
    let welcome = match Welcome::of(visit, &mut request) {
        Ok(welcome) => welcome,
        Err(refusal) => return *refusal,
    };
    let (mut parts, _) = request.into_parts();
    for name in &OWN {
        parts.headers.remove(name);
    }
    if let Some(refusal) = onward::fault(&parts) {
        return refusal.response(visit);
    }
    let Some(errand) = Errand::new(visit, parts, Bytes::new()) else {
        return Refusal::Unforwardable.response(visit);
    };
    if let Err(refusal) = visit.may_send(now, false, errand.priority()) {
        return turned_away(visit, &refusal);
    }
    match dial::dial(&errand).await {
        Ok(dialled) => {
            let told = dialled.told.clone();
            let tunnel = Tunnel::new(visit, Arc::clone(&errand.onward), dialled);
            let mut response = welcome.leave(slot, Then::Tunnel(Box::new(tunnel)));
            response.headers_mut().extend(told);
            response
        }
        Err(response) => *response,
    }
}
