//! What a signal costs the engine in an estate of ten thousand components: ten million signals replayed, a thousand
//! seconds of ten thousand a second, in which a provider of fifty fails for a minute and is well for four, by turns.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seawall_health::{ComponentPlan, Engine, Plan, PoolPlan, ProbePlan, Quorum, Rule, UpstreamPlan, Vantage};
use seawall_model::{Cause, Check, ComponentId, Fact, Outcome, Signal, Traffic, Wall, estate::Need};

const POOLS: usize = 2000;
const PROVIDERS: usize = 50;
const PROBED: usize = 1500;
const MADE: usize = 450;
const VANTAGES: [&str; 3] = ["probe/a", "probe/b", "probe/c"];
const SECONDS: i64 = 1000;
const A_SECOND: u64 = 10_000;

fn id(text: &str) -> ComponentId {
    let Ok(id) = text.parse() else { unreachable!("ids are made here") };
    id
}

fn upstream(pool: usize, i: usize) -> UpstreamPlan {
    let provider = id(&format!("provider:p{}", (pool + i * 17) % PROVIDERS));
    UpstreamPlan { component: id(&format!("upstream:c{pool}/u{i}")), provider }
}

/// 2,000 pools of three upstreams, 50 providers, 1,500 services that are probed and 450 that need others.
fn plan() -> Plan {
    let pool = |n: usize| PoolPlan {
        component: id(&format!("pool:c{n}")),
        halted_after: Some(Duration::from_secs(60)),
        upstreams: (0..3).map(|i| upstream(n, i)).collect(),
    };
    let probe = ProbePlan {
        name: "http".into(),
        interval: Duration::from_secs(3),
        vantages: VANTAGES.into_iter().map(Vantage::alone).collect(),
        rule: Rule::Consecutive { down: 2, up: 2 },
        quorum: Quorum::Majority,
    };
    let probed = |n: usize| ComponentPlan {
        probes: vec![probe.clone()],
        on: vec![id(&format!("provider:p{}", n % PROVIDERS))],
        ..ComponentPlan::new(id(&format!("service:s{n}")))
    };
    let made = |n: usize| {
        let needs = (0..4).map(|i| Need::Component(id(&format!("pool:c{}", (n * 4 + i) % POOLS))));
        let needs = Some(Need::All(needs.chain([Need::Component(id(&format!("service:s{n}")))]).collect()));
        ComponentPlan { needs, ..ComponentPlan::new(id(&format!("service:m{n}"))) }
    };
    let components = (0..PROBED).map(probed).chain((0..MADE).map(made)).collect();
    Plan { pools: (0..POOLS).map(pool).collect(), components, ..Plan::default() }
}

/// A second's signals: a head of every upstream, traffic of two in five, a check of every probed service.
fn second(vantage: &str, ill: bool) -> Vec<Signal> {
    let signal = |source: &str, component: ComponentId, fact: Fact| {
        let (observed, received) = (Wall(0), Wall(0));
        Signal { source: source.into(), seq: 0, component, observed, received, fact }
    };
    let mut signals = Vec::new();
    for pool in 0..POOLS {
        for i in 0..3 {
            let UpstreamPlan { component, provider } = upstream(pool, i);
            let is_ill = ill && provider == id("provider:p7");
            let fault = is_ill.then_some(Cause::Stalled);
            signals.push(signal(
                "gateway",
                component.clone(),
                Fact::Head { number: 100, age_ms: 900, fault },
            ));
            if signals.len() as u64 % 5 < 3 {
                let (failures, cause) = if is_ill { (30, Some(Cause::Timeout)) } else { (0, None) };
                let traffic = Traffic { class: "state".into(), attempts: 100, failures, cause, mean_us: 900 };
                signals.push(signal("gateway", component, Fact::Traffic(traffic)));
            }
        }
    }
    for n in 0..PROBED {
        let is_ill = ill && n % PROVIDERS == 7;
        let outcome = if is_ill { Outcome::Failed } else { Outcome::Ok };
        let check = Check { probe: "http".into(), outcome, cause: None, latency_us: 20_000 };
        signals.push(signal(vantage, id(&format!("service:s{n}")), Fact::Check(check)));
    }
    signals.truncate(A_SECOND as usize);
    assert_eq!(signals.len() as u64, A_SECOND, "a second is full");
    signals
}

fn benches(c: &mut Criterion) {
    let each = |ill| VANTAGES.map(|vantage| second(vantage, ill));
    let (well, ill) = (each(false), each(true));
    let mut group = c.benchmark_group("engine");
    group.sample_size(10).throughput(Throughput::Elements(A_SECOND * SECONDS as u64));
    group.bench_function("ten million signals, ten thousand components", |b| {
        b.iter(|| {
            let mut engine = Engine::new(plan(), Wall(0));
            let mut told = 0;
            for at in 1..=SECONDS {
                let now = Wall(at * 1000);
                let seconds = if at % 300 < 240 { &well } else { &ill };
                for signal in &seconds[at as usize % VANTAGES.len()] {
                    told += engine.on_signal(now, black_box(signal)).len();
                }
                told += engine.tick(now).len();
            }
            assert!(told > 10_000, "verdicts changed: {told}");
            told
        });
    });
    group.finish();
}

criterion_group!(engine, benches);
criterion_main!(engine);
