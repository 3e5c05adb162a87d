//! The key that customers' names are hashed with: made once, kept in the state store, and told nobody.

use seawall_gateway::Gateway;
use seawall_journal::Entropy;
use seawall_runtime::seam::{State, StateError};

/// Where it is kept.
const BUCKET: &str = "customers";
const KEY: &str = "key";

/// Gives the gateway the key, and makes one where there is none yet.
pub(super) fn give_key(
    state: &dyn State,
    entropy: &mut Entropy,
    gateway: &Gateway,
) -> Result<(), StateError> {
    let kept = |found: Option<(u64, Vec<u8>)>| found.and_then(|(_, key)| <[u8; 16]>::try_from(key).ok());
    let key = match kept(state.get(BUCKET, KEY)?) {
        Some(key) => key,
        None => {
            let key = entropy.bytes::<16>();
            let revision = state.get(BUCKET, KEY)?.map_or(0, |(revision, _)| revision);
            state.swap(BUCKET, KEY, revision, Some(&key))?;
            key
        }
    };
    gateway.set_customer_key(key);
    Ok(())
}
