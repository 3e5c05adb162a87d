//! Supervised tasks: everything long-lived has a name, a kind that says what its failure means, and a
//! place in the order of shutdown.

mod supervisor;
mod threads;

use std::{any::Any, fmt, sync::Arc, time::Duration};

use seawall_model::Wall;
use serde::Serialize;
use tokio::sync::watch;

pub use supervisor::Supervisor;
pub use threads::Threads;

/// What a task's failure and the end of the process mean to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What is done when it fails (an error or a panic).
    pub on_failure: OnFailure,
    /// When in the drain it is told to end.
    pub stage: Stage,
}

/// What is done when a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is started again.
    Restart(Backoff),
    /// The process drains and ends; see [`Supervisor::fatal`].
    StopProcess,
    /// It is logged, and the rest goes on without it.
    Log,
}

/// The steps of a drain, in order. A stage begins when every task of the one before has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Stop taking new connections.
    Listeners,
    /// Finish what is in flight.
    Requests,
    /// Probes, polls, watchers.
    Background,
    /// Last, so that all of the above is in the journal.
    Journal,
}

impl Stage {
    /// Every stage, in the order of the drain.
    pub const ALL: [Self; 4] = [Self::Listeners, Self::Requests, Self::Background, Self::Journal];
}

/// How long to wait before starting a failed task again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first restart; it doubles with every failure in a row.
    pub first: Duration,
    /// The longest wait. A task that has run for this long is taken to be well again.
    pub most: Duration,
    /// Restarts in a row after which the task is given up.
    pub tries: u32,
}

impl Backoff {
    /// For what must run as long as the process does: 100 ms to 30 s, for ever.
    pub const FOR_EVER: Self =
        Self { first: Duration::from_millis(100), most: Duration::from_secs(30), tries: u32::MAX };

    /// The wait after the `failures`th failure in a row; `None` to give up.
    pub fn delay(&self, failures: u32) -> Option<Duration> {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        (failures <= self.tries).then(|| self.first.saturating_mul(doubled).min(self.most))
    }
}

/// Why a task ended before it was told to. Made from any error by `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError(Arc<str>);

impl TaskError {
    /// A failure told in words.
    pub fn new(why: impl Into<Arc<str>>) -> Self {
        Self(why.into())
    }

    fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self(format!("panicked: {}", panic_message(panic)).into())
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let said = panic.downcast_ref::<&str>().copied();
    said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The error and what caused it, down to the root. (Not itself an `Error`, so that `?` takes them all.)
impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(c) = cause {
            // Many errors already end in their cause.
            let c_text = c.to_string();
            if !text.ends_with(&c_text) {
                text.push_str(": ");
                text.push_str(&c_text);
            }
            cause = c.source();
        }
        Self(text.into())
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells a task that its turn to end has come.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Resolves once the task is to end, and at once ever after. May be cancelled and awaited anew.
    pub async fn requested(&self) {
        // The error means that the supervisor is gone, and with it the reason to go on.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// True once the task is to end.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// A task as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskStatus {
    /// Its name.
    pub name: Arc<str>,
    /// What it does now.
    pub state: State,
    /// What its failure means: `restart`, `stop_process` or `log`.
    pub on_failure: &'static str,
    /// When in the drain it ends.
    pub stage: Stage,
    /// How often it has been started again.
    pub restarts: u64,
    /// Since when it has been in this state.
    pub since: Wall,
    /// How it failed last, if it ever did.
    pub last_error: Option<TaskError>,
}

impl Serialize for TaskError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a task does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs.
    Running,
    /// It failed and waits to be started again.
    Restarting,
    /// It came to its end.
    Done,
    /// It failed and stays down.
    Failed,
    /// It did not end in its time and was cut off.
    Cut,
}

/// A task's failure, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose.
    pub task: Arc<str>,
    /// How.
    pub error: TaskError,
}

impl OnFailure {
    fn as_str(self) -> &'static str {
        match self {
            Self::Restart(_) => "restart",
            Self::StopProcess => "stop_process",
            Self::Log => "log",
        }
    }
}

#[cfg(test)]
mod tests;
