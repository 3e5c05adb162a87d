//! What the gateway counts, read off its own counters when somebody asks: the data path pays nothing
//! for it. Labels come from the estate and are as many as it has pools and upstreams.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};
use seawall_runtime::{clock::Clock, metrics::Metrics};

use crate::{
    admission::AdmissionCounts,
    core::{cache::Counts, line::Priority, mode::Mode},
    event::Events,
    pool::{Allowance, AllowanceView, Pool},
    routes::Routes,
    worker::Connections,
};

/// Registers the gateway's metrics.
pub(crate) fn register(
    metrics: &Metrics,
    routes: Arc<ArcSwap<Routes>>,
    connections: Arc<Connections>,
    events: Events,
    clock: Clock,
) {
    metrics.within("gateway", |registry| {
        registry.register_collector(Box::new(Reading { routes, connections, events, clock }));
    });
}

struct Reading {
    routes: Arc<ArcSwap<Routes>>,
    connections: Arc<Connections>,
    events: Events,
    clock: Clock,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading")
    }
}

pub(crate) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// A family of one metric: its samples, each with its labels.
pub(crate) struct Family<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Family<'_, '_> {
    pub(crate) fn counter<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'l>, u64)>,
    ) -> std::fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(crate) fn gauge<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'l>, f64)>,
    ) -> std::fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A counter of a pool's, and what it is called.
type PoolCounter = (&'static str, &'static str, fn(&Pool) -> &AtomicU64);

const POOL_COUNTERS: [PoolCounter; 12] = [
    ("requests", "Calls received", |p| &p.state.counts.requests),
    ("refusals", "Calls answered with an error of the gateway's own", |p| &p.state.counts.failed),
    ("hedges", "Unplanned attempts begun because the first was slow", |p| &p.state.counts.hedges),
    ("retries", "Unplanned attempts begun because one failed", |p| &p.state.counts.retries),
    ("splits", "Unplanned attempts begun because a range was too large for one", |p| &p.state.counts.splits),
    ("resends", "Unplanned attempts begun because a connection turned out closed", |p| {
        &p.state.counts.resends
    }),
    ("widenings", "Unplanned attempts begun because a transaction was not yet taken", |p| {
        &p.state.counts.widenings
    }),
    ("budget_refusals", "Unplanned attempts that the budget did not allow", |p| {
        &p.state.counts.budget_refused
    }),
    ("spilled_attempts", "Attempts that went to a dearer tier than the cheapest", |p| {
        &p.state.counts.spilled
    }),
    ("unknown_writes", "Writes whose outcome could not be found out", |p| &p.state.counts.unknown_writes),
    ("truncated_streams", "Answers that broke off after their first byte had gone out", |p| {
        &p.state.counts.truncated_streams
    }),
    ("coalesced", "Calls answered by what another one was told", |p| &p.state.counts.coalesced),
];

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let routes = self.routes.load_full();
        let pools: Vec<_> = routes.pools().cloned().collect();
        let mut f = Family { encoder: &mut encoder };
        for (name, help, counter) in POOL_COUNTERS {
            f.counter(name, help, pools.iter().map(|p| (pool(p), counter(p).load(Relaxed))))?;
        }
        for (name, help, counter) in crate::forward::COUNTERS {
            let of = |p: &Arc<Pool>| counter(&p.state.counts.api).load(Relaxed);
            f.counter(name, help, pools.iter().map(|p| (pool(p), of(p))))?;
        }
        budgets(&mut f, &pools)?;
        providers(&mut f, &routes.allowances, self.clock.mono())?;
        self.upstreams(&mut f, &pools)?;
        self.chains(&mut f, &pools)?;
        crate::feed::encode(&mut f, &pools)?;
        caches(&mut f, &pools)?;
        observed(&mut f, &pools)?;
        self.admission(&mut f, &pools)?;
        let connections = &self.connections;
        let none = || std::iter::once(Vec::new());
        f.gauge(
            "connections",
            "Client connections open",
            none().map(|l| (l, connections.open.load(Relaxed) as f64)),
        )?;
        f.counter(
            "connections_refused",
            "Client connections closed at once, being over the limit",
            none().map(|l| (l, connections.refused.load(Relaxed) as u64)),
        )?;
        f.gauge(
            "sockets",
            "Client connections that are WebSockets",
            none().map(|l| (l, connections.sockets.load(Relaxed) as f64)),
        )?;
        f.counter(
            "sockets_refused",
            "WebSockets refused, being over the limit",
            none().map(|l| (l, connections.sockets_refused.load(Relaxed) as u64)),
        )?;
        f.counter(
            "events_lost",
            "Events that the journal was too slow to take",
            none().map(|l| (l, self.events.lost())),
        )
    }
}

