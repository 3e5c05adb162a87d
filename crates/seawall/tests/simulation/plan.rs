//! What a seed makes happen: who the upstreams are, what goes wrong and when, what the operator does.

use std::{ops::Range, time::Duration};

use seawall_runtime::{net::sim::Fault, random::Seed};

use super::node::Lie;

/// The shortest run, in minutes of simulated time.
pub(crate) const MINUTES: u64 = 3;
/// Faults come from then on, in milliseconds.
const TROUBLE: u64 = 6_000;
/// And have gone this long before the end.
const AFTERMATH: u64 = 68_000;
/// The attempt budget's floor where the estate does not say, in attempts a second.
pub(crate) const USUAL_FLOOR: u32 = 10;
/// A provider that was unwell is not counted on for this long after.
const DISTRUST: u64 = 6_000;
/// A fresh daemon knows no chain yet: for this long after it starts most providers are well.
const CALM: u64 = 8_000;
/// Time a restarted daemon is away.
const AWAY: u64 = 1_500;

/// When what is over, in milliseconds of simulated time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spans {
    /// The run.
    pub(crate) end: u64,
    /// The last fault.
    pub(crate) trouble: u64,
    /// From then on every read succeeds,
    pub(crate) recovered: u64,
    /// and from then on every upstream serves.
    pub(crate) all_serve: u64,
    /// How often the shortest run goes into this one: what happens a few times in a run is spread over it.
    pub(crate) stretch: u64,
}

impl Spans {
    /// Of a run of so many minutes.
    pub(crate) fn of(minutes: u64) -> Self {
        let minutes = minutes.max(MINUTES);
        let end = minutes * 60_000;
        let trouble = end - AFTERMATH;
        let (recovered, all_serve) = (trouble + 15_000, trouble + 60_000);
        Self { end, trouble, recovered, all_serve, stretch: minutes / MINUTES }
    }
}

/// Everything that happens in a run.
pub(crate) struct Plan {
    pub(crate) seed: Seed,
    pub(crate) spans: Spans,
    pub(crate) block_ms: u64,
    pub(crate) poll_ms: u64,
    pub(crate) hang_ms: u64,
    pub(crate) floor: u32,
    pub(crate) workers: u32,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) providers: usize,
    pub(crate) episodes: Vec<Episode>,
    /// When each life of the daemon begins and how it ends.
    pub(crate) lives: Vec<Life>,
    pub(crate) changes: Vec<(u64, Change)>,
}

pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) provider: usize,
    /// Time a block takes to reach it, and a byte to reach the daemon, in milliseconds.
    pub(crate) delay: u64,
    pub(crate) latency: u64,
}

/// Something is wrong with some upstreams of a provider for a while.
#[derive(Debug, Clone)]
pub(crate) struct Episode {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) provider: usize,
    pub(crate) upstreams: Vec<usize>,
    pub(crate) trouble: Trouble,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// The process is killed and started again.
    Kill,
    /// Every connection is reset once; the process goes on.
    Reset,
    Net(Fault),
    Lie(Lie),
}

/// One process of the daemon's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The machine loses its power.
    PowerCut,
    /// The process is killed; what it wrote is there.
    Kill,
    /// It is asked to stop.
    Stop,
}

/// What is done to the daemon besides.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// A valid estate, the `n`th, is put in the old one's place.
    Estate(u64),
    /// An invalid one is.
    BadEstate,
    /// The disk is full, or is no longer.
    Full(bool),
    /// The disk stalls, or goes on.
    Stalled(bool),
    /// One operation of the disk fails, so many from now.
    Fails(u64),
}

