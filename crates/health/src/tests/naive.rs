//! The whole engine against a judge who remembers every signal and works everything out anew at each step.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{Check, Outcome, estate::Need};

use super::*;

/// Where probes are run from; the last two stand in one place.
const VANTAGES: [&str; 4] = ["probe/a", "probe/b", "probe/c", "probe/d"];
const UPSTREAMS: [&str; 3] = ["upstream:eth/x", "upstream:eth/y", "upstream:eth/z"];
const PROBED: [&str; 3] = ["service:s0", "service:s1", "upstream:eth/x"];

/// An estate: one pool on two providers, two services that are probed, two that need others.
#[derive(Debug, Clone)]
struct Estate {
    rule: Rule,
    quorum: Quorum,
    vantages: usize,
    interval: u64,
    damping: u64,
    needs: Vec<Need>,
    maintenance: (i64, i64),
}

fn need() -> impl Strategy<Value = Need> {
    let names = ["pool:eth", "service:s0", "service:s1", "provider:p0", "provider:p1", "region:p0/r"];
    let leaf = prop::sample::select(names.to_vec()).prop_map(|name| Need::Component(id(name)));
    leaf.prop_recursive(2, 6, 3, |inner| {
        let of = prop::collection::vec(inner, 1..4);
        (of, 0..3usize).prop_map(|(of, kind)| match kind {
            0 => Need::All(of),
            1 => Need::Any(of),
            _ => Need::AtLeast { k: of.len().div_ceil(2), of },
        })
    })
}

fn estate() -> impl Strategy<Value = Estate> {
    let rule = prop_oneof![
        (1u32..4, 1u32..3).prop_map(|(down, up)| Rule::Consecutive { down, up }),
        (1u32..5, 2000u64..60_000).prop_map(|(least, ms)| Rule::Rate {
            window: Duration::from_millis(ms),
            share: 0.5,
            least
        }),
    ];
    let quorum = prop_oneof![Just(Quorum::Majority), (1usize..4).prop_map(Quorum::AtLeast)];
    let times = (1000u64..8000, prop::sample::select(vec![0u64, 3000, 10_000]));
    (rule, quorum, 1usize..5, times, prop::collection::vec(need(), 2), (0i64..60_000, 0i64..60_000)).prop_map(
        |(rule, quorum, vantages, (interval, damping), needs, (from, long))| Estate {
            rule,
            quorum,
            vantages,
            interval,
            damping,
            needs,
            maintenance: (START + from, START + from + long),
        },
    )
}

impl Estate {
    fn plan(&self) -> Plan {
        let site = |i: usize| (i >= 2).then(|| id("region:p9/r"));
        let vantage = |i: usize| Vantage { source: VANTAGES[i].into(), site: site(i) };
        let probe = |name: &str| ProbePlan {
            name: name.into(),
            interval: Duration::from_millis(self.interval),
            vantages: (0..self.vantages).map(vantage).collect(),
            rule: self.rule,
            quorum: self.quorum,
        };
        let upstream =
            |(name, provider): (&str, &str)| UpstreamPlan { component: id(name), provider: id(provider) };
        let upstreams =
            UPSTREAMS.into_iter().zip(["provider:p0", "provider:p0", "provider:p1"]).map(upstream).collect();
        let pool =
            PoolPlan { component: id("pool:eth"), halted_after: Some(Duration::from_secs(7)), upstreams };
        let mut components: Vec<ComponentPlan> = PROBED
            .iter()
            .map(|name| ComponentPlan {
                probes: vec![probe("one"), probe("two")],
                ..ComponentPlan::new(id(name))
            })
            .collect();
        components[0].on = vec![id("region:p0/r")];
        components[1].on = vec![id("provider:p1")];
        components
            .push(ComponentPlan { on: vec![id("provider:p0")], ..ComponentPlan::new(id("region:p0/r")) });
        for (i, need) in self.needs.iter().enumerate() {
            let needs = match i {
                0 => need.clone(),
                _ => Need::All(vec![need.clone(), Need::Component(id("service:m0"))]),
            };
            components.push(ComponentPlan {
                needs: Some(needs),
                ..ComponentPlan::new(id(&format!("service:m{i}")))
            });
        }
        let (from, until) = (Wall(self.maintenance.0), Wall(self.maintenance.1));
        let maintenance = vec![Maintenance { component: id("service:s0"), from, until, reason: "".into() }];
        let damping = Duration::from_millis(self.damping);
        Plan { pools: vec![pool], components, maintenance, damping, ..Plan::default() }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Upstream(usize, Input, u64),
    Check { target: usize, probe: bool, vantage: usize, outcome: Outcome },
    Tick,
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop::sample::select(vec![
        Outcome::Ok,
        Outcome::Ok,
        Outcome::Ok,
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Failed,
        Outcome::OwnTrouble,
    ]);
    prop_oneof![
        2 => (0usize..3, input(), 0u64..9000).prop_map(|(u, input, age)| Act::Upstream(u, input, age)),
        4 => (0usize..3, any::<bool>(), 0usize..4, outcome)
            .prop_map(|(target, probe, vantage, outcome)| Act::Check { target, probe, vantage, outcome }),
        1 => Just(Act::Tick),
    ]
}

/// The judge.
struct Naive {
    estate: Estate,
    plan: Plan,
    acts: Vec<(i64, Act)>,
    told: BTreeMap<ComponentId, (Status, Changes)>,
}

type Told = BTreeMap<ComponentId, Status>;

impl Naive {
    /// One component's part of all that happened to upstreams.
    fn of_upstream(&self, upstream: usize) -> Vec<(i64, Input)> {
        let of = self.acts.iter().filter_map(|(at, act)| match act {
            Act::Upstream(u, input, _) if *u == upstream => Some((*at, input.clone())),
            Act::Upstream(..) | Act::Check { .. } | Act::Tick => None,
        });
        of.collect()
    }

