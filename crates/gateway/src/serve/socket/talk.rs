//! The life of a socket.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::HeaderMap;
use seawall_chain::envelope;
use seawall_model::Name;
use seawall_runtime::tasks::Shutdown;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::pipe::{Event, Pipe};
use crate::{
    admission::Who,
    call::{self, Refusal, Reply},
    feed::{Line, Missed, Moves, Spot},
    serve::{
        Client, Pulse, ReplyBody, Visit,
        preface::Seen,
        pulse::{Busy, Idle},
        request::batch,
    },
    worker::Worker,
};

/// Calls of one socket that are under way at once; beyond it the socket is not read.
const CALLS: usize = 64;
/// A client that has as much waiting as may, and takes nothing for this long, is too slow.
const SLOW: Duration = Duration::from_secs(5);
/// How long a client has to take its last message and say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// How many times in its idle limit a client is asked whether it is there.
const PINGS: u32 = 3;
/// An answer on a socket may hold this many times the limit of a verified answer.
const HOLD: usize = 4;

/// Whose calls a socket brings, and to which pool.
pub(crate) struct Calls {
    pool: Name,
    client: Client,
    who: Option<Arc<Who>>,
}

impl Calls {
    /// Those of whoever made that request.
    pub(super) fn of(visit: &Visit) -> Self {
        let pool = visit.pool.section.name.clone();
        Self { pool, client: visit.client.clone(), who: visit.who.clone() }
    }

    /// Answers them until either side ends the socket.
    pub(super) async fn serve(self, worker: Arc<Worker>, pipe: Pipe<Seen>, shutdown: &Shutdown) {
        let Self { pool, client, who } = self;
        let mut talk = Talk {
            line: Arc::new(Line::new(worker.limits.sockets.subscriptions)),
            calls: FuturesUnordered::new(),
            moves: Moves::default(),
            pulse: Arc::default(),
            messages: 0,
            stuck: None,
            pipe,
            worker,
            pool,
            client,
            who,
        };
        let ending = talk.serve(shutdown).await;
        talk.end(ending).await;
    }
}

struct Talk {
    worker: Arc<Worker>,
    pool: Name,
    client: Client,
    who: Option<Arc<Who>>,
    pipe: Pipe<Seen>,
    line: Arc<Line>,
    calls: FuturesUnordered<BoxFuture<'static, (u64, Option<Bytes>)>>,
    moves: Moves,
    pulse: Arc<Pulse>,
    /// Messages heard.
    messages: u64,
    /// Since when more waits than may, and nothing has been taken.
    stuck: Option<(Instant, u32)>,
}

/// Why a socket ends.
#[derive(Debug, PartialEq)]
enum Ending {
    /// The client has left, or is not there any more.
    Left,
    /// The process is to stop.
    Stopping,
    /// The estate has no such pool any more.
    NoPool,
    /// The client does not keep up.
    Slow,
    /// The feed missed blocks.
    Lost,
    /// The client sent too large a message.
    TooLarge,
    /// The client sent text that is none.
    NotText,
    /// The client broke the protocol otherwise.
    Broken,
}

impl Ending {
    /// What the client is told, if it can be told anything.
    fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Left => return None,
            Self::Stopping => (CloseCode::Away, "the gateway stops"),
            Self::NoPool => (CloseCode::Away, "SW0310: no pool is served at this path"),
            Self::Slow => (CloseCode::Policy, "SW0336: too slow: more waits than is kept for one client"),
            Self::Lost => (CloseCode::Again, "SW0337: blocks were missed: subscribe again"),
            Self::TooLarge => (CloseCode::Size, "SW0312: the message is too large"),
            Self::NotText => (CloseCode::Invalid, "SW0331: the message is not UTF-8"),
            Self::Broken => (CloseCode::Protocol, "SW0331: this is not WebSocket"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

impl Talk {
    async fn serve(&mut self, shutdown: &Shutdown) -> Ending {
        let limit = self.worker.limits.idle;
        let mut idle = Idle::new(self.pulse.clone(), limit);
        let mut pings = interval_at(Instant::now() + limit / PINGS, limit / PINGS);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(shutdown.requested());
        let mut stopping = false;
        loop {
            let reading = !stopping && self.calls.len() < CALLS && self.pipe.has_room();
            let last = stopping && self.calls.is_empty();
            if last && self.pipe.is_empty() {
                return Ending::Stopping;
            }
            let Self { pipe, calls, moves, .. } = self;
            // A cancelled arm loses nothing: pipe, calls and moves keep their places, the timers their times.
            let ended = tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    None
                }
                event = poll_fn(|cx| pipe.poll(cx, reading, last)) => self.take(event),
                Some((message, answer)) = calls.next(), if !calls.is_empty() => {
                    self.answered(message, answer);
                    None
                }
                () = moves.any() => None,
                () = &mut idle => Some(Ending::Left),
                _ = pings.tick() => {
                    self.pipe.ping();
                    self.pool_is_gone().then_some(Ending::NoPool)
                }
            };
            let ended = if stopping { ended } else { ended.or_else(|| self.gather()) };
            if let Some(ending) = ended {
                return ending;
            }
        }
    }

