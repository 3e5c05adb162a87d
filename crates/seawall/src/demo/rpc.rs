//! A small HTTP client for JSON-RPC and for Seawall's own API. No retries: what fails is counted.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    header::{self, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use seawall_model::Secret;
use serde_json::{Value, json};

/// Longest time one exchange may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Largest answer read, in bytes.
const ANSWER: usize = 4 << 20;
/// Idle connections are dropped well before a server would do so, lest a request meets the closing.
const IDLE: Duration = Duration::from_secs(20);

/// Speaks to one server over pooled connections.
#[derive(Clone)]
pub(crate) struct Rpc {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    /// What it shows to be let change things.
    token: Option<HeaderValue>,
}

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RpcError {
    /// The connection failed or ended early.
    #[error("{0}")]
    Transport(String),
    /// No answer in time.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Timeout,
    /// An HTTP status other than 200.
    #[error("HTTP {0}")]
    Status(StatusCode),
    /// The body is not the JSON expected.
    #[error("not an answer: {0}")]
    Malformed(String),
    /// A JSON-RPC error.
    #[error("error {code}: {message}")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// Its message.
        message: String,
    },
}

impl Rpc {
    /// A client of the server at `at`.
    pub(crate) fn new(at: SocketAddr) -> Self {
        Self::to(&format!("http://{at}"))
    }

    /// A client of the server at `base`, as in `http://127.0.0.1:8545`.
    pub(crate) fn to(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .retry_canceled_requests(false)
            .build(connector);
        Self { client, base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// Shows that token with every request, if it may stand in a header.
    pub(crate) fn with_token(mut self, token: &Secret) -> Self {
        self.token = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok();
        self
    }

    /// One exchange: the status and the whole body.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), RpcError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|e| RpcError::Malformed(e.to_string()))?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        let whole = async {
            let response =
                self.client.request(request).await.map_err(|e| RpcError::Transport(chain_of(&e)))?;
            let (head, body) = response.into_parts();
            let body =
                Limited::new(body, ANSWER).collect().await.map_err(|e| RpcError::Transport(chain_of(&*e)))?;
            Ok((head.status, body.to_bytes()))
        };
        tokio::time::timeout(DEADLINE, whole).await.unwrap_or(Err(RpcError::Timeout))
    }

    /// Fetches JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RpcError> {
        match self.exchange(Method::GET, path, Bytes::new()).await? {
            (StatusCode::OK, body) => parse(&body),
            (status, _) => Err(RpcError::Status(status)),
        }
    }

    /// One JSON-RPC call at `path`: its result.
    pub(crate) async fn call(&self, path: &str, method: &str, params: Value) -> Result<Value, RpcError> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (status, body) = self.exchange(Method::POST, path, request.to_string().into()).await?;
        let mut answer =
            parse(&body).map_err(|e| if status.is_success() { e } else { RpcError::Status(status) })?;
        if let Some(error) = answer.get("error") {
            return Err(RpcError::Refused {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            });
        }
        match answer.get_mut("result") {
            Some(result) if status.is_success() => Ok(result.take()),
            Some(_) => Err(RpcError::Status(status)),
            None => Err(RpcError::Malformed("neither a result nor an error".to_owned())),
        }
    }
}

fn parse(body: &[u8]) -> Result<Value, RpcError> {
    serde_json::from_slice(body).map_err(|e| RpcError::Malformed(e.to_string()))
}

/// An error with its causes, in one line.
fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A JSON-RPC quantity, as in `0x1b4`.
pub(crate) fn quantity(value: &Value) -> Option<u128> {
    u128::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// The same as a block number.
pub(crate) fn block_number(value: &Value) -> Option<u64> {
    quantity(value).and_then(|n| u64::try_from(n).ok())
}
