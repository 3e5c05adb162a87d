//! Logs, and which of them a filter wants (the filter object of `eth_getLogs` and its kin).

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Hash, hash::pairs, parse_quantity, scan};

/// Most topics a log has (EVM: LOG0 to LOG4).
const TOPICS: usize = 4;

/// An address.
pub type Address = [u8; 20];

/// What logs somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these addresses; of any, if there is none.
    addresses: Vec<Address>,
    /// One of these at each place; anything where there is none.
    topics: Vec<Vec<Hash>>,
    /// From this height, if it is told by number.
    from: Option<u64>,
    /// To this height, if it is told by number.
    to: Option<u64>,
}

/// The object is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the object is no filter of logs")]
pub struct NotAFilter;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawFilter {
    address: Option<OneOrMany>,
    topics: Option<Vec<Option<OneOrMany>>>,
    from_block: Option<String>,
    to_block: Option<String>,
    block_hash: Option<String>,
}

impl Filter {
    /// Reads a filter object. Tags for bounds bound nothing, since what is new is always beyond them.
    pub fn parse(object: &RawValue) -> Result<Self, NotAFilter> {
        if !object.get().starts_with('{') {
            return Err(NotAFilter);
        }
        let raw: RawFilter = serde_json::from_str(object.get()).map_err(|_| NotAFilter)?;
        if raw.block_hash.is_some() {
            return Err(NotAFilter); // a block that is there has nothing new
        }
        let addresses = raw.address.map(OneOrMany::all).unwrap_or_default();
        let addresses = addresses.iter().map(|a| address(a)).collect::<Option<_>>().ok_or(NotAFilter)?;
        let topics = raw.topics.unwrap_or_default();
        if topics.len() > TOPICS {
            return Err(NotAFilter);
        }
        let hashes = |one: Option<OneOrMany>| {
            let all = one.map(OneOrMany::all).unwrap_or_default();
            all.iter().map(|topic| topic.parse().map_err(|_| NotAFilter)).collect()
        };
        let topics = topics.into_iter().map(hashes).collect::<Result<_, _>>()?;
        let bound = |text: Option<String>| text.as_deref().and_then(parse_quantity);
        Ok(Self { addresses, topics, from: bound(raw.from_block), to: bound(raw.to_block) })
    }

    /// Does it want logs of that block at all?
    pub fn covers(&self, number: u64) -> bool {
        self.from.is_none_or(|from| number >= from) && self.to.is_none_or(|to| number <= to)
    }

    /// Of the heights from `from` to `to`, those that it covers.
    pub fn within(&self, from: u64, to: u64) -> (u64, u64) {
        (from.max(self.from.unwrap_or(from)), to.min(self.to.unwrap_or(to)))
    }

    /// Does it want this log, of a block that it covers?
    pub fn wants(&self, log: &Log) -> bool {
        let address = self.addresses.is_empty() || self.addresses.contains(&log.address);
        let topics = || {
            let mut places = self.topics.iter().enumerate();
            self.topics.len() <= log.topics.len()
                && places.all(|(i, any)| any.is_empty() || any.contains(&log.topics[i]))
        };
        address && topics()
    }
}

fn address(text: &str) -> Option<Address> {
    let mut address = [0; 20];
    let bytes = pairs(text).ok().filter(|bytes| bytes.len() == address.len())?;
    for (at, byte) in address.iter_mut().zip(bytes) {
        *at = byte.ok()?;
    }
    Some(address)
}

/// A log, as far as filters go by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Whose it is.
    pub address: Address,
    /// Up to four.
    pub topics: Vec<Hash>,
    /// Where it stands in [`Logs::text`].
    pub at: Range<usize>,
}

/// The logs of one block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    /// The logs, in the order of the chain.
    pub logs: Vec<Log>,
    /// The logs as JSON, one after the other.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog<'a> {
    address: &'a str,
    #[serde(borrow)]
    topics: Vec<&'a str>,
    block_hash: &'a str,
}

impl Logs {
    /// Reads the result of `eth_getLogs` for the block of that hash. `None` if it is no list of logs, or holds one
    /// of another block.
    pub fn parse(result: &RawValue, block: &Hash) -> Option<Self> {
        let items: Vec<&RawValue> = serde_json::from_str(result.get()).ok()?;
        let mut logs = Self { logs: Vec::with_capacity(items.len()), text: String::new() };
        for item in items {
            let raw: RawLog<'_> = serde_json::from_str(item.get()).ok()?;
            let from = logs.text.len();
            logs.text.push_str(item.get());
            logs.logs.push(Log {
                address: address(raw.address)?,
                topics: raw.topics.iter().map(|topic| topic.parse().ok()).collect::<Option<_>>()?,
                at: from..logs.text.len(),
            });
            if raw.block_hash.parse() != Ok(*block) {
                return None;
            }
        }
        Some(logs)
    }

