//! The outage of Base on 5 August 2025, replayed by its published timeline: 06:07 the sequencer that leads lags and
//! hands over to one that is not provisioned, which makes no blocks and cannot hand on; every HTTP check stays green.
//! What conductors answered is not published: theirs are simulated. And four things that look like it and are not.

use std::collections::BTreeMap;

use seawall_model::{Check, Conductor, Heads, Outcome, Tagged};

use super::*;
use crate::Culprit;

/// Between blocks.
const SLOT: i64 = 2000;
/// Between reports of a vantage point.
const INTERVAL: i64 = 2000;
/// 06:07:00, two minutes into the replay.
const OUTAGE: i64 = 1_754_374_020_000;
const BEGIN: i64 = OUTAGE - 120_000;
const FOLLOWERS: [(&str, &str); 3] = [("alder", "alder"), ("birch", "birch"), ("cedar", "cedar")];
const VANTAGES: [&str; 3] = ["probe/a", "probe/b", "probe/c"];

fn plan() -> Plan {
    let upstream = |(name, provider): (&str, &str)| UpstreamPlan {
        component: id(&format!("upstream:base/{name}")),
        provider: id(&format!("provider:{provider}")),
    };
    let upstreams = FOLLOWERS.into_iter().map(upstream).collect();
    let pool = PoolPlan { component: id("pool:base"), halted_after: None, upstreams };
    let probe = ProbePlan {
        name: "http".into(),
        interval: Duration::from_millis(INTERVAL as u64),
        vantages: VANTAGES.into_iter().map(Vantage::alone).collect(),
        rule: Rule::Consecutive { down: 2, up: 2 },
        quorum: Quorum::Majority,
    };
    let probed = |(name, _): (&str, &str)| ComponentPlan {
        probes: vec![probe.clone()],
        ..ComponentPlan::new(id(&format!("upstream:base/{name}")))
    };
    let mut components: Vec<ComponentPlan> = FOLLOWERS.into_iter().map(probed).collect();
    let needs = Some(seawall_model::estate::Need::Component(id("pool:base")));
    components.push(ComponentPlan { needs, ..ComponentPlan::new(id("service:deposits")) });
    let slots = ChainPlan::slots(
        id("pool:base"),
        Duration::from_millis(SLOT as u64),
        Duration::from_millis(INTERVAL as u64),
    );
    let chain = ChainPlan {
        safe_late: Some(Duration::from_secs(120)),
        sequencers: vec![id("sequencer:base/a"), id("sequencer:base/b")],
        ..slots
    };
    Plan { pools: vec![pool], components, chains: vec![chain], ..Plan::default() }
}

/// When each head that somebody sees stopped; the end of time if it goes on.
struct World {
    engine: Engine,
    /// By member, and by vantage point where it is only theirs.
    stopped: BTreeMap<String, i64>,
    /// Safe heads stopped, for all.
    safe_stopped: i64,
    vantages: usize,
    in_trouble: bool,
    conductors: Vec<(&'static str, Conductor)>,
    told: Vec<Verdict>,
    seq: u64,
}

const LEADS: Conductor = Conductor {
    active: Some(true),
    leader: Some(true),
    healthy: Some(true),
    voter: Some(true),
    sequencing: Some(true),
    provisioned: Some(true),
    lag: Some(0),
};
const STANDS_BY: Conductor = Conductor { leader: Some(false), sequencing: Some(false), ..LEADS };

impl World {
    fn new(vantages: usize) -> Self {
        let conductors = vec![("a", LEADS), ("b", STANDS_BY)];
        let (engine, stopped) = (Engine::new(plan(), Wall(BEGIN)), BTreeMap::new());
        let (safe_stopped, in_trouble, told, seq) = (i64::MAX, false, Vec::new(), 0);
        Self { engine, stopped, safe_stopped, vantages, in_trouble, conductors, told, seq }
    }

