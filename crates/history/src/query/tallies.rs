//! What results add up to, with those that wait to be added up.

use std::{collections::BTreeMap, ops::Range};

use rusqlite::{Connection, OptionalExtension, params};
use seawall_model::{ComponentId, Wall};

use super::Reader;
use crate::{
    HistoryError,
    core::{calendar::Grain, tally::Tally},
    store::{gather, known, table},
};

/// From so many components on, a table is read through instead of being looked into.
const MANY: usize = 32;

/// Adds what each of `ids` (in order) has in the slots of `grain` to what `place` says.
pub(super) fn each(
    conn: &Connection,
    ids: &[u32],
    grain: Grain,
    slots: Range<i64>,
    mut add: impl FnMut(usize, i64, Found<'_>) -> Result<(), HistoryError>,
) -> Result<(), HistoryError> {
    if slots.is_empty() || ids.is_empty() {
        return Ok(());
    }
    let table = table(grain);
    if ids.len() >= MANY {
        let mut query = conn.prepare_cached(&format!(
            "SELECT slot, component, tally FROM {table} WHERE slot >= ?1 AND slot < ?2"
        ))?;
        let mut rows = query.query(params![slots.start, slots.end])?;
        while let Some(row) = rows.next()? {
            if let Ok(at) = ids.binary_search(&row.get(1)?) {
                add(at, row.get(0)?, Found::Encoded(row.get_ref(2)?.as_blob().unwrap_or_default()))?;
            }
        }
    } else {
        let mut query =
            conn.prepare_cached(&format!("SELECT tally FROM {table} WHERE slot = ?1 AND component = ?2"))?;
        for slot in slots.clone() {
            for (at, id) in ids.iter().enumerate() {
                let found = query
                    .query_row(params![slot, id], |row| {
                        Ok(add(at, slot, Found::Encoded(row.get_ref(0)?.as_blob().unwrap_or_default())))
                    })
                    .optional()?;
                found.transpose()?;
            }
        }
    }
    let minutes = to_minute(grain, slots.start)..to_minute(grain, slots.end);
    let (_, groups) = gather(conn, minutes, i64::MAX, |id| ids.binary_search(&id).is_ok())?;
    for ((minute, id), group) in groups {
        if let Ok(at) = ids.binary_search(&id) {
            add(at, grain.slot(Grain::Minute.start(minute)), Found::Waiting(&group.delta))?;
        }
    }
    Ok(())
}

fn to_minute(grain: Grain, slot: i64) -> i64 {
    Grain::Minute.slot(grain.start(slot))
}

/// What was found in a slot: what is written down, and what waits.
pub(super) enum Found<'a> {
    Encoded(&'a [u8]),
    Waiting(&'a Tally),
}

impl Found<'_> {
    pub(super) fn add_to(&self, sum: &mut Tally) -> Result<(), HistoryError> {
        match self {
            Self::Encoded(bytes) => sum.merge_encoded(bytes)?,
            Self::Waiting(delta) => sum.merge(delta),
        }
        Ok(())
    }
}

/// The whole days within a time, and the hours at its ends that are in none of them.
///
/// An hour that the time cuts counts where it begins, so that what is asked for by the days of a place whose clocks
/// differ from UTC by whole hours is exact.
pub(super) struct Tiling {
    pub(super) before: Range<i64>,
    pub(super) days: Range<i64>,
    pub(super) after: Range<i64>,
}

impl Tiling {
    pub(super) fn of(from: i64, until: i64) -> Self {
        const HOURS: i64 = 24;
        let (first, last) = (Grain::Hour.slot_from(from), Grain::Hour.slot_from(until));
        let days = Grain::Day.slot_from(from)..Grain::Day.slot(until);
        if days.is_empty() {
            return Self { before: first..last, days: 0..0, after: 0..0 };
        }
        Self { before: first..days.start * HOURS, after: days.end * HOURS..last, days }
    }

    /// Its parts, each with what it is counted in.
    pub(super) fn parts(&self) -> [(Grain, Range<i64>); 3] {
        [
            (Grain::Hour, self.before.clone()),
            (Grain::Day, self.days.clone()),
            (Grain::Hour, self.after.clone()),
        ]
    }
}

/// What results of each of `ids` (in order) add up to between two times.
pub(super) fn between(
    conn: &Connection,
    ids: &[u32],
    from: i64,
    until: i64,
) -> Result<Vec<Tally>, HistoryError> {
    let mut sums = vec![Tally::default(); ids.len()];
    for (grain, slots) in Tiling::of(from, until).parts() {
        each(conn, ids, grain, slots, |at, _, found| found.add_to(&mut sums[at]))?;
    }
    Ok(sums)
}

impl Reader {
    /// What the results of components add up to between two times, in the order asked for, by whole hours of UTC: an
    /// hour counts where it begins.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn tallies(
        &self,
        components: &[ComponentId],
        from: Wall,
        until: Wall,
    ) -> Result<Vec<Tally>, HistoryError> {
        let state = self.conn.unchecked_transaction()?;
        let ids = components.iter().map(|c| known(&state, c)).collect::<Result<Vec<_>, _>>()?;
        let mut order: Vec<u32> = ids.iter().flatten().copied().collect();
        order.sort_unstable();
        order.dedup();
        let sums = between(&state, &order, from.0, until.0)?;
        let of = |id: Option<u32>| id.and_then(|id| order.binary_search(&id).ok()).map(|at| sums[at].clone());
        Ok(ids.into_iter().map(|id| of(id).unwrap_or_default()).collect())
    }
}

/// What results of one component add up to, by slot; slots without any are not there.
pub(super) fn by_slot(
    conn: &Connection,
    id: u32,
    grain: Grain,
    slots: Range<i64>,
) -> Result<BTreeMap<i64, Tally>, HistoryError> {
    let mut sums: BTreeMap<i64, Tally> = BTreeMap::new();
    each(conn, &[id], grain, slots, |_, slot, found| found.add_to(sums.entry(slot).or_default()))?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_tiled_without_gap_or_overlap() {
        const HOUR: i64 = 3_600_000;
        for (from, until) in [(0, 72), (1, 71), (22, 26), (3, 5), (24, 24), (30, 20), (-30, 50)] {
            let mut hours: Vec<i64> = Vec::new();
            for (grain, slots) in Tiling::of(from * HOUR, until * HOUR).parts() {
                let long = grain.millis() / HOUR;
                hours.extend(slots.flat_map(|slot| slot * long..(slot + 1) * long));
            }
            assert_eq!(hours, (from..until).collect::<Vec<_>>(), "{from} {until}");
        }
    }
}
