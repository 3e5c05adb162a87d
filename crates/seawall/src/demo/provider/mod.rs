//! One of the demo's providers: an HTTP forwarder in a process of its own, that can be killed, frozen,
//! and told to misbehave.

mod behaviour;
mod skew;

use std::{cell::Cell, convert::Infallible, io, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, task::LocalSet};

pub(crate) use behaviour::Behaviour;
use skew::{Located, Plan, Skew, masked};

use super::rpc::{Rpc, RpcError, block_number};

/// Largest request read, in bytes.
const REQUEST: usize = 4 << 20;
/// How many of the true blocks a liar replaces when it begins.
const REWRITTEN: u64 = 2;

/// Serves at `listen` what the node at `to` (a base URL) answers. Ends only with its process.
pub(crate) fn run(listen: SocketAddr, to: &str) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(listen, Rc::new(Provider::new(to))))
}

async fn serve(listen: SocketAddr, provider: Rc<Provider>) -> io::Result<Infallible> {
    let listener = TcpListener::bind(listen).await?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            // A connection that ended took its error with it: the client saw the same.
            Some(_) = connections.join_next() => continue,
        };
        stream.set_nodelay(true)?;
        let provider = provider.clone();
        let service = service_fn(move |request| {
            let provider = provider.clone();
            async move { Ok::<_, Infallible>(provider.answer(request).await) }
        });
        connections.spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

struct Provider {
    node: Rpc,
    behaviour: Cell<Behaviour>,
    forked_after: Cell<Option<u64>>,
}

impl Provider {
    fn new(to: &str) -> Self {
        Self { node: Rpc::to(to), behaviour: Cell::new(Behaviour::Honest), forked_after: Cell::new(None) }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let set_mode = request.method() == Method::POST && request.uri().path() == "/_mode";
        let Ok(body) = Limited::new(request.into_body(), REQUEST).collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large or ended early\n");
        };
        let body = body.to_bytes();
        if set_mode {
            return self.set_mode(&String::from_utf8_lossy(&body)).await;
        }
        let answered = match self.behaviour.get() {
            Behaviour::Honest => self.forward(body).await,
            Behaviour::Slow(by) => {
                tokio::time::sleep(by).await;
                self.forward(body).await
            }
            Behaviour::Error => return plain(StatusCode::SERVICE_UNAVAILABLE, "told to fail\n"),
            Behaviour::Lag(blocks) => self.skewed(body, Some(blocks)).await,
            Behaviour::Lie => self.skewed(body, None).await,
        };
        answered.unwrap_or_else(|e| plain(StatusCode::BAD_GATEWAY, &format!("{e}\n")))
    }

    async fn set_mode(&self, text: &str) -> Response<Full<Bytes>> {
        let behaviour = match text.trim().parse() {
            Ok(behaviour) => behaviour,
            Err(e) => return plain(StatusCode::BAD_REQUEST, &format!("{e}\n")),
        };
        self.forked_after.set(match behaviour {
            Behaviour::Lie => self.head().await.ok().map(|head| head.saturating_sub(REWRITTEN)),
            Behaviour::Honest | Behaviour::Lag(_) | Behaviour::Error | Behaviour::Slow(_) => None,
        });
        self.behaviour.set(behaviour);
        plain(StatusCode::OK, &format!("{behaviour}\n"))
    }

    /// Passes the body through as it is.
    async fn forward(&self, body: Bytes) -> Result<Response<Full<Bytes>>, RpcError> {
        let (status, body) = self.node.exchange(Method::POST, "/", body).await?;
        Ok(json_response(status, body))
    }

    /// Answers every call of the body as a node that is `lag` blocks behind, or on its own chain.
    async fn skewed(&self, body: Bytes, lag: Option<u64>) -> Result<Response<Full<Bytes>>, RpcError> {
        let request: Value = serde_json::from_slice(&body).map_err(|e| RpcError::Malformed(e.to_string()))?;
        let head = self.head().await?;
        let skew =
            Skew { head: head.saturating_sub(lag.unwrap_or(0)), forked_after: self.forked_after.get() };
        let answer = match request {
            Value::Array(calls) => {
                let mut answers = Vec::with_capacity(calls.len());
                for call in &calls {
                    answers.push(self.skewed_call(skew, call).await?);
                }
                Value::Array(answers)
            }
            call => self.skewed_call(skew, &call).await?,
        };
        Ok(json_response(StatusCode::OK, answer.to_string().into()))
    }

    async fn skewed_call(&self, skew: Skew, call: &Value) -> Result<Value, RpcError> {
        let named = match Skew::hash_named(call) {
            Some(hash) => self.locate(hash).await?,
            None => None,
        };
        let outcome = match skew.plan(call, named.as_ref()) {
            Plan::Answer(outcome) => outcome.map_err(|message| (-32000, message.to_owned())),
            Plan::Ask(asked) => {
                let method = asked["method"].as_str().unwrap_or_default();
                let params = asked.get("params").cloned().unwrap_or_else(|| json!([]));
                match self.node.call("/", method, params).await {
                    Ok(result) => Ok(skew.bend(&asked, named.as_ref(), result)),
                    Err(RpcError::Refused { code, message }) => Err((code, message)),
                    Err(e) => return Err(e),
                }
            }
        };
        let id = call.get("id").cloned().unwrap_or(Value::Null);
        Ok(match outcome {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
            }
        })
    }

    /// Finds a block by its true hash or by the one a liar gives it.
    async fn locate(&self, hash: &str) -> Result<Option<Located>, RpcError> {
        for true_hash in [hash.to_owned(), masked(hash)] {
            let block = self.node.call("/", "eth_getBlockByHash", json!([true_hash, false])).await?;
            if let Some(number) = block_number(&block["number"]) {
                return Ok(Some(Located { number, true_hash }));
            }
        }
        Ok(None)
    }

    async fn head(&self) -> Result<u64, RpcError> {
        let number = self.node.call("/", "eth_blockNumber", json!([])).await?;
        block_number(&number).ok_or_else(|| RpcError::Malformed(format!("block number {number}")))
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn json_response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
