//! A pool at work: who may take a call now, and what every attempt teaches.

mod paths;
mod provider;
mod settle;
mod upstream;
mod view;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use seawall_chain::{
    family::{Family, Rules},
    fault::Kind,
    heads::Tracker,
    method::Class,
};
use seawall_model::{Cause, ComponentId, Mono};
use tokio::sync::{Notify, futures::Notified};

pub(crate) use paths::Paths;
pub(crate) use provider::Allowance;
pub use provider::{AllowanceView, Spending};
pub(crate) use settle::Report;
pub(crate) use upstream::{CLASSES, Upstream, UpstreamState};
pub use view::{
    AdmissionView, BreakerView, CrowdView, HeadView, LatencyView, LimitView, PoolView, UpstreamView,
};

use crate::{
    access::Denials,
    blooms::Blooms,
    call::Ask,
    core::{
        accepted::Accepted,
        breaker::{Admission, Breaker},
        budget::Budget,
        cache::Cache,
        choose::{Set, choose},
        fate::Fates,
        tiers::{Spills, Tiers},
    },
    estate::{PoolKind, PoolSection},
    event::Events,
    explain::{CallExplained, Observed},
    feed::Feed,
    forward::ApiCounts,
    heads::Heads,
};

/// After a good answer an upstream counts as alive for this long, whatever its polls say.
const ALIVE: Duration = Duration::from_secs(3);

/// An ejected upstream is left to the gateway's own probes for two polls and this long before a client's call
/// finds out.
const OWN_PROBE: Duration = Duration::from_secs(1);

/// Most providers that are asked whether there is nothing.
const MOST_OPINIONS: usize = 4;

/// How many of so many providers must say that there is nothing: more than can lie while less than half of them do.
fn opinions(providers: usize) -> usize {
    providers.div_ceil(2).clamp(2, MOST_OPINIONS)
}

/// A pool as the estate has it now, over the state that outlives reloads.
pub(crate) struct Pool {
    pub(crate) section: PoolSection,
    pub(crate) component: ComponentId,
    pub(crate) upstreams: Vec<Upstream>,
    /// Who falls together.
    pub(crate) fates: Fates,
    /// Who is asked first.
    pub(crate) tiers: Tiers,
    /// Answers that are kept, if the estate has any kept.
    pub(crate) cache: Option<Arc<Cache>>,
    /// How many providers must say that there is nothing before it is believed.
    pub(crate) opinions: usize,
    /// Which upstreams are other ways to the same thing.
    pub(crate) paths: Paths,
    pub(crate) state: Arc<PoolState>,
}

/// Who may take a call, and from whom one is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Those with a sound chain that are not cordoned; those on probation, where none of these admits.
    pub(crate) sound: Set,
    /// Of these, those whose breakers admit.
    pub(crate) admitting: Set,
    /// Those that may be asked: the admitting ones, or all if none is, as far as rates allow.
    pub(crate) eligible: Set,
    /// Those of them that are below their limits.
    pub(crate) roomy: Set,
    /// Those of them that are asked first: of another fate than those tried, of the cheapest tier.
    pub(crate) from: Set,
}

/// What a pool remembers across reloads.
pub(crate) struct PoolState {
    pub(crate) budget: Mutex<Budget>,
    /// Which tiers spill over into dearer ones.
    pub(crate) spills: Spills,
    /// When to hedge, per class, in microseconds.
    hedge_us: [AtomicU64; CLASSES],
    /// What is known of the upstreams' heads, swapped whole.
    pub(crate) heads: ArcSwap<Heads>,
    pub(crate) tracker: Mutex<Tracker>,
    /// The blooms of the agreed chain's last blocks.
    pub(crate) blooms: Blooms,
    /// A bit for each upstream whose head has been asked for at least once.
    polled: AtomicU64,
    /// Asks for a poll of every head now.
    nudges: Notify,
    /// Told when the agreed head has moved.
    pub(crate) moved: Notify,
    /// Held while deciding whether an upstream may be ejected, so that two are not ejected at once,
    /// each because the other is there.
    ejecting: Mutex<()>,
    random: AtomicU64,
    /// Transactions that wait for the chain to move.
    pub(crate) waiting: AtomicU32,
    /// Calls ended that may have changed something.
    pub(crate) writes: AtomicU64,
    accepted: Mutex<Accepted>,
    /// Who is in, who waits, what is let through.
    pub(crate) admission: Arc<crate::admission::Admission>,
    pub(crate) counts: Arc<PoolCounts>,
    /// What subscribers are told.
    pub(crate) feed: Arc<Feed>,
    pub(crate) events: Events,
}

