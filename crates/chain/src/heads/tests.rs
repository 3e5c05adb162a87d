use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// How an upstream behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Honest,
    /// Shows true blocks before they are made.
    Ahead(u64),
    Lag(u64),
    /// Its head stands still since this block.
    Stale(u64),
    /// Another chain from this block on.
    Fork(u64),
    /// Another chain for its last blocks, as a node that keeps being reorganised.
    ForkTip(u64),
    /// Another hash at each poll.
    Garbage,
    /// Polls fail.
    Dead,
    /// Polls come to nothing, not even to a failure.
    Silent,
}

/// A chain that makes a block every `block_ms`, upstreams that are polled every `poll_ms`, each at its own phase.
struct Sim {
    block_ms: u64,
    poll_ms: u64,
    modes: Vec<Mode>,
    /// The chain stops at this time.
    halt_ms: u64,
    /// From this block on the chain is on its second branch, once this time has come.
    reorg: Option<(u64, u64)>,
    /// Blocks reach an honest upstream this much later.
    delays_ms: Vec<u64>,
    now_ms: u64,
    tracker: Tracker,
    polls: u64,
}

const FIRST_MS: u64 = 1_000_000;

impl Sim {
    fn new(providers: &[usize], block_ms: u64, poll_ms: u64) -> Self {
        let ms = Duration::from_millis;
        let config = Config { block_time: ms(block_ms), poll: ms(poll_ms), lag: 2, irregular: false };
        Self {
            block_ms,
            poll_ms,
            modes: vec![Mode::Honest; providers.len()],
            halt_ms: u64::MAX,
            reorg: None,
            delays_ms: vec![0; providers.len()],
            now_ms: FIRST_MS,
            tracker: Tracker::new(config, providers, Mono::from_millis(FIRST_MS)),
            polls: 0,
        }
    }

    fn tip(&self, at_ms: u64) -> u64 {
        at_ms.min(self.halt_ms) / self.block_ms
    }

    fn branch(&self, number: u64) -> u64 {
        u64::from(self.reorg.is_some_and(|(block, at)| number >= block && self.now_ms >= at))
    }

