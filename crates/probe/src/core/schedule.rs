//! When each check is made: `now` goes in, "make this one" or "wait until then" comes out.
//!
//! A check is due at `start + k · every` and at no other time, so that it never drifts. What cannot be made when it is
//! due waits in line, since as many at once are bounded, and those of one host more so. A turn that comes while
//! the one before it still waits or runs is missed; it is counted and not made up for. Each step costs O(log n).

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use seawall_model::Mono;

/// The shortest interval; what is shorter is taken for it.
pub const MIN_EVERY: Duration = Duration::from_millis(10);

/// A check to be scheduled.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it is first due.
    pub start: Mono,
    /// Time from one turn to the next.
    pub every: Duration,
    /// Whose patience it uses up.
    pub host: Arc<str>,
}

/// As many as may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub concurrency: usize,
    /// Of one host.
    pub per_host: usize,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Make this check.
    Run(Turn),
    /// Nothing until then, or until a check that is under way has ended.
    Wait(Mono),
    /// Nothing until a check that is under way has ended; if none is, nothing ever.
    Idle,
}

/// A check's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Which check, by its place among the entries.
    pub check: usize,
    /// When it was due.
    pub due: Mono,
    /// How much later it is now.
    pub lag: Duration,
    /// Turns of this check that were missed since the last one told of.
    pub missed: u64,
}

/// Counts since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Turns taken.
    pub taken: u64,
    /// Turns missed.
    pub missed: u64,
}

/// The schedule.
#[derive(Debug)]
pub struct Schedule {
    checks: Vec<Scheduled>,
    hosts: Vec<Host>,
    bounds: Bounds,
    /// Those neither waiting nor under way, by when they are due.
    idle: BinaryHeap<Reverse<(Mono, usize)>>,
    /// Those that are due and whose host has room, in the order in which both became true.
    ready: VecDeque<usize>,
    running: usize,
    counts: Counts,
    /// The latest time that was told: it never goes back.
    now: Mono,
}

#[derive(Debug)]
struct Scheduled {
    start: Mono,
    every: Duration,
    host: usize,
    /// The turn it waits for or that it has taken last.
    turn: u64,
    missed: u64,
    running: bool,
}

#[derive(Debug, Default)]
struct Host {
    /// Those that are ready or under way.
    admitted: usize,
    /// Those that are due and have to wait for the others.
    waiting: VecDeque<usize>,
}

impl Schedule {
    /// A schedule of these checks.
    pub fn new(entries: &[Entry], bounds: Bounds) -> Self {
        let mut names = BTreeMap::<&str, usize>::new();
        let mut checks = Vec::with_capacity(entries.len());
        for entry in entries {
            let new = names.len();
            let host = *names.entry(&entry.host).or_insert(new);
            let every = entry.every.max(MIN_EVERY);
            checks.push(Scheduled { start: entry.start, every, host, turn: 0, missed: 0, running: false });
        }
        let hosts = names.iter().map(|_| Host::default()).collect();
        let idle = checks.iter().enumerate().map(|(i, c)| Reverse((c.start, i))).collect();
        let bounds = Bounds { concurrency: bounds.concurrency.max(1), per_host: bounds.per_host.max(1) };
        Self {
            checks,
            hosts,
            bounds,
            idle,
            ready: VecDeque::new(),
            running: 0,
            counts: Counts::default(),
            now: Mono::ZERO,
        }
    }

    /// What to do now. To be asked until it is no longer [`Next::Run`].
    pub fn next(&mut self, now: Mono) -> Next {
        self.now = self.now.max(now);
        while let Some(Reverse((due, check))) = self.idle.peek().copied()
            && due <= self.now
        {
            self.idle.pop();
            let host = &mut self.hosts[self.checks[check].host];
            if host.admitted < self.bounds.per_host {
                host.admitted += 1;
                self.ready.push_back(check);
            } else {
                host.waiting.push_back(check);
            }
        }
        if self.running < self.bounds.concurrency
            && let Some(check) = self.ready.pop_front()
        {
            return Next::Run(self.begin(check));
        }
        match self.idle.peek() {
            Some(Reverse((due, _))) => Next::Wait(*due),
            None => Next::Idle,
        }
    }

    fn begin(&mut self, check: usize) -> Turn {
        let scheduled = &mut self.checks[check];
        let due = scheduled.due();
        // Turns that have come while it waited are this one as well.
        let latest = scheduled.last_due(self.now);
        let skipped = latest - scheduled.turn;
        scheduled.turn = latest;
        scheduled.running = true;
        let missed = std::mem::take(&mut scheduled.missed) + skipped;
        self.running += 1;
        self.counts.taken += 1;
        self.counts.missed += skipped;
        Turn { check, due, lag: self.now.since(due), missed }
    }

    /// A check that was made has ended. Of one that is not under way, nothing comes.
    pub fn done(&mut self, check: usize, now: Mono) {
        self.now = self.now.max(now);
        let Some(scheduled) = self.checks.get_mut(check).filter(|c| c.running) else { return };
        scheduled.running = false;
        // The next turn is the first that is not over: one that is due at this very moment is not.
        let first = scheduled.first_due(self.now);
        let missed = first - scheduled.turn - 1;
        scheduled.turn = first;
        scheduled.missed += missed;
        self.counts.missed += missed;
        self.idle.push(Reverse((scheduled.due(), check)));
        self.running -= 1;
        let host = &mut self.hosts[scheduled.host];
        match host.waiting.pop_front() {
            Some(next) => self.ready.push_back(next),
            None => host.admitted -= 1,
        }
    }

    /// How many are under way.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many are due and wait for others to end.
    pub fn waiting(&self) -> usize {
        self.ready.len() + self.hosts.iter().map(|h| h.waiting.len()).sum::<usize>()
    }

    /// Counts since the beginning.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Scheduled {
    /// When its turn is due.
    fn due(&self) -> Mono {
        let nanos = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX);
        Mono(self.start.0.saturating_add(nanos.saturating_mul(self.turn)))
    }

    /// The last turn that is due at `now`, and at least the present one.
    fn last_due(&self, now: Mono) -> u64 {
        let turns = now.since(self.start).as_nanos() / self.every.as_nanos();
        u64::try_from(turns).unwrap_or(u64::MAX).max(self.turn)
    }

    /// The first turn that is not before `now`, and after the present one.
    fn first_due(&self, now: Mono) -> u64 {
        let turns = now.since(self.start).as_nanos().div_ceil(self.every.as_nanos());
        u64::try_from(turns).unwrap_or(u64::MAX).max(self.turn + 1)
    }
}

/// When checks of an interval first are due: spread evenly by `draw` (any number), so that they do not all come at
/// once, and after `from`.
pub fn jittered(from: Mono, every: Duration, draw: u64) -> Mono {
    let nanos = u64::try_from(every.max(MIN_EVERY).as_nanos()).unwrap_or(u64::MAX);
    Mono(from.0.saturating_add(draw % nanos))
}
