//! Waiting for the windows that a socket reads.

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

use super::{Feed, HeadStep, Line, LogStep, PendingStep, Topic, Window};

type Watching<T> = Option<watch::Receiver<Arc<Window<T>>>>;

/// The windows that a socket's subscriptions read.
#[derive(Default)]
pub(crate) struct Moves {
    heads: Watching<HeadStep>,
    logs: Watching<LogStep>,
    pending: Watching<PendingStep>,
    whole: Watching<PendingStep>,
}

impl Moves {
    /// Watches what there are subscriptions to, and nothing else.
    pub(crate) fn listen(&mut self, line: &Line) {
        let topics = line.topics();
        let feed = |topic| topics.iter().find(|(t, _)| *t == topic).map(|(_, feed)| &**feed);
        watch(&mut self.heads, feed(Topic::Heads), |feed: &Feed| feed.heads.moves());
        watch(&mut self.logs, feed(Topic::Logs), |feed: &Feed| feed.logs.moves());
        watch(&mut self.pending, feed(Topic::Pending), |feed: &Feed| feed.pending.moves());
        watch(&mut self.whole, feed(Topic::Whole), |feed: &Feed| feed.whole.moves());
    }

    /// Resolves when one of them has moved since the last time. May be cancelled.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            biased;
            () = moved(&mut self.heads) => {}
            () = moved(&mut self.logs) => {}
            () = moved(&mut self.pending) => {}
            () = moved(&mut self.whole) => {}
        }
    }
}

fn watch<T>(
    watching: &mut Watching<T>,
    feed: Option<&Feed>,
    moves: impl Fn(&Feed) -> watch::Receiver<Arc<Window<T>>>,
) {
    match feed {
        None => *watching = None,
        Some(feed) => {
            watching.get_or_insert_with(|| moves(feed));
        }
    }
}

async fn moved<T>(watching: &mut Watching<T>) {
    if let Some(receiver) = watching
        && receiver.changed().await.is_ok()
    {
        return;
    }
    pending().await
}
