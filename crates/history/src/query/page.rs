//! The days of many components: what a status page shows.

use rusqlite::{Connection, params};
use seawall_model::ComponentId;

use super::{Reader, timeline};
use crate::{
    Day, HistoryError,
    core::{
        calendar::Grain,
        sheet::{DAYS, Sheet},
        standing::StatusTime,
        timeline::{Stretch, spans, time},
    },
    store::{Meta, known},
};

/// Most days of a page: two years.
pub const MAX_PAGE_DAYS: usize = 732;

/// Days of components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The first day.
    pub first: Day,
    /// A row for each component that was asked for, in that order.
    pub rows: Vec<PageRow>,
}

/// The days of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Which one.
    pub component: ComponentId,
    /// What it was on each day, from the page's first on.
    pub days: Vec<StatusTime>,
    /// All of them together.
    pub total: StatusTime,
}

impl Reader {
    /// What components were on each of `count` days of UTC from `first` on.
    ///
    /// # Errors
    /// If the store cannot be read, or more than [`MAX_PAGE_DAYS`] are asked for.
    pub fn page(&self, components: &[ComponentId], first: Day, count: usize) -> Result<Page, HistoryError> {
        if count > MAX_PAGE_DAYS {
            return Err(HistoryError::TooMuch { what: "days of a page", count, limit: MAX_PAGE_DAYS });
        }
        let state = self.conn.unchecked_transaction()?;
        let end = first.0 + i64::try_from(count).unwrap_or(0);
        let settled = Meta::Settled.get(&state)?.unwrap_or(i64::MIN).clamp(first.0, end);
        let watched = timeline::watched(&state, Grain::Day.start(settled))?;
        let range = Range { first: first.0, settled, end, watched };
        let mut rows = Vec::with_capacity(components.len());
        for component in components {
            let mut days = vec![StatusTime::default(); count];
            if let Some(id) = known(&state, component)? {
                range.read_sheets(&state, id, &mut days)?;
                range.work_out(&state, id, &mut days)?;
            }
            let mut total = StatusTime::default();
            days.iter().for_each(|day| total.merge(day));
            rows.push(PageRow { component: component.clone(), days, total });
        }
        Ok(Page { first, rows })
    }
}

/// Days from `first` until `end`, of which those before `settled` are on the sheets.
struct Range {
    first: i64,
    settled: i64,
    end: i64,
    watched: Vec<Stretch>,
}

impl Range {
    fn read_sheets(&self, conn: &Connection, id: u32, days: &mut [StatusTime]) -> Result<(), HistoryError> {
        if self.first >= self.settled {
            return Ok(());
        }
        let mut query = conn.prepare_cached(
            "SELECT sheet, cells FROM sheet WHERE component = ?1 AND sheet BETWEEN ?2 AND ?3",
        )?;
        let mut rows =
            query.query(params![id, Sheet::place(self.first).0, Sheet::place(self.settled - 1).0])?;
        while let Some(row) = rows.next()? {
            let begins: i64 = row.get::<_, i64>(0)? * DAYS;
            let sheet = Sheet::decode(row.get_ref(1)?.as_blob().unwrap_or_default())?;
            let (from, until) = (begins.max(self.first), (begins + DAYS).min(self.settled));
            let at = |day: i64, from: i64| usize::try_from(day - from).unwrap_or(0);
            days[at(from, self.first)..at(until, self.first)]
                .copy_from_slice(&sheet.0[at(from, begins)..at(until, begins)]);
        }
        Ok(())
    }

    fn work_out(&self, conn: &Connection, id: u32, days: &mut [StatusTime]) -> Result<(), HistoryError> {
        let (start, end) = (Grain::Day.start(self.settled), Grain::Day.start(self.end));
        if start >= end {
            return Ok(());
        }
        let it = timeline::of(conn, id, start, end)?;
        let spans = spans(&it.steps, &self.watched, &it.maintenance, start, end);
        let open = usize::try_from(self.settled - self.first).unwrap_or(0);
        for (day, cell) in (self.settled..).zip(&mut days[open..]) {
            *cell = time(&spans, Grain::Day.start(day), Grain::Day.start(day + 1));
        }
        Ok(())
    }
}
