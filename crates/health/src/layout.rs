//! The plan by places: every component has one, and is judged after all that it is judged by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;
use seawall_model::{ComponentId, ComponentKind, Wall, estate::Need};

use crate::{Maintenance, Plan, PoolPlan};

/// The components by place: what nothing else is asked about first, then pools, then those whose fate others
/// share, then what needs any of these.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    pub(crate) nodes: Vec<Node>,
    pub(crate) places: HashMap<ComponentId, u32, FixedState>,
    /// Places in the order of component ids.
    pub(crate) sorted: Vec<u32>,
}

/// A component in its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) component: ComponentId,
    pub(crate) kind: Kind,
    /// Who is judged by it.
    pub(crate) feeds: Vec<u32>,
    /// Whose fate it shares, whether told or by way of another.
    pub(crate) fates: Vec<u32>,
    /// Its chain, and its place among the members; of a pool, the chain alone.
    pub(crate) chain: Option<(u32, u32)>,
    /// Announced work, from and until.
    pub(crate) windows: Vec<Maintenance>,
    pub(crate) objectives: Vec<u32>,
}

/// By what a component is judged, besides what is seen of it itself.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Leaf,
    Pool { members: Vec<u32>, halted_after: Option<Duration> },
    Fate { members: Vec<u32> },
    Made(Formula),
}

/// A need with places for components.
#[derive(Debug, Clone)]
pub(crate) enum Formula {
    Node(u32),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    AtLeast(usize, Vec<Formula>),
}

impl Node {
    pub(crate) fn is_in_maintenance(&self, now: Wall) -> bool {
        self.window(now).is_some()
    }

    /// The announced work that is under way.
    pub(crate) fn window(&self, now: Wall) -> Option<&Maintenance> {
        self.windows.iter().find(|work| work.from <= now && now < work.until)
    }

    /// When announced work next begins or ends.
    pub(crate) fn next_window(&self, now: Wall) -> Option<Wall> {
        self.windows.iter().flat_map(|work| [work.from, work.until]).filter(|at| *at > now).min()
    }

    /// How general a cause it would be: the more specific is blamed first.
    pub(crate) fn generality(&self) -> u32 {
        match (&self.kind, self.component.kind() == ComponentKind::Provider) {
            (Kind::Fate { .. }, true) => 2,
            (Kind::Fate { .. }, false) => 1,
            (Kind::Leaf | Kind::Pool { .. } | Kind::Made(_), _) => 0,
        }
    }
}

impl Formula {
    /// The places it names.
    pub(crate) fn nodes(&self) -> Vec<u32> {
        match self {
            Self::Node(node) => vec![*node],
            Self::All(of) | Self::Any(of) | Self::AtLeast(_, of) => of.iter().flat_map(Self::nodes).collect(),
        }
    }

    fn new(need: &Need, places: &HashMap<ComponentId, u32, FixedState>) -> Self {
        let each = |of: &[Need]| of.iter().map(|n| Self::new(n, places)).collect();
        match need {
            Need::Component(id) => Self::Node(places[id]),
            Need::All(of) => Self::All(each(of)),
            Need::Any(of) => Self::Any(each(of)),
            Need::AtLeast { k, of } => Self::AtLeast(*k, each(of)),
        }
    }
}

/// Ids by what they are, before they have places.
struct Sorting<'a> {
    /// Whose fate a component shares, as told.
    on: BTreeMap<&'a ComponentId, BTreeSet<&'a ComponentId>>,
    pools: BTreeMap<&'a ComponentId, &'a PoolPlan>,
    fates: BTreeSet<&'a ComponentId>,
    needs: BTreeMap<&'a ComponentId, &'a Need>,
    all: BTreeSet<&'a ComponentId>,
}

impl<'a> Sorting<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut on = BTreeMap::<_, BTreeSet<_>>::new();
        for upstream in plan.upstreams() {
            on.entry(&upstream.component).or_default().insert(&upstream.provider);
        }
        for planned in &plan.components {
            on.entry(&planned.component).or_default().extend(&planned.on);
        }
        let pools: BTreeMap<_, _> = plan.pools.iter().map(|p| (&p.component, p)).collect();
        let is_operator = |id: &ComponentId| match id.kind() {
            ComponentKind::Provider | ComponentKind::Region => true,
            ComponentKind::Service | ComponentKind::Pool | ComponentKind::Upstream => false,
            ComponentKind::Certificate | ComponentKind::Node | ComponentKind::Sequencer => false,
        };
        let upstreams: BTreeSet<_> = plan.upstreams().map(|u| &u.component).collect();
        let mut all: BTreeSet<&ComponentId> = pools.keys().copied().collect();
        all.extend(&upstreams);
        all.extend(plan.components.iter().map(|c| &c.component));
        all.extend(plan.components.iter().filter_map(|c| c.needs.as_ref()).flat_map(Need::components));
        all.extend(plan.chains.iter().flat_map(|c| &c.sequencers));
        all.extend(on.values().flatten());
        let mut fates: BTreeSet<_> = all.iter().copied().filter(|id| is_operator(id)).collect();
        fates.extend(
            on.values().flatten().copied().filter(|id| !pools.contains_key(id) && !upstreams.contains(id)),
        );
        let needs = plan.components.iter().filter_map(|c| Some((&c.component, c.needs.as_ref()?)));
        let leaf = |id: &ComponentId| pools.contains_key(id) || fates.contains(id) || upstreams.contains(id);
        let needs = needs.filter(|(id, need)| !leaf(id) && !need.components().is_empty()).collect();
        Self { on, pools, fates, needs, all }
    }

    /// Those that need something, each after what it needs; those of a circle are left out.
    fn made(&self) -> Vec<&'a ComponentId> {
        let mut left: BTreeMap<&ComponentId, usize> = BTreeMap::new();
        let mut needed_by = BTreeMap::<&ComponentId, Vec<&'a ComponentId>>::new();
        for (id, need) in &self.needs {
            let needs: BTreeSet<_> =
                need.components().into_iter().filter(|n| self.needs.contains_key(n)).collect();
            left.insert(id, needs.len());
            for needed in needs {
                needed_by.entry(needed).or_default().push(id);
            }
        }
        let mut ready: Vec<&'a ComponentId> =
            self.needs.keys().copied().filter(|id| left[*id] == 0).collect();
        let mut next = 0;
        while let Some(id) = ready.get(next).copied() {
            next += 1;
            for dependant in needed_by.remove(id).unwrap_or_default() {
                let count = left.get_mut(dependant).expect("whatever needs something was counted");
                *count -= 1;
                if *count == 0 {
                    ready.push(dependant);
                }
            }
        }
        ready
    }

    /// Everybody whose fate a component shares.
    fn fates_of(&self, id: &ComponentId) -> BTreeSet<&'a ComponentId> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&ComponentId> = self.on.get(id).into_iter().flatten().copied().collect();
        while let Some(fate) = open.pop() {
            if let Some(fate) = self.fates.get(fate)
                && *fate != id
                && found.insert(*fate)
            {
                open.extend(self.on.get(fate).into_iter().flatten().copied());
            }
        }
        found
    }
}

