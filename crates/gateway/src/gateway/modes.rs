//! Modes as operators and plans set them: for one pool, or for all of them.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use seawall_model::Name;

use super::Gateway;
use crate::admission::ModeSet;

/// The estate has no such pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no pool `{0}`")]
pub struct NoSuchPool(pub String);

/// What was set, so that pools that come with a reload are told.
#[derive(Default)]
pub(super) struct Modes {
    every: Option<ModeSet>,
    /// Those set for one pool after what was set for all.
    pools: BTreeMap<Name, ModeSet>,
}

impl Modes {
    /// What holds for a pool, if anything was set.
    pub(super) fn of(&self, pool: &Name) -> Option<&ModeSet> {
        self.pools.get(pool).or(self.every.as_ref())
    }
}

impl Gateway {
    pub(super) fn modes(&self) -> MutexGuard<'_, Modes> {
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the mode of a pool, or of every pool, those that a reload brings among them. It holds from the next
    /// request on. True if that changed anything.
    pub fn set_mode(&self, pool: Option<&str>, set: &ModeSet) -> Result<bool, NoSuchPool> {
        let routes = self.routes.load();
        let mut modes = self.modes();
        let Some(name) = pool else {
            let before = modes.every.replace(set.clone());
            modes.pools.clear();
            let mut changed = before.as_ref().map(ModeSet::what) != Some(set.what());
            for pool in routes.pools() {
                changed |= pool.state.admission.modes.set(set);
            }
            return Ok(changed);
        };
        let pool = routes.named(name).ok_or_else(|| NoSuchPool(name.to_owned()))?;
        modes.pools.insert(pool.section.name.clone(), set.clone());
        Ok(pool.state.admission.modes.set(set))
    }

    /// Takes over what was set for every pool and for some, all at once. True if that changed anything.
    pub fn replace_modes(&self, every: Option<&ModeSet>, some: &BTreeMap<String, ModeSet>) -> bool {
        let routes = self.routes.load();
        let mut modes = self.modes();
        modes.every = every.cloned();
        modes.pools.clear();
        let mut changed = false;
        for pool in routes.pools() {
            let name = &pool.section.name;
            let own = some.get(name.as_str());
            if let Some(own) = own {
                modes.pools.insert(name.clone(), own.clone());
            }
            if let Some(set) = own.or(every) {
                changed |= pool.state.admission.modes.set(set);
            }
        }
        changed
    }
}
