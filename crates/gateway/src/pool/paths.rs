//! Which upstreams of a pool are other ways to the same thing.

use seawall_chain::method::Class;

use super::Pool;
use crate::{core::choose::Set, estate::UpstreamSection};

/// Ways to the same thing, by the index of the upstreams.
pub(crate) struct Paths {
    /// Those that are a second path to another.
    pub(crate) second: Set,
    /// For each, those that lead to the same account as it.
    accounts: Vec<Set>,
}

impl Paths {
    pub(super) fn new(upstreams: &[UpstreamSection]) -> Self {
        // Whose account a second path leads to is said by the first.
        let owner = |u: &UpstreamSection| {
            let first = u.path_of.as_ref().and_then(|name| upstreams.iter().find(|o| o.name == *name));
            first.map_or_else(|| u.provider.clone(), |first| first.provider.clone())
        };
        let owners: Vec<_> = upstreams.iter().map(owner).collect();
        let mut second = Set::NONE;
        for (i, _) in upstreams.iter().enumerate().filter(|(_, u)| u.path_of.is_some()) {
            second.insert(i);
        }
        let account = |owner| {
            let mut account = Set::NONE;
            owners.iter().enumerate().filter(|(_, o)| *o == owner).for_each(|(i, _)| account.insert(i));
            account
        };
        Self { second, accounts: owners.iter().map(account).collect() }
    }

    /// Those that lead to the same account as upstream `i`.
    pub(crate) fn account(&self, i: usize) -> Set {
        self.accounts.get(i).copied().unwrap_or(Set::NONE)
    }
}

impl Pool {
    /// Those of `within` whose breakers admit.
    pub(crate) fn admitting(&self, class: Class, within: Set) -> Set {
        let mut admitting = Set::NONE;
        within.iter().filter(|i| self.upstreams[*i].state.admits(class)).for_each(|i| admitting.insert(i));
        admitting
    }
}
