//! Starts tasks, starts them again, and ends them in order.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio::{
    runtime::Handle,
    sync::{broadcast, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};
use tracing::{debug, error, warn};

use super::{Failure, Kind, OnFailure, Shutdown, Stage, State, TaskError, TaskStatus, Threads};
use crate::{
    clock::Clock,
    metrics::{Labels, Metrics},
};

/// What every stage of a drain gets, even when those before it have used up the time.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Ended tasks kept for operators to see.
const MAX_ENDED: usize = 64;

/// Failures a reader of [`Supervisor::failures`] may be behind.
const MAX_FAILURES: usize = 64;

/// Task names counted apart in metrics.
const MAX_NAMES: usize = 256;

/// Starts, watches and ends the tasks of a process. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    clock: Clock,
    runtime: Handle,
    stages: BTreeMap<Stage, watch::Sender<bool>>,
    tasks: Mutex<Tasks>,
    /// Changes whenever a task ends.
    ended: watch::Sender<()>,
    fatal: watch::Sender<Option<Failure>>,
    failures: broadcast::Sender<Failure>,
    names: Labels,
    failed: Family<Vec<(&'static str, Arc<str>)>, Counter>,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    all: BTreeMap<u64, Entry>,
}

struct Entry {
    status: TaskStatus,
    /// Missing for the moment between making the entry and starting the task.
    abort: Option<AbortHandle>,
}

type Make = Box<dyn FnMut(Shutdown) -> BoxFuture<'static, Result<(), TaskError>> + Send>;

impl Supervisor {
    /// A supervisor whose tasks run on the runtime it is made on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(clock: Clock, metrics: &Metrics) -> Self {
        let failed = Family::default();
        metrics.within("tasks", |registry| {
            registry.register("failures", "Failures of supervised tasks", failed.clone());
        });
        Self(Arc::new(Inner {
            clock,
            runtime: Handle::current(),
            stages: Stage::ALL.into_iter().map(|stage| (stage, watch::Sender::new(false))).collect(),
            tasks: Mutex::default(),
            ended: watch::Sender::new(()),
            fatal: watch::Sender::new(None),
            failures: broadcast::Sender::new(MAX_FAILURES),
            names: Labels::new(MAX_NAMES),
            failed,
        }))
    }

    /// Starts a task. `make` is called for every start of it. An `Ok` is its end, whenever it comes; an
    /// error or a panic is a failure, and `kind` says what follows.
    pub fn spawn<F, Fut>(&self, name: &str, kind: Kind, mut make: F)
    where
        F: FnMut(Shutdown) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        // `make` runs inside the future, so that its panics are the task's as well.
        self.start(name, kind, Box::new(move |shutdown| make(shutdown).boxed()));
    }

    /// Starts a task of the data path, the `index`th of its name, on a thread of its own if `threads`
    /// has them. What it needs of a runtime (sockets, timers) it must make inside its future.
    pub fn spawn_worker<F, Fut>(&self, threads: Threads, name: &str, index: usize, kind: Kind, mut make: F)
    where
        F: FnMut(Shutdown) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let full: Arc<str> = format!("{name}-{index}").into();
        let thread = full.clone();
        self.start(
            &full,
            kind,
            Box::new(move |shutdown| {
                let (thread, work) = (thread.clone(), make(shutdown).boxed());
                async move { threads.run(&thread, work).await }.boxed()
            }),
        );
    }

    /// Every task there is, and the last ones that ended, by name.
    pub fn status(&self) -> Vec<TaskStatus> {
        let mut list: Vec<_> = self.0.tasks().all.values().map(|entry| entry.status.clone()).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Every failure from now on. A reader that falls behind loses the oldest and is told how many.
    pub fn failures(&self) -> broadcast::Receiver<Failure> {
        self.0.failures.subscribe()
    }

    /// Resolves when a task has failed without which the process is not to go on.
    pub async fn fatal(&self) -> Failure {
        let mut seen = self.0.fatal.subscribe();
        match seen.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            // Its sender lives as long as this supervisor, so neither comes to pass.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Ends the tasks, stage by stage, within `limit`; what a stage has not ended by then is cut off, and
    /// its names are returned. Later stages get a moment even when the time is used up.
    pub async fn drain(&self, limit: Duration) -> Vec<Arc<str>> {
        let deadline = Instant::now() + limit;
        let mut cut = Vec::new();
        for (&stage, signal) in &self.0.stages {
            signal.send_replace(true);
            let until = deadline.max(Instant::now() + LAST_WORD);
            if timeout_at(until, self.ended(stage)).await.is_err() {
                for (name, abort) in self.0.living(stage) {
                    warn!(task = &*name, "cut off: it did not end in its time");
                    if let Some(abort) = abort {
                        abort.abort();
                    }
                    cut.push(name);
                }
            }
        }
        cut
    }

    /// Resolves when no task of a stage is left.
    async fn ended(&self, stage: Stage) {
        let mut ended = self.0.ended.subscribe();
        while !self.0.living(stage).is_empty() && ended.changed().await.is_ok() {}
    }

    fn start(&self, name: &str, kind: Kind, make: Make) {
        let inner = self.0.clone();
        let status = TaskStatus {
            name: name.into(),
            state: State::Running,
            on_failure: kind.on_failure.as_str(),
            stage: kind.stage,
            restarts: 0,
            since: inner.clock.wall(),
            last_error: None,
        };
        let id = inner.tasks().add(Entry { status, abort: None });
        let task = self.0.runtime.spawn(supervise(inner, id, kind, make));
        if let Some(entry) = self.0.tasks().all.get_mut(&id) {
            entry.abort = Some(task.abort_handle());
        }
    }
}

/// The life of a task, through all its restarts.
async fn supervise(inner: Arc<Inner>, id: u64, kind: Kind, mut make: Make) {
    let mut life = Life { inner, id, end: State::Cut };
    let inner = life.inner.clone();
    let Some(signal) = inner.stages.get(&kind.stage) else { return };
    let shutdown = Shutdown(signal.subscribe());
    let mut in_a_row = 0;
    loop {
        let began = Instant::now();
        let run = AssertUnwindSafe(async { make(shutdown.clone()).await }).catch_unwind().await;
        let failure = match run {
            Ok(Ok(())) => return life.end = State::Done,
            Ok(Err(error)) => error,
            Err(panic) => TaskError::panicked(&*panic),
        };
        let failure = inner.failure(id, failure);
        let backoff = match kind.on_failure {
            OnFailure::Restart(backoff) => backoff,
            OnFailure::StopProcess => {
                inner.fatal.send_if_modified(|first| first.is_none() && first.replace(failure).is_none());
                return life.end = State::Failed;
            }
            OnFailure::Log => return life.end = State::Failed,
        };
        in_a_row = if began.elapsed() >= backoff.most { 1 } else { in_a_row + 1 };
        let Some(delay) = backoff.delay(in_a_row) else {
            error!(task = &*failure.task, "given up after {} failures in a row", in_a_row);
            return life.end = State::Failed;
        };
        inner.change(id, |status| status.state = State::Restarting);
        // Neither arm loses anything: the wait is over, or not worth finishing.
        tokio::select! {
            biased;
            () = shutdown.requested() => return life.end = State::Failed,
            () = sleep(delay) => {}
        }
        inner.change(id, |status| {
            status.state = State::Running;
            status.restarts += 1;
        });
    }
}

/// Books the end of a task, even one that is cut off.
struct Life {
    inner: Arc<Inner>,
    id: u64,
    end: State,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.inner.change(self.id, |status| {
            status.state = self.end;
            debug!(task = &*status.name, end = ?self.end, "ended");
        });
        self.inner.tasks().forget_oldest_ended();
        self.inner.ended.send_replace(());
    }
}

