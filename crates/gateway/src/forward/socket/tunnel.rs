//! The life of a socket between a client and an upstream.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};
use seawall_runtime::{net::Conn, tasks::Shutdown};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    error::CapacityError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    super::{errand::Errand, onward::Onward},
    dial::{Dialled, dial},
    order::{Found, Order, Origin, word},
};
use crate::{
    call::By,
    core::{line::Priority, mode::Effect, outcome::Finding, owed::Owed},
    estate::{PoolKind, SocketRule},
    pool::Report,
    serve::{Event, Idle, Pipe, Pulse, Seen, Visit},
};

/// Most orders of one socket under way at once; beyond it the client is not read.
const MOST: usize = 256;
/// An upstream from which nothing has come for this long is asked whether it is there, and after three times that is not.
const SILENCE: Duration = Duration::from_secs(5);
/// How many times in its idle limit a client is asked whether it is there.
const PINGS: u32 = 3;
/// How long either side has to take its last message and say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// Pauses between tries to open another socket in the place of one that is lost: the first, doubled each time, and the
/// longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A socket between a client and an upstream.
pub(crate) struct Tunnel {
    origin: Arc<Origin>,
    /// What is known of its messages; empty where the estate says nothing.
    rule: Arc<SocketRule>,
    dialled: Dialled,
    /// How long an order's answer is waited for.
    patience: Duration,
    /// How long another socket in the place of one that is lost is tried for.
    deadline: Duration,
}

impl Tunnel {
    /// Between whoever made that request and that upstream.
    pub(super) fn new(visit: &Visit, handshake: Arc<Onward>, dialled: Dialled) -> Self {
        let section = &visit.pool.section;
        let path = handshake.tail.split('?').next().unwrap_or_default();
        let opened = match &section.kind {
            PoolKind::Http(http) => http.rule(&handshake.method, path).map(|(rule, _)| rule),
            PoolKind::Evm(_) | PoolKind::Grpc(_) => None,
        };
        let none = || Arc::new(SocketRule { id: String::new(), resume: false, messages: Vec::new() });
        Self {
            rule: opened.and_then(|rule| rule.socket.clone()).unwrap_or_else(none),
            patience: opened.and_then(|rule| rule.attempt_timeout).unwrap_or(section.attempt_timeout),
            deadline: opened.and_then(|rule| rule.deadline).unwrap_or(section.deadline),
            origin: Arc::new(Origin {
                worker: visit.worker.clone(),
                pool: visit.pool.clone(),
                client: visit.client.clone(),
                who: visit.who.clone(),
                handshake,
            }),
            dialled,
        }
    }

    /// Carries messages both ways until either side ends it.
    pub(crate) async fn serve(self, client: Pipe<Seen>, shutdown: &Shutdown) {
        let queue = self.origin.worker.limits.sockets.queue;
        let mut carrier = Carrier {
            upstream: Some(Pipe::new(self.dialled.socket, queue, Arc::default())),
            at: self.dialled.upstream,
            owed: Owed::new(self.patience),
            looks: FuturesUnordered::new(),
            again: VecDeque::new(),
            redial: None,
            heard: Instant::now(),
            pulse: Arc::default(),
            origin: self.origin,
            rule: self.rule,
            deadline: self.deadline,
            client,
        };
        let ending = carrier.carry(shutdown).await;
        carrier.end(ending).await;
    }
}

/// Another socket, and the pool it is of; `None` if there is none to be had.
type Redialled = Option<(Arc<Origin>, Dialled)>;

struct Carrier {
    origin: Arc<Origin>,
    rule: Arc<SocketRule>,
    client: Pipe<Seen>,
    /// `None` while another is opened in its place.
    upstream: Option<Pipe<Conn>>,
    /// Which upstream that is, or was.
    at: usize,
    owed: Owed<Order>,
    looks: FuturesUnordered<BoxFuture<'static, Found>>,
    /// Orders that are to be sent again.
    again: VecDeque<Utf8Bytes>,
    redial: Option<BoxFuture<'static, Redialled>>,
    deadline: Duration,
    /// When something last came from the upstream.
    heard: Instant,
    pulse: Arc<Pulse>,
}

