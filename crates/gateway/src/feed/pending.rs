//! Transactions that are pending, each told once, whoever has seen it first.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use seawall_chain::{Hash, envelope::parse_answer};
use serde_json::value::RawValue;

use super::{Feed, Topic, fetch, window};
use crate::serve::Visit;

/// Transactions that are remembered, lest they be told again.
const REMEMBERED: usize = 65_536;
/// Transactions that wait to be told; more are not told, and counted.
const WAITING: usize = 8_192;
/// Time in which transactions are gathered before they are told.
const GATHER: Duration = Duration::from_millis(50);
/// Whole transactions that are asked for at once.
const WIDTH: usize = 8;

/// A handful of transactions, each as its JSON: its hash, or the whole of it.
pub(super) struct PendingStep(pub(super) Vec<Bytes>);

impl window::Sized for PendingStep {
    fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }
}

/// What has been seen of pending transactions.
#[derive(Default)]
pub(super) struct Pending {
    seen: BTreeSet<Hash>,
    /// The same, in the order in which they came.
    order: VecDeque<Hash>,
    waiting: Vec<Hash>,
}

impl Pending {
    /// Takes a transaction in; false if there is no room for it.
    fn take(&mut self, hash: Hash) -> bool {
        if self.seen.contains(&hash) {
            return true;
        }
        if self.waiting.len() == WAITING {
            return false;
        }
        self.seen.insert(hash);
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.waiting.push(hash);
        true
    }
}

impl Feed {
    /// An upstream has seen a pending transaction.
    pub(super) fn saw_pending(&self, hash: Hash) {
        if !self.pending_now().take(hash) {
            self.counts.overflowed.fetch_add(1, Relaxed);
        }
        self.ready.notify_one();
    }

    /// Tells what has come, if anything has.
    pub(super) async fn tell_pending(&self, visit: &Visit) {
        if self.pending_now().waiting.is_empty() {
            return;
        }
        tokio::time::sleep(GATHER).await;
        let new = std::mem::take(&mut self.pending_now().waiting);
        if self.listeners(Topic::Pending) > 0 {
            let hashes = new.iter().map(|hash| Bytes::from(format!("\"{hash}\""))).collect();
            self.pending.tell([PendingStep(hashes)]);
        }
        if self.listeners(Topic::Whole) > 0 {
            let asked = new.into_iter().map(|hash| transaction(visit, hash));
            let mut answers = stream::iter(asked).buffer_unordered(WIDTH);
            let mut whole = Vec::new();
            while let Some(answer) = answers.next().await {
                whole.extend(answer);
            }
            if !whole.is_empty() {
                self.whole.tell([PendingStep(whole)]);
            }
        }
    }

    fn pending_now(&self) -> MutexGuard<'_, Pending> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A whole transaction; `None` if nobody has it any more.
async fn transaction(visit: &Visit, hash: Hash) -> Option<Bytes> {
    let body = fetch::ask(visit, "eth_getTransactionByHash", format!("[\"{hash}\"]")).await?;
    let result: &RawValue = parse_answer(&body).ok()?.result.filter(|result| result.get() != "null")?;
    Some(Bytes::copy_from_slice(result.get().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: usize) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Hash(bytes)
    }

    #[test]
    fn each_is_taken_once_in_bounded_memory() {
        let mut pending = Pending::default();
        assert!(pending.take(hash(1)) && pending.take(hash(1)));
        assert_eq!(pending.waiting, [hash(1)]);
        for n in 0..REMEMBERED + WAITING {
            if pending.waiting.len() == WAITING {
                assert!(!pending.take(hash(n + 10)), "there is no room");
                pending.waiting.clear();
            }
            pending.take(hash(n + 10));
        }
        assert_eq!((pending.seen.len(), pending.order.len()), (REMEMBERED, REMEMBERED));
    }
}
