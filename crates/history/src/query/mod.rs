//! What can be asked of the history.

mod affected;
mod cost;
mod page;
mod report;
mod results;
mod series;
mod tallies;
pub(crate) mod timeline;

use std::path::Path;

use rusqlite::Connection;
use seawall_model::{ComponentId, Wall};

pub(crate) use affected::at as affected_at;
pub use cost::LEARNED_WEEKS;
pub use page::{MAX_PAGE_DAYS, Page, PageRow};
pub use report::Report;
pub use results::Kind;
pub(crate) use results::Row;
pub use series::{MAX_POINTS, Point};

use crate::{
    HistoryError,
    core::timeline::{Downtime, Span, downtimes, spans},
    store::{known, open_to_read},
};

/// Steps of SQLite's between two looks whether to give up: some tenths of a millisecond.
const STEPS: i32 = 4_000;

/// The history, to read. Each question is answered from one state of the store, with all batches written until then.
#[derive(Debug)]
pub struct Reader {
    pub(crate) conn: Connection,
}

impl Reader {
    /// Opens a history to read it; another process, or another thread, may be writing it.
    ///
    /// # Errors
    /// If there is none, or it is of a later version.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        Ok(Self { conn: open_to_read(path)? })
    }

    /// Has questions given up (see [`HistoryError::is_stopped`]) once `stop` says so, which is asked every few thousand
    /// steps of SQLite's. `None` lets them take as long as they take.
    ///
    /// # Errors
    /// If the store cannot be set up so.
    pub fn give_up_when(
        &self,
        stop: Option<impl FnMut() -> bool + Send + 'static>,
    ) -> Result<(), HistoryError> {
        Ok(self.conn.progress_handler(STEPS, stop)?)
    }

    /// Every component that the history knows, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn components(&self) -> Result<Vec<ComponentId>, HistoryError> {
        let mut query = self.conn.prepare_cached("SELECT name FROM component")?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        let mut ids = Vec::new();
        for name in names {
            ids.push(name?.parse().map_err(|_| crate::Damaged("component"))?);
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// What a component was from `from` until `until`, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn spans(&self, component: &ComponentId, from: Wall, until: Wall) -> Result<Vec<Span>, HistoryError> {
        let state = self.conn.unchecked_transaction()?;
        let Some(id) = known(&state, component)? else { return Ok(Vec::new()) };
        let it = timeline::of(&state, id, from.0, until.0)?;
        let watched = timeline::watched(&state, from.0)?;
        Ok(spans(&it.steps, &watched, &it.maintenance, from.0, until.0))
    }

    /// When a component was down between `from` and `until`, in order. A time in which nobody watched ends a downtime.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn downtimes(
        &self,
        component: &ComponentId,
        from: Wall,
        until: Wall,
    ) -> Result<Vec<Downtime>, HistoryError> {
        Ok(downtimes(&self.spans(component, from, until)?))
    }
}
