//! The feeds of all pools, on the control threads.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use seawall_chain::family::Family;
use seawall_model::Mono;
use seawall_runtime::tasks::{Shutdown, TaskError};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use super::{
    Topic,
    follow::{Headers, Step},
    upstream,
};
use crate::{
    poll::Poller,
    pool::Pool,
    routes::Routes,
    serve::Visit,
    worker::{Plan, Worker},
};

/// Pause after something could not be had.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest time without a look at whether the pool is still the same.
const LOOK: Duration = Duration::from_secs(1);
/// How often idle filters are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// Largest answer the feed takes: a block's logs.
const LARGEST: usize = 64 << 20;

/// What the feeds work with.
#[derive(Clone)]
pub(crate) struct Feeds {
    pub(crate) plan: Plan,
    pub(crate) poller: Poller,
}

/// Something that runs for as long as the estate has what it is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The blocks of a pool.
    Heads(Arc<str>),
    /// Their logs.
    Logs(Arc<str>),
    /// Its pending transactions.
    Pending(Arc<str>),
    /// What one of its upstreams tells of its own accord.
    Upstream(Arc<str>, u64),
}

/// Runs a feed for every chain until told to stop. Like the polls, those that a reload brings are begun and those
/// it takes away are ended.
pub(crate) async fn run(feeds: Feeds, shutdown: Shutdown) -> Result<(), TaskError> {
    let Feeds { mut plan, mut poller } = feeds;
    plan.limits.verified_answer = LARGEST;
    let (worker, mut behind) = Worker::new(plan);
    let mut parts: JoinSet<()> = JoinSet::new();
    let mut background: JoinSet<()> = JoinSet::new();
    let mut running: BTreeMap<Part, AbortHandle> = BTreeMap::new();
    loop {
        poller.reloads.mark_unchanged();
        let wanted = wanted(&worker.routes.load());
        running.retain(|part, handle| {
            let stays = wanted.contains(part);
            if !stays {
                handle.abort();
            }
            stays
        });
        for part in wanted {
            let work = || work(part.clone(), worker.clone(), poller.clone());
            running.entry(part.clone()).or_insert_with(|| parts.spawn(work()));
        }
        loop {
            // Each arm is cancel-safe.
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                changed = poller.reloads.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
                // A part ends by itself only by a panic: give the whole task up, to be begun anew.
                Some(Err(error)) = parts.join_next() => if error.is_panic() {
                    return Err(TaskError::new("a feed panicked"));
                },
                Some(work) = behind.recv() => { background.spawn(work); }
                Some(_) = background.join_next() => {}
            }
        }
    }
}

fn wanted(routes: &Routes) -> Vec<Part> {
    let chains = routes.pools().filter(|p| p.evm().is_some_and(|chain| chain.family == Family::Evm));
    let parts = chains.flat_map(|pool| {
        let name: Arc<str> = pool.section.name.as_str().into();
        let own = [Part::Heads(name.clone()), Part::Logs(name.clone()), Part::Pending(name.clone())];
        own.into_iter().chain(pool.upstreams.iter().map(move |u| Part::Upstream(name.clone(), u.state.id)))
    });
    parts.collect()
}

fn work(part: Part, worker: Arc<Worker>, poller: Poller) -> BoxFuture<'static, ()> {
    match part {
        Part::Heads(name) => Box::pin(heads(worker, name)),
        Part::Logs(name) => Box::pin(logs(worker, name)),
        Part::Pending(name) => Box::pin(pending(worker, name)),
        Part::Upstream(name, id) => Box::pin(upstream::listen(poller, name, id)),
    }
}

async fn heads(worker: Arc<Worker>, name: Arc<str>) {
    let mut headers = Headers::default();
    let mut swept = Mono::ZERO;
    while let Some(pool) = named(&worker, &name) {
        let feed = &pool.state.feed;
        let now = worker.clock.mono();
        if now.since(swept) >= SWEEP {
            swept = now;
            feed.forget_idle(now);
        }
        // From here on, so that nobody who comes, and no move, is missed.
        let (woken, moved) = (feed.wake.notified(), pool.state.moved.notified());
        if !feed.is_followed() {
            headers = Headers::default();
            // The place to begin at is made by whoever comes.
            let _ = timeout(LOOK, woken).await;
            continue;
        }
        let heads = pool.state.heads.load_full();
        match feed.step(&visit(&worker, &pool), &heads, &mut headers).await {
            Step::Moved => {}
            Step::Here => drop(timeout(LOOK, moved).await),
            Step::Failed => drop(timeout(AGAIN, moved).await),
        }
    }
}

async fn logs(worker: Arc<Worker>, name: Arc<str>) {
    while let Some(pool) = named(&worker, &name) {
        let feed = &pool.state.feed;
        let woken = feed.wake.notified();
        if feed.listeners(Topic::Logs) == 0 {
            let _ = timeout(LOOK, woken).await;
            continue;
        }
        let mut moves = feed.heads.moves();
        match feed.log_step(&visit(&worker, &pool)).await {
            Some(true) => {}
            Some(false) => drop(timeout(LOOK, moves.changed()).await),
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}

async fn pending(worker: Arc<Worker>, name: Arc<str>) {
    while let Some(pool) = named(&worker, &name) {
        let visit = visit(&worker, &pool);
        let _ = timeout(LOOK, pool.state.feed.ready.notified()).await;
        pool.state.feed.tell_pending(&visit).await;
    }
}

fn named(worker: &Worker, name: &str) -> Option<Arc<Pool>> {
    worker.routes.load().named(name).cloned()
}

fn visit(worker: &Arc<Worker>, pool: &Arc<Pool>) -> Visit {
    Visit::of_the_house(worker.clone(), pool.clone())
}
