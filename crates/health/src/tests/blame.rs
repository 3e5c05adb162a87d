//! Blame against a search through every set of components; and what it says of estates that can be read.

use std::collections::BTreeSet;

use seawall_model::{Check, Outcome, estate::Need};

use super::*;
use crate::blame::{Bad, Case, Explained};

/// True if one component explains another, told from the definition alone.
fn explains(case: &Case, root: u32, node: u32) -> bool {
    let Some(bad) = case.get(&node) else { return false };
    root == node
        || !bad.alone && (bad.fates.contains(&root) || bad.needs.iter().any(|n| explains(case, root, *n)))
}

/// The least cost of all sets that explain everything: how many, and how general they are.
fn search(case: &Case) -> (usize, u32) {
    let nodes: Vec<u32> = case.keys().copied().collect();
    let costs = (0u32..1 << nodes.len()).filter_map(|set| {
        let chosen: Vec<u32> =
            nodes.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, n)| *n).collect();
        let to_explain = case.iter().filter(|(_, bad)| !bad.inferred).map(|(node, _)| *node);
        let all = to_explain.into_iter().all(|node| chosen.iter().any(|root| explains(case, *root, node)));
        all.then(|| cost(case, &chosen))
    });
    costs.min().unwrap()
}

fn cost(case: &Case, chosen: &[u32]) -> (usize, u32) {
    (chosen.len(), chosen.iter().map(|n| case[n].generality).sum())
}

