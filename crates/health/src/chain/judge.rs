//! From what vantage points see to who is to blame.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use seawall_model::{Cause, Conductor, Status, Wall};

use super::{
    Chain, Member,
    view::{Role, Seen, View, is_unfit, unfit},
};
use crate::{
    Opinion, age,
    sources::Sources,
    words::{Words, time_of_day},
};

/// Who or what is to blame for a chain that does not go on as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit<T = seawall_model::ComponentId> {
    /// The sequencer that leads; `None` where the plan names none.
    Sequencer(Option<T>),
    /// Who operates followers that stand while others move.
    Provider(T),
    /// One follower of a provider whose others move.
    Upstream(T),
    /// New blocks do not reach the followers, though they are made and become safe.
    Gossip,
    /// Blocks are made and passed on, but do not become safe: the batcher, or derivation.
    Derivation,
    /// A vantage point sees old heads where others see newer ones.
    Vantage(Arc<str>),
}

/// What is thought of a chain and its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Of the chain; `None` while nobody has a say.
    pub(crate) chain: Option<Opinion>,
    /// To blame: places where a component is.
    pub(crate) culprits: Vec<Culprit<u32>>,
    /// Of each member, if anybody has a say on it.
    pub(crate) members: Vec<Option<Opinion>>,
    /// Something is late, though it may not matter.
    late: bool,
}

impl Findings {
    /// True while a report like the one before can change nothing.
    pub(crate) fn is_calm(&self) -> bool {
        !self.late && self.culprits.is_empty()
    }

    /// True if the chain's fault lies with none of its components.
    pub(crate) fn is_between(&self) -> bool {
        let is_bad = self.chain.is_some_and(|o| o.status == Status::Degraded);
        is_bad && !self.culprits.iter().any(|c| c.component().is_some())
    }
}

impl<T: Clone> Culprit<T> {
    /// The component to blame, if it is one.
    pub fn component(&self) -> Option<T> {
        match self {
            Self::Sequencer(leader) => leader.clone(),
            Self::Provider(component) | Self::Upstream(component) => Some(component.clone()),
            Self::Gossip | Self::Derivation | Self::Vantage(_) => None,
        }
    }

    /// The same with its component named another way.
    pub(crate) fn map<U>(self, name: impl Fn(T) -> U) -> Culprit<U> {
        match self {
            Self::Sequencer(leader) => Culprit::Sequencer(leader.map(name)),
            Self::Provider(component) => Culprit::Provider(name(component)),
            Self::Upstream(component) => Culprit::Upstream(name(component)),
            Self::Gossip => Culprit::Gossip,
            Self::Derivation => Culprit::Derivation,
            Self::Vantage(source) => Culprit::Vantage(source),
        }
    }
}

const FINE: Opinion = Opinion { status: Status::Up, cause: None };

/// A member as most of those see it who have a say.
#[derive(Debug, Clone, Copy, Default)]
struct Tagging {
    /// `None` if nobody sees it.
    late: Option<bool>,
    /// Followers were seen well ahead of it before it was seen to stand.
    frozen: bool,
    /// Sequencers were.
    cut: bool,
    safe_late: Option<bool>,
    safe_beyond: bool,
}

struct Judge<'a> {
    chain: &'a Chain,
    now: Wall,
    sources: &'a Sources,
}

pub(super) fn judge(chain: &Chain, now: Wall, sources: &Sources) -> Findings {
    let judge = Judge { chain, now, sources };
    let all: BTreeSet<&Arc<str>> =
        chain.members.iter().flat_map(|m| judge.seen(m)).map(|(v, _, _)| &v.source).collect();
    let aside: BTreeSet<&Arc<str>> = all.iter().copied().filter(|s| judge.is_behind(s)).collect();
    let mut culprits: Vec<Culprit<u32>> = aside.iter().map(|s| Culprit::Vantage(Arc::clone(s))).collect();
    let late = chain.members.iter().flat_map(|m| judge.seen(m)).any(|(_, _, seen)| seen.is_uneasy());
    if !aside.is_empty() && aside.len() * 2 >= all.len() {
        let chain = Some(Opinion { status: Status::Unknown, cause: None });
        let members = judge.members(&[], None);
        return Findings { chain, culprits, members, late };
    }
    let tagging: Vec<Tagging> = chain.members.iter().map(|m| judge.tagging(m, &aside)).collect();
    let (opinion, blamed, frozen) = judge.chain(&tagging);
    culprits.extend(blamed);
    let stalled = match opinion {
        Some(Opinion { status: Status::Degraded, .. }) => culprits.iter().find_map(Culprit::component),
        Some(_) | None => None,
    };
    Findings { chain: opinion, culprits, members: judge.members(&frozen, stalled), late }
}

