//! Which block the vote agrees on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_model::Mono;

use super::{HISTORY, Now, PATIENCE, Tag, Tracker};
use crate::{Block, Hash};

/// One provider's vote: divisible by any number of upstreams that it may be shared by, up to 16.
const VOTE: u64 = 720_720;

/// The votes of a moment.
pub(super) struct Votes {
    /// Each upstream's share; 0 if it does not vote.
    pub(super) shares: Vec<u64>,
    /// All shares, those withheld by upstreams not heard from yet included.
    pub(super) total: u64,
}

impl Votes {
    pub(super) fn is_majority(&self, weight: u64) -> bool {
        weight * 2 > self.total
    }

    fn is_half(&self, weight: u64) -> bool {
        weight * 2 == self.total && weight > 0
    }

    pub(super) fn vote(&self, upstream: usize) -> bool {
        self.shares.get(upstream).is_some_and(|s| *s > 0)
    }
}

impl Tracker {
    pub(super) fn votes(&self, now: Mono) -> Votes {
        let early = now.since(self.started) <= self.config.fresh();
        let votes = |i: usize| {
            let m = &self.members[i];
            !m.wrong_chain && !m.aside && m.is_fresh(now, &self.config)
        };
        let withholds = |i: usize| {
            let m = &self.members[i];
            early && !m.wrong_chain && m.answered.is_none() && m.failures < super::FAILURES_TO_LEAVE
        };
        let mut upstreams_of: BTreeMap<usize, u64> = BTreeMap::new();
        for (i, member) in self.members.iter().enumerate() {
            *upstreams_of.entry(member.provider).or_default() += u64::from(votes(i) || withholds(i));
        }
        let share = |i: usize| VOTE / upstreams_of[&self.members[i].provider].max(1);
        let shares = (0..self.members.len()).map(|i| if votes(i) { share(i) } else { 0 }).collect();
        let total = (0..self.members.len()).filter(|i| votes(*i) || withholds(*i)).map(share).sum();
        Votes { shares, total }
    }

    /// The weight that holds each block from `floor` up.
    fn weights(&self, votes: &Votes, floor: u64) -> BTreeMap<(u64, Hash), u64> {
        let mut weights = BTreeMap::new();
        for (member, share) in self.members.iter().zip(&votes.shares).filter(|(_, share)| **share > 0) {
            for (number, held) in member.blocks.range(floor..) {
                *weights.entry((*number, held.hash)).or_default() += share;
            }
        }
        weights
    }

    /// Brings the agreed head up to date.
    pub(super) fn evaluate(&mut self, now: Now) {
        let mut votes = self.votes(now.mono);
        if votes.total == 0 {
            // Whoever was set aside is all there is now.
            self.members.iter_mut().for_each(|m| m.aside = false);
            votes = self.votes(now.mono);
        }
        if let Some(latest) = self.agreed.latest {
            self.note_displaced(&votes, latest, now.mono);
            if self.is_replaced(&votes, latest) || self.is_displaced_for_good(now.mono) {
                self.start_afresh(&votes, now.mono);
            }
        }
        if !self.extend(&votes, now.mono) {
            self.break_tie(&votes, now);
        }
        let latest = self.agreed.latest;
        if let Some(latest) = latest {
            let backers = self.providers(&votes, |m| m.has(latest));
            self.backers = self.backers.max(backers);
            for member in &mut self.members {
                let head = member.head.map(|h| h.number);
                if member.aside && head.is_some_and(|n| n >= latest.number) {
                    member.aside = false;
                }
                let behind = head.is_some_and(|n| n < latest.number);
                member.passed = behind.then(|| member.passed.unwrap_or(now.mono));
            }
        }
        let last_move =
            (0..self.members.len()).filter(|i| votes.vote(*i)).map(|i| self.members[i].moved).max();
        self.agreed.halted =
            latest.is_some() && last_move.is_some_and(|at| now.mono.since(at) >= self.halts_after());
        self.agree_on_tags(now.mono);
    }

    fn providers(&self, votes: &Votes, holds: impl Fn(&super::Member) -> bool) -> usize {
        let voters = self.members.iter().enumerate().filter(|(i, m)| votes.vote(*i) && holds(m));
        voters.map(|(_, m)| m.provider).collect::<BTreeSet<_>>().len()
    }