    fn hash(number: u64, branch: u64) -> Hash {
        let mut hash = [branch as u8; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        Hash(hash)
    }

    fn honest(&self, number: u64) -> Block {
        Block { number, hash: Self::hash(number, self.branch(number)) }
    }

    fn now(&self) -> Now {
        Now { mono: Mono::from_millis(self.now_ms), wall: Wall(self.now_ms as i64) }
    }

    /// The block that upstream `i` shows at `number`, its head being `head`.
    fn shown(&self, i: usize, number: u64, head: u64) -> Block {
        let branch = match self.modes[i] {
            Mode::Fork(from) if number >= from => 7,
            Mode::ForkTip(last) if number + last > head => 8,
            Mode::Garbage => 16 + self.polls % 200,
            _ => self.branch(number),
        };
        Block { number, hash: Self::hash(number, branch) }
    }

    fn poll(&mut self, i: usize) {
        self.polls += 1;
        let tip = self.tip(self.now_ms.saturating_sub(self.delays_ms[i]));
        let head = match self.modes[i] {
            Mode::Honest | Mode::Fork(_) | Mode::ForkTip(_) | Mode::Garbage => tip,
            Mode::Ahead(n) => tip + n,
            Mode::Lag(n) => tip - n,
            Mode::Stale(n) => tip.min(n),
            Mode::Silent => return,
            Mode::Dead => return self.tracker.failed(self.now(), i),
        };
        let (block, parent) = (self.shown(i, head, head), self.shown(i, head - 1, head));
        let timestamp = head * self.block_ms / 1000;
        self.tracker.observe(
            self.now(),
            i,
            HeadSeen { number: head, hash: block.hash, parent: parent.hash, timestamp },
        );
        if let Some(number) = self.tracker.confirm(i) {
            let block = self.shown(i, number, head);
            self.tracker.observe_block(self.now(), i, block);
        }
    }

    /// Lets time pass, polling each upstream at its phase and calling `check` after each poll.
    fn run(&mut self, ms: u64, check: &mut dyn FnMut(&Self)) {
        let end = self.now_ms + ms;
        let count = self.modes.len() as u64;
        while self.now_ms < end {
            for i in 0..self.modes.len() {
                let phase = i as u64 * self.poll_ms / count / 50 * 50;
                if (self.now_ms + phase).is_multiple_of(self.poll_ms) {
                    self.poll(i);
                    check(self);
                }
            }
            self.now_ms += 50;
            if self.now_ms.is_multiple_of(500) {
                self.tracker.tick(self.now());
            }
        }
    }

    fn standing(&self, i: usize) -> Standing {
        self.tracker.agreed().upstreams[i].standing
    }

    fn latest(&self) -> Block {
        self.tracker.agreed().latest.expect("an agreed head")
    }

    /// The agreed head is the chain's, and no older than `behind` blocks.
    fn assert_follows(&self, behind: u64) {
        let (latest, tip) = (self.latest(), self.tip(self.now_ms));
        assert_eq!(latest, self.honest(latest.number), "left the chain");
        assert!(latest.number <= tip && latest.number + behind >= tip, "at {}, tip {tip}", latest.number);
    }
}

fn faulted(cause: Cause) -> Standing {
    Standing::Fault(cause)
}

#[test]
fn honest_upstreams_agree_and_serve() {
    for providers in [&[0][..], &[0, 1], &[0, 1, 2], &[0, 0], &[0, 1, 2, 3, 4]] {
        let mut sim = Sim::new(providers, 1000, 1000);
        sim.run(10_000, &mut |_| {});
        sim.run(60_000, &mut |sim| {
            sim.assert_follows(2);
            for i in 0..providers.len() {
                assert_eq!(sim.standing(i), Standing::Serving, "{i} of {providers:?}");
            }
        });
    }
}

#[test]
fn one_liar_of_three_is_named_and_moves_nothing() {
    let check = |mode: fn(u64) -> Mode, cause, block_ms, poll_ms| {
        for liar in 0..3 {
            let mut sim = Sim::new(&[0, 1, 2], block_ms, poll_ms);
            sim.run(20 * block_ms, &mut |_| {});
            sim.modes[liar] = mode(sim.tip(sim.now_ms));
            let honest_serve = |sim: &Sim| {
                sim.assert_follows(3);
                for i in (0..3).filter(|i| *i != liar) {
                    assert_eq!(sim.standing(i), Standing::Serving, "{i} of {:?}", sim.modes);
                }
            };
            sim.run(12 * block_ms, &mut |sim| honest_serve(sim));
            let mut named = 0;
            let mut polls = 0;
            sim.run(20 * block_ms, &mut |sim| {
                honest_serve(sim);
                polls += 1;
                let standing = sim.standing(liar);
                named += u32::from([faulted(cause), Standing::Probation(cause)].contains(&standing));
            });
            assert_eq!(named, polls, "{:?}: {:?}", sim.modes, sim.standing(liar));
            sim.modes[liar] = Mode::Honest;
            sim.run(12 * block_ms, &mut |sim| honest_serve(sim));
            assert_eq!(sim.standing(liar), Standing::Serving, "after {:?}", mode(0));
        }
    };
    for (block_ms, poll_ms) in [(1000, 1000), (1000, 500), (2000, 1000), (12_000, 2000)] {
        check(|_| Mode::Ahead(5), Cause::Ahead, block_ms, poll_ms);
        check(|_| Mode::Ahead(100), Cause::Ahead, block_ms, poll_ms);
        check(|_| Mode::Lag(6), Cause::Lagging, block_ms, poll_ms);
        check(|_| Mode::Lag(50), Cause::Lagging, block_ms, poll_ms);
        check(Mode::Stale, Cause::Stalled, block_ms, poll_ms);
        check(Mode::Fork, Cause::Forked, block_ms, poll_ms);
        check(|_| Mode::ForkTip(2), Cause::Forked, block_ms, poll_ms);
        check(|_| Mode::ForkTip(8), Cause::Forked, block_ms, poll_ms);
        check(|_| Mode::Garbage, Cause::Forked, block_ms, poll_ms);
    }
}

#[test]
fn two_liars_of_one_provider_count_once() {
    for mode in [Mode::Ahead(9), Mode::Lag(9), Mode::Fork(0), Mode::Garbage] {
        let mut sim = Sim::new(&[0, 0, 1, 2], 1000, 1000);
        sim.modes[0] = mode;
        sim.modes[1] = mode;
        sim.run(3000, &mut |_| {});
        sim.run(60_000, &mut |sim| {
            sim.assert_follows(3);
            assert_eq!((sim.standing(2), sim.standing(3)), (Standing::Serving, Standing::Serving));
        });
    }
}

#[test]
fn the_first_to_answer_does_not_decide_alone() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.modes[0] = Mode::Ahead(40);
    sim.poll(0);
    assert_eq!(sim.tracker.agreed().latest, None);
    sim.poll(1);
    assert_eq!(sim.tracker.agreed().latest, None);
    sim.poll(2);
    sim.assert_follows(0);
}

