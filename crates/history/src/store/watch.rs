//! When anybody was watching: what tells a component that stayed up from one that nobody looked at.

use rusqlite::{Connection, OptionalExtension, params};
use seawall_model::Wall;

use super::{Meta, settle};
use crate::{HistoryError, core::calendar::Grain, fact::MAX_BEHIND_MS};

/// The longest time between two batches, in milliseconds, that still counts as watched. Whoever writes writes at least
/// once a minute, were it nothing but that it is there.
pub const MAX_SILENCE_MS: i64 = 3 * 60_000;

/// How long the clock must have gone on without a break to be believed, in milliseconds.
const TRUST_MS: i64 = 3_600_000;

/// Until when somebody watched for long enough that the clock is to be believed.
pub(crate) fn trusted(conn: &Connection) -> Result<Option<Wall>, rusqlite::Error> {
    conn.prepare_cached("SELECT until FROM watch WHERE until - since >= ?1 ORDER BY since DESC LIMIT 1")?
        .query_row([TRUST_MS], |row| row.get(0).map(Wall))
        .optional()
}

/// Notes that somebody is watching now. Where the clock has been set back, the time that it had been ahead is taken
/// back, since it has yet to come.
pub(super) fn note(conn: &Connection, now: Wall) -> Result<(), HistoryError> {
    if let Some(trusted) = trusted(conn)?.filter(|t| now.0 < t.0.saturating_sub(MAX_BEHIND_MS)) {
        return Err(HistoryError::Clock { now, trusted });
    }
    let mut back = conn.prepare_cached("DELETE FROM watch WHERE since > ?1")?.execute([now.0])? > 0;
    let last: Option<(i64, i64)> = conn
        .prepare_cached("SELECT since, until FROM watch ORDER BY since DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match last {
        Some((since, until)) if now.0.saturating_sub(until) <= MAX_SILENCE_MS => {
            back |= until > now.0;
            conn.prepare_cached("UPDATE watch SET until = ?2 WHERE since = ?1")?.execute([since, now.0])?;
        }
        _ => drop(conn.prepare_cached("INSERT INTO watch VALUES (?1, ?1)")?.execute([now.0])?),
    }
    let today = Grain::Day.slot(now.0);
    match Meta::Settled.get(conn)? {
        // Whatever is told of the days before is settled when it is told.
        None => Meta::Settled.set(conn, today)?,
        Some(settled) if back => {
            settle::take_back(conn, settled, today)?;
            bring_back(conn, now)?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// What was last said of a time that has yet to come is what is believed now: it holds from now on.
fn bring_back(conn: &Connection, now: Wall) -> Result<(), HistoryError> {
    let ids: Vec<u32> = {
        let mut query = conn.prepare_cached("SELECT id FROM component")?;
        let rows = query.query_map([], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut last =
        conn.prepare_cached("SELECT max(since) FROM change WHERE component = ?1 HAVING max(since) > ?2")?;
    let mut bring = conn.prepare_cached(
        "INSERT OR REPLACE INTO change SELECT component, ?2, status, cause FROM change WHERE component = ?1 AND since = ?3",
    )?;
    let mut erase = conn.prepare_cached("DELETE FROM change WHERE component = ?1 AND since > ?2")?;
    for id in ids {
        if let Some(since) = last.query_row(params![id, now.0], |row| row.get::<_, i64>(0)).optional()? {
            bring.execute(params![id, now.0, since])?;
            erase.execute(params![id, now.0])?;
        }
    }
    Ok(())
}
