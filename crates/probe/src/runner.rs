//! Makes many checks, each when it is due.
//!
//! One task waits for what is due and starts a task for each check under way. A failure at which nobody answered is
//! held back until the anchors have been asked after it ([`crate::core::own`]), so that no target is called down for the
//! prober's own network.

mod plan;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::FutureExt;
use seawall_model::Mono;
use tokio::{task::JoinSet, time::sleep_until};

pub(crate) use plan::spread;
pub use plan::{Plan, Planned};

use crate::{
    core::{
        check::Check,
        fault::{Doubt, Fault},
        own::{Judged, Own, Trouble},
        report::Report,
        schedule::{Next, Schedule, Turn},
    },
    metrics::Counters,
    prober::{Kept, Prober},
};

/// Most failures that are held back at once. Those beyond are told as the prober's own at once.
const MAX_HELD: usize = 20_000;
/// Longest time an anchor may take.
const ANCHOR_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the clocks are compared, and the gauges set.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A check that has been made.
#[derive(Debug)]
pub struct Finished {
    /// Its number in the plan that was split among the workers.
    pub number: usize,
    /// When it was due, and how late it was.
    pub turn: Turn,
    /// What was found.
    pub report: Report,
}

/// Takes what has been found. It is called on the runner's own task, and must not block.
pub type Sink = Arc<dyn Fn(Finished) + Send + Sync>;

/// Makes the checks of a plan.
pub struct Runner {
    prober: Arc<Prober>,
    checks: Vec<Planned>,
    anchors: Vec<Arc<Check>>,
    schedule: Schedule,
    own: Own,
    sink: Sink,
    counters: Arc<Counters>,
    /// Connections of checks that keep theirs.
    kept: Vec<Kept>,
    under_way: JoinSet<Ended>,
    /// Journeys under way that clean up behind them.
    owing: JoinSet<Ended>,
    round: JoinSet<bool>,
    failed_anchors: usize,
    /// Failures that wait for the anchors, and when they were seen.
    held: Vec<(Mono, Finished)>,
}

/// Journeys that go on after their runner has stopped, since they owe it to others to clean up. Dropped, they are cut short.
#[must_use]
pub struct Owing(JoinSet<Ended>);

impl Owing {
    /// Waits until the last has cleaned up: each within its own time.
    pub async fn done(mut self) {
        while self.0.join_next().await.is_some() {}
    }

    /// Is nothing owed any more?
    pub fn is_done(&mut self) -> bool {
        while self.0.try_join_next().is_some() {}
        self.0.is_empty()
    }
}

/// A check's task has ended.
struct Ended {
    turn: Turn,
    kept: Kept,
    report: Report,
}

impl Runner {
    /// A runner of that plan, from now on.
    pub fn new(prober: Arc<Prober>, plan: Plan, sink: Sink) -> Self {
        let schedule = Schedule::new(&plan.entries(prober.clock.mono()), plan.bounds);
        let anchors: Vec<_> = plan.anchors.into_iter().map(Arc::new).collect();
        Self {
            kept: plan.checks.iter().map(|_| Kept::default()).collect(),
            own: Own::new(anchors.len()),
            prober,
            checks: plan.checks,
            anchors,
            schedule,
            sink,
            counters: Arc::default(),
            under_way: JoinSet::new(),
            owing: JoinSet::new(),
            round: JoinSet::new(),
            failed_anchors: 0,
            held: Vec::new(),
        }
    }

