//! Idle connections of one worker, by upstream.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use seawall_model::Mono;

use super::Link;

/// Most idle connections a worker keeps to one upstream.
const MAX_IDLE: usize = 512;
/// An idle connection older than this is not trusted: many servers close after some ten seconds.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// The idle connections of one worker. The lock is the worker's own and never contended.
#[derive(Default)]
pub(crate) struct Links {
    idle: Mutex<BTreeMap<u64, Vec<(Mono, Link)>>>,
}

impl Links {
    /// The most recently used connection to an upstream, if one of this `era` lies idle. It may be dead.
    pub(crate) fn take(&self, upstream: u64, now: Mono, era: u32) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let links = idle.get_mut(&upstream)?;
        let (since, link) = links.pop()?;
        if now.since(since) > IDLE_LIMIT || link.era != era {
            links.clear(); // the rest are older still
            return None;
        }
        Some(link)
    }

    /// Puts a connection back after a whole exchange.
    pub(crate) fn put(&self, upstream: u64, now: Mono, link: Link) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let links = idle.entry(upstream).or_default();
        if links.len() < MAX_IDLE && !link.spent {
            links.push((now, link));
        }
    }

    /// Drops what has lain idle too long, and everything to upstreams that are gone.
    pub(crate) fn reap(&self, now: Mono, lives: impl Fn(u64) -> bool) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|upstream, links| {
            links.retain(|(since, _)| now.since(*since) <= IDLE_LIMIT);
            !links.is_empty() && lives(*upstream)
        });
    }
}
