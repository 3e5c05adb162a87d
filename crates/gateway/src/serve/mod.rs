//! The client's side: HTTP/1.1 and HTTP/2 in, JSON-RPC answers out.

mod body;
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
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use seawall_runtime::{net::Conn, tasks::Shutdown};

pub(crate) use body::ReplyBody;
pub(crate) use request::{error, json, read_body};

use crate::worker::Worker;

/// Largest head of a request, and largest piece of a body read at once.
const BUFFER: usize = 64 * 1024;
/// Requests that one HTTP/2 connection may have in flight.
const H2_STREAMS: u32 = 200;

async fn respond(worker: Arc<Worker>, request: Request<Incoming>) -> Result<Response<ReplyBody>, Infallible> {
    Ok(request::respond(&worker, request).await)
}

/// Serves one client's connection until it ends or the process does.
pub(crate) async fn connection(worker: &Arc<Worker>, conn: Conn, shutdown: &Shutdown) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(BUFFER)
        .timer(TokioTimer::new())
        .header_read_timeout(worker.limits.idle)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .keep_alive_interval(worker.limits.idle)
        .max_header_list_size(BUFFER as u32);
    let service = service_fn(|request: Request<Incoming>| {
        // Boxed, so that an idle connection does not hold the room of a call.
        let answer: BoxFuture<'static, _> = Box::pin(respond(worker.clone(), request));
        answer
    });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(conn), service));
    let mut stop = pin!(shutdown.requested());
    let (mut listening, mut told) = (false, false);
    // A select would ask after the shutdown at every wake-up; its waker stays good once it has been left
    // there, since a task's waker never changes.
    let ended = poll_fn(|cx| {
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
    .await;
    if let Err(error) = ended {
        tracing::trace!(error = &*error, "a client's connection ended early");
    }
}
