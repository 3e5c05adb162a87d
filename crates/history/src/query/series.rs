//! A component over time, in steps: what charts are drawn from.

use seawall_model::{ComponentId, Wall};

use super::{Reader, tallies, timeline};
use crate::{
    HistoryError,
    core::{
        calendar::Grain,
        standing::StatusTime,
        tally::Tally,
        timeline::{spans, time},
    },
    store::known,
};

/// Most points of a series: a week of minutes.
pub const MAX_POINTS: usize = 10_080;

/// A step of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When it begins.
    pub from: Wall,
    /// What the component was.
    pub time: StatusTime,
    /// What its checks add up to.
    pub tally: Tally,
}

impl Reader {
    /// What a component was and what its checks say, for every minute, hour or day of UTC that has a part between
    /// `from` and `until`, each as a whole. Checks of minutes and hours that are no longer kept are not in it.
    ///
    /// # Errors
    /// If the store cannot be read, or more than [`MAX_POINTS`] are asked for.
    pub fn series(
        &self,
        component: &ComponentId,
        from: Wall,
        until: Wall,
        step: Grain,
    ) -> Result<Vec<Point>, HistoryError> {
        let slots = step.slot(from.0)..step.slot_from(until.0);
        let count = usize::try_from(slots.end.saturating_sub(slots.start)).unwrap_or(0);
        if count > MAX_POINTS {
            return Err(HistoryError::TooMuch { what: "points of a series", count, limit: MAX_POINTS });
        }
        let state = self.conn.unchecked_transaction()?;
        let (start, end) = (step.start(slots.start), step.start(slots.end));
        let (spans, mut tallies) = match known(&state, component)? {
            Some(id) => {
                let it = timeline::of(&state, id, start, end)?;
                let watched = timeline::watched(&state, start)?;
                let spans = spans(&it.steps, &watched, &it.maintenance, start, end);
                (spans, tallies::by_slot(&state, id, step, slots.clone())?)
            }
            None => Default::default(),
        };
        let point = |slot| Point {
            from: Wall(step.start(slot)),
            time: time(&spans, step.start(slot), step.start(slot + 1)),
            tally: tallies.remove(&slot).unwrap_or_default(),
        };
        Ok(slots.map(point).collect())
    }
}
