//! Modes outlive a restart: each is a key in the state store.

use std::collections::BTreeMap;

use seawall_gateway::{Gateway, ModeSet, core::mode::Mode};
use seawall_model::Wall;
use seawall_runtime::seam::{State, StateError};
use serde_json::{Value, json};

/// The bucket that modes are kept in; a key is a pool's name, or [`EVERY`].
const BUCKET: &str = "modes";
/// All pools.
const EVERY: &str = "*";
/// Longest reason that is kept, in characters.
const REASON: usize = 500;

/// What an operator asks for.
pub(super) struct Order {
    /// Which pool; all of them if `None`.
    pub(super) pool: Option<String>,
    pub(super) set: ModeSet,
}

impl Order {
    /// Reads `{"pool": "…", "mode": "…", "reason": "…"}`.
    pub(super) fn parse(body: &[u8], now: Wall) -> Result<Self, String> {
        let usage = r#"send {"mode": "…", "pool": "…", "reason": "…"}; without a pool it holds for all"#;
        let body: Value = serde_json::from_slice(body).map_err(|_| usage.to_owned())?;
        let text = |key: &str| match &body[key] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(usage.to_owned()),
        };
        let mode = text("mode")?.ok_or_else(|| usage.to_owned())?;
        let mode = mode.parse::<Mode>().map_err(|e| e.to_string())?;
        let reason = text("reason")?.map(|reason| reason.chars().take(REASON).collect());
        Ok(Self { pool: text("pool")?, set: ModeSet { mode, since: now, reason } })
    }
}

/// Stores what holds for a pool, or for all of them; that replaces what held for each.
pub(super) fn remember(state: &dyn State, pool: Option<&str>, set: &ModeSet) -> Result<(), StateError> {
    let value = json!({"mode": set.mode.as_str(), "since": set.since, "reason": set.reason}).to_string();
    let put = |key: &str, value: Option<&[u8]>| {
        let revision = state.get(BUCKET, key)?.map_or(0, |(revision, _)| revision);
        if revision == 0 && value.is_none() {
            return Ok(());
        }
        state.swap(BUCKET, key, revision, value).map(|_| ())
    };
    match pool {
        Some(pool) => put(pool, Some(value.as_bytes())),
        None => {
            // First what holds for all, so that at no time nothing holds.
            put(EVERY, Some(value.as_bytes()))?;
            for (key, _, _) in state.list(BUCKET)? {
                if key != EVERY {
                    put(&key, None)?;
                }
            }
            Ok(())
        }
    }
}

/// What was set for every pool, and what was set for some after that.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kept {
    every: Option<ModeSet>,
    some: BTreeMap<String, ModeSet>,
}

impl Kept {
    /// What the store holds.
    pub(super) fn of(state: &dyn State) -> Result<Self, StateError> {
        let mut kept = Self::default();
        for (key, _, value) in state.list(BUCKET)? {
            match read(&value) {
                Some(set) if key == EVERY => kept.every = Some(set),
                Some(set) => drop(kept.some.insert(key, set)),
                None => tracing::warn!(key, "a mode that was kept cannot be read and is passed over"),
            }
        }
        Ok(kept)
    }

    /// Puts it in force. Pools that are gone are passed over.
    pub(super) fn hold(&self, gateway: &Gateway) {
        if gateway.replace_modes(self.every.as_ref(), &self.some) {
            tracing::warn!(every = ?self.every, some = ?self.some, "the modes are as they were set");
        }
    }

    /// What holds for a pool, as operators are shown it.
    pub(super) fn show(&self, pool: &str) -> Value {
        match self.some.get(pool).or(self.every.as_ref()) {
            Some(set) => {
                json!({"pool": pool, "mode": set.mode.as_str(), "since": set.since, "reason": set.reason})
            }
            None => json!({"pool": pool, "mode": Mode::Normal.as_str()}),
        }
    }
}

fn read(value: &[u8]) -> Option<ModeSet> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let mode = value["mode"].as_str()?.parse().ok()?;
    let since = Wall(value["since"].as_i64()?);
    Some(ModeSet { mode, since, reason: value["reason"].as_str().map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use seawall_runtime::state::SqliteState;

    use super::*;

    fn kept(state: &dyn State) -> Vec<(String, Option<ModeSet>)> {
        state.list(BUCKET).unwrap().into_iter().map(|(key, _, value)| (key, read(&value))).collect()
    }

    #[test]
    fn what_is_set_for_all_replaces_what_was_set_for_each() {
        let state = SqliteState::in_memory().unwrap();
        let set = |mode, reason: &str| ModeSet { mode, since: Wall(7), reason: Some(reason.to_owned()) };
        let (one, all) = (set(Mode::ReadOnly, "a migration"), set(Mode::Closed, "keys leaked"));
        remember(&state, Some("venue"), &one).unwrap();
        assert_eq!(kept(&state), [("venue".to_owned(), Some(one.clone()))]);
        remember(&state, None, &all).unwrap();
        assert_eq!(kept(&state), [("*".to_owned(), Some(all.clone()))]);
        remember(&state, Some("venue"), &one).unwrap();
        assert_eq!(kept(&state), [("*".to_owned(), Some(all)), ("venue".to_owned(), Some(one))]);
    }

    #[test]
    fn orders_are_read_or_refused_with_the_reason() {
        let read = |text: &str| Order::parse(text.as_bytes(), Wall(7));
        let order = read(r#"{"pool":"venue","mode":"reduce-only","reason":"the venue is unwell"}"#).unwrap();
        assert_eq!((order.pool.as_deref(), order.set.mode), (Some("venue"), Mode::ReduceOnly));
        assert_eq!(order.set.reason.as_deref(), Some("the venue is unwell"));
        assert_eq!(read(r#"{"mode":"normal"}"#).unwrap().pool, None);
        for (bad, told) in
            [("", "send"), ("{}", "send"), (r#"{"mode":7}"#, "send"), (r#"{"mode":"shut"}"#, "shut")]
        {
            let error = read(bad).err().unwrap();
            assert!(error.contains(told), "{bad}: {error}");
        }
    }
}
