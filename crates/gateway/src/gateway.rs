//! The gateway as the rest of the house holds it.

mod minutes;
mod modes;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use arc_swap::ArcSwap;
use seawall_chain::method::Class;
use seawall_model::{ComponentId, Fact, Traffic, Wall};
use seawall_runtime::{
    Machine,
    net::server_tls::ServerTlsError,
    random::Seed,
    tasks::{Backoff, Kind, OnFailure, Shutdown, Stage, Supervisor, TaskError},
};
use tokio::sync::watch;

pub use modes::NoSuchPool;

use crate::{
    access::{self, Access},
    account::Accounts,
    admission::CustomerKey,
    core::choose::MAX_UPSTREAMS,
    door::Door,
    estate::{GatewaySection, ProviderBudget},
    event::Events,
    explain::{ExplainError, Explanation},
    feed::{self, Feeds},
    metrics,
    poll::{self, Poller},
    pool::{Allowance, AllowanceView, CLASSES, Pool, PoolView, Spending},
    routes::Routes,
    worker::{self, Connections, Plan},
};

/// How often hedge delays are recomputed and traffic is summed up.
const TICK: Duration = Duration::from_secs(1);

/// A gateway, running or about to.
pub struct Gateway {
    machine: Machine,
    section: Mutex<GatewaySection>,
    routes: Arc<ArcSwap<Routes>>,
    door: Option<Arc<Door>>,
    connections: Arc<Connections>,
    events: Events,
    accounts: Option<Accounts>,
    reloads: watch::Sender<u64>,
    modes: Mutex<modes::Modes>,
    customer_key: CustomerKey,
    /// The minute that is being counted, and when it began.
    minute: Mutex<Option<Wall>>,
    /// Counters as they were when traffic was last summed up.
    summed: Mutex<BTreeMap<u64, [Sum; CLASSES]>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    attempts: u64,
    failures: u64,
    busy_us: u64,
}

/// Why a new estate could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// What is bound at the start cannot change while running.
    #[error("`{0}` cannot change while running: restart to take it over")]
    NeedsRestart(&'static str),
    /// More upstreams than a pool can have.
    #[error("pool `{0}` has more than {MAX_UPSTREAMS} upstreams")]
    TooManyUpstreams(seawall_model::Name),
    /// A certificate, or what clients' certificates are checked against, cannot be used.
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
}

/// There is no such upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no upstream `{0}`")]
pub struct NoSuchUpstream(pub String);

impl Gateway {
    /// A gateway for `section`. Nothing is bound and nothing is asked until [`Self::start`].
    pub fn new(section: GatewaySection, machine: &Machine, events: Events) -> Result<Self, ReloadError> {
        check(&section)?;
        let door = section.tls.as_ref().map(Door::new).transpose()?;
        let routes = Arc::new(ArcSwap::from_pointee(Routes::default()));
        let gateway = Self {
            machine: machine.clone(),
            routes: routes.clone(),
            door,
            connections: Arc::default(),
            events,
            accounts: None,
            reloads: watch::Sender::new(0),
            modes: Mutex::default(),
            customer_key: CustomerKey::default(),
            minute: Mutex::default(),
            summed: Mutex::default(),
            section: Mutex::new(section.clone()),
        };
        gateway.routes.store(Arc::new(gateway.build(&section)));
        metrics::register(
            &machine.metrics,
            routes,
            gateway.connections.clone(),
            gateway.events.clone(),
            machine.clock,
        );
        access::metrics::register(&machine.metrics, gateway.routes.clone());
        if let Some(door) = &gateway.door {
            door.register(&machine.metrics);
            gateway.tell_ended(door);
        }
        Ok(gateway)
    }

    /// Has an account of each request handed in there.
    pub fn with_accounts(self, accounts: Option<Accounts>) -> Self {
        Self { accounts, ..self }
    }

    fn build(&self, section: &GatewaySection) -> Routes {
        let before = self.routes.load();
        let allowances: Vec<_> = section.budgets.iter().map(|budget| allowance(budget, &before)).collect();
        let pools = section.pools.iter().map(|pool| {
            let seed = self.machine.seed.derive(pool.name.as_str());
            let old = before.named(pool.name.as_str()).filter(|old| same_kind(&old.section.kind, &pool.kind));
            let pool = Arc::new(Pool::new(
                pool.clone(),
                old.map(|p| &**p),
                &allowances,
                self.events.clone(),
                seed_bits(seed),
                self.machine.clock.mono(),
            ));
            if let Some(set) = self.modes().of(&pool.section.name) {
                pool.state.admission.modes.set(set);
            }
            pool
        });
        let access = Access::new(&section.auth, &before.access);
        let pools = pools.collect();
        let routes = Routes::new(pools, allowances, access);
        self.turn(&routes);
        routes
    }

