//! Writing a batch.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior, params};
use seawall_model::Wall;

use super::{History, Meta, fold, names::Names, settle, watch};
use crate::{
    HistoryError,
    core::{
        affected::{AffectedTotal, MAX_COUNTRIES, MAX_CURRENCIES},
        calendar::Grain,
        coding::Damaged,
        packed::{Chunk, Entry},
    },
    fact::{
        Batch, Change, Check, MAX_AHEAD_MS, MAX_ANNOUNCED_MS, MAX_BEHIND_MS, MAX_MAINTENANCE_MS, Stretched,
        Window, Written,
    },
};

/// What became of one fact.
enum Fate {
    Taken,
    Late,
    Early,
    Excess,
}

impl History {
    /// Writes a batch: all of it, or on an error nothing. `now` is the wall clock; that the call is made says that
    /// somebody watches, so it is made at least once a minute, with nothing to write too.
    ///
    /// A batch of which nobody knows whether it was written can be written again.
    ///
    /// # Errors
    /// If the store fails, the batch is too large, or the clock stands more than a week before what is there.
    pub fn write(&mut self, now: Wall, batch: &Batch) -> Result<Written, HistoryError> {
        batch.check()?;
        // Where nobody tends, what waits must not grow without a limit all the same.
        while self.pending >= fold::MAX_PENDING {
            self.fold(i64::MAX)?;
        }
        let outcome = self.write_all(now, batch);
        if outcome.is_err() {
            self.names.forget();
        }
        outcome
    }

    fn write_all(&mut self, now: Wall, batch: &Batch) -> Result<Written, HistoryError> {
        let change = self.reader.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        watch::note(&change, now)?;
        let mut pen = Pen { conn: &change, names: &mut self.names, now, written: Written::default() };
        let rows = pen.checks(&batch.checks)?;
        for change in &batch.changes {
            let fate = pen.change(change)?;
            pen.count(fate);
        }
        for affected in &batch.affected {
            let fate = pen.affected(affected)?;
            pen.count(fate);
        }
        for window in &batch.windows {
            let fate = pen.window(window)?;
            pen.count(fate);
        }
        let written = pen.written;
        change.commit()?;
        self.pending += rows;
        Ok(written)
    }
}

/// Writes facts within a transaction.
struct Pen<'a> {
    conn: &'a Connection,
    names: &'a mut Names,
    now: Wall,
    written: Written,
}

