//! The journal, if the estate has one; otherwise records are logged and let go.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use seawall_model::Record;
use seawall_runtime::{
    Machine,
    seam::{NotRecorded, Receipt, Recorder},
};

use super::DaemonError;
use crate::estate::Estate;

/// What the admin listener shows of the journal.
pub(super) trait JournalPort: Send + Sync {
    /// The journal now.
    fn view(&self) -> serde_json::Value;
    /// Writes what is queued, weaves it into tiles and signs a last checkpoint.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// Where records go.
pub(super) struct Opened {
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) port: Option<Arc<dyn JournalPort>>,
}

impl Opened {
    pub(super) async fn close(&self) {
        if let Some(port) = &self.port {
            port.close().await;
        }
    }
}

/// Opens the estate's journal.
pub(super) fn open(_estate: &Estate, _machine: &Machine) -> Result<Opened, DaemonError> {
    Ok(Opened { recorder: Arc::new(Unkept), port: None })
}

/// Without a journal nothing is kept.
struct Unkept;

impl Recorder for Unkept {
    fn record(&self, record: Record) -> Receipt {
        tracing::debug!(kind = %record.kind, "not kept: the estate has no [journal]");
        Box::pin(std::future::ready(Err(NotRecorded::Stopped)))
    }
}
