//! Tells every block of the agreed chain once, in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use seawall_chain::{Block, Hash, block::Header};

use super::{Feed, HeadStep, fetch};
use crate::{
    core::feed::{Follower, MAX_GAP, Path, Update},
    heads::Heads,
    serve::Visit,
};

/// Headers of a gap that are asked for at once.
const WIDTH: usize = 8;
/// Headers kept besides those of the widest gap.
const SPARE: usize = 64;

/// Headers that have been seen and not told yet.
#[derive(Default)]
pub(super) struct Headers(BTreeMap<Hash, Header>);

/// What a step came to.
pub(super) enum Step {
    /// Everything has been told.
    Here,
    /// Something was told, or fetched: there may be more.
    Moved,
    /// What is needed could not be had.
    Failed,
}

impl Headers {
    fn put(&mut self, header: Header) {
        self.0.insert(header.seen.hash, header);
    }

    fn parent(&self, hash: &Hash) -> Option<Hash> {
        self.0.get(hash).map(|h| h.seen.parent)
    }

    /// Forgets what will not be needed: all that is not above `tip`, or everything if that is still too much.
    fn tidy(&mut self, tip: u64) {
        if self.0.len() > SPARE {
            self.0.retain(|_, h| h.seen.number > tip);
        }
        if self.0.len() > MAX_GAP + SPARE {
            self.0.clear();
        }
    }
}

impl Feed {
    /// Goes one step towards the agreed head.
    pub(super) async fn step(&self, visit: &Visit, heads: &Heads, headers: &mut Headers) -> Step {
        let Some(target) = heads.latest() else { return Step::Here };
        for header in self.seen.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            headers.put(header);
        }
        let (missing, tip) = {
            let mut follower = self.follower();
            let follower = follower.get_or_insert_with(|| Follower::begin(target, &heads.history));
            match follower.path(target, |hash| headers.parent(hash)) {
                Path::Here => return Step::Here,
                Path::Step(update) => {
                    follower.take(&update);
                    self.tell(&update, headers);
                    headers.tidy(follower.tip().number);
                    return Step::Moved;
                }
                Path::TooFar => {
                    *follower = Follower::begin(target, &heads.history);
                    self.counts.lost.fetch_add(1, Relaxed);
                    self.heads.tell([HeadStep::Lost]);
                    return Step::Moved;
                }
                Path::Missing(block) => (block, follower.tip()),
            }
        };
        match self.fill(visit, heads, headers, missing, tip).await {
            true => Step::Moved,
            false => Step::Failed,
        }
    }

    /// Called with the follower's lock held, so that whoever begins to listen does so before or after it all.
    fn tell(&self, update: &Update, headers: &Headers) {
        let dropped = update.dropped.iter().map(|block| HeadStep::Dropped(*block));
        let added = update.added.iter().filter_map(|block| {
            let header = headers.0.get(&block.hash)?;
            Some(HeadStep::Added { block: *block, header: Bytes::from(header.json.clone()) })
        });
        self.heads.tell(dropped.chain(added));
    }

    /// Asks for a header, and with it for all between it and what has been told.
    async fn fill(
        &self,
        visit: &Visit,
        heads: &Heads,
        headers: &mut Headers,
        missing: Block,
        tip: Block,
    ) -> bool {
        let first = missing.number.saturating_sub(MAX_GAP as u64).max(tip.number.saturating_add(1));
        let seen: BTreeSet<u64> = headers.0.values().map(|h| h.seen.number).collect();
        let unseen = (first..missing.number).filter(|number| !seen.contains(number));
        let between = unseen.map(|number| {
            let agreed = heads.agreed(number);
            async move {
                match agreed {
                    Some(block) => fetch::header(visit, block.hash).await,
                    None => fetch::header_at(visit, number).await,
                }
            }
        });
        let mut between = stream::iter(between).buffer_unordered(WIDTH);
        let wanted = fetch::header(visit, missing.hash).await;
        let got = wanted.is_some();
        if let Some(header) = wanted {
            headers.put(header);
            while let Some(header) = between.next().await {
                if let Some(header) = header {
                    self.counts.filled.fetch_add(1, Relaxed);
                    headers.put(header);
                }
            }
        }
        got
    }
}
