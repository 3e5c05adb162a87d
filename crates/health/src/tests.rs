mod base;
mod blame;
mod chain;
mod naive;
mod objectives;

use proptest::prelude::*;
use seawall_model::{ComponentId, ComponentKind, Fact, Name, Signal, Traffic, Verdict};

use super::{damping::improves, *};

/// 2025-08-05T06:07:12Z, when Base's sequencer stalled.
const START: i64 = 1_754_374_032_000;

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

/// Two pools: `eth` over three providers, `base` over two of them.
fn plan() -> Plan {
    let pool = |name: &str, providers: &[&str]| {
        let name = Name::new(name).unwrap();
        PoolPlan {
            component: ComponentId::new(ComponentKind::Pool, &name),
            halted_after: Some(Duration::from_secs(30)),
            upstreams: providers
                .iter()
                .map(|p| Name::new(p).unwrap())
                .map(|p| UpstreamPlan {
                    component: ComponentId::within(ComponentKind::Upstream, &name, &p),
                    provider: ComponentId::new(ComponentKind::Provider, &p),
                })
                .collect(),
        }
    };
    let pools = vec![pool("eth", &["alchemy", "infura", "own"]), pool("base", &["alchemy", "infura"])];
    Plan { pools, ..Plan::default() }
}

struct Run {
    engine: Engine,
    now: Wall,
    seq: u64,
    told: Vec<Verdict>,
}

impl Run {
    fn new() -> Self {
        Self { engine: Engine::new(plan(), Wall(START)), now: Wall(START), seq: 0, told: Vec::new() }
    }

    fn signal(&mut self, upstream: &str, fact: Fact) {
        self.seq += 1;
        let component = id(&format!("upstream:{upstream}"));
        let (observed, received) = (self.now, self.now);
        let signal = Signal { source: "gateway".into(), seq: self.seq, component, observed, received, fact };
        self.told.extend(self.engine.on_signal(self.now, &signal));
    }

    fn head(&mut self, upstream: &str, fault: Option<Cause>) {
        self.signal(upstream, Fact::Head { number: 100, age_ms: 500, fault });
    }

    fn breaker(&mut self, upstream: &str, class: &str, cause: Option<Cause>) {
        self.signal(upstream, Fact::Breaker { class: class.into(), admitting: cause.is_none(), cause });
    }

    fn traffic(&mut self, upstream: &str, attempts: u64, failures: u64, cause: Option<Cause>) {
        self.signal(
            upstream,
            Fact::Traffic(Traffic { class: "state".into(), attempts, failures, cause, mean_us: 900 }),
        );
    }

    /// A second in which all upstreams but those of `silent` show good heads.
    fn second(&mut self, silent: &[&str]) {
        self.now = Wall(self.now.0 + 1000);
        for upstream in ["eth/alchemy", "eth/infura", "eth/own", "base/alchemy", "base/infura"] {
            if !silent.contains(&upstream) {
                self.head(upstream, None);
            }
        }
        self.told.extend(self.engine.tick(self.now));
    }

    fn seconds(&mut self, n: u32, silent: &[&str]) {
        (0..n).for_each(|_| self.second(silent));
    }

    fn status(&self, component: &str) -> Status {
        self.engine.verdict(&id(component)).unwrap().status
    }

    /// What was told so far, as an operator reads it.
    fn told(&mut self) -> String {
        let line = |v: Verdict| format!("{} {} is {}: {}\n", v.since, v.component, v.status, v.evidence);
        self.told.drain(..).map(line).collect()
    }
}

#[test]
fn nothing_is_known_at_first_and_up_is_told_at_once() {
    let mut run = Run::new();
    assert!(run.engine.verdicts().all(|v| v.status == Status::Unknown));
    run.second(&[]);
    let not_up: Vec<Verdict> = run.engine.verdicts().filter(|v| v.status != Status::Up).collect();
    assert!(not_up.is_empty(), "{not_up:#?}");
}

