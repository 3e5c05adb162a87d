//! Cordons outlive a restart: each is a key in the state store.

use std::collections::BTreeSet;

use seawall_gateway::Gateway;
use seawall_runtime::seam::{State, StateError};

/// The bucket that cordons are kept in; a key is `pool/upstream`.
const BUCKET: &str = "cordons";

/// Stores that an upstream is out of service, or is back.
pub(super) fn remember(state: &dyn State, pool: &str, upstream: &str, out: bool) -> Result<(), StateError> {
    let key = format!("{pool}/{upstream}");
    let revision = state.get(BUCKET, &key)?.map_or(0, |(revision, _)| revision);
    if revision == 0 && !out {
        return Ok(());
    }
    state.swap(BUCKET, &key, revision, out.then_some(b"1".as_slice())).map(|_| ())
}

/// The upstreams that are out of service, by pool and name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kept(BTreeSet<String>);

impl Kept {
    /// What the store holds.
    pub(super) fn of(state: &dyn State) -> Result<Self, StateError> {
        Ok(Self(state.list(BUCKET)?.into_iter().map(|(key, _, _)| key).collect()))
    }

    /// Puts it in force: whoever is not among them is in service. Upstreams that are gone are passed over.
    pub(super) fn hold(&self, gateway: &Gateway) {
        for key in &self.0 {
            self.set(key, true, gateway);
        }
        for pool in gateway.pools() {
            for upstream in pool.upstreams.iter().filter(|upstream| upstream.cordoned) {
                let key = format!("{}/{}", pool.name, upstream.name);
                if !self.0.contains(&key) {
                    self.set(&key, false, gateway);
                }
            }
        }
    }

    fn set(&self, key: &str, out: bool, gateway: &Gateway) {
        let Some((pool, upstream)) = key.split_once('/') else { return };
        match gateway.cordon(pool, upstream, out) {
            Ok(true) => tracing::warn!(upstream = key, out, "taken out of service, or put back"),
            Ok(false) => {}
            Err(gone) => {
                tracing::warn!(%gone, "a cordon is kept for an upstream that the estate no longer has")
            }
        }
    }
}
