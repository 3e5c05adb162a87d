//! The feeds of all pools, on the control threads.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use seawall_runtime::tasks::{Shutdown, TaskError};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use super::{
    Topic,
    follow::{Headers, Step},
};
use crate::{
    pool::Pool,
    routes::Routes,
    serve::Visit,
    worker::{Plan, Worker},
};

/// Pause after something could not be had.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest time without a look at whether the pool is still the same.
const LOOK: Duration = Duration::from_secs(1);
/// Largest answer the feed takes: a block's logs.
const LARGEST: usize = 64 << 20;

/// What the feeds work with.
#[derive(Clone)]
pub(crate) struct Feeds {
    pub(crate) plan: Plan,
    /// Told of every reload.
    pub(crate) reloads: watch::Receiver<u64>,
}

/// Runs a feed for every chain until told to stop. Like the polls, those that a reload brings are begun and those
/// it takes away are ended.
pub(crate) async fn run(mut feeds: Feeds, shutdown: Shutdown) -> Result<(), TaskError> {
    let mut plan = feeds.plan.clone();
    plan.limits.verified_answer = LARGEST;
    let (worker, mut behind) = Worker::new(plan);
    let mut loops: JoinSet<()> = JoinSet::new();
    let mut background: JoinSet<()> = JoinSet::new();
    let mut running: BTreeMap<Arc<str>, AbortHandle> = BTreeMap::new();
    loop {
        feeds.reloads.mark_unchanged();
        let wanted = wanted(&worker.routes);
        running.retain(|name, handle| {
            let stays = wanted.contains(name);
            if !stays {
                handle.abort();
            }
            stays
        });
        for name in wanted {
            running.entry(name.clone()).or_insert_with(|| loops.spawn(one(worker.clone(), name)));
        }
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                changed = feeds.reloads.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
                // A loop ends by itself only by a panic: give the whole task up, to be begun anew.
                Some(Err(error)) = loops.join_next() => if error.is_panic() {
                    return Err(TaskError::new("a feed panicked"));
                },
                Some(work) = behind.recv() => { background.spawn(work); }
                Some(_) = background.join_next() => {}
            }
        }
    }
}

fn wanted(routes: &ArcSwap<Routes>) -> Vec<Arc<str>> {
    let routes = routes.load();
    routes.pools().filter(|p| p.evm().is_some()).map(|p| p.section.name.as_str().into()).collect()
}

/// The feed of one pool.
async fn one(worker: Arc<Worker>, name: Arc<str>) {
    let mut headers = Headers::default();
    loop {
        let Some(pool) = worker.routes.load().named(&name).cloned() else { return };
        let feed = pool.state.feed.clone();
        if feed.listeners(Topic::Heads) == 0 {
            headers = Headers::default();
            // A place to begin at is made by whoever comes.
            let _ = timeout(LOOK, feed.wake.notified()).await;
            continue;
        }
        // From here on, so that no move is missed.
        let moved = pool.state.moved.notified();
        let heads = pool.state.heads.load_full();
        let visit = visit(&worker, &pool);
        match feed.step(&visit, &heads, &mut headers).await {
            Step::Moved => {}
            Step::Here => drop(timeout(LOOK, moved).await),
            Step::Failed => drop(timeout(AGAIN, moved).await),
        }
    }
}

fn visit(worker: &Arc<Worker>, pool: &Arc<Pool>) -> Visit {
    Visit::of_the_house(worker.clone(), pool.clone())
}
