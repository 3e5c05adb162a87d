//! The embedded [`State`]: SQLite.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::seam::{State, StateError};

/// The largest value, in bytes; what a message of the clustered store may hold.
pub const MAX_VALUE: usize = 1 << 20;

/// Longest bucket or key, in bytes.
pub const MAX_KEY: usize = 512;

/// How long a call waits for another process (`sqlite3`, a back-up) to let go of the file.
const BUSY: Duration = Duration::from_secs(2);

/// The layout of the tables, told by `user_version`.
const LAYOUT: i64 = 1;

/// Revisions come from one sequence for the whole store, so that no key ever has the same one twice,
/// deleted in between or not.
const TABLES: &str = "
    CREATE TABLE entry (
        bucket TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (bucket, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sequence (last INTEGER NOT NULL) STRICT;
    INSERT INTO sequence VALUES (0);
    PRAGMA user_version = 1;
";

/// Small mutable things in one SQLite file. Every change is durable when its call returns.
#[derive(Debug)]
pub struct SqliteState {
    connection: Mutex<Connection>,
}

impl SqliteState {
    /// Opens the file, and makes it if it is not there.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        Self::over(Connection::open(path).map_err(store)?)
    }

    /// A store that is gone with the process. For simulations, and where there is no disk.
    pub fn in_memory() -> Result<Self, StateError> {
        Self::over(Connection::open_in_memory().map_err(store)?)
    }

    fn over(mut connection: Connection) -> Result<Self, StateError> {
        connection.busy_timeout(BUSY).map_err(store)?;
        // A store in memory answers `memory`, which is as good.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(store)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(store)?;
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store)?;
        match change.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(store)? {
            0 => change.execute_batch(TABLES).map_err(store)?,
            LAYOUT => {}
            newer => {
                let why = format!("its layout is {newer}, and this version of Seawall knows {LAYOUT}");
                return Err(StateError::Store(why));
            }
        }
        change.commit().map_err(store)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State for SqliteState {
    fn get(&self, bucket: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>, StateError> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT revision, value FROM entry WHERE bucket = ?1 AND key = ?2")
            .map_err(store)?;
        query
            .query_row([bucket, key], |row| Ok((revision(row.get(0)?), row.get(1)?)))
            .optional()
            .map_err(store)
    }

    fn list(&self, bucket: &str) -> Result<Vec<(String, u64, Vec<u8>)>, StateError> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT key, revision, value FROM entry WHERE bucket = ?1 ORDER BY key")
            .map_err(store)?;
        let rows = query.query_map([bucket], |row| Ok((row.get(0)?, revision(row.get(1)?), row.get(2)?)));
        rows.map_err(store)?.collect::<Result<_, _>>().map_err(store)
    }

    fn swap(&self, bucket: &str, key: &str, expected: u64, value: Option<&[u8]>) -> Result<u64, StateError> {
        for (what, len, max) in [
            ("bucket", bucket.len(), MAX_KEY),
            ("key", key.len(), MAX_KEY),
            ("value", value.map_or(0, <[u8]>::len), MAX_VALUE),
        ] {
            if len > max {
                return Err(StateError::Store(format!("a {what} of {len} bytes is over the limit of {max}")));
            }
        }
        let mut connection = self.lock();
        // Dropped without a commit, it is undone.
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store)?;
        let found = change
            .prepare_cached("SELECT revision FROM entry WHERE bucket = ?1 AND key = ?2")
            .and_then(|mut q| q.query_row([bucket, key], |row| row.get(0)).optional())
            .map_err(store)?
            .map_or(0, revision);
        if found != expected {
            return Err(StateError::Conflict { key: key.to_owned(), expected, found });
        }
        let next: i64 = change
            .prepare_cached("UPDATE sequence SET last = last + 1 RETURNING last")
            .and_then(|mut q| q.query_row([], |row| row.get(0)))
            .map_err(store)?;
        match value {
            Some(value) => change
                .prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut q| q.execute(params![bucket, key, next, value])),
            None => change
                .prepare_cached("DELETE FROM entry WHERE bucket = ?1 AND key = ?2")
                .and_then(|mut q| q.execute([bucket, key])),
        }
        .map_err(store)?;
        change.commit().map_err(store)?;
        Ok(revision(next))
    }
}