#[test]
fn a_halted_chain_is_nobodys_fault() {
    for providers in [&[0][..], &[0, 1], &[0, 1, 2]] {
        let mut sim = Sim::new(providers, 2000, 1000);
        sim.run(20_000, &mut |sim| assert!(!sim.tracker.agreed().halted));
        sim.halt_ms = sim.now_ms;
        sim.run(12_000, &mut |_| {});
        sim.run(120_000, &mut |sim| {
            assert!(sim.tracker.agreed().halted);
            for i in 0..providers.len() {
                assert_eq!(sim.standing(i), Standing::Serving);
            }
        });
        sim.halt_ms = u64::MAX;
        sim.run(5000, &mut |_| {});
        sim.run(20_000, &mut |sim| {
            sim.assert_follows(2);
            assert!(!sim.tracker.agreed().halted);
        });
    }
}

#[test]
fn those_who_remain_decide_when_others_die() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.run(10_000, &mut |_| {});
    sim.modes[0] = Mode::Dead;
    sim.run(10_000, &mut |sim| sim.assert_follows(4));
    assert_eq!(sim.standing(0), Standing::Unknown);
    sim.modes[1] = Mode::Dead;
    sim.run(10_000, &mut |sim| {
        sim.assert_follows(5);
        assert_eq!(sim.standing(2), Standing::Serving);
    });
    sim.assert_follows(2);
    sim.modes = vec![Mode::Honest; 3];
    sim.run(5000, &mut |_| {});
    for i in 0..3 {
        assert_eq!(sim.standing(i), Standing::Serving);
    }
}

#[test]
fn one_that_hangs_holds_nobody_back() {
    let mut sim = Sim::new(&[0, 1], 1000, 500);
    sim.run(10_000, &mut |_| {});
    // Neither answers nor fails yet: its last poll is under way.
    sim.modes[1] = Mode::Silent;
    sim.run(1000, &mut |_| {});
    sim.tracker.hung(1);
    sim.run(500, &mut |_| {});
    sim.assert_follows(0);
    assert_eq!(sim.standing(1), Standing::Unknown);
    sim.modes[1] = Mode::Honest;
    sim.run(1000, &mut |_| {});
    assert_eq!(sim.standing(1), Standing::Serving);
}

