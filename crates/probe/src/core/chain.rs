//! What the parts of a rollup say: its execution nodes and op-nodes of the heads, its conductors of who leads.

use std::time::Duration;

use seawall_model::{Heads, Tagged, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{evm, expect::Expect, fault::Fault};

/// Answers of a batch that are looked at.
const MAX_ANSWERS: usize = 16;
/// Members of a cluster that are told.
const MAX_SERVERS: usize = 64;
/// Longest id of a member that is told, in characters.
pub const MAX_ID: usize = 64;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// An execution node: heads by tag, over `eth_getBlockByNumber`.
    Execution,
    /// A rollup's consensus node (op-node): its heads, and whether it makes blocks.
    OpNode,
    /// What decides which sequencer leads (op-conductor).
    Conductor,
}

impl Part {
    /// The part as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Execution => "execution",
            Self::OpNode => "op-node",
            Self::Conductor => "conductor",
        }
    }

    fn asks(self) -> &'static [Ask] {
        match self {
            Self::Execution => &[Ask::Latest, Ask::Safe, Ask::Finalized, Ask::Syncing, Ask::Peers],
            Self::OpNode => &[Ask::SyncStatus, Ask::Sequencing],
            Self::Conductor => &[Ask::Leader, Ask::Active, Ask::Healthy, Ask::Cluster],
        }
    }

    /// One batch (JSON-RPC 2.0, section 6) of all that it is asked.
    pub fn body(self) -> String {
        let call = |(id, ask): (usize, &Ask)| json!({ "jsonrpc": "2.0", "id": id, "method": ask.method(), "params": ask.params() });
        let calls: Vec<Value> = self.asks().iter().enumerate().map(call).collect();
        json!(calls).to_string()
    }
}

/// What is asked. The first of each part must be answered well, the rest need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Latest,
    Safe,
    Finalized,
    Syncing,
    Peers,
    SyncStatus,
    Sequencing,
    Leader,
    Active,
    Healthy,
    Cluster,
}

impl Ask {
    fn method(self) -> &'static str {
        match self {
            Self::Latest | Self::Safe | Self::Finalized => "eth_getBlockByNumber",
            Self::Syncing => "eth_syncing",
            Self::Peers => "net_peerCount",
            Self::SyncStatus => "optimism_syncStatus",
            Self::Sequencing => "admin_sequencerActive",
            Self::Leader => "conductor_leader",
            Self::Active => "conductor_active",
            Self::Healthy => "conductor_sequencerHealthy",
            Self::Cluster => "conductor_clusterMembership",
        }
    }

    fn params(self) -> Value {
        match self {
            Self::Latest => json!(["latest", false]),
            Self::Safe => json!(["safe", false]),
            Self::Finalized => json!(["finalized", false]),
            Self::Syncing | Self::Peers | Self::SyncStatus | Self::Sequencing => json!([]),
            Self::Leader | Self::Active | Self::Healthy | Self::Cluster => json!([]),
        }
    }
}

/// What a part said. `None` is what it did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChainFacts {
    /// Its heads.
    pub heads: Heads,
    /// Blocks it lacks, if it says that it is syncing.
    pub behind: Option<u64>,
    /// How many peers it has.
    pub peers: Option<u64>,
    /// It makes blocks (`admin_sequencerActive`).
    pub sequencing: Option<bool>,
    /// It leads (`conductor_leader`).
    pub leader: Option<bool>,
    /// It is neither paused nor stopped (`conductor_active`).
    pub active: Option<bool>,
    /// It holds its sequencer to be well (`conductor_sequencerHealthy`).
    pub healthy: Option<bool>,
    /// Who is in its cluster (`conductor_clusterMembership`), the first [`MAX_SERVERS`] of them.
    pub cluster: Vec<Server>,
}

/// A member of a conductors' cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Its id in the cluster.
    pub id: String,
    /// It votes, and so can be elected.
    pub voter: bool,
}

/// One answer of a batch.
#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<Value>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// An execution node's block; numbers as in `0x1b4`.
#[derive(Deserialize)]
struct Block {
    number: Value,
    timestamp: Value,
}