    /// The same logs as they are told once their block has left the chain: marked so, the last one first.
    pub fn removed(&self) -> Self {
        let mut logs = Self { logs: Vec::with_capacity(self.logs.len()), text: String::new() };
        for log in self.logs.iter().rev() {
            let from = logs.text.len();
            let text = &self.text[log.at.clone()];
            logs.text.push('{');
            for (key, value) in scan::members(text) {
                if &text[key.clone()] == "removed" {
                    continue;
                }
                for part in ["\"", &text[key], "\":", &text[value], ","] {
                    logs.text.push_str(part);
                }
            }
            logs.text.push_str("\"removed\":true}");
            logs.logs.push(Log { at: from..logs.text.len(), ..log.clone() });
        }
        logs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    fn hash(n: u8) -> Hash {
        Hash([n; 32])
    }

    fn hex(n: u8) -> String {
        format!("0x{}", format!("{n:02x}").repeat(20))
    }

    fn logs(of: &[(u8, &[u8])]) -> Logs {
        let logs: Vec<_> = of
            .iter()
            .map(|(address, topics)| {
                let topics: Vec<_> = topics.iter().map(|t| hash(*t).to_string()).collect();
                json!({"address": hex(*address), "topics": topics, "blockHash": hash(9).to_string(), "removed": false})
            })
            .collect();
        Logs::parse(&raw(&json!(logs)), &hash(9)).unwrap()
    }

    #[test]
    fn filters_are_read() {
        let check =
            |object: Value, good: bool| assert_eq!(Filter::parse(&raw(&object)).is_ok(), good, "{object}");
        check(json!({}), true);
        check(
            json!({"address": hex(1), "topics": [null, hash(1).to_string(), [hash(2).to_string()], []]}),
            true,
        );
        check(json!({"address": [hex(1), hex(2)], "fromBlock": "latest", "toBlock": "0x5"}), true);
        check(json!({"address": "0x12"}), false);
        check(json!({"topics": ["0x12"]}), false);
        check(json!({"topics": [null, null, null, null, null]}), false);
        check(json!({"blockHash": hash(1).to_string()}), false);
        check(json!([]), false);
    }

    #[test]
    fn bounds_that_are_numbers_hold() {
        let filter = Filter::parse(&raw(&json!({"fromBlock": "0x5", "toBlock": "0x7"}))).unwrap();
        assert_eq!((3..10).filter(|n| filter.covers(*n)).collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!((filter.within(3, 10), filter.within(6, 6)), ((5, 7), (6, 6)));
        let filter = Filter::parse(&raw(&json!({"fromBlock": "latest"}))).unwrap();
        assert!(filter.covers(0));
        assert_eq!(filter.within(3, 10), (3, 10));
    }

    #[test]
    fn removed_logs_say_so_and_come_backwards() {
        let logs = logs(&[(1, &[1]), (2, &[])]);
        let removed = logs.removed();
        let read = |log: &Log| serde_json::from_str::<Value>(&removed.text[log.at.clone()]).unwrap();
        let told: Vec<_> = removed.logs.iter().map(read).collect();
        assert_eq!((&told[0]["address"], &told[1]["address"]), (&json!(hex(2)), &json!(hex(1))));
        assert!(told.iter().all(|log| log["removed"] == true));
        assert_eq!(removed.logs[1].topics, [hash(1)]);
        assert_eq!(Logs::default().removed(), Logs::default());
    }

    #[test]
    fn logs_of_another_block_are_none() {
        let list = json!([{"address": hex(1), "topics": [], "blockHash": hash(8).to_string()}]);
        assert_eq!(Logs::parse(&raw(&list), &hash(9)), None);
        assert_eq!(Logs::parse(&raw(&json!({})), &hash(9)), None);
        assert_eq!(Logs::parse(&raw(&json!([])), &hash(9)), Some(Logs::default()));
    }

    proptest! {
        /// Against the rules as the specification of `eth_getLogs` words them.
        #[test]
        fn a_filter_wants_what_the_rules_say(
            addresses in prop::collection::vec(0u8..3, 0..3),
            topics in prop::collection::vec(prop::collection::vec(0u8..3, 0..3), 0..5),
            address in 0u8..3,
            has in prop::collection::vec(0u8..3, 0..5),
        ) {
            let filter = Filter {
                addresses: addresses.iter().map(|a| [*a; 20]).collect(),
                topics: topics.iter().map(|any| any.iter().map(|t| hash(*t)).collect()).collect(),
                ..Filter::default()
            };
            let log = Log { address: [address; 20], topics: has.iter().map(|t| hash(*t)).collect(), at: 0..0 };
            let mut wanted = addresses.is_empty() || addresses.contains(&address);
            for (i, any) in topics.iter().enumerate() {
                wanted &= match has.get(i) {
                    None => false,
                    Some(topic) => any.is_empty() || any.contains(topic),
                };
            }
            prop_assert_eq!(filter.wants(&log), wanted);
        }
    }
}
