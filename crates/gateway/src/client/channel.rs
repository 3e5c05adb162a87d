//! HTTP/2 to upstreams: a few connections of one worker to each, which all its calls share.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body::Body;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use seawall_runtime::net::Conn;

use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

/// Most connections to one upstream.
const CHANNELS: usize = 4;
/// Calls on one before another is made: most servers take a hundred.
const STREAMS: usize = 64;
/// What may be on its way to us for one call, in bytes: as much is held for a client that reads slowly.
const STREAM_WINDOW: u32 = 256 << 10;
/// And for all calls of a connection, so that none waits for a client that another has.
const WINDOW: u32 = 2 * STREAMS as u32 * STREAM_WINDOW;
/// What may wait to go out of one call, in bytes.
const SEND_BUFFER: usize = 256 << 10;

/// What one call is sent by.
pub(crate) struct Lease<B> {
    pub(crate) send: SendRequest<B>,
    /// Counted for as long as it lives.
    _call: Arc<()>,
}

struct Channel<B> {
    send: SendRequest<B>,
    /// In which of its upstream's eras it was made.
    era: u32,
    calls: Arc<()>,
}

struct ToOne<B> {
    channels: Vec<Channel<B>>,
    /// Held while one is made, so that many calls at once make one.
    dialling: Arc<tokio::sync::Mutex<()>>,
}

/// The connections of one worker. The lock is the worker's own and never contended.
pub(crate) struct Channels<B> {
    to: Mutex<State<B>>,
}

struct State<B> {
    to: BTreeMap<u64, ToOne<B>>,
    /// Nothing is kept any more.
    closed: bool,
}

impl<B> Default for Channels<B> {
    fn default() -> Self {
        Self { to: Mutex::new(State { to: BTreeMap::new(), closed: false }) }
    }
}

impl<B> Default for ToOne<B> {
    fn default() -> Self {
        Self { channels: Vec::new(), dialling: Arc::default() }
    }
}

impl<B: Body + 'static> Channels<B> {
    /// A connection to an upstream with room for a call, of this `era`; by `dial` if there is none.
    pub(crate) async fn lease(
        &self,
        upstream: u64,
        era: u32,
        dial: impl Future<Output = Option<SendRequest<B>>>,
    ) -> Option<Lease<B>> {
        if let Some(lease) = self.ready(upstream, era, STREAMS) {
            return Some(lease);
        }
        let dialling = self.lock().to.entry(upstream).or_default().dialling.clone();
        let _turn = dialling.lock().await;
        let most = match self.lock().to.get(&upstream).map_or(0, |to| to.channels.len()) {
            CHANNELS.. => usize::MAX,
            _ => STREAMS,
        };
        if let Some(lease) = self.ready(upstream, era, most) {
            return Some(lease);
        }
        let channel = Channel { send: dial.await?, era, calls: Arc::default() };
        let lease = channel.lease();
        let mut state = self.lock();
        if !state.closed {
            state.to.entry(upstream).or_default().channels.push(channel);
        }
        Some(lease)
    }

    /// The least busy connection, if it has fewer than `most` calls.
    fn ready(&self, upstream: u64, era: u32, most: usize) -> Option<Lease<B>> {
        let mut state = self.lock();
        let to = state.to.get_mut(&upstream)?;
        to.channels.retain(|channel| channel.era == era && !channel.send.is_closed());
        let least = to.channels.iter().min_by_key(|channel| channel.calls())?;
        (least.calls() < most).then(|| least.lease())
    }

    /// Drops the connections to upstreams that are gone; the calls on them go on.
    pub(crate) fn reap(&self, lives: impl Fn(u64) -> bool) {
        self.lock().to.retain(|upstream, _| lives(*upstream));
    }

    /// Keeps none from now on, so that each ends with its last call.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.to.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Channel<B> {
    fn calls(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }

    fn lease(&self) -> Lease<B> {
        Lease { send: self.send.clone(), _call: self.calls.clone() }
    }
}

/// What drives a connection.
pub(crate) type Drive<B> = Connection<TokioIo<Conn>, B, TokioExecutor>;

/// Speaks HTTP/2 on a fresh connection; what drives it ends once nobody can send on it and its last call is over.
pub(crate) async fn start<B>(conn: Conn) -> Option<(SendRequest<B>, Drive<B>)>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .handshake(TokioIo::new(conn))
        .await
        .ok()
}