    fn upstream(&self, upstream: usize, now: i64) -> Status {
        let heard = self.acts.iter().any(|(at, a)| matches!(a, Act::Upstream(..)) && now - at <= 10_000);
        if heard { super::naive(&self.of_upstream(upstream), now) } else { Status::Unknown }
    }

    /// What a vantage point says of a probe, from all that it ever reported.
    fn vote(&self, target: usize, probe: bool, vantage: usize, now: i64) -> Option<bool> {
        let fresh = 2 * self.estate.interval as i64 + 5000;
        let (mut says, mut run, mut last, mut at) = (None, 0u32, None, i64::MIN);
        let mut trouble: Option<i64> = None;
        let mut results: Vec<(i64, bool)> = Vec::new();
        for (when, act) in &self.acts {
            let Act::Check { target: t, probe: p, vantage: v, outcome } = act else { continue };
            if *v != vantage {
                continue;
            }
            if *outcome == Outcome::OwnTrouble {
                trouble = Some(*when);
                (says, last, at) = (None, None, i64::MIN);
                results.clear();
                continue;
            }
            if *t != target || *p != probe || trouble.is_some_and(|t| when - t <= 10_000) {
                continue;
            }
            if at == i64::MIN || when - at > fresh {
                (says, last) = (None, None);
                results.clear();
            }
            let ok = *outcome == Outcome::Ok;
            run = if last == Some(ok) { run + 1 } else { 1 };
            (last, at) = (Some(ok), *when);
            results.push((*when, ok));
            if let Rule::Consecutive { down, up } = self.estate.rule {
                says = match says {
                    None if ok => Some(true),
                    Some(false) if ok && run >= up => Some(true),
                    None | Some(true) if !ok && run >= down => Some(false),
                    says => says,
                };
            }
        }
        if at == i64::MIN || now - at > fresh {
            return None;
        }
        let Rule::Rate { window, share, least } = self.estate.rule else { return says };
        let step = window.as_millis() as i64 / BUCKETS as i64;
        let counts = |when: i64| when.div_euclid(step) > now.div_euclid(step) - BUCKETS as i64;
        let all = results.iter().filter(|(when, _)| counts(*when)).count();
        let bad = results.iter().filter(|(when, ok)| counts(*when) && !ok).count();
        Some(!(bad > 0 && all >= least as usize && bad as f64 >= all as f64 * share))
    }

    fn probe(&self, target: usize, probe: bool, now: i64) -> Status {
        let mut places: BTreeMap<usize, BTreeSet<bool>> = BTreeMap::new();
        for vantage in 0..self.estate.vantages {
            let vote = self.vote(target, probe, vantage, now);
            places.entry(vantage.min(2)).or_default().extend(vote);
        }
        let count = |votes: &[bool]| {
            places.values().filter(|v| v.iter().copied().collect::<Vec<_>>() == votes).count()
        };
        let (up, down, split) = (count(&[true]), count(&[false]), count(&[false, true]));
        let all = up + down + split;
        let need = match self.estate.quorum {
            Quorum::Majority => all / 2 + 1,
            Quorum::AtLeast(k) => k,
        };
        match () {
            () if all == 0 || (self.estate.quorum != Quorum::Majority && all < need) => Status::Unknown,
            () if down >= need => Status::Down,
            () if up >= need => Status::Up,
            () => Status::Degraded,
        }
    }