/// Counters that are only ever added to.
#[derive(Default)]
pub(crate) struct PoolCounts {
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) splits: AtomicU64,
    pub(crate) resends: AtomicU64,
    pub(crate) widenings: AtomicU64,
    pub(crate) budget_refused: AtomicU64,
    pub(crate) unknown_writes: AtomicU64,
    pub(crate) truncated_streams: AtomicU64,
    pub(crate) coalesced: AtomicU64,
    /// Requests and calls refused for who sent them.
    pub(crate) denials: Denials,
    pub(crate) api: ApiCounts,
    /// Attempts that went to a tier above the cheapest.
    pub(crate) spilled: AtomicU64,
    /// Copied calls that the gateway would have answered itself, and that nobody could have been asked.
    pub(crate) observed: [AtomicU64; 2],
}

impl Pool {
    /// Builds a pool, taking over what `before` learned of those upstreams that stay.
    pub(crate) fn new(
        section: PoolSection,
        before: Option<&Pool>,
        allowances: &[Arc<Allowance>],
        events: Events,
        seed: u64,
        now: Mono,
    ) -> Self {
        let mut provider_index = BTreeMap::new();
        for upstream in &section.upstreams {
            let next = provider_index.len();
            provider_index.entry(upstream.provider.clone()).or_insert(next);
        }
        let operators: Vec<_> =
            section.upstreams.iter().map(|u| (u.provider.clone(), u.region.clone())).collect();
        let (fates, tiers) = (Fates::new(&operators), Tiers::new(section.upstreams.iter().map(|u| u.tier)));
        let upstreams: Vec<_> = section
            .upstreams
            .iter()
            .map(|u| {
                let provider = provider_index[&u.provider];
                let kept = before.and_then(|p| p.upstreams.iter().find(|old| same_endpoint(&old.section, u)));
                let state = kept.map_or_else(|| Arc::new(UpstreamState::new()), |old| old.state.clone());
                let allowance = allowances.iter().find(|a| a.section.provider == u.provider).cloned();
                Upstream::new(u.clone(), section.upstream_component(u), provider, allowance, state)
            })
            .collect();
        let state = match before {
            Some(before) if before.is_like(&section, &upstreams) => before.state.clone(),
            before => Arc::new(PoolState::new(&section, &upstreams, before, events, seed, now)),
        };
        state.budget().set(section.budget_share, section.budget_floor);
        state.admission.take_over(&section.admission);
        let cache = cache(&section, before, seed);
        let paths = Paths::new(&section.upstreams);
        let opinions = opinions(provider_index.len());
        Self {
            component: section.component(),
            section,
            upstreams,
            fates,
            tiers,
            opinions,
            paths,
            cache,
            state,
        }
    }

    /// Would the state kept by index hold for these upstreams too?
    fn is_like(&self, section: &PoolSection, upstreams: &[Upstream]) -> bool {
        let key = |u: &Upstream| (u.state.id, u.provider);
        self.section.kind == section.kind
            && self.section.hang == section.hang
            && self.upstreams.iter().map(key).eq(upstreams.iter().map(key))
    }

    /// Who would have been asked a copied call first.
    pub(crate) fn observed(&self, call: &CallExplained) -> Observed {
        let first = call.order.first().filter(|_| call.answered.is_none());
        let place = |name: &String| self.upstreams.iter().position(|u| u.section.name.as_str() == name);
        match (&call.answered, first.and_then(place)) {
            (Some(_), _) => Observed::Gateway,
            (None, Some(i)) => Observed::Upstream(i),
            (None, None) => Observed::Nobody,
        }
    }

