//! What a client that the estate knows by name may do, and how much of it.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use seawall_model::Name;

use super::Denied;
use crate::{
    core::{glob::Methods, rate::Rate},
    estate::ClientSection,
    serve::Visit,
};

/// A client, as the estate has it now, over what outlives reloads.
pub(crate) struct Grant {
    pub(crate) section: ClientSection,
    pub(crate) standing: Arc<Standing>,
}

/// What is counted of a client.
#[derive(Default)]
pub(crate) struct Standing {
    rate: Rate,
    under_way: AtomicU32,
    /// Calls that were let through.
    pub(crate) calls: AtomicU64,
    /// Calls that were refused for its limits.
    pub(crate) limited: AtomicU64,
}

impl Grant {
    pub(super) fn new(section: ClientSection, before: Option<&Self>) -> Self {
        let standing = before.map_or_else(Arc::default, |before| before.standing.clone());
        standing.rate.set(section.rate);
        Self { section, standing }
    }

    pub(super) fn is_good_for(&self, pool: &Name) -> bool {
        self.section.pools.as_ref().is_none_or(|pools| pools.contains(pool))
    }
}

/// A call under way. It counts against its client's concurrency until this is dropped.
pub(crate) struct Turn(Option<Arc<Standing>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(standing) = &self.0 {
            standing.under_way.fetch_sub(1, Relaxed);
        }
    }
}

/// May this client make this call of that pool, now? `name` gives a method, or for an HTTP API, method and path,
/// where there are rules of it.
pub(crate) fn permit<'a>(visit: &Visit, name: impl Fn() -> Cow<'a, str>) -> Result<Turn, Denied> {
    if visit.is_of_the_house() {
        return Ok(Turn(None));
    }
    let allows = |methods: &Methods| methods.is_open() || methods.allows(&name());
    if !allows(&visit.pool.section.access.methods) {
        return Err(count(visit, Denied::Method));
    }
    let Some(grant) = visit.client.identity.as_ref().and_then(|identity| identity.grant.as_ref()) else {
        return Ok(Turn(None));
    };
    if !allows(&grant.section.methods) {
        return Err(count(visit, Denied::Method));
    }
    let standing = &grant.standing;
    let limited = |denied| {
        standing.limited.fetch_add(1, Relaxed);
        Err(count(visit, denied))
    };
    let now = visit.worker.clock.mono();
    if !standing.rate.has_room(now) {
        return limited(Denied::Rate);
    }
    let turn = match grant.section.concurrency {
        Some(most) if standing.under_way.fetch_add(1, Relaxed) >= most => {
            standing.under_way.fetch_sub(1, Relaxed);
            return limited(Denied::Busy);
        }
        Some(_) => Turn(Some(standing.clone())),
        None => Turn(None),
    };
    standing.rate.take(now);
    standing.calls.fetch_add(1, Relaxed);
    Ok(turn)
}

fn count(visit: &Visit, denied: Denied) -> Denied {
    visit.pool.state.counts.denials.count(denied);
    denied
}
