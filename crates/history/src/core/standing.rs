//! How long a component was what.

use seawall_model::Status;

/// Milliseconds by status, within and without announced maintenance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusTime {
    /// Time without maintenance; read it with [`of`](Self::of).
    pub(crate) ordinary: [u64; 4],
    /// Time within maintenance, by what the component was nevertheless.
    pub(crate) maintenance: [u64; 4],
}

/// What becomes of the time within announced maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintenance {
    /// It counts as what the component was.
    Counted,
    /// It is left out.
    LeftOut,
}

pub(crate) fn place(status: Status) -> usize {
    match status {
        Status::Up => 0,
        Status::Degraded => 1,
        Status::Down => 2,
        Status::Unknown => 3,
    }
}

impl StatusTime {
    /// Adds a stretch.
    pub fn add(&mut self, status: Status, maintenance: bool, millis: u64) {
        let times = if maintenance { &mut self.maintenance } else { &mut self.ordinary };
        times[place(status)] = times[place(status)].saturating_add(millis);
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for i in 0..4 {
            self.ordinary[i] = self.ordinary[i].saturating_add(other.ordinary[i]);
            self.maintenance[i] = self.maintenance[i].saturating_add(other.maintenance[i]);
        }
    }

    /// Milliseconds with a status.
    pub fn of(&self, status: Status, maintenance: Maintenance) -> u64 {
        let i = place(status);
        match maintenance {
            Maintenance::Counted => self.ordinary[i].saturating_add(self.maintenance[i]),
            Maintenance::LeftOut => self.ordinary[i],
        }
    }

    /// Milliseconds of announced maintenance, whatever the component was.
    pub fn maintained(&self) -> u64 {
        self.maintenance.iter().sum()
    }

    /// All milliseconds. What is missing from a day is time in which there was no such component, or is still to come.
    pub fn total(&self, maintenance: Maintenance) -> u64 {
        [Status::Up, Status::Degraded, Status::Down, Status::Unknown]
            .map(|s| self.of(s, maintenance))
            .iter()
            .sum()
    }

    /// The share of the time, from 0 to 1, in which it is known to have done what it is for, if worse at times: up or
    /// degraded. Time that nothing is known of counts as if it had not. `None` if there is no time.
    pub fn availability(&self, maintenance: Maintenance) -> Option<f64> {
        let total = self.total(maintenance);
        let available = self.of(Status::Up, maintenance) + self.of(Status::Degraded, maintenance);
        (total > 0).then(|| available as f64 / total as f64)
    }

    /// The worst that is known of it outside maintenance: down before degraded, before unknown, before up. `None` if
    /// there is no such time.
    pub fn worst(&self) -> Option<Status> {
        [Status::Down, Status::Degraded, Status::Unknown, Status::Up]
            .into_iter()
            .find(|s| self.ordinary[place(*s)] > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_never_counts_as_up() {
        let mut time = StatusTime::default();
        assert_eq!((time.availability(Maintenance::Counted), time.worst()), (None, None));
        time.add(Status::Up, false, 50);
        time.add(Status::Degraded, false, 10);
        time.add(Status::Unknown, false, 40);
        assert_eq!(
            (time.availability(Maintenance::Counted), time.worst()),
            (Some(0.6), Some(Status::Degraded))
        );
        time.add(Status::Down, true, 100);
        assert_eq!(time.availability(Maintenance::LeftOut), Some(0.6));
        assert_eq!(time.availability(Maintenance::Counted), Some(0.3));
        assert_eq!((time.maintained(), time.total(Maintenance::Counted)), (100, 200));
    }
}
