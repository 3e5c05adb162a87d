//! How a request becomes a WebSocket (RFC 6455, section 4.2).

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use seawall_chain::envelope::code;
use seawall_model::Name;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    admission::Who,
    serve::{Client, ReplyBody, Visit, request::error},
    worker::Connections,
};

/// The only version there is.
const VERSION: &str = "13";
/// Characters of a client's key: 16 bytes in base64.
const KEY: usize = 24;

/// Where a connection that becomes a socket is left for whoever serves it.
#[derive(Default)]
pub(in crate::serve) struct Slot(Mutex<Option<Handover>>);

/// A connection that becomes a socket once its answer has gone out.
pub(in crate::serve) struct Handover {
    pub(super) upgrade: OnUpgrade,
    /// The pool it talks to.
    pub(super) pool: Name,
    pub(super) client: Client,
    pub(super) who: Option<Arc<Who>>,
    pub(super) open: Open,
}

/// A socket, counted for as long as this lives.
pub(super) struct Open(Arc<Connections>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Relaxed);
    }
}

impl Slot {
    /// What was left here.
    pub(in crate::serve) fn take(&self) -> Option<Handover> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Does the request ask for a socket?
pub(in crate::serve) fn is_asked_for(request: &Request<Incoming>) -> bool {
    request.method() == Method::GET && names(request.headers(), &header::UPGRADE, "websocket")
}

/// Answers a request for a socket, and leaves what becomes of the connection in `slot`.
pub(in crate::serve) fn accept(
    visit: &Visit,
    mut request: Request<Incoming>,
    slot: &Slot,
) -> Response<ReplyBody> {
    let headers = request.headers();
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let message = "SW0331: this is a WebSocket endpoint of version 13 (RFC 6455)";
        let mut response = error(StatusCode::UPGRADE_REQUIRED, code::INVALID_REQUEST, message);
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return response;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY);
    let connection = names(headers, &header::CONNECTION, "upgrade");
    let (Some(key), true, Version::HTTP_11) = (key, connection, request.version()) else {
        let message = "SW0331: the WebSocket handshake is broken";
        return error(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, message);
    };
    let accept = derive_accept_key(key.as_bytes());
    let connections = &visit.worker.connections;
    if connections.sockets.fetch_add(1, Relaxed) >= visit.worker.limits.sockets.open {
        connections.sockets.fetch_sub(1, Relaxed);
        connections.sockets_refused.fetch_add(1, Relaxed);
        let message = "SW0332: there are too many WebSockets: try again later";
        let mut response = error(StatusCode::SERVICE_UNAVAILABLE, code::INVALID_REQUEST, message);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let handover = Handover {
        upgrade: hyper::upgrade::on(&mut request),
        pool: visit.pool.section.name.clone(),
        client: visit.client.clone(),
        who: visit.who.clone(),
        open: Open(connections.clone()),
    };
    *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    let mut response = Response::new(ReplyBody::Whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(&accept).expect("base64 may stand in a header");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Does a header that is a list name that token?
fn names(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}
