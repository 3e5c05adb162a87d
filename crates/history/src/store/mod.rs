//! The tables, and what is done to them.

mod fold;
mod names;
mod retain;
mod settle;
mod tend;
mod watch;
mod write;

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use seawall_model::Wall;

pub use fold::MAX_PENDING;
pub(crate) use fold::{gather, table};
pub(crate) use names::known;
pub use names::{MAX_COMPONENTS, MAX_WORDS};
pub use tend::Tended;
pub use watch::MAX_SILENCE_MS;
use watch::trusted;

use crate::{HistoryError, Policy, Reader, core::calendar::Grain};

/// How long a call waits for another process (`sqlite3`, a back-up, an export) to let go of the file.
const BUSY: Duration = Duration::from_secs(5);

/// The layout of the tables, told by `user_version`.
const LAYOUT: i64 = 1;

/// SQLite's own cache, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// Statements kept prepared, which is more than there are.
const STATEMENTS: usize = 64;

/// Size to which the write-ahead log shrinks after it had to grow, in bytes.
const WAL_BYTES: i64 = 16 << 20;

/// `pending` holds results as they came, a row for each batch and minute. [`fold`] moves them to `raw`, a row for each
/// minute and component, and adds them to `minute`, `hour` and `day`. What is kept by time comes first in the keys, so
/// that what is written together lies together, and what expires together goes together.
///
/// `sheet` holds 32 days of a component's status; it follows from `change`, `watch` and `maintenance`, and is there to
/// be fast.
const TABLES: &str = "
    CREATE TABLE component (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE pending (n INTEGER PRIMARY KEY, minute INTEGER NOT NULL, results BLOB NOT NULL) STRICT;
    CREATE TABLE raw (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, results BLOB NOT NULL, PRIMARY KEY (slot, component)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE minute (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, tally BLOB NOT NULL, PRIMARY KEY (slot, component)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE hour (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, tally BLOB NOT NULL, PRIMARY KEY (slot, component)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE day (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, tally BLOB NOT NULL, PRIMARY KEY (slot, component)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE affected_minute (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, source INTEGER NOT NULL, seq INTEGER NOT NULL,
        body TEXT NOT NULL, PRIMARY KEY (slot, component, source, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE affected_hour (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (slot, component)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE affected_day (
        slot INTEGER NOT NULL, component INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (slot, component)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE change (
        component INTEGER NOT NULL, since INTEGER NOT NULL, status TEXT, cause TEXT, PRIMARY KEY (component, since)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE maintenance (
        component INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
        PRIMARY KEY (component, since, until)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE watch (since INTEGER PRIMARY KEY, until INTEGER NOT NULL) STRICT;
    CREATE TABLE sheet (
        component INTEGER NOT NULL, sheet INTEGER NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (component, sheet)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// What is kept for a time only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Every result.
    Raw,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

impl Kept {
    /// What it is kept by.
    pub(crate) fn grain(self) -> Grain {
        match self {
            Self::Raw | Self::Minutes => Grain::Minute,
            Self::Hours => Grain::Hour,
        }
    }
}

/// Numbers that the store keeps of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meta {
    /// The first day whose status is not on the sheets.
    Settled,
    /// Up to which day settling is under way.
    SettlingUntil,
    /// The last component that it has done.
    SettlingAfter,
    /// The first minute of which every result is kept.
    RawFloor,
}

impl Meta {
    fn key(self) -> &'static str {
        match self {
            Self::Settled => "settled_day",
            Self::SettlingUntil => "settling_until",
            Self::SettlingAfter => "settling_after",
            Self::RawFloor => "raw_floor",
        }
    }

    pub(crate) fn get(self, conn: &Connection) -> Result<Option<i64>, rusqlite::Error> {
        conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?
            .query_row([self.key()], |row| row.get(0))
            .optional()
    }

    fn set(self, conn: &Connection, value: i64) -> Result<(), rusqlite::Error> {
        conn.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?
            .execute(rusqlite::params![self.key(), value])
            .map(drop)
    }

    fn clear(self, conn: &Connection) -> Result<(), rusqlite::Error> {
        conn.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([self.key()]).map(drop)
    }
}

/// The history, to write. There is one at a time; [`Reader`]s are as many as one likes.
///
/// Every call is synchronous and may wait for the disk: it belongs in a thread of its own. Each does one transaction or
/// several, so that a crash at any instruction leaves all of a batch, or nothing of it.
#[derive(Debug)]
pub struct History {
    reader: Reader,
    names: names::Names,
    policy: Policy,
    /// Rows in `pending`.
    pending: usize,
}

impl History {
    /// Opens the history in a file, and makes it if it is not there.
    ///
    /// # Errors
    /// If the file cannot be opened or is no history, and if the policy contradicts itself.
    pub fn open(path: &Path, policy: Policy) -> Result<Self, HistoryError> {
        Self::over(Connection::open(path)?, policy)
    }

    /// A history that is gone with the process. For tests and simulations.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn in_memory(policy: Policy) -> Result<Self, HistoryError> {
        Self::over(Connection::open_in_memory()?, policy)
    }

    fn over(mut conn: Connection, policy: Policy) -> Result<Self, HistoryError> {
        policy.check()?;
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        // Only has an effect on a file that is new.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        // A store in memory answers `memory`, which is as good.
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        // A batch that was acknowledged survives a power cut. One a second costs one flush a second.
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        conn.query_row(&format!("PRAGMA journal_size_limit = {WAL_BYTES}"), [], |_| Ok(()))?;
        let change = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match layout(&change)? {
            0 => change.execute_batch(TABLES)?,
            LAYOUT => {}
            found => return Err(HistoryError::Newer { found, known: LAYOUT }),
        }
        let pending = change.query_row("SELECT count(*) FROM pending", [], |row| row.get::<_, u32>(0))?;
        change.commit()?;
        let pending = usize::try_from(pending).unwrap_or(usize::MAX);
        Ok(Self { reader: Reader { conn }, names: names::Names::default(), policy, pending })
    }

    /// What can be asked of it, with everything that has been written.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Until when somebody is known to have watched for an hour or more without a break; what is kept for a time only
    /// is kept from then backwards, so that a clock that leaps ahead for a moment erases nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn trusted(&self) -> Result<Option<Wall>, HistoryError> {
        Ok(trusted(&self.reader.conn)?)
    }
}

fn layout(conn: &Connection) -> Result<i64, rusqlite::Error> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Opens a history that another may be writing, to read it.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    match layout(&conn)? {
        LAYOUT => Ok(conn),
        found => Err(HistoryError::Newer { found, known: LAYOUT }),
    }
}
