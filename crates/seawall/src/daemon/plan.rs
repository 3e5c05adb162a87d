//! What there is to judge in an estate.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_gateway::estate::{PoolKind, PoolSection, UpstreamSection};
use seawall_health::{
    ChainPlan, ComponentPlan, Good, Maintenance, Plan, PoolPlan, ProbePlan, Quorum, Rule, SloPlan,
    UpstreamPlan, Vantage,
};
use seawall_model::{
    ComponentId, ComponentKind, Name, Wall,
    estate::{Graph, Need, Operator, Service},
};
use seawall_probe::{
    core::chain::Part,
    estate::{ChainSection, MemberSection, ProbesSection, WatchSection},
};

use crate::estate::{Announced, Estate};

/// Checks and requests in an objective's long window below which it alerts nobody.
const LEAST_EVENTS: u64 = 20;
/// Looks in vain, on end, after which a part of a chain is taken for down; as many that succeed, for up.
const LOOKS: u32 = 2;
/// How far ahead announced work is told of: what comes every week has no end.
const AHEAD: Duration = Duration::from_secs(8 * 86_400);
/// Most windows that are told of at once; those of announcements further down the file are left out.
const MAX_WINDOWS: usize = 10_000;
/// For how long work that is over is still told of.
const BEHIND: Duration = Duration::from_secs(86_400);

/// The part of an estate that verdicts are about, now.
pub(super) fn plan(estate: &Estate, now: Wall) -> Plan {
    let pools = || estate.gateway.iter().flat_map(|section| &section.pools);
    let mut components = BTreeMap::new();
    for (pool, upstream) in pools().flat_map(|pool| pool.upstreams.iter().map(move |u| (pool, u))) {
        let (provider, region) = (upstream.provider.clone(), upstream.region.clone());
        place(&mut components, &pool.upstream_component(upstream), &Operator { provider, region });
    }
    for name in estate.graph.services.keys() {
        let id = ComponentId::new(ComponentKind::Service, name);
        let needs = estate.graph.needs(&id).filter(|need| !need.components().is_empty()).cloned();
        entry(&mut components, &id).needs = needs;
    }
    if let Some(section) = &estate.probes {
        for probe in &section.probes {
            let rule = Rule::Consecutive { down: probe.down_after, up: probe.up_after };
            let plan = probed(section, probe.name.as_str(), probe.every, rule);
            entry(&mut components, &probe.of).probes.push(plan);
        }
        for (chain, member, part, _) in section.parts() {
            look(&mut components, section, chain, member, part);
        }
    }
    let chains = || estate.probes.iter().flat_map(|section| &section.chains);
    let served: BTreeSet<_> = pools().map(PoolSection::component).collect();
    let standing = chains().filter(|chain| !served.contains(&chain.pool())).map(stands_for);
    let objectives = estate
        .graph
        .services
        .iter()
        .filter_map(|(name, service)| objective(name, service, &estate.graph, &components));
    Plan {
        pools: pools().map(pool).chain(standing).collect(),
        chains: chains().map(chain).collect(),
        objectives: objectives.collect(),
        components: components.into_values().collect(),
        maintenance: maintenance(&estate.maintenance, now),
        ..Plan::default()
    }
}

/// The windows of announced work about now.
pub(super) fn maintenance(announced: &[Announced], now: Wall) -> Vec<Maintenance> {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let (since, until) = (Wall(now.0 - millis(BEHIND)), Wall(now.0 + millis(AHEAD)));
    let mut windows = Vec::new();
    for work in announced {
        for (from, until) in work.windows(since, until) {
            windows.extend(work.components.iter().map(|component| Maintenance {
                component: component.clone(),
                from,
                until,
                reason: work.reason.as_str().into(),
            }));
        }
    }
    windows.truncate(MAX_WINDOWS);
    windows
}

fn entry<'a>(
    components: &'a mut BTreeMap<ComponentId, ComponentPlan>,
    id: &ComponentId,
) -> &'a mut ComponentPlan {
    components.entry(id.clone()).or_insert_with(|| ComponentPlan::new(id.clone()))
}

