//! What goes into the journal.

use serde::{
    Deserialize, Serialize,
    de::{self, IntoDeserializer},
};

use crate::{ComponentId, Wall};

/// One entry of the journal: something that happened and must not be forgotten.
///
/// Only the envelope (kind, component, time and a salted hash of the payload) is public; the payload
/// can be erased. Neither may hold a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What happened.
    pub kind: RecordKind,
    /// To what; `None` for the node itself.
    pub component: Option<ComponentId>,
    /// When.
    pub at: Wall,
    /// The particulars, as JSON.
    pub payload: serde_json::Value,
}

/// What a record is about. New kinds are added at the end; none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// The node started.
    Start,
    /// The node stopped in order.
    Stop,
    /// A new estate was taken over.
    Reload,
    /// A new estate was refused; the old one runs on.
    ReloadRefused,
    /// A breaker changed.
    Breaker,
    /// What is believed of an upstream's chain changed.
    Head,
    /// A verdict changed.
    Verdict,
    /// An operator took an upstream out of service, or put it back.
    Cordon,
    /// A new signing key, signed over by the old one.
    KeyRotation,
    /// Records were lost, and how many.
    Gap,
    /// The log was restored from a back-up and cites the last checkpoint of the one before.
    Restored,
    /// A payload was erased.
    Erasure,
    /// A task failed.
    TaskFailed,
    /// An attempt failed through its upstream's fault: the first of its cause in a while.
    Fault,
    /// An operator or a plan set what a pool lets through.
    Mode,
    /// Who made requests in a minute, and what became of them.
    Affected,
}

impl RecordKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::Start,
        Self::Stop,
        Self::Reload,
        Self::ReloadRefused,
        Self::Breaker,
        Self::Head,
        Self::Verdict,
        Self::Cordon,
        Self::KeyRotation,
        Self::Gap,
        Self::Restored,
        Self::Erasure,
        Self::TaskFailed,
        Self::Fault,
        Self::Mode,
        Self::Affected,
    ];

    /// The kind that has this label.
    pub fn parse(label: &str) -> Option<Self> {
        let found: Result<Self, de::value::Error> = Self::deserialize(label.into_deserializer());
        found.ok()
    }

    /// The kind as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::ReloadRefused => "reload_refused",
            Self::Breaker => "breaker",
            Self::Head => "head",
            Self::Verdict => "verdict",
            Self::Cordon => "cordon",
            Self::KeyRotation => "key_rotation",
            Self::Gap => "gap",
            Self::Restored => "restored",
            Self::Erasure => "erasure",
            Self::TaskFailed => "task_failed",
            Self::Fault => "fault",
            Self::Mode => "mode",
            Self::Affected => "affected",
        }
    }
}

impl std::fmt::Display for RecordKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_by_its_label() {
        for (place, kind) in RecordKind::ALL.into_iter().enumerate() {
            assert_eq!((RecordKind::parse(kind.as_str()), kind as usize), (Some(kind), place));
        }
        assert_eq!(RecordKind::parse("Start"), None);
    }
}
