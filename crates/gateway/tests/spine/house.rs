//! A gateway at work: the real one, on real ports, with its own worker threads.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use seawall_chain::family::Family;
use seawall_gateway::{
    Account, Accounts, Event, Events, Gateway, UpstreamView, Wanted,
    core::breaker::State,
    estate::{
        AccessSection, AdmissionSection, AuthSection, EvmSection, GatewaySection, HttpSection, Limits, Pin,
        PoolKind, PoolSection, SocketLimits, Tell, UpstreamSection, WhenHalted,
    },
};
use seawall_model::{Cause, Name, Secret};
use seawall_runtime::{Machine, metrics::Metrics, net::Endpoint, random::Seed, tasks::Supervisor};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};

use crate::{client::PATIENCE, node::CHAIN, port::Port, upstream::Upstream};

/// A weight so large that a failure does not make others the better choice: the first upstream a call goes to
/// is this one, until its breaker says otherwise.
const PREFERRED: u32 = 1_000_000_000;

/// A gateway at work.
pub(crate) struct House {
    pub(crate) at: SocketAddr,
    pub(crate) section: GatewaySection,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) supervisor: Supervisor,
    metrics: Metrics,
    happened: Mutex<(mpsc::Receiver<Event>, Vec<Event>)>,
    accounts: Mutex<Option<mpsc::Receiver<Account>>>,
    _port: Port,
}

impl House {
    pub(crate) async fn new(pools: Vec<PoolSection>) -> Self {
        Self::with(limits(), pools).await
    }

    pub(crate) async fn with(limits: Limits, pools: Vec<PoolSection>) -> Self {
        Self::set(|section| (section.limits, section.pools) = (limits, pools)).await
    }

    /// A gateway of the estate's defaults, but for what is set.
    pub(crate) async fn set(set: impl FnOnce(&mut GatewaySection)) -> Self {
        Self::at_work(set, None).await
    }

    /// One that hands in accounts of requests.
    pub(crate) async fn told(wanted: Wanted, pools: Vec<PoolSection>) -> Self {
        let accounts = Accounts::queue(wanted, Seed::new(1));
        Self::at_work(|section| section.pools = pools, Some(accounts)).await
    }

    /// Starts it and waits until it serves.
    async fn at_work(
        set: impl FnOnce(&mut GatewaySection),
        accounts: Option<(Accounts, mpsc::Receiver<Account>)>,
    ) -> Self {
        let (accounts, taken) = accounts.unzip();
        let port = Port::new();
        let at = port.at();
        let mut section = GatewaySection {
            listen: vec![at],
            tls: None,
            workers: 2,
            limits: limits(),
            auth: AuthSection::default(),
            budgets: Vec::new(),
            pools: Vec::new(),
        };
        set(&mut section);
        let machine = Machine::system(None, Arc::default()).unwrap();
        let (events, happened) = Events::queue();
        let gateway = Gateway::new(section.clone(), &machine, events).unwrap().with_accounts(accounts);
        let gateway = Arc::new(gateway);
        let supervisor = Supervisor::new(machine.clock, &machine.metrics);
        gateway.start(&supervisor);
        let happened = Mutex::new((happened, Vec::new()));
        let metrics = machine.metrics;
        let accounts = Mutex::new(taken);
        let house = Self { at, section, gateway, supervisor, metrics, happened, accounts, _port: port };
        until("the gateway serves", || house.gateway.is_ready().then_some(())).await;
        let began = Instant::now();
        while TcpStream::connect(at).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "the gateway listens");
            tokio::time::sleep(LOOK).await;
        }
        house
    }

    /// The next account of a request that has come, if one has.
    pub(crate) fn account(&self) -> Option<Account> {
        self.accounts.lock().unwrap().as_mut()?.try_recv().ok()
    }

    /// What is told of an upstream, by its place in its pool.
    pub(crate) fn view(&self, pool: usize, upstream: usize) -> UpstreamView {
        self.gateway.pools()[pool].upstreams[upstream].clone()
    }

    /// What an upstream of the first pool has been ejected for so far, in order.
    pub(crate) fn ejections(&self, upstream: usize) -> Vec<Cause> {
        let pool = &self.section.pools[0];
        let whose = pool.upstream_component(&pool.upstreams[upstream]);
        let mut happened = self.happened.lock().unwrap();
        while let Ok(event) = happened.0.try_recv() {
            happened.1.push(event);
        }
        let ejected = happened.1.iter().filter_map(|event| match event {
            Event::Breaker { upstream, state: State::Ejected { cause, .. }, .. } if *upstream == whose => {
                Some(*cause)
            }
            _ => None,
        });
        ejected.collect()
    }

    /// Waits until an upstream of the first pool is ejected and nothing is under way to it any more; for what.
    pub(crate) async fn ejected(&self, upstream: usize) -> Cause {
        let look = || {
            let cause = self.ejections(upstream).first().copied()?;
            (self.view(0, upstream).in_flight == 0).then_some(cause)
        };
        until("it is ejected", look).await
    }

    /// The value of a counter of the first pool's.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let sample = format!("seawall_gateway_{name}_total{{pool=\"{}\"}} ", self.section.pools[0].name);
        let text = self.metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix(&sample));
        line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
    }

    /// The value of a gauge that has no labels.
    pub(crate) fn gauge(&self, name: &str) -> f64 {
        self.sample(&format!("seawall_gateway_{name}{{}} "))
    }

    /// How many subscriptions to a topic of the first pool's there are.
    pub(crate) fn subscriptions(&self, topic: &str) -> f64 {
        let pool = &self.section.pools[0].name;
        self.sample(&format!("seawall_gateway_subscriptions{{pool=\"{pool}\",topic=\"{topic}\"}} "))
    }

    /// The value of a gauge of the first pool's.
    pub(crate) fn pool_gauge(&self, name: &str) -> f64 {
        self.sample(&format!("seawall_gateway_{name}{{pool=\"{}\"}} ", self.section.pools[0].name))
    }

    fn sample(&self, sample: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
    }

    /// The value of a metric, given as its sample is written.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        self.sample(&format!("{sample} "))
    }

    /// Begins the drain; the names of what was cut off come once it is over.
    pub(crate) fn drain(&self) -> tokio::task::JoinHandle<Vec<Arc<str>>> {
        let (supervisor, limit) = (self.supervisor.clone(), self.section.limits.drain);
        tokio::spawn(async move { supervisor.drain(limit).await })
    }
}