    /// Counts on in the counters of a runner before it.
    #[must_use]
    pub fn counting(self, counters: Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// What it counts.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Makes checks until `stop` resolves; those under way then are given up, but for those that clean up: they go on, and
    /// nobody is told what they find.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Owing {
        let mut stop = std::pin::pin!(stop);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.begin_due();
            let until = wake.map(|at| self.prober.clock.instant(at));
            // A cancelled arm loses nothing: tasks stay in their sets, and what is due is looked at anew.
            tokio::select! {
                biased;
                () = &mut stop => return Owing(self.owing),
                // Rare ones first: there may always be a check that has just ended.
                _ = look.tick() => self.look(),
                Some(answered) = self.round.join_next() => self.take_anchor(answered.unwrap_or(false)),
                // A check's task catches panics, and nothing aborts it before the runner ends.
                Some(ended) = self.under_way.join_next() => ended.into_iter().for_each(|ended| self.take(ended)),
                Some(ended) = self.owing.join_next() => ended.into_iter().for_each(|ended| self.take(ended)),
                () = async {
                    match until {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Begins every check that is due, and says when to look again.
    fn begin_due(&mut self) -> Option<Mono> {
        // What has ended makes room for what is due.
        while let Some(ended) = self.under_way.try_join_next().or_else(|| self.owing.try_join_next()) {
            ended.into_iter().for_each(|ended| self.take(ended));
        }
        let anchors = self.begin_round();
        let due = loop {
            match self.schedule.next(self.prober.clock.mono()) {
                Next::Run(turn) => self.begin(turn),
                Next::Wait(until) => break Some(until),
                Next::Idle => break None,
            }
        };
        due.into_iter().chain(anchors).min()
    }

    fn begin(&mut self, turn: Turn) {
        self.counters.began(turn.lag, turn.missed);
        let (prober, check) = (self.prober.clone(), self.checks[turn.check].check.clone());
        let mut kept = std::mem::take(&mut self.kept[turn.check]);
        let tasks = if check.target.cleans_up() { &mut self.owing } else { &mut self.under_way };
        tasks.spawn(async move {
            let made = AssertUnwindSafe(prober.perform(&check, &mut kept)).catch_unwind().await;
            let report = made.unwrap_or_else(|_| {
                let mut report = Report::new(prober.clock.wall());
                report.fault = Some(Fault::Own { why: "the check panicked".to_owned() });
                report
            });
            Ended { turn, kept, report }
        });
    }

    /// Takes in what a check came to.
    fn take(&mut self, ended: Ended) {
        let now = self.prober.clock.mono();
        let Ended { turn, kept, report } = ended;
        self.schedule.done(turn.check, now);
        self.kept[turn.check] = kept;
        let planned = &self.checks[turn.check];
        if planned.check.resolver.is_none() && report.timings.dns_us.is_some() {
            let silent = matches!(report.fault, Some(Fault::DnsTimeout | Fault::DnsFailed { .. }));
            self.own.looked_up(now, spread(&planned.check.host()), !silent);
        }
        let finished = Finished { number: planned.number, turn, report };
        self.judge(now, finished, now);
    }

    /// Tells what is found, or holds it back until more is known.
    fn judge(&mut self, failed: Mono, finished: Finished, now: Mono) {
        let Some(fault) = &finished.report.fault else { return self.tell(finished, None) };
        match self.own.judge(now, failed, fault.doubt()) {
            Judged::Theirs => self.tell(finished, None),
            Judged::Own(trouble) => self.tell(finished, Some(trouble)),
            Judged::Later if self.held.len() >= MAX_HELD => self.tell(finished, Some(Trouble::Unsure)),
            Judged::Later => self.held.push((failed, finished)),
        }
    }

    fn tell(&mut self, mut finished: Finished, trouble: Option<Trouble>) {
        finished.report.own_trouble = trouble;
        self.counters.ended(finished.report.outcome(), finished.report.reused);
        (self.sink)(finished);
    }

    /// Asks the anchors if a failure waits for it; else says when that may be done.
    fn begin_round(&mut self) -> Option<Mono> {
        let wanted = !self.held.is_empty();
        if !self.own.begin_round(self.prober.clock.mono(), wanted) {
            return self.own.next_round().filter(|_| wanted);
        }
        self.failed_anchors = 0;
        for anchor in &self.anchors {
            let (prober, anchor) = (self.prober.clone(), anchor.clone());
            self.round.spawn(async move {
                let mut fresh = Kept::default();
                let made = prober.perform(&anchor, &mut fresh);
                // Whatever it answers, there is a network in between that carries answers.
                let fault = tokio::time::timeout(ANCHOR_TIMEOUT, made).await.map(|report| report.fault);
                fault.is_ok_and(|fault| fault.is_none_or(|fault| fault.doubt() != Doubt::Network))
            });
        }
        None
    }

    fn take_anchor(&mut self, answered: bool) {
        self.failed_anchors += usize::from(!answered);
        if !self.round.is_empty() {
            return;
        }
        self.own.end_round(self.failed_anchors);
        let now = self.prober.clock.mono();
        for (failed, finished) in std::mem::take(&mut self.held) {
            self.judge(failed, finished, now);
        }
    }

    fn look(&mut self) {
        let clock = self.prober.clock;
        self.own.clock(clock.mono(), clock.wall());
        let set = |gauge: &std::sync::atomic::AtomicU64, to: usize| gauge.store(to as u64, Relaxed);
        set(&self.counters.running, self.schedule.running());
        set(&self.counters.waiting, self.schedule.waiting());
        set(&self.counters.held, self.held.len());
        set(&self.counters.trouble, usize::from(self.own.trouble(clock.mono()).is_some()));
    }
}