/// Why a socket ends, and what the client is told.
#[derive(Debug)]
enum Ending {
    /// The client has left, or is not there any more.
    Left,
    /// One side said goodbye; the other is told the same.
    Said(Option<CloseFrame>),
    /// For a reason of the gateway's own.
    For(CloseCode, &'static str),
}

const STOPPING: Ending = Ending::For(CloseCode::Away, "the gateway stops");
const NO_POOL: Ending = Ending::For(CloseCode::Away, "SW0310: no pool is served at this path");
const LOST: Ending = Ending::For(CloseCode::Restart, "SW0375: the upstream's socket is lost: open another");
const NOBODY: Ending = Ending::For(CloseCode::Again, "SW0301: the pool has no healthy upstream");
const BARRED: Ending = Ending::For(CloseCode::Again, "SW0363: the pool's mode lets nothing through");

impl Carrier {
    async fn carry(&mut self, shutdown: &Shutdown) -> Ending {
        let (worker, clock) = (self.origin.worker.clone(), self.origin.worker.clock);
        let limit = worker.limits.idle;
        let mut idle = Idle::new(self.pulse.clone(), limit);
        let every = (limit / PINGS).min(SILENCE);
        let mut looks = interval_at(Instant::now() + every, every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged = Instant::now();
        let (mut stop, mut stopping) = (pin!(shutdown.requested()), false);
        // Why it is to end once every order has been told its outcome.
        let mut ending: Option<Ending> = None;
        loop {
            if self.owed.is_empty()
                && let Some(ending) = ending.take()
            {
                return ending;
            }
            let room = self.upstream.as_ref().is_some_and(Pipe::has_room) && self.owed.len() < MOST;
            let (hear_client, hear_upstream) = (ending.is_none() && room, self.client.has_room());
            let due = self.owed.due().map(|at| clock.instant(at));
            let Self { client, upstream, looks: sought, redial, .. } = self;
            let late = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            // A cancelled arm loses nothing: pipes, look-ups and a redial keep their places, the timers their times.
            let end = tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    Some(STOPPING)
                }
                event = poll_fn(|cx| client.poll(cx, hear_client, false)) => self.take_client(event),
                event = poll_fn(|cx| match upstream {
                    Some(pipe) => pipe.poll(cx, hear_upstream, false),
                    None => Poll::Pending,
                }) => self.take_upstream(event),
                Some(found) = sought.next(), if !sought.is_empty() => {
                    self.found(found);
                    None
                }
                dialled = poll_fn(|cx| match redial {
                    Some(redial) => redial.as_mut().poll(cx),
                    None => Poll::Pending,
                }) => self.redialled(dialled),
                () = late => {
                    for key in self.owed.late(clock.mono()) {
                        self.look(key);
                    }
                    None
                }
                () = &mut idle => return Ending::Left,
                _ = looks.tick() => {
                    if pinged.elapsed() >= limit / PINGS {
                        pinged = Instant::now();
                        self.client.ping();
                    }
                    self.look_round()
                }
            };
            if let Some(Ending::Left) = end {
                return Ending::Left;
            }
            ending = ending.or(end);
        }
    }

    /// Takes in what the client has done.
    fn take_client(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Room => None,
            Event::Ended => Some(Ending::Left),
            Event::Broken(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                Some(Ending::For(CloseCode::Size, "SW0312: the message is too large"))
            }
            Event::Broken(Error::Utf8(_)) => {
                Some(Ending::For(CloseCode::Invalid, "SW0331: the message is not UTF-8"))
            }
            Event::Broken(_) => Some(Ending::For(CloseCode::Protocol, "SW0331: this is not WebSocket")),
            Event::Heard(message) => {
                drop(self.pulse.busy()); // a sign of life
                match message {
                    Message::Text(text) => self.send(text),
                    Message::Binary(_) => self.pass(message),
                    Message::Close(frame) => return Some(Ending::Said(frame)),
                    // Answered by the protocol's own machinery.
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
                None
            }
        }
    }