    fn signal(&mut self, now: i64, source: &str, component: &str, fact: Fact) {
        self.seq += 1;
        let at = Wall(now);
        let component = id(component);
        let signal =
            Signal { source: source.into(), seq: self.seq, component, observed: at, received: at, fact };
        let told = self.engine.on_signal(at, &signal);
        self.told.extend(told);
    }

    fn heads(&self, now: i64, member: &str, vantage: &str) -> Heads {
        let stopped = |key: &str| self.stopped.get(key).copied().unwrap_or(i64::MAX);
        let end = stopped(member).min(stopped(vantage)).min(now);
        let safe_end = (end - 60_000).min(self.safe_stopped);
        // Gossip that is cut does not keep blocks from becoming safe.
        let safe_end = if self.stopped.contains_key("gossip") && !member.starts_with("sequencer") {
            (now - 60_000).min(self.safe_stopped)
        } else {
            safe_end
        };
        let gossip = if member.starts_with("sequencer") { i64::MAX } else { stopped("gossip") };
        let tag = |at: i64| {
            let number = at / SLOT;
            Tagged { number: number as u64, age_ms: (now - number * SLOT) as u64 }
        };
        Heads { r#unsafe: Some(tag(end.min(gossip))), safe: Some(tag(safe_end)), finalized: None }
    }

    /// All vantage points report, each at its own moment, until then.
    fn run(&mut self, from: i64, until: i64) {
        let mut now = from;
        while now < until {
            let vantage = VANTAGES[((now - from) / 500) as usize % 4 % self.vantages.max(1)];
            if ((now - from) / 500 % 4) < self.vantages as i64 {
                self.report(now, vantage);
            }
            let told = self.engine.tick(Wall(now));
            self.told.extend(told);
            now += 500;
        }
    }

    fn report(&mut self, now: i64, vantage: &str) {
        let followers = FOLLOWERS.map(|(name, _)| format!("upstream:base/{name}"));
        for member in followers.iter().map(String::as_str).chain(["sequencer:base/a", "sequencer:base/b"]) {
            let heads = self.heads(now, member, vantage);
            self.signal(now, vantage, member, Fact::Heads(heads));
        }
        for (name, says) in self.conductors.clone() {
            self.signal(now, vantage, &format!("sequencer:base/{name}"), Fact::Conductor(says));
        }
        let outcome = if self.in_trouble { Outcome::OwnTrouble } else { Outcome::Ok };
        for follower in &followers {
            let check = Check { probe: "http".into(), outcome, cause: None, latency_us: 20_000 };
            self.signal(now, vantage, follower, Fact::Check(check));
        }
    }

    fn status(&self, component: &str) -> Status {
        self.engine.verdict(&id(component)).unwrap().status
    }

    fn culprits(&self) -> Vec<Culprit> {
        self.engine.culprits(&id("pool:base"))
    }

    /// Whatever was told to be ill since the outage began.
    fn suspected(&self) -> Vec<String> {
        let bad =
            |v: &&Verdict| v.since >= Wall(OUTAGE) && matches!(v.status, Status::Degraded | Status::Down);
        let all: std::collections::BTreeSet<_> = self.told.iter().filter(bad).map(|v| &v.component).collect();
        all.into_iter().map(ToString::to_string).collect()
    }

    fn roots(&self) -> Vec<String> {
        let blame = self.engine.blame();
        assert!(blame.minimal);
        blame.roots.iter().map(|r| format!("{} {}", r.component, r.status)).collect()
    }

    /// What was told, as an operator reads it.
    fn timeline(&self) -> String {
        let line = |v: &Verdict| format!("{} {} is {}: {}\n", v.since, v.component, v.status, v.evidence);
        self.told.iter().map(line).collect()
    }
}

#[test]
fn the_outage_of_base() {
    let mut world = World::new(3);
    world.conductors[1].1.provisioned = Some(false);
    world.run(BEGIN, OUTAGE);
    // Named before anything happens.
    let unfit = world.engine.verdict(&id("sequencer:base/b")).unwrap();
    assert_eq!((unfit.status, unfit.cause), (Status::Degraded, Some(Cause::Unfit)));
    assert_eq!(world.status("pool:base"), Status::Up);
    assert!(world.told.iter().any(|v| v.component == unfit.component && v.since < Wall(OUTAGE)));
    // The hand-over, and no block after it.
    world.stopped.extend(["a", "b"].map(|s| (format!("sequencer:base/{s}"), OUTAGE)));
    world.stopped.extend(FOLLOWERS.map(|(name, _)| (format!("upstream:base/{name}"), OUTAGE)));
    world.conductors = vec![
        ("a", Conductor { leader: Some(false), sequencing: Some(false), ..LEADS }),
        ("b", Conductor { leader: Some(true), sequencing: Some(false), provisioned: Some(false), ..LEADS }),
    ];
    world.run(OUTAGE, OUTAGE + 30_000);
    let pool =
        world.told.iter().find(|v| v.component == id("pool:base") && v.status == Status::Degraded).unwrap();
    assert!(pool.since <= Wall(OUTAGE + 3 * SLOT + INTERVAL), "{}", pool.since);
    assert_eq!(world.status("service:deposits"), Status::Degraded);
    assert_eq!(world.culprits(), [Culprit::Sequencer(Some(id("sequencer:base/b")))]);
    assert_eq!(world.roots(), ["sequencer:base/b down"]);
    let explains: Vec<String> =
        world.engine.blame().roots[0].explains.iter().map(ToString::to_string).collect();
    assert_eq!(explains, ["service:deposits", "pool:base"]);
    assert_eq!(world.suspected(), ["service:deposits", "pool:base", "sequencer:base/b"]);
    // 06:40: back.
    world.stopped.clear();
    world.conductors = vec![("a", LEADS), ("b", STANDS_BY)];
    world.run(OUTAGE + 30_000, OUTAGE + 60_000);
    assert!(world.engine.verdicts().all(|v| v.status == Status::Up));
    assert_eq!(world.roots(), [""; 0]);
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn a_frozen_provider_is_not_the_sequencers_fault() {
    let mut world = World::new(3);
    world.run(BEGIN, OUTAGE);
    world.stopped.insert("upstream:base/birch".to_owned(), OUTAGE);
    world.run(OUTAGE, OUTAGE + 30_000);
    assert_eq!(world.culprits(), [Culprit::Provider(id("provider:birch"))]);
    assert_eq!(world.status("upstream:base/birch"), Status::Down);
    assert_eq!(world.status("pool:base"), Status::Degraded);
    let suspected = ["service:deposits", "pool:base", "upstream:base/birch", "provider:birch"];
    assert_eq!(world.suspected(), suspected);
    // The provider has this one upstream: of two that explain as much the more specific is named.
    assert_eq!(world.roots(), ["upstream:base/birch down"]);
}

#[test]
fn gossip_that_is_cut_is_neither_the_sequencers_nor_the_followers_fault() {
    let mut world = World::new(3);
    world.run(BEGIN, OUTAGE);
    world.stopped.insert("gossip".to_owned(), OUTAGE);
    world.run(OUTAGE, OUTAGE + 30_000);
    assert_eq!(world.culprits(), [Culprit::Gossip]);
    assert_eq!(world.roots(), ["pool:base degraded"]);
    assert_eq!(world.engine.blame().roots[0].culprits, [Culprit::Gossip]);
    assert_eq!(world.suspected(), ["service:deposits", "pool:base"]);
}

#[test]
fn derivation_that_stalls_leaves_the_unsafe_head_moving() {
    let mut world = World::new(3);
    world.run(BEGIN, OUTAGE);
    world.safe_stopped = OUTAGE - 60_000;
    world.run(OUTAGE, OUTAGE + 90_000);
    assert_eq!(world.culprits(), [Culprit::Derivation]);
    assert_eq!(world.roots(), ["pool:base degraded"]);
    assert_eq!(world.suspected(), ["service:deposits", "pool:base"]);
}

#[test]
fn a_vantage_point_that_lags_blames_itself() {
    // One of three: the other two are enough.
    let mut world = World::new(3);
    world.run(BEGIN, OUTAGE);
    world.stopped.insert("probe/a".to_owned(), OUTAGE);
    world.run(OUTAGE, OUTAGE + 30_000);
    assert_eq!(world.culprits(), [Culprit::Vantage("probe/a".into())]);
    assert_eq!(world.status("pool:base"), Status::Up);
    assert_eq!(world.suspected(), [""; 0]);
    // One of two: who is right is not known, whoever is wrong.
    let mut world = World::new(2);
    world.run(BEGIN, OUTAGE);
    world.stopped.insert("probe/a".to_owned(), OUTAGE);
    world.run(OUTAGE, OUTAGE + 30_000);
    assert_eq!(world.culprits(), [Culprit::Vantage("probe/a".into())]);
    assert_eq!(world.status("pool:base"), Status::Unknown);
    assert_eq!((world.suspected(), world.roots()), (Vec::new(), Vec::new()));
}

#[test]
fn a_prober_whose_network_is_cut_knows_nothing_and_blames_nobody() {
    let mut world = World::new(3);
    world.run(BEGIN, OUTAGE);
    world.told.clear();
    world.stopped.extend(VANTAGES.map(|v| (v.to_owned(), OUTAGE)));
    world.in_trouble = true;
    world.run(OUTAGE, OUTAGE + 60_000);
    assert!(world.told.iter().all(|v| v.status == Status::Unknown), "{}", world.timeline());
    assert!(world.engine.verdicts().all(|v| v.status == Status::Unknown));
    assert_eq!(world.roots(), [""; 0]);
}

/// Heads of one follower, seen by one vantage point, with blocks coming at those times; false verdicts are counted.
fn false_verdicts(chain: ChainPlan, blocks: impl Iterator<Item = i64>, until: i64) -> usize {
    let upstream = UpstreamPlan { component: id("upstream:base/alder"), provider: id("provider:alder") };
    let pool = PoolPlan { component: id("pool:base"), halted_after: None, upstreams: vec![upstream] };
    let interval = chain.interval.as_millis() as i64;
    let plan = Plan { pools: vec![pool], chains: vec![chain], ..Plan::default() };
    let mut engine = Engine::new(plan, Wall(0));
    let mut blocks = blocks.peekable();
    let (mut now, mut number, mut at, mut wrong) = (0, 0, 0, 0);
    while now < until {
        now += interval;
        while let Some(next) = blocks.next_if(|next| *next <= now) {
            (number, at) = (number + 1, next);
        }
        let newest = Some(Tagged { number, age_ms: (now - at) as u64 });
        let fact = Fact::Heads(Heads { r#unsafe: newest, ..Heads::default() });
        let (component, time) = (id("upstream:base/alder"), Wall(now));
        let signal =
            Signal { source: "probe/a".into(), seq: 0, component, observed: time, received: time, fact };
        wrong += engine.on_signal(time, &signal).iter().filter(|v| v.status != Status::Up).count();
    }
    wrong
}

#[test]
fn healthy_chains_are_never_called_ill() {
    let day = 24 * 3_600_000;
    let slots = ChainPlan::slots(id("pool:base"), Duration::from_secs(2), Duration::from_secs(2));
    let dice = std::cell::RefCell::new(fastrand::Rng::with_seed(7));
    // Each up to 1.5 s late.
    let fixed = (1..).map(|slot| slot * 2000 + dice.borrow_mut().i64(0..1500));
    assert_eq!(false_verdicts(slots, fixed, day), 0);
    let random = ChainPlan::random(id("pool:base"), Duration::from_secs(12), Duration::from_secs(12));
    let mut at = 0.0;
    let arrivals = std::iter::repeat_with(|| {
        at -= 12_000.0 * (1.0 - dice.borrow_mut().f64()).ln();
        at as i64
    });
    assert!(false_verdicts(random, arrivals, 30 * day) <= 1);
}