#[test]
fn one_whose_fault_keeps_coming_back_is_on_probation() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 500);
    sim.run(10_000, &mut |_| {});
    let stall = |sim: &mut Sim| {
        sim.modes[2] = Mode::Stale(sim.latest().number);
        sim.run(6000, &mut |_| {});
        assert_eq!(sim.standing(2), faulted(Cause::Stalled));
        sim.modes[2] = Mode::Honest;
        sim.run(1000, &mut |_| {});
    };
    stall(&mut sim);
    assert_eq!(sim.standing(2), Standing::Serving, "once is an accident");
    sim.run(2000, &mut |_| {});
    stall(&mut sim);
    assert_eq!(sim.standing(2), Standing::Probation(Cause::Stalled));
    sim.run(3000, &mut |_| {});
    assert_eq!(sim.standing(2), Standing::Serving);
}

#[test]
fn a_survivor_extends_but_does_not_rewrite() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.run(10_000, &mut |_| {});
    let before = sim.latest();
    sim.modes = vec![Mode::Dead, Mode::Dead, Mode::Fork(before.number - 3)];
    sim.run(REWRITE_AFTER.as_millis() as u64, &mut |sim| assert_eq!(sim.latest(), before));
    assert_eq!(sim.standing(2), faulted(Cause::Forked));
    sim.run(10_000, &mut |_| {});
    assert!(sim.latest().number > before.number, "a pool must not wait for the dead for ever");
}

#[test]
fn a_reorganisation_is_followed_once_most_show_it() {
    for providers in [&[0][..], &[0, 1], &[0, 1, 2]] {
        for depth in [1, 2, 5] {
            let mut sim = Sim::new(providers, 1000, 500);
            sim.run(20_000, &mut |_| {});
            sim.reorg = Some((sim.latest().number + 1 - depth, sim.now_ms));
            sim.run(3000, &mut |_| {});
            sim.run(20_000, &mut |sim| sim.assert_follows(2));
            for i in 0..providers.len() {
                assert_eq!(sim.standing(i), Standing::Serving, "{i} of {providers:?}, depth {depth}");
            }
        }
    }
}

#[test]
fn of_two_the_one_that_stalls_is_left_behind() {
    for stall in [Mode::Stale(FIRST_MS / 1000 + 10), Mode::Lag(20)] {
        let mut sim = Sim::new(&[0, 1], 1000, 1000);
        sim.run(12_000, &mut |_| {});
        sim.modes[0] = stall;
        sim.run(15_000, &mut |sim| assert_eq!(sim.standing(1), Standing::Serving));
        sim.run(30_000, &mut |sim| {
            sim.assert_follows(1);
            let cause = if stall == Mode::Lag(20) { Cause::Lagging } else { Cause::Stalled };
            assert_eq!(sim.standing(0), faulted(cause));
        });
        sim.modes[0] = Mode::Honest;
        sim.run(12_000, &mut |sim| sim.assert_follows(2));
        assert_eq!(sim.standing(0), Standing::Serving);
    }
}

#[test]
fn of_two_the_one_that_runs_ahead_of_time_wins_nothing() {
    let mut sim = Sim::new(&[0, 1], 1000, 1000);
    sim.run(12_000, &mut |_| {});
    sim.modes[0] = Mode::Ahead(10);
    sim.run(60_000, &mut |sim| {
        sim.assert_follows(2);
        assert_eq!(sim.standing(1), Standing::Serving);
    });
}

#[test]
fn two_that_contradict_each_other_stay_at_the_last_common_block() {
    let mut sim = Sim::new(&[0, 1], 1000, 1000);
    sim.run(12_000, &mut |_| {});
    let fork = sim.latest().number + 3;
    sim.modes[0] = Mode::Fork(fork);
    sim.run(60_000, &mut |sim| assert!(sim.latest().number < fork));
    assert_eq!(sim.latest(), sim.honest(fork - 1));
    assert_eq!((sim.standing(0), sim.standing(1)), (Standing::Serving, Standing::Serving));
    sim.modes[0] = Mode::Honest;
    sim.run(3000, &mut |_| {});
    sim.assert_follows(2);
}

