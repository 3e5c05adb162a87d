//! Waiting for the windows that a socket reads.
//!
//! To wake a task from another thread costs a system call, so a feed wakes each worker once, and that its own
//! sockets: a relay does, one for each topic that sockets of the worker listen to.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Feed, Line, Topic};
use crate::worker::Worker;

/// The windows that a socket's subscriptions read.
#[derive(Default)]
pub(crate) struct Moves([Option<watch::Receiver<u64>>; Topic::ALL.len()]);

impl Moves {
    /// Watches what there are subscriptions to, and nothing else.
    pub(crate) fn listen(&mut self, worker: &Arc<Worker>, line: &Line) {
        let topics = line.topics();
        for topic in Topic::ALL {
            let watching = &mut self.0[topic as usize];
            match topics.iter().find(|(t, _)| *t == topic) {
                None => *watching = None,
                Some((_, feed)) => {
                    watching.get_or_insert_with(|| relayed(worker, feed, topic));
                }
            }
        }
    }

    /// Resolves when one of them has moved since the last time. May be cancelled.
    pub(crate) async fn any(&mut self) {
        let [heads, logs, pending, whole] = &mut self.0;
        tokio::select! {
            biased;
            () = moved(heads) => {}
            () = moved(logs) => {}
            () = moved(pending) => {}
            () = moved(whole) => {}
        }
    }
}

async fn moved(watching: &mut Option<watch::Receiver<u64>>) {
    if let Some(receiver) = watching
        && receiver.changed().await.is_ok()
    {
        return;
    }
    pending().await
}

/// The relays of a worker.
#[derive(Default)]
pub(crate) struct Relays(Mutex<Vec<Relay>>);

struct Relay {
    feed: Arc<Feed>,
    topic: Topic,
    to: watch::Sender<u64>,
}

impl Relays {
    fn now(&self) -> MutexGuard<'_, Vec<Relay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Told, on this thread, whenever the topic's window moves.
fn relayed(worker: &Arc<Worker>, feed: &Arc<Feed>, topic: Topic) -> watch::Receiver<u64> {
    let mut relays = worker.relays.now();
    if let Some(relay) = relays.iter().find(|r| r.topic == topic && Arc::ptr_eq(&r.feed, feed)) {
        return relay.to.subscribe();
    }
    let (to, mine) = watch::channel(0);
    let work = relay(worker.clone(), feed.clone(), topic, to.clone());
    if !worker.background(Box::pin(work)) {
        return feed.moves(topic); // there is no room for a relay: it costs a little more
    }
    relays.push(Relay { feed: feed.clone(), topic, to });
    mine
}

/// Runs until nobody listens any more.
async fn relay(worker: Arc<Worker>, feed: Arc<Feed>, topic: Topic, to: watch::Sender<u64>) {
    let mut moves = feed.moves(topic);
    // It may have moved before this was first polled.
    moves.mark_changed();
    loop {
        tokio::select! {
            biased;
            () = to.closed() => break,
            changed = moves.changed() => match changed {
                Ok(()) => drop(to.send_replace(*moves.borrow_and_update())),
                Err(_) => break,
            },
        }
    }
    // Without a pause since `closed`, so that nobody can have come meanwhile.
    worker.relays.now().retain(|r| r.topic != topic || !Arc::ptr_eq(&r.feed, &feed));
}