    fn take(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Room => None,
            Event::Ended => Some(Ending::Left),
            Event::Broken(error) => Some(match error {
                Error::Capacity(CapacityError::MessageTooLong { .. }) => Ending::TooLarge,
                Error::Utf8(_) => Ending::NotText,
                _ => Ending::Broken,
            }),
            Event::Heard(message) => {
                let busy = self.pulse.busy();
                match message {
                    Message::Text(text) => self.call(text.into(), busy),
                    Message::Binary(bytes) => self.call(bytes, busy),
                    // Answered by the protocol's own machinery.
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => None,
                }
            }
        }
    }

    /// Begins to answer a message.
    fn call(&mut self, text: Bytes, busy: Busy) -> Option<Ending> {
        // A reload may have changed the pool since.
        let Some(pool) = self.worker.routes.load().named(self.pool.as_str()).cloned() else {
            return Some(Ending::NoPool);
        };
        self.messages += 1;
        let message = self.messages;
        let mut visit = Visit::new(self.worker.clone(), pool, self.client.clone(), &HeaderMap::new());
        visit.spot = Some(Spot { line: self.line.clone(), message });
        visit.who = self.who.clone();
        self.calls.push(Box::pin(async move {
            let answer = answer(&visit, &text).await;
            visit.end(answer.as_ref().map_or(0, Bytes::len));
            drop(busy);
            (message, answer)
        }));
        None
    }

    fn answered(&mut self, message: u64, answer: Option<Bytes>) {
        if let Some(answer) = answer {
            self.pipe.say(answer);
        }
        self.line.answered(message);
        self.moves.listen(&self.worker, &self.line);
    }

    /// Has a reload taken away what is subscribed to?
    fn pool_is_gone(&self) -> bool {
        let routes = self.worker.routes.load();
        routes.named(self.pool.as_str()).is_none_or(|pool| !self.line.is_of(&pool.state.feed))
    }

    /// Takes from the feeds what there is room for.
    fn gather(&mut self) -> Option<Ending> {
        let Self { pipe, line, .. } = self;
        let came_to_the_end = match pipe.has_room() {
            true => line.gather(|note| {
                pipe.tell(note);
                pipe.has_room()
            }),
            false => Ok(false),
        };
        match came_to_the_end {
            Ok(true) => {}
            Ok(false) => self.pipe.wants_room = true,
            Err(Missed::Behind) => return Some(Ending::Slow),
            Err(Missed::Lost) => return Some(Ending::Lost),
        }
        if self.pipe.has_room() {
            self.stuck = None;
            return None;
        }
        let (now, taken) = (Instant::now(), self.pipe.taken());
        match self.stuck {
            Some((since, before)) if before == taken => (now - since >= SLOW).then_some(Ending::Slow),
            Some(_) | None => {
                self.stuck = Some((now, taken));
                None
            }
        }
    }

    /// Says goodbye, as far as the client still listens.
    async fn end(mut self, ending: Ending) {
        let Some(frame) = ending.frame() else { return };
        if ending == Ending::Slow
            && let Some(pool) = self.worker.routes.load().named(self.pool.as_str())
        {
            pool.state.feed.counts.slow.fetch_add(1, Relaxed);
        }
        self.pipe.close(frame, ending != Ending::Stopping);
        let goodbye = async {
            while !matches!(
                poll_fn(|cx| self.pipe.poll(cx, true, false)).await,
                Event::Ended | Event::Broken(_)
            ) {}
        };
        // It has had its time, whether it used it or not.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

/// What a message is answered with; `None` if it was nothing but notifications.
async fn answer(visit: &Visit, text: &[u8]) -> Option<Bytes> {
    let limits = &visit.worker.limits;
    let request = envelope::parse_request(text, limits.batch);
    if let Some(sheet) = &visit.sheet {
        sheet.asked(&request, text.len());
    }
    match request {
        Ok(envelope::Request::Single(call)) => match call::answer(visit, &call).await {
            Reply::Whole(body) | Reply::Refused(body, _) => Some(body),
            Reply::Large(large) => Some(
                match large.whole(HOLD * limits.verified_answer, visit.pool.section.attempt_timeout).await {
                    Some(body) => body,
                    None => {
                        let mut out = Vec::new();
                        Refusal::TooLarge.write(&mut out, call.id, &visit.pool, &visit.worker);
                        out.into()
                    }
                },
            ),
            Reply::Nothing => None,
        },
        Ok(envelope::Request::Batch(calls)) => match batch(visit, calls).await.into_body() {
            ReplyBody::Whole(body) => Some(body).filter(|body| !body.is_empty()),
            ReplyBody::Streaming(_) | ReplyBody::Relayed(_) => None, // a batch is never streamed
        },
        Err(invalid) => {
            let mut out = Vec::with_capacity(128);
            envelope::write_error(&mut out, invalid.id, invalid.code, invalid.message, None);
            Some(out.into())
        }
    }
}
