//! A poll of a node's head.

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

/// What a poll saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// True if the node serves the right chain.
    pub right_chain: bool,
    /// Its newest block.
    pub head: HeadSeen,
    /// What `safe` means to it.
    pub safe: Option<Block>,
    /// What `finalized` means to it.
    pub finalized: Option<Block>,
    /// The block at the height that was to be confirmed.
    pub confirmed: Option<Block>,
}

/// A poll under way: ask [`Poll::question`], hand the result to [`Poll::answer`], until there is none.
pub struct Poll<'a> {
    rules: &'static Rules,
    network: &'a str,
    waiting: VecDeque<Ask>,
    asked: Option<Ask>,
    begun: usize,
    right_chain: bool,
    head: Option<HeadSeen>,
    safe: Option<Block>,
    finalized: Option<Block>,
    confirmed: Option<Block>,
}

impl<'a> Poll<'a> {
    /// A poll of a node that should serve `network`. `with_tags` asks for the blocks behind the head as well,
    /// `confirm` for the block at that height.
    pub fn new(family: Family, network: &'a str, with_tags: bool, confirm: Option<u64>) -> Self {
        let rules = family.rules();
        let tag = |ask: &Ask| matches!(ask, Ask::Safe | Ask::Finalized);
        let first = rules.first.iter().copied().filter(|ask| with_tags || !tag(ask));
        Self {
            rules,
            network,
            waiting: first.chain(confirm.map(Ask::At)).collect(),
            asked: None,
            begun: 0,
            right_chain: false,
            head: None,
            safe: None,
            finalized: None,
            confirmed: None,
        }
    }

    /// What to ask next; `None` when all has been asked.
    pub fn question(&mut self) -> Option<Question> {
        if self.begun == MAX_QUESTIONS {
            return None;
        }
        self.begun += 1;
        let ask = self.waiting.pop_front()?;
        self.asked = Some(ask);
        Some((self.rules.question)(ask))
    }

    /// Takes in the result of what was asked last. A question that was optional and has no answer needs none.
    pub fn answer(&mut self, result: &RawValue) -> Result<(), NotABlock> {
        let Some(ask) = self.asked.take() else { return Ok(()) };
        match (self.rules.read)(ask, result)? {
            Told::Network(network) => self.right_chain = network == self.network,
            Told::Head(head) => self.head = Some(head),
            Told::HeadAt(block, time) => self.waiting.push_front(Ask::HeadAt(block, time)),
            Told::Block(block) => match ask {
                Ask::Safe => self.safe = Some(block),
                Ask::Finalized => self.finalized = Some(block),
                Ask::At(number) if block.number == number => self.confirmed = Some(block),
                Ask::At(_) | Ask::Network | Ask::Head | Ask::HeadAt(..) => return Err(NotABlock),
            },
            Told::Nothing => {}
        }
        Ok(())
    }

    /// What was seen; `None` if there was no head.
    pub fn seen(self) -> Option<Seen> {
        let Self { right_chain, safe, finalized, confirmed, .. } = self;
        Some(Seen { right_chain, head: self.head?, safe, finalized, confirmed })
    }
}
