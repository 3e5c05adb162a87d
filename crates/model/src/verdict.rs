//! What Seawall believes.

use serde::{Deserialize, Serialize};

use crate::{Cause, ComponentId, Wall};

/// What Seawall believes of a component now, with the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it is about.
    pub component: ComponentId,
    /// The belief.
    pub status: Status,
    /// Since when it has been held.
    pub since: Wall,
    /// The first cause, where there is one.
    pub cause: Option<Cause>,
    /// Why, in words an operator can check.
    pub evidence: String,
}

/// Up, degraded, down or unknown. Ordered from best to worst news, `unknown` last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Does what it is for.
    Up,
    /// Does it worse, or in part.
    Degraded,
    /// Does not do it.
    Down,
    /// Nothing recent enough to say. Never counts as up, and never pages.
    Unknown,
}

impl Status {
    /// The status as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
