//! How a request becomes a WebSocket (RFC 6455, section 4.2).

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use seawall_chain::envelope::code;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::talk::Calls;
use crate::{
    forward::Tunnel,
    serve::{ReplyBody, Visit, request::error},
    worker::Connections,
};

/// The only version there is.
const VERSION: &str = "13";
/// Characters of a client's key: 16 bytes in base64.
const KEY: usize = 24;

/// Where a connection that becomes a socket is left for whoever serves it.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Handover>>>);

/// A connection that becomes a socket once its answer has gone out.
pub(in crate::serve) struct Handover {
    pub(super) upgrade: OnUpgrade,
    pub(super) then: Then,
    pub(super) open: Open,
}

/// What a socket is for.
pub(crate) enum Then {
    /// Calls of a chain's.
    Calls(Calls),
    /// Messages to and from an upstream.
    Tunnel(Box<Tunnel>),
}

/// A handshake that may be answered.
pub(crate) struct Welcome {
    accept: HeaderValue,
    upgrade: OnUpgrade,
    open: Open,
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

/// Does it ask in so many words? Of one that only names the protocol, an API may make what it likes (RFC 9110, section
/// 7.8).
pub(in crate::serve) fn is_asked_for_in_full(request: &Request<Incoming>) -> bool {
    is_asked_for(request) && names(request.headers(), &header::CONNECTION, "upgrade")
}

/// Answers a request for a socket to a chain, and leaves what becomes of the connection in `slot`.
pub(in crate::serve) fn accept(
    visit: &Visit,
    mut request: Request<Incoming>,
    slot: &Slot,
) -> Response<ReplyBody> {
    match Welcome::of(visit, &mut request) {
        Ok(welcome) => welcome.leave(slot, Then::Calls(Calls::of(visit))),
        Err(refusal) => *refusal,
    }
}

impl Welcome {
    /// Judges a request for a socket, and counts the socket.
    pub(crate) fn of(
        visit: &Visit,
        request: &mut Request<Incoming>,
    ) -> Result<Self, Box<Response<ReplyBody>>> {
        let headers = request.headers();
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
            let message = "SW0331: this is a WebSocket endpoint of version 13 (RFC 6455)";
            let mut response = error(StatusCode::UPGRADE_REQUIRED, code::INVALID_REQUEST, message);
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            return Err(Box::new(response));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY);
        let connection = names(headers, &header::CONNECTION, "upgrade");
        let (Some(key), true, Version::HTTP_11) = (key, connection, request.version()) else {
            let message = "SW0331: the WebSocket handshake is broken";
            return Err(Box::new(error(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, message)));
        };
        let accept = derive_accept_key(key.as_bytes());
        let accept = HeaderValue::from_str(&accept).expect("base64 may stand in a header");
        let connections = &visit.worker.connections;
        if connections.sockets.fetch_add(1, Relaxed) >= visit.worker.limits.sockets.open {
            connections.sockets.fetch_sub(1, Relaxed);
            connections.sockets_refused.fetch_add(1, Relaxed);
            let message = "SW0332: there are too many WebSockets: try again later";
            let mut response = error(StatusCode::SERVICE_UNAVAILABLE, code::INVALID_REQUEST, message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return Err(Box::new(response));
        }
        let open = Open(connections.clone());
        Ok(Self { accept, upgrade: hyper::upgrade::on(request), open })
    }

    /// Says that it is a socket now, and leaves what becomes of the connection in `slot`.
    pub(crate) fn leave(self, slot: &Slot, then: Then) -> Response<ReplyBody> {
        let handover = Handover { upgrade: self.upgrade, then, open: self.open };
        *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
        let mut response = Response::new(ReplyBody::Whole(Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        response
    }
}

/// Does a header that is a list name that token?
fn names(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}