#[test]
fn an_outage_of_a_provider_reads_well() {
    let mut run = Run::new();
    run.seconds(3, &[]);
    run.told.clear();
    run.breaker("eth/alchemy", "state", Some(Cause::Hang));
    run.second(&["eth/alchemy"]);
    run.head("base/alchemy", Some(Cause::Stalled));
    run.seconds(2, &["eth/alchemy", "base/alchemy"]);
    run.breaker("eth/alchemy", "state", None);
    run.seconds(12, &[]);
    insta::assert_snapshot!(run.told());
}

#[test]
fn an_upstream_is_judged_by_its_classes_head_and_failures() {
    let check = |act: &dyn Fn(&mut Run), status, cause| {
        let mut run = Run::new();
        run.seconds(2, &[]);
        act(&mut run);
        let verdict = run.engine.verdict(&id("upstream:eth/own")).unwrap();
        assert_eq!((verdict.status, verdict.cause), (status, cause), "{}", verdict.evidence);
    };
    check(&|run| run.head("eth/own", Some(Cause::Forked)), Status::Down, Some(Cause::Forked));
    check(&|run| run.breaker("eth/own", "state", Some(Cause::Hang)), Status::Down, Some(Cause::Hang));
    check(
        &|run| {
            run.traffic("eth/own", 50, 0, None);
            run.breaker("eth/own", "trace", Some(Cause::Timeout));
        },
        Status::Degraded,
        Some(Cause::Timeout),
    );
    check(&|run| run.traffic("eth/own", 50, 5, Some(Cause::Reset)), Status::Degraded, Some(Cause::Reset));
    check(&|run| run.traffic("eth/own", 50, 4, Some(Cause::Reset)), Status::Up, None);
    check(&|run| run.traffic("eth/own", 2, 2, Some(Cause::Reset)), Status::Up, None);
}

#[test]
fn what_is_not_seen_is_unknown_but_an_ejection_stands_while_its_source_lives() {
    let mut run = Run::new();
    run.seconds(2, &[]);
    run.breaker("eth/alchemy", "state", Some(Cause::Connect));
    run.seconds(60, &["eth/alchemy", "eth/own"]);
    assert_eq!(run.status("upstream:eth/alchemy"), Status::Down);
    assert_eq!(run.status("upstream:eth/own"), Status::Unknown);
    assert_eq!(run.status("pool:eth"), Status::Degraded);
    run.now = Wall(run.now.0 + 60_000);
    run.engine.tick(run.now);
    assert!(run.engine.verdicts().all(|v| v.status == Status::Unknown));
    run.engine.heard(&"gateway".into(), run.now);
    run.engine.tick(run.now);
    assert_eq!(run.status("upstream:eth/alchemy"), Status::Unknown, "it was down a moment ago");
    run.now = Wall(run.now.0 + HOLD.as_millis() as i64);
    run.engine.heard(&"gateway".into(), run.now);
    run.engine.tick(run.now);
    assert_eq!(run.status("upstream:eth/alchemy"), Status::Down);
}

#[test]
fn a_class_that_answers_is_admitted_whatever_was_heard_last() {
    let mut run = Run::new();
    run.seconds(2, &[]);
    run.breaker("eth/own", "state", Some(Cause::Hang));
    run.seconds(HOLD.as_secs() as u32, &[]);
    for _ in 0..3 {
        assert_eq!(run.status("upstream:eth/own"), Status::Down);
        run.traffic("eth/own", 10, 0, None);
    }
    assert_eq!(run.status("upstream:eth/own"), Status::Up);
}

#[test]
fn a_pool_is_down_when_none_is_known_to_serve() {
    let mut run = Run::new();
    run.seconds(2, &[]);
    for (upstream, pool) in
        [("alchemy", Status::Degraded), ("infura", Status::Degraded), ("own", Status::Down)]
    {
        run.breaker(&format!("eth/{upstream}"), "state", Some(Cause::Connect));
        assert_eq!(run.status("pool:eth"), pool, "after {upstream}");
    }
    assert_eq!(run.status("provider:own"), Status::Down);
    assert_eq!(run.status("provider:infura"), Status::Degraded);
}