impl Plan {
    pub(crate) fn new(seed: u64, spans: Spans) -> Self {
        let seed = Seed::new(seed);
        let mut rng = seed.rng("plan");
        let owners: &[usize] = match rng.u32(..4) {
            0 => &[0, 0, 1, 2],
            1 => &[0, 1, 2, 3, 4],
            _ => &[0, 1, 2],
        };
        let upstreams = owners.iter().enumerate().map(|(i, provider)| Upstream {
            name: format!("node{i}"),
            provider: *provider,
            delay: rng.u64(0..250),
            latency: rng.u64(1..60),
        });
        let upstreams: Vec<_> = upstreams.collect();
        let block_ms = [1_000, 2_000, 3_000][rng.usize(..3)];
        let mut plan = Self {
            seed,
            spans,
            block_ms,
            poll_ms: (block_ms / 2).clamp(250, 2_000),
            hang_ms: [500, 1_000][rng.usize(..2)],
            floor: [1, USUAL_FLOOR, USUAL_FLOOR][rng.usize(..3)],
            workers: rng.u32(1..3),
            providers: owners.iter().max().map_or(0, |m| m + 1),
            upstreams,
            episodes: Vec::new(),
            lives: Vec::new(),
            changes: Vec::new(),
        };
        plan.draw_lives(&mut seed.rng("lives"));
        plan.draw_episodes(&mut seed.rng("episodes"));
        plan.draw_changes(&mut seed.rng("changes"));
        plan
    }

    fn draw_episodes(&mut self, rng: &mut fastrand::Rng) {
        let mut at = TROUBLE;
        while at < self.spans.trouble {
            let provider = rng.usize(..self.providers);
            let mut upstreams: Vec<_> =
                (0..self.upstreams.len()).filter(|i| self.upstreams[*i].provider == provider).collect();
            if rng.bool() {
                upstreams.truncate(1);
            }
            let to = (at + rng.u64(1_000..25_000)).min(self.spans.trouble);
            let episode = Episode { from: at, to, provider, upstreams, trouble: trouble(rng) };
            if self.may_add(&episode) {
                self.episodes.push(episode);
            }
            at += rng.u64(200..6_000);
        }
    }

    /// At any moment somebody is well, and no fewer than those that deceive; and most are when the daemon
    /// starts.
    fn may_add(&self, new: &Episode) -> bool {
        let overlaps = |e: &&Episode| e.from <= new.to + DISTRUST && new.from <= e.to + DISTRUST;
        let others: Vec<_> = self.episodes.iter().filter(overlaps).collect();
        if others.iter().any(|e| e.provider == new.provider) {
            return false;
        }
        let starts = self.lives.iter().map(|l| l.from..l.from + CALM);
        let within = |e: &Episode, window: &Range<u64>| e.from < window.end && window.start < e.to + DISTRUST;
        let too_many = |w: &Range<u64>| {
            let unwell = others.iter().filter(|e| within(e, w)).count() + usize::from(within(new, w));
            within(new, w) && unwell * 2 >= self.providers
        };
        if starts.into_iter().any(|window| too_many(&window)) {
            return false;
        }
        let moments = others.iter().map(|e| e.from.max(new.from)).chain([new.from]);
        moments.into_iter().all(|at| {
            let now =
                || others.iter().copied().chain([new]).filter(|e| e.from <= at && at <= e.to + DISTRUST);
            let well = self.providers - now().count();
            well >= 1 && now().filter(|e| e.deceives()).count() <= well
        })
    }

    fn draw_lives(&mut self, rng: &mut fastrand::Rng) {
        let mut from = 0;
        for _ in 0..rng.u32(..3) {
            let to = from + rng.u64(15_000..55_000) * self.spans.stretch;
            if to + AWAY + CALM < self.spans.trouble {
                let end = [End::PowerCut, End::PowerCut, End::Kill, End::Stop][rng.usize(..4)];
                self.lives.push(Life { from, to, end });
                from = to + AWAY;
            }
        }
        self.lives.push(Life { from, to: self.spans.end, end: End::Stop });
    }

