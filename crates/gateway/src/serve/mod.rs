//! The client's side: HTTP/1.1 and HTTP/2 in, JSON-RPC answers out.

mod body;
mod preface;
mod request;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use seawall_runtime::{net::Conn, tasks::Shutdown};

pub(crate) use body::ReplyBody;
pub(crate) use request::{error, json, read_body};

use crate::worker::Worker;
use preface::{Seen, Version};

/// Largest head of a request, and largest piece of a body read at once.
const BUFFER: usize = 64 * 1024;
/// Requests that one HTTP/2 connection may have in flight.
const H2_STREAMS: u32 = 200;

/// Polls a connection to its end, and has it end gracefully once the process is to stop. A macro, since the
/// two kinds of connection share their methods' names and no trait.
///
/// A select would ask after the shutdown at every wake-up; a waker stays good once it has been left there,
/// since a task's waker never changes.
macro_rules! until {
    ($serving:expr, $shutdown:expr) => {{
        let (mut serving, shutdown) = ($serving, $shutdown);
        let mut stop = stopped(shutdown.clone());
        let (mut listening, mut told) = (false, false);
        poll_fn(move |cx| {
            if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if !told && (!listening || shutdown.is_requested()) {
                listening = true;
                if stop.as_mut().poll(cx).is_ready() {
                    told = true;
                    serving.as_mut().graceful_shutdown();
                    return serving.as_mut().poll(cx);
                }
            }
            Poll::Pending
        })
        .await
    }};
}

/// Serves one client's connection until it ends or the process does.
pub(crate) async fn connection(worker: Arc<Worker>, conn: Conn, shutdown: Shutdown) {
    let mut stop = stopped(shutdown.clone());
    let looking = tokio::time::timeout(worker.limits.idle, Seen::look(conn));
    let ended = tokio::select! {
        biased;
        seen = looking => match seen {
            Ok(Ok((seen, Version::Http1))) => http1(worker.clone(), seen, shutdown.clone()).await,
            // Boxed: few clients speak it, and it would make room for itself in every connection's task.
            Ok(Ok((seen, Version::Http2))) => Box::pin(http2(worker.clone(), seen, shutdown.clone())).await,
            // It has said nothing that could be answered.
            Ok(Err(_)) | Err(_) => return,
        },
        () = &mut stop => return,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a client's connection ended early");
    }
}

async fn http1(worker: Arc<Worker>, seen: Seen, shutdown: Shutdown) -> hyper::Result<()> {
    let limits = worker.limits.clone();
    let service = service_fn(move |request| -> Answer { Box::pin(respond(worker.clone(), request)) });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.max_buf_size(BUFFER).timer(TokioTimer::new()).header_read_timeout(limits.idle);
    let serving = pin!(builder.serve_connection(TokioIo::new(seen), service));
    until!(serving, shutdown)
}

async fn http2(worker: Arc<Worker>, seen: Seen, shutdown: Shutdown) -> hyper::Result<()> {
    let limits = worker.limits.clone();
    let service = service_fn(move |request| -> Answer { Box::pin(respond(worker.clone(), request)) });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .keep_alive_interval(limits.idle)
        .max_header_list_size(BUFFER as u32);
    let serving = pin!(builder.serve_connection(TokioIo::new(seen), service));
    until!(serving, shutdown)
}

/// Boxed, so that an idle connection does not hold the room of a call.
type Answer = BoxFuture<'static, Result<Response<ReplyBody>, Infallible>>;

async fn respond(worker: Arc<Worker>, request: Request<Incoming>) -> Result<Response<ReplyBody>, Infallible> {
    Ok(request::respond(&worker, request).await)
}

/// Resolves when the process is to stop.
fn stopped(shutdown: Shutdown) -> BoxFuture<'static, ()> {
    Box::pin(async move { shutdown.requested().await })
}
