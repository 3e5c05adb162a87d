//! What there is to judge in an estate.

use std::{collections::BTreeMap, time::Duration};

use seawall_gateway::estate::{PoolKind, PoolSection, UpstreamSection};
use seawall_health::{
    ComponentPlan, Good, Maintenance, Plan, PoolPlan, ProbePlan, Quorum, Rule, SloPlan, UpstreamPlan, Vantage,
};
use seawall_model::{
    ComponentId, ComponentKind, Name, Wall,
    estate::{Graph, Need, Service},
};
use seawall_probe::estate::{ProbeSection, ProbesSection, WatchSection};

use crate::estate::{Announced, Estate};

/// Checks and requests in an objective's long window below which it alerts nobody.
const LEAST_EVENTS: u64 = 20;
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
        place(&mut components, pool, upstream);
    }
    for name in estate.graph.services.keys() {
        let id = ComponentId::new(ComponentKind::Service, name);
        let needs = estate.graph.needs(&id).filter(|need| !need.components().is_empty()).cloned();
        entry(&mut components, &id).needs = needs;
    }
    if let Some(section) = &estate.probes {
        for probe in &section.probes {
            entry(&mut components, &probe.of).probes.push(probed(section, probe));
        }
    }
    let objectives = estate
        .graph
        .services
        .iter()
        .filter_map(|(name, service)| objective(name, service, &estate.graph, &components));
    Plan {
        pools: pools().map(pool).collect(),
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

/// Whose fate an upstream shares, where it is told which of its provider's regions it is in.
fn place(
    components: &mut BTreeMap<ComponentId, ComponentPlan>,
    pool: &PoolSection,
    upstream: &UpstreamSection,
) {
    let Some(region) = &upstream.region else { return };
    let provider = ComponentId::new(ComponentKind::Provider, &upstream.provider);
    let region = ComponentId::within(ComponentKind::Region, &upstream.provider, region);
    entry(components, &region).on = vec![provider];
    entry(components, &pool.upstream_component(upstream)).on = vec![region];
}

fn probed(section: &ProbesSection, probe: &ProbeSection) -> ProbePlan {
    let places = std::iter::once(&section.watch.vantage).chain(&section.watch.remote);
    ProbePlan {
        name: probe.name.as_str().into(),
        interval: probe.every,
        vantages: places.map(|place| Vantage::alone(WatchSection::source(place))).collect(),
        rule: Rule::Consecutive { down: probe.down_after, up: probe.up_after },
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

    #[test]
    fn services_are_judged_by_their_probes_and_by_what_they_need() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.toml");
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
        std::fs::write(&path, text).unwrap();
        let variable = |_: &str| Err(VarError::NotPresent);
        let with = Surroundings { disk: &SystemDisk, variable: &variable, cores: 1 };
        let estate = load(Path::new(&path), &with).unwrap();
        let plan = plan(&estate, Wall(0));
        let id = |text: &str| text.parse::<ComponentId>().unwrap();
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
