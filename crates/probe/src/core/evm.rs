//! What an EVM chain's node says of its head.

use std::time::Duration;

use seawall_model::Wall;
use serde::Serialize;
use serde_json::{Value, json};

use super::{expect::Expect, fault::Fault};

/// Longest text of a node that is told, in characters.
pub(super) const MAX_TEXT: usize = 120;

/// What a chain's node said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EvmFacts {
    /// Its newest block.
    pub latest: Option<BlockFacts>,
    /// Its newest block that is safe, if it knows of any.
    pub safe: Option<BlockFacts>,
    /// Its newest block that is final, if it knows of any.
    pub finalized: Option<BlockFacts>,
    /// Blocks it lacks, if it says that it is syncing.
    pub behind: Option<u64>,
    /// How many peers it has, if it tells.
    pub peers: Option<u64>,
    /// What it says it is.
    pub client: Option<String>,
    /// Price of gas in wei, if it tells and that is below 2^64.
    pub gas_price: Option<u64>,
}

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlockFacts {
    /// Its height.
    pub number: u64,
    /// How old it was when it was asked for, in seconds, going by the two clocks.
    pub age_s: u64,
}

/// What a node is asked, in this order. The first must be answered well, the rest need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The newest block.
    Latest,
    /// Whether it is syncing.
    Syncing,
    /// The newest safe block.
    Safe,
    /// The newest final block.
    Finalized,
    /// Its peers.
    Peers,
    /// What it is.
    Client,
    /// The price of gas.
    GasPrice,
}

impl Ask {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Latest, Self::Syncing, Self::Safe, Self::Finalized, Self::Peers, Self::Client, Self::GasPrice];

    /// The method.
    pub fn method(self) -> &'static str {
        match self {
            Self::Latest | Self::Safe | Self::Finalized => "eth_getBlockByNumber",
            Self::Syncing => "eth_syncing",
            Self::Peers => "net_peerCount",
            Self::Client => "web3_clientVersion",
            Self::GasPrice => "eth_gasPrice",
        }
    }

    /// The request's body.
    pub fn body(self) -> String {
        let params = match self {
            Self::Latest => json!(["latest", false]),
            Self::Safe => json!(["safe", false]),
            Self::Finalized => json!(["finalized", false]),
            Self::Syncing | Self::Peers | Self::Client | Self::GasPrice => json!([]),
        };
        json!({ "jsonrpc": "2.0", "id": 1, "method": self.method(), "params": params }).to_string()
    }
}

impl EvmFacts {
    /// Takes an answer in.
    ///
    /// # Errors
    /// If it was one that is needed, and is none.
    pub fn take(&mut self, ask: Ask, status: u16, body: &[u8], now: Wall) -> Result<(), Fault> {
        let said = result(body).map_err(|said| match said {
            Some(said) => Fault::Rpc { method: ask.method(), said },
            None if status >= 400 => Fault::HttpStatus { status, wanted: "200".to_owned() },
            None => Fault::Malformed { why: "no JSON-RPC answer".to_owned() },
        });
        let value = match (said, ask) {
            (Ok(value), _) => value,
            (Err(fault), Ask::Latest) => return Err(fault),
            (Err(_), _) => return Ok(()),
        };
        match ask {
            Ask::Latest => {
                let read = block(&value, now);
                let malformed = || Fault::Malformed { why: "the newest block is none".to_owned() };
                self.latest = Some(read.ok_or_else(malformed)?);
            }
            Ask::Safe => self.safe = block(&value, now),
            Ask::Finalized => self.finalized = block(&value, now),
            Ask::Syncing => self.behind = behind(&value),
            Ask::Peers => self.peers = quantity(&value),
            Ask::Client => self.client = value.as_str().map(|text| shown(text, MAX_TEXT)),
            Ask::GasPrice => self.gas_price = quantity(&value),
        }
        Ok(())
    }