fn pool(pool: &PoolSection) -> PoolPlan {
    let upstream = |upstream: &UpstreamSection| UpstreamPlan {
        component: pool.upstream_component(upstream),
        provider: ComponentId::new(ComponentKind::Provider, &upstream.provider),
    };
    PoolPlan {
        component: pool.component(),
        halted_after: match &pool.kind {
            PoolKind::Evm(chain) => Some(chain.heads().halt()),
            PoolKind::Http(_) | PoolKind::Grpc(_) => None,
        },
        upstreams: pool.upstreams.iter().map(upstream).collect(),
    }
}

/// The pool that stands for a chain which none serves: whoever follows it.
fn stands_for(chain: &ChainSection) -> PoolPlan {
    let follower = |member: &MemberSection| {
        let operator = member.operator.as_ref()?;
        let provider = ComponentId::new(ComponentKind::Provider, &operator.provider);
        Some(UpstreamPlan { component: member.component.clone(), provider })
    };
    let upstreams = chain.members.iter().filter_map(follower).collect();
    PoolPlan { component: chain.pool(), halted_after: None, upstreams }
}

fn chain(chain: &ChainSection) -> ChainPlan {
    let usual = match chain.random {
        true => ChainPlan::random(chain.pool(), chain.block_time, chain.every),
        false => ChainPlan::slots(chain.pool(), chain.block_time, chain.every),
    };
    let sequencers = chain.members.iter().filter(|member| member.is_sequencer());
    ChainPlan {
        late: chain.late.unwrap_or(usual.late),
        safe_late: chain.safe_late,
        sequencers: sequencers.map(|member| member.component.clone()).collect(),
        ..usual
    }
}

/// Plans the looks at a part of a member of a chain.
fn look(
    components: &mut BTreeMap<ComponentId, ComponentPlan>,
    section: &ProbesSection,
    chain: &ChainSection,
    member: &MemberSection,
    part: Part,
) {
    if let Some(operator) = &member.operator {
        place(components, &member.component, operator);
    }
    let rule = Rule::Consecutive { down: LOOKS, up: LOOKS };
    let plan = probed(section, part.as_str(), chain.every, rule);
    entry(components, &member.component).probes.push(plan);
}

/// Whose fate an upstream shares, where it is told which of its provider's regions it is in.
fn place(components: &mut BTreeMap<ComponentId, ComponentPlan>, upstream: &ComponentId, operator: &Operator) {
    if operator.region.is_none() {
        return;
    }
    let region = operator.component();
    entry(components, &region).on = vec![ComponentId::new(ComponentKind::Provider, &operator.provider)];
    entry(components, upstream).on = vec![region];
}

fn probed(section: &ProbesSection, name: &str, every: Duration, rule: Rule) -> ProbePlan {
    let places = std::iter::once(&section.watch.vantage).chain(&section.watch.remote);
    ProbePlan {
        name: name.into(),
        interval: every,
        vantages: places.map(|place| Vantage::alone(WatchSection::source(place))).collect(),
        rule,
        quorum: Quorum::Majority,
    }
}

/// The objective of a service: by its own checks, or else by the requests to the first pool that it needs.
fn objective(
    name: &Name,
    service: &Service,
    graph: &Graph,
    components: &BTreeMap<ComponentId, ComponentPlan>,
) -> Option<SloPlan> {
    let target = service.objective?;
    let id = ComponentId::new(ComponentKind::Service, name);
    let pool = || {
        let needs = graph.needs(&id).map(Need::components).unwrap_or_default();
        needs.into_iter().find(|need| need.kind() == ComponentKind::Pool).cloned()
    };
    let checked = components.get(&id).is_some_and(|plan| !plan.probes.is_empty());
    let of = if checked { id.clone() } else { pool()? };
    Some(SloPlan { service: id, of, good: Good::Available, target, least: LEAST_EVENTS })
}

#[cfg(test)]
mod tests {
    use std::{env::VarError, path::Path};

    use seawall_runtime::disk::SystemDisk;

    use super::*;
    use crate::estate::{Surroundings, load};