#[test]
fn a_chain_faster_than_its_polls_is_followed() {
    let mut sim = Sim::new(&[0, 1, 2], 250, 1000);
    sim.run(5000, &mut |_| {});
    sim.run(30_000, &mut |sim| {
        sim.assert_follows(12);
        for i in 0..3 {
            assert_eq!(sim.standing(i), Standing::Serving);
        }
    });
}

#[test]
fn a_clock_set_back_condemns_nobody() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.run(10_000, &mut |_| {});
    for _ in 0..30 {
        sim.now_ms += 1000;
        for i in 0..3 {
            let head = sim.tip(sim.now_ms);
            let [block, parent] = [head, head - 1].map(|n| sim.honest(n).hash);
            let seen = HeadSeen { number: head, hash: block, parent, timestamp: head };
            sim.tracker.observe(Now { wall: Wall(0), ..sim.now() }, i, seen);
        }
        for i in 0..3 {
            assert_eq!(sim.standing(i), Standing::Serving);
        }
    }
    sim.assert_follows(1);
}

#[test]
fn a_wrong_chain_has_no_vote() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.run(5000, &mut |_| {});
    sim.modes[0] = Mode::Fork(0);
    sim.tracker.wrong_chain(sim.now(), 0, true);
    assert_eq!(sim.standing(0), faulted(Cause::WrongChain));
    sim.run(20_000, &mut |sim| sim.assert_follows(3));
    sim.modes[0] = Mode::Honest;
    sim.tracker.wrong_chain(sim.now(), 0, false);
    sim.run(3000, &mut |_| {});
    assert_eq!(sim.standing(0), Standing::Serving);
}

#[test]
fn tags_follow_the_vote() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.run(20_000, &mut |_| {});
    let tip = sim.latest().number;
    let [old, newer, newest] = [tip - 8, tip - 7, tip - 6].map(|n| sim.honest(n));
    let evil = Block { number: tip - 5, hash: Hash([9; 32]) };
    let now = sim.now();
    let mut tag = |i, block| {
        sim.tracker.observe_tag(now, i, Tag::Safe, block);
        sim.tracker.agreed().safe
    };
    assert_eq!(tag(0, evil), None);
    assert_eq!(tag(1, old), Some(old), "on the agreed chain, a later tag stands behind an earlier one");
    assert_eq!(tag(2, newest), Some(newest), "so it does here");
    assert_eq!(tag(1, newer), Some(newest));
    assert_eq!(tag(2, old), Some(newest), "never backwards");
    assert_eq!(tag(1, evil), Some(newest), "not on the agreed chain");
    assert_eq!(sim.tracker.agreed().finalized, None);
}

#[test]
fn a_new_estate_keeps_what_was_agreed() {
    let mut sim = Sim::new(&[0, 1, 2], 1000, 1000);
    sim.run(10_000, &mut |_| {});
    let before = sim.tracker.agreed().clone();
    let now = sim.now();
    sim.tracker = sim.tracker.succeed(sim.tracker.config, &[2, 0, 3], &[Some(2), Some(0), None], now.mono);
    sim.tracker.tick(now);
    let after = sim.tracker.agreed();
    assert_eq!(after.latest, before.latest);
    assert_eq!((after.upstreams[0], after.upstreams[1]), (before.upstreams[2], before.upstreams[0]));
    assert_eq!(after.upstreams[2].standing, Standing::Unknown);
}

