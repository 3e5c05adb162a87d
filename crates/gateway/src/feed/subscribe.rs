//! Subscriptions: `eth_subscribe`, `eth_unsubscribe`, and what a socket is told by them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use seawall_chain::envelope::{self, Call, code};
use serde_json::value::RawValue;

use super::{At, Feed, HeadStep, Listening, Topic};
use crate::{call::Reply, serve::Visit};

/// A socket's subscriptions: made and ended by the calls on it, read by the socket itself.
pub(crate) struct Line {
    subscriptions: Mutex<Subscriptions>,
    /// Most at once.
    most: usize,
}

/// Subscriptions by their ids.
#[derive(Default)]
pub(crate) struct Subscriptions(BTreeMap<u128, Subscription>);

struct Subscription {
    /// The next place to read in its topic's window.
    place: u64,
    /// The message that it came with. Nothing is told before that is answered, since nobody would know the id.
    message: u64,
    answered: bool,
    listening: Listening,
}

/// A call's place on a socket.
#[derive(Clone)]
pub(crate) struct Spot {
    pub(crate) line: Arc<Line>,
    /// Which of the socket's messages it is in.
    pub(crate) message: u64,
}

/// Something to tell a subscriber.
pub(crate) struct Note {
    pub(crate) id: u128,
    pub(crate) payload: Bytes,
}

/// Why a socket's subscriptions cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// It was too far behind.
    Behind,
    /// The feed itself has missed blocks.
    Lost,
}

impl Line {
    pub(crate) fn new(most: usize) -> Self {
        Self { subscriptions: Mutex::default(), most }
    }

    /// `message` has been answered: what was subscribed to in it may be told.
    pub(crate) fn answered(&self, message: u64) {
        for subscription in self.subscriptions().0.values_mut() {
            subscription.answered |= subscription.message == message;
        }
    }

    /// The feeds and topics that there are subscriptions to.
    pub(crate) fn topics(&self) -> Vec<(Topic, Arc<Feed>)> {
        let mut topics: Vec<(Topic, Arc<Feed>)> = Vec::new();
        for subscription in self.subscriptions().0.values() {
            let Listening { feed, topic } = &subscription.listening;
            if !topics.iter().any(|(t, f)| t == topic && Arc::ptr_eq(f, feed)) {
                topics.push((*topic, feed.clone()));
            }
        }
        topics
    }

    /// Hands what there is to tell to `put`, until that says that it has no more room. Returns whether it came to
    /// the end.
    pub(crate) fn gather(&self, mut put: impl FnMut(Note) -> bool) -> Result<bool, Missed> {
        for (id, subscription) in &mut self.subscriptions().0 {
            if subscription.answered && !subscription.gather(*id, &mut put)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    fn gather(&mut self, id: u128, put: &mut impl FnMut(Note) -> bool) -> Result<bool, Missed> {
        let feed = &self.listening.feed;
        match self.listening.topic {
            Topic::Heads => {
                let window = feed.heads.now();
                loop {
                    let payload = match window.at(self.place) {
                        At::End => return Ok(true),
                        At::Gone => return Err(Missed::Behind),
                        At::Item(step) => match &*step {
                            HeadStep::Added(header) => header.clone(),
                            HeadStep::Dropped => {
                                self.place += 1;
                                continue;
                            }
                            HeadStep::Lost => return Err(Missed::Lost),
                        },
                    };
                    self.place += 1;
                    feed.counts.notifications[Topic::Heads as usize].fetch_add(1, Relaxed);
                    if !put(Note { id, payload }) {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

/// Is it one of the calls that the feed answers?
pub(crate) fn is_ours(method: &str) -> bool {
    matches!(method, "eth_subscribe" | "eth_unsubscribe")
}

/// Answers one of these calls.
pub(crate) fn answer(visit: &Visit, call: &Call<'_>) -> Reply {
    let Some(id) = call.id else { return Reply::Nothing };
    let Some(spot) = &visit.spot else {
        let message = "SW0333: subscriptions need a WebSocket: connect to this path with one";
        return error(call, code::METHOD_NOT_FOUND, message);
    };
    let told = match &*call.method {
        "eth_subscribe" => subscribe(visit, spot, call.params),
        _ => unsubscribe(spot, call.params),
    };
    match told {
        Ok(result) => {
            let mut out = Vec::with_capacity(96);
            envelope::write_result(&mut out, Some(id), &result);
            Reply::Whole(out.into())
        }
        Err(refused) => error(call, refused.0, refused.1),
    }
}

type Refused = (i64, &'static str);

fn subscribe(visit: &Visit, spot: &Spot, params: Option<&RawValue>) -> Result<String, Refused> {
    let params: Vec<&RawValue> =
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    let topic = match params.first().map(|what| what.get()) {
        Some(r#""newHeads""#) => Topic::Heads,
        Some(_) | None => {
            return Err((code::INVALID_PARAMS, "SW0334: subscribe to `newHeads`"));
        }
    };
    let state = &visit.pool.state;
    let mut subscriptions = spot.line.subscriptions();
    if subscriptions.0.len() >= spot.line.most {
        return Err((code::INVALID_REQUEST, "SW0335: this connection has too many subscriptions"));
    }
    let (listening, place) = state.feed.listen(topic, &state.heads.load());
    let id = state.feed.id();
    let subscription = Subscription { place, message: spot.message, answered: false, listening };
    subscriptions.0.insert(id, subscription);
    Ok(format!("\"{id:#x}\""))
}

fn unsubscribe(spot: &Spot, params: Option<&RawValue>) -> Result<String, Refused> {
    let id = params
        .and_then(|params| serde_json::from_str::<[&str; 1]>(params.get()).ok())
        .and_then(|[id]| u128::from_str_radix(id.strip_prefix("0x")?, 16).ok())
        .ok_or((code::INVALID_PARAMS, "SW0334: name the subscription by its id, as in [\"0x1f\"]"))?;
    Ok(spot.line.subscriptions().0.remove(&id).is_some().to_string())
}

fn error(call: &Call<'_>, code: i64, message: &str) -> Reply {
    let mut out = Vec::with_capacity(192);
    let data = format!("{{\"code\":\"{}\"}}", &message[..6]);
    envelope::write_error(&mut out, call.id, code, message, Some(&data));
    Reply::Whole(out.into())
}
