//! What the timeline of a component is made of.

use rusqlite::{Connection, params};
use seawall_model::{Cause, Status};

use crate::{
    Damaged, HistoryError,
    core::timeline::{Step, Stretch, union},
};

/// A component's changes and its announced maintenance.
pub(crate) struct Known {
    pub(crate) steps: Vec<Step>,
    pub(crate) maintenance: Vec<Stretch>,
}

const STATUSES: [Status; 4] = [Status::Up, Status::Degraded, Status::Down, Status::Unknown];

/// Loads what is known of a component between two times, with the change that holds at the first.
pub(crate) fn of(conn: &Connection, component: u32, from: i64, until: i64) -> Result<Known, HistoryError> {
    let mut query = conn.prepare_cached(
        "SELECT since, status, cause FROM change WHERE component = ?1 AND since < ?3 AND since >= ifnull(
             (SELECT max(since) FROM change WHERE component = ?1 AND since <= ?2), ?2)
         ORDER BY since",
    )?;
    let mut rows = query.query(params![component, from, until])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let status =
            text(row, 1)?.map(|s| STATUSES.into_iter().find(|k| k.as_str() == s).ok_or(Damaged("status")));
        // A cause of a later version is none that is known here.
        let cause = text(row, 2)?.and_then(|c| Cause::ALL.into_iter().find(|k| k.as_str() == c));
        steps.push(Step { since: row.get(0)?, status: status.transpose()?, cause });
    }
    let mut query = conn.prepare_cached(
        "SELECT since, until FROM maintenance WHERE component = ?1 AND since < ?3 AND until > ?2",
    )?;
    let stretches = query.query_map(params![component, from, until], stretch)?;
    Ok(Known { steps, maintenance: union(stretches.collect::<Result<_, _>>()?) })
}

/// When somebody watched, from a time on. All of it: the end of the last, which may be its beginning, tells until when
/// anything is known.
pub(crate) fn watched(conn: &Connection, from: i64) -> Result<Vec<Stretch>, HistoryError> {
    let mut query = conn.prepare_cached("SELECT since, until FROM watch WHERE until > ?1 ORDER BY since")?;
    let stretches = query.query_map([from], stretch)?;
    Ok(stretches.collect::<Result<_, _>>()?)
}

fn stretch(row: &rusqlite::Row<'_>) -> Result<Stretch, rusqlite::Error> {
    Ok(Stretch { since: row.get(0)?, until: row.get(1)? })
}

fn text<'a>(row: &'a rusqlite::Row<'_>, at: usize) -> Result<Option<&'a str>, HistoryError> {
    row.get_ref(at)?.as_str_or_null().map_err(|_| Damaged("change").into())
}