impl Reading {
    fn upstreams(&self, f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
        let each = || pools.iter().flat_map(|p| (0..p.upstreams.len()).map(move |i| (p, i)));
        let classes = || each().flat_map(|(p, i)| Class::ALL.into_iter().map(move |class| (p, i, class)));
        let used =
            |p: &Pool, i: usize, c: Class| p.upstreams[i].state.counts.attempts[c as usize].load(Relaxed) > 0;
        let by_class = |of: fn(&Pool, usize, Class) -> u64| {
            classes().filter(move |(p, i, c)| used(p, *i, *c)).map(move |(p, i, c)| {
                let mut labels = upstream(p, i);
                labels.push(("class", c.as_str()));
                (labels, of(p, i, c))
            })
        };
        f.counter(
            "attempts",
            "Attempts that ended",
            by_class(|p, i, c| p.upstreams[i].state.counts.attempts[c as usize].load(Relaxed)),
        )?;
        f.counter(
            "attempt_microseconds",
            "Time spent waiting for whole answers",
            by_class(|p, i, c| p.upstreams[i].state.counts.busy_us[c as usize].load(Relaxed)),
        )?;
        f.gauge(
            "breaker_admitting",
            "1 if the breaker admits, else 0",
            by_class(|p, i, c| u64::from(p.upstreams[i].state.admits(c))).map(|(l, v)| (l, v as f64)),
        )?;
        let failures = each().flat_map(|(p, i)| {
            let seen = p.upstreams[i].state.learned().failures_by_cause;
            Cause::ALL.into_iter().filter(move |c| seen[*c as usize] > 0).map(move |c| {
                let mut labels = upstream(p, i);
                labels.push(("cause", c.as_str()));
                (labels, seen[c as usize])
            })
        });
        f.counter(
            "upstream_failures",
            "Attempts and polls that failed through the upstream's fault",
            failures,
        )?;
        let stranded =
            each().map(|(p, i)| (upstream(p, i), f64::from(u8::from(p.upstreams[i].state.stranded()))));
        f.gauge(
            "upstream_stranded",
            "1 while no new connection can be made to the upstream, though old ones serve",
            stranded,
        )?;
        f.gauge(
            "in_flight",
            "Attempts in flight",
            each().map(|(p, i)| (upstream(p, i), f64::from(p.upstreams[i].state.in_flight()))),
        )
    }

    fn admission(&self, f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
        let priorities = |of: fn(&AdmissionCounts) -> &[AtomicU64; Priority::ALL.len()]| {
            pools.iter().flat_map(move |p| {
                Priority::ALL.into_iter().map(move |priority| {
                    let mut labels = pool(p);
                    labels.push(("priority", priority.as_str()));
                    (labels, of(&p.state.admission.counts)[priority as usize].load(Relaxed))
                })
            })
        };
        f.counter("waited", "Requests that waited because the pool was full", priorities(|c| &c.waited))?;
        f.counter("shed", "Requests sent away because the pool was full", priorities(|c| &c.shed))?;
        let counts = |of: fn(&AdmissionCounts) -> &AtomicU64| {
            pools.iter().map(move |p| (pool(p), of(&p.state.admission.counts).load(Relaxed)))
        };
        f.counter("tolled", "Requests beyond what one client address may send", counts(|c| &c.tolled))?;
        f.counter("barred", "Requests that the pool's mode did not let through", counts(|c| &c.barred))?;
        let modes = pools.iter().flat_map(|p| {
            Mode::ALL.into_iter().map(move |mode| {
                let mut labels = pool(p);
                labels.push(("mode", mode.as_str()));
                (labels, f64::from(u8::from(p.state.admission.modes.now() == mode)))
            })
        });
        f.gauge("mode", "1 for what the pool lets through now", modes)?;
        let waiting = pools.iter().map(|p| {
            let waiting = Class::ALL.iter().map(|c| p.state.admission.crowd(*c as usize).1).sum::<u32>();
            (pool(p), f64::from(waiting))
        });
        f.gauge("waiting", "Requests that wait because the pool is full", waiting)?;
        let limits =
            pools.iter().flat_map(|p| (0..p.upstreams.len()).map(move |i| (p, i))).flat_map(|(p, i)| {
                let state = &p.upstreams[i].state;
                let used = |c: &Class| state.counts.attempts[*c as usize].load(Relaxed) > 0;
                Class::ALL.into_iter().filter(used).map(move |class| {
                    let mut labels = upstream(p, i);
                    labels.push(("class", class.as_str()));
                    (labels, f64::from(p.limit(i, class)))
                })
            });
        f.gauge("concurrency_limit", "Attempts that are good for the upstream at once", limits)
    }

