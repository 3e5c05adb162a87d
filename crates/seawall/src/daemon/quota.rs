//! What has been spent of providers' quotas outlives a restart: each is a key in the state store.

use std::{sync::Arc, time::Duration};

use seawall_gateway::{Gateway, Spending};
use seawall_model::Name;
use seawall_runtime::{
    disk::Disk,
    seam::{State, StateError},
    tasks::{Shutdown, TaskError},
};

/// The bucket that they are kept in; a key is a provider's name.
const BUCKET: &str = "quotas";
/// How often they are written. What is spent in between is forgotten by a crash.
const EVERY: Duration = Duration::from_secs(10);

/// Writes what has been spent, now and then and at the end.
pub(super) async fn keep(
    state: Arc<dyn State>,
    disk: Arc<dyn Disk>,
    gateway: Arc<Gateway>,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    let mut tick = tokio::time::interval(EVERY);
    let mut before = Vec::new();
    loop {
        let stops = tokio::select! {
            biased;
            () = shutdown.requested() => true,
            _ = tick.tick() => false,
        };
        let spending = gateway.spending();
        if spending != before {
            let (state, spent) = (state.clone(), spending.clone());
            let job = move || {
                for spending in &spent {
                    if let Err(error) = remember(&*state, spending) {
                        tracing::warn!(%error, "what was spent of a quota could not be stored");
                    }
                }
            };
            disk.offload(Box::new(job)).await;
            before = spending;
        }
        if stops {
            return Ok(());
        }
    }
}

fn remember(state: &dyn State, spent: &Spending) -> Result<(), StateError> {
    let key = spent.provider.as_str();
    let revision = state.get(BUCKET, key)?.map_or(0, |(revision, _)| revision);
    state.swap(BUCKET, key, revision, Some(write(spent).as_bytes())).map(|_| ())
}

/// Takes in what had been spent when the process last ran.
pub(super) fn recall(state: &dyn State, gateway: &Gateway) -> Result<(), StateError> {
    for (key, _, value) in state.list(BUCKET)? {
        match read(&key, &value) {
            Some(spent) => gateway.recall(&spent),
            None => tracing::warn!(provider = key, "what is kept of a quota cannot be read"),
        }
    }
    Ok(())
}

fn write(spent: &Spending) -> String {
    format!("{} {} {} {}", spent.day.0, spent.day.1, spent.month.0, spent.month.1)
}

fn read(provider: &str, value: &[u8]) -> Option<Spending> {
    let mut parts = str::from_utf8(value).ok()?.split(' ');
    let mut pair = || Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?));
    Some(Spending { provider: Name::new(provider).ok()?, day: pair()?, month: pair()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let spent = Spending { provider: Name::new("p").unwrap(), day: (20_417, 5), month: (24_310, 77) };
        assert_eq!(read("p", write(&spent).as_bytes()), Some(spent));
        assert_eq!(read("p", b"1 2 3"), None);
    }
}
