//! The agreed head of a pool: which block its independent providers stand behind, and which upstream
//! is not to be believed.
//!
//! These rules are product behaviour. `limit` is two block times and a poll; `jump` is three blocks, or as
//! many as two polls see if that is more.
//!
//! **Votes.** A provider has one vote, shared equally by its upstreams that vote: two upstreams of one
//! provider count once. An upstream votes while its last answer is fresher than four polls (one poll, if two
//! in a row have failed since; none, if calls show that it hangs), it serves the right chain and has not been
//! set aside as behind (below). Those never heard from count as votes withheld for the first four polls, so that whoever answers first does
//! not decide alone.
//!
//! **Agreement.** The agreed head is the highest block that more than half of the vote holds by number
//! *and* hash. To hold a block is to have shown it: as a head, as a head's parent, or when asked for it
//! ([`Tracker::confirm`]). What an upstream showed before a gap or a change of parent is forgotten, since it
//! may have left that chain. With three voters, one alone moves the head nowhere.
//!
//! **Never backwards**, but for a reorganisation that more than half of the vote shows: another hash at the
//! agreed height. If two or more providers stood behind the agreed block, one alone cannot replace it, only
//! extend it. If for [`REWRITE_AFTER`] (or four block times) no voter at all has the agreed block (a chain
//! rolled back, a sole survivor on another fork), agreement starts afresh.
//!
//! **A tied vote** (two voters, or two against two) stays at the highest block both sides hold. If all of a
//! side have shown a block for longer than `limit`, its time stamp is as far in the past, and the other side
//! has answered since and is still below it, then that other side is set aside as stalled or lagging, until
//! it reaches the agreed head, and the first goes on alone. If the two sides contradict each other, the
//! head stays at the last common block, both go on serving that, and its age grows until one side gives way
//! or an operator cordons one: of two, nobody can know the liar.
//!
//! **One voter** is believed, but for the rules above.
//!
//! **Faults.** *Forked*: it holds another hash at the agreed height or below. *Ahead*: its head's time stamp
//! is more than two block times and 15 s (two hours, where blocks come at random) in the future; or more than half of the vote has answered since and
//! lacks what it shows, by more than `jump` blocks or for longer than three block times or two polls.
//! *Stalled*: its head has not moved for `limit` since the agreed head passed it, or for longer than it usually
//! takes to catch up and three polls, if that is less. *Lagging*: more than `lag` blocks behind the agreed head for
//! longer than `limit`, or more than `lag + jump` behind at once. A fault that comes back within ten times `limit`
//! is held for `limit` after it was last seen: the upstream is on *probation*, a last resort.
//!
//! **A halted chain**: no voter's head has moved for four block times (twelve, where blocks come at random) and a
//! poll, or for as long as is unusual on this chain, where blocks come by chance: up to four times as long. Nobody is
//! at fault.
//!
//! What is usual is learned from what was (`arrivals`).

mod arrivals;
mod judge;
mod member;
#[cfg(test)]
mod tests;
mod vote;

use std::{collections::BTreeMap, time::Duration};

use seawall_model::{Cause, Mono, Wall};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Block, Hash, parse_quantity, pin::Heads};
use arrivals::Arrivals;
use member::Member;

/// A poll's answer counts for this many polls.
const FRESH_POLLS: u32 = 4;
/// Polls that fail in a row before an upstream loses its vote.
const FAILURES_TO_LEAVE: u32 = 2;
/// How long no voter may have the agreed block before agreement starts afresh; four block times if that is
/// longer.
pub const REWRITE_AFTER: Duration = Duration::from_secs(30);
/// A head's time stamp may be in the future by this and two block times.
const FUTURE: Duration = Duration::from_secs(15);
/// What proof-of-work chains allow a time stamp to be in the future.
const FUTURE_IRREGULAR: Duration = Duration::from_secs(2 * 3_600);
/// However irregular a chain is, it is halted after this many times as long as a regular one.
const PATIENCE: u32 = 4;
/// An upstream is given this many polls to catch up in any case.
const CATCH_UP_POLLS: u32 = 3;
/// Agreed blocks that are remembered: more than Ethereum's distance to finality.
const HISTORY: usize = 128;

/// What is particular to the chain and to how it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Usual time between blocks.
    pub block_time: Duration,
    /// How often each upstream is asked for its head.
    pub poll: Duration,
    /// Blocks behind the agreed head that are put up with.
    pub lag: u64,
    /// Blocks come at random, as from proof of work: long pauses and time stamps that run ahead are usual.
    pub irregular: bool,
}

impl Config {
    fn fresh(&self) -> Duration {
        self.poll * FRESH_POLLS
    }