#[test]
fn a_block_is_read_from_a_result() {
    let hash = |n: u8| format!("0x{}", format!("{n:02x}").repeat(32));
    let check = |text: &str, want| {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(HeadSeen::from_result(&raw), want, "{text}");
    };
    let good = format!(
        r#"{{"number":"0x10","hash":"{}","parentHash":"{}","timestamp":"0x65","transactions":[]}}"#,
        hash(1),
        hash(2)
    );
    check(&good, Ok(HeadSeen { number: 16, hash: Hash([1; 32]), parent: Hash([2; 32]), timestamp: 101 }));
    check("null", Err(NotABlock));
    check("[]", Err(NotABlock));
    check(&good.replace("0x65", "65"), Err(NotABlock));
    check(&good.replace("0202", ""), Err(NotABlock));
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        (1u64..200).prop_map(Mode::Ahead),
        (1u64..100).prop_map(Mode::Lag),
        (900u64..1100).prop_map(Mode::Stale),
        (900u64..1100).prop_map(Mode::Fork),
        (1u64..10).prop_map(Mode::ForkTip),
        Just(Mode::Garbage),
        Just(Mode::Dead),
        Just(Mode::Honest),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A liar that changes its lie as it likes, among honest upstreams of two to four other providers that hear of
    /// blocks at different times, never moves the agreed head off the chain or backwards, never holds it back
    /// and never has an honest upstream faulted. The reference: of the heads that honest upstreams last showed,
    /// the highest that more than half of all providers have reached.
    #[test]
    fn one_liar_never_moves_the_agreed_head(
        honest in 2usize..5,
        twin: bool,
        lies in prop::collection::vec((mode(), 1u64..20), 1..8),
        delays in prop::collection::vec(0u64..900, 6),
        poll_ms in prop::sample::select(vec![500u64, 1000]),
    ) {
        let mut providers: Vec<usize> = (0..=honest).collect();
        if twin {
            providers.push(0);
        }
        let is_liar = |i: usize| providers[i] == 0;
        let mut sim = Sim::new(&providers, 1000, poll_ms);
        sim.delays_ms = delays[..providers.len()].to_vec();
        let mut before: Option<Block> = None;
        let mut heads: BTreeMap<usize, u64> = BTreeMap::new();
        for (lie, polls) in lies {
            (0..providers.len()).filter(|i| is_liar(*i)).for_each(|i| sim.modes[i] = lie);
            sim.run(polls * poll_ms, &mut |sim| {
                let agreed = sim.tracker.agreed();
                for i in (0..providers.len()).filter(|i| !is_liar(*i)) {
                    let view = agreed.upstreams[i];
                    assert!(!matches!(view.standing, Standing::Fault(_)), "{i}: {view:?}");
                    heads.extend(view.head.map(|h| (i, h.number)));
                }
                let mut reached: Vec<u64> = heads.values().copied().collect();
                reached.sort_unstable_by(|a, b| b.cmp(a));
                let needed = honest.div_ceil(2) + 1;
                if let Some(wanted) = reached.get(needed - 1) {
                    let latest = agreed.latest.expect("enough have answered");
                    assert!(latest.number >= *wanted, "at {}, most at {wanted}", latest.number);
                }
                if let Some(latest) = agreed.latest {
                    assert_eq!(latest, sim.honest(latest.number));
                    assert!(latest.number <= sim.tip(sim.now_ms));
                    assert!(before.is_none_or(|b| b.number <= latest.number));
                }
                before = agreed.latest;
            });
        }
    }

    /// No input, however absurd, makes the tracker panic, and the same inputs give the same state.
    #[test]
    fn any_input_is_borne(
        inputs in prop::collection::vec((0usize..4, 0u8..6, prop::sample::select(vec![0u64, 1, 2, 3, 64, 65, 66, 300, u64::MAX - 1, u64::MAX]), 0u8..3, 0u64..5000), 0..120),
    ) {
        let ms = Duration::from_millis;
        let config = Config { block_time: ms(1000), poll: ms(500), lag: 1, irregular: false };
        let run = || {
            let mut tracker = Tracker::new(config, &[0, 1, 2], Mono::ZERO);
            let mut mono = Mono::ZERO;
            for (upstream, what, number, branch, wait) in &inputs {
                mono = mono + ms(*wait);
                let now = Now { mono, wall: Wall((mono.0 / (SECOND / 1000)) as i64) };
                let block = Block { number: *number, hash: Sim::hash(*number, u64::from(*branch)) };
                let parent = Sim::hash(number.wrapping_sub(1), u64::from(*branch));
                match what {
                    0 | 1 => tracker.observe(now, *upstream, HeadSeen { number: *number, hash: block.hash, parent, timestamp: *number }),
                    2 => tracker.observe_block(now, *upstream, block),
                    3 => tracker.observe_tag(now, *upstream, Tag::Finalized, block),
                    4 => tracker.failed(now, *upstream),
                    _ => tracker.wrong_chain(now, *upstream, *branch == 0),
                }
                let _ = tracker.confirm(*upstream);
            }
            tracker.agreed().clone()
        };
        prop_assert_eq!(run(), run());
    }
}

