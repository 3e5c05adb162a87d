//! What looks at the parts of chains find, as the facts that chains are judged by.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_model::{ComponentId, Conductor, Fact, Heads, Wall};
use seawall_probe::{
    Report,
    core::chain::{ChainFacts, Part},
    estate::{ChainSection, MemberSection},
};

/// Looks at a member's head that are remembered, so that each can be held against what was seen before it.
const LOOKS: usize = 4;
/// By how much a block may be younger than its timestamp says, which counts whole seconds.
const STAMP: Duration = Duration::from_millis(999);

/// What was heard of the members of the chains.
#[derive(Debug, Default)]
pub(super) struct Chains(BTreeMap<ComponentId, Heard>);

/// What was heard of a member.
#[derive(Debug, Default)]
struct Heard {
    /// Heights of its newest block, and when each look had ended; newest first.
    heads: [Option<(Wall, u64)>; LOOKS],
    /// Since when its newest block is seen.
    moved: Option<(u64, Wall)>,
    /// Its op-node did not answer when it was last asked.
    op_node_silent: bool,
    sequencing: Option<bool>,
    lag: Option<u64>,
}

impl Chains {
    /// Forgets whoever is no longer a member of any chain.
    pub(super) fn keep(&mut self, chains: &[ChainSection]) {
        let members = chains.iter().flat_map(|chain| &chain.members);
        let known: BTreeSet<_> = members.map(|member| &member.component).collect();
        self.0.retain(|component, _| known.contains(component));
    }

    /// Takes in what a look at a part of a member found; what that says of the member.
    pub(super) fn take(
        &mut self,
        chain: &ChainSection,
        member: &MemberSection,
        part: Part,
        report: &Report,
        now: Wall,
    ) -> Vec<Fact> {
        let said = report.chain.as_deref();
        let mut facts = Vec::new();
        if part == Part::OpNode {
            let heard = self.0.entry(member.component.clone()).or_default();
            heard.op_node_silent = said.is_none();
            heard.sequencing = said.and_then(|said| said.sequencing);
        }
        // Of two that tell of heads the op-node is nearer to them; the other one is asked for when it is gone.
        let has_say = part != Part::Execution || !member.has(Part::OpNode) || self.is_silent(member);
        if let Some(said) = said.filter(|_| part != Part::Conductor && has_say) {
            facts.extend(self.heads(chain, member, report.began, said, now).map(Fact::Heads));
        }
        let tells = match part {
            Part::Conductor => true,
            Part::Execution | Part::OpNode => {
                member.is_sequencer() && !member.has(Part::Conductor) && has_say
            }
        };
        if let Some(said) = said.filter(|_| tells) {
            facts.push(Fact::Conductor(self.conductor(member, said)));
        }
        facts
    }

    fn is_silent(&self, member: &MemberSection) -> bool {
        self.0.get(&member.component).is_some_and(|heard| heard.op_node_silent)
    }

    /// A member's heads, the newest no younger than the time for which it has been seen.
    fn heads(
        &mut self,
        chain: &ChainSection,
        member: &MemberSection,
        began: Wall,
        said: &ChainFacts,
        now: Wall,
    ) -> Option<Heads> {
        let mut heads = said.heads.clone();
        let newest = heads.r#unsafe.as_mut()?;
        // Only what was seen of others before it was asked shows that it is behind.
        let before =
            |heard: &Heard| heard.heads.iter().flatten().filter(|(at, _)| *at <= began).map(|h| h.1).max();
        let known = chain.members.iter().filter_map(|m| before(self.0.get(&m.component)?)).max();
        let heard = self.0.entry(member.component.clone()).or_default();
        heard.lag = Some(known.unwrap_or(0).saturating_sub(newest.number));
        heard.heads.rotate_right(1);
        heard.heads[0] = Some((now, newest.number));
        let since = match heard.moved {
            Some((number, since)) if number == newest.number => since,
            Some(_) | None => now,
        };
        heard.moved = Some((newest.number, since));
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let spare = if chain.block_time.subsec_nanos() == 0 { Duration::ZERO } else { STAMP };
        newest.age_ms = newest.age_ms.saturating_sub(millis(spare)).max(millis(now.since(since)));
        Some(heads)
    }