    /// Looks at the providers' budgets, as once a second.
    fn turn(&self, routes: &Routes) {
        let (now, wall) = (self.machine.clock.mono(), self.machine.clock.wall());
        routes.allowances.iter().for_each(|allowance| allowance.tick(now, wall));
    }

    /// Starts everything under `supervisor`.
    pub fn start(self: &Arc<Self>, supervisor: &Supervisor) {
        self.watch(supervisor);
        self.serve(supervisor);
    }

    fn plan(&self) -> (Plan, usize) {
        let section = self.section.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let workers = section.workers;
        let plan = Plan {
            clock: self.machine.clock,
            net: self.machine.net.clone(),
            limits: section.limits,
            customer_key: self.customer_key.clone(),
            listen: section.listen,
            door: self.door.clone(),
            routes: self.routes.clone(),
            connections: self.connections.clone(),
            accounts: self.accounts.clone(),
        };
        (plan, workers)
    }

    /// Starts the workers: from here on clients are served.
    pub fn serve(&self, supervisor: &Supervisor) {
        let serving = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Requests };
        let (plan, workers) = self.plan();
        for index in 0..workers {
            let plan = plan.clone();
            supervisor.spawn_worker(self.machine.threads, "gateway", index, serving, move |shutdown| {
                worker::run(plan.clone(), shutdown)
            });
        }
    }

    /// Starts what has to be known before anybody is served: the head polls, what follows them, and the tick.
    pub fn watch(self: &Arc<Self>, supervisor: &Supervisor) {
        let plan = self.plan().0;
        let background = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
        let poller = Poller {
            clock: self.machine.clock,
            net: self.machine.net.clone(),
            routes: self.routes.clone(),
            reloads: self.reloads.subscribe(),
        };
        let feeds = Feeds { plan, poller: poller.clone() };
        supervisor.spawn("heads", background, move |shutdown| poll::run(poller.clone(), shutdown));
        supervisor.spawn("feeds", background, move |shutdown| feed::run(feeds.clone(), shutdown));
        let gateway = self.clone();
        supervisor.spawn("hedges", background, move |shutdown| gateway.clone().tick(shutdown));
    }

    async fn tick(self: Arc<Self>, shutdown: Shutdown) -> Result<(), TaskError> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                _ = tick.tick() => {
                    let now = self.machine.clock.mono();
                    let routes = self.routes.load();
                    self.turn(&routes);
                    for pool in routes.pools() {
                        pool.set_hedges(now);
                        pool.set_spills(now);
                    }
                }
            }
        }
    }

    /// Takes over a new section: swapped whole, with what was learned of the upstreams that stay. On an
    /// error nothing has changed.
    pub fn reload(&self, section: GatewaySection) -> Result<(), ReloadError> {
        check(&section)?;
        let mut current = self.section.lock().unwrap_or_else(PoisonError::into_inner);
        if section.listen != current.listen {
            return Err(ReloadError::NeedsRestart("listen.gateway"));
        }
        if section.workers != current.workers {
            return Err(ReloadError::NeedsRestart("workers"));
        }
        if section.limits != current.limits {
            return Err(ReloadError::NeedsRestart("limits"));
        }
        let prepared = match (&self.door, &section.tls, &current.tls) {
            (None, None, _) => None,
            (Some(door), Some(tls), Some(running)) if tls.bound() == running.bound() => {
                Some((door, door.prepare(tls)?))
            }
            (_, _, _) => return Err(ReloadError::NeedsRestart("listen.tls")),
        };
        if let Some((door, prepared)) = prepared {
            door.change(prepared);
            self.tell_ended(door);
        }
        self.routes.store(Arc::new(self.build(&section)));
        *current = section;
        self.reloads.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Every pool as it is now.
    pub fn pools(&self) -> Vec<PoolView> {
        self.routes.load().pools().map(|p| p.view(&self.machine.clock)).collect()
    }

    /// What would be done with `request` now, and why; `pool` is a name or a path, and needs to be said where
    /// there are several. Nothing is changed by it.
    pub fn explain(&self, pool: Option<&str>, request: &[u8]) -> Result<Explanation, ExplainError> {
        crate::explain::explain(&self.routes.load(), pool, request, self.machine.clock.mono())
    }

    /// What is known of the providers' budgets, where the estate gives them any.
    pub fn allowances(&self) -> Vec<AllowanceView> {
        let now = self.machine.clock.mono();
        self.routes.load().allowances.iter().map(|a| a.view(now)).collect()
    }

    /// What has been spent of the quotas, to be kept over a restart; nothing where there are none.
    pub fn spending(&self) -> Vec<Spending> {
        let routes = self.routes.load();
        let with_quota = routes.allowances.iter().filter(|a| a.section.daily.or(a.section.monthly).is_some());
        with_quota.map(|a| a.spending()).collect()
    }

    /// Takes in what was spent before a restart. Providers that have no budget any more are passed over.
    pub fn recall(&self, spent: &Spending) {
        let routes = self.routes.load();
        if let Some(allowance) = routes.allowances.iter().find(|a| a.section.provider == spent.provider) {
            allowance.recall(spent);
        }
        self.turn(&routes);
    }

    /// Where clients connect.
    pub fn listen(&self) -> Vec<SocketAddr> {
        self.section.lock().unwrap_or_else(PoisonError::into_inner).addresses()
    }

    /// Clients refuse a certificate that has ended; whoever runs this should hear it first.
    fn tell_ended(&self, door: &Door) {
        for certificate in door.ended(self.machine.clock.wall()) {
            tracing::error!(code = "SW0230", certificate, "a certificate that clients are shown has ended");
        }
    }

    /// True once every pool has been polled and somebody in it may be asked.
    pub fn is_ready(&self) -> bool {
        use seawall_model::Status;
        let now = self.machine.clock.mono();
        self.routes.load().pools().all(|p| matches!(p.status(now), Status::Up | Status::Degraded))
    }

    /// Takes an upstream out of service, or puts it back; true if that changed anything.
    pub fn cordon(&self, pool: &str, upstream: &str, out: bool) -> Result<bool, NoSuchUpstream> {
        let missing = || NoSuchUpstream(format!("{pool}/{upstream}"));
        let routes = self.routes.load();
        let found = routes.named(pool).ok_or_else(missing)?;
        let target =
            found.upstreams.iter().find(|u| u.section.name.as_str() == upstream).ok_or_else(missing)?;
        Ok(target.state.set_cordoned(out))
    }

    /// What the traffic since the last call of this tells of each upstream.
    pub fn sum_up(&self) -> Vec<(ComponentId, Fact)> {
        let mut facts = Vec::new();
        let mut summed = self.summed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.machine.clock.mono();
        let routes = self.routes.load();
        let mut living = BTreeMap::new();
        for pool in routes.pools() {
            let heads = pool.state.heads.load();
            for (i, upstream) in pool.upstreams.iter().enumerate() {
                let before = summed.remove(&upstream.state.id).unwrap_or_default();
                let sums = std::array::from_fn(|c| read(upstream, c));
                for class in Class::ALL {
                    facts.extend(traffic(upstream, class, before[class as usize], sums[class as usize]));
                }
                if let Some((number, moved)) = heads.own.get(i).copied().flatten()
                    && !heads.unknown.has(i)
                {
                    let age_ms = now.since(moved).as_millis() as u64;
                    let fault = heads.fault(i).map(|f| f.0);
                    facts.push((upstream.component.clone(), Fact::Head { number, age_ms, fault }));
                }
                living.insert(upstream.state.id, sums);
            }
        }
        *summed = living;
        drop(summed);
        facts.extend(self.affected_by_the_minute());
        facts
    }
}