    fn limit(&self) -> Duration {
        self.block_time * 2 + self.poll
    }

    fn jump(&self) -> u64 {
        let blocks = (self.poll * 2).as_nanos().div_ceil(self.block_time.as_nanos().max(1));
        u64::try_from(blocks).unwrap_or(u64::MAX).max(3)
    }

    fn unsupported(&self) -> Duration {
        (self.block_time * 3).max(self.poll * 2)
    }

    /// A chain whose head has not moved for so long has stopped.
    pub fn halt(&self) -> Duration {
        // At random, one pause in 160,000 is longer than twelve times the usual.
        self.block_time * if self.irregular { 12 } else { 4 } + self.poll
    }

    fn future(&self) -> Duration {
        if self.irregular { FUTURE_IRREGULAR } else { FUTURE + self.block_time * 2 }
    }

    fn rewrite(&self) -> Duration {
        REWRITE_AFTER.max(self.block_time * 4)
    }
}

/// The time, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// To measure with.
    pub mono: Mono,
    /// To hold block time stamps against.
    pub wall: Wall,
}

/// A block as an upstream shows it for its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadSeen {
    /// Height.
    pub number: u64,
    /// Hash of its header.
    pub hash: Hash,
    /// Hash of the block before it.
    pub parent: Hash,
    /// When it says it was made, in seconds since the Unix epoch.
    pub timestamp: u64,
}

/// The result is no block: null, or without a number, a hash, a parent or a time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the result is not a block")]
pub struct NotABlock;

impl HeadSeen {
    /// Reads the result of `eth_getBlockByNumber`.
    pub fn from_result(result: &RawValue) -> Result<Self, NotABlock> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Header<'a> {
            number: &'a str,
            hash: &'a str,
            parent_hash: &'a str,
            timestamp: &'a str,
        }
        let header: Header<'_> = serde_json::from_str(result.get()).map_err(|_| NotABlock)?;
        Ok(Self {
            number: parse_quantity(header.number).ok_or(NotABlock)?,
            hash: header.hash.parse().map_err(|_| NotABlock)?,
            parent: header.parent_hash.parse().map_err(|_| NotABlock)?,
            timestamp: parse_quantity(header.timestamp).ok_or(NotABlock)?,
        })
    }

    /// The block itself.
    pub fn block(&self) -> Block {
        Block { number: self.number, hash: self.hash }
    }
}

/// A tag behind the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `safe`.
    Safe,
    /// `finalized`.
    Finalized,
}

/// What is believed of an upstream's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing against it.
    Serving,
    /// Not to be served from.
    Fault(Cause),
    /// Nothing against it now, but the fault that is named has come back before: to be served from where nobody else
    /// is left.
    Probation(Cause),
    /// No answer that is fresh enough to say.
    Unknown,
}

/// One upstream, as its polls show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// What is believed of it.
    pub standing: Standing,
    /// The newest block it showed.
    pub head: Option<Block>,
    /// When its head last changed.
    pub moved: Mono,
}

/// What a pool agrees on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The agreed head; `None` until there is one.
    pub latest: Option<Block>,
    /// When the agreed head last changed.
    pub since: Mono,
    /// The agreed safe block.
    pub safe: Option<Block>,
    /// The agreed finalized block.
    pub finalized: Option<Block>,
    /// The chain as a whole has stopped.
    pub halted: bool,
    /// Every upstream, in the order of the pool.
    pub upstreams: Vec<View>,
}

impl Agreed {
    /// What tags mean now, if there is an agreed head.
    pub fn heads(&self) -> Option<Heads> {
        Some(Heads { latest: self.latest?, safe: self.safe, finalized: self.finalized })
    }
}

/// Follows the heads of a pool's upstreams. Cost of an input: the pool's upstreams times the few blocks
/// above the agreed head.
#[derive(Debug, Clone)]
pub struct Tracker {
    config: Config,
    started: Mono,
    members: Vec<Member>,
    /// The agreed chain, as far back as it is remembered.
    history: BTreeMap<u64, Hash>,
    /// Providers that have stood behind the agreed head.
    backers: usize,
    /// Since when no voter has had the agreed head.
    displaced: Option<Mono>,
    /// The last agreed time stamp that is known, and when its block was agreed on.
    stamped: Option<(Duration, Mono)>,
    /// How long the agreed head stood still between its moves.
    arrivals: Arrivals,
    agreed: Agreed,
}