    /// Counts what would have been done with a copied call.
    pub(crate) fn count_observed(&self, decision: Observed) {
        let [gateway, nobody] = &self.state.counts.observed;
        let counter = match decision {
            Observed::Gateway => gateway,
            Observed::Nobody => nobody,
            Observed::Upstream(i) => &self.upstreams[i].state.counts.observed,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// The chain's rules, if the pool serves one.
    pub(crate) fn evm(&self) -> Option<&crate::estate::EvmSection> {
        match &self.section.kind {
            PoolKind::Evm(evm) => Some(evm),
            PoolKind::Http(_) | PoolKind::Grpc(_) => None,
        }
    }

    /// Does it serve gRPC?
    pub(crate) fn is_grpc(&self) -> bool {
        matches!(self.section.kind, PoolKind::Grpc(_))
    }

    /// What is known of the family of its chain.
    pub(crate) fn rules(&self) -> &'static Rules {
        self.evm().map_or(Family::Evm, |chain| chain.family).rules()
    }

    /// Those that may take a call of `class` now, without regard to breakers: not cordoned, and with a
    /// chain that its peers support.
    pub(crate) fn sound(&self, heads: &Heads, now: Mono) -> Set {
        let mut sound = Set::NONE;
        for (i, upstream) in self.upstreams.iter().enumerate() {
            let alive =
                now.since(upstream.state.last_answer()) < ALIVE && upstream.state.last_answer() > Mono::ZERO;
            if !upstream.state.cordoned()
                && (heads.serving.has(i) || (heads.unknown.has(i) && (alive || !heads.polled)))
            {
                sound.insert(i);
            }
        }
        sound
    }

    /// Those to turn to where nobody sound is left: their faults are over, if only just.
    fn spare(&self, heads: &Heads) -> Set {
        let mut spare = heads.probation;
        for (i, upstream) in self.upstreams.iter().enumerate() {
            if upstream.state.cordoned() {
                spare.remove(i);
            }
        }
        spare
    }

    /// Is there anybody to turn to?
    pub(crate) fn may_serve(&self, heads: &Heads, now: Mono) -> bool {
        !self.sound(heads, now).is_empty() || !self.spare(heads).is_empty()
    }

    /// Chooses where a call of `class` goes, leaving out `tried` and, while others are left, whoever shares its
    /// fate: of its provider, or at least of its region. Of the others the cheapest tier is asked.
    ///
    /// An upstream that is due to be found out about is chosen first. If no breaker admits, those whose
    /// heads still come in are used all the same: the last sound upstream is never ejected. One that takes no
    /// new connections, or whose provider refuses more, is chosen while nobody else may be; one whose rate or whose
    /// provider's budget is spent is not chosen in any case.
    pub(crate) fn choose(
        &self,
        now: Mono,
        class: Class,
        heads: &Heads,
        within: Set,
        tried: Set,
    ) -> Option<usize> {
        let field = self.field(now, class, heads, within, tried);
        if field.admitting != field.sound
            && let Some(due) = self.probe_due(now, class, field.sound.without(field.admitting))
        {
            return Some(due);
        }
        let from = field.from;
        let chosen = choose(from, Set::NONE, self.random(), |i| self.upstreams[i].load(class))?;
        if !self.tiers.are_one() && !self.tiers.is_first(chosen) {
            self.state.counts.spilled.fetch_add(1, Relaxed);
        }
        Some(chosen)
    }

    /// Who may take a call of `class` now, of those `within` and not `tried`. Nothing is changed by asking.
    pub(crate) fn field(&self, now: Mono, class: Class, heads: &Heads, within: Set, tried: Set) -> Field {
        let mut sound = self.sound(heads, now).and(within).without(tried);
        let mut admitting = self.admitting(class, sound);
        if admitting.is_empty() {
            let spare = self.spare(heads).and(within).without(tried);
            admitting = self.admitting(class, spare);
            sound = sound.or(if admitting.is_empty() { spare } else { admitting });
        }
        let mut eligible = if admitting.is_empty() { sound } else { admitting };
        let mut settled = Set::NONE;
        for i in eligible.iter() {
            let upstream = &self.upstreams[i];
            if !upstream.has_room(now) {
                eligible.remove(i);
            } else if !upstream.is_second_choice(now) {
                settled.insert(i);
            }
        }
        // Who was let in is not sent away again: where everybody is at the limit, the limit is a wish.
        let mut roomy = eligible;
        for i in eligible.iter() {
            if !self.has_room(i, class) {
                roomy.remove(i);
            }
        }
        let rather = |some: Set, all: Set| if some.is_empty() { all } else { some };
        let first = rather(settled, eligible);
        let mut from = self.fates.apart(rather(first.and(roomy), first), tried);
        if !self.tiers.are_one() {
            from = self.tiers.cheapest(from, |tier| self.state.spills.spills(now, class, tier));
        }
        Field { sound, admitting, eligible, roomy, from }
    }

    /// Those of `within` that are not at their limit and whose breakers let a call go, if only to find out. Nobody else
    /// is worth a hedge: the first attempt may still be answered, and an ejected upstream, or one whose provider refuses
    /// more, is to be left alone.
    pub(crate) fn open(&self, now: Mono, class: Class, within: Set) -> Set {
        let mut open = Set::NONE;
        for (i, upstream) in self.upstreams.iter().enumerate().filter(|(i, _)| within.has(*i)) {
            let may_go = self.may_go(now, class, &upstream.state.learned().breakers[class as usize]);
            if may_go && !upstream.is_second_choice(now) && self.has_room(i, class) {
                open.insert(i);
            }
        }
        open
    }

    /// How many attempts of a class are good for upstream `i` at once.
    pub(crate) fn limit(&self, i: usize, class: Class) -> u32 {
        self.upstreams[i].state.limit(class).min(self.section.admission.most)
    }

    /// Is it below that limit?
    fn has_room(&self, i: usize, class: Class) -> bool {
        self.upstreams[i].state.in_flight_of(class) < self.limit(i, class)
    }

    /// As [`Self::choose`], never again of a provider in `tried`.
    pub(crate) fn choose_apart(
        &self,
        now: Mono,
        class: Class,
        heads: &Heads,
        within: Set,
        tried: Set,
    ) -> Option<usize> {
        self.choose(now, class, heads, within.without(self.fates.of_providers(tried)), tried)
    }

    /// Does the breaker let a client's call go, if only to find out? Where the gateway's own calls can find out,
    /// they have the time for it first.
    fn may_go(&self, now: Mono, class: Class, breaker: &Breaker) -> bool {
        match breaker.admission(now) {
            Admission::Yes => true,
            Admission::No => false,
            Admission::Probe => match self.evm() {
                Some(evm) if crate::poll::has_call(evm.family, class) => {
                    breaker.overdue(now) >= evm.poll * 2 + OWN_PROBE
                }
                Some(_) | None => true,
            },
        }
    }

    fn probe_due(&self, now: Mono, class: Class, ejected: Set) -> Option<usize> {
        for i in ejected.iter() {
            let mut learned = self.upstreams[i].state.learned();
            let breaker = &mut learned.breakers[class as usize];
            if breaker.admission(now) == Admission::Probe && self.may_go(now, class, breaker) {
                breaker.probe(now);
                drop(learned);
                self.tell_breaker(now, i, class);
                return Some(i);
            }
        }
        None
    }

    /// When to send a second attempt after the first.
    pub(crate) fn hedge_after(&self, class: Class) -> Duration {
        Duration::from_micros(self.state.hedge_us[class as usize].load(Relaxed))
    }

    /// Looks which tiers are too slow, or gone, and so spill over into dearer ones.
    pub(crate) fn set_spills(&self, now: Mono) {
        if self.tiers.are_one() {
            return;
        }
        let heads = self.state.heads.load();
        let sound = self.sound(&heads, now);
        let objective = self.section.tier_latency.map_or(u64::MAX, |t| t.as_micros() as u64);
        for class in Class::ALL {
            for (tier, members) in self.tiers.iter() {
                let serving: Vec<_> =
                    sound.and(members).iter().filter(|i| self.upstreams[*i].state.admits(class)).collect();
                let took = |i: &usize| {
                    let mut learned = self.upstreams[*i].state.learned();
                    let pace = &mut learned.paces[class as usize];
                    let p90 = pace.quantile(now, 0.9);
                    p90.or(Some(pace.mean_us()).filter(|us| *us > 0))
                };
                let best = serving.iter().filter_map(took).min();
                self.state.spills.note(now, class, tier, best, objective, serving.is_empty());
            }
        }
    }

    /// Recomputes from the paces of the upstreams when to hedge.
    pub(crate) fn set_hedges(&self, now: Mono) {
        for class in Class::ALL {
            let p99 = self
                .upstreams
                .iter()
                .filter_map(|u| u.state.learned().paces[class as usize].quantile(now, 0.99));
            let after = crate::core::pace::hedge_after(p99.collect());
            self.state.hedge_us[class as usize].store(after.as_micros() as u64, Relaxed);
        }
    }

    /// Those that are not known to be unable to do what is asked.
    pub(crate) fn able(&self, now: Mono, ask: &Ask) -> Set {
        self.able_for(now, &ask.name, ask.age())
    }

    /// As [`Self::able`], for a call of method `name` that reads this far below the agreed head.
    pub(crate) fn able_for(&self, now: Mono, name: &str, age: Option<u64>) -> Set {
        let mut able = Set::ALL;
        for (i, upstream) in self.upstreams.iter().enumerate() {
            if upstream.state.cannot_some() && upstream.state.learned().cannot.cannot(now, name, age) {
                able = able.without(Set(1 << i));
            }
        }
        // If nobody can, the first to say so again says it best.
        if self.upstreams.iter().enumerate().any(|(i, _)| able.has(i)) { able } else { Set::ALL }
    }

    /// Upstream `i` has said that it cannot do what was asked.
    pub(crate) fn teach(&self, now: Mono, i: usize, ask: &Ask, kind: Kind) {
        let state = &self.upstreams[i].state;
        let mut learned = state.learned();
        learned.failures_by_cause[Cause::Incapable as usize] += 1;
        learned.cannot.learn(now, &ask.name, kind, ask.age());
        state.set_cannot_some();
    }

    /// Notes that upstream `i` has been polled; true once all have.
    pub(crate) fn all_polled(&self, i: usize) -> bool {
        let bits = self.state.polled.fetch_or(1 << i, Relaxed) | 1 << i;
        bits.count_ones() as usize == self.upstreams.len()
    }

    pub(crate) fn random(&self) -> u64 {
        // A seeded step generator: no lock, and the same draws in the same order from the same seed.
        fastrand::Rng::with_seed(self.state.random.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed)).u64(..)
    }
}

