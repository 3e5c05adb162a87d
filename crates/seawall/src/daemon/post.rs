//! A message to somebody who is told, and who is not waited for longer than it is worth.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use seawall_runtime::net::Net;

use crate::estate::Collector;

/// Time a message may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer.
const ANSWER: usize = 64 * 1024;

/// What the message is written in, as headers.
pub(super) type Headers = [(&'static str, &'static str)];

/// JSON's.
pub(super) const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Why a message was not taken.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) why: String,
    /// It never will be: it is the message that is at fault (4xx, but for 429).
    pub(super) refused: bool,
}

impl Untold {
    fn of(error: &dyn std::error::Error) -> Self {
        Self { why: error.to_string(), refused: false }
    }
}

/// Posts a body, over a connection of its own, since there are few; why it was not taken, if it was not.
pub(super) async fn post(
    net: &dyn Net,
    to: &Collector,
    headers: &Headers,
    body: Bytes,
) -> Result<(), Untold> {
    match tokio::time::timeout(PATIENCE, exchange(net, to, headers, body)).await {
        Ok(done) => done,
        Err(_) => Err(Untold { why: format!("no answer within {} s", PATIENCE.as_secs()), refused: false }),
    }
}

async fn exchange(net: &dyn Net, to: &Collector, headers: &Headers, body: Bytes) -> Result<(), Untold> {
    let conn = net.connect(&to.endpoint).await.map_err(|e| Untold::of(&e))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(conn)).await;
    let (mut send, connection) = handshake.map_err(|e| Untold::of(&e))?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&to.path)
        .header(header::HOST, to.endpoint.to_string())
        .header(header::USER_AGENT, concat!("seawall/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).map_err(|e| Untold::of(&e))?;
    let exchange = async {
        let answer = send.send_request(request).await.map_err(|e| Untold::of(&e))?;
        let status = answer.status();
        let said = Limited::new(answer.into_body(), ANSWER).collect().await;
        said.map_err(|e| Untold::of(&*e))?;
        match status.is_success() {
            true => Ok(()),
            false => Err(Untold {
                why: format!("it answered {status}"),
                refused: status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS,
            }),
        }
    };
    // The connection is only driven: it ends with the answer or with an error that the exchange tells.
    let mut exchange = std::pin::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        done = &mut exchange => done,
        _ = &mut connection => exchange.await,
    }
}
