//! Where the data path's work runs: on threads of its own, or in a simulation's one thread.

use std::{any::Any, io, panic::AssertUnwindSafe, thread};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{runtime, sync::oneshot};

use super::TaskError;

/// Most threads a worker may block in name lookups.
const MAX_BLOCKING: usize = 16;

/// Where workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// Each on an operating-system thread with a runtime of its own.
    System,
    /// Among the other tasks of the one thread there is.
    Inline,
}

type Outcome = Result<Result<(), TaskError>, Box<dyn Any + Send>>;

impl Threads {
    /// Runs `work` to its end. If this future is dropped, so is `work`; on a thread of its own, with all it
    /// has spawned.
    pub(super) async fn run(
        self,
        name: &str,
        work: BoxFuture<'static, Result<(), TaskError>>,
    ) -> Result<(), TaskError> {
        match self {
            Self::Inline => work.await,
            Self::System => match start(name, work)?.await {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(TaskError::panicked(&*panic)),
                Err(_) => Err(TaskError::new("its thread could not make a runtime")),
            },
        }
    }
}

fn start(
    name: &str,
    work: BoxFuture<'static, Result<(), TaskError>>,
) -> io::Result<oneshot::Receiver<Outcome>> {
    let (mut done, outcome) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let Ok(runtime) =
            runtime::Builder::new_current_thread().enable_all().max_blocking_threads(MAX_BLOCKING).build()
        else {
            return;
        };
        let result = runtime.block_on(async {
            // Cancelling the work is what the second arm is for; the first loses nothing.
            tokio::select! {
                biased;
                result = AssertUnwindSafe(work).catch_unwind() => Some(result),
                () = done.closed() => None,
            }
        });
        // Ends what the work spawned before anybody hears of it, without waiting for blocked lookups.
        runtime.shutdown_background();
        if let Some(result) = result {
            // The error means that nobody waits any more.
            let _ = done.send(result);
        }
    })?;
    Ok(outcome)
}
