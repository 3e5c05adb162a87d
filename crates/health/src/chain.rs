//! What is wrong with a chain as a whole, and who is to blame.
//!
//! Vantage points report heads by tag, of the sequencers and of those who follow them; conductors say who leads and who
//! could. From which heads stand and which move follows whose fault it is:
//!
//! | unsafe at sequencers | unsafe at followers | safe | to blame |
//! | --- | --- | --- | --- |
//! | stands | all stand | | the sequencer that leads |
//! | moves | all stand | moves | gossip between them |
//! | moves | those of one provider stand | | that provider |
//! | moves | move | stands | the batcher, or derivation |
//! | stands for one vantage point, while another sees newer blocks | | | that vantage point |
//!
//! A head stands when it is older than [`ChainPlan::late`] for most of the vantage points that have a say. A
//! vantage point that is contradicted is set aside; where that leaves no majority, nothing is known.

mod judge;
mod plan;
mod view;

pub use judge::Culprit;
pub(crate) use judge::Findings;
pub use plan::ChainPlan;
use seawall_model::{ComponentId, Signal, Wall};
use view::{Role, View};

use crate::{deadlines::Armed, sources::Sources};

/// Vantage points remembered of one sequencer or follower.
const VIEWS: usize = 16;
/// Blocks behind the newest from which a sequencer is held to be unable to take over.
pub const BEHIND: u64 = 10;

/// A chain, as those who report on it show it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) plan: ChainPlan,
    /// The pool's place.
    pub(crate) pool: u32,
    pub(crate) members: Vec<Member>,
    pub(crate) findings: Findings,
    pub(crate) armed: Armed,
}

/// A sequencer, or an upstream that follows it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) node: u32,
    component: ComponentId,
    role: Role,
    views: Vec<View>,
}

impl Chain {
    pub(crate) fn new(plan: ChainPlan, pool: u32) -> Self {
        let (members, findings) = (Vec::new(), Findings::default());
        Self { plan, pool, members, findings, armed: Armed::default() }
    }

    /// Adds a sequencer, or a follower that a provider operates.
    pub(crate) fn add(&mut self, node: u32, component: &ComponentId, provider: Option<u32>) {
        let role = provider.map_or(Role::Sequencer, Role::Follower);
        self.members.push(Member { node, component: component.clone(), role, views: Vec::new() });
    }

    /// Takes over what was known of the members that stay.
    pub(crate) fn inherit(&mut self, before: &Self) {
        for member in &mut self.members {
            let same = before.members.iter().find(|m| m.component == member.component);
            same.into_iter().for_each(|same| member.views.clone_from(&same.views));
        }
    }

    /// Takes a signal about a member in. True if it may change what is to be thought.
    pub(crate) fn take(&mut self, now: Wall, member: usize, signal: &Signal) -> bool {
        let fresh = self.plan.fresh();
        let Some(member) = self.members.get_mut(member) else { return false };
        let known = member.views.iter().position(|v| v.is_of(&signal.source));
        let place = match known {
            Some(place) => place,
            None if member.views.len() < VIEWS => {
                member.views.push(View::new(signal.source.clone()));
                member.views.len() - 1
            }
            None => match member.views.iter().position(|v| v.is_stale(now, fresh)) {
                Some(place) => {
                    member.views[place] = View::new(signal.source.clone());
                    place
                }
                None => return false,
            },
        };
        member.views[place].take(now, &self.plan, signal) || !self.findings.is_calm()
    }

    /// True if that source reports on it.
    pub(crate) fn has(&self, source: &str) -> bool {
        self.members.iter().any(|m| m.views.iter().any(|v| v.is_of(source)))
    }

    /// When to look again, if nothing is heard.
    pub(crate) fn deadline(&self, now: Wall) -> Option<Wall> {
        let views = self.members.iter().flat_map(|m| &m.views);
        views.filter_map(|v| v.deadline(now, self.plan.fresh())).min()
    }

    /// Judges anew. True if anything is thought differently from before.
    pub(crate) fn look(&mut self, now: Wall, sources: &Sources) -> bool {
        let findings = judge::judge(self, now, sources);
        let differs = findings != self.findings;
        self.findings = findings;
        differs
    }

    /// Forgets what the clock, set back, says is yet to come.
    pub(crate) fn forget_future(&mut self, now: Wall) {
        self.members.iter_mut().flat_map(|m| &mut m.views).for_each(|v| v.forget_future(now));
    }
}