impl PoolState {
    /// The state of a pool that is new, or whose upstreams have changed: then what is known of those that
    /// stay is carried over.
    fn new(
        section: &PoolSection,
        upstreams: &[Upstream],
        before: Option<&Pool>,
        events: Events,
        seed: u64,
        now: Mono,
    ) -> Self {
        let hedge = crate::core::pace::hedge_after(Vec::new()).as_micros() as u64;
        let (tracker, heads) = crate::heads::begin(section, upstreams, before, now);
        Self {
            budget: Mutex::new(match before {
                Some(before) => before.state.budget().clone(),
                None => Budget::new(section.budget_share, section.budget_floor),
            }),
            spills: Spills::default(),
            hedge_us: std::array::from_fn(|_| AtomicU64::new(hedge)),
            heads: ArcSwap::from_pointee(heads),
            tracker: Mutex::new(tracker),
            blooms: Blooms::default(),
            polled: AtomicU64::new(0),
            nudges: Notify::new(),
            moved: Notify::new(),
            ejecting: Mutex::new(()),
            random: AtomicU64::new(seed),
            waiting: AtomicU32::new(0),
            writes: AtomicU64::new(0),
            accepted: Mutex::new(before.map(|before| before.state.accepted().clone()).unwrap_or_default()),
            admission: before.map_or_else(
                || Arc::new(crate::admission::Admission::new(&section.admission, seed)),
                |before| before.state.admission.clone(),
            ),
            counts: before.map_or_else(Arc::default, |before| before.state.counts.clone()),
            feed: before.map_or_else(|| Arc::new(Feed::new(!seed)), |before| before.state.feed.clone()),
            events,
        }
    }