    /// Sends what the client says on, and remembers it if it is an order.
    fn send(&mut self, text: Utf8Bytes) {
        if self.rule.messages.is_empty() {
            return self.pass(Message::Text(text));
        }
        let Ok(value) = serde_json::from_str::<Value>(&text) else { return self.pass(Message::Text(text)) };
        let rule = self.rule.clone();
        let Some(n) = rule.rule_for(&value) else { return self.pass(Message::Text(text)) };
        let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
        // Without an id no answer is known to be its own.
        let Some((key, id)) = rule.id_of(&value) else {
            let message = format!("SW0376: an order needs its `{}`, by which its answer is known", rule.id);
            return self.say(&word(&rule, &Value::Null, "absent", error("SW0376", &message)));
        };
        if self.owed.has(&key) {
            let message = "a message with this id is under way: its answer could not be told from this one's";
            return self.say(&word(&rule, &id, "absent", error("SW0377", message)));
        }
        let visit = self.origin.visit();
        if let Some(sheet) = &visit.sheet {
            sheet.received(text.len());
        }
        let now = self.now();
        let state = &visit.pool.state;
        state.counts.requests.fetch_add(1, Relaxed);
        state.budget().call(now);
        let priority = if rule.messages[n].critical { Priority::Critical } else { Priority::Normal };
        if let Err(refusal) = visit.may_send(now, true, priority) {
            visit.trail.refused(refusal.code());
            let (told, _) = refusal.to_http(&visit.pool);
            let why: Value = serde_json::from_slice(&told).unwrap_or(Value::Null);
            return self.say(&word(&rule, &id, "absent", json!({"error": why})));
        }
        visit.trail.begin(self.at, now);
        let order = Order {
            visit,
            text: text.clone(),
            id,
            value: Arc::new(value),
            rule: n,
            sent: 1,
            at: Instant::now(),
        };
        if self.owed.send(now, key, order).is_ok() {
            self.pass(Message::Text(text));
        }
    }

    fn pass(&mut self, message: Message) {
        if let Some(upstream) = &mut self.upstream {
            upstream.pass(message);
        }
    }

    fn say(&mut self, word: &Value) {
        self.client.say(word.to_string().into());
    }

    /// Takes in what the upstream has done.
    fn take_upstream(&mut self, event: Event) -> Option<Ending> {
        let message = match event {
            Event::Room => return None,
            Event::Ended | Event::Broken(_) => return self.lose(),
            Event::Heard(message) => message,
        };
        self.heard = Instant::now();
        self.pulse_of_upstream();
        match message {
            Message::Text(text) => {
                self.hear(text);
                None
            }
            Message::Binary(_) => {
                self.client.pass(message);
                None
            }
            // One that goes away is made good where it can be; any other goodbye is meant for the client.
            Message::Close(frame) => match frame.as_ref().map(|frame| frame.code) {
                Some(CloseCode::Away | CloseCode::Error | CloseCode::Restart | CloseCode::Again) => {
                    self.lose()
                }
                _ => {
                    self.doubt_all();
                    Some(Ending::Said(frame))
                }
            },
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        }
    }

    /// Gives the client what the upstream says, unless it leaves open what became of an order.
    fn hear(&mut self, text: Utf8Bytes) {
        if !self.owed.is_empty()
            && let Ok(value) = serde_json::from_str::<Value>(&text)
            && let Some((key, _)) = self.rule.id_of(&value)
            && let Some(order) = self.owed.get_mut(&key)
        {
            if self.rule.messages[order.rule].is_unsure(&value) {
                if self.owed.doubt(&key) {
                    self.look(key);
                }
                return;
            }
            if let Some(order) = self.owed.settle(&key) {
                order.visit.trail.by(By::Upstream(self.at));
                order.answered(text.len());
            }
        }
        self.client.pass(Message::Text(text));
    }

    fn pulse_of_upstream(&self) {
        self.origin.pool.upstreams[self.at].state.heard(self.now());
    }

    /// The upstream's socket is no more.
    fn lose(&mut self) -> Option<Ending> {
        self.upstream = None;
        let (pool, now) = (&self.origin.pool, self.now());
        let report = Report::Failed { cause: Cause::Reset, asked: None };
        pool.settle(now, self.at, Class::Other, Duration::ZERO, report);
        self.doubt_all();
        if !self.rule.resume {
            return Some(LOST);
        }
        self.redial = Some(Box::pin(redial(self.origin.clone(), self.deadline)));
        None
    }

    fn doubt_all(&mut self) {
        for key in self.owed.lost() {
            self.look(key);
        }
    }

    /// Another socket has been opened in the place of the one that was lost.
    fn redialled(&mut self, dialled: Redialled) -> Option<Ending> {
        self.redial = None;
        let Some((origin, Dialled { upstream, socket, .. })) = dialled else { return Some(NOBODY) };
        self.origin = origin;
        let queue = self.origin.worker.limits.sockets.queue;
        (self.at, self.heard) = (upstream, Instant::now());
        self.upstream = Some(Pipe::new(socket, queue, Arc::default()));
        for text in std::mem::take(&mut self.again) {
            self.pass(Message::Text(text));
        }
        None
    }

