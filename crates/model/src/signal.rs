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
    /// What a probe found. The signal's source is the vantage point.
    Check(Check),
    /// Its heads by tag, as the source sees them now.
    Heads(Heads),
    /// What a sequencer's conductor says of it.
    Conductor(Conductor),
}

/// One result of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which of the component's probes.
    pub probe: Arc<str>,
    /// What it found.
    pub outcome: Outcome,
    /// Why it failed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// From the start to the whole answer, in microseconds.
    pub latency_us: u64,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All that was asked for.
    Ok,
    /// Not what was asked for.
    Failed,
    /// The prober's own network, resolver or clock is unwell: it says nothing of the component.
    OwnTrouble,
}

/// The heads of a chain by tag. A tag that was not asked for, or is not there, is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// The newest block, on the sequencer's word alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#unsafe: Option<Tagged>,
    /// The newest block that can be derived from the chain below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe: Option<Tagged>,
    /// The newest block that the chain below has made final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalized: Option<Tagged>,
}

/// A block that a tag points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// Its height.
    pub number: u64,
    /// Time since the block's own timestamp by the source's clock, in milliseconds; where the source does not read
    /// that, since it saw the tag move.
    pub age_ms: u64,
}

/// What a sequencer's conductor answers. `None` is what it did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conductor {
    /// It takes part: it is not paused (`conductor_active`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// It leads (`conductor_leader`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<bool>,
    /// It holds its sequencer to be well (`conductor_sequencerHealthy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// It votes, and so can be elected (`conductor_clusterMembership`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voter: Option<bool>,
    /// Its sequencer makes blocks (`admin_sequencerActive`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencing: Option<bool>,
    /// It has all it needs to lead and to hand on. No standard method tells; whoever provisions it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<bool>,
    /// Blocks that its sequencer is behind the newest unsafe head known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fact: &Fact, written: &str) {
        assert_eq!(serde_json::to_string(fact).unwrap(), written);
        assert_eq!(serde_json::from_str::<Fact>(written).unwrap(), *fact);
    }

    #[test]
    fn facts_are_read_as_they_were_always_written() {
        check(
            &Fact::Head { number: 7, age_ms: 20, fault: None },
            r#"{"fact":"head","number":7,"age_ms":20,"fault":null}"#,
        );
        let found = Check { probe: "http".into(), outcome: Outcome::OwnTrouble, cause: None, latency_us: 9 };
        check(
            &Fact::Check(found),
            r#"{"fact":"check","probe":"http","outcome":"own_trouble","latency_us":9}"#,
        );
        let heads = Heads { r#unsafe: Some(Tagged { number: 7, age_ms: 20 }), ..Heads::default() };
        check(&Fact::Heads(heads), r#"{"fact":"heads","unsafe":{"number":7,"age_ms":20}}"#);
        let conductor = Conductor { voter: Some(true), lag: Some(3), ..Conductor::default() };
        check(&Fact::Conductor(conductor), r#"{"fact":"conductor","voter":true,"lag":3}"#);
    }
}
