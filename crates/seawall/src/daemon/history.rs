//! The history at work: what is seen and believed, written down every second.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use seawall_health::{Maintenance, Plan};
use seawall_history::{Batch, Change, Check, FILE, History, MAX_BATCH, Outcome, Policy, Stretched, Window};
use seawall_model::{ComponentId, Fact, Outcome as Found, Signal, Verdict};
use seawall_runtime::{
    clock::Clock,
    disk::Disk,
    tasks::{Shutdown, TaskError},
};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};

use super::board::Board;

/// How often what has come together is written.
const WRITE: Duration = Duration::from_secs(1);
/// How often what is over is added up, and what is old goes.
const TEND: u32 = 5;
/// Facts that wait to be written; if the disk is slower than they come, those beyond are lost, and counted.
const MAX_WAITING: usize = MAX_BATCH / 2;

/// Keeps the history.
pub(super) struct Keeper {
    pub(super) dir: PathBuf,
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) board: Arc<Board>,
    pub(super) plans: watch::Receiver<Plan>,
    pub(super) signals: Receiver<Arc<Signal>>,
    pub(super) verdicts: Receiver<Arc<Verdict>>,
}

impl Keeper {
    /// Writes until told to stop. It blocks its thread while the disk does, and so needs one of its own.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let failed = |error: &dyn std::fmt::Display| TaskError::new(format!("the history: {error}"));
        self.disk.create_dir_all(&self.dir).map_err(|error| failed(&error))?;
        let mut history = History::open(&self.dir.join(FILE), self.policy).map_err(|error| failed(&error))?;
        // Those that it was told of by processes before this one: what has left the estate since is told to have.
        let told = history.reader().components().map_err(|error| failed(&error))?;
        let mut known = Known { replaced: 0, components: told.into_iter().collect() };
        let mut batch = Batch::default();
        let mut announced = Vec::new();
        self.plans.mark_changed();
        let (mut tick, mut ticks, mut lost, mut more) = (tokio::time::interval(WRITE), 0, 0, false);
        loop {
            // Receiving and ticking are cancel-safe: what one would have given is still there for the next round.
            let over = tokio::select! {
                biased;
                () = shutdown.requested() => true,
                _ = tick.tick() => false,
                verdict = self.verdicts.recv() => {
                    match verdict {
                        Ok(verdict) => batch.changes.push(change(&verdict)),
                        Err(RecvError::Lagged(_)) => known.replaced = 0,
                        Err(RecvError::Closed) => return Ok(()),
                    }
                    continue;
                }
                signal = self.signals.recv() => {
                    match signal {
                        Ok(signal) if batch.len() < MAX_WAITING => take(&mut batch, &signal),
                        Ok(_) => lost += 1,
                        Err(RecvError::Lagged(n)) => lost += n,
                        Err(RecvError::Closed) => return Ok(()),
                    }
                    continue;
                }
            };
            if over {
                // All who tell have ended: what they said last is there.
                while let Ok(verdict) = self.verdicts.try_recv() {
                    batch.changes.push(change(&verdict));
                }
                while let Ok(signal) = self.signals.try_recv() {
                    take(&mut batch, &signal);
                }
            }
            self.catch_up(&mut known, &mut batch);
            self.announce(&mut announced, &mut batch);
            let written = history.write(self.clock.wall(), &batch).map_err(|error| failed(&error))?;
            batch = Batch::default();
            if lost > 0 || written.late + written.early + written.excess > 0 {
                tracing::warn!(code = "SW0460", lost, ?written, "the history lacks what could not be taken");
                lost = 0;
            }
            if over {
                return Ok(());
            }
            ticks += 1;
            if more || ticks % TEND == 0 {
                let tended = history.tend(self.clock.wall()).map_err(|error| failed(&error))?;
                more = tended.more;
                if tended.full {
                    tracing::warn!(
                        code = "SW0461",
                        "the history is at its limit, and lets go of what it should keep"
                    );
                }
            }
        }
    }

    /// Tells of components that came or went. As the history begins, and where changes were missed, that is all of them;
    /// of the time until now stands what was told before.
    fn catch_up(&self, known: &mut Known, batch: &mut Batch) {
        let replaced = self.board.replaced();
        if known.replaced == replaced {
            return;
        }
        let now = self.clock.wall();
        let verdicts = self.board.verdicts();
        let components: BTreeSet<_> = verdicts.iter().map(|verdict| verdict.component.clone()).collect();
        let all = known.replaced == 0;
        let came = verdicts.iter().filter(|verdict| all || !known.components.contains(&verdict.component));
        batch.changes.extend(came.map(|verdict| Change { since: now, ..change(verdict) }));
        let went = known.components.difference(&components).cloned();
        batch.changes.extend(went.map(|component| Change {
            component,
            status: None,
            since: now,
            cause: None,
        }));
        *known = Known { replaced, components };
    }

    /// Tells of work that is announced, and takes back what no longer is and was to come yet.
    fn announce(&mut self, announced: &mut Vec<Maintenance>, batch: &mut Batch) {
        if !self.plans.has_changed().unwrap_or(false) {
            return;
        }
        let work = self.plans.borrow_and_update().maintenance.clone();
        let now = self.clock.wall();
        let gone = announced.iter().filter(|before| before.until > now && !work.contains(before));
        batch.windows.extend(gone.map(|before| announce_one(before, true)));
        let came = work.iter().filter(|work| !announced.contains(work));
        batch.windows.extend(came.map(|work| announce_one(work, false)).take(MAX_WAITING));
        *announced = work;
    }
}

fn announce_one(work: &Maintenance, withdrawn: bool) -> Window {
    Window { component: work.component.clone(), since: work.from, until: work.until, withdrawn }
}

/// The components that the history has been told of.
struct Known {
    /// When the board was looked at last; 0 if never, or in vain.
    replaced: u64,
    components: BTreeSet<ComponentId>,
}

fn change(verdict: &Verdict) -> Change {
    Change {
        component: verdict.component.clone(),
        status: Some(verdict.status),
        since: verdict.since,
        cause: verdict.cause,
    }
}

fn take(batch: &mut Batch, signal: &Signal) {
    let Signal { source, seq, component, observed, .. } = signal;
    match &signal.fact {
        Fact::Check(check) => batch.checks.push(Check {
            source: source.clone(),
            seq: *seq,
            component: component.clone(),
            at: *observed,
            vantage: source.clone(),
            outcome: match check.outcome {
                Found::Ok => Outcome::Ok,
                Found::Failed => Outcome::Failed,
                Found::OwnTrouble => Outcome::Unknown,
            },
            latency_us: (check.latency_us > 0).then_some(check.latency_us),
            cause: check.cause,
        }),
        Fact::Affected(affected) => batch.affected.push(Stretched {
            source: source.clone(),
            seq: *seq,
            component: component.clone(),
            affected: affected.clone(),
        }),
        Fact::Traffic(_) | Fact::Head { .. } | Fact::Heads(_) | Fact::Breaker { .. } | Fact::Conductor(_) => {
        }
    }
}