    fn chains(&self, f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
        let chains = || pools.iter().filter(|p| p.evm().is_some());
        let heads = chains().filter_map(|p| Some((pool(p), p.state.heads.load().latest()?.number as f64)));
        f.gauge("head", "Height of the agreed head", heads)?;
        let now = self.clock.mono();
        let ages = chains().filter(|p| p.state.heads.load().latest().is_some());
        let ages = ages.map(|p| (pool(p), now.since(p.state.heads.load().moved).as_secs_f64()));
        f.gauge("head_age_seconds", "Time since the agreed head last moved", ages)?;
        let halted = chains().map(|p| (pool(p), f64::from(u8::from(p.state.heads.load().halted))));
        f.gauge("halted", "1 while the chain as a whole stands still", halted)?;
        let waiting = chains().map(|p| (pool(p), f64::from(p.state.waiting.load(Relaxed))));
        f.gauge("writes_waiting", "Transactions that wait for a halted chain to move", waiting)?;
        let each = || chains().flat_map(|p| (0..p.upstreams.len()).map(move |i| (p, i)));
        let own = each().filter_map(|(p, i)| {
            let (number, _) = p.state.heads.load().own.get(i).copied().flatten()?;
            Some((upstream(p, i), number as f64))
        });
        f.gauge("upstream_head", "Height of the upstream's own head", own)?;
        let faults = each().filter_map(|(p, i)| {
            let (cause, _) = p.state.heads.load().fault(i)?;
            let mut labels = upstream(p, i);
            labels.push(("cause", cause.as_str()));
            Some((labels, 1.0))
        });
        f.gauge("upstream_fault", "1 for what is wrong with the upstream's chain", faults)
    }
}

fn caches(f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
    let caches = || pools.iter().filter_map(|p| Some((pool(p), p.cache.as_ref()?)));
    let count = |of: fn(&Counts) -> &AtomicU64| caches().map(move |(l, c)| (l, of(c.counts()).load(Relaxed)));
    f.counter("cache_hits", "Calls answered by what was kept", count(|c| &c.hits))?;
    f.counter("cache_misses", "Calls whose answer might have been kept and was not", count(|c| &c.misses))?;
    f.counter("cache_evictions", "Kept answers that made room for others", count(|c| &c.evictions))?;
    f.gauge("cache_bytes", "What the kept answers take", caches().map(|(l, c)| (l, c.bytes() as f64)))
}

/// What pools that observe would have done.
fn observed(f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
    let observing = || pools.iter().filter(|p| p.section.observes);
    let with = |p, by| pool(p).into_iter().chain([("by", by)]).collect::<Labels<'_>>();
    let itself = observing().flat_map(|p| {
        let [gateway, nobody] = &p.state.counts.observed;
        [(with(p, "gateway"), gateway.load(Relaxed)), (with(p, "nobody"), nobody.load(Relaxed))]
    });
    let each = observing().flat_map(|p| p.upstreams.iter().map(move |u| (p, u)));
    let upstreams =
        each.map(|(p, u)| (with(p, u.section.name.as_str()), u.state.counts.observed.load(Relaxed)));
    let help =
        "Copied calls, by who would have answered: an upstream asked first, the gateway itself, or nobody";
    f.counter("observed", help, itself.chain(upstreams))
}

/// What shows that unplanned attempts keep within their budget: over any ten seconds they are no more than the
/// share of the calls, or than ten times the floor.
fn budgets(f: &mut Family<'_, '_>, pools: &[Arc<Pool>]) -> std::fmt::Result {
    let granted = pools.iter().map(|p| (pool(p), p.state.budget().granted()));
    f.counter("unplanned_attempts", "Hedges, retries, splits, resends and widenings together", granted)?;
    let share = pools.iter().map(|p| (pool(p), p.section.budget_share));
    f.gauge("budget_share", "Unplanned attempts allowed, as a share of calls over ten seconds", share)?;
    let floor = pools.iter().map(|p| (pool(p), f64::from(p.section.budget_floor)));
    f.gauge("budget_floor_per_second", "Unplanned attempts allowed whatever the share says", floor)
}

/// What is sent to providers of which the estate says what they allow.
fn providers(f: &mut Family<'_, '_>, allowances: &[Arc<Allowance>], now: Mono) -> std::fmt::Result {
    let views: Vec<_> = allowances.iter().map(|a| a.view(now)).collect();
    let label = |v: &AllowanceView| v.provider.to_string();
    let names: Vec<_> = views.iter().map(label).collect();
    let each = || views.iter().zip(&names).map(|(v, name)| (v, vec![("provider", name.as_str())]));
    f.counter("provider_requests", "Requests sent to the provider", each().map(|(v, l)| (l, v.requests)))?;
    f.counter("provider_units", "Compute units sent to the provider", each().map(|(v, l)| (l, v.units)))?;
    f.counter(
        "provider_rate_refusals",
        "Requests that the provider refused for their rate",
        each().map(|(v, l)| (l, v.refusals)),
    )?;
    let learned = each().filter_map(|(v, l)| Some((l, v.learned_units_per_second?)));
    f.gauge("provider_learned_units_per_second", "Rate that the provider is found to allow", learned)?;
    let left = each().flat_map(|(v, l)| {
        let periods = [("day", v.day_left), ("month", v.month_left)];
        periods.into_iter().filter_map(move |(period, left)| {
            let mut labels = l.clone();
            labels.push(("period", period));
            Some((labels, left? as f64))
        })
    });
    f.gauge("provider_quota_left_units", "Compute units left of the provider's quota", left)
}

pub(crate) fn pool(p: &Pool) -> Labels<'_> {
    vec![("pool", p.section.name.as_str())]
}

fn upstream(p: &Pool, i: usize) -> Labels<'_> {
    let u = &p.upstreams[i].section;
    vec![("pool", p.section.name.as_str()), ("upstream", u.name.as_str()), ("provider", u.provider.as_str())]
}
