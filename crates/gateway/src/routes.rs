//! Which pool a path leads to.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    access::Access,
    core::credential,
    pool::{Allowance, Pool},
};

/// The routing table, swapped whole on a reload.
#[derive(Default)]
pub(crate) struct Routes {
    /// Who may use them.
    pub(crate) access: Access,
    pools: Vec<Arc<Pool>>,
    /// What providers allow, for those of which the estate says so.
    pub(crate) allowances: Vec<Arc<Allowance>>,
    by_path: BTreeMap<Arc<str>, usize>,
}

impl Routes {
    pub(crate) fn new(pools: Vec<Arc<Pool>>, allowances: Vec<Arc<Allowance>>, access: Access) -> Self {
        let by_path = pools.iter().enumerate().map(|(i, p)| (p.section.route.clone(), i)).collect();
        Self { access, pools, allowances, by_path }
    }

    /// The pool at a request's path: the one whose route it is, or, for an HTTP API, whose route it
    /// lies under.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Pool>> {
        if let Some(i) = self.by_path.get(path) {
            return self.pools.get(*i);
        }
        let under = |pool: &&Arc<Pool>| {
            let route = pool.section.route.trim_end_matches('/');
            pool.evm().is_none() && path.strip_prefix(route).is_some_and(|rest| rest.starts_with('/'))
        };
        match path.strip_suffix('/').and_then(|p| self.by_path.get(p)) {
            Some(i) => self.pools.get(*i),
            None => self.pools.iter().filter(under).max_by_key(|p| p.section.route.len()),
        }
    }

    /// The chain's pool at a path whose last part is a key, as in `/ethereum/KEY`; with the key.
    pub(crate) fn find_keyed<'p>(&self, path: &'p str) -> Option<(&Arc<Pool>, &'p str)> {
        let (route, key) = credential::in_path(path)?;
        let pool = self.by_path.get(route).and_then(|i| self.pools.get(*i))?;
        (pool.section.kind.is_chain() && pool.section.access.require.key).then_some((pool, key))
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|p| p.section.name.as_str() == name)
    }
}