#[test]
fn a_halted_chain_degrades_its_pool_and_no_upstream() {
    let mut run = Run::new();
    run.seconds(2, &[]);
    for age_ms in [29_000, 31_000] {
        run.now = Wall(run.now.0 + 1000);
        for upstream in ["eth/alchemy", "eth/infura", "eth/own"] {
            run.signal(upstream, Fact::Head { number: 100, age_ms, fault: None });
        }
    }
    let pool = run.engine.verdict(&id("pool:eth")).unwrap();
    assert_eq!((pool.status, pool.cause), (Status::Degraded, Some(Cause::Stalled)));
    insta::assert_snapshot!(pool.evidence, @"no head has moved for 31 s; 3 of 3 upstreams serving");
    assert_eq!(run.status("upstream:eth/own"), Status::Up);
}

#[test]
fn a_second_without_attempts_does_not_keep_an_upstream_up() {
    let mut run = Run::new();
    run.traffic("eth/own", 1, 0, None);
    run.now = Wall(run.now.0 + 5000);
    run.traffic("eth/own", 0, 0, None);
    assert_eq!(run.status("upstream:eth/own"), Status::Up);
    run.now = Wall(run.now.0 + 5001);
    run.engine.tick(run.now);
    assert_eq!(run.status("upstream:eth/own"), Status::Unknown);
}

#[test]
fn a_head_older_than_those_before_brings_the_halt_nearer() {
    let mut run = Run::new();
    run.head("eth/own", None);
    run.signal("eth/own", Fact::Head { number: 100, age_ms: 25_000, fault: None });
    run.now = Wall(run.now.0 + 5000);
    run.engine.tick(run.now);
    assert_eq!(run.status("pool:eth"), Status::Degraded);
}

#[test]
fn a_clock_that_jumps_holds_nothing_up() {
    for jump in [-86_400_000, 86_400_000] {
        let mut run = Run::new();
        run.seconds(2, &[]);
        run.breaker("eth/own", "state", Some(Cause::Hang));
        run.now = Wall(run.now.0 + jump);
        run.breaker("eth/own", "state", None);
        run.seconds(HOLD.as_secs() as u32 + 1, &[]);
        assert!(run.engine.verdicts().all(|v| v.status == Status::Up), "{jump}");
        run.seconds(FRESH.as_secs() as u32 + 1, &["eth/own"]);
        assert_eq!(run.status("upstream:eth/own"), Status::Unknown, "{jump}");
    }
}

#[test]
fn a_new_estate_keeps_what_is_known_of_those_that_stay() {
    let mut run = Run::new();
    run.seconds(2, &[]);
    run.breaker("eth/own", "state", Some(Cause::Hang));
    let mut next = plan();
    next.pools.truncate(1);
    run.engine.replace(next, run.now);
    run.engine.tick(run.now);
    assert_eq!(run.status("upstream:eth/own"), Status::Down);
    assert_eq!(run.engine.verdict(&id("pool:base")), None);
    run.engine.replace(plan(), run.now);
    assert_eq!(run.status("pool:base"), Status::Unknown);
}

#[derive(Debug, Clone)]
enum Input {
    Head(Option<Cause>),
    Breaker(u8, Option<Cause>),
    Traffic(u8, u64, u64),
}

fn input() -> impl Strategy<Value = Input> {
    let cause = || prop::option::of(prop::sample::select(vec![Cause::Hang, Cause::Stalled, Cause::Forked]));
    prop_oneof![
        cause().prop_map(Input::Head),
        (0u8..3, cause()).prop_map(|(class, cause)| Input::Breaker(class, cause)),
        (0u8..3, 0u64..20, 0u64..5)
            .prop_map(|(class, attempts, failures)| Input::Traffic(class, attempts, failures)),
    ]
}