impl Tracker {
    /// A tracker for upstreams of which `providers` says, in the pool's order, who operates each.
    pub fn new(config: Config, providers: &[usize], now: Mono) -> Self {
        let members: Vec<Member> = providers.iter().map(|p| Member::new(*p, now)).collect();
        let view = View { standing: Standing::Unknown, head: None, moved: now };
        Self {
            config,
            started: now,
            agreed: Agreed {
                latest: None,
                since: now,
                safe: None,
                finalized: None,
                halted: false,
                upstreams: vec![view; members.len()],
            },
            members,
            history: BTreeMap::new(),
            backers: 0,
            displaced: None,
            stamped: None,
            arrivals: Arrivals::default(),
        }
    }

    /// The tracker that follows this one when the estate changes: the agreed chain is kept, and so is what
    /// was seen of each upstream that `was` gives the former position of.
    pub fn succeed(&self, config: Config, providers: &[usize], was: &[Option<usize>], now: Mono) -> Self {
        let mut next = Self { config, ..self.clone() };
        let former = |i: usize| was.get(i).copied().flatten();
        next.members = providers
            .iter()
            .enumerate()
            .map(|(i, provider)| match former(i).and_then(|old| self.members.get(old)) {
                Some(member) => Member { provider: *provider, ..member.clone() },
                None => Member::new(*provider, now),
            })
            .collect();
        let unseen = View { standing: Standing::Unknown, head: None, moved: now };
        next.agreed.upstreams = (0..providers.len())
            .map(|i| former(i).and_then(|old| self.agreed.upstreams.get(old).copied()).unwrap_or(unseen))
            .collect();
        next
    }

    /// An upstream answered a poll with its head. An upstream that is not in the pool is ignored, here and
    /// below.
    pub fn observe(&mut self, now: Now, upstream: usize, seen: HeadSeen) {
        let Some(member) = self.members.get_mut(upstream) else { return };
        member.observe(now.mono, seen);
        self.evaluate(now);
        self.note_behind(now.mono, upstream);
        self.judge_all(now);
    }

    /// An upstream answered what [`Tracker::confirm`] wanted to know.
    pub fn observe_block(&mut self, now: Now, upstream: usize, block: Block) {
        let Some(member) = self.members.get_mut(upstream) else { return };
        if member.head.is_some_and(|h| block.number < h.number) {
            member.hold(now.mono, block);
        }
        self.tick(now);
    }

    /// An upstream told which block a tag means.
    pub fn observe_tag(&mut self, now: Now, upstream: usize, tag: Tag, block: Block) {
        let Some(member) = self.members.get_mut(upstream) else { return };
        member.tags_mut(tag).note(block);
        self.agree_on_tags(now.mono);
    }

    /// A poll of an upstream failed.
    pub fn failed(&mut self, now: Now, upstream: usize) {
        let Some(member) = self.members.get_mut(upstream) else { return };
        member.failures = member.failures.saturating_add(1);
        self.tick(now);
    }

    /// An upstream was found to hang by other calls than its polls: it has no vote until a poll of it succeeds.
    /// What follows shows at the next input.
    pub fn hung(&mut self, upstream: usize) {
        if let Some(member) = self.members.get_mut(upstream) {
            member.hung = true;
        }
    }

    /// An upstream was found to serve the right chain or the wrong one.
    pub fn wrong_chain(&mut self, now: Now, upstream: usize, wrong: bool) {
        let Some(member) = self.members.get_mut(upstream) else { return };
        member.wrong_chain = wrong;
        self.tick(now);
    }

    /// Time has passed. To be called every poll, also when nothing answers.
    pub fn tick(&mut self, now: Now) {
        self.evaluate(now);
        self.judge_all(now);
    }

    /// The height that an upstream is worth asking for, besides its head: a block that others show and it has
    /// passed without showing. On chains faster than the polls nothing could be agreed on without.
    pub fn confirm(&self, upstream: usize) -> Option<u64> {
        let member = self.members.get(upstream)?;
        let head = member.head?.number;
        let floor = self.agreed.latest.map_or(0, |b| b.number);
        if head < floor {
            return None;
        }
        let missing = |n: &u64| member.held(*n).is_none();
        let others = self.members.iter().enumerate().filter(|(i, _)| *i != upstream);
        let shown = others.flat_map(|(_, m)| m.blocks.range(floor..=head).map(|(n, _)| *n));
        shown.chain(self.agreed.latest.map(|b| b.number)).filter(missing).max()
    }

    /// The agreed chain, as far back as it is remembered: the hash of a block by its height. There may be
    /// gaps where blocks come faster than polls.
    pub fn history(&self) -> &BTreeMap<u64, Hash> {
        &self.history
    }

    /// What is agreed on, as of the last input.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }
}