/// Leaves, then those whose fate they share, then what needs any of them.
fn case() -> impl Strategy<Value = Case> {
    let leaf = prop::collection::vec(any::<bool>(), 5);
    let leaves = prop::collection::vec((leaf, any::<bool>(), prop::bool::weighted(0.1)), 1..6);
    let fates = prop::collection::vec((any::<bool>(), 1u32..3), 5);
    let made = prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.3), 13), 0..4);
    (leaves, fates, made).prop_map(|(leaves, fates, made)| {
        let (n, mut case) = (leaves.len() as u32, Case::new());
        let pick = |which: &[bool], from: u32| -> Vec<u32> {
            which.iter().enumerate().filter(|(_, is)| **is).map(|(i, _)| from + i as u32).collect()
        };
        for (node, (on, bad, alone)) in leaves.iter().enumerate().filter(|(_, (_, bad, _))| *bad) {
            let _ = bad;
            case.insert(node as u32, Bad { fates: pick(on, n), alone: *alone, ..Bad::default() });
        }
        for (i, (inferred, generality)) in fates.iter().enumerate() {
            // A region may stand on a provider that comes after it.
            let on = if *generality == 1 && i + 1 < fates.len() && fates[i + 1].1 == 2 {
                vec![n + i as u32 + 1]
            } else {
                Vec::new()
            };
            let members =
                case.iter().filter(|(_, b)| b.fates.contains(&(n + i as u32))).map(|(m, _)| *m).collect();
            let needs = if *inferred { members } else { Vec::new() };
            let bad = Bad {
                needs,
                fates: on,
                alone: false,
                inferred: *inferred,
                is_fate: true,
                generality: *generality,
            };
            case.insert(n + i as u32, bad);
        }
        for (i, needs) in made.iter().enumerate() {
            let node = n + 5 + i as u32;
            let all: Vec<u32> =
                pick(needs, 0).into_iter().filter(|need| *need < node && case.contains_key(need)).collect();
            let (fates, needs) = all.into_iter().partition(|need| case[need].is_fate);
            case.insert(node, Bad { needs, fates, ..Bad::default() });
        }
        case
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn blame_is_minimal(case in case()) {
        let explained = Explained::new(&case);
        let roots: Vec<u32> = explained.roots().iter().copied().collect();
        for (node, bad) in &case {
            prop_assert!(bad.inferred || roots.iter().any(|root| explains(&case, *root, *node)), "{} {:?}", node, roots);
            for root in explained.of(*node) {
                prop_assert!(roots.contains(root) && explains(&case, *root, *node), "{} by {}", node, root);
            }
            prop_assert!(bad.inferred || !explained.of(*node).is_empty());
        }
        prop_assert_eq!(cost(&case, &roots), search(&case), "{:?}", roots);
    }
}

/// Forty services, each on one of two regions, and one that needs them all.
struct Estate {
    engine: Engine,
    now: i64,
}

impl Estate {
    fn new() -> Self {
        let probe = ProbePlan {
            name: "http".into(),
            interval: Duration::from_secs(20),
            vantages: vec![Vantage::alone("probe/a")],
            rule: Rule::Consecutive { down: 1, up: 1 },
            quorum: Quorum::Majority,
        };
        let region = |i: usize| id(if i.is_multiple_of(3) { "region:aws/east" } else { "region:aws/west" });
        let service = |i: usize| ComponentPlan {
            probes: vec![probe.clone()],
            on: vec![region(i)],
            ..ComponentPlan::new(id(&format!("service:s{i:02}")))
        };
        let mut components: Vec<ComponentPlan> = (0..40).map(service).collect();
        components.extend(
            [0, 1].map(|i| ComponentPlan { on: vec![id("provider:aws")], ..ComponentPlan::new(region(i)) }),
        );
        let all = (0..40).map(|i| Need::Component(id(&format!("service:s{i:02}")))).collect();
        components
            .push(ComponentPlan { needs: Some(Need::All(all)), ..ComponentPlan::new(id("service:shop")) });
        let from = Wall(START + 3_600_000);
        let until = Wall(START + 7_200_000);
        let maintenance = vec![Maintenance { component: id("service:s00"), from, until, reason: "".into() }];
        let plan = Plan { components, maintenance, ..Plan::default() };
        Self { engine: Engine::new(plan, Wall(START)), now: START - 29_000 }
    }

    fn check(&mut self, is_down: impl Fn(usize) -> bool) {
        self.now += 30_000;
        for i in 0..40 {
            let outcome = if is_down(i) { Outcome::Failed } else { Outcome::Ok };
            let cause = is_down(i).then_some(Cause::Connect);
            let fact = Fact::Check(Check { probe: "http".into(), outcome, cause, latency_us: 1000 });
            let (component, at) = (id(&format!("service:s{i:02}")), Wall(self.now));
            let signal =
                Signal { source: "probe/a".into(), seq: 0, component, observed: at, received: at, fact };
            self.engine.on_signal(at, &signal);
        }
    }

    fn roots(&self) -> Vec<String> {
        self.engine
            .blame()
            .roots
            .iter()
            .map(|r| format!("{} for {}", r.component, r.explains.len()))
            .collect()
    }
}

#[test]
fn the_fewest_and_most_specific_are_blamed() {
    let mut estate = Estate::new();
    estate.check(|_| false);
    assert_eq!(estate.roots(), [""; 0]);
    estate.check(|i| i == 7);
    assert_eq!(
        estate.roots(),
        ["service:s07 for 3"],
        "the shop, the region and the provider look ill for it"
    );
    estate.check(|i| i % 3 == 0 || i == 7);
    assert_eq!(estate.roots(), ["service:s07 for 3", "region:aws/east for 16"]);
    let shop = estate.engine.verdict(&id("service:s03")).unwrap();
    insta::assert_snapshot!(shop.evidence, @"`http`: 1 of 1 vantage points says down: connect; since 06:08:13; because region:aws/east is down");
    estate.check(|_| true);
    assert_eq!(estate.roots(), ["provider:aws for 43"]);
    let lost: BTreeSet<Status> = estate.engine.verdicts().map(|v| v.status).collect();
    assert_eq!(lost, BTreeSet::from([Status::Down]));
}

#[test]
fn announced_work_explains_itself() {
    let mut estate = Estate::new();
    estate.check(|_| false);
    estate.now = START + 3_600_000 - 30_000;
    estate.check(|_| false);
    estate.check(|i| i == 0);
    let verdict = estate.engine.verdict(&id("service:s00")).unwrap();
    assert_eq!((verdict.status, verdict.cause), (Status::Down, Some(Cause::Maintenance)));
    insta::assert_snapshot!(verdict.evidence, @"in maintenance until 08:07:12; `http`: 1 of 1 vantage points says down: connect; since 07:07:42");
    let region = estate.engine.verdict(&id("region:aws/east")).unwrap();
    assert_eq!(region.status, Status::Up, "{}", region.evidence);
    let blame = estate.engine.blame();
    assert_eq!(blame.roots.iter().map(|r| r.planned).collect::<Vec<_>>(), [true]);
    // It ends, and the service is still down.
    estate.now = START + 7_200_000;
    estate.check(|i| i == 0);
    let verdict = estate.engine.verdict(&id("service:s00")).unwrap();
    assert_eq!((verdict.status, verdict.cause), (Status::Down, Some(Cause::Connect)));
}