    /// The worst of what is known.
    fn worst(of: &[Status]) -> Status {
        let order = [Status::Down, Status::Degraded, Status::Up];
        order.into_iter().find(|s| of.contains(s)).unwrap_or(Status::Unknown)
    }

    fn is_new(&self, id: &ComponentId, now: i64) -> bool {
        self.told[id].1.0.is_empty() && now - START < 10_000
    }

    fn pool(&self, told: &Told, now: i64) -> Status {
        let judged: Vec<Status> =
            UPSTREAMS.iter().map(|u| id(u)).filter(|u| !self.is_new(u, now)).map(|u| told[&u]).collect();
        let status = match () {
            () if judged.iter().all(|s| *s == Status::Unknown) => Status::Unknown,
            () if judged.iter().all(|s| *s == Status::Up) => Status::Up,
            () if judged.iter().any(|s| matches!(s, Status::Up | Status::Degraded)) => Status::Degraded,
            () => Status::Down,
        };
        let head_age = |u: usize| {
            let mut heads = self.acts.iter().filter_map(|(at, act)| match act {
                Act::Upstream(n, Input::Head(fault), age) if *n == u => Some((*at, *fault, *age)),
                Act::Upstream(..) | Act::Check { .. } | Act::Tick => None,
            });
            let (at, fault, age) = heads.next_back()?;
            (fault.is_none() && now - at <= 10_000).then_some(age as i64 + now - at)
        };
        match ((0..3).filter_map(head_age).min(), status) {
            (Some(age), Status::Up | Status::Degraded) if age >= 7000 => Status::Degraded,
            _ => status,
        }
    }

    fn fate(&self, told: &Told, members: &[&str], now: i64) -> Status {
        let (from, until) = self.estate.maintenance;
        let worked_on = |id: &ComponentId| *id == super::id("service:s0") && from <= now && now < until;
        let judged = members.iter().map(|m| id(m)).filter(|m| !self.is_new(m, now) && !worked_on(m));
        let judged: BTreeSet<Status> = judged.map(|m| told[&m]).collect();
        match judged.len() {
            0 => Status::Unknown,
            1 => *judged.first().unwrap(),
            _ => Status::Degraded,
        }
    }

    fn need(told: &Told, need: &Need) -> Status {
        let (k, of) = match need {
            Need::Component(id) => return told[id],
            Need::All(of) => (of.len(), of),
            Need::Any(of) => (1, of),
            Need::AtLeast { k, of } => (*k, of),
        };
        let of: Vec<Status> = of.iter().map(|n| Self::need(told, n)).collect();
        let count = |s: Status| of.iter().filter(|is| **is == s).count();
        let (up, half, unknown) = (count(Status::Up), count(Status::Degraded), count(Status::Unknown));
        if matches!(need, Need::All(_)) {
            let worst = [Status::Down, Status::Degraded, Status::Unknown].into_iter().find(|s| count(*s) > 0);
            return worst.unwrap_or(Status::Up);
        }
        match () {
            () if up == of.len() => Status::Up,
            () if up + half >= k => Status::Degraded,
            () if up + half + unknown >= k => Status::Unknown,
            () => Status::Down,
        }
    }

    fn tell(&mut self, told: &mut Told, name: &str, wanted: Status, now: i64) {
        let (status, changes) = self.told.get_mut(&id(name)).unwrap();
        if wanted != *status && changes.allow(now, *status, wanted, self.estate.damping as i64) {
            changes.0.push((now, *status, wanted));
            *status = wanted;
        }
        told.insert(id(name), *status);
    }

