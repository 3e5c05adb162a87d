//! From results as they came to results by minute and component, and to what they add up to.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::History;
use crate::{
    HistoryError,
    core::{
        calendar::Grain,
        packed::{Chunk, Entry, Packed},
        tally::Tally,
    },
};

/// Rows of results that may wait to be added up before another batch is taken. With those of a batch they are what a
/// question has to look through besides what is added up.
pub const MAX_PENDING: usize = 1024;

/// Most rows taken at once: what 512 batches leave.
const AT_ONCE: i64 = 512;

/// A minute and a component.
pub(crate) type Place = (i64, u32);

/// What is new of one component in one minute.
pub(crate) struct Group {
    /// All its results.
    pub(crate) packed: Packed,
    /// What is new among them, added up.
    pub(crate) delta: Tally,
}

/// Reads what waits for minutes of `minutes` and components that `wanted` wants. Gives the rows read, and by place what
/// they hold that is not there yet.
pub(crate) fn gather(
    conn: &Connection,
    minutes: std::ops::Range<i64>,
    limit: i64,
    wanted: impl Fn(u32) -> bool,
) -> Result<(Vec<i64>, BTreeMap<Place, Group>), HistoryError> {
    let mut rows = Vec::new();
    let mut came: BTreeMap<Place, Vec<Entry>> = BTreeMap::new();
    {
        let mut query = conn.prepare_cached(
            "SELECT n, minute, results FROM pending WHERE minute >= ?1 AND minute < ?2 ORDER BY n LIMIT ?3",
        )?;
        let mut found = query.query(params![minutes.start, minutes.end, limit])?;
        while let Some(row) = found.next()? {
            let minute: i64 = row.get(1)?;
            rows.push(row.get(0)?);
            Chunk::read(row.get_ref(2)?.as_blob().unwrap_or_default(), |component, entry| {
                if wanted(component) {
                    came.entry((minute, component)).or_default().push(entry);
                }
            })?;
        }
    }
    let mut there = conn.prepare_cached("SELECT results FROM raw WHERE slot = ?1 AND component = ?2")?;
    let mut groups = BTreeMap::new();
    for ((minute, component), entries) in came {
        let packed = there
            .query_row(params![minute, component], |row| {
                Ok(Packed::decode(row.get_ref(0)?.as_blob().unwrap_or_default()))
            })
            .optional()?;
        let mut packed = packed.transpose()?.unwrap_or_default();
        let delta = packed.take_in(entries);
        groups.insert((minute, component), Group { packed, delta });
    }
    Ok((rows, groups))
}

/// The name of a table of tallies.
pub(crate) fn table(grain: Grain) -> &'static str {
    match grain {
        Grain::Minute => "minute",
        Grain::Hour => "hour",
        Grain::Day => "day",
    }
}

impl History {
    /// Adds up what has come for minutes before `until`, as far as [`AT_ONCE`] reaches. Gives the rows done.
    pub(super) fn fold(&mut self, until: i64) -> Result<usize, HistoryError> {
        let change = self.reader.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (rows, groups) = gather(&change, i64::MIN..until, AT_ONCE, |_| true)?;
        let (mut hours, mut days) = (BTreeMap::new(), BTreeMap::new());
        {
            let mut raw = change.prepare_cached("INSERT OR REPLACE INTO raw VALUES (?1, ?2, ?3)")?;
            let mut tally = change.prepare_cached("INSERT OR REPLACE INTO minute VALUES (?1, ?2, ?3)")?;
            for ((minute, component), group) in groups.iter().filter(|(_, g)| g.delta.count() > 0) {
                raw.execute(params![minute, component, group.packed.encode()])?;
                tally.execute(params![minute, component, group.packed.tally().encode()])?;
                let start = Grain::Minute.start(*minute);
                let hour: &mut Tally = hours.entry((Grain::Hour.slot(start), *component)).or_default();
                hour.merge(&group.delta);
            }
            for ((hour, component), delta) in &hours {
                let start = Grain::Hour.start(*hour);
                let day: &mut Tally = days.entry((Grain::Day.slot(start), *component)).or_default();
                day.merge(delta);
            }
        }
        add(&change, Grain::Hour, &hours)?;
        add(&change, Grain::Day, &days)?;
        {
            let mut done = change.prepare_cached("DELETE FROM pending WHERE n = ?1")?;
            for n in &rows {
                done.execute([n])?;
            }
        }
        change.commit()?;
        self.pending = self.pending.saturating_sub(rows.len());
        Ok(rows.len())
    }
}

fn add(conn: &Connection, grain: Grain, deltas: &BTreeMap<Place, Tally>) -> Result<(), HistoryError> {
    let table = table(grain);
    let mut find =
        conn.prepare_cached(&format!("SELECT tally FROM {table} WHERE slot = ?1 AND component = ?2"))?;
    let mut put = conn.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3)"))?;
    for ((slot, component), delta) in deltas {
        let there = find
            .query_row(params![slot, component], |row| {
                Ok(Tally::decode(row.get_ref(0)?.as_blob().unwrap_or_default()))
            })
            .optional()?;
        let mut sum = there.transpose()?.unwrap_or_default();
        sum.merge(delta);
        put.execute(params![slot, component, sum.encode()])?;
    }
    Ok(())
}
