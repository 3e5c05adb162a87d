//! What a source saw.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Cause, ComponentId, Wall};

/// One timestamped fact about one component from one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Who saw it, as in `gateway` or `probe/eu-west-1`.
    pub source: Arc<str>,
    /// Counts the source's signals, so that a gap can be told from silence.
    pub seq: u64,
    /// What it is about.
    pub component: ComponentId,
    /// When the source saw it.
    pub observed: Wall,
    /// When this node received it.
    pub received: Wall,
    /// What was seen.
    pub fact: Fact,
}

/// What was seen of a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fact")]
pub enum Fact {
    /// A second of real traffic.
    Traffic(Traffic),
    /// The newest block it admits to, and what independent peers make of that.
    Head {
        /// Height of its newest block.
        number: u64,
        /// Time since its head last moved, in milliseconds.
        age_ms: u64,
        /// What is wrong with its chain, if anything is.
        fault: Option<Cause>,
    },
    /// Its breaker changed.
    Breaker {
        /// Method class the breaker is for.
        class: Arc<str>,
        /// True if traffic may go there.
        admitting: bool,
        /// Why it was ejected.
        cause: Option<Cause>,
    },
}

/// One second of traffic to one upstream in one method class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Method class.
    pub class: Arc<str>,
    /// Attempts that ended in the second.
    pub attempts: u64,
    /// Of those, the ones the upstream is to blame for.
    pub failures: u64,
    /// The most frequent cause among the failures.
    pub cause: Option<Cause>,
    /// Mean time to the whole answer, in microseconds.
    pub mean_us: u64,
}