const LOOK: Duration = Duration::from_millis(10);

/// Looks until there is something to be seen.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "it never came to pass that {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The estate's defaults.
pub(crate) fn limits() -> Limits {
    Limits {
        request_body: 1024 * 1024,
        verified_answer: 4 * 1024 * 1024,
        batch: 100,
        connections: 10_000,
        idle: Duration::from_secs(60),
        drain: PATIENCE,
        filters: 10_000,
        sockets: SocketLimits { open: 10_000, subscriptions: 100, queue: 4 * 1024 * 1024 },
    }
}

/// A chain's pool at `/chain`. Its times are long, so that a machine under load is not taken for an upstream that
/// hangs, and its budget never runs out.
pub(crate) fn chain(upstreams: &[&Upstream]) -> PoolSection {
    let evm = EvmSection {
        family: Family::Evm,
        network: CHAIN.to_string().into(),
        block_time: Duration::from_secs(3_600),
        poll: Duration::from_secs(1),
        lag: 0,
        pin: Pin::Hash,
        broadcast: 2,
        when_halted: WhenHalted::Pass,
        quorum: None,
        cache: None,
    };
    pool("chain", PoolKind::Evm(evm), &addresses(upstreams))
}

/// An HTTP API's pool at `/api`.
pub(crate) fn api(upstreams: &[&Upstream]) -> PoolSection {
    api_at(&addresses(upstreams))
}

/// As [`api`], of upstreams that listen there.
pub(crate) fn api_at(upstreams: &[SocketAddr]) -> PoolSection {
    let retry_methods = vec![http::Method::GET, http::Method::HEAD, http::Method::OPTIONS];
    pool("api", PoolKind::Http(HttpSection { retry_methods, paths: Vec::new() }), upstreams)
}

/// That pool, whose first upstream is asked first.
pub(crate) fn first_preferred(mut pool: PoolSection) -> PoolSection {
    pool.upstreams[0].weight = PREFERRED;
    pool
}

fn addresses(upstreams: &[&Upstream]) -> Vec<SocketAddr> {
    upstreams.iter().map(|upstream| upstream.at()).collect()
}

fn pool(name: &str, kind: PoolKind, upstreams: &[SocketAddr]) -> PoolSection {
    let names = ["a", "b", "c", "d"];
    PoolSection {
        name: Name::new(name).unwrap(),
        route: format!("/{name}").into(),
        kind,
        access: AccessSection::default(),
        upstreams: upstreams.iter().zip(names).map(|(at, name)| section(*at, name)).collect(),
        deadline: PATIENCE - Duration::from_secs(10),
        attempt_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        hang: Duration::from_secs(10),
        attempts: 4,
        budget_share: 1.0,
        budget_floor: 1_000,
        tell: Tell::NOTHING,
        admission: AdmissionSection::default(),
        affected: None,
        tier_latency: None,
        observes: false,
    }
}

fn section(at: SocketAddr, name: &str) -> UpstreamSection {
    let port = at.port();
    UpstreamSection {
        name: Name::new(name).unwrap(),
        endpoint: Endpoint { host: "127.0.0.1".into(), port, tls: false, credentials: None },
        path: Secret::new("/"),
        host: format!("{name}.test").into(),
        socket: None,
        headers: Vec::new(),
        provider: Name::new(name).unwrap(),
        region: None,
        tier: 0,
        weight: 100,
        rate: None,
        path_of: None,
    }
}
