//! The TLS door: shakes hands with clients before they are served.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use seawall_model::Wall;
use seawall_runtime::{
    metrics::Metrics,
    net::{
        Conn,
        server_tls::{Accepted, ServerTls, ServerTlsError},
    },
};
use tokio::sync::Semaphore;

use crate::estate::TlsSection;

/// The TLS listeners of all workers.
pub(crate) struct Door {
    /// Where they listen.
    pub(crate) listen: Vec<SocketAddr>,
    /// Swapped whole on a reload: a handshake under way ends as it began, and what stands is left alone.
    manner: ArcSwap<Manner>,
    /// Handshakes that may be under way.
    turns: Semaphore,
    counts: Counts,
}

/// How hands are shaken.
struct Manner {
    server: ServerTls,
    limit: Duration,
}

#[derive(Default)]
struct Counts {
    shaken: AtomicU64,
    broken: AtomicU64,
    late: AtomicU64,
}

impl Door {
    /// A door as the estate has it.
    pub(crate) fn new(section: &TlsSection) -> Result<Arc<Self>, ServerTlsError> {
        let manner = Manner { server: section.server(None)?, limit: section.handshake };
        Ok(Arc::new(Self {
            listen: section.listen.clone(),
            manner: ArcSwap::from_pointee(manner),
            turns: Semaphore::new(section.handshakes),
            counts: Counts::default(),
        }))
    }

    /// Makes other certificates ready; nothing has changed until [`Self::change`].
    pub(crate) fn prepare(&self, section: &TlsSection) -> Result<Prepared, ServerTlsError> {
        let server = section.server(Some(&self.manner.load().server))?;
        Ok(Prepared(Manner { server, limit: section.handshake }))
    }

    /// From now on hands are shaken so.
    pub(crate) fn change(&self, to: Prepared) {
        self.manner.store(Arc::new(to.0));
    }

    /// Certificates that have ended by then, by name.
    pub(crate) fn ended(&self, now: Wall) -> Vec<String> {
        let manner = self.manner.load();
        manner.server.ends().filter(|(_, end)| *end <= now).map(|(name, _)| name.to_owned()).collect()
    }

    /// Shakes hands, once it is this client's turn; `None` if that came to nothing in time.
    pub(crate) async fn enter(&self, conn: Conn) -> Option<Accepted> {
        let manner = self.manner.load_full();
        let shake = async {
            // Never closed.
            let _turn = self.turns.acquire().await;
            manner.server.accept(conn).await
        };
        let (count, accepted) = match tokio::time::timeout(manner.limit, shake).await {
            Ok(Ok(accepted)) => (&self.counts.shaken, Some(accepted)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client's handshake failed");
                (&self.counts.broken, None)
            }
            Err(_) => (&self.counts.late, None),
        };
        count.fetch_add(1, Relaxed);
        accepted
    }

    /// Registers what is counted here.
    pub(crate) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let reading = Reading(self.clone());
        metrics.within("gateway", |registry| registry.register_collector(Box::new(reading)));
    }
}

/// Other certificates, ready.
pub(crate) struct Prepared(Manner);

struct Reading(Arc<Door>);

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading")
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counts = &self.0.counts;
        let outcomes = [("done", &counts.shaken), ("failed", &counts.broken), ("timeout", &counts.late)];
        let help = "TLS handshakes with clients";
        let mut family = encoder.encode_descriptor("tls_handshakes", help, None, MetricType::Counter)?;
        for (outcome, count) in outcomes {
            let count = ConstCounter::new(count.load(Relaxed));
            count.encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        let help = "When the certificate, or the first of its chain to end, ends; since the Unix epoch";
        let name = "tls_certificate_not_after_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (certificate, end) in self.0.manner.load().server.ends() {
            let end = ConstGauge::new(end.0 as f64 / 1_000.0);
            end.encode(family.encode_family(&[("certificate", certificate)])?)?;
        }
        Ok(())
    }
}
