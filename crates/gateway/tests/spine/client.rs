//! Clients: one that speaks HTTP as it should, and one that writes what it likes.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// By then whatever is to happen has happened, on the most loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }
}

/// Sends a request on a connection of its own, and waits for the answer's head.
pub(crate) async fn begin(
    at: SocketAddr,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    let exchange = async {
        let stream = TcpStream::connect(at).await.unwrap();
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, since nothing more can be asked on it.
        tokio::spawn(connection);
        send.send_request(request).await
    };
    timeout(PATIENCE, exchange).await.expect("an answer, or an end to waiting for it")
}

/// The answer; an error if it does not come whole.
pub(crate) async fn finish(response: Response<Incoming>) -> hyper::Result<Answer> {
    let (parts, body) = response.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.expect("an end to the body")?.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// Sends a request on a connection of its own; an error if the answer does not come whole.
pub(crate) async fn send(at: SocketAddr, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    finish(begin(at, request).await?).await
}

/// A request with that method, path and body.
pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(path).header("host", "gateway");
    builder.body(Full::new(body.into())).unwrap()
}

/// Posts a body to the chain's route.
pub(crate) async fn post(at: SocketAddr, body: impl Into<Bytes>) -> Answer {
    send(at, request("POST", "/chain", body)).await.unwrap()
}

/// Makes one call.
pub(crate) async fn call(at: SocketAddr, method: &str, params: Value) -> Value {
    post(at, body(1, method, &params)).await.json()
}

/// A call's body.
pub(crate) fn body(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// A call that every honest node answers with the same balance.
pub(crate) fn balance_of() -> (&'static str, Value) {
    ("eth_getBalance", json!(["0x0000000000000000000000000000000000000001", "latest"]))
}

/// A connection on which anything can be said.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn to(at: SocketAddr) -> Self {
        Self(TcpStream::connect(at).await.unwrap())
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref()).await
    }

    /// Everything that comes until the gateway ends the connection, which it must.
    pub(crate) async fn hear_to_the_end(&mut self) -> String {
        String::from_utf8_lossy(&self.hear_to_the_end_raw().await).into_owned()
    }

    /// As [`Self::hear_to_the_end`], where it is no text.
    pub(crate) async fn hear_to_the_end_raw(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let ended = timeout(PATIENCE, async {
            // A reset is an end too.
            while let Ok(1..) = self.0.read_buf(&mut heard).await {}
        });
        ended.await.expect("the gateway closes the connection");
        heard
    }

    /// Everything up to and with that text.
    pub(crate) async fn hear(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        let came = timeout(PATIENCE, async {
            while !String::from_utf8_lossy(&heard).contains(end) {
                assert_ne!(self.0.read_buf(&mut heard).await.unwrap(), 0, "it ended after {heard:?}");
            }
        });
        came.await.expect("the gateway says something");
        String::from_utf8(heard).unwrap()
    }
}

/// A call's request as it stands on the wire.
pub(crate) fn on_the_wire(body: &str) -> String {
    format!("POST /chain HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
