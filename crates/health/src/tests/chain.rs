//! Chains under reports of every kind: nothing is overlooked, nothing flips twice.

use std::collections::BTreeMap;

use seawall_model::{Check, Conductor, Heads, Outcome, Tagged};

use super::*;

const MEMBERS: [&str; 5] =
    ["sequencer:base/a", "sequencer:base/b", "upstream:base/x", "upstream:base/y", "upstream:base/z"];
const SOURCES: [&str; 3] = ["probe/a", "probe/b", "probe/c"];

fn plan() -> Plan {
    let upstream =
        |(name, provider): (&str, &str)| UpstreamPlan { component: id(name), provider: id(provider) };
    let providers = ["provider:p0", "provider:p0", "provider:p1"];
    let upstreams = MEMBERS[2..].iter().copied().zip(providers).map(upstream).collect();
    let pool = PoolPlan { component: id("pool:base"), halted_after: Some(Duration::from_secs(9)), upstreams };
    let slots = ChainPlan::slots(id("pool:base"), Duration::from_secs(2), Duration::from_secs(2));
    let sequencers = MEMBERS[..2].iter().map(|m| id(m)).collect();
    let chain = ChainPlan { sequencers, safe_late: Some(Duration::from_secs(20)), ..slots };
    Plan { pools: vec![pool], chains: vec![chain], damping: Duration::from_secs(3), ..Plan::default() }
}

fn fact() -> impl Strategy<Value = Fact> {
    let tag =
        || prop::option::of((0u64..12, 0u64..25_000).prop_map(|(number, age_ms)| Tagged { number, age_ms }));
    let said = || prop::option::of(any::<bool>());
    let conductor = (said(), said(), said(), said(), prop::option::of(0u64..20));
    prop_oneof![
        6 => (tag(), tag()).prop_map(|(newest, safe)| Fact::Heads(Heads { r#unsafe: newest, safe, finalized: None })),
        1 => (0u64..12, 0u64..15_000).prop_map(|(number, age_ms)| Fact::Head { number, age_ms, fault: None }),
        2 => conductor.prop_map(|(active, leader, voter, provisioned, lag)| {
            Fact::Conductor(Conductor { active, leader, voter, provisioned, lag, ..Conductor::default() })
        }),
        1 => Just(Fact::Check(Check { probe: "x".into(), outcome: Outcome::OwnTrouble, cause: None, latency_us: 0 })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_overlooked_and_nothing_flips_twice(
        reports in prop::collection::vec((fact(), 0usize..5, 0usize..3, 0i64..1500), 1..150),
    ) {
        let mut engine = Engine::new(plan(), Wall(START));
        let (mut now, mut told) = (START, BTreeMap::<ComponentId, Vec<(i64, Status)>>::new());
        for (fact, member, source, wait) in reports {
            now += wait;
            let (at, component) = (Wall(now), id(MEMBERS[member]));
            let signal = Signal { source: SOURCES[source].into(), seq: 0, component, observed: at, received: at, fact };
            for verdict in engine.on_signal(at, &signal) {
                prop_assert!(!verdict.evidence.is_empty());
                told.entry(verdict.component).or_default().push((now, verdict.status));
            }
            let mut all = engine.clone();
            all.begin(at);
            prop_assert_eq!(all.tick(at), vec![]);
            prop_assert!(engine.blame().minimal);
        }
        for (component, told) in told {
            for three in told.windows(3) {
                let [(_, first), (changed, second), (again, third)] = three else { unreachable!() };
                let grows = !improves(*first, *second) && !improves(*second, *third);
                prop_assert!(again - changed >= 3000 || grows, "{} {:?}", component, told);
            }
        }
    }
}
