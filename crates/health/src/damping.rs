//! What is told of a component, and when it may change.
//!
//! A *flip* is a change that turns (for the better after one for the worse, or the other way round), or that
//! comes back to a status left within the window. Neither happens within the window after the change before. An
//! outage that grows, from up to degraded to down to unknown, is told step by step at once, since waiting would only
//! hide it. The first judgement of a component is no change.

use std::time::Duration;

use seawall_model::{Cause, Status, Wall};

use crate::{Opinion, after, age};

/// A verdict as told.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) status: Status,
    pub(crate) since: Wall,
    pub(crate) cause: Option<Cause>,
    /// The evidence at the time it was told.
    pub(crate) evidence: String,
    changed: Option<Change>,
    /// When each status was last left.
    left: [Option<Wall>; 4],
}

#[derive(Debug, Clone, Copy)]
struct Change {
    at: Wall,
    better: bool,
}

/// What becomes of an opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is what is told already.
    Same,
    /// It is told now.
    Changed,
    /// It is told then, if it is still held.
    Until(Wall),
}

impl Held {
    pub(crate) fn new(now: Wall) -> Self {
        let evidence = "nothing has been seen of it yet".to_owned();
        let (status, cause) = (Status::Unknown, None);
        Self { status, since: now, cause, evidence, changed: None, left: [None; 4] }
    }

    /// True if it was ever judged.
    pub(crate) fn is_judged(&self) -> bool {
        self.changed.is_some()
    }

    pub(crate) fn settle(&mut self, now: Wall, opinion: Opinion, window: Duration) -> Settled {
        if opinion.status == self.status {
            self.cause = opinion.cause;
            return Settled::Same;
        }
        let better = improves(self.status, opinion.status);
        if let Some(until) = self.held_until(now, opinion.status, better, window) {
            return Settled::Until(until);
        }
        if self.changed.is_some() {
            self.left[self.status as usize] = Some(now);
        }
        self.changed = Some(Change { at: now, better: better && self.changed.is_some() });
        self.status = opinion.status;
        self.since = now;
        self.cause = opinion.cause;
        Settled::Changed
    }

    fn held_until(&self, now: Wall, to: Status, better: bool, window: Duration) -> Option<Wall> {
        let last = self.changed?;
        let holds = |at: Wall| (age(now, at) < window).then(|| after(at, window));
        let turns = if better || last.better { holds(last.at) } else { None };
        let returns = self.left[to as usize].and_then(holds);
        turns.max(returns)
    }
}

/// Good news. That nothing is known any more is neither good nor bad, and to be told at once.
pub(crate) fn improves(from: Status, to: Status) -> bool {
    match (from, to) {
        (Status::Degraded | Status::Down | Status::Unknown, Status::Up)
        | (Status::Down, Status::Degraded) => true,
        (Status::Up, _)
        | (_, Status::Down | Status::Unknown)
        | (Status::Degraded | Status::Unknown, Status::Degraded) => false,
    }
}