/// An op-node's `optimism_syncStatus`; numbers as they are.
#[derive(Deserialize)]
struct SyncStatus {
    unsafe_l2: Reference,
    safe_l2: Option<Reference>,
    finalized_l2: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    number: u64,
    /// In seconds; 0 while it knows of no such block.
    timestamp: u64,
}

/// The cluster with its version; op-conductors of old told of the servers alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cluster {
    Versioned { servers: Vec<Member> },
    Bare(Vec<Member>),
}

#[derive(Deserialize)]
struct Member {
    id: String,
    /// 0 votes, 1 does not (hashicorp/raft's `ServerSuffrage`).
    suffrage: u8,
}

impl ChainFacts {
    /// Reads what a part answered to [`Part::body`].
    ///
    /// # Errors
    /// If what must be answered was not.
    pub fn read(part: Part, status: u16, body: &[u8], now: Wall) -> Result<Self, Fault> {
        let asks = part.asks();
        let malformed = |why: &str| Fault::Malformed { why: why.to_owned() };
        let refused = |said| Fault::Rpc { method: asks[0].method(), said };
        let Ok(answers) = serde_json::from_slice::<Vec<&RawValue>>(body) else {
            // One error for the whole batch, as from a node that takes none.
            return Err(match serde_json::from_slice::<Answer<'_>>(body) {
                Ok(Answer { error: Some(error), .. }) => refused(said(error)),
                Ok(_) | Err(_) if status >= 400 => Fault::HttpStatus { status, wanted: "200".to_owned() },
                Ok(_) | Err(_) => malformed("no answer to a JSON-RPC batch"),
            });
        };
        let mut facts = Self::default();
        let mut missing = Some(malformed("the batch's first call is not answered"));
        for answer in answers.into_iter().take(MAX_ANSWERS) {
            let Ok(answer) = serde_json::from_str::<Answer<'_>>(answer.get()) else { continue };
            let place = answer.id.and_then(|id| usize::try_from(id.as_u64()?).ok());
            let Some((place, ask)) = place.and_then(|place| Some((place, *asks.get(place)?))) else {
                continue;
            };
            let taken = match (answer.result, answer.error) {
                (Some(result), _) => facts.take(ask, result, now),
                (None, Some(error)) => Err(refused(said(error))),
                (None, None) => Err(malformed("an answer without a result")),
            };
            if place == 0 {
                missing = taken.err();
            }
        }
        missing.map_or(Ok(facts), Err)
    }

    fn take(&mut self, ask: Ask, result: &RawValue, now: Wall) -> Result<(), Fault> {
        let text = result.get();
        let truth = || serde_json::from_str::<bool>(text).ok();
        let taken = match ask {
            Ask::Latest => set(&mut self.heads.r#unsafe, block(text, now)),
            Ask::Safe => set(&mut self.heads.safe, block(text, now)),
            Ask::Finalized => set(&mut self.heads.finalized, block(text, now)),
            Ask::Syncing => set(&mut self.behind, parsed(text).as_ref().and_then(evm::behind)),
            Ask::Peers => set(&mut self.peers, parsed(text).as_ref().and_then(evm::quantity)),
            Ask::SyncStatus => match serde_json::from_str::<SyncStatus>(text) {
                Ok(status) => {
                    let tag = |seen: Option<Reference>| {
                        seen.filter(|seen| seen.timestamp > 0).map(|r| tagged(r.number, r.timestamp, now))
                    };
                    let [safe, finalized] = [status.safe_l2, status.finalized_l2].map(tag);
                    self.heads = Heads { r#unsafe: tag(Some(status.unsafe_l2)), safe, finalized };
                    self.heads.r#unsafe.is_some()
                }
                Err(_) => false,
            },
            Ask::Sequencing => set(&mut self.sequencing, truth()),
            Ask::Leader => set(&mut self.leader, truth()),
            Ask::Active => set(&mut self.active, truth()),
            Ask::Healthy => set(&mut self.healthy, truth()),
            Ask::Cluster => {
                let members = match serde_json::from_str(text) {
                    Ok(Cluster::Versioned { servers } | Cluster::Bare(servers)) => servers,
                    Err(_) => Vec::new(),
                };
                let server = |m: Member| Server { id: evm::shown(&m.id, MAX_ID), voter: m.suffrage == 0 };
                self.cluster = members.into_iter().take(MAX_SERVERS).map(server).collect();
                true
            }
        };
        let why = || Fault::Malformed { why: format!("{} is not answered as it should be", ask.method()) };
        taken.then_some(()).ok_or_else(why)
    }

    /// Judges what was said.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, expect: &Expect) -> Result<(), Fault> {
        if let Some(why) = self.unfit() {
            return Err(Fault::Unfit { why: why.to_owned() });
        }
        if let Some(behind) = self.behind {
            return Err(Fault::Syncing { behind });
        }
        let age = self.heads.r#unsafe.map(|newest| Duration::from_millis(newest.age_ms));
        match (age, expect.head_age) {
            (Some(age), Some(limit)) if age > limit => Err(Fault::HeadOld { age, limit }),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Why its sequencer could not take over, if it says so.
    fn unfit(&self) -> Option<&'static str> {
        match (self.active, self.healthy) {
            (Some(false), Some(false)) => Some("it is paused, and holds its sequencer to be unwell"),
            (Some(false), _) => Some("it is paused"),
            (_, Some(false)) => Some("it holds its sequencer to be unwell"),
            (_, _) => None,
        }
    }

    /// True if the member of that id votes in the cluster; `None` if the part told of no cluster.
    pub fn voter(&self, id: &str) -> Option<bool> {
        if self.cluster.is_empty() {
            return None;
        }
        Some(self.cluster.iter().any(|server| server.id == id && server.voter))
    }
}

/// Puts it there. True if there is something.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// What an error says, fit to be shown.
fn said(error: &RawValue) -> String {
    let error = parsed(error.get()).unwrap_or(Value::Null);
    let text = error.get("message").and_then(Value::as_str).or(error.as_str());
    evm::shown(text.unwrap_or("no reason"), evm::MAX_TEXT)
}

fn block(text: &str, now: Wall) -> Option<Tagged> {
    let block = serde_json::from_str::<Block>(text).ok()?;
    Some(tagged(evm::quantity(&block.number)?, evm::quantity(&block.timestamp)?, now))
}

/// A block with its age going by the two clocks; its own counts whole seconds.
fn tagged(number: u64, stamp: u64, now: Wall) -> Tagged {
    let stamp = Wall(i64::try_from(stamp).unwrap_or(i64::MAX).saturating_mul(1_000));
    Tagged { number, age_ms: u64::try_from(now.since(stamp).as_millis()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_754_374_032_500);

    #[track_caller]
    fn check(part: Part, body: &str, wanted: Result<&str, &str>) -> ChainFacts {
        let read = ChainFacts::read(part, 200, body.as_bytes(), NOW);
        let judged = read.clone().and_then(|facts| facts.judge(&Expect::default()));
        match (&read, wanted) {
            (Ok(_), Ok("")) => assert_eq!(judged, Ok(())),
            (Ok(_), Ok(wanted)) => assert_eq!(judged.unwrap_err().to_string(), wanted),
            (Err(fault), Err(wanted)) => assert_eq!(fault.to_string(), wanted),
            (read, wanted) => panic!("{read:?}, not {wanted:?}"),
        }
        read.unwrap_or_default()
    }

    #[test]
    fn everything_is_asked_in_one_batch() {
        let body: Value = serde_json::from_str(&Part::Conductor.body()).unwrap();
        let methods: Vec<_> = body.as_array().unwrap().iter().map(|call| &call["method"]).collect();
        assert_eq!(methods[..2], ["conductor_leader", "conductor_active"]);
        assert!(Part::Execution.body().contains(r#""params":["finalized",false]"#));
    }

    #[test]
    fn heads_of_an_execution_node_are_read_whatever_their_order() {
        let block = |id, number, stamp| {
            format!(r#"{{"id":{id},"result":{{"number":"{number}","timestamp":"{stamp}","hash":"0x0"}}}}"#)
        };
        let newest = block(0, "0x10", "0x68919f8e");
        let rest = [block(1, "0xa", "0x68919f00"), r#"{"id":2,"error":{"message":"none"}}"#.into()];
        let more = r#"{"id":4,"result":"0x5"},{"id":3,"result":false},{"id":99,"result":1},{"id":"0"},7"#;
        let facts = check(Part::Execution, &format!("[{more},{},{},{newest}]", rest[1], rest[0]), Ok(""));
        let age_ms = |stamp: u64| u64::try_from(NOW.0).unwrap() - stamp * 1_000;
        let newest_of = Tagged { number: 16, age_ms: age_ms(0x6891_9f8e) };
        assert_eq!(facts.heads.r#unsafe, Some(newest_of));
        assert_eq!(facts.heads.safe, Some(Tagged { number: 10, age_ms: age_ms(0x6891_9f00) }));
        assert_eq!((facts.heads.finalized, facts.peers, facts.behind), (None, Some(5), None));
        let behind = r#"{"id":3,"result":{"currentBlock":"0x1","highestBlock":"0x3"}}"#;
        check(Part::Execution, &format!("[{newest},{behind}]"), Ok("the node is syncing, 2 blocks behind"));
        let old = Expect { head_age: Some(Duration::from_millis(newest_of.age_ms - 1)), ..Expect::default() };
        assert_eq!(facts.judge(&old).unwrap_err().kind(), "head_old");
    }

    #[test]
    fn an_op_node_tells_of_three_heads_and_whether_it_makes_blocks() {
        let reference = |number, stamp| format!(r#"{{"hash":"0x1","number":{number},"timestamp":{stamp}}}"#);
        let status = format!(
            r#"[{{"id":0,"result":{{"current_l1":{{}},"unsafe_l2":{},"safe_l2":{},"finalized_l2":{}}}}},{{"id":1,"result":true}}]"#,
            reference(50, 1_754_374_030),
            reference(40, 1_754_374_010),
            reference(0, 0)
        );
        let facts = check(Part::OpNode, &status, Ok(""));
        assert_eq!(facts.heads.r#unsafe, Some(Tagged { number: 50, age_ms: 2_500 }));
        assert_eq!(facts.heads.safe, Some(Tagged { number: 40, age_ms: 22_500 }));
        assert_eq!((facts.heads.finalized, facts.sequencing), (None, Some(true)));
        let bad = r#"[{"id":0,"result":{"unsafe_l2":{"number":-1,"timestamp":1}}}]"#;
        let why = "the answer is not what the protocol has it be: optimism_syncStatus is not answered as it should be";
        check(Part::OpNode, bad, Err(why));
    }

    #[test]
    fn a_conductor_tells_who_leads_and_who_votes() {
        let cluster = r#"[{"id":"a","addr":"a:1","suffrage":0},{"id":"b","addr":"b:1","suffrage":1}]"#;
        let of = |healthy: bool, cluster: &str| {
            format!(
                r#"[{{"id":0,"result":false}},{{"id":1,"result":true}},{{"id":2,"result":{healthy}}},{{"id":3,"result":{cluster}}}]"#
            )
        };
        let versioned = format!(r#"{{"servers":{cluster},"version":3}}"#);
        for cluster in [cluster, &versioned] {
            let facts = check(Part::Conductor, &of(true, cluster), Ok(""));
            assert_eq!((facts.leader, facts.active, facts.healthy), (Some(false), Some(true), Some(true)));
            assert_eq!(["a", "b", "c"].map(|id| facts.voter(id)), [Some(true), Some(false), Some(false)]);
        }
        let facts = check(
            Part::Conductor,
            &of(false, "null"),
            Ok("it could not take over: it holds its sequencer to be unwell"),
        );
        assert_eq!(facts.voter("a"), None);
    }

    #[test]
    fn a_node_that_takes_no_batches_is_named() {
        let no = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch limit\u0007 0"}}"#;
        check(Part::Conductor, no, Err("the node answers conductor_leader with an error: batch limit 0"));
        let missing = r#"[{"id":0,"error":{"message":"method not found"}}]"#;
        check(
            Part::Conductor,
            missing,
            Err("the node answers conductor_leader with an error: method not found"),
        );
        for bad in ["", "{}", "[", "7"] {
            let why = "the answer is not what the protocol has it be: no answer to a JSON-RPC batch";
            check(Part::Execution, bad, Err(why));
        }
        for bad in ["[]", "[{}]", "[[]]"] {
            let why = "the answer is not what the protocol has it be: the batch's first call is not answered";
            check(Part::Execution, bad, Err(why));
        }
        let status = ChainFacts::read(Part::OpNode, 502, b"<html>", NOW).unwrap_err();
        assert_eq!(status.kind(), "http_status");
    }
}
