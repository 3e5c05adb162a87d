//! A simulated chain node: a real HTTP server on the simulated network, that can be made to lie.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use seawall_runtime::net::{Conn, Net};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    chain::{Branch, Chain, View},
    world::Days,
};

/// Where every node listens.
pub(crate) const PORT: u16 = 8_545;

/// What is wrong with a node's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It is this many blocks behind.
    Lag(u64),
    /// Its head has stood still since the lie began.
    Stale,
    /// It shows this many blocks that nobody has made.
    Ahead(u64),
    /// Its chain left the true one this many blocks before the lie began.
    Fork(u64),
    /// It serves another chain.
    WrongChain,
    /// Its reads find nothing.
    Nulls,
    /// It finds no logs.
    NoLogs,
    /// Its answers carry another id.
    WrongId,
    /// Its answers are errors told with a 200: unwell, or over the rate.
    Error200(bool),
    /// A status and nothing else.
    Status(u16),
    /// Not JSON.
    Garbage,
    /// The connection ends within the body.
    Cut,
    /// The JSON ends too early.
    Torn,
    /// It does what it is asked, and says that it could not.
    Done502,
    /// It takes its time, in milliseconds.
    Slow(u64),
}

impl Lie {
    /// True if what it says may be taken for the truth; else it is as good as dead.
    pub(crate) fn deceives(self) -> bool {
        match self {
            Self::Lag(_)
            | Self::Stale
            | Self::Ahead(_)
            | Self::Fork(_)
            | Self::WrongChain
            | Self::Nulls
            | Self::NoLogs => true,
            Self::WrongId
            | Self::Error200(_)
            | Self::Status(_)
            | Self::Garbage
            | Self::Cut
            | Self::Torn
            | Self::Done502
            | Self::Slow(_) => false,
        }
    }
}

/// A call as a node saw it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// How often it came.
    pub(crate) times: u32,
    /// How often it was answered with nothing, which calls for a second opinion.
    pub(crate) nothing: u32,
    /// How often it was turned away without having been looked at.
    pub(crate) turned_away: u32,
}

/// A node.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) chain: Arc<Chain>,
    /// Time a block takes to reach it, in milliseconds.
    pub(crate) delay: u64,
    /// What is wrong with it, and since when.
    lie: Mutex<Option<(Lie, u64)>>,
    /// Clients' calls, by their id.
    pub(crate) seen: Mutex<BTreeMap<String, Seen>>,
}

impl Node {
    pub(crate) fn new(name: &str, chain: Arc<Chain>, delay: u64) -> Self {
        Self { name: name.to_owned(), chain, delay, lie: Mutex::default(), seen: Mutex::default() }
    }

