//! Who was affected, added up.

use std::{collections::BTreeMap, ops::Range};

use rusqlite::{Connection, OptionalExtension, params};
use seawall_model::{ComponentId, Wall};

use super::{Reader, tallies::Tiling};
use crate::{
    Damaged, HistoryError,
    core::{affected::AffectedTotal, calendar::Grain},
    store::known,
};

pub(super) fn read(text: &str) -> Result<AffectedTotal, HistoryError> {
    serde_json::from_str(text).map_err(|_| Damaged("figure of who was affected").into())
}

/// What stands at one place of a table of sums.
pub(crate) fn at(
    conn: &Connection,
    table: &str,
    slot: i64,
    component: u32,
) -> Result<Option<AffectedTotal>, HistoryError> {
    let text: Option<String> = conn
        .prepare_cached(&format!("SELECT body FROM {table} WHERE slot = ?1 AND component = ?2"))?
        .query_row(params![slot, component], |row| row.get(0))
        .optional()?;
    text.map(|text| read(&text)).transpose()
}

fn table(grain: Grain) -> &'static str {
    match grain {
        Grain::Minute => "affected_minute",
        Grain::Hour => "affected_hour",
        Grain::Day => "affected_day",
    }
}

/// Who was affected, by slot, of all components.
fn scan(
    conn: &Connection,
    grain: Grain,
    slots: Range<i64>,
    mut each: impl FnMut(i64, u32, &AffectedTotal),
) -> Result<(), HistoryError> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT slot, component, body FROM {} WHERE slot >= ?1 AND slot < ?2",
        table(grain)
    ))?;
    let mut rows = query.query(params![slots.start, slots.end])?;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(2)?.as_str().map_err(|_| Damaged("figure of who was affected"))?;
        each(row.get(0)?, row.get(1)?, &read(body)?);
    }
    Ok(())
}

/// Who was affected, by slot, of one component.
pub(super) fn by_slot(
    conn: &Connection,
    id: u32,
    grain: Grain,
    slots: Range<i64>,
) -> Result<BTreeMap<i64, AffectedTotal>, HistoryError> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT slot, body FROM {} WHERE slot >= ?1 AND slot < ?2 AND component = ?3",
        table(grain)
    ))?;
    let mut rows = query.query(params![slots.start, slots.end, id])?;
    let mut sums: BTreeMap<i64, AffectedTotal> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(1)?.as_str().map_err(|_| Damaged("figure of who was affected"))?;
        sums.entry(row.get(0)?).or_default().merge(&read(body)?);
    }
    Ok(sums)
}

/// Who was affected between two times, of each of `ids` (in order).
pub(super) fn between(
    conn: &Connection,
    ids: &[u32],
    from: i64,
    until: i64,
) -> Result<Vec<AffectedTotal>, HistoryError> {
    let mut sums = vec![AffectedTotal::default(); ids.len()];
    for (grain, slots) in Tiling::of(from, until).parts() {
        scan(conn, grain, slots, |_, id, total| {
            if let Ok(at) = ids.binary_search(&id) {
                sums[at].merge(total);
            }
        })?;
    }
    Ok(sums)
}

impl Reader {
    /// Who was affected between two times, by whole hours of UTC: an hour counts where it begins.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn affected(
        &self,
        component: &ComponentId,
        from: Wall,
        until: Wall,
    ) -> Result<AffectedTotal, HistoryError> {
        let state = self.conn.unchecked_transaction()?;
        let Some(id) = known(&state, component)? else { return Ok(AffectedTotal::default()) };
        Ok(between(&state, &[id], from.0, until.0)?.pop().unwrap_or_default())
    }
}
