//! A pool as people see it: `/v1/pools`.

use std::sync::atomic::Ordering::Relaxed;

use seawall_chain::method::Class;
use seawall_model::{Cause, Mono, Name, Status};
use seawall_runtime::clock::Clock;
use serde::Serialize;

use super::{CLASSES, Pool};
use crate::{
    admission::ModeView,
    core::{breaker::State, budget::Balance},
};

/// A pool now.
#[derive(Debug, Clone, Serialize)]
pub struct PoolView {
    /// Its name.
    pub name: Name,
    /// The path it is served at.
    pub route: String,
    /// `evm` or `http`.
    pub kind: &'static str,
    /// EIP-155 chain id, for a chain.
    pub chain_id: Option<u64>,
    /// What the breakers and heads add up to.
    pub status: Status,
    /// The agreed head, for a chain.
    pub head: Option<HeadView>,
    /// Calls since the start.
    pub requests: u64,
    /// Of those, answered with an error of the gateway's own.
    pub failed: u64,
    /// Second attempts for slowness.
    pub hedges: u64,
    /// Second attempts for failure.
    pub retries: u64,
    /// Transactions that wait for a halted chain to move.
    pub waiting: u32,
    /// The attempt budget over the last ten seconds.
    pub budget: Balance,
    /// Who is let through, and who waits.
    pub admission: AdmissionView,
    /// Its upstreams, in the order of the estate.
    pub upstreams: Vec<UpstreamView>,
}

/// Who is let through a pool now, and who waits.
#[derive(Debug, Clone, Serialize)]
pub struct AdmissionView {
    /// What the pool lets through.
    #[serde(flatten)]
    pub mode: ModeView,
    /// Requests that were sent away because the pool was full, since the start.
    pub shed: u64,
    /// The method classes that anybody is in or waits for.
    pub crowds: Vec<CrowdView>,
}

/// Requests of one method class now.
#[derive(Debug, Clone, Serialize)]
pub struct CrowdView {
    /// Method class.
    pub class: &'static str,
    /// Those under way.
    pub inside: u32,
    /// Those that wait to be.
    pub waiting: u32,
}

/// How much an upstream takes at once now.
#[derive(Debug, Clone, Serialize)]
pub struct LimitView {
    /// Method class.
    pub class: &'static str,
    /// Attempts that are good for it at once.
    pub limit: u32,
    /// Attempts in flight.
    pub in_flight: u32,
    /// What an answer takes where there is no queue, in microseconds; 0 until something is known.
    pub usual_us: u64,
}

/// A head now.
#[derive(Debug, Clone, Serialize)]
pub struct HeadView {
    /// Height.
    pub number: u64,
    /// Hash; of an upstream's own head it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Milliseconds since it last moved.
    pub age_ms: u64,
    /// The chain as a whole stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<bool>,
}

/// An upstream now.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamView {
    /// Its name.
    pub name: Name,
    /// Who operates it.
    pub provider: Name,
    /// Where.
    pub region: Option<Name>,
    /// Cost tier.
    pub tier: u8,
    /// Share of traffic relative to its peers.
    pub weight: u32,
    /// An operator took it out of service.
    pub cordoned: bool,
    /// What is wrong with its chain.
    pub fault: Option<Cause>,
    /// It takes no new connections, though those made before still serve.
    pub stranded: bool,
    /// Its head was seen a short while ago.
    pub fresh: bool,
    /// Its own head.
    pub head: Option<HeadView>,
    /// The breakers of every class that has seen traffic or does not admit.
    pub breakers: Vec<BreakerView>,
    /// Time to an answer.
    pub latency_us: LatencyView,
    /// How much it takes at once, of every class that has seen traffic.
    pub limits: Vec<LimitView>,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Attempts since the start.
    pub attempts: u64,
    /// Of those, failed through its fault.
    pub failures: u64,
    /// Its share of the pool's attempts since the start, 0 to 1.
    pub share: f64,
}

/// A breaker now.
#[derive(Debug, Clone, Serialize)]
pub struct BreakerView {
    /// Method class.
    pub class: &'static str,
    /// `admitting`, `ejected` or `probing`.
    pub state: &'static str,
    /// What it was ejected for.
    pub cause: Option<Cause>,
    /// Since when, RFC 3339; `None` if since the start.
    pub since: Option<String>,
}

/// Time to an answer, in microseconds, over the busiest class.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct LatencyView {
    /// Mean, with failures counted as long ones.
    pub mean: u64,
    /// 95th percentile of the last ten to twenty seconds, if there were enough.
    pub p95: Option<u64>,
}

