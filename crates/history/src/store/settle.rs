//! Writing down what components were on days that are over, so that a page of ninety days reads them off.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{History, Meta};
use crate::{
    HistoryError,
    core::{
        calendar::Grain,
        sheet::{DAYS, Sheet},
        timeline::{spans, time},
    },
    query::timeline,
};

/// Components settled at once.
const AT_ONCE: u32 = 1_000;

impl History {
    /// Settles days before `target`, for up to [`AT_ONCE`] components and the days of one sheet. Gives how many
    /// components were done; none once all is settled.
    pub(super) fn settle(&mut self, target: i64) -> Result<usize, HistoryError> {
        let change = self.reader.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(settled) = Meta::Settled.get(&change)?.filter(|s| *s < target) else { return Ok(0) };
        let sheet_ends = (settled.div_euclid(DAYS) + 1) * DAYS;
        let until = Meta::SettlingUntil.get(&change)?.unwrap_or(target.min(sheet_ends));
        let after = Meta::SettlingAfter.get(&change)?.unwrap_or(0);
        let ids: Vec<u32> = {
            let mut query =
                change.prepare_cached("SELECT id FROM component WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let rows = query.query_map(params![after, AT_ONCE], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in &ids {
            write_days(&change, *id, settled, until)?;
        }
        match ids.last() {
            Some(last) if ids.len() == AT_ONCE as usize => {
                Meta::SettlingUntil.set(&change, until)?;
                Meta::SettlingAfter.set(&change, i64::from(*last))?;
            }
            _ => {
                Meta::Settled.set(&change, until)?;
                start_over(&change)?;
            }
        }
        change.commit()?;
        Ok(ids.len().max(1))
    }
}

fn start_over(conn: &Connection) -> Result<(), rusqlite::Error> {
    Meta::SettlingUntil.clear(conn)?;
    Meta::SettlingAfter.clear(conn)
}

/// The clock has been set back to a day: it and those after it are not over.
pub(super) fn take_back(conn: &Connection, settled: i64, today: i64) -> Result<(), HistoryError> {
    if settled > today {
        Meta::Settled.set(conn, today)?;
    }
    if Meta::SettlingUntil.get(conn)?.is_some_and(|until| until > today) {
        start_over(conn)?;
    }
    Ok(())
}

/// Something that is known of a component from `since` on has changed: days that are settled, or about to be, are
/// settled again.
pub(super) fn settle_again(conn: &Connection, component: u32, since: i64) -> Result<(), HistoryError> {
    let settled = Meta::Settled.get(conn)?.unwrap_or(i64::MIN);
    let until = Meta::SettlingUntil.get(conn)?.map_or(settled, |until| until.max(settled));
    write_days(conn, component, Grain::Day.slot(since), until)
}

/// Works out what a component was on the days from `from` until `until`, and writes it down.
fn write_days(conn: &Connection, component: u32, from: i64, until: i64) -> Result<(), HistoryError> {
    if from >= until {
        return Ok(());
    }
    let (start, end) = (Grain::Day.start(from), Grain::Day.start(until));
    let known = timeline::of(conn, component, start, end)?;
    let watched = timeline::watched(conn, start)?;
    let spans = spans(&known.steps, &watched, &known.maintenance, start, end);
    let mut day = from;
    while day < until {
        let (sheet, _) = Sheet::place(day);
        let sheet_ends = until.min((sheet + 1) * DAYS);
        let mut cells = read(conn, component, sheet)?.unwrap_or_default();
        while day < sheet_ends {
            cells.0[Sheet::place(day).1] = time(&spans, Grain::Day.start(day), Grain::Day.start(day + 1));
            day += 1;
        }
        write(conn, component, sheet, &cells)?;
    }
    Ok(())
}

fn read(conn: &Connection, component: u32, sheet: i64) -> Result<Option<Sheet>, HistoryError> {
    let found = conn
        .prepare_cached("SELECT cells FROM sheet WHERE component = ?1 AND sheet = ?2")?
        .query_row(params![component, sheet], |row| {
            Ok(Sheet::decode(row.get_ref(0)?.as_blob().unwrap_or_default()))
        })
        .optional()?;
    Ok(found.transpose()?)
}

fn write(conn: &Connection, component: u32, sheet: i64, cells: &Sheet) -> Result<(), HistoryError> {
    if *cells == Sheet::default() {
        conn.prepare_cached("DELETE FROM sheet WHERE component = ?1 AND sheet = ?2")?
            .execute(params![component, sheet])?;
    } else {
        conn.prepare_cached("INSERT OR REPLACE INTO sheet VALUES (?1, ?2, ?3)")?.execute(params![
            component,
            sheet,
            cells.encode()
        ])?;
    }
    Ok(())
}
