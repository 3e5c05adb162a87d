//! The client's side: HTTP/1.1 and HTTP/2 in, JSON-RPC answers out.

mod begun;
mod body;
mod entrance;
mod floor;
mod observe;
mod preface;
mod pulse;
mod request;
mod sheet;
mod socket;
mod strict;
mod told;
mod visit;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use seawall_runtime::{net::Conn, tasks::Shutdown};

pub(crate) use body::ReplyBody;
pub(crate) use floor::Floor;
pub(crate) use preface::Seen;
pub(crate) use pulse::{Busy, Idle, Pulse};
pub(crate) use request::{Unread, json, read_body};
pub(crate) use sheet::Sheet;
pub(crate) use socket::{Event, Pipe, Slot, Then, Welcome};
pub(crate) use visit::{Client, Visit};

use crate::worker::Worker;
use begun::Begun;
use preface::Version;

/// Largest head of a request, and largest piece of a body read at once.
const BUFFER: usize = 64 * 1024;
/// Requests that one HTTP/2 connection may have in flight.
const H2_STREAMS: u32 = 200;
/// Streams of one HTTP/2 connection that may be reset before they are looked at, by their client or for an error of
/// its own, before the connection is ended.
const H2_RESETS: usize = 20;

/// Polls a connection to its end, has it end gracefully `linger` after the process is to stop, and drops it once it
/// has been idle too long. A macro, since the two kinds of connection share their methods' names and no trait.
///
/// A select would ask after both at every wake-up; a waker stays good once it has been left there, since a
/// task's waker never changes.
macro_rules! until {
    ($serving:expr, $idle:expr, $shutdown:expr, $linger:expr) => {{
        let (mut serving, mut idle, shutdown) = ($serving, $idle, $shutdown);
        let mut stop = stopped(shutdown.clone(), $linger);
        let (mut listening, mut told) = (false, false);
        poll_fn(move |cx| {
            if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if idle.is_harassed() {
                return Poll::Ready(Ok(()));
            }
            if (!listening || idle.is_due()) && Pin::new(&mut idle).poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !told && (!listening || shutdown.is_requested()) && stop.as_mut().poll(cx).is_ready() {
                told = true;
                serving.as_mut().graceful_shutdown();
                return serving.as_mut().poll(cx);
            }
            listening = true;
            Poll::Pending
        })
        .await
    }};
}

/// Serves one client's connection until it ends or the process does.
pub(crate) async fn connection(worker: Arc<Worker>, conn: Conn, client: Client, shutdown: Shutdown) {
    let mut stop = stopped(shutdown.clone(), linger(&worker));
    let looking = tokio::time::timeout(worker.limits.idle, Seen::look(conn));
    let ended = tokio::select! {
        biased;
        seen = looking => match seen {
            Ok(Ok((seen, Version::Http1))) => http1(worker.clone(), client, seen, shutdown.clone()).await,
            // Boxed: few clients speak it, and it would make room for itself in every connection's task.
            Ok(Ok((seen, Version::Http2))) => Box::pin(http2(worker.clone(), client, seen, shutdown.clone())).await,
            // It has said nothing that could be answered.
            Ok(Err(_)) | Err(_) => return,
        },
        () = &mut stop => return,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a client's connection ended early");
    }
}

async fn http1(worker: Arc<Worker>, client: Client, seen: Seen, shutdown: Shutdown) -> hyper::Result<()> {
    let idle = Idle::new(seen.pulse(), worker.limits.idle);
    let pulse = seen.pulse();
    let slot = Slot::default();
    let ending = shutdown.clone();
    let service = service_fn(|request| {
        let (answer, ending) = (request::respond(&worker, &client, &pulse, Some(&slot), request), &ending);
        async move {
            let mut response = answer.await?;
            if ending.is_requested() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    // A client that has sent all it had to say may still be listening; hyper would look out for its end during
    // every request, into a buffer made for that alone. Head and body are joined: the kernel takes longer to.
    builder.max_buf_size(BUFFER).half_close(true).writev(false);
    let ended = {
        let serving = pin!(builder.serve_connection(TokioIo::new(seen), service).with_upgrades());
        until!(serving, idle, shutdown.clone(), linger(&worker))
    };
    if let Some(handover) = slot.take() {
        // Boxed: most clients never make it a socket.
        Box::pin(socket::run(worker, handover, shutdown)).await;
    }
    ended
}

async fn http2(worker: Arc<Worker>, client: Client, seen: Seen, shutdown: Shutdown) -> hyper::Result<()> {
    let limit = worker.limits.idle;
    let idle = Idle::new(seen.pulse(), limit);
    let pulse = seen.pulse();
    let service = service_fn(move |request| {
        Begun::new(request::respond(&worker, &client, &pulse, None, request), pulse.clone())
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .keep_alive_interval(limit)
        .max_pending_accept_reset_streams(H2_RESETS)
        .max_local_error_reset_streams(H2_RESETS)
        .max_header_list_size(BUFFER as u32);
    let serving = pin!(builder.serve_connection(TokioIo::new(seen), service));
    until!(serving, idle, shutdown, Duration::ZERO)
}

/// Resolves so long after the process is to stop.
fn stopped(shutdown: Shutdown, linger: Duration) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        shutdown.requested().await;
        if !linger.is_zero() {
            tokio::time::sleep(linger).await;
        }
    })
}

/// How long a client that speaks HTTP/1 has for one more request, which is then told to be the last, once the process
/// is to stop: one that is sent just as its connection is closed would be lost.
fn linger(worker: &Worker) -> Duration {
    worker.limits.drain / 4
}