impl Pool {
    /// The pool as it is now.
    pub(crate) fn view(&self, clock: &Clock) -> PoolView {
        let now = clock.mono();
        let heads = self.state.heads.load();
        let counts = &self.state.counts;
        let age = |moved: Mono| now.since(moved).as_millis() as u64;
        let head = heads.latest().map(|b| HeadView {
            number: b.number,
            hash: Some(b.hash.to_string()),
            age_ms: age(heads.moved),
            halted: Some(heads.halted),
        });
        let total: u64 = self.upstreams.iter().map(|u| attempts(u).0).sum();
        let upstreams = (0..self.upstreams.len()).map(|i| self.upstream_view(i, clock, now, total)).collect();
        PoolView {
            name: self.section.name.clone(),
            route: self.section.route.to_string(),
            kind: self.evm().map_or("http", |chain| chain.family.as_str()),
            chain_id: self.evm().and_then(|chain| Some(chain.chain_id()?.0)),
            status: self.status(now),
            head,
            requests: counts.requests.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            hedges: counts.hedges.load(Relaxed),
            retries: counts.retries.load(Relaxed),
            waiting: self.state.waiting.load(Relaxed),
            budget: self.state.budget().balance(now),
            admission: self.admission_view(),
            upstreams,
        }
    }

    fn admission_view(&self) -> AdmissionView {
        let admission = &self.state.admission;
        let crowds = Class::ALL.into_iter().filter_map(|class| {
            let (inside, waiting) = admission.crowd(class as usize);
            (inside + waiting > 0).then_some(CrowdView { class: class.as_str(), inside, waiting })
        });
        AdmissionView {
            mode: admission.modes.view(),
            shed: admission.counts.shed.iter().map(|n| n.load(Relaxed)).sum(),
            crowds: crowds.collect(),
        }
    }

    /// What the breakers and heads add up to.
    pub(crate) fn status(&self, now: Mono) -> Status {
        let heads = self.state.heads.load();
        if !heads.polled {
            return Status::Unknown;
        }
        let serving =
            self.sound(&heads, now).iter().filter(|i| self.upstreams[*i].state.admits_any()).count();
        match serving {
            0 => Status::Down,
            n if n < self.upstreams.len() || heads.halted => Status::Degraded,
            _ if self.upstreams.iter().any(|u| u.state.stranded()) => Status::Degraded,
            _ => Status::Up,
        }
    }

    fn upstream_view(&self, i: usize, clock: &Clock, now: Mono, total: u64) -> UpstreamView {
        let upstream = &self.upstreams[i];
        let heads = self.state.heads.load();
        let (attempts, failures) = attempts(upstream);
        let own = heads.own.get(i).copied().flatten();
        let mut learned = upstream.state.learned();
        let busiest =
            (0..CLASSES).max_by_key(|c| upstream.state.counts.attempts[*c].load(Relaxed)).unwrap_or(0);
        let latency_us = LatencyView {
            mean: learned.paces[busiest].mean_us(),
            p95: learned.paces[busiest].quantile(now, 0.95),
        };
        let seen = |class: Class| upstream.state.counts.attempts[class as usize].load(Relaxed) > 0;
        let limits = Class::ALL.into_iter().filter(|class| seen(*class)).map(|class| LimitView {
            class: class.as_str(),
            limit: self.limit(i, class),
            in_flight: upstream.state.in_flight_of(class),
            usual_us: learned.limiters[class as usize].usual_us(),
        });
        let since = |at: Mono| (at > Mono::ZERO).then(|| clock.wall_at(now, at).to_string());
        let breakers = Class::ALL.into_iter().filter_map(|class| {
            let breaker = &learned.breakers[class as usize];
            let used = upstream.state.counts.attempts[class as usize].load(Relaxed) > 0;
            (used || breaker.state() != State::Admitting).then(|| BreakerView {
                class: class.as_str(),
                state: breaker.state().as_str(),
                cause: breaker.state().cause(),
                since: since(breaker.since()),
            })
        });
        UpstreamView {
            name: upstream.section.name.clone(),
            provider: upstream.section.provider.clone(),
            region: upstream.section.region.clone(),
            tier: upstream.section.tier,
            weight: upstream.section.weight,
            cordoned: upstream.state.cordoned(),
            fault: heads.fault(i).map(|f| f.0),
            stranded: upstream.state.stranded(),
            fresh: heads.serving.has(i),
            head: own.map(|(number, moved)| HeadView {
                number,
                hash: None,
                age_ms: now.since(moved).as_millis() as u64,
                halted: None,
            }),
            breakers: breakers.collect(),
            latency_us,
            limits: limits.collect(),
            in_flight: upstream.state.in_flight(),
            attempts,
            failures,
            share: if total == 0 { 0.0 } else { attempts as f64 / total as f64 },
        }
    }
}

/// Attempts and failures of an upstream over all classes.
pub(crate) fn attempts(upstream: &super::Upstream) -> (u64, u64) {
    let sum = |of: &[std::sync::atomic::AtomicU64; CLASSES]| of.iter().map(|n| n.load(Relaxed)).sum();
    (sum(&upstream.state.counts.attempts), sum(&upstream.state.counts.failures))
}
