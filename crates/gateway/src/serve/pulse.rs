//! Signs of life on a client's connection, and the end of one that shows none.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// How many times in its idle limit a connection is looked at.
const LOOKS: u32 = 4;
/// Requests that the client of an HTTP/2 connection may turn away from before they are answered; beyond it, only
/// as many as it has waited for.
const ABANDONED: u32 = 100;

/// What a connection has done lately. Bytes received are no sign of life: a client that takes for ever over
/// a request sends some too.
#[derive(Default)]
pub(crate) struct Pulse {
    /// Requests begun and pieces of answers taken by the client.
    beats: AtomicU32,
    /// Requests being answered.
    busy: AtomicU32,
    /// Requests that were answered, and that were turned away from (HTTP/2).
    answered: AtomicU32,
    abandoned: AtomicU32,
}

impl Pulse {
    /// Counts a request as being answered for as long as the guard lives.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        Busy(self.clone())
    }

    /// How much it has done so far.
    pub(super) fn beats(&self) -> u32 {
        self.beats.load(Relaxed)
    }

    /// The client waited for its answer.
    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// The client turned away from its request.
    pub(super) fn abandoned(&self) {
        self.abandoned.fetch_add(1, Relaxed);
    }

    /// The client took a piece of an answer.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Relaxed);
    }
}

/// A request being answered.
pub(crate) struct Busy(Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
        self.0.beat();
    }
}

/// Ends once a connection has shown no sign of life for its idle limit, or up to a quarter longer: one timer
/// for a connection's life is cheaper than one for each of its requests.
pub(crate) struct Idle {
    pulse: Arc<Pulse>,
    look: Duration,
    /// Beats at the last look, and how many looks have found no new one.
    beats: u32,
    quiet: u32,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    pub(crate) fn new(pulse: Arc<Pulse>, limit: Duration) -> Self {
        let look = limit / LOOKS;
        Self { pulse, look, beats: 0, quiet: 0, timer: Box::pin(tokio::time::sleep(look)) }
    }

    /// Does the client make requests to turn away from them?
    pub(super) fn is_harassed(&self) -> bool {
        let abandoned = self.pulse.abandoned.load(Relaxed);
        abandoned > ABANDONED && abandoned > self.pulse.answered.load(Relaxed)
    }

    /// Is it worth polling? Cheap to ask.
    pub(super) fn is_due(&self) -> bool {
        self.timer.is_elapsed()
    }
}

impl Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let beats = self.pulse.beats.load(Relaxed);
            let alive = beats != self.beats || self.pulse.busy.load(Relaxed) > 0;
            self.quiet = if alive { 0 } else { self.quiet + 1 };
            self.beats = beats;
            if self.quiet > LOOKS {
                return Poll::Ready(());
            }
            let next = Instant::now() + self.look;
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_within_a_quarter_over_its_limit() {
        let limit = Duration::from_secs(40);
        let pulse = Arc::new(Pulse::default());
        let began = Instant::now();
        let idle = Idle::new(pulse.clone(), limit);
        let life = async {
            for _ in 0..10 {
                tokio::time::sleep(limit - Duration::from_secs(1)).await;
                pulse.beat();
            }
            let busy = pulse.busy();
            tokio::time::sleep(limit * 10).await;
            drop(busy);
            Instant::now()
        };
        let (last, ended) = tokio::join!(life, async {
            idle.await;
            Instant::now()
        });
        assert!(ended - last >= limit && ended - last <= limit * 5 / 4 + Duration::from_millis(50));
        assert!(ended - began > limit * 19);
    }
}