impl Pen<'_> {
    fn count(&mut self, fate: Fate) {
        let counter = match fate {
            Fate::Taken => &mut self.written.taken,
            Fate::Late => &mut self.written.late,
            Fate::Early => &mut self.written.early,
            Fate::Excess => &mut self.written.excess,
        };
        *counter += 1;
    }

    fn is_early(&self, at: Wall) -> bool {
        at.0 > self.now.0.saturating_add(MAX_AHEAD_MS)
    }

    /// Writes results into `pending`. Gives the number of rows.
    fn checks(&mut self, checks: &[Check]) -> Result<usize, HistoryError> {
        let floor = Meta::RawFloor.get(self.conn)?.unwrap_or(i64::MIN);
        let mut chunks: BTreeMap<i64, Chunk> = BTreeMap::new();
        for check in checks {
            let minute = Grain::Minute.slot(check.at.0);
            let fate = if self.is_early(check.at) {
                Fate::Early
            } else if minute < floor {
                // Whether it has been told before cannot be seen any more.
                Fate::Late
            } else {
                match self.entry(check)? {
                    Some((component, entry)) => {
                        chunks.entry(minute).or_default().push(component, &entry);
                        Fate::Taken
                    }
                    None => Fate::Excess,
                }
            };
            self.count(fate);
        }
        let mut insert = self.conn.prepare_cached("INSERT INTO pending (minute, results) VALUES (?1, ?2)")?;
        for (minute, chunk) in &chunks {
            insert.execute(params![minute, chunk.bytes()])?;
        }
        Ok(chunks.len())
    }

    fn entry(&mut self, check: &Check) -> Result<Option<(u32, Entry)>, HistoryError> {
        let Some(component) = self.names.component(self.conn, &check.component)? else { return Ok(None) };
        let Some(source) = self.names.word(self.conn, &check.source)? else { return Ok(None) };
        let Some(vantage) = self.names.word(self.conn, &check.vantage)? else { return Ok(None) };
        let cause = match check.cause {
            Some(cause) => match self.names.cause(self.conn, cause)? {
                None => return Ok(None),
                known => known,
            },
            None => None,
        };
        let offset = check.at.0.rem_euclid(Grain::Minute.millis());
        let entry = Entry {
            offset: u16::try_from(offset).unwrap_or(u16::MAX),
            source,
            seq: check.seq,
            vantage,
            outcome: check.outcome,
            cause,
            latency: check.latency_us,
        };
        Ok(Some((component, entry)))
    }

    fn change(&mut self, change: &Change) -> Result<Fate, HistoryError> {
        if self.is_early(change.since) {
            return Ok(Fate::Early);
        }
        if change.since.0 < self.now.0.saturating_sub(MAX_BEHIND_MS) {
            return Ok(Fate::Late);
        }
        let Some(component) = self.names.component(self.conn, &change.component)? else {
            return Ok(Fate::Excess);
        };
        self.conn
            .prepare_cached("DELETE FROM change WHERE component = ?1 AND since >= ?2")?
            .execute(params![component, change.since.0])?;
        self.conn.prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            component,
            change.since.0,
            change.status.map(|s| s.as_str()),
            change.cause.map(|c| c.as_str())
        ])?;
        settle::settle_again(self.conn, component, change.since.0)?;
        Ok(Fate::Taken)
    }

    fn window(&mut self, window: &Window) -> Result<Fate, HistoryError> {
        let (since, until) = (window.since.0, window.until.0);
        if since > self.now.0.saturating_add(MAX_ANNOUNCED_MS) {
            return Ok(Fate::Early);
        }
        if since < self.now.0.saturating_sub(MAX_MAINTENANCE_MS) {
            return Ok(Fate::Late);
        }
        if until.saturating_sub(since) > MAX_MAINTENANCE_MS || until <= since {
            return Ok(Fate::Excess);
        }
        let Some(component) = self.names.component(self.conn, &window.component)? else {
            return Ok(Fate::Excess);
        };
        let sql = if window.withdrawn {
            "DELETE FROM maintenance WHERE component = ?1 AND since = ?2 AND until = ?3"
        } else {
            "INSERT OR IGNORE INTO maintenance VALUES (?1, ?2, ?3)"
        };
        self.conn.prepare_cached(sql)?.execute(params![component, since, until])?;
        settle::settle_again(self.conn, component, since)?;
        Ok(Fate::Taken)
    }

    fn affected(&mut self, told: &Stretched) -> Result<Fate, HistoryError> {
        let (affected, minute) = (&told.affected, Grain::Minute.slot(told.affected.since.0));
        if self.is_early(affected.since) {
            return Ok(Fate::Early);
        }
        if minute < Meta::RawFloor.get(self.conn)?.unwrap_or(i64::MIN) {
            return Ok(Fate::Late);
        }
        let sums = [&affected.attempted, &affected.failed, &affected.unknown];
        if sums.iter().any(|s| s.value.len() > MAX_CURRENCIES || s.countries.len() > MAX_COUNTRIES) {
            return Ok(Fate::Excess);
        }
        let Some(component) = self.names.component(self.conn, &told.component)? else {
            return Ok(Fate::Excess);
        };
        let Some(source) = self.names.word(self.conn, &told.source)? else { return Ok(Fate::Excess) };
        let total = AffectedTotal::of(affected);
        let new = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO affected_minute VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![minute, component, source, told.seq.cast_signed(), to_text(&total)?])?;
        if new > 0 {
            for (table, grain) in [("affected_hour", Grain::Hour), ("affected_day", Grain::Day)] {
                add_affected(self.conn, table, grain.slot(affected.since.0), component, &total)?;
            }
        }
        Ok(Fate::Taken)
    }
}

fn to_text(total: &AffectedTotal) -> Result<String, HistoryError> {
    serde_json::to_string(total).map_err(|_| Damaged("figure of who was affected").into())
}

fn add_affected(
    conn: &Connection,
    table: &str,
    slot: i64,
    component: u32,
    more: &AffectedTotal,
) -> Result<(), HistoryError> {
    let mut sum = crate::query::affected_at(conn, table, slot, component)?.unwrap_or_default();
    sum.merge(more);
    conn.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3)"))?.execute(params![
        slot,
        component,
        to_text(&sum)?
    ])?;
    Ok(())
}