impl Inner {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut TaskStatus)) {
        if let Some(entry) = self.tasks().all.get_mut(&id) {
            change(&mut entry.status);
            entry.status.since = self.clock.wall();
        }
    }

    /// Logs, counts and tells of a failure.
    fn failure(&self, id: u64, error: TaskError) -> Failure {
        let mut task: Arc<str> = "".into();
        self.change(id, |status| {
            status.last_error = Some(error.clone());
            task = status.name.clone();
        });
        error!(task = &*task, %error, "task failed");
        self.failed.get_or_create(&vec![("task", self.names.admit(&task))]).inc();
        let failure = Failure { task, error };
        // The error means that nobody listens.
        let _ = self.failures.send(failure.clone());
        failure
    }

    fn living(&self, stage: Stage) -> Vec<(Arc<str>, Option<AbortHandle>)> {
        let living = |s: &TaskStatus| s.stage == stage && s.state.is_alive();
        let tasks = self.tasks();
        let list = tasks.all.values().filter(|e| living(&e.status));
        list.map(|e| (e.status.name.clone(), e.abort.clone())).collect()
    }
}

impl Tasks {
    fn add(&mut self, entry: Entry) -> u64 {
        self.next += 1;
        self.all.insert(self.next, entry);
        self.next
    }

    fn forget_oldest_ended(&mut self) {
        let ended = || self.all.iter().filter(|(_, e)| !e.status.state.is_alive()).map(|(id, _)| *id);
        if ended().count() > MAX_ENDED
            && let Some(oldest) = ended().next()
        {
            self.all.remove(&oldest);
        }
    }
}

impl State {
    fn is_alive(self) -> bool {
        match self {
            Self::Running | Self::Restarting => true,
            Self::Done | Self::Failed | Self::Cut => false,
        }
    }
}
