//! Numbers for what would otherwise be written again and again: components, sources and vantages.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, OptionalExtension};
use seawall_model::{Cause, ComponentId};

use crate::fact::MAX_WORD;

/// Most components that a history knows, over all time.
pub const MAX_COMPONENTS: u32 = 100_000;
/// Most sources, vantages and causes that it knows, over all time.
pub const MAX_WORDS: u32 = 65_536;

/// What has been looked up. Only ever looked into, so that the order of a hash map is never seen; bounded by
/// [`MAX_COMPONENTS`] and [`MAX_WORDS`].
#[derive(Debug, Default)]
pub(super) struct Names {
    components: HashMap<ComponentId, u32>,
    words: HashMap<Arc<str>, u32>,
    causes: HashMap<Cause, u32>,
}

impl Names {
    /// Forgets everything: a transaction that made numbers was undone.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The number of a component. `None` if there are too many already.
    pub(super) fn component(
        &mut self,
        conn: &Connection,
        id: &ComponentId,
    ) -> Result<Option<u32>, rusqlite::Error> {
        if let Some(number) = self.components.get(id) {
            return Ok(Some(*number));
        }
        let find = "SELECT id FROM component WHERE name = ?1";
        let make = "INSERT INTO component (name) SELECT ?1 WHERE (SELECT ifnull(max(id), 0) FROM component) < ?2 \
                    RETURNING id";
        let number = number(conn, &id.to_string(), find, make, MAX_COMPONENTS)?;
        number.map(|n| self.components.insert(id.clone(), n));
        Ok(number)
    }

    /// The number of a name. `None` if it is too long, or there are too many already.
    pub(super) fn word(
        &mut self,
        conn: &Connection,
        text: &Arc<str>,
    ) -> Result<Option<u32>, rusqlite::Error> {
        if let Some(number) = self.words.get(text) {
            return Ok(Some(*number));
        }
        if text.len() > MAX_WORD {
            return Ok(None);
        }
        let find = "SELECT id FROM word WHERE text = ?1";
        let make =
            "INSERT INTO word (text) SELECT ?1 WHERE (SELECT ifnull(max(id), 0) FROM word) < ?2 RETURNING id";
        let number = number(conn, text, find, make, MAX_WORDS)?;
        number.map(|n| self.words.insert(text.clone(), n));
        Ok(number)
    }

    /// The number of a cause: that of its name, so that what is written does not depend on the order of an enum.
    pub(super) fn cause(&mut self, conn: &Connection, cause: Cause) -> Result<Option<u32>, rusqlite::Error> {
        if let Some(number) = self.causes.get(&cause) {
            return Ok(Some(*number));
        }
        let number = self.word(conn, &cause.as_str().into())?;
        number.map(|n| self.causes.insert(cause, n));
        Ok(number)
    }
}

fn number(
    conn: &Connection,
    text: &str,
    find: &str,
    make: &str,
    limit: u32,
) -> Result<Option<u32>, rusqlite::Error> {
    let there = conn.prepare_cached(find)?.query_row([text], |row| row.get(0)).optional()?;
    match there {
        Some(number) => Ok(Some(number)),
        None => {
            conn.prepare_cached(make)?.query_row(rusqlite::params![text, limit], |row| row.get(0)).optional()
        }
    }
}

/// The number of a component that is known.
pub(crate) fn known(conn: &Connection, id: &ComponentId) -> Result<Option<u32>, rusqlite::Error> {
    conn.prepare_cached("SELECT id FROM component WHERE name = ?1")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()
}