    fn draw_changes(&mut self, rng: &mut fastrand::Rng) {
        for n in 0..rng.u64(..6) * self.spans.stretch {
            let at = rng.u64(TROUBLE..self.spans.trouble);
            self.changes.push((at, if rng.bool() { Change::Estate(n + 1) } else { Change::BadEstate }));
        }
        let at = rng.u64(TROUBLE..self.spans.trouble - 20_000);
        let over = at + rng.u64(1_000..20_000);
        match rng.u32(..4) {
            0 => self.changes.extend([(at, Change::Full(true)), (over, Change::Full(false))]),
            1 => self.changes.extend([(at, Change::Stalled(true)), (over, Change::Stalled(false))]),
            2 => self.changes.push((at, Change::Fails(rng.u64(..20)))),
            _ => {}
        }
        self.changes.sort_by_key(|c| c.0);
    }

    /// What is wrong at a moment.
    pub(crate) fn now(&self, at: u64) -> impl Iterator<Item = &Episode> {
        self.episodes.iter().filter(move |e| e.from <= at && at < e.to)
    }

    /// More than half of the providers are well and have been for a while.
    pub(crate) fn most_are_well(&self, at: u64) -> bool {
        let unwell = self.episodes.iter().filter(|e| e.from <= at && at < e.to + DISTRUST).count();
        unwell * 2 < self.providers
    }

    /// The plan in words.
    pub(crate) fn told(&self) -> Vec<String> {
        let Self { block_ms, poll_ms, hang_ms, floor, workers, .. } = self;
        let owners: Vec<_> = self.upstreams.iter().map(|u| u.provider).collect();
        let head = format!(
            "blocks {block_ms} ms, polls {poll_ms} ms, hang {hang_ms} ms, floor {floor}/s, {workers} workers, providers {owners:?}"
        );
        let episodes = self.episodes.iter().map(|e| {
            format!(
                "{} to {}: {:?} on upstreams {:?} of provider {}",
                e.from, e.to, e.trouble, e.upstreams, e.provider
            )
        });
        let lives = self.lives.iter().map(|l| format!("{l:?}"));
        let changes = self.changes.iter().map(|c| format!("{c:?}"));
        [head].into_iter().chain(episodes).chain(lives).chain(changes).collect()
    }

    /// When something begins or ends to be wrong.
    pub(crate) fn turns(&self) -> Vec<u64> {
        let mut turns: Vec<_> = self.episodes.iter().flat_map(|e| [e.from, e.to]).collect();
        turns.sort_unstable();
        turns.dedup();
        turns
    }
}

impl Episode {
    fn deceives(&self) -> bool {
        match self.trouble {
            Trouble::Lie(lie) => lie.deceives(),
            Trouble::Kill | Trouble::Reset | Trouble::Net(_) => false,
        }
    }
}

fn trouble(rng: &mut fastrand::Rng) -> Trouble {
    let every = Duration::from_millis(rng.u64(20..400));
    let drip = Fault::Drip { bytes: rng.usize(1..200), every };
    let lies = [
        Lie::Lag(rng.u64(1..12)),
        Lie::Stale,
        Lie::Ahead(rng.u64(1..12)),
        Lie::Fork(rng.u64(0..12)),
        Lie::WrongChain,
        Lie::Nulls,
        Lie::NoLogs,
        Lie::WrongId,
        Lie::Error200(rng.bool()),
        Lie::Status([429, 500, 503][rng.usize(..3)]),
        Lie::Garbage,
        Lie::Cut,
        Lie::Torn,
        Lie::Done502,
        Lie::Slow(rng.u64(100..3_000)),
    ];
    match rng.u32(..14) {
        0 | 1 => Trouble::Kill,
        2 => Trouble::Net(Fault::Freeze),
        3 => Trouble::Net(Fault::Blackhole),
        4 => Trouble::Net(drip),
        5 => Trouble::Net(Fault::Vanish),
        6 => Trouble::Reset,
        _ => Trouble::Lie(lies[rng.usize(..lies.len())]),
    }
}