type Found = (Option<Opinion>, Vec<Culprit<u32>>, Vec<u32>);

impl<'a> Judge<'a> {
    fn fresh(&self) -> Duration {
        self.chain.plan.fresh()
    }

    fn seen(&self, member: &'a Member) -> impl Iterator<Item = (&'a View, Wall, Seen)> {
        let (now, fresh, sources) = (self.now, self.fresh(), self.sources);
        member.views.iter().filter_map(move |v| v.seen(now, fresh, sources).map(|(at, seen)| (v, at, seen)))
    }

    /// All that was seen of a member lately.
    fn reports(&self, member: &'a Member) -> impl Iterator<Item = (&'a View, Wall, Seen)> {
        let (now, fresh, sources) = (self.now, self.fresh(), self.sources);
        let each =
            member.views.iter().map(move |v| v.reports(now, fresh, sources).map(move |(at, s)| (v, at, s)));
        each.flatten()
    }

    /// True if all that a vantage point sees is late, and another one knew better before it said so.
    fn is_behind(&self, source: &str) -> bool {
        let late = self.chain.plan.late;
        let mut contradicted = false;
        for member in &self.chain.members {
            let Some((_, at, own)) = self.seen(member).find(|(v, _, _)| v.is_of(source)) else { continue };
            if !own.late {
                return false;
            }
            contradicted |= self.reports(member).any(|(_, other_at, other)| {
                let grown = Duration::from_millis(other.newest.age_ms).saturating_add(age(at, other_at));
                let is_young = other.newest.number >= own.newest.number && grown <= late / 2;
                other_at <= at && (is_young || self.is_ahead(&other, &own))
            });
        }
        contradicted
    }

    /// True if one head is so far ahead of another that the other stands by that alone.
    fn is_ahead(&self, of: &Seen, behind: &Seen) -> bool {
        let slots = self.chain.plan.blocks(self.chain.plan.late).ceil().max(1.0);
        of.newest.number.saturating_sub(behind.newest.number) as f64 >= slots
    }

    fn tagging(&self, member: &'a Member, aside: &BTreeSet<&Arc<str>>) -> Tagging {
        let counts = self.seen(member).filter(|(v, _, _)| !aside.contains(&v.source));
        let counted: Vec<(Wall, Seen)> = counts.map(|(_, at, seen)| (at, seen)).collect();
        let seen = || counted.iter().copied();
        // Only what was seen no later tells: who has not been looked at since the others moved may have moved too.
        let passed = |at: Wall, own: &Seen, sequencers: bool| {
            let others = self.chain.members.iter().filter(|m| (m.role == Role::Sequencer) == sequencers);
            let mut reports =
                others.flat_map(|m| self.reports(m)).filter(|(v, _, _)| !aside.contains(&v.source));
            reports.any(|(_, other_at, other)| other_at <= at && self.is_ahead(&other, own))
        };
        let most = |of: usize, all: usize| (all > 0).then_some(of * 2 > all);
        let passed_by = |sequencers: bool| {
            let of = seen().filter(|(at, own)| own.late && passed(*at, own, sequencers)).count();
            most(of, seen().count()).unwrap_or(false)
        };
        let safe = || seen().filter_map(|(_, s)| s.safe_late);
        let late = most(seen().filter(|(_, s)| s.late).count(), seen().count());
        let is_late = late == Some(true);
        Tagging {
            late,
            frozen: is_late && passed_by(false),
            cut: is_late && passed_by(true),
            safe_late: most(safe().filter(|late| *late).count(), safe().count()),
            safe_beyond: seen().any(|(_, s)| s.safe_beyond),
        }
    }

