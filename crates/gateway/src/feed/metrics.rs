//! What the feeds count.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::Topic;
use crate::{
    metrics::{Family, Labels, pool},
    pool::Pool,
};

/// Writes what the feeds of `pools` have counted.
pub(crate) fn encode(f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
    let chains = || pools.iter().filter(|p| p.evm().is_some());
    let topics = || chains().flat_map(|p| Topic::ALL.into_iter().map(move |topic| (p, topic)));
    let listeners = topics().map(|(p, t)| (labels(p, t), p.state.feed.listeners(t) as f64));
    f.gauge("subscriptions", "Subscriptions that there are", listeners)?;
    let told =
        topics().map(|(p, t)| (labels(p, t), p.state.feed.counts.notifications[t as usize].load(Relaxed)));
    f.counter("notifications", "Notifications to subscribers", told)?;
    let slow = chains().map(|p| (pool(p), p.state.feed.counts.slow.load(Relaxed)));
    f.counter("slow_clients", "Sockets closed because their clients did not keep up", slow)?;
    let filled = chains().map(|p| (pool(p), p.state.feed.counts.filled.load(Relaxed)));
    f.counter("gap_blocks", "Blocks between two polls that the feed has asked for afterwards", filled)?;
    let lost = chains().map(|p| (pool(p), p.state.feed.counts.lost.load(Relaxed)));
    f.counter("feed_losses", "Times that the feed was too far behind the chain to make up for it", lost)?;
    let hints = chains().map(|p| (pool(p), p.state.feed.counts.hints.load(Relaxed)));
    f.counter("head_hints", "Heads that upstreams have told of of their own accord", hints)?;
    let overflowed = chains().map(|p| (pool(p), p.state.feed.counts.overflowed.load(Relaxed)));
    f.counter("pending_overflows", "Pending transactions that came too fast to be told", overflowed)?;
    let filters = chains().map(|p| (pool(p), p.state.feed.filters.len() as f64));
    f.gauge("filters", "Filters that there are", filters)?;
    let expired = chains().map(|p| (pool(p), p.state.feed.counts.expired.load(Relaxed)));
    f.counter("filters_expired", "Filters forgotten because nobody asked after them", expired)
}

fn labels(p: &Pool, topic: Topic) -> Labels<'_> {
    let mut labels = pool(p);
    labels.push(("topic", topic.as_str()));
    labels
}
