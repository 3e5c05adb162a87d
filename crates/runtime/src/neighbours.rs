//! Signals between processes of one machine that run different parts of the house.
//!
//! Whoever judges signals has a Unix datagram socket; whoever sees something sends there and never waits. A reader that is
//! gone, or behind, costs a sender nothing but the signal, which is told anew within a second.

use std::{
    fs::DirBuilder,
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt},
        net::UnixDatagram as Plain,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use seawall_model::Signal;
use tokio::{
    net::UnixDatagram,
    sync::broadcast::{Receiver, error::RecvError},
};

use crate::{
    clock::Clock,
    seam::Bus,
    tasks::{Shutdown, TaskError},
};

/// Largest signal, in bytes.
pub const MAX_SIGNAL: usize = 64 * 1024;

/// Where neighbours find each other: a directory that nobody else may look into.
#[derive(Debug, Clone)]
pub struct Neighbours {
    dir: PathBuf,
    counts: Counts,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    sent: Counter,
    lost: Counter,
    heard: Counter,
    unread: Counter,
}

impl Neighbours {
    /// In that directory, which is made when it is first needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, counts: Counts::default() }
    }

    /// Registers what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let Counts { sent, lost, heard, unread } = self.counts.clone();
        registry.register("signals_sent", "Signals sent to another process", sent);
        registry.register("signals_lost", "Signals that no other process took", lost);
        registry.register("signals_heard", "Signals heard from another process", heard);
        registry.register("signals_unread", "Messages of other processes that are no signals", unread);
    }

    fn at(&self) -> PathBuf {
        self.dir.join("signals.sock")
    }

    /// Sends what this process sees to whoever judges it, until told to stop.
    ///
    /// # Errors
    /// If no socket can be had.
    pub async fn send(
        &self,
        mut signals: Receiver<Arc<Signal>>,
        shutdown: Shutdown,
    ) -> Result<(), TaskError> {
        let socket = UnixDatagram::unbound().map_err(|e| self.failed("make", &e))?;
        let to = self.at();
        loop {
            let signal = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                signal = signals.recv() => match signal {
                    Ok(signal) => signal,
                    Err(RecvError::Lagged(lost)) => {
                        self.counts.lost.inc_by(lost);
                        continue;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
            };
            let sent = write(&signal).is_some_and(|text| socket.try_send_to(&text, &to).is_ok());
            if sent {
                self.counts.sent.inc()
            } else {
                self.counts.lost.inc()
            };
        }
    }

    /// Publishes what other processes see on this one's bus, until told to stop.
    ///
    /// # Errors
    /// If the socket cannot be had, as when another process has it.
    pub async fn hear(&self, bus: &dyn Bus, clock: Clock, shutdown: Shutdown) -> Result<(), TaskError> {
        let socket = self.open().map_err(|e| self.failed("listen at", &e))?;
        // One more than any signal has: what is longer shows.
        let mut message = vec![0; MAX_SIGNAL + 1];
        loop {
            let length = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                got = socket.recv(&mut message) => got.map_err(|e| self.failed("read from", &e))?,
            };
            match read(&message[..length]) {
                Some(signal) => {
                    self.counts.heard.inc();
                    bus.signal(Signal { received: clock.wall(), ..signal });
                }
                None => {
                    self.counts.unread.inc();
                }
            }
        }
    }

    fn open(&self) -> io::Result<UnixDatagram> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let at = self.at();
        if is_taken(&at) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process judges signals"));
        }
        // What a process that is gone has left.
        if std::fs::symlink_metadata(&at).is_ok_and(|m| m.file_type().is_socket()) {
            std::fs::remove_file(&at)?;
        }
        UnixDatagram::bind(at)
    }

    fn failed(&self, what: &str, error: &io::Error) -> TaskError {
        TaskError::new(format!("cannot {what} {}: {error}", self.at().display()))
    }
}

/// Does somebody listen there?
fn is_taken(at: &Path) -> bool {
    Plain::unbound().and_then(|socket| socket.connect(at)).is_ok()
}

/// A signal as neighbours are sent it; `None` if it is too long.
pub fn write(signal: &Signal) -> Option<Vec<u8>> {
    serde_json::to_vec(signal).ok().filter(|text| text.len() <= MAX_SIGNAL)
}

/// The signal in a message of a neighbour's, if it is one.
pub fn read(message: &[u8]) -> Option<Signal> {
    if message.len() > MAX_SIGNAL {
        return None;
    }
    serde_json::from_slice(message).ok()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use seawall_model::{Fact, Wall};

    use super::*;
    use crate::{
        bus::LocalBus,
        metrics::Metrics,
        tasks::{Kind, OnFailure, Stage, Supervisor},
    };

    fn signal(seq: u64) -> Signal {
        let fact = Fact::Head { number: seq, age_ms: 0, fault: None };
        let component = "upstream:eth/a".parse().unwrap();
        Signal {
            source: "gateway".into(),
            seq,
            component,
            observed: Wall(seq as i64),
            received: Wall(0),
            fact,
        }
    }

    #[tokio::test]
    async fn signals_reach_whoever_judges_them_again_after_it_was_gone() {
        let dir = tempfile::tempdir().unwrap();
        let neighbours = Neighbours::new(dir.path().join("bus"));
        let clock = Clock::system();
        let kind = Kind { on_failure: OnFailure::Log, stage: Stage::Background };
        let here = LocalBus::new();
        let sending = Supervisor::new(clock, &Metrics::new());
        let (n, signals) = (neighbours.clone(), std::sync::Mutex::new(Some(here.signals())));
        sending.spawn("send", kind, move |shutdown| {
            let (n, signals) = (n.clone(), signals.lock().unwrap().take().unwrap());
            async move { n.send(signals, shutdown).await }
        });
        for round in 1..=2_u64 {
            let there = Arc::new(LocalBus::new());
            let mut heard = there.signals();
            let judging = Supervisor::new(clock, &Metrics::new());
            let (n, bus) = (neighbours.clone(), there.clone());
            judging.spawn("hear", kind, move |shutdown| {
                let (n, bus) = (n.clone(), bus.clone());
                async move { n.hear(&*bus, clock, shutdown).await }
            });
            // What is sent before anybody listens is lost, and told again.
            let got = loop {
                here.signal(signal(round));
                if let Ok(Ok(got)) = tokio::time::timeout(Duration::from_millis(20), heard.recv()).await {
                    break got;
                }
            };
            assert_eq!((got.seq, &got.fact), (round, &signal(round).fact));
            assert!(got.received > Wall(0));
            let mode = std::fs::metadata(dir.path().join("bus")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            assert!(neighbours.open().unwrap_err().to_string().contains("another process"));
            judging.drain(Duration::from_secs(5)).await;
        }
        sending.drain(Duration::from_secs(5)).await;
    }

    #[test]
    fn what_is_no_signal_or_too_long_is_not_read() {
        let text = write(&signal(7)).unwrap();
        assert_eq!(read(&text), Some(signal(7)));
        assert_eq!(read(&text[1..]), None);
        assert_eq!(read(&[text, vec![b' '; MAX_SIGNAL]].concat()), None);
    }
}