    /// The table of the module's doc. What to think of the chain, who is to blame, which followers are frozen.
    /// While reports are still to come that tell one fault from another, nothing is concluded.
    fn chain(&self, tagging: &[Tagging]) -> Found {
        let members = || self.chain.members.iter().zip(tagging).filter(|(_, t)| t.late.is_some());
        let of = |sequencers| members().filter(move |(m, _)| (m.role == Role::Sequencer) == sequencers);
        let all = |sequencers, is: fn(&Tagging) -> bool| {
            of(sequencers).next().is_some() && of(sequencers).all(|(_, t)| is(t))
        };
        let is_late = |t: &Tagging| t.late == Some(true);
        let degraded = |cause| Some(Opinion { status: Status::Degraded, cause: Some(cause) });
        let stalled = || (degraded(Cause::Stalled), vec![Culprit::Sequencer(self.leader())], Vec::new());
        if members().next().is_none() {
            return (None, Vec::new(), Vec::new());
        }
        let frozen: Vec<u32> = of(false).filter(|(_, t)| t.frozen).map(|(m, _)| m.node).collect();
        if !frozen.is_empty() {
            return (Some(FINE), self.whose(&frozen), frozen);
        }
        let (made_none, lost) = (all(true, is_late), all(false, is_late));
        let beyond = of(false).any(|(_, t)| t.safe_beyond);
        match (of(true).next().is_some(), of(false).next().is_some()) {
            (_, true) if lost && made_none => stalled(),
            (true, false) if made_none => stalled(),
            (true, true) if all(false, |t| t.cut) => self.cut_off(beyond, &of(false).collect::<Vec<_>>()),
            (false, true) if lost && beyond => (degraded(Cause::Lagging), vec![Culprit::Gossip], Vec::new()),
            (false, true) if lost => stalled(),
            (true | false, true | false) => {
                let safe = || members().filter_map(|(_, t)| t.safe_late);
                if safe().filter(|late| *late).count() * 2 > safe().count() {
                    return (degraded(Cause::Stalled), vec![Culprit::Derivation], Vec::new());
                }
                (Some(FINE), Vec::new(), Vec::new())
            }
        }
    }

    /// Blocks are made, and no follower has them.
    fn cut_off(&self, beyond: bool, followers: &[(&Member, &Tagging)]) -> Found {
        let degraded = |cause| Some(Opinion { status: Status::Degraded, cause: Some(cause) });
        if beyond || followers.iter().any(|(_, t)| t.safe_late == Some(false)) {
            return (degraded(Cause::Lagging), vec![Culprit::Gossip], Vec::new());
        }
        let all: Vec<u32> = followers.iter().map(|(m, _)| m.node).collect();
        match *self.whose(&all) {
            [Culprit::Provider(p)] => (degraded(Cause::Stalled), vec![Culprit::Provider(p)], all),
            // Followers of several providers stand, and nothing says what they share.
            _ => (degraded(Cause::Stalled), Vec::new(), Vec::new()),
        }
    }

    /// Whose fault it is that these followers stand: their provider's, if all that it has here do.
    fn whose(&self, frozen: &[u32]) -> Vec<Culprit<u32>> {
        let of = |provider| self.chain.members.iter().filter(move |m| m.role == Role::Follower(provider));
        let mut culprits = Vec::new();
        for member in self.chain.members.iter().filter(|m| frozen.contains(&m.node)) {
            let Role::Follower(provider) = member.role else { continue };
            let culprit = match of(provider).all(|m| frozen.contains(&m.node)) {
                true => Culprit::Provider(provider),
                false => Culprit::Upstream(member.node),
            };
            if !culprits.contains(&culprit) {
                culprits.push(culprit);
            }
        }
        culprits
    }

    fn sequencers(&self) -> impl Iterator<Item = &'a Member> {
        self.chain.members.iter().filter(|m| m.role == Role::Sequencer)
    }

    fn says(&self, member: &'a Member) -> impl Iterator<Item = &'a Conductor> {
        let (now, fresh, sources) = (self.now, self.fresh(), self.sources);
        member.views.iter().filter_map(move |v| v.conductor(now, fresh, sources))
    }

    /// Who leads by what most heard from the conductors; else the one with the newest block.
    fn leader(&self) -> Option<u32> {
        let voices = |m: &'a Member| self.says(m).filter(|c| c.leader == Some(true)).count();
        let leads = self.sequencers().filter(|m| voices(m) > 0);
        let leads = leads.reduce(|a, b| if voices(b) > voices(a) { b } else { a });
        let newest = |m: &Member| self.seen(m).map(|(_, _, seen)| seen.newest.number).max();
        // Of several the first.
        let best = || self.sequencers().reduce(|a, b| if newest(b) > newest(a) { b } else { a });
        leads.or_else(best).map(|m| m.node)
    }

    fn members(&self, frozen: &[u32], stalled: Option<u32>) -> Vec<Option<Opinion>> {
        let opinion = |m: &'a Member| {
            let heard = self.seen(m).next().is_some() || self.says(m).next().is_some();
            let bad = |status, cause| Some(Opinion { status, cause: Some(cause) });
            match m.role {
                Role::Sequencer if stalled == Some(m.node) => bad(Status::Down, Cause::Stalled),
                Role::Sequencer if self.says(m).any(|c| c.voter != Some(false) && is_unfit(c)) => {
                    bad(Status::Degraded, Cause::Unfit)
                }
                Role::Follower(_) if frozen.contains(&m.node) => bad(Status::Down, Cause::Stalled),
                Role::Sequencer | Role::Follower(_) => heard.then_some(FINE),
            }
        };
        self.chain.members.iter().map(opinion).collect()
    }
}

