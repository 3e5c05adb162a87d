//! Subscriptions: `eth_subscribe`, `eth_unsubscribe`, and what a socket is told by them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use seawall_chain::{
    envelope::code,
    log::{Filter, NotAFilter},
};
use serde_json::value::RawValue;

use super::{Feed, HeadStep, Listening, Topic, answer::Refused, logs::LogStep, read};
use crate::serve::Visit;

/// A socket's subscriptions: made and ended by the calls on it, read by the socket itself.
pub(crate) struct Line {
    subscriptions: Mutex<BTreeMap<u128, Subscription>>,
    /// Most at once.
    most: usize,
}

struct Subscription {
    /// How everything it is told begins.
    head: Bytes,
    /// What of its topic it wants.
    what: What,
    /// The next place to read in its topic's window.
    place: u64,
    /// The message that it came with. Nothing is told before that is answered, since nobody would know the id.
    message: u64,
    answered: bool,
    listening: Listening,
}

/// What is subscribed to.
enum What {
    Heads,
    Logs(Filter),
    Pending,
    Whole,
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
    /// What stands before the payload; two braces stand after it.
    pub(crate) head: Bytes,
    /// The same bytes for everybody who is told this.
    pub(crate) payload: Bytes,
}

/// Why a socket's subscriptions cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// It was too far behind.
    Behind,
    /// The feed itself has missed something.
    Lost,
}

impl Line {
    pub(crate) fn new(most: usize) -> Self {
        Self { subscriptions: Mutex::default(), most }
    }

    /// `message` has been answered: what was subscribed to in it may be told.
    pub(crate) fn answered(&self, message: u64) {
        for subscription in self.subscriptions().values_mut() {
            subscription.answered |= subscription.message == message;
        }
    }

    /// The feeds and topics that there are subscriptions to.
    pub(crate) fn topics(&self) -> Vec<(Topic, Arc<Feed>)> {
        let mut topics: Vec<(Topic, Arc<Feed>)> = Vec::new();
        for subscription in self.subscriptions().values() {
            let Listening { feed, topic } = &subscription.listening;
            if !topics.iter().any(|(t, _)| t == topic) {
                topics.push((*topic, feed.clone()));
            }
        }
        topics
    }

    /// Do all of them listen to that feed? After a reload the pool may be of another chain.
    pub(crate) fn is_of(&self, feed: &Arc<Feed>) -> bool {
        self.subscriptions().values().all(|s| Arc::ptr_eq(&s.listening.feed, feed))
    }

    /// Hands what there is to tell to `put`, until that says that it has no more room. Returns whether it came to
    /// the end.
    pub(crate) fn gather(&self, mut put: impl FnMut(Note) -> bool) -> Result<bool, Missed> {
        for subscription in self.subscriptions().values_mut() {
            if subscription.answered && !subscription.gather(&mut put)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<u128, Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// A step is told whole or not at all, so that a place in the window is all there is to remember.
    fn gather(&mut self, put: &mut impl FnMut(Note) -> bool) -> Result<bool, Missed> {
        let Listening { feed, topic } = &self.listening;
        let place = &mut self.place;
        let (mut room, mut told) = (true, 0);
        let mut tell = |payload| {
            told += 1;
            room = put(Note { head: self.head.clone(), payload });
            room
        };
        match &self.what {
            What::Heads => {
                let window = feed.heads.now();
                while let Some(step) = read(&window, place)? {
                    match &*step {
                        HeadStep::Added { header, .. } if !tell(header.clone()) => break,
                        HeadStep::Added { .. } | HeadStep::Dropped(_) => {}
                        HeadStep::Lost => return Err(Missed::Lost),
                    }
                }
            }
            What::Logs(filter) => {
                let window = feed.logs.now();
                while let Some(step) = read(&window, place)? {
                    if let LogStep::Lost = *step {
                        return Err(Missed::Lost);
                    }
                    if !step.wanted(filter).fold(true, |_, log| tell(log)) {
                        break;
                    }
                }
            }
            What::Pending | What::Whole => {
                let window = if *topic == Topic::Whole { feed.whole.now() } else { feed.pending.now() };
                while let Some(step) = read(&window, place)? {
                    if !step.0.iter().fold(true, |_, one| tell(one.clone())) {
                        break;
                    }
                }
            }
        }
        feed.counts.notifications[*topic as usize].fetch_add(told, Relaxed);
        Ok(room)
    }
}

impl What {
    fn read(params: Option<&RawValue>) -> Result<Self, Refused> {
        const KINDS: &str = "SW0334: subscribe to `newHeads`, `logs` or `newPendingTransactions`";
        let unknown = || Refused(code::INVALID_PARAMS, KINDS);
        let params: Vec<&RawValue> =
            params.and_then(|params| serde_json::from_str(params.get()).ok()).ok_or_else(unknown)?;
        let second = params.get(1).map(|param| param.get());
        match params.first().map(|what| what.get()) {
            Some(r#""newHeads""#) => Ok(Self::Heads),
            Some(r#""logs""#) => match params.get(1) {
                None => Ok(Self::Logs(Filter::default())),
                Some(filter) => match Filter::parse(filter) {
                    Ok(filter) => Ok(Self::Logs(filter)),
                    Err(NotAFilter) => Err(Refused::NOT_A_FILTER),
                },
            },
            Some(r#""newPendingTransactions""#) => match second {
                Some("true") => Ok(Self::Whole),
                None | Some("false" | "null") => Ok(Self::Pending),
                Some(_) => Err(unknown()),
            },
            Some(_) | None => Err(unknown()),
        }
    }

    fn topic(&self) -> Topic {
        match self {
            Self::Heads => Topic::Heads,
            Self::Logs(_) => Topic::Logs,
            Self::Pending => Topic::Pending,
            Self::Whole => Topic::Whole,
        }
    }
}

/// Subscribes; the id as JSON.
pub(super) fn subscribe(visit: &Visit, spot: &Spot, params: Option<&RawValue>) -> Result<String, Refused> {
    let what = What::read(params)?;
    let state = &visit.pool.state;
    let mut subscriptions = spot.line.subscriptions();
    if subscriptions.len() >= spot.line.most {
        const TOO_MANY: &str = "SW0335: this connection has too many subscriptions";
        return Err(Refused(code::INVALID_REQUEST, TOO_MANY));
    }
    let (listening, place) = state.feed.listen(what.topic(), &state.heads.load());
    let id = state.feed.id();
    let head = format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{id:#x}","result":"#
    );
    let subscription =
        Subscription { head: head.into(), what, place, message: spot.message, answered: false, listening };
    subscriptions.insert(id, subscription);
    Ok(format!("\"{id:#x}\""))
}

/// Ends a subscription; whether there was one, as JSON.
pub(super) fn unsubscribe(spot: &Spot, id: u128) -> String {
    spot.line.subscriptions().remove(&id).is_some().to_string()
}
