//! The graph of components: what there is, and what needs what.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    At, Code, Need, Place, Problem, Problems, RawProvider, RawService, RawTeam, ServiceCost, Table, cost,
};
use crate::{
    ComponentId, ComponentKind, Name,
    units::{CostRate, Percent},
};

/// Everything in an estate that can be up or down, with what each needs.
///
/// Built in this order: providers, then pools (by the gateway's names), then services, which may need any
/// of them and each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    needs: BTreeMap<ComponentId, Need>,
    /// The teams.
    pub teams: BTreeMap<Name, Team>,
    /// The services.
    pub services: BTreeMap<Name, Service>,
}

/// People who own services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// How to reach them.
    pub contact: Option<String>,
}

/// What is known of a service besides what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The team that owns it.
    pub owner: Option<Name>,
    /// What an outage costs, as the estate puts it.
    pub value: Option<CostRate>,
    /// What an outage costs, with all that is known of it.
    pub cost: Option<ServiceCost>,
    /// The share of time it is to be up.
    pub objective: Option<Percent>,
}

/// Who operates an upstream, and where if told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The provider.
    pub provider: Name,
    /// One of its regions.
    pub region: Option<Name>,
}

impl Operator {
    /// The component whose fate the upstream shares: the region, or else the provider.
    pub fn component(&self) -> ComponentId {
        match &self.region {
            Some(region) => ComponentId::within(ComponentKind::Region, &self.provider, region),
            None => ComponentId::new(ComponentKind::Provider, &self.provider),
        }
    }
}

impl Graph {
    /// Most services of one estate.
    pub const MAX_SERVICES: usize = 10_000;

    /// Every component, in order.
    pub fn components(&self) -> impl Iterator<Item = &ComponentId> {
        self.needs.keys()
    }

    /// True if the component is declared.
    pub fn contains(&self, id: &ComponentId) -> bool {
        self.needs.contains_key(id)
    }

    /// What a component needs, if it is declared. Providers need nothing: `All` of an empty list.
    pub fn needs(&self, id: &ComponentId) -> Option<&Need> {
        self.needs.get(id)
    }

    /// Declares providers and their regions.
    pub fn add_providers(&mut self, providers: &Table<RawProvider>, problems: &mut Problems) {
        for (name, provider) in providers {
            let id = ComponentId::new(ComponentKind::Provider, name);
            self.needs.insert(id.clone(), Need::All(Vec::new()));
            let mut seen = BTreeMap::<_, Place>::new();
            for region in &provider.value.regions {
                if let Some(first) = seen.insert(&region.value, region.place) {
                    let message = format!("region `{}` of `{name}` is declared twice", region.value);
                    let problem = Problem::new(Code::DeclaredTwice, region.place, message);
                    problems.report(problem.other(first, "first declared here"));
                }
                let region = ComponentId::within(ComponentKind::Region, name, &region.value);
                self.needs.insert(region, Need::Component(id.clone()));
            }
        }
    }

    /// Declares a pool, which needs any of its upstreams, each of which needs its region or provider
    /// (`None` where that is not known).
    pub fn add_pool(&mut self, pool: &Name, upstreams: Vec<(Name, Option<Operator>)>) {
        let mut any = Vec::new();
        for (name, operator) in upstreams {
            let id = ComponentId::within(ComponentKind::Upstream, pool, &name);
            let need = operator.map_or(Need::All(Vec::new()), |o| Need::Component(o.component()));
            self.needs.insert(id.clone(), need);
            any.push(Need::Component(id));
        }
        self.needs.insert(ComponentId::new(ComponentKind::Pool, pool), Need::Any(any));
    }

    /// Declares what makes the blocks of a pool's chain, or stands by to: it needs nothing that is known.
    pub fn add_sequencer(&mut self, pool: &Name, name: &Name) {
        let id = ComponentId::within(ComponentKind::Sequencer, pool, name);
        self.needs.insert(id, Need::All(Vec::new()));
    }

    /// Declares teams.
    pub fn add_teams(&mut self, teams: &Table<RawTeam>) {
        let team = |t: &At<RawTeam>| Team { contact: t.value.contact.clone() };
        self.teams.extend(teams.iter().map(|(name, raw)| (name.clone(), team(raw))));
    }

    /// Resolves `provider` or `provider/region`; reports if it is not declared.
    pub fn operator(&self, text: &At<String>, problems: &mut Problems) -> Option<Operator> {
        let read = match text.value.split_once('/') {
            Some((provider, region)) => Name::new(provider)
                .and_then(|provider| Ok(Operator { provider, region: Some(Name::new(region)?) })),
            None => Name::new(&text.value).map(|provider| Operator { provider, region: None }),
        };
        let read = read.ok().filter(|o| self.contains(&o.component()));
        if read.is_none() {
            let message = format!("unknown provider {}", problems.quote(&text.value, text.place));
            let problem = Problem::new(Code::UnknownReference, text.place, message);
            let operators = self.components().filter(|id| match id.kind() {
                ComponentKind::Provider | ComponentKind::Region => true,
                ComponentKind::Service | ComponentKind::Pool | ComponentKind::Upstream => false,
                ComponentKind::Certificate | ComponentKind::Node | ComponentKind::Sequencer => false,
            });
            let help = "declare it, as in `[providers.aws]` with `regions = [\"us-east-1\"]`";
            problems.report_unlike(problem.help(help), &text.value, operators.map(ComponentId::path));
        }
        read
    }