    /// Has it looked up what became of an order.
    fn look(&mut self, key: String) {
        let attempts = self.origin.pool.section.attempts;
        let Some(order) = self.owed.get_mut(&key) else { return };
        order.visit.trail.end(self.at, self.origin.worker.clock.mono(), Some(Cause::Timeout));
        let (n, value, may) = (order.rule, order.value.clone(), order.sent < attempts);
        let look = self.origin.clone().look(self.rule.clone(), n, key, value, self.at, may);
        self.looks.push(Box::pin(look));
    }

    /// Tells the client what became of an order, or sends it again.
    fn found(&mut self, mut found: Found) {
        let now = self.now();
        let state = &self.origin.pool.state;
        // The upstream's own word may have come meanwhile.
        if !self.owed.has(&found.key) {
            return;
        }
        if found.finding == Finding::Resend {
            let there = self.upstream.is_some() || self.redial.is_some();
            if there {
                state.counts.retries.fetch_add(1, Relaxed);
                return self.resend(found.key, now);
            }
            found.finding = Finding::Absent;
        }
        if let Some(order) = self.owed.settle(&found.key) {
            let word = order.tell(&self.rule, &found);
            order.visit.end(word.to_string().len());
            self.say(&word);
        }
    }

    /// Sends an order again that is proven not to have taken effect.
    fn resend(&mut self, key: String, now: Mono) {
        self.origin.pool.state.counts.api.absent.fetch_add(1, Relaxed);
        let Some(mut order) = self.owed.settle(&key) else { return };
        if self.rule.resume && self.upstream.is_some() && self.heard < order.at {
            // Not a word since it was sent there: it would not be heard of this time either.
            self.lose();
        }
        (order.sent, order.at) = (order.sent + 1, Instant::now());
        order.visit.trail.begin(self.at, now);
        let text = order.text.clone();
        if self.owed.send(now, key, order).is_err() {
            return; // nothing else has that id: it was just taken out
        }
        match &mut self.upstream {
            Some(upstream) => upstream.pass(Message::Text(text)),
            None => self.again.push_back(text),
        }
    }

    /// Looks whether both sides, the pool and its mode are as they should be.
    fn look_round(&mut self) -> Option<Ending> {
        let origin = &self.origin;
        let routes = origin.worker.routes.load();
        let Some(pool) = routes.named(origin.pool.section.name.as_str()) else { return Some(NO_POOL) };
        if !pool.state.admission.modes.lets(|| Effect::Read) {
            return Some(BARRED);
        }
        let id = origin.pool.upstreams[self.at].state.id;
        let stays = pool.upstreams.iter().any(|upstream| upstream.state.id == id);
        let Some(upstream) = &mut self.upstream else { return None };
        let silent = self.heard.elapsed();
        if !stays || silent >= SILENCE * 3 {
            return self.lose();
        }
        if silent >= SILENCE {
            upstream.ping();
        }
        None
    }

    fn now(&self) -> Mono {
        self.origin.worker.clock.mono()
    }

    /// Says goodbye to both sides, as far as they still listen.
    async fn end(mut self, ending: Ending) {
        let frame = match ending {
            Ending::Left => None,
            Ending::Said(frame) => {
                Some(frame.unwrap_or(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
            }
            Ending::For(code, reason) => Some(CloseFrame { code, reason: reason.into() }),
        };
        let away = CloseFrame { code: CloseCode::Away, reason: "".into() };
        let upstream = async {
            let Some(mut pipe) = self.upstream.take() else { return };
            pipe.close(frame.clone().unwrap_or(away), true);
            while !matches!(poll_fn(|cx| pipe.poll(cx, true, false)).await, Event::Ended | Event::Broken(_)) {
            }
        };
        let client = async {
            let Some(frame) = frame.clone() else { return };
            self.client.close(frame, false);
            while !matches!(
                poll_fn(|cx| self.client.poll(cx, true, false)).await,
                Event::Ended | Event::Broken(_)
            ) {}
        };
        // They have had their time, whether they used it or not.
        let _ = timeout(GOODBYE, futures_util::future::join(upstream, client)).await;
    }
}

/// Opens another socket as the first was opened, in the pool as the estate has it now, for as long as that takes up to
/// `deadline`.
async fn redial(before: Arc<Origin>, deadline: Duration) -> Redialled {
    let until = Instant::now() + deadline;
    let mut pause = PAUSE.0;
    loop {
        let origin = Arc::new(before.anew()?);
        let visit = Visit::of_the_house(origin.worker.clone(), origin.pool.clone());
        if let Some(errand) = Errand::of_handshake(&visit, &origin.handshake)
            && let Ok(dialled) = dial(&errand).await
        {
            return Some((origin.clone(), dialled));
        }
        if Instant::now() + pause >= until {
            return None;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}