    /// Judges what was said.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, expect: &Expect) -> Result<(), Fault> {
        if let Some(behind) = self.behind {
            return Err(Fault::Syncing { behind });
        }
        match (self.latest, expect.head_age) {
            (Some(latest), Some(limit)) if Duration::from_secs(latest.age_s) > limit => {
                Err(Fault::HeadOld { age: Duration::from_secs(latest.age_s), limit })
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// The result of a JSON-RPC answer; of an error, what it says.
fn result(body: &[u8]) -> Result<Value, Option<String>> {
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| None)?;
    if let Some(error) = answer.get("error").filter(|e| !e.is_null()) {
        let said = error.get("message").and_then(Value::as_str).or(error.as_str()).unwrap_or("no reason");
        return Err(Some(shown(said, MAX_TEXT)));
    }
    answer.get_mut("result").map(Value::take).ok_or(None)
}

fn block(value: &Value, now: Wall) -> Option<BlockFacts> {
    let number = quantity(value.get("number")?)?;
    let stamp = i64::try_from(quantity(value.get("timestamp")?)?).ok()?;
    let age_s = now.since(Wall(stamp.saturating_mul(1_000))).as_secs();
    Some(BlockFacts { number, age_s })
}

/// Blocks a node lacks, of what it says to `eth_syncing`: `false`, or an object.
pub(super) fn behind(value: &Value) -> Option<u64> {
    let of = |key| value.get(key).and_then(quantity);
    match value {
        Value::Object(_) => {
            Some(of("highestBlock").unwrap_or(0).saturating_sub(of("currentBlock").unwrap_or(0)))
        }
        Value::Bool(true) => Some(0),
        _ => None,
    }
}

/// A quantity as JSON-RPC has it, as in `0x1b4`.
pub(super) fn quantity(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
}

/// The text as it may be shown, cut to so many characters.
pub(super) fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(facts: &mut EvmFacts, ask: Ask, body: &str) -> Option<&'static str> {
        facts.take(ask, 200, body.as_bytes(), Wall(1_000_030_000)).err().map(|f| f.kind())
    }

    #[test]
    fn answers_are_taken_in() {
        let mut facts = EvmFacts::default();
        let block = r#"{"result":{"number":"0x10","timestamp":"0xf4240"}}"#;
        assert_eq!(take(&mut facts, Ask::Latest, block), None);
        assert_eq!(facts.latest, Some(BlockFacts { number: 16, age_s: 30 }));
        assert_eq!(take(&mut facts, Ask::Safe, r#"{"error":{"message":"no such block"}}"#), None);
        assert_eq!(take(&mut facts, Ask::Peers, r#"{"result":"0x5"}"#), None);
        assert_eq!((facts.safe, facts.peers), (None, Some(5)));
        let old = Expect { head_age: Some(Duration::from_secs(29)), ..Expect::default() };
        assert_eq!(facts.judge(&old).unwrap_err().kind(), "head_old");
        assert_eq!(facts.judge(&Expect::default()), Ok(()));
        let syncing = r#"{"result":{"currentBlock":"0x1","highestBlock":"0x3"}}"#;
        assert_eq!(take(&mut facts, Ask::Syncing, syncing), None);
        assert_eq!(facts.judge(&old), Err(Fault::Syncing { behind: 2 }));
    }

    #[test]
    fn a_node_without_a_head_is_faulty() {
        let mut facts = EvmFacts::default();
        assert_eq!(take(&mut facts, Ask::Latest, r#"{"error":{"code":-1,"message":"no"}}"#), Some("rpc"));
        for bad in ["", "[]", "{}", r#"{"result":null}"#, r#"{"result":{"number":"+1"}}"#] {
            assert_eq!(take(&mut facts, Ask::Latest, bad), Some("malformed"), "{bad}");
        }
        assert_eq!(facts.take(Ask::Latest, 502, b"", Wall(0)).unwrap_err().kind(), "http_status");
    }
}