    /// Declares a service that something other than `[services]` speaks of, and that needs nothing. What
    /// [`Graph::add_services`] says of it later stands.
    pub fn add_service(&mut self, name: &Name) {
        self.needs.insert(ComponentId::new(ComponentKind::Service, name), Need::All(Vec::new()));
        let service = Service { owner: None, value: None, cost: None, objective: None };
        self.services.insert(name.clone(), service);
    }

    /// Declares services and resolves what they need. To be called last.
    pub fn add_services(&mut self, services: &Table<RawService>, problems: &mut Problems) {
        if let Some((_, beyond)) = services.iter().nth(Self::MAX_SERVICES) {
            let message = format!("{} services; at most {} are taken", services.len(), Self::MAX_SERVICES);
            problems.report(Problem::new(Code::Limit, beyond.place, message));
            return;
        }
        for name in services.keys() {
            self.needs.insert(ComponentId::new(ComponentKind::Service, name), Need::All(Vec::new()));
        }
        for (name, At { value: raw, .. }) in services {
            if let Some(need) = raw.needs.as_ref().and_then(|n| n.validate(self, problems)) {
                self.needs.insert(ComponentId::new(ComponentKind::Service, name), need);
            }
            let owner = raw.owner.as_ref().filter(|owner| self.team_is_known(owner, problems));
            let owner = owner.map(|o| o.value.clone());
            let (value, cost) = (raw.value.map(|at| at.value), cost::validate(raw, self, problems));
            let service = Service { owner, value, cost, objective: raw.objective };
            self.services.insert(name.clone(), service);
        }
        self.report_circles(services, problems);
    }

    fn team_is_known(&self, owner: &At<Name>, problems: &mut Problems) -> bool {
        let known = self.teams.contains_key(&owner.value);
        if !known {
            let problem =
                Problem::new(Code::UnknownReference, owner.place, format!("unknown team `{}`", owner.value));
            let help = format!("declare it: `[teams.{}]`", owner.value);
            problems.report_unlike(problem.help(help), owner.value.as_str(), self.teams.keys());
        }
        known
    }

    /// Reports each circle among services once. Works without recursion: chains may be thousands long.
    fn report_circles(&self, services: &Table<RawService>, problems: &mut Problems) {
        let service = |id: &ComponentId| id.kind() == ComponentKind::Service;
        let mut open: BTreeMap<&ComponentId, BTreeSet<&ComponentId>> = self
            .needs
            .iter()
            .filter(|(id, _)| service(id))
            .map(|(id, need)| (id, need.components().into_iter().filter(|id| service(id)).collect()))
            .collect();
        for _ in 0..Problems::KEPT {
            drop_settled(&mut open);
            let Some((start, _)) = open.first_key_value() else { return };
            let circle = follow(start, &open);
            let place = circle[0].path().parse::<Name>().ok().and_then(|n| services.get(&n)).map(|s| s.place);
            let closed = circle.iter().chain(circle.first()).map(|id| format!("`{}`", id.path()));
            let message = format!("services need each other: {}", closed.collect::<Vec<_>>().join(" needs "));
            problems.report(Problem::new(Code::Circle, place, message));
            // Whatever else needs this circle is no circle of its own.
            for id in circle {
                open.remove(id);
            }
        }
    }
}

/// Removes, over and over, the services that need none that is left.
fn drop_settled(open: &mut BTreeMap<&ComponentId, BTreeSet<&ComponentId>>) {
    let mut needed_by = BTreeMap::<&ComponentId, Vec<&ComponentId>>::new();
    let mut settled = Vec::new();
    let mut left = BTreeMap::new();
    for (id, needs) in open.iter() {
        let needs: Vec<_> = needs.iter().filter(|n| open.contains_key(*n)).collect();
        left.insert(*id, needs.len());
        if needs.is_empty() {
            settled.push(*id);
        }
        for need in needs {
            needed_by.entry(need).or_default().push(id);
        }
    }
    while let Some(id) = settled.pop() {
        open.remove(id);
        for dependent in needed_by.remove(id).unwrap_or_default() {
            let count = left.get_mut(dependent).expect("every open service was counted");
            *count -= 1;
            if *count == 0 {
                settled.push(dependent);
            }
        }
    }
}

/// Follows needs from `start` until a service comes again; the circle from there, its least service first.
/// Each open service needs an open one, or [`drop_settled`] would have removed it.
fn follow<'a>(
    start: &'a ComponentId,
    open: &BTreeMap<&'a ComponentId, BTreeSet<&'a ComponentId>>,
) -> Vec<&'a ComponentId> {
    let mut path = vec![start];
    let mut at = BTreeMap::from([(start, 0)]);
    loop {
        let last = path[path.len() - 1];
        let next =
            open[last].iter().find(|n| open.contains_key(*n)).expect("an open service needs an open one");
        if let Some(from) = at.get(*next) {
            let mut circle = path.split_off(*from);
            let least = (0..circle.len()).min_by_key(|i| circle[*i]).unwrap_or(0);
            circle.rotate_left(least);
            return circle;
        }
        at.insert(next, path.len());
        path.push(next);
    }
}
