//! Everything that is kept, row by row: what an export writes.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use seawall_model::Wall;

use super::{Reader, affected, timeline};
use crate::{
    Day, HistoryError, Outcome,
    core::{
        affected::AffectedTotal,
        calendar::Grain,
        packed::Packed,
        standing::StatusTime,
        tally::Tally,
        timeline::{Span, spans, time},
    },
    store::table,
};

/// Kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Results of checks, up to the last whole minute.
    Results,
    /// Hours of checks.
    Hours,
    /// Days of checks, with what the component was.
    Days,
    /// What components were, when.
    Statuses,
    /// Who was affected, by the hour.
    Affected,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row<'a> {
    /// A result of a check.
    Result {
        /// Of what.
        component: &'a str,
        /// When.
        at: Wall,
        /// From where.
        vantage: &'a str,
        /// Who told it.
        source: &'a str,
        /// The source's number for it.
        seq: u64,
        /// What came of it.
        outcome: Outcome,
        /// How long it took, in microseconds.
        latency_us: Option<u64>,
        /// Why it failed.
        cause: Option<&'a str>,
    },
    /// An hour of checks.
    Hour {
        /// Of what.
        component: &'a str,
        /// When it begins.
        from: Wall,
        /// What they add up to.
        tally: &'a Tally,
    },
    /// A day.
    Day {
        /// Of what.
        component: &'a str,
        /// Which.
        day: Day,
        /// What the component was.
        time: StatusTime,
        /// What its checks add up to.
        tally: &'a Tally,
    },
    /// A stretch in which nothing changed.
    Status {
        /// Of what.
        component: &'a str,
        /// Which.
        span: Span,
    },
    /// Who was affected in an hour.
    Affected {
        /// Who was asked.
        component: &'a str,
        /// When it begins.
        from: Wall,
        /// The figures.
        total: &'a AffectedTotal,
    },
}

/// How far a walk through the rows is: units done, of how many.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Numbers and what they stand for.
type Texts = BTreeMap<u32, String>;

fn texts(conn: &Connection, sql: &str) -> Result<Texts, HistoryError> {
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn text(texts: &Texts, number: u32) -> &str {
    texts.get(&number).map_or("", String::as_str)
}

impl Reader {
    /// Walks through all rows of a kind between two times, in order, and gives each to `each`. What is counted by the
    /// hour or day counts where it begins.
    ///
    /// # Errors
    /// If the store cannot be read, and what `each` says.
    pub(crate) fn walk<E: From<HistoryError>>(
        &self,
        kind: Kind,
        (from, until): (Wall, Wall),
        progress: Progress<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let state = self.conn.unchecked_transaction().map_err(HistoryError::from)?;
        let components = texts(&state, "SELECT id, name FROM component")?;
        let walk = Walk { conn: &state, components, from: from.0, until: until.0 };
        match kind {
            Kind::Results => walk.results(progress, each),
            Kind::Hours => walk.tallies(Grain::Hour, progress, each),
            Kind::Days => walk.days(progress, each),
            Kind::Statuses => walk.statuses(progress, each),
            Kind::Affected => walk.affected(progress, each),
        }
    }
}

struct Walk<'a> {
    conn: &'a Connection,
    components: Texts,
    from: i64,
    until: i64,
}

