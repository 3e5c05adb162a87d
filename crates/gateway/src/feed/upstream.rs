//! What upstreams tell of their own accord: over a socket of theirs where they have one, that their heads have
//! moved and which transactions are pending; else, while somebody wants those, by a filter of theirs.
//!
//! A head is a hint and no more: it says when a poll is worth its while. What is believed is what the polls see,
//! since reads go where they go.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request, header};
use seawall_chain::{Hash, block::Header, envelope, envelope::parse_answer};
use seawall_runtime::net::Conn;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, handshake::client::generate_key, protocol::WebSocketConfig},
};

use crate::{
    feed::Feed,
    poll::{Line, Poller, find},
    pool::{Pool, Upstream},
};

/// How often it is looked whether anything is wanted.
const LOOK: Duration = Duration::from_secs(1);
/// Pause before a socket that has ended is made again: the first, doubled each time, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A socket from which nothing has come for this long is asked whether it is there, and after twice that is not.
const SILENCE: Duration = Duration::from_secs(20);
/// Largest message: a header, or a transaction.
const LARGEST: usize = 4 << 20;
/// Most hashes of one answer that are looked at.
const MOST: usize = 10_000;

type Socket = WebSocketStream<Conn>;

/// Listens to one upstream for as long as it is in the estate.
pub(super) async fn listen(poller: Poller, name: Arc<str>, id: u64) {
    let mut pause = PAUSE.0;
    loop {
        let Some((pool, i)) = find(&poller.routes.load(), &name, id) else { return };
        let upstream = &pool.upstreams[i];
        if upstream.section.socket.is_none() {
            let woken = pool.state.feed.wake.notified();
            match pool.state.feed.wants_pending() {
                true => by_filter(&poller, &pool, upstream).await,
                false => drop(timeout(LOOK, woken).await),
            }
            continue;
        }
        let began = Instant::now();
        if let Ok(Some(mut socket)) = timeout(pool.section.attempt_timeout, connect(&poller, upstream)).await
        {
            attend(&poller, &name, id, &mut socket).await;
        }
        if began.elapsed() > PAUSE.1 {
            pause = PAUSE.0;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn connect(poller: &Poller, upstream: &Upstream) -> Option<Socket> {
    let target = upstream.section.socket.as_ref()?;
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://{}{}", target.host, target.path.expose()).parse().ok()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(&target.host).ok()?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_str(&generate_key()).ok()?);
    for (name, value) in &upstream.section.headers {
        headers.insert(name.clone(), HeaderValue::from_str(value.expose()).ok()?);
    }
    let conn = poller.net.connect(&target.endpoint).await.ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    client_async_with_config(request, conn, Some(config)).await.ok().map(|(socket, _)| socket)
}

/// Listens on a socket until it ends, or is no longer what the estate or anybody wants.
async fn attend(poller: &Poller, name: &str, id: u64, socket: &mut Socket) {
    if subscribe(socket, "newHeads").await.is_none() {
        return;
    }
    let Some((pool, i)) = find(&poller.routes.load(), name, id) else { return };
    let (feed, target) = (pool.state.feed.clone(), pool.upstreams[i].section.socket.clone());
    drop(pool);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut asked) = (Instant::now(), false);
    loop {
        // A cancelled arm loses nothing: the socket keeps what it has read, and interest is looked at anew.
        tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let Some((pool, i)) = find(&poller.routes.load(), name, id) else { return };
                    if let Message::Text(text) = message {
                        take(&pool, &pool.upstreams[i], &text);
                    }
                }
                Some(Err(_)) | None => return,
            },
            () = feed.wake.notified() => {}
            _ = look.tick() => {}
        }
        let still = find(&poller.routes.load(), name, id)
            .is_some_and(|(pool, i)| pool.upstreams[i].section.socket == target);
        let silent = heard.elapsed();
        if !still || silent > SILENCE * 2 {
            return;
        }
        if silent > SILENCE && socket.send(Message::Ping(Bytes::new())).await.is_err() {
            return;
        }
        match feed.wants_pending() {
            true if !asked => {
                asked = true;
                if subscribe(socket, "newPendingTransactions").await.is_none() {
                    return;
                }
            }
            // Another socket costs less than to keep account of this one's subscriptions.
            false if asked => return,
            true | false => {}
        }
    }
}

async fn subscribe(socket: &mut Socket, what: &str) -> Option<()> {
    let mut call = Vec::with_capacity(96);
    envelope::write_call(&mut call, "1", "eth_subscribe", Some(&format!("[\"{what}\"]")));
    let call = String::from_utf8(call).ok()?;
    timeout(SILENCE, socket.send(Message::Text(call.into()))).await.ok()?.ok()
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

/// Takes in a notification; anything else is passed over.
fn take(pool: &Pool, upstream: &Upstream, text: &str) {
    let Ok(Told { params: Params { result } }) = serde_json::from_str(text) else { return };
    let feed = &pool.state.feed;
    if let Some(hash) = quoted(result.get()) {
        feed.saw_pending(hash);
    } else if let Ok(header) = Header::from_block(result) {
        let hash = header.seen.hash;
        feed.counts.hints.fetch_add(1, Relaxed);
        feed.saw(|| Some(header));
        // The first to tell of a block speaks for those that have no socket.
        match feed.is_hinted(hash) {
            true => upstream.state.nudges.notify_waiters(),
            false => pool.state.nudge(),
        }
    }
}

fn quoted(text: &str) -> Option<Hash> {
    text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Asks an upstream by a filter of its own, for as long as it goes well and somebody wants it.
async fn by_filter(poller: &Poller, pool: &Pool, upstream: &Upstream) {
    let mut link = None;
    let feed: &Feed = &pool.state.feed;
    let mut line = Line::new(poller, upstream, pool.section.hang, &mut link, feed);
    if let Ok(body) = line.call(pool.rules(), "eth_newPendingTransactionFilter", "[]").await
        && let Some(id) = parse_answer(&body).ok().and_then(|answer| Some(answer.result?.to_owned()))
    {
        let params = format!("[{}]", id.get());
        while feed.wants_pending() {
            sleep(LOOK).await;
            let Ok(body) = line.call(pool.rules(), "eth_getFilterChanges", &params).await else { break };
            let Some(list) = parse_answer(&body).ok().and_then(|answer| answer.result) else { break };
            let Ok(hashes) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else { break };
            hashes
                .iter()
                .take(MOST)
                .filter_map(|hash| quoted(hash.get()))
                .for_each(|hash| feed.saw_pending(hash));
        }
    }
    sleep(LOOK).await;
}
