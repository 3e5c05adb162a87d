//! What a large estate tells Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::VarError,
    fmt::Write as _,
};

use seawall_model::{Cause, ComponentId, ComponentKind, Status, Verdict, Wall};
use seawall_runtime::{disk::SystemDisk, net::sockets::Sockets};

use super::*;
use crate::estate::{Surroundings, load};

/// Upstreams, services and probes, each.
const MANY: usize = 10_000;
/// Upstreams of a pool.
const EACH: usize = 50;
/// Samples that one family may have: a few for each upstream (one a class of methods), or component.
const MOST: usize = 16 * MANY;

/// An estate of so many upstreams in pools of fifty, and as many services, each with a probe and a value: in files of
/// some hundred kilobytes, since each has its limit.
fn many() -> Vec<String> {
    let pool = |pool: usize| {
        let mut text = format!(
            "[providers.p{pool}]\n[pools.p{pool}]\nkind = \"evm\"\nchain_id = {}\nblock_time = \"12s\"\n",
            pool + 1
        );
        for n in 0..EACH {
            let _ = writeln!(
                text,
                "[[pools.p{pool}.upstreams]]\nname = \"u{n}\"\nurl = \"http://127.0.0.1:1/{n}\"\nprovider = \"p{pool}\""
            );
        }
        for n in pool * EACH..(pool + 1) * EACH {
            let _ = writeln!(text, "[services.s{n}]\nneeds = {{ all = [] }}\nvalue = \"$1k/h\"");
            let _ = writeln!(text, "[probes.s{n}]\ntarget = \"http://127.0.0.1:1/{n}\"");
        }
        text
    };
    (0..MANY / EACH).map(pool).collect()
}

/// The samples of a text in Prometheus' format 0.0.4, by family.
fn families(text: &str) -> BTreeMap<String, usize> {
    let (mut families, mut seen) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    let mut typed = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE"].contains(&word) && words.next().is_some(), "{line}");
            assert!(word != "TYPE" || typed.insert(name.to_owned()), "told twice: {line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        assert!(value.parse::<f64>().is_ok(), "no number: {line}");
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
        assert!(series == name || (series.ends_with('}') && series.matches('"').count() % 2 == 0), "{line}");
        assert!(seen.insert(series.to_owned()), "told twice: {series}");
        let family = typed.iter().rev().find(|family| {
            name.strip_prefix(family.as_str())
                .is_some_and(|rest| ["", "_bucket", "_sum", "_count", "_total"].contains(&rest))
        });
        let family = family.unwrap_or_else(|| panic!("no TYPE before {line}"));
        *families.entry(family.clone()).or_default() += 1;
    }
    families
}

#[tokio::test]
async fn ten_thousand_of_each_are_told_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    for (n, text) in many().into_iter().enumerate() {
        std::fs::write(dir.path().join(format!("{n:03}.toml")), text).unwrap();
    }
    let variable = |_: &str| Err(VarError::NotPresent);
    let with = Surroundings { disk: &SystemDisk, variable: &variable, cores: 1 };
    let estate = load(dir.path(), &with).unwrap_or_else(|error| panic!("{error:?}"));

    let machine = Machine::system(None, Arc::<Sockets>::default()).unwrap();
    let (events, _happened) = Events::queue();
    let _gateway = Gateway::new(estate.gateway.clone().unwrap(), &machine, events).unwrap();
    let (board, meter) = (Arc::<Board>::default(), Arc::<Meter>::default());
    board.register(&machine.metrics);
    meter.register(&machine.metrics);
    Arc::new(seawall_probe::Counters::default()).register(&machine.metrics, 0);
    let verdict = |component: &ComponentId| Verdict {
        component: component.clone(),
        status: Status::Down,
        since: Wall(0),
        cause: Some(Cause::Timeout),
        evidence: "it hangs".to_owned(),
    };
    let components = plan::plan(&estate, Wall(0)).components;
    assert!(components.len() >= MANY, "{}", components.len());
    board.replace(components.iter().map(|plan| verdict(&plan.component)));
    let statuses = board.statuses();
    let status = |id: &ComponentId| statuses.get(id).copied().unwrap_or(Status::Unknown);
    for _ in 0..2 {
        meter.tick(&estate.costs(), status, &BTreeMap::new(), Wall(0), Duration::from_secs(1));
    }

    let text = machine.metrics.encode();
    let families = families(&text);
    let over: Vec<_> = families.iter().filter(|(_, samples)| **samples > MOST).collect();
    assert!(over.is_empty(), "{over:?}");
    assert!(families["seawall_health_status"] <= board::MAX_LABELS, "{families:?}");
    assert_eq!(families["seawall_cost_per_minute"], meter::MAX_LABELS + 1);
    // Nothing is told of each probe: there may be more of them than of anything else.
    let probes = families.iter().filter(|(name, _)| name.starts_with("seawall_probe_"));
    assert!(probes.clone().count() > 0 && probes.clone().all(|(_, samples)| *samples < 16), "{families:?}");
    let service = ComponentId::new(ComponentKind::Service, &"s7".parse().unwrap());
    assert!(text.contains(&format!("seawall_health_status{{component=\"{service}\"}} 2")));
    if let Some(file) = std::env::var_os("SEAWALL_METRICS_TO") {
        std::fs::write(file, text).unwrap();
    }
}
