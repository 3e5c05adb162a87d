//! Answers that nobody waits for any more.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::Pulse;

/// An answer on its way. If its client turns away before it comes, the pulse is told: begun for nothing, a request
/// costs its client a few bytes and an upstream a whole connection (CVE-2023-44487).
pub(super) struct Begun<F> {
    answer: F,
    pulse: Arc<Pulse>,
    is_over: bool,
}

impl<F> Begun<F> {
    pub(super) fn new(answer: F, pulse: Arc<Pulse>) -> Self {
        Self { answer, pulse, is_over: false }
    }
}

impl<F: Future + Unpin> Future for Begun<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = Pin::new(&mut self.answer).poll(cx);
        if answer.is_ready() && !self.is_over {
            self.is_over = true;
            self.pulse.answered();
        }
        answer
    }
}

impl<F> Drop for Begun<F> {
    fn drop(&mut self) {
        if !self.is_over {
            self.pulse.abandoned();
        }
    }
}