fn read(upstream: &crate::pool::Upstream, class: usize) -> Sum {
    let counts = &upstream.state.counts;
    Sum {
        attempts: counts.attempts[class].load(Relaxed),
        failures: counts.failures[class].load(Relaxed),
        busy_us: counts.busy_us[class].load(Relaxed),
    }
}

fn traffic(
    upstream: &crate::pool::Upstream,
    class: Class,
    before: Sum,
    sum: Sum,
) -> Option<(ComponentId, Fact)> {
    let attempts = sum.attempts - before.attempts;
    let failures = sum.failures - before.failures;
    let answered = attempts.saturating_sub(failures).max(1);
    let cause = upstream.state.learned().breakers[class as usize].state().cause().filter(|_| failures > 0);
    let traffic = Traffic {
        class: class.as_str().into(),
        attempts,
        failures,
        cause,
        mean_us: (sum.busy_us - before.busy_us) / answered,
    };
    (attempts > 0).then(|| (upstream.component.clone(), Fact::Traffic(traffic)))
}

fn allowance(budget: &ProviderBudget, before: &Routes) -> Arc<Allowance> {
    let known = before.allowances.iter().find(|a| a.section.provider == budget.provider);
    Arc::new(Allowance::new(budget.clone(), known.map(|a| a.state.clone())))
}

fn check(section: &GatewaySection) -> Result<(), ReloadError> {
    match section.pools.iter().find(|p| p.upstreams.len() > MAX_UPSTREAMS) {
        Some(pool) => Err(ReloadError::TooManyUpstreams(pool.name.clone())),
        None => Ok(()),
    }
}

fn same_kind(a: &crate::estate::PoolKind, b: &crate::estate::PoolKind) -> bool {
    use crate::estate::PoolKind::{Evm, Grpc, Http};
    match (a, b) {
        // Another chain under the old name has nothing to do with the old one.
        (Evm(a), Evm(b)) => (a.family, &a.network) == (b.family, &b.network),
        (Http(_), Http(_)) | (Grpc(_), Grpc(_)) => true,
        (Evm(_) | Http(_) | Grpc(_), _) => false,
    }
}

fn seed_bits(seed: Seed) -> u64 {
    seed.rng("pool").u64(..)
}
