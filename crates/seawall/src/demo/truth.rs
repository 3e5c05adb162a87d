//! What the chain itself says, block by block, and whether an answer that came through Seawall agrees.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rpc::{block_number, quantity};

/// Blocks remembered; far more than a demo makes while a request is in flight.
const REMEMBERED: usize = 4_096;
/// An answer may be this many blocks older than the chain's head was when the request was sent: one that
/// Seawall has not polled yet, and two that pass while the vote of a frozen provider still counts.
pub(super) const TOLERATED_AGE: u64 = 3;

/// One block of the true chain, as far as the demo asks about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Its hash.
    pub(super) hash: String,
    /// What the watched account holds after it, in wei. Grows with every block.
    pub(super) balance: u128,
    /// A transaction in it.
    pub(super) transaction: Option<String>,
}

/// The true chain so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    blocks: BTreeMap<u64, Block>,
}

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// The number of the newest block.
    Head,
    /// The newest block.
    HeadBlock,
    /// What the watched account holds now.
    Balance,
    /// What it held after a block.
    BalanceAt(u64),
    /// The receipt of a transaction that is in this block.
    Receipt(String, u64),
}

/// The oldest block that an answer about the newest one may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Floor {
    /// Its number.
    pub(super) block: u64,
    /// What says so: the chain, or the method of an answer that had come before.
    pub(super) by: &'static str,
}

/// What there is to say of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is right; and if it was about the newest block, nobody may be told of an older one than this again.
    Right(Option<u64>),
    /// It is wrong, and how.
    Wrong(String),
    /// It may be about a block that the ledger has not got yet.
    Early,
}

impl Ledger {
    /// Adds a block.
    pub(super) fn add(&mut self, number: u64, block: Block) {
        self.blocks.insert(number, block);
        while self.blocks.len() > REMEMBERED {
            self.blocks.pop_first();
        }
    }

    /// The newest block known.
    pub(super) fn head(&self) -> Option<u64> {
        self.blocks.last_key_value().map(|(number, _)| *number)
    }

    /// A block and its number.
    pub(super) fn at(&self, number: u64) -> Option<&Block> {
        self.blocks.get(&number)
    }

    /// Judges an answer; one about the newest block must be of block `floor` or a later one.
    pub(super) fn judge(&self, question: &Question, answer: &Value, floor: Floor) -> Judgement {
        match question {
            Question::Head => self.current(block_number(answer), answer, floor),
            Question::HeadBlock => match block_number(&answer["number"]) {
                Some(n) if self.at(n).is_some_and(|b| answer["hash"] != b.hash) => {
                    Judgement::Wrong(format!("block {n} with the hash {}", answer["hash"]))
                }
                number => self.current(number, answer, floor),
            },
            Question::Balance => {
                let Some(balance) = quantity(answer) else { return wrong(answer) };
                // Blocks without a payment share a balance: the newest of them may be meant. And anvil answers
                // a read at its newest block from the state of the one that it is making, if it comes at
                // that very moment (seen without Seawall, for reads by hash too): so all that is certain is
                // the block before the oldest of them.
                let mut blocks = self.blocks.iter().filter(|(_, b)| b.balance == balance).map(|(n, _)| *n);
                match (blocks.next(), blocks.next_back()) {
                    (Some(oldest), newest) => {
                        match self.current(Some(newest.unwrap_or(oldest)), answer, floor) {
                            Judgement::Right(_) => Judgement::Right(oldest.checked_sub(1)),
                            other => other,
                        }
                    }
                    (None, _) if self.blocks.last_key_value().is_some_and(|(_, b)| b.balance < balance) => {
                        Judgement::Early
                    }
                    (None, _) => wrong(answer),
                }
            }
            Question::BalanceAt(number) => match self.at(*number) {
                Some(block) if quantity(answer) == Some(block.balance) => Judgement::Right(None),
                Some(_) | None => wrong(answer),
            },
            Question::Receipt(_, number) if block_number(&answer["blockNumber"]) == Some(*number) => {
                Judgement::Right(None)
            }
            Question::Receipt(..) => wrong(answer),
        }
    }

