//! Cordons outlive a restart: each is a key in the state store.

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

/// Takes out of service again what was when the process last ran. Upstreams that are gone are passed over.
pub(super) fn recall(state: &dyn State, gateway: &Gateway) -> Result<(), StateError> {
    for (key, _, _) in state.list(BUCKET)? {
        if let Some((pool, upstream)) = key.split_once('/')
            && let Err(gone) = gateway.cordon(pool, upstream, true)
        {
            tracing::warn!(%gone, "a cordon is kept for an upstream that the estate no longer has");
        }
    }
    Ok(())
}