    /// Asks for a poll of every head now.
    pub(crate) fn nudge(&self) {
        self.nudges.notify_waiters();
    }

    /// Resolves at the first nudge from now on.
    pub(crate) fn nudged(&self) -> Notified<'_> {
        self.nudges.notified()
    }

    pub(crate) fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Transactions that upstreams have taken a short while ago.
    pub(crate) fn accepted(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cache that the estate asks for: the one from before, if it asks for no other.
fn cache(section: &PoolSection, before: Option<&Pool>, seed: u64) -> Option<Arc<Cache>> {
    let wanted = |kind: &PoolKind| match kind {
        PoolKind::Evm(evm) => evm.cache.map(|c| c.size).filter(|size| *size > 0),
        PoolKind::Http(_) | PoolKind::Grpc(_) => None,
    };
    let size = wanted(&section.kind)?;
    match before {
        Some(before) if wanted(&before.section.kind) == Some(size) => before.cache.clone(),
        Some(_) | None => Some(Arc::new(Cache::new(size, seed))),
    }
}

/// Is it the same thing to connect to, so that what was learned still holds?
fn same_endpoint(a: &crate::estate::UpstreamSection, b: &crate::estate::UpstreamSection) -> bool {
    a.name == b.name && a.endpoint == b.endpoint && a.path == b.path
}