    /// Everything, worked out anew.
    fn step(&mut self, now: i64) -> Told {
        let mut told = Told::new();
        for (target, name) in PROBED.iter().enumerate() {
            let mut parts = vec![self.probe(target, false, now), self.probe(target, true, now)];
            if target == 2 {
                parts.push(self.upstream(0, now));
            }
            self.tell(&mut told, name, Self::worst(&parts), now);
        }
        for (upstream, name) in UPSTREAMS.iter().enumerate().skip(1) {
            let wanted = self.upstream(upstream, now);
            self.tell(&mut told, name, wanted, now);
        }
        let wanted = self.pool(&told, now);
        self.tell(&mut told, "pool:eth", wanted, now);
        for (fate, members) in [
            ("provider:p0", &["upstream:eth/x", "upstream:eth/y", "service:s0"][..]),
            ("provider:p1", &["upstream:eth/z", "service:s1"]),
            ("region:p0/r", &["service:s0"]),
        ] {
            let wanted = self.fate(&told, members, now);
            self.tell(&mut told, fate, wanted, now);
        }
        for made in ["service:m0", "service:m1"] {
            let planned = self.plan.components.iter().find(|c| c.component == id(made)).unwrap();
            let wanted = Self::need(&told, planned.needs.as_ref().unwrap());
            self.tell(&mut told, made, wanted, now);
        }
        told
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The engine, which touches only what a signal concerns, agrees at every step; nothing flips twice within the
    /// window; and looking at everything anew finds nothing that was overlooked.
    #[test]
    fn the_engine_agrees_with_one_that_works_everything_out(
        estate in estate(),
        acts in prop::collection::vec((act(), 0i64..4000), 1..120),
    ) {
        let plan = estate.plan();
        let mut engine = Engine::new(plan.clone(), Wall(START));
        let ids: Vec<ComponentId> = engine.verdicts().map(|v| v.component).collect();
        let told = ids.iter().map(|id| (id.clone(), (Status::Unknown, Changes::default()))).collect();
        let mut judge = Naive { estate, plan, acts: Vec::new(), told };
        let mut changes: BTreeMap<ComponentId, Vec<(i64, Status)>> = BTreeMap::new();
        let mut now = START;
        for (seq, (act, wait)) in acts.into_iter().enumerate() {
            now += wait;
            judge.acts.push((now, act.clone()));
            let (source, component, fact) = match act {
                Act::Tick => {
                    for verdict in engine.tick(Wall(now)) {
                        changes.entry(verdict.component).or_default().push((now, verdict.status));
                    }
                    prop_assert_eq!(&judge.step(now), &engine.verdicts().map(|v| (v.component, v.status)).collect());
                    continue;
                }
                Act::Upstream(upstream, input, age_ms) => {
                    let fact = match input {
                        Input::Head(fault) => Fact::Head { number: 1, age_ms, fault },
                        Input::Breaker(class, cause) => Fact::Breaker { class: format!("c{class}").into(), admitting: cause.is_none(), cause },
                        Input::Traffic(class, attempts, failures) => {
                            let class = format!("c{class}").into();
                            Fact::Traffic(Traffic { class, attempts, failures, cause: None, mean_us: 1 })
                        }
                    };
                    ("gateway", UPSTREAMS[upstream], fact)
                }
                Act::Check { target, probe, vantage, outcome } => {
                    let probe = if probe { "two" } else { "one" }.into();
                    let check = Check { probe, outcome, cause: None, latency_us: 1 };
                    (VANTAGES[vantage], PROBED[target], Fact::Check(check))
                }
            };
            let at = Wall(now);
            let signal = Signal { source: source.into(), seq: seq as u64, component: id(component), observed: at, received: at, fact };
            for verdict in engine.on_signal(at, &signal) {
                let asked = engine.verdict(&verdict.component).unwrap();
                prop_assert_eq!(&verdict, &asked);
                changes.entry(verdict.component).or_default().push((now, verdict.status));
            }
            prop_assert_eq!(&judge.step(now), &engine.verdicts().map(|v| (v.component, v.status)).collect());
            let mut all = engine.clone();
            all.begin(at);
            prop_assert_eq!(all.tick(at), vec![]);
        }
        let window = judge.estate.damping as i64;
        for (component, told) in changes {
            // The first judgement is no change: each three make two changes, of which neither is for the better if
            // they come within the window.
            for three in told.windows(3) {
                let [(_, first), (changed, second), (again, third)] = three else { unreachable!() };
                let grows = !improves(*first, *second) && !improves(*second, *third);
                prop_assert!(again - changed >= window || grows, "{} {:?}", component, told);
            }
            for (i, (at, is)) in told.iter().enumerate() {
                let left = told[..i].iter().zip(&told[1..]).skip(1).filter(|((_, was), _)| was == is).map(|(_, (at, _))| *at);
                prop_assert!(left.max().is_none_or(|left| at - left >= window), "{} {:?}", component, told);
            }
        }
    }
}
