//! Letting go of what has been kept for long enough, or of what there is no room for.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{History, Kept, Meta};
use crate::HistoryError;

/// Rows deleted at once, give or take a minute's or an hour's.
const AT_ONCE: usize = 10_000;

/// Free pages given back to the system at once.
const PAGES: u32 = 2_000;

/// Once so large a part of the file is free, one in so many pages, some is given back.
const FREE_PART: u64 = 4;

impl Kept {
    const ALL: [Self; 3] = [Self::Raw, Self::Minutes, Self::Hours];

    fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Raw => &["raw"],
            Self::Minutes => &["minute", "affected_minute"],
            Self::Hours => &["hour", "affected_hour"],
        }
    }
}

/// How much room the file takes, in pages.
struct Room {
    pages: u64,
    free: u64,
    page_bytes: u64,
}

impl Room {
    fn of(conn: &Connection) -> Result<Self, rusqlite::Error> {
        let ask =
            |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
        Ok(Self {
            pages: ask("PRAGMA page_count")?,
            free: ask("PRAGMA freelist_count")?,
            page_bytes: ask("PRAGMA page_size")?,
        })
    }

    fn used_bytes(&self) -> u64 {
        (self.pages - self.free.min(self.pages)) * self.page_bytes
    }
}

impl History {
    /// Bytes that the history holds, what SQLite keeps for reuse left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn used_bytes(&self) -> Result<u64, HistoryError> {
        Ok(Room::of(&self.reader.conn)?.used_bytes())
    }

    /// Deletes some of what need not be kept any longer. Gives the rows deleted.
    pub(super) fn expire(&mut self) -> Result<usize, HistoryError> {
        let Some(trusted) = self.trusted()? else { return Ok(0) };
        let mut rows = 0;
        for kept in Kept::ALL {
            rows += self.let_go(kept, self.policy.floor(kept, trusted), AT_ONCE - rows.min(AT_ONCE))?;
        }
        Ok(rows)
    }

    /// Deletes some of what there is no room for: of the finest there is, the oldest. Gives the rows deleted.
    pub(super) fn shrink(&mut self) -> Result<usize, HistoryError> {
        if self.used_bytes()? <= self.policy.max_bytes {
            return Ok(0);
        }
        for kept in Kept::ALL {
            let rows = self.let_go(kept, i64::MAX, AT_ONCE)?;
            if rows > 0 {
                return Ok(rows);
            }
        }
        Ok(0)
    }

    /// Deletes what lies before `floor`, the oldest first and by whole minutes or hours, until about `most` rows are
    /// gone. What waits to be added up must find the results of its minute.
    fn let_go(&mut self, kept: Kept, floor: i64, most: usize) -> Result<usize, HistoryError> {
        let change = self.reader.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut floor = floor;
        if let (Kept::Raw, Some(waiting)) = (
            kept,
            change.query_row("SELECT min(minute) FROM pending", [], |row| row.get::<_, Option<i64>>(0))?,
        ) {
            floor = floor.min(waiting);
        }
        let mut rows = 0;
        for table in kept.tables() {
            let mut oldest = change
                .prepare_cached(&format!("SELECT slot FROM {table} WHERE slot < ?1 ORDER BY slot LIMIT 1"))?;
            let mut delete = change.prepare_cached(&format!("DELETE FROM {table} WHERE slot = ?1"))?;
            while rows < most {
                let Some(slot) = oldest.query_row([floor], |row| row.get::<_, i64>(0)).optional()? else {
                    break;
                };
                rows += delete.execute([slot])?;
                if kept != Kept::Hours {
                    // What is told again of this minute could not be told from what is new.
                    let known = Meta::RawFloor.get(&change)?.unwrap_or(i64::MIN);
                    Meta::RawFloor.set(&change, known.max(slot + 1))?;
                }
            }
        }
        change.commit()?;
        Ok(rows)
    }

    /// Gives some of what is free back to the system, if much is. Gives true if there may be more.
    pub(super) fn give_back(&mut self) -> Result<bool, HistoryError> {
        let conn = &self.reader.conn;
        let room = Room::of(conn)?;
        if room.free * FREE_PART < room.pages || room.free < u64::from(PAGES) {
            return Ok(false);
        }
        let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
        Ok(true)
    }
}
