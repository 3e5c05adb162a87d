//! What the outside asks of the process: to read its estate again, or to end.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Read the estate again (SIGHUP).
    Reload,
    /// Have another process take this one's place (SIGUSR2).
    Upgrade,
    /// Drain and end (SIGTERM, or the first Ctrl-C).
    Stop,
    /// End now (any further SIGTERM or Ctrl-C).
    StopNow,
}

/// The events as they come.
pub struct Signals {
    source: Source,
    stopping: bool,
}

enum Source {
    System { hangup: Signal, interrupt: Signal, terminate: Signal, user: Signal },
    Simulated(mpsc::Receiver<Event>),
}

impl Signals {
    /// Those of the system. From now on none of them ends the process by itself.
    pub fn system() -> io::Result<Self> {
        let source = Source::System {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined2())?,
        };
        Ok(Self { source, stopping: false })
    }

    /// Those that a simulation sends.
    pub fn simulated() -> (mpsc::Sender<Event>, Self) {
        let (send, receive) = mpsc::channel(1);
        (send, Self { source: Source::Simulated(receive), stopping: false })
    }

    /// The next event. May be cancelled without losing one.
    pub async fn next(&mut self) -> Event {
        let event = match &mut self.source {
            // Every arm is cancel-safe: a signal not yet received stays pending.
            Source::System { hangup, interrupt, terminate, user } => tokio::select! {
                biased;
                Some(()) = interrupt.recv() => Event::Stop,
                Some(()) = terminate.recv() => Event::Stop,
                Some(()) = hangup.recv() => Event::Reload,
                Some(()) = user.recv() => Event::Upgrade,
                else => std::future::pending().await,
            },
            Source::Simulated(events) => match events.recv().await {
                Some(event) => event,
                None => std::future::pending().await,
            },
        };
        match event {
            Event::Stop if std::mem::replace(&mut self.stopping, true) => Event::StopNow,
            Event::Reload | Event::Upgrade | Event::Stop | Event::StopNow => event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_stop_is_at_once() {
        let (send, mut signals) = Signals::simulated();
        for (sent, wanted) in [
            (Event::Reload, Event::Reload),
            (Event::Stop, Event::Stop),
            (Event::Reload, Event::Reload),
            (Event::Stop, Event::StopNow),
        ] {
            send.send(sent).await.unwrap();
            assert_eq!(signals.next().await, wanted);
        }
    }
}
