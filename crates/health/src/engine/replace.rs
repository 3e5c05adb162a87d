//! A changed estate: what is known of what stays is kept.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ComponentId, Wall};

use super::{Engine, State};
use crate::{
    Plan, ProbePlan, Slo, SloPlan, blame::Because, chain::Chain, damping::Held, deadlines::Armed,
    layout::Layout, votes::Probe,
};

impl Engine {
    /// Takes over a changed estate. What is known of the components that stay is kept, of probes, chains and
    /// objectives as far as they stay as they are.
    pub fn replace(&mut self, plan: Plan, now: Wall) {
        let before = std::mem::replace(&mut self.layout, Layout::new(&plan));
        let states = std::mem::take(&mut self.states);
        let ids = before.nodes.into_iter().map(|n| n.component);
        let mut before: BTreeMap<ComponentId, State> = ids.zip(states).collect();
        self.sources.unpin();
        self.sources.prune(now);
        let mut probes: BTreeMap<&ComponentId, Vec<&ProbePlan>> = BTreeMap::new();
        for planned in &plan.components {
            probes.entry(&planned.component).or_default().extend(&planned.probes);
        }
        let upstreams: BTreeSet<&ComponentId> = plan.upstreams().map(|u| &u.component).collect();
        for node in 0..self.layout.nodes.len() {
            let id = self.layout.nodes[node].component.clone();
            let planned = probes.remove(&id).unwrap_or_default();
            let state = self.state(before.remove(&id), &planned, upstreams.contains(&id), now);
            self.states.push(state);
        }
        self.replace_chains(&plan);
        let kept = std::mem::take(&mut self.objectives);
        let objective = |planned: &SloPlan| match kept.iter().find(|s| s.plan() == planned) {
            Some(slo) => slo.clone(),
            None => Slo::new(planned.clone()),
        };
        self.objectives = plan.objectives.iter().map(objective).collect();
        self.plan = plan;
        self.because = Because::default();
        for (node, state) in self.states.iter().enumerate() {
            self.because.note(node as u32, state.held.status);
        }
        self.begin(now);
    }

    fn state(&mut self, old: Option<State>, planned: &[&ProbePlan], is_upstream: bool, now: Wall) -> State {
        let mut probes: Vec<Probe> =
            planned.iter().filter_map(|p| Probe::new(p, &mut self.sources)).collect();
        for probe in &mut probes {
            let same = old.iter().flat_map(|o| &o.probes).find(|p| p.plan == probe.plan);
            same.into_iter().for_each(|before| probe.inherit(before));
        }
        let (upstream, held) = old.map_or((None, Held::new(now)), |o| (o.upstream, o.held));
        State {
            upstream: is_upstream.then(|| upstream.unwrap_or_default()),
            probes,
            held,
            counted: false,
            stood: false,
            in_maintenance: false,
            armed: Armed::default(),
        }
    }

    fn replace_chains(&mut self, plan: &Plan) {
        let old = std::mem::take(&mut self.chains);
        for planned in &plan.chains {
            let pool = plan.pools.iter().find(|p| p.component == planned.pool);
            let place = |id: &ComponentId| self.layout.places[id];
            // Nobody can report on a chain whose pool there is not.
            let mut chain = Chain::new(planned.clone(), pool.map_or(u32::MAX, |p| place(&p.component)));
            if let Some(pool) = pool {
                planned.sequencers.iter().for_each(|id| chain.add(place(id), id, None));
                pool.upstreams
                    .iter()
                    .for_each(|u| chain.add(place(&u.component), &u.component, Some(place(&u.provider))));
            }
            let before = old.iter().find(|c| c.plan == *planned);
            before.into_iter().for_each(|before| chain.inherit(before));
            self.chains.push(chain);
        }
    }
}