    fn weight(&self, votes: &Votes, holds: impl Fn(&super::Member) -> bool) -> u64 {
        self.members.iter().zip(&votes.shares).filter(|(m, _)| holds(m)).map(|(_, share)| share).sum()
    }

    /// More than half of the vote shows another block in the agreed head's place, and not one provider
    /// alone against what two stood behind.
    fn is_replaced(&self, votes: &Votes, latest: Block) -> bool {
        let weight = self.weight(votes, |m| m.contradicts(latest));
        votes.is_majority(weight)
            && (self.backers < 2 || self.providers(votes, |m| m.contradicts(latest)) >= 2)
    }

    fn note_displaced(&mut self, votes: &Votes, latest: Block, now: Mono) {
        let voting = self.members.iter().enumerate().filter(|(i, _)| votes.vote(*i));
        let (mut any, mut all_lack) = (false, true);
        for (_, member) in voting {
            any = true;
            all_lack &= member.lacks(latest);
        }
        self.displaced = (any && all_lack).then(|| self.displaced.unwrap_or(now));
    }

    fn is_displaced_for_good(&self, now: Mono) -> bool {
        self.displaced.is_some_and(|at| now.since(at) >= self.config.rewrite())
    }

    /// Goes back to the last block of the agreed chain that the vote still holds, or to none.
    fn start_afresh(&mut self, votes: &Votes, now: Mono) {
        let weights = self.weights(votes, 0);
        let still = |n: &u64, h: &Hash| weights.get(&(*n, *h)).is_some_and(|w| votes.is_majority(*w));
        let common = self.history.iter().rev().find(|(n, h)| still(n, h)).map(|(n, _)| *n);
        match common {
            Some(common) => drop(self.history.split_off(&(common + 1))),
            None => self.history.clear(),
        }
        self.agreed.latest = self.history.last_key_value().map(|(n, h)| Block { number: *n, hash: *h });
        self.agreed.since = now;
        self.backers = 0;
        self.displaced = None;
    }

    /// Moves up to the highest block that more than half of the vote holds. Returns whether it moved.
    fn extend(&mut self, votes: &Votes, now: Mono) -> bool {
        let floor = self.agreed.latest.map_or(0, |b| b.number.saturating_add(1));
        let weights = self.weights(votes, floor);
        let highest = weights.iter().rev().find(|(_, weight)| votes.is_majority(**weight));
        let Some((&(number, hash), _)) = highest else { return false };
        let block = Block { number, hash };
        if !self.may_extend(votes, block, now) {
            return false;
        }
        let between = weights.iter().filter(|(key, w)| key.0 < number && votes.is_majority(**w));
        self.history.extend(between.map(|(key, _)| *key));
        self.adopt(block, now);
        true
    }

    /// A block that one provider alone stands behind must not leave the agreed chain out: where that is not
    /// known, it waits until it has been asked ([`Tracker::confirm`]) or `limit` has gone by.
    fn may_extend(&self, votes: &Votes, block: Block, now: Mono) -> bool {
        let Some(latest) = self.agreed.latest.filter(|_| self.backers >= 2) else { return true };
        if self.providers(votes, |m| m.has(block)) >= 2 {
            return true;
        }
        let holders = self.members.iter().enumerate().filter(|(i, m)| votes.vote(*i) && m.has(block));
        holders.map(|(_, m)| m).any(|m| {
            let waited =
                m.blocks.get(&block.number).is_some_and(|h| now.since(h.seen) >= self.config.limit());
            m.has(latest) || (m.held(latest.number).is_none() && waited)
        })
    }

    /// Lets one half of a tied vote go on when the other has been behind for longer than `limit`.
    fn break_tie(&mut self, votes: &Votes, now: Now) {
        let floor = self.agreed.latest.map_or(0, |b| b.number.saturating_add(1));
        let weights = self.weights(votes, floor);
        let halves = weights.iter().rev().filter(|(_, weight)| votes.is_half(**weight));
        let blocks = halves.map(|(&(number, hash), _)| Block { number, hash });
        let Some(block) = blocks.into_iter().find(|b| self.wins_tie(votes, *b, now)) else { return };
        for (i, member) in self.members.iter_mut().enumerate() {
            if votes.vote(i) && !member.has(block) {
                member.aside = true;
            }
        }
        self.adopt(block, now.mono);
    }

