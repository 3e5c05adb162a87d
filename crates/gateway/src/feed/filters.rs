//! Filters: what has changed since a client last asked, held by the gateway for every worker and whatever
//! upstream comes and goes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use seawall_chain::{
    Block,
    envelope::{code, parse_answer},
    log::Filter,
    pin,
};
use seawall_model::Mono;
use serde_json::value::RawValue;

use super::{Feed, HeadStep, Listening, Missed, Topic, answer::Refused, fetch, logs::LogStep, read};
use crate::serve::Visit;

/// A filter that nobody asks after for this long is forgotten, as nodes do.
const IDLE: Duration = Duration::from_secs(300);
/// How long changes wait for the feed to come to the agreed head, lest a client miss what its reads show.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The filters of a pool, by their ids.
#[derive(Default)]
pub(crate) struct Filters(Mutex<BTreeMap<u128, Held>>);

struct Held {
    what: What,
    /// The next place to read in its topic's window.
    place: u64,
    used: Mono,
    listening: Listening,
}

enum What {
    Blocks,
    Logs {
        filter: Filter,
        /// The filter object as it came.
        object: Box<RawValue>,
        /// The newest block whose logs it has been told.
        last: Option<Block>,
    },
    Pending,
}

impl Filters {
    fn held(&self) -> MutexGuard<'_, BTreeMap<u128, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.held().len()
    }

    /// Forgets those that nobody asks after; how many.
    pub(super) fn sweep(&self, now: Mono) -> u64 {
        let mut held = self.held();
        let before = held.len();
        held.retain(|_, filter| now.since(filter.used) < IDLE);
        (before - held.len()) as u64
    }
}

pub(super) fn new_logs(visit: &Visit, params: Option<&RawValue>) -> Result<String, Refused> {
    let params: Vec<&RawValue> =
        params.and_then(|params| serde_json::from_str(params.get()).ok()).ok_or(Refused::NOT_A_FILTER)?;
    let object = params.first().ok_or(Refused::NOT_A_FILTER)?;
    let filter = Filter::parse(object).map_err(|_| Refused::NOT_A_FILTER)?;
    let last = visit.pool.state.heads.load().latest();
    hold(visit, Topic::Logs, What::Logs { filter, object: (*object).to_owned(), last })
}

pub(super) fn new_blocks(visit: &Visit) -> Result<String, Refused> {
    hold(visit, Topic::Heads, What::Blocks)
}

pub(super) fn new_pending(visit: &Visit) -> Result<String, Refused> {
    hold(visit, Topic::Pending, What::Pending)
}

fn hold(visit: &Visit, topic: Topic, what: What) -> Result<String, Refused> {
    let (state, worker) = (&visit.pool.state, &visit.worker);
    let mut held = state.feed.filters.held();
    if held.len() >= worker.limits.filters {
        return Err(Refused(code::INVALID_REQUEST, "SW0339: there are too many filters: try again later"));
    }
    let (listening, place) = state.feed.listen(topic, &state.heads.load());
    let id = state.feed.id();
    held.insert(id, Held { what, place, used: worker.clock.mono(), listening });
    Ok(format!("\"{id:#x}\""))
}

/// Forgets a filter; whether there was one, as JSON.
pub(super) fn uninstall(visit: &Visit, id: u128) -> String {
    visit.pool.state.feed.filters.held().remove(&id).is_some().to_string()
}

/// The parameters that `eth_getLogs` takes for a filter of logs.
pub(super) fn params(visit: &Visit, id: u128) -> Result<Box<RawValue>, Refused> {
    let mut held = visit.pool.state.feed.filters.held();
    let filter = held.get_mut(&id).ok_or(Refused::NO_SUCH_FILTER)?;
    filter.used = visit.worker.clock.mono();
    match &filter.what {
        What::Logs { object, .. } => {
            let params = format!("[{}]", object.get());
            RawValue::from_string(params).map_err(|_| Refused::NOT_A_FILTER)
        }
        What::Blocks | What::Pending => Err(Refused::NO_SUCH_FILTER),
    }
}

