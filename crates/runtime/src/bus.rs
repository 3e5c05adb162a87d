//! The embedded [`Bus`]: channels within the process.

use std::sync::Arc;

use seawall_model::{Signal, Verdict};
use tokio::sync::broadcast;

use crate::seam::Bus;

/// Signals a reader may be behind.
const MAX_SIGNALS: usize = 4096;

/// Verdicts a reader may be behind.
const MAX_VERDICTS: usize = 1024;

/// Signals and verdicts within one process.
#[derive(Debug, Clone)]
pub struct LocalBus {
    signals: broadcast::Sender<Arc<Signal>>,
    verdicts: broadcast::Sender<Arc<Verdict>>,
}

impl LocalBus {
    /// A bus with no readers yet.
    pub fn new() -> Self {
        Self { signals: broadcast::Sender::new(MAX_SIGNALS), verdicts: broadcast::Sender::new(MAX_VERDICTS) }
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus for LocalBus {
    fn signal(&self, signal: Signal) {
        // The error means that nobody listens.
        let _ = self.signals.send(Arc::new(signal));
    }

    fn verdict(&self, verdict: Verdict) {
        // The error means that nobody listens.
        let _ = self.verdicts.send(Arc::new(verdict));
    }

    fn signals(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.signals.subscribe()
    }

    fn verdicts(&self) -> broadcast::Receiver<Arc<Verdict>> {
        self.verdicts.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::{ComponentId, Fact, Wall};
    use tokio::sync::broadcast::error::RecvError;

    use super::*;

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_is_told() {
        let bus = LocalBus::new();
        let component: ComponentId = "upstream:eth/a".parse().unwrap();
        let mut slow = bus.signals();
        for seq in 0..MAX_SIGNALS as u64 + 5 {
            let fact = Fact::Head { number: seq, age_ms: 0, fault: None };
            let (source, component) = ("test".into(), component.clone());
            bus.signal(Signal { source, seq, component, observed: Wall(0), received: Wall(0), fact });
        }
        assert_eq!(slow.recv().await.unwrap_err(), RecvError::Lagged(5));
        assert_eq!(slow.recv().await.unwrap().seq, 5);
    }
}