    pub(crate) fn tell(&self, lie: Option<(Lie, u64)>) {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner) = lie;
    }

    fn lie(&self) -> Option<(Lie, u64)> {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, now: u64, lie: Option<(Lie, u64)>) -> View {
        let heard = |at: u64| self.chain.head_at(at.saturating_sub(self.delay));
        let head = heard(now);
        let honest = View { head, branch: None, now };
        let Some((lie, since)) = lie else { return honest };
        let branch = |from, tag| Some(Branch { from, tag });
        match lie {
            Lie::Lag(n) => View { head: head - n, ..honest },
            Lie::Stale => View { head: heard(since), ..honest },
            Lie::Ahead(n) => View { head: head + n, branch: branch(head, since + 1), ..honest },
            Lie::Fork(n) => View { branch: branch(heard(since) - n, since + 1), ..honest },
            Lie::WrongChain => View { branch: branch(0, 1), ..honest },
            Lie::Nulls
            | Lie::NoLogs
            | Lie::WrongId
            | Lie::Error200(_)
            | Lie::Status(_)
            | Lie::Garbage
            | Lie::Cut
            | Lie::Torn
            | Lie::Done502
            | Lie::Slow(_) => honest,
        }
    }

    /// Accepts connections until it is dropped.
    pub(crate) async fn serve(self: Arc<Self>, net: Arc<dyn Net>, days: Days) {
        let mut listener = net.listen(([0, 0, 0, 0], PORT).into(), false).unwrap();
        loop {
            let (conn, _) = listener.accept().await.unwrap();
            tokio::spawn(self.clone().connection(conn, days));
        }
    }

    async fn connection(self: Arc<Self>, conn: Conn, days: Days) {
        let service = service_fn(move |request: Request<Incoming>| {
            let node = self.clone();
            async move { Ok::<_, Infallible>(node.respond(request, days).await) }
        });
        // It ends when the client or the network ends it.
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(conn), service).await;
    }

    async fn respond(&self, request: Request<Incoming>, days: Days) -> Response<Answer> {
        // A client that broke off asks for nothing.
        let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let call: Value = serde_json::from_slice(&body).unwrap_or_default();
        let lie = self.lie();
        if let Some((Lie::Slow(ms), _)) = lie {
            sleep(Duration::from_millis(ms)).await;
        }
        let (answer, whole) = self.answer(&call, lie, days.now());
        let status = match lie {
            Some((Lie::Status(status), _)) => StatusCode::from_u16(status).unwrap(),
            Some((Lie::Done502, _)) => StatusCode::BAD_GATEWAY,
            Some(_) | None => StatusCode::OK,
        };
        let length = answer.len();
        let kept = if whole { length } else { length / 2 };
        let mut response = Response::new(Answer { rest: Some(answer.slice(..kept)), whole });
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
        }
        response
    }

    /// The body of an answer, and whether it is to come whole.
    fn answer(&self, call: &Value, lie: Option<(Lie, u64)>, now: u64) -> (Bytes, bool) {
        let (method, params) = (call["method"].as_str().unwrap_or_default(), &call["params"]);
        let view = self.view(now, lie);
        let wrapped = |outcome: Result<Value, (i64, &str)>| match outcome {
            Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}})
            }
        };
        let truth = || self.chain.answer(view, method, params);
        let about_heads = method == "eth_chainId" || params[1] == false;
        let (answer, whole, turned_away) = match lie.map(|l| l.0) {
            Some(Lie::WrongChain) if method == "eth_chainId" => (wrapped(Ok("0x539".into())), true, false),
            Some(Lie::Nulls) if !about_heads && method != "eth_sendRawTransaction" => {
                (wrapped(Ok(Value::Null)), true, false)
            }
            Some(Lie::NoLogs) if method == "eth_getLogs" => (wrapped(Ok(json!([]))), true, false),
            Some(Lie::WrongId) => {
                let mut answer = wrapped(truth());
                answer["id"] = json!("another");
                (answer, true, false)
            }
            Some(Lie::Error200(true)) => (wrapped(Err((-32_005, "rate limit exceeded"))), true, true),
            Some(Lie::Error200(false)) => (wrapped(Err((-32_603, "internal error"))), true, true),
            Some(Lie::Status(_)) => (json!("busy"), true, true),
            Some(Lie::Garbage) => (Value::Null, true, true),
            Some(Lie::Cut) => (wrapped(truth()), false, false),
            Some(
                Lie::Lag(_)
                | Lie::Stale
                | Lie::Ahead(_)
                | Lie::Fork(_)
                | Lie::WrongChain
                | Lie::Nulls
                | Lie::NoLogs
                | Lie::Torn
                | Lie::Done502
                | Lie::Slow(_),
            )
            | None => (wrapped(truth()), true, false),
        };
        self.note(call, &answer, turned_away);
        let mut text = answer.to_string();
        match lie.map(|l| l.0) {
            Some(Lie::Torn) => text.truncate(text.len() / 2),
            Some(Lie::Garbage) => text = "<html>busy</html>".into(),
            Some(_) | None => {}
        }
        (text.into(), whole)
    }

    fn note(&self, call: &Value, answer: &Value, turned_away: bool) {
        // The gateway's own questions have numbers for ids.
        let Some(id) = call["id"].as_str() else { return };
        let nothing =
            answer["error"].is_null() && (answer["result"].is_null() || answer["result"] == json!([]));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.entry(id.to_owned()).or_default();
        entry.times += 1;
        entry.nothing += u32::from(nothing);
        entry.turned_away += u32::from(turned_away);
    }
}

/// A body that may break off.
struct Answer {
    rest: Option<Bytes>,
    whole: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        Poll::Ready(match this.rest.take() {
            Some(part) => Some(Ok(Frame::data(part))),
            None if this.whole => None,
            None => Some(Err(io::Error::other("broken off"))),
        })
    }
}