/// What has changed since the last time, as a JSON list.
pub(super) async fn changes(visit: &Visit, id: u128) -> Result<String, Refused> {
    let feed = &visit.pool.state.feed;
    let topic = {
        let mut held = feed.filters.held();
        let filter = held.get_mut(&id).ok_or(Refused::NO_SUCH_FILTER)?;
        filter.used = visit.worker.clock.mono();
        filter.listening.topic
    };
    // What the client has seen by reading must be in it. In vain, it is told the next time.
    let _ = tokio::time::timeout(CATCH_UP, caught_up(visit, topic)).await;
    let gap = {
        let mut held = feed.filters.held();
        let filter = held.get_mut(&id).ok_or(Refused::NO_SUCH_FILTER)?;
        match filter.read(feed) {
            Ok(list) => {
                feed.counts.notifications[topic as usize].fetch_add(list.len() as u64, Relaxed);
                return Ok(joined(&list));
            }
            Err(Missed::Behind) => filter.skip(visit),
            Err(Missed::Lost) => None,
        }
    };
    // It asks too seldom for what is kept: its logs are asked for again, if its last block is still there.
    let logs = match gap {
        Some((from, to, object)) => again(visit, from, to, &object).await,
        None => None,
    };
    logs.ok_or_else(|| {
        feed.filters.held().remove(&id);
        Refused::NO_SUCH_FILTER
    })
}

impl Held {
    fn read(&mut self, feed: &Feed) -> Result<Vec<String>, Missed> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut list, mut place) = (Vec::new(), self.place);
        match &mut self.what {
            What::Blocks => {
                let window = feed.heads.now();
                while let Some(step) = read(&window, &mut place)? {
                    match &*step {
                        HeadStep::Added { block, .. } => list.push(format!("\"{}\"", block.hash)),
                        HeadStep::Dropped(_) => {}
                        HeadStep::Lost => return Err(Missed::Lost),
                    }
                }
            }
            What::Logs { filter, last, .. } => {
                let window = feed.logs.now();
                while let Some(step) = read(&window, &mut place)? {
                    match &*step {
                        LogStep::Added(block, _) => *last = Some(*block),
                        LogStep::Removed(..) => {}
                        LogStep::Lost => return Err(Missed::Lost),
                    }
                    list.extend(step.wanted(filter).map(|log| text(&log)));
                }
            }
            What::Pending => {
                let window = feed.pending.now();
                while let Some(step) = read(&window, &mut place)? {
                    list.extend(step.0.iter().map(|hash| text(hash)));
                }
            }
        }
        self.place = place;
        Ok(list)
    }

    /// Skips what is kept: from and up to which height its logs must be asked for instead, and by what.
    fn skip(&mut self, visit: &Visit) -> Option<(u64, u64, Box<RawValue>)> {
        let What::Logs { filter, object, last } = &mut self.what else { return None };
        let (state, told) = (&visit.pool.state, (*last)?);
        let heads = state.heads.load();
        // Below what is remembered of the agreed chain, nothing is taken back any more.
        let oldest = *heads.history.keys().next()?;
        if heads.agreed(told.number) != Some(told) && told.number >= oldest {
            return None;
        }
        let to = state.feed.logs_tip()?;
        *last = heads.agreed(to);
        self.place = state.feed.logs.now().end();
        let (from, to) = filter.within(told.number + 1, to);
        Some((from, to, object.clone()))
    }
}

impl Feed {
    /// Forgets filters that nobody asks after.
    pub(super) fn forget_idle(&self, now: Mono) {
        self.counts.expired.fetch_add(self.filters.sweep(now), Relaxed);
    }
}

/// Waits for the feed to have told what is agreed on now.
async fn caught_up(visit: &Visit, topic: Topic) {
    let state = &visit.pool.state;
    let feed = &state.feed;
    if !matches!(topic, Topic::Heads | Topic::Logs) {
        return;
    }
    let Some(latest) = state.heads.load().latest() else { return };
    let mut moves = feed.heads.moves();
    // It may have gone on to a later one already.
    let reached = |tip: Block| tip == latest || tip.number > latest.number;
    while !feed.follower().as_ref().is_some_and(|follower| reached(follower.tip())) {
        if moves.changed().await.is_err() {
            return;
        }
    }
    if topic == Topic::Logs {
        let end = feed.heads.now().end();
        let mut moves = feed.logs.moves();
        while feed.logs_come_to() < end && moves.changed().await.is_ok() {}
    }
}

/// Asks for logs by the ordinary way.
async fn again(visit: &Visit, from: u64, to: u64, object: &RawValue) -> Option<String> {
    if from > to {
        return Some("[]".into());
    }
    let mut params = Vec::new();
    if !pin::with_range(&format!("[{}]", object.get()), from, to, &mut params) {
        return None;
    }
    // Let in already, and counted.
    let visit = Visit::of_the_house(visit.worker.clone(), visit.pool.clone());
    let body = fetch::ask(&visit, "eth_getLogs", String::from_utf8(params).ok()?).await?;
    Some(parse_answer(&body).ok()?.result?.get().to_owned())
}

fn joined(list: &[String]) -> String {
    format!("[{}]", list.join(","))
}
