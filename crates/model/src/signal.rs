//! What a source saw.

use std::{collections::BTreeMap, sync::Arc};

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
    /// Who made requests of it, and what became of them.
    Affected(Affected),
}

/// Requests of a stretch of time, usually a minute, by what became of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Affected {
    /// From when.
    pub since: Wall,
    /// Until when.
    pub until: Wall,
    /// All of them.
    pub attempted: AffectedSum,
    /// Those that failed.
    pub failed: AffectedSum,
    /// Those that may have taken effect or not.
    pub unknown: AffectedSum,
}

/// What a number of requests add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AffectedSum {
    /// How many requests.
    pub requests: u64,
    /// How many customers made them: exact up to 256, then to 2.3 % (one standard error).
    pub customers: u64,
    /// What they were about: the sum per currency or asset, in decimal.
    pub value: BTreeMap<String, String>,
    /// Requests whose amount could not be read.
    pub unread: u64,
    /// Requests per country; `other` for those beyond the ones told apart.
    pub countries: BTreeMap<String, u64>,
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