    fn conductor(&self, member: &MemberSection, said: &ChainFacts) -> Conductor {
        let heard = self.0.get(&member.component);
        Conductor {
            active: said.active,
            leader: said.leader,
            healthy: said.healthy,
            voter: member.server_id.as_ref().and_then(|id| said.voter(id)),
            sequencing: heard.and_then(|heard| heard.sequencing),
            // No standard method tells.
            provisioned: None,
            lag: heard.and_then(|heard| heard.lag),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seawall_model::Tagged;
    use seawall_probe::{Check, Fault};

    use super::*;

    fn member(component: &str, parts: &[Part]) -> MemberSection {
        let check = Arc::new(Check::new("heads+http://a".parse().unwrap()));
        MemberSection {
            component: component.parse().unwrap(),
            operator: None,
            server_id: Some("b".into()),
            checks: parts.iter().map(|part| (*part, check.clone())).collect(),
        }
    }

    fn chain(block_time: Duration) -> ChainSection {
        let all = [Part::Execution, Part::OpNode, Part::Conductor];
        let members = vec![
            member("sequencer:base/a", &all),
            member("sequencer:base/b", &all),
            member("upstream:base/x", &[Part::Execution]),
        ];
        let (every, name) = (Duration::from_secs(2), "base".parse().unwrap());
        ChainSection { name, block_time, random: false, late: None, safe_late: None, every, members }
    }

    struct World {
        chain: ChainSection,
        chains: Chains,
    }

    impl World {
        fn new(block_time: Duration) -> Self {
            Self { chain: chain(block_time), chains: Chains::default() }
        }

        /// A look at a part that begins then and takes 100 ms.
        fn look(&mut self, member: usize, part: Part, began: i64, said: Option<ChainFacts>) -> Vec<Fact> {
            let mut report = Report::new(Wall(began));
            report.fault = said.is_none().then_some(Fault::Closed);
            report.chain = said.map(Box::new);
            let (chain, member) = (&self.chain, &self.chain.members[member]);
            self.chains.take(chain, member, part, &report, Wall(began + 100))
        }

        /// The newest head that a look makes known: its height and age.
        fn newest(&mut self, member: usize, part: Part, began: i64, tag: (u64, u64)) -> Option<(u64, u64)> {
            let facts = self.look(member, part, began, Some(head(tag)));
            let newest = |fact: &Fact| match fact {
                Fact::Heads(heads) => heads.r#unsafe.map(|tag| (tag.number, tag.age_ms)),
                _ => None,
            };
            facts.iter().find_map(newest)
        }
    }

    fn head((number, age_ms): (u64, u64)) -> ChainFacts {
        let heads = Heads { r#unsafe: Some(Tagged { number, age_ms }), ..Heads::default() };
        ChainFacts { heads, sequencing: Some(true), ..ChainFacts::default() }
    }

    #[test]
    fn a_head_is_as_old_as_its_stamp_says_or_as_it_has_been_seen() {
        let mut world = World::new(Duration::from_secs(2));
        assert_eq!(world.newest(2, Part::Execution, 1_000, (5, 1_500)), Some((5, 1_500)));
        // By its stamp it is of the future, and yet it has been there for 2 s.
        assert_eq!(world.newest(2, Part::Execution, 3_000, (5, 0)), Some((5, 2_000)));
        assert_eq!(world.newest(2, Part::Execution, 5_000, (6, 0)), Some((6, 0)));
        // Stamps of blocks that come four times a second tell of whole seconds only.
        let mut world = World::new(Duration::from_millis(250));
        assert_eq!(world.newest(2, Part::Execution, 1_000, (5, 1_500)), Some((5, 501)));
    }

    #[test]
    fn an_op_node_is_asked_before_the_execution_node_beside_it() {
        let mut world = World::new(Duration::from_secs(2));
        assert_eq!(world.newest(0, Part::OpNode, 0, (5, 0)), Some((5, 0)));
        assert_eq!(world.newest(0, Part::Execution, 500, (4, 0)), None);
        assert!(world.look(0, Part::OpNode, 2_000, None).is_empty());
        assert_eq!(world.newest(0, Part::Execution, 2_500, (6, 0)), Some((6, 0)));
    }

    #[test]
    fn a_conductor_s_word_is_joined_with_what_its_op_node_shows() {
        let mut world = World::new(Duration::from_secs(2));
        world.newest(1, Part::OpNode, 0, (80, 0));
        world.newest(0, Part::OpNode, 1_000, (100, 0));
        let said = || {
            let cluster = vec![seawall_probe::core::chain::Server { id: "b".into(), voter: true }];
            ChainFacts { leader: Some(false), healthy: Some(true), cluster, ..ChainFacts::default() }
        };
        let wanted = Conductor {
            leader: Some(false),
            healthy: Some(true),
            voter: Some(true),
            sequencing: Some(true),
            lag: Some(0),
            ..Conductor::default()
        };
        // What was seen of the other one later says nothing of it.
        assert_eq!(world.look(1, Part::Conductor, 1_200, Some(said())), [Fact::Conductor(wanted.clone())]);
        // Begun before the other's answer had come.
        world.newest(1, Part::OpNode, 1_050, (80, 0));
        assert_eq!(world.look(1, Part::Conductor, 1_400, Some(said())), [Fact::Conductor(wanted.clone())]);
        world.newest(1, Part::OpNode, 2_000, (80, 0));
        let behind = Conductor { lag: Some(20), ..wanted };
        assert_eq!(world.look(1, Part::Conductor, 2_200, Some(said())), [Fact::Conductor(behind)]);
        assert!(world.look(1, Part::Conductor, 4_200, None).is_empty());
    }

    #[test]
    fn whoever_left_is_forgotten() {
        let mut world = World::new(Duration::from_secs(2));
        world.newest(0, Part::OpNode, 0, (5, 0));
        world.newest(2, Part::Execution, 0, (5, 0));
        world.chain.members.remove(0);
        world.chains.keep(std::slice::from_ref(&world.chain));
        let known: Vec<_> = world.chains.0.keys().map(ToString::to_string).collect();
        assert_eq!(known, ["upstream:base/x"]);
    }
}