    fn current(&self, number: Option<u64>, answer: &Value, floor: Floor) -> Judgement {
        match (number, self.head()) {
            (None, _) => wrong(answer),
            (Some(n), _) if n < floor.block => {
                Judgement::Wrong(format!("of block {n}, though {} had told of {}", floor.by, floor.block))
            }
            (Some(n), Some(head)) if n <= head => Judgement::Right(Some(n)),
            (Some(_), _) => Judgement::Early,
        }
    }
}

fn wrong(answer: &Value) -> Judgement {
    Judgement::Wrong(answer.to_string().chars().take(120).collect())
}

impl Question {
    /// The JSON-RPC method and parameters that ask it, about `account`.
    pub(super) fn call(&self, account: &str) -> (&'static str, Value) {
        use serde_json::json;
        match self {
            Self::Head => ("eth_blockNumber", json!([])),
            Self::HeadBlock => ("eth_getBlockByNumber", json!(["latest", false])),
            Self::Balance => ("eth_getBalance", json!([account, "latest"])),
            Self::BalanceAt(number) => ("eth_getBalance", json!([account, format!("{number:#x}")])),
            Self::Receipt(hash, _) => ("eth_getTransactionReceipt", json!([hash])),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Blocks 1 to 10, in each of which the account gains 100 wei.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for n in 1..=10_u64 {
            ledger.add(n, Block { hash: format!("0xb{n}"), balance: u128::from(n) * 100, transaction: None });
        }
        ledger
    }

    #[track_caller]
    fn check(question: Question, answer: Value, floor: u64, expected: &str) {
        let judged = match ledger().judge(&question, &answer, Floor { block: floor, by: "the chain" }) {
            Judgement::Right(Some(n)) => format!("right at {n}"),
            Judgement::Right(None) => "right".to_owned(),
            Judgement::Wrong(_) => "wrong".to_owned(),
            Judgement::Early => "early".to_owned(),
        };
        assert_eq!(judged, expected, "{question:?} {answer} from {floor}");
    }

    #[test]
    fn answers_about_now_are_held_against_the_chain_and_the_time() {
        check(Question::Head, json!("0x9"), 8, "right at 9");
        check(Question::Head, json!("0x7"), 8, "wrong");
        check(Question::Head, json!("0xb"), 8, "early");
        check(Question::Head, Value::Null, 8, "wrong");
        check(Question::HeadBlock, json!({"number": "0xa", "hash": "0xb10"}), 8, "right at 10");
        check(Question::HeadBlock, json!({"number": "0xa", "hash": "0xb11"}), 8, "wrong");
        check(Question::HeadBlock, json!({"number": "0xb", "hash": "0xb11"}), 8, "early");
        check(Question::Balance, json!("0x3e8"), 8, "right at 9");
        check(Question::Balance, json!("0x2bc"), 8, "wrong");
        check(Question::Balance, json!("0x3e7"), 8, "wrong");
        check(Question::Balance, json!("0x3e9"), 8, "early");
    }

    #[test]
    fn answers_about_the_past_have_one_right_value() {
        check(Question::BalanceAt(3), json!("0x12c"), 8, "right");
        check(Question::BalanceAt(3), json!("0x12d"), 8, "wrong");
        check(Question::BalanceAt(3), Value::Null, 8, "wrong");
        check(Question::Receipt("0xt".into(), 3), json!({"blockNumber": "0x3"}), 8, "right");
        check(Question::Receipt("0xt".into(), 3), json!({"blockNumber": "0x4"}), 8, "wrong");
        check(Question::Receipt("0xt".into(), 3), Value::Null, 8, "wrong");
    }

    #[test]
    fn a_balance_that_blocks_share_is_taken_for_the_newest_and_proves_the_oldest() {
        let mut ledger = ledger();
        ledger.add(11, Block { balance: 1_000, ..ledger.at(10).unwrap().clone() });
        let judged = ledger.judge(&Question::Balance, &json!("0x3e8"), Floor { block: 11, by: "the chain" });
        assert_eq!(judged, Judgement::Right(Some(9)));
    }

    #[test]
    fn the_oldest_blocks_are_forgotten() {
        let mut ledger = Ledger::default();
        for n in 0..=REMEMBERED as u64 {
            ledger.add(n, Block { hash: String::new(), balance: 0, transaction: None });
        }
        assert_eq!(
            (ledger.at(0), ledger.at(1).is_some(), ledger.head()),
            (None, true, Some(REMEMBERED as u64))
        );
    }
}
