//! A WebSocket: its handshake, a ping and the pong to it.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request, header};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        Error, Message, error::ProtocolError, handshake::client::generate_key, protocol::WebSocketConfig,
    },
};

use super::{Notes, connect::connect, http::AGENT, notes::Phase};
use crate::{
    core::{check::Check, fault::Fault, report::HttpFacts, target::Url},
    prober::Prober,
};

/// Largest message that is read, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Most messages that are passed over while the pong is waited for.
const MAX_MESSAGES: usize = 256;
/// What is in the ping.
const PING: &[u8] = b"seawall";

/// Makes the check.
pub(crate) async fn check(prober: &Prober, check: &Check, url: &Url, notes: &mut Notes) -> Result<(), Fault> {
    let request =
        request(check, url).ok_or_else(|| Fault::Malformed { why: "the target makes no request".into() })?;
    let conn = connect(prober, check, &url.endpoint, notes).await?;
    notes.begin(Phase::Answer);
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let (mut socket, answer) =
        client_async_with_config(request, conn, Some(config)).await.map_err(|e| refused(&e, notes))?;
    notes.report.http = Some(facts(answer.status().as_u16()));
    notes.begin(Phase::Body);
    socket.send(Message::Ping(Bytes::from_static(PING))).await.map_err(|e| failed(&e))?;
    for _ in 0..MAX_MESSAGES {
        match socket.next().await {
            Some(Ok(Message::Pong(said))) if said == PING => {
                notes.end();
                // Nobody waits for the answer to the good-bye.
                let _ = socket.close(None).await;
                return Ok(());
            }
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(failed(&e)),
            None => return Err(Fault::Closed),
        }
    }
    Err(Fault::Malformed { why: format!("no pong among {MAX_MESSAGES} messages") })
}

fn request(check: &Check, url: &Url) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://{}{}", url.host, url.path.expose()).parse().ok()?;
    let headers = request.headers_mut();
    headers.clone_from(&check.headers);
    headers.insert(header::HOST, HeaderValue::from_str(&url.host).ok()?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_str(&generate_key()).ok()?);
    Some(request)
}

fn facts(status: u16) -> HttpFacts {
    HttpFacts { version: "HTTP/1.1", status, bytes: 0, cut: false }
}

/// Why the handshake did not come about.
fn refused(error: &Error, notes: &mut Notes) -> Fault {
    match error {
        Error::Http(answer) => {
            let status = answer.status().as_u16();
            notes.report.http = Some(facts(status));
            Fault::HttpStatus { status, wanted: "101".to_owned() }
        }
        other => failed(other),
    }
}

fn failed(error: &Error) -> Fault {
    match error {
        Error::Protocol(ProtocolError::HandshakeIncomplete) => Fault::Truncated,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Fault::Closed,
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => Fault::Closed,
        other => Fault::Malformed { why: other.to_string() },
    }
}