    fn wins_tie(&self, votes: &Votes, block: Block, now: Now) -> bool {
        let voters = || self.members.iter().enumerate().filter(|(i, _)| votes.vote(*i)).map(|(_, m)| m);
        let held = || voters().filter(|m| m.has(block)).filter_map(|m| m.blocks.get(&block.number));
        let Some(seen) = held().map(|h| h.seen).max() else { return false };
        let Some(timestamp) = held().filter_map(|h| h.timestamp).max() else { return false };
        let contradicts_agreed =
            |m: &super::Member| self.agreed.latest.is_some_and(|latest| m.contradicts(latest));
        self.today(now).saturating_sub(Duration::from_secs(timestamp)) >= self.config.limit()
            && voters().all(|m| match m.has(block) {
                true => !contradicts_agreed(m),
                false => {
                    m.head.is_some_and(|h| h.number < block.number)
                        && m.answered.is_some_and(|at| at.since(seen) >= self.config.limit())
                        && voters().filter(|other| other.has(block)).all(|other| agree(m, other))
                }
            })
    }

    /// How long a silence of everybody means that the chain stands still.
    fn halts_after(&self) -> Duration {
        let regular = self.config.halt();
        let unusual =
            self.arrivals.threshold().map_or(Duration::ZERO, |t| t.saturating_add(self.config.poll));
        unusual.clamp(regular, regular * PATIENCE)
    }

    fn adopt(&mut self, block: Block, now: Mono) {
        let stood = now.since(self.agreed.since);
        // What stood still for longer than any chain is waited for was no accident, and says nothing of accidents.
        if self.agreed.latest.is_some() && stood <= self.config.halt() * PATIENCE {
            self.arrivals.note(stood);
        }
        self.history.insert(block.number, block.hash);
        while self.history.len() > HISTORY {
            self.history.pop_first();
        }
        self.agreed.latest = Some(block);
        self.agreed.since = now;
        self.backers = 0;
        // One hash has one time stamp; should a liar give another, the earliest is taken.
        let held = self.members.iter().filter(|m| m.has(block)).filter_map(|m| m.blocks.get(&block.number));
        if let Some(stamp) = held.filter_map(|h| h.timestamp).min() {
            self.stamped = Some((Duration::from_secs(stamp), now));
        }
    }

    /// The time since the Unix epoch by this machine's clock or by the agreed chain's own, whichever is
    /// later: neither a clock that was set back nor a test chain's odd time may condemn a block.
    pub(super) fn today(&self, now: Now) -> Duration {
        let by_chain = self.stamped.map(|(stamp, at)| stamp.saturating_add(now.mono.since(at)));
        let by_clock = Duration::from_millis(u64::try_from(now.wall.0).unwrap_or(0));
        by_clock.max(by_chain.unwrap_or_default())
    }

    pub(super) fn agree_on_tags(&mut self, now: Mono) {
        let votes = self.votes(now);
        self.agreed.safe = self.agreed_tag(&votes, Tag::Safe, self.agreed.safe);
        self.agreed.finalized = self.agreed_tag(&votes, Tag::Finalized, self.agreed.finalized);
    }

    /// The highest block that more than half of the vote has given the tag to, or, where it is on the agreed
    /// chain, has given it to a later one. Never below the one before, unless that has left the agreed chain.
    fn agreed_tag(&self, votes: &Votes, tag: Tag, before: Option<Block>) -> Option<Block> {
        let strays = |b: Block| self.history.get(&b.number).is_some_and(|hash| *hash != b.hash);
        let before = before.filter(|b| !strays(*b));
        let agreed_on = |b: Block| self.history.get(&b.number) == Some(&b.hash);
        let supports = |m: &super::Member, b: Block| {
            m.tags(tag).has(b) || (agreed_on(b) && m.tags(tag).newest().is_some_and(|t| t.number > b.number))
        };
        let voters = self.members.iter().enumerate().filter(|(i, _)| votes.vote(*i)).map(|(_, m)| m);
        let blocks: BTreeSet<Block> = voters.flat_map(|m| m.tags(tag).iter()).collect();
        let above =
            blocks.into_iter().rev().take_while(|b| before.is_none_or(|before| b.number > before.number));
        let mut above = above.filter(|b| !strays(*b));
        above.find(|b| votes.is_majority(self.weight(votes, |m| supports(m, *b)))).or(before)
    }
}

/// Two upstreams show the same wherever both show something.
fn agree(a: &super::Member, b: &super::Member) -> bool {
    a.blocks.iter().all(|(n, held)| b.held(*n).is_none_or(|hash| hash == held.hash))
}