impl Seen {
    fn is_uneasy(&self) -> bool {
        self.late || self.safe_late == Some(true)
    }
}

impl Chain {
    /// Words what is thought of the chain; `name` names a place.
    pub(crate) fn word(
        &self,
        now: Wall,
        sources: &Sources,
        name: &dyn Fn(u32) -> String,
        words: &mut Words<'_>,
    ) {
        let judge = Judge { chain: self, now, sources };
        for (i, culprit) in self.findings.culprits.iter().enumerate() {
            if i > 0 {
                words.say(format_args!("; "));
            }
            match culprit {
                Culprit::Sequencer(leader) => {
                    let leader = leader.map_or("its sequencer".to_owned(), name);
                    words.say(format_args!("{}; {leader} makes no blocks", judge.age_of_newest(|_| true)));
                }
                Culprit::Provider(node) => {
                    let age = judge.age_of_newest(|m| m.role == Role::Follower(*node));
                    words.say(format_args!("{age} at {}, while others move", name(*node)));
                }
                Culprit::Upstream(node) => {
                    let age = judge.age_of_newest(|m| m.node == *node);
                    words.say(format_args!("{age} at {}, while others move", name(*node)));
                }
                Culprit::Gossip => {
                    let age = judge.age_of_newest(|m| m.role != Role::Sequencer);
                    words.say(format_args!(
                        "{age} at all who follow, while blocks are made and become safe: gossip"
                    ));
                }
                Culprit::Derivation => {
                    words.say(format_args!(
                        "blocks are made and none becomes safe: the batcher or derivation"
                    ));
                }
                Culprit::Vantage(source) => {
                    words.say(format_args!(
                        "vantage point `{source}` sees old heads where others see newer ones"
                    ));
                }
            }
        }
        if self.findings.culprits.is_empty() {
            words.say(format_args!("{}", judge.age_of_newest(|_| true)));
        }
    }

    /// Words what is thought of a member.
    pub(crate) fn word_member(&self, now: Wall, sources: &Sources, member: usize, words: &mut Words<'_>) {
        let judge = Judge { chain: self, now, sources };
        let Some(m) = self.members.get(member) else { return };
        let stands = self.findings.members.get(member).copied().flatten().and_then(|o| o.cause)
            == Some(Cause::Stalled);
        let (mut parts, says) = (Vec::new(), || judge.says(m));
        if judge.seen(m).next().is_some() || stands || says().next().is_none() {
            parts.push(judge.age_of_newest(|other| other.node == m.node));
        }
        if let Some(says) = says().find(|c| is_unfit(c)).or_else(|| says().next()) {
            let role = match (says.leader, says.voter) {
                (Some(true), _) => "leader",
                (_, Some(false)) => "no voter",
                (_, Some(true) | None) => "voter",
            };
            parts.push(unfit(says).map_or(role.to_owned(), |why| format!("{role} that is {why}")));
        }
        words.say(format_args!("{}", parts.join("; ")));
    }
}

impl Judge<'_> {
    /// How old the newest head is that some members show.
    fn age_of_newest(&self, of: impl Fn(&Member) -> bool) -> String {
        let members = self.chain.members.iter().filter(|m| of(m));
        let ages = members
            .flat_map(|m| self.seen(m))
            .map(|(_, at, seen)| Duration::from_millis(seen.newest.age_ms).saturating_add(age(self.now, at)));
        let Some(age) = ages.min() else { return "no head is seen".to_owned() };
        let since = Wall(self.now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        let blocks = self.chain.plan.blocks(age);
        format!("unsafe head {} s old = {blocks:.1} blocks, since {}", age.as_secs(), time_of_day(since))
    }
}