    fn planned(text: &str) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.toml");
        std::fs::write(&path, text).unwrap();
        let variable = |_: &str| Err(VarError::NotPresent);
        let with = Surroundings { disk: &SystemDisk, variable: &variable, cores: 1 };
        plan(&load(Path::new(&path), &with).unwrap(), Wall(0))
    }

    fn id(text: &str) -> ComponentId {
        text.parse().unwrap()
    }

    #[test]
    fn a_chain_is_judged_by_its_sequencers_and_by_a_pool_s_upstreams_or_its_followers() {
        let plan = planned(
            r#"
            [providers.own]
            regions = ["eu"]
            [pools.eth]
            kind = "evm"
            chain_id = 1
            upstreams = [{ name = "a", url = "http://127.0.0.1:1", provider = "own/eu" }]
            [chains.eth]
            block_time = "12s"
            random = true
            [chains.base]
            block_time = "2s"
            safe_late = "10m"
            every = "1s"
            sequencers.b.conductor = "http://127.0.0.1:2"
            followers.x = { url = "http://127.0.0.1:3", provider = "own/eu" }
            "#,
        );
        let [base, eth] = &plan.chains[..] else { panic!("{:?}", plan.chains) };
        assert_eq!((&base.pool, &eth.pool), (&id("pool:base"), &id("pool:eth")));
        assert_eq!((base.late, eth.late), (Duration::from_secs(6), Duration::from_secs(240)));
        assert_eq!((base.safe_late, base.interval), (Some(Duration::from_secs(600)), Duration::from_secs(1)));
        assert_eq!(base.sequencers, [id("sequencer:base/b")]);
        let pools: Vec<_> = plan.pools.iter().map(|p| (&p.component, &p.upstreams[0].component)).collect();
        let pair = |pool, upstream| (id(pool), id(upstream));
        let wanted = [pair("pool:eth", "upstream:eth/a"), pair("pool:base", "upstream:base/x")];
        assert_eq!(pools, wanted.each_ref().map(|(pool, upstream)| (pool, upstream)));
        let found = |text: &str| plan.components.iter().find(|c| c.component == id(text)).unwrap();
        assert_eq!(&*found("sequencer:base/b").probes[0].name, "conductor");
        let follower = found("upstream:base/x");
        assert_eq!((&*follower.probes[0].name, &follower.on), ("execution", &vec![id("region:own/eu")]));
        assert!(found("upstream:eth/a").probes.is_empty(), "the gateway asks it already");
    }

    #[test]
    fn services_are_judged_by_their_probes_and_by_what_they_need() {
        let text = r#"
            [providers.own]
            regions = ["eu"]
            [pools.eth]
            kind = "evm"
            chain_id = 1
            upstreams = [{ name = "a", url = "http://127.0.0.1:1", provider = "own/eu" }]
            [services.deposits]
            needs = "pool:eth"
            objective = "99.9%"
            [services.shop]
            needs = { all = [] }
            objective = "99%"
            [probes.shop]
            target = "https://shop.example/"
            down_after = 3
            [watch]
            vantage = "eu-1"
            remote = ["us-1"]
        "#;
        let plan = planned(text);
        let found = |text: &str| plan.components.iter().find(|c| c.component == id(text)).unwrap();
        assert_eq!(found("upstream:eth/a").on, [id("region:own/eu")]);
        assert_eq!(found("region:own/eu").on, [id("provider:own")]);
        assert_eq!(found("service:deposits").needs, Some(Need::Component(id("pool:eth"))));
        let shop = found("service:shop");
        assert_eq!(shop.needs, None);
        assert_eq!(shop.probes[0].rule, Rule::Consecutive { down: 3, up: 2 });
        let sources: Vec<_> = shop.probes[0].vantages.iter().map(|v| &*v.source).collect();
        assert_eq!(sources, ["probe/eu-1", "probe/us-1"]);
        let of: Vec<_> = plan.objectives.iter().map(|o| (o.service.to_string(), o.of.to_string())).collect();
        let wanted = [("service:deposits", "pool:eth"), ("service:shop", "service:shop")];
        assert_eq!(of, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