/// SQLite's integers are signed; ours count up from 1.
fn revision(stored: i64) -> u64 {
    stored.unsigned_abs()
}

fn store(e: rusqlite::Error) -> StateError {
    StateError::Store(e.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Get(u8, u8),
        List(u8),
        /// What is expected: the revision there is, or another.
        Swap(u8, u8, Option<u64>, Option<Vec<u8>>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..4));
        prop_oneof![
            (0_u8..2, 0_u8..3).prop_map(|(b, k)| Step::Get(b, k)),
            (0_u8..2).prop_map(Step::List),
            (0_u8..2, 0_u8..3, prop::option::weighted(0.3, 0_u64..9), value)
                .prop_map(|(b, k, e, v)| Step::Swap(b, k, e, v)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn does_as_an_ordered_map_would(steps in prop::collection::vec(step(), 0..60)) {
            let state = SqliteState::in_memory().unwrap();
            let mut model: BTreeMap<(String, String), (u64, Vec<u8>)> = BTreeMap::new();
            let mut last = 0;
            for step in steps {
                match step {
                    Step::Get(b, k) => {
                        let (b, k) = (b.to_string(), k.to_string());
                        prop_assert_eq!(state.get(&b, &k).unwrap(), model.get(&(b, k)).cloned());
                    }
                    Step::List(b) => {
                        let b = b.to_string();
                        let wanted: Vec<_> = model.iter().filter(|((bucket, _), _)| *bucket == b)
                            .map(|((_, k), (r, v))| (k.clone(), *r, v.clone())).collect();
                        prop_assert_eq!(state.list(&b).unwrap(), wanted);
                    }
                    Step::Swap(b, k, expected, value) => {
                        let at = (b.to_string(), k.to_string());
                        let there = model.get(&at).map_or(0, |(r, _)| *r);
                        let expected = expected.unwrap_or(there);
                        match state.swap(&at.0, &at.1, expected, value.as_deref()) {
                            Ok(revision) => {
                                prop_assert_eq!(expected, there);
                                prop_assert!(revision > last);
                                last = revision;
                                match value {
                                    Some(value) => model.insert(at, (revision, value)),
                                    None => model.remove(&at),
                                };
                            }
                            Err(StateError::Conflict { key, expected: e, found }) => {
                                prop_assert!(expected != there);
                                prop_assert_eq!((key, e, found), (at.1, expected, there));
                            }
                            Err(e) => return Err(TestCaseError::fail(e.to_string())),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_store_is_found_again_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let revision = SqliteState::open(&path).unwrap().swap("cordons", "eth/a", 0, Some(b"x")).unwrap();
        let again = SqliteState::open(&path).unwrap();
        assert_eq!(again.get("cordons", "eth/a").unwrap(), Some((revision, b"x".to_vec())));
        again.lock().pragma_update(None, "user_version", 9).unwrap();
        assert!(SqliteState::open(&path).unwrap_err().to_string().contains("layout is 9"));
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "no database, but as long as its header would have been".repeat(9)).unwrap();
        assert!(SqliteState::open(&plain).is_err());
    }

    #[test]
    fn sizes_are_limited() {
        let state = SqliteState::in_memory().unwrap();
        state.swap("b", &"k".repeat(MAX_KEY), 0, Some(&vec![0; MAX_VALUE])).unwrap();
        for (key, value) in [(MAX_KEY + 1, 0), (1, MAX_VALUE + 1)] {
            let refused = state.swap("b", &"k".repeat(key), 0, Some(&vec![0; value]));
            assert!(refused.unwrap_err().to_string().contains("over the limit"));
        }
    }
}
