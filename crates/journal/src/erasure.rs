//! The payload of an `erasure` record.

use seawall_model::RecordKind;
use serde::{Deserialize, Serialize};

/// Says that a payload was erased, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Erasure {
    /// The record whose payload was erased.
    pub(crate) index: u64,
    /// Why, in the words of whoever asked for it.
    pub(crate) reason: String,
}

impl Erasure {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// True if the payload of such a record may be erased. Those that the log itself needs may not.
pub(crate) fn may_be_erased(kind: RecordKind) -> bool {
    match kind {
        RecordKind::KeyRotation | RecordKind::Gap | RecordKind::Restored | RecordKind::Erasure => false,
        RecordKind::Start
        | RecordKind::Stop
        | RecordKind::Reload
        | RecordKind::ReloadRefused
        | RecordKind::Breaker
        | RecordKind::Head
        | RecordKind::Verdict
        | RecordKind::Cordon
        | RecordKind::TaskFailed
        | RecordKind::Fault
        | RecordKind::Mode
        | RecordKind::Affected => true,
    }
}