/// Blocks that come by chance, twelve seconds apart on average, as on a chain of proof of work.
#[test]
fn a_chain_whose_blocks_come_by_chance_is_not_halted_by_every_long_wait() {
    let providers = [0, 1, 2];
    let config = Config {
        block_time: Duration::from_secs(12),
        poll: Duration::from_secs(2),
        lag: 0,
        irregular: false,
    };
    let mut tracker = Tracker::new(config, &providers, Mono::from_millis(FIRST_MS));
    let (mut now_ms, mut number, mut random) = (FIRST_MS, 100, fastrand::Rng::with_seed(4));
    let mut next_ms = now_ms;
    let (mut halts, mut faults, mut longest) = (0, 0, 0);
    while number < 2_000 {
        if now_ms >= next_ms {
            number += 1;
            let gap_ms = (-12_000.0 * (1.0 - random.f64()).ln()) as u64;
            next_ms = now_ms + gap_ms.max(1);
            longest = longest.max(gap_ms);
        }
        let now = Now { mono: Mono::from_millis(now_ms), wall: Wall(now_ms as i64) };
        for i in 0..providers.len() {
            let (hash, parent) = (Sim::hash(number, 0), Sim::hash(number - 1, 0));
            tracker.observe(now, i, HeadSeen { number, hash, parent, timestamp: now_ms / 1000 });
        }
        let agreed = tracker.agreed();
        // As long as it takes to know the chain.
        if number > 200 {
            halts += usize::from(agreed.halted);
            faults += agreed.upstreams.iter().filter(|u| matches!(u.standing, Standing::Fault(_))).count();
        }
        now_ms += 2_000;
    }
    assert!(
        longest > 60_000,
        "a regular chain would be halted after 50 s, and the longest wait was {longest} ms"
    );
    assert_eq!((halts, faults), (0, 0));
    // It is still seen to halt.
    let mut now = Now { mono: Mono::from_millis(now_ms), wall: Wall(now_ms as i64) };
    let (hash, parent) = (Sim::hash(number, 0), Sim::hash(number - 1, 0));
    let stands = HeadSeen { number, hash, parent, timestamp: now_ms / 1000 };
    for _ in 0..150 {
        now.mono = now.mono + Duration::from_secs(2);
        (0..providers.len()).for_each(|i| tracker.observe(now, i, stands));
    }
    assert!(tracker.agreed().halted);
}

/// One that is always the last to show a block, and always within a poll, is found to stand still long before two
/// block times are over.
#[test]
fn one_that_is_usually_quick_is_soon_found_to_stand_still() {
    let mut sim = Sim::new(&[0, 1, 2], 12_000, 1_000);
    sim.run(12_000 * 60, &mut |_| {});
    assert_eq!(sim.standing(1), Standing::Serving);
    sim.modes[1] = Mode::Stale(sim.tip(sim.now_ms));
    // To the next block, and then three polls and some.
    sim.run(12_000 - sim.now_ms % 12_000 + 6_000, &mut |_| {});
    assert_eq!(sim.standing(1), faulted(Cause::Stalled));
}