/// Everything that was ever said of an upstream, judged anew each time.
fn naive(history: &[(i64, Input)], now: i64) -> Status {
    let fresh = |at: i64| now - at <= 10_000;
    let mut heads = history.iter().filter_map(|(at, i)| matches!(i, Input::Head(_)).then_some((*at, i)));
    let head = heads.next_back().filter(|(at, _)| fresh(*at));
    if matches!(head, Some((_, Input::Head(Some(_))))) {
        return Status::Down;
    }
    let (mut ejected, mut used, mut attempts, mut failures) = (0, 0, 0, 0);
    for class in 0..3 {
        let (mut out, mut good, mut recent) = (false, 0, false);
        for (at, input) in history {
            match input {
                Input::Breaker(c, cause) if *c == class => (out, good) = (cause.is_some(), 0),
                Input::Traffic(c, a, f) if *c == class => {
                    let f = f.min(a);
                    good = if *f == 0 && *a > 0 { good + 1 } else { 0 };
                    out &= good < 3;
                    recent |= fresh(*at);
                    if fresh(*at) {
                        attempts += a;
                        failures += f;
                    }
                }
                Input::Breaker(..) | Input::Traffic(..) | Input::Head(_) => {}
            }
        }
        ejected += u32::from(out);
        used += u32::from(out || recent);
    }
    match () {
        () if ejected > 0 && ejected == used => Status::Down,
        () if ejected > 0 => Status::Degraded,
        () if failures >= 3 && failures * 10 >= attempts => Status::Degraded,
        () if head.is_none() && attempts == 0 => Status::Unknown,
        () => Status::Up,
    }
}

/// When a verdict may change, told from all its changes so far.
#[derive(Debug, Clone, Default)]
struct Changes(Vec<(i64, Status, Status)>);

impl Changes {
    /// No turn and no return within the window; what the first judgement was is no matter.
    fn allow(&self, now: i64, from: Status, to: Status, window: i64) -> bool {
        let better = improves(from, to);
        let Some((last, was, is)) = self.0.last() else { return true };
        let turned = better || (self.0.len() > 1 && improves(*was, *is));
        let left = self.0.iter().skip(1).filter(|(_, from, _)| *from == to).map(|(at, ..)| *at).max();
        !(turned && now - last < window) && left.is_none_or(|at| now - at >= window)
    }
}

proptest! {
    /// The engine agrees with a judge who remembers everything, but for damping; and whatever it says has a
    /// reason.
    #[test]
    fn agrees_with_a_judge_who_remembers_everything(inputs in prop::collection::vec((input(), 0i64..6000), 1..60)) {
        let mut run = Run::new();
        let mut history: Vec<(i64, Input)> = Vec::new();
        let own = id("upstream:eth/own");
        let mut changes = Changes::default();
        let mut before = Status::Unknown;
        for (input, wait) in inputs {
            run.now = Wall(run.now.0 + wait);
            run.engine.heard(&"gateway".into(), run.now);
            history.push((run.now.0, input.clone()));
            match input {
                Input::Head(fault) => run.head("eth/own", fault),
                Input::Breaker(class, cause) => run.breaker("eth/own", &format!("c{class}"), cause),
                Input::Traffic(class, attempts, failures) => {
                    let traffic = Traffic { class: format!("c{class}").into(), attempts, failures, cause: None, mean_us: 1 };
                    run.signal("eth/own", Fact::Traffic(traffic));
                }
            }
            let verdict = run.engine.verdict(&own).unwrap();
            let wanted = naive(&history, run.now.0);
            if wanted == before || changes.allow(run.now.0, before, wanted, HOLD.as_millis() as i64) {
                prop_assert_eq!(verdict.status, wanted, "{}", verdict.evidence);
            } else {
                prop_assert_eq!(verdict.status, before);
            }
            if verdict.status != before {
                prop_assert_eq!(verdict.since, run.now);
                changes.0.push((run.now.0, before, verdict.status));
                before = verdict.status;
            }
            for verdict in &run.told {
                prop_assert!(!verdict.evidence.is_empty());
                prop_assert!(verdict.status != Status::Up || verdict.cause.is_none());
            }
            let told: Vec<_> = run.told.drain(..).filter(|v| v.component == own).collect();
            prop_assert!(told.len() <= 1 && told.iter().all(|v| *v == verdict));
            if verdict.status == Status::Unknown {
                prop_assert_ne!(run.status("provider:own"), Status::Up);
            }
        }
    }
}
