//! A period of many components: what a report tells.

use seawall_model::ComponentId;

use super::{Reader, affected, tallies, timeline};
use crate::{
    HistoryError, Period,
    core::{
        affected::AffectedTotal,
        standing::StatusTime,
        tally::Tally,
        timeline::{Downtime, downtimes, spans, time},
    },
    store::known,
};

/// What a component was and did in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub component: ComponentId,
    /// How long it was what.
    pub time: StatusTime,
    /// The same for each day of the period, which are days of a place.
    pub days: Vec<StatusTime>,
    /// When it was down, in order.
    pub downtimes: Vec<Downtime>,
    /// What its checks add up to, by whole hours of UTC: an hour counts where it begins.
    pub tally: Tally,
    /// Who was affected, by whole hours too.
    pub affected: AffectedTotal,
}

impl Reader {
    /// What components were and did in a period, in the order asked for.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn report(&self, components: &[ComponentId], period: &Period) -> Result<Vec<Report>, HistoryError> {
        let state = self.conn.unchecked_transaction()?;
        let (from, until) = (period.from().0, period.until().0);
        let ids = components.iter().map(|c| known(&state, c)).collect::<Result<Vec<_>, _>>()?;
        let mut order: Vec<u32> = ids.iter().flatten().copied().collect();
        order.sort_unstable();
        order.dedup();
        let tallies = tallies::between(&state, &order, from, until)?;
        let affected = affected::between(&state, &order, from, until)?;
        let watched = timeline::watched(&state, from)?;
        let mut reports = Vec::with_capacity(components.len());
        for (component, id) in components.iter().zip(ids) {
            let mut report = Report {
                component: component.clone(),
                time: StatusTime::default(),
                days: vec![StatusTime::default(); period.days().len()],
                downtimes: Vec::new(),
                tally: Tally::default(),
                affected: AffectedTotal::default(),
            };
            if let Some((id, at)) = id.and_then(|id| Some((id, order.binary_search(&id).ok()?))) {
                let it = timeline::of(&state, id, from, until)?;
                let spans = spans(&it.steps, &watched, &it.maintenance, from, until);
                for (day, cell) in period.days().iter().zip(&mut report.days) {
                    *cell = time(&spans, day.from.0, day.until.0);
                }
                report.time = time(&spans, from, until);
                report.downtimes = downtimes(&spans);
                report.tally = tallies[at].clone();
                report.affected = affected[at].clone();
            }
            reports.push(report);
        }
        Ok(reports)
    }
}
