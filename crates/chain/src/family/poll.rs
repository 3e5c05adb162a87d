//! A poll of a node's head, and of what is to be known besides.
//!
//! The head comes first, since it is what a poll is for. The rest is asked as far as there is time, and goes over to
//! the next poll where there is none: a node that is slow is not made to look as if its head were old.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{Ask, Family, Rules, Told};
use crate::{
    Block,
    heads::{HeadSeen, NotABlock},
};

/// Most questions of one poll.
const MAX_QUESTIONS: usize = 8;

/// A question of a poll's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The method.
    pub method: &'static str,
    /// Its parameters, as JSON.
    pub params: String,
    /// A node that cannot answer it is not at fault.
    pub optional: bool,
}

impl Question {
    pub(super) fn new(method: &'static str, params: impl Into<String>) -> Self {
        Self { method, params: params.into(), optional: false }
    }

    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// What a poll saw. Nothing is known of what it had no time for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether the node serves the right chain.
    pub right_chain: Option<bool>,
    /// Its newest block.
    pub head: Option<HeadSeen>,
    /// What `safe` means to it.
    pub safe: Option<Block>,
    /// What `finalized` means to it.
    pub finalized: Option<Block>,
    /// The block at the height that was to be confirmed.
    pub confirmed: Option<Block>,
}

/// What is to be asked of a node besides its head, from poll to poll.
#[derive(Debug, Default)]
pub struct Owed {
    asks: VecDeque<Ask>,
    /// It has been seen to serve the right chain.
    right_chain: bool,
}

impl Owed {
    /// Adds what is due and not owed already. What is to be confirmed keeps its place, whatever its height.
    fn add(&mut self, rules: &Rules, with_tags: bool, confirm: Option<u64>) {
        let is_height = |ask: &Ask| matches!(ask, Ask::At(_));
        match (self.asks.iter_mut().find(|ask| is_height(ask)), confirm) {
            (Some(ask), Some(number)) => *ask = Ask::At(number),
            (Some(_), None) => self.asks.retain(|ask| !is_height(ask)),
            (None, _) => {}
        }
        for ask in rules.first.iter().copied().chain(confirm.map(Ask::At)) {
            let due = match ask {
                Ask::Head | Ask::HeadAt(..) => false,
                Ask::Safe | Ask::Finalized => with_tags,
                Ask::Network | Ask::At(_) => true,
            };
            if due && !self.asks.contains(&ask) {
                self.asks.push_back(ask);
            }
        }
    }
}

/// A poll under way: ask [`Poll::question`], hand the result to [`Poll::answer`], until there is none.
pub struct Poll<'a> {
    rules: &'static Rules,
    network: &'a str,
    owed: &'a mut Owed,
    /// What stands between here and the head.
    first: VecDeque<Ask>,
    asked: Option<Ask>,
    begun: usize,
    beside: usize,
    seen: Seen,
}

impl<'a> Poll<'a> {
    /// A poll of a node that should serve `network`. `with_tags` asks for the blocks behind the head as well,
    /// `confirm` for the block at that height. What `owed` holds since earlier polls is asked first.
    pub fn new(
        family: Family,
        network: &'a str,
        owed: &'a mut Owed,
        with_tags: bool,
        confirm: Option<u64>,
    ) -> Self {
        let rules = family.rules();
        owed.add(rules, with_tags, confirm);
        let mut first = VecDeque::from([Ask::Head]);
        // Whose head it is has to be known before it counts.
        if !owed.right_chain {
            owed.asks.retain(|ask| *ask != Ask::Network);
            first.push_front(Ask::Network);
        }
        Self { rules, network, owed, first, asked: None, begun: 0, beside: 0, seen: Seen::default() }
    }

    /// What to ask next; `None` when all has been asked. In a hurry that is the head and one thing besides.
    pub fn question(&mut self, hurry: bool) -> Option<Question> {
        if self.begun == MAX_QUESTIONS {
            return None;
        }
        let ask = match self.first.pop_front() {
            Some(ask) => ask,
            None if hurry && self.beside > 0 => return None,
            None => {
                self.beside += 1;
                self.owed.asks.pop_front()?
            }
        };
        self.begun += 1;
        self.asked = Some(ask);
        Some((self.rules.question)(ask))
    }

    /// Takes in the result of what was asked last. A question that was optional and has no answer needs none.
    pub fn answer(&mut self, result: &RawValue) -> Result<(), NotABlock> {
        let Some(ask) = self.asked.take() else { return Ok(()) };
        match (self.rules.read)(ask, result)? {
            Told::Network(network) => {
                self.owed.right_chain = network == self.network;
                self.seen.right_chain = Some(self.owed.right_chain);
            }
            Told::Head(head) => self.seen.head = Some(head),
            Told::HeadAt(block, time) => self.first.push_front(Ask::HeadAt(block, time)),
            Told::Block(block) => match ask {
                Ask::Safe => self.seen.safe = Some(block),
                Ask::Finalized => self.seen.finalized = Some(block),
                Ask::At(number) if block.number == number => self.seen.confirmed = Some(block),
                Ask::At(_) | Ask::Network | Ask::Head | Ask::HeadAt(..) => return Err(NotABlock),
            },
            Told::Nothing => {}
        }
        Ok(())
    }

    /// The head, if it is known and whose it is.
    pub fn head(&self) -> Option<HeadSeen> {
        self.seen.head.filter(|_| self.owed.right_chain)
    }

    /// What was seen; `None` if there was no head.
    pub fn seen(self) -> Option<Seen> {
        Some(self.seen).filter(|seen| seen.head.is_some())
    }
}