impl Walk<'_> {
    /// The slots that hold something, between the two times.
    fn slots(&self, table: &str, grain: Grain) -> Result<Vec<i64>, HistoryError> {
        // A slot after the other is looked up, as there are many rows to each.
        let mut next = self.conn.prepare_cached(&format!(
            "SELECT slot FROM {table} WHERE slot >= ?1 AND slot < ?2 ORDER BY slot LIMIT 1"
        ))?;
        let (mut at, end) = (grain.slot_from(self.from), grain.slot_from(self.until));
        let mut slots = Vec::new();
        while let Some(row) = next.query([at, end])?.next()? {
            at = row.get(0)?;
            slots.push(at);
            at += 1;
        }
        Ok(slots)
    }

    /// Goes through the blobs of a table, slot by slot.
    fn blobs<E: From<HistoryError>>(
        &self,
        table: &str,
        column: &str,
        grain: Grain,
        progress: Progress<'_>,
        mut each: impl FnMut(i64, u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let slots = self.slots(table, grain)?;
        let sql = format!("SELECT component, {column} FROM {table} WHERE slot = ?1 ORDER BY component");
        for (done, slot) in (0_u64..).zip(&slots) {
            progress(done, slots.len() as u64);
            let mut query = self.conn.prepare_cached(&sql).map_err(HistoryError::from)?;
            let mut rows = query.query(params![slot]).map_err(HistoryError::from)?;
            while let Some(row) = rows.next().map_err(HistoryError::from)? {
                let id = row.get(0).map_err(HistoryError::from)?;
                let blob = row.get_ref(1).map_err(HistoryError::from)?;
                each(*slot, id, blob.as_bytes_or_null().ok().flatten().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn results<E: From<HistoryError>>(
        &self,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let words = texts(self.conn, "SELECT id, text FROM word")?;
        // The minute that the time begins in counts where it begins, too; its results are told apart.
        let wide = Walk { from: Grain::Minute.start(Grain::Minute.slot(self.from)), ..self.again() };
        wide.blobs("raw", "results", Grain::Minute, progress, |minute, id, blob| {
            for entry in Packed::decode(blob).map_err(HistoryError::from)?.entries() {
                let at = Grain::Minute.start(minute) + i64::from(entry.offset);
                if at < self.from || at >= self.until {
                    continue;
                }
                each(&Row::Result {
                    component: text(&self.components, id),
                    at: Wall(at),
                    vantage: text(&words, entry.vantage),
                    source: text(&words, entry.source),
                    seq: entry.seq,
                    outcome: entry.outcome,
                    latency_us: entry.latency,
                    cause: entry.cause.map(|cause| text(&words, cause)),
                })?;
            }
            Ok(())
        })
    }

    fn again(&self) -> Self {
        Self { conn: self.conn, components: self.components.clone(), from: self.from, until: self.until }
    }

    fn tallies<E: From<HistoryError>>(
        &self,
        grain: Grain,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.blobs(table(grain), "tally", grain, progress, |slot, id, blob| {
            let tally = Tally::decode(blob).map_err(HistoryError::from)?;
            let from = Wall(grain.start(slot));
            each(&Row::Hour { component: text(&self.components, id), from, tally: &tally })
        })
    }

    fn spans(&self, id: u32, watched: &[crate::core::timeline::Stretch]) -> Result<Vec<Span>, HistoryError> {
        let it = timeline::of(self.conn, id, self.from, self.until)?;
        Ok(spans(&it.steps, watched, &it.maintenance, self.from, self.until))
    }

    fn days<E: From<HistoryError>>(
        &self,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (first, end) = (Grain::Day.slot_from(self.from), Grain::Day.slot_from(self.until));
        let whole = Walk { from: Grain::Day.start(first), until: Grain::Day.start(end), ..self.again() };
        let watched = timeline::watched(self.conn, whole.from)?;
        for (done, (id, name)) in (0_u64..).zip(&self.components) {
            progress(done, self.components.len() as u64);
            let spans = whole.spans(*id, &watched)?;
            let mut tallies = super::tallies::by_slot(self.conn, *id, Grain::Day, first..end)?;
            for day in first..end {
                let time = time(&spans, Grain::Day.start(day), Grain::Day.start(day + 1));
                let tally = tallies.remove(&day).unwrap_or_default();
                if time != StatusTime::default() || tally.count() > 0 {
                    each(&Row::Day { component: name, day: Day(day), time, tally: &tally })?;
                }
            }
        }
        Ok(())
    }

    fn statuses<E: From<HistoryError>>(
        &self,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let watched = timeline::watched(self.conn, self.from)?;
        for (done, (id, name)) in (0_u64..).zip(&self.components) {
            progress(done, self.components.len() as u64);
            for span in self.spans(*id, &watched)? {
                each(&Row::Status { component: name, span })?;
            }
        }
        Ok(())
    }

    fn affected<E: From<HistoryError>>(
        &self,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.blobs("affected_hour", "body", Grain::Hour, progress, |slot, id, body| {
            let text_of = std::str::from_utf8(body).unwrap_or_default();
            let total = affected::read(text_of)?;
            let from = Wall(Grain::Hour.start(slot));
            each(&Row::Affected { component: text(&self.components, id), from, total: &total })
        })
    }
}
