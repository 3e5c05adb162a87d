//! What is believed of each upstream, given what is agreed.

use std::time::Duration;

use seawall_model::{Cause, Mono};

use super::{
    CATCH_UP_POLLS, Now, Standing, Tracker, View,
    member::{Fault, Member},
    vote::Votes,
};
use crate::Block;

/// A fault that comes back within this many times `limit` is held.
const FLAP_LIMITS: u32 = 10;

impl Tracker {
    /// Notes how far behind the agreed head an upstream is, now that it has answered. Later on the agreed
    /// head may have moved without its having been asked again.
    pub(super) fn note_behind(&mut self, now: Mono, upstream: usize) {
        let Some(latest) = self.agreed.latest else { return };
        let Some(member) = self.members.get_mut(upstream) else { return };
        member.behind = member.head.map_or(0, |h| latest.number.saturating_sub(h.number));
        member.lagging = (member.behind > self.config.lag).then(|| member.lagging.unwrap_or(now));
    }

    /// Brings every upstream's standing up to date.
    pub(super) fn judge_all(&mut self, now: Now) {
        let votes = self.votes(now.mono);
        for i in 0..self.members.len() {
            let standing = self.judge(i, &votes, now);
            let member = &mut self.members[i];
            let standing = hold(&mut member.fault, standing, now.mono, self.config.limit());
            let head = member.head.map(|h| h.block());
            self.agreed.upstreams[i] = View { standing, head, moved: member.moved };
        }
    }

    fn judge(&self, upstream: usize, votes: &Votes, now: Now) -> Standing {
        let member = &self.members[upstream];
        if member.wrong_chain {
            return Standing::Fault(Cause::WrongChain);
        }
        let Some(head) = member.head.filter(|_| member.is_fresh(now.mono, &self.config)) else {
            return Standing::Unknown;
        };
        let Some(latest) = self.agreed.latest else { return Standing::Serving };
        if self.is_forked(member) {
            return Standing::Fault(Cause::Forked);
        }
        let early = Duration::from_secs(head.timestamp).saturating_sub(self.today(now));
        let implausible = early > self.config.future();
        if (head.number > latest.number && implausible) || self.is_ahead(upstream, latest, votes) {
            return Standing::Fault(Cause::Ahead);
        }
        match self.is_behind(member) {
            Some(cause) => Standing::Fault(cause),
            None => Standing::Serving,
        }
    }

    fn is_forked(&self, member: &Member) -> bool {
        let mut shown = member.blocks.iter();
        shown.any(|(number, held)| self.history.get(number).is_some_and(|hash| *hash != held.hash))
    }

    /// More than half of the vote has answered since this upstream showed more, and does not have it.
    fn is_ahead(&self, upstream: usize, latest: Block, votes: &Votes) -> bool {
        let member = &self.members[upstream];
        let Some(head) = member.head.filter(|h| h.number > latest.number) else { return false };
        let Some((number, first)) = member.blocks.range(latest.number.saturating_add(1)..).next() else {
            return false;
        };
        let first_block = Block { number: *number, hash: first.hash };
        let denied_by = |since: Mono| {
            let others = self.members.iter().zip(&votes.shares).enumerate().filter(|(i, _)| *i != upstream);
            let denies = |m: &Member| m.lacks(first_block) && m.answered.is_some_and(|at| at > since);
            others.filter(|(_, (m, _))| denies(m)).map(|(_, (_, share))| share).sum::<u64>()
        };
        let far = head.number - latest.number > self.config.jump();
        (far && votes.is_majority(denied_by(member.moved)))
            || votes.is_majority(denied_by(first.seen + self.config.unsupported()))
    }

    fn is_behind(&self, member: &Member) -> Option<Cause> {
        let answered = member.answered?;
        let limit = self.config.limit();
        let for_limit = |since: Option<Mono>| since.is_some_and(|at| answered.since(at) >= limit);
        let catches_up = member.catching_up.threshold().map_or(limit, |t| {
            t.saturating_add(self.config.poll).max(self.config.poll * CATCH_UP_POLLS).min(limit)
        });
        let stuck = member.passed.is_some_and(|at| answered.since(at) >= catches_up);
        let lags = member.behind > self.config.lag.saturating_add(self.config.jump());
        match (stuck, member.aside || lags || for_limit(member.lagging)) {
            (true, _) => Some(Cause::Stalled),
            (false, true) => Some(Cause::Lagging),
            (false, false) => None,
        }
    }
}

/// Keeps a fault that has come back until it has been gone for `limit`.
fn hold(fault: &mut Option<Fault>, found: Standing, now: Mono, limit: Duration) -> Standing {
    match (found, fault.as_mut()) {
        (Standing::Fault(cause), before) => {
            let held = before.is_some_and(|f| f.held || (f.over && now.since(f.last) <= limit * FLAP_LIMITS));
            *fault = Some(Fault { cause, last: now, held, over: false });
            found
        }
        (Standing::Serving, Some(f)) if f.held && now.since(f.last) < limit => Standing::Probation(f.cause),
        (Standing::Serving, Some(f)) => {
            f.over = true;
            f.held &= now.since(f.last) <= limit * FLAP_LIMITS;
            Standing::Serving
        }
        (Standing::Serving | Standing::Probation(_) | Standing::Unknown, _) => found,
    }
}