impl Layout {
    pub(crate) fn new(plan: &Plan) -> Self {
        let sorting = Sorting::new(plan);
        let made = sorting.made();
        let is_made: BTreeSet<_> = made.iter().copied().collect();
        let leaf = |id: &&ComponentId| {
            !sorting.pools.contains_key(id) && !sorting.fates.contains(id) && !is_made.contains(id)
        };
        let mut order: Vec<&ComponentId> = sorting.all.iter().copied().filter(leaf).collect();
        let leaves = order.len();
        let mut seen = BTreeSet::new();
        order.extend(plan.pools.iter().map(|p| &p.component).filter(|id| seen.insert(*id)));
        order.extend(&sorting.fates);
        order.extend(&made);
        let places = order.iter().enumerate().map(|(i, id)| ((*id).clone(), i as u32)).collect();
        let mut layout = Self { nodes: Vec::new(), places, sorted: Vec::new() };
        layout.sorted = sorting.all.iter().map(|id| layout.places[*id]).collect();
        layout.nodes = order.into_iter().map(|id| layout.node(&sorting, id, &is_made)).collect();
        layout.fill_fates(plan, leaves);
        layout.link(plan);
        layout
    }

    fn node(&self, sorting: &Sorting<'_>, id: &ComponentId, made: &BTreeSet<&ComponentId>) -> Node {
        let kind = if let Some(pool) = sorting.pools.get(id) {
            let members = pool.upstreams.iter().map(|u| self.places[&u.component]).collect();
            Kind::Pool { members, halted_after: pool.halted_after }
        } else if sorting.fates.contains(id) {
            Kind::Fate { members: Vec::new() }
        } else {
            match sorting.needs.get(id).filter(|_| made.contains(id)) {
                Some(need) => Kind::Made(Formula::new(need, &self.places)),
                None => Kind::Leaf,
            }
        };
        let fates = sorting.fates_of(id).into_iter().map(|fate| self.places[fate]).collect();
        Node {
            component: id.clone(),
            kind,
            feeds: Vec::new(),
            fates,
            chain: None,
            windows: Vec::new(),
            objectives: Vec::new(),
        }
    }

    /// Whoever needs nothing himself tells of those whose fate he shares: upstreams first, in the plan's order.
    fn fill_fates(&mut self, plan: &Plan, leaves: usize) {
        let upstreams: Vec<u32> = plan.upstreams().map(|u| self.places[&u.component]).collect();
        let known: BTreeSet<u32> = upstreams.iter().copied().collect();
        for member in upstreams.into_iter().chain((0..leaves as u32).filter(|i| !known.contains(i))) {
            for fate in self.nodes[member as usize].fates.clone() {
                if let Kind::Fate { members } = &mut self.nodes[fate as usize].kind {
                    members.push(member);
                }
            }
        }
    }

    fn link(&mut self, plan: &Plan) {
        for place in 0..self.nodes.len() as u32 {
            let judged_by = match &self.nodes[place as usize].kind {
                Kind::Leaf => Vec::new(),
                Kind::Pool { members, .. } | Kind::Fate { members } => members.clone(),
                Kind::Made(formula) => formula.nodes(),
            };
            for by in judged_by.into_iter().collect::<BTreeSet<_>>() {
                self.nodes[by as usize].feeds.push(place);
            }
        }
        for window in &plan.maintenance {
            if let Some(place) = self.places.get(&window.component) {
                self.nodes[*place as usize].windows.push(window.clone());
            }
        }
        for (i, objective) in plan.objectives.iter().enumerate() {
            if let Some(place) = self.places.get(&objective.of) {
                self.nodes[*place as usize].objectives.push(i as u32);
            }
        }
        for (i, chain) in plan.chains.iter().enumerate() {
            let Some(pool) = plan.pools.iter().find(|p| p.component == chain.pool) else { continue };
            let sequencers = chain.sequencers.iter();
            let members = sequencers.chain(pool.upstreams.iter().map(|u| &u.component));
            for (member, id) in members.enumerate() {
                self.nodes[self.places[id] as usize].chain = Some((i as u32, member as u32));
            }
            self.nodes[self.places[&chain.pool] as usize].chain = Some((i as u32, u32::MAX));
        }
    }
}
