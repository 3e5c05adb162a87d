//! One run: the real daemon's wiring between simulated nodes and clients, through all its lives.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall::daemon::{self, DaemonError, Parts, Roles};
use seawall_journal::Entropy;
use seawall_model::Wall;
use seawall_runtime::{
    Machine,
    clock::Clock,
    disk::{Disk, Open, sim::SimDisk},
    metrics::Metrics,
    net::{
        Endpoint,
        sim::{Latency, SimNet},
    },
    programs::NoPrograms,
    signals::{Event, Signals},
    state::SqliteState,
    tasks::Threads,
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    chain::{Chain, EPOCH_MS},
    client::Door,
    estate::{ESTATE, estate_text, load, write_estate},
    happenings::{change, trouble},
    ledger::Ledger,
    node::Node,
    operator::{clients, look},
    plan::{End, Life, Plan, Spans},
    subscriber,
};

/// The daemon's host, its ports and its journal.
pub(crate) const HOST: &str = "seawall";
const GATEWAY: u16 = 8_545;
pub(crate) const ADMIN: u16 = 9_545;
pub(crate) const JOURNAL: &str = "/var/journal";
/// A daemon that is asked to stop does so within this.
const STOPS: Duration = Duration::from_secs(60);
/// By then what was sent has come.
const ARRIVE: Duration = Duration::from_millis(200);

/// Readings of a run's time through all lives, in milliseconds since it began.
#[derive(Clone, Copy)]
pub(crate) struct Days {
    origin: Instant,
    pub(crate) before: u64,
}

impl Days {
    pub(crate) fn now(self) -> u64 {
        self.before + self.origin.elapsed().as_millis() as u64
    }

    pub(crate) async fn until(self, at: u64) {
        tokio::time::sleep_until(self.origin + Duration::from_millis(at.saturating_sub(self.before))).await;
    }
}

/// What outlives the daemon.
pub(crate) struct Lasting {
    pub(crate) plan: Arc<Plan>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) disk: SimDisk,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    state: Arc<SqliteState>,
}

/// What one life's tasks share.
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) days: Days,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) net: SimNet,
    ledger: Arc<Mutex<Ledger>>,
}

impl World {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh id for a call made at `at`.
    pub(crate) fn id(&self, kind: &str, at: u64) -> String {
        let mut ledger = self.ledger();
        let id = format!("{kind}{}", ledger.calls.len());
        ledger.calls.insert(id.clone(), (at, kind == "w"));
        id
    }
}

impl Lasting {
    pub(crate) fn new(seed: u64, spans: Spans) -> Self {
        let plan = Arc::new(Plan::new(seed, spans));
        let chain = Arc::new(Chain::new(seed, plan.block_ms));
        let nodes = plan.upstreams.iter().map(|u| Arc::new(Node::new(&u.name, chain.clone(), u.delay)));
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new("/etc")).unwrap();
        let mut file = disk.open(Path::new(ESTATE), Open::Create).unwrap();
        file.append(estate_text(&plan, 0).as_bytes()).unwrap();
        disk.sync_all(Path::new("/")).unwrap();
        disk.set_latency(Duration::from_millis(2));
        let state = Arc::new(SqliteState::in_memory().unwrap());
        Self { nodes: nodes.collect(), plan, chain, disk, ledger: Arc::default(), state }
    }

    /// Runs one process of the daemon's; its metrics at the end.
    pub(crate) fn live(&self, life: Life) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        // What still runs when this returns is gone with the runtime, as with the machine.
        let metrics = runtime.unwrap().block_on(self.run(life));
        match life.end {
            End::PowerCut => self.disk.power_cut(&mut self.plan.seed.rng(&format!("cut {}", life.from))),
            End::Kill | End::Stop => {}
        }
        metrics
    }

    async fn run(&self, life: Life) -> String {
        let days = Days { origin: Instant::now(), before: life.from };
        let net = SimNet::new(self.plan.seed.derive(&format!("net {}", life.from)));
        let world = Arc::new(World {
            plan: self.plan.clone(),
            chain: self.chain.clone(),
            days,
            nodes: self.nodes.clone(),
            net: net.clone(),
            ledger: self.ledger.clone(),
        });
        {
            let mut ledger = world.ledger();
            (ledger.born, ledger.floor, ledger.open, ledger.subscribed) = (life.from, 0, 0, None);
            ledger.heads.clear();
        }
        for (node, upstream) in self.nodes.iter().zip(&self.plan.upstreams) {
            let base = Duration::from_millis(upstream.latency);
            net.link(HOST, &node.name, Latency { base, jitter: base / 4 });
            tokio::spawn(node.clone().serve(net.host(&node.name), days));
        }
        tokio::spawn(trouble(world.clone()));
        let machine = self.machine(&net, life);
        let metrics = machine.metrics.clone();
        let (tell, daemon) = self.start(machine, world.clone());
        tokio::spawn(change(world.clone(), self.disk.clone(), tell.clone()));
        let admin = Arc::new(Door::new(net.host("operator"), HOST, ADMIN));
        tokio::spawn(look(world.clone(), admin));
        let door = Arc::new(Door::new(net.host("client"), HOST, GATEWAY));
        tokio::spawn(clients(world.clone(), door, life));
        let to = Endpoint { host: HOST.into(), port: GATEWAY, tls: false, credentials: None };
        let listening = tokio::spawn(subscriber::listen(world.clone(), net.host("subscriber"), to));
        days.until(life.to).await;
        listening.abort();
        world.ledger().check_subscriber(&self.plan, &self.chain, days.now());
        if life.end == End::Stop {
            // If nobody listens any more, it has ended by itself, and says why.
            let _ = tell.send(Event::Stop).await;
            match timeout(STOPS, daemon).await {
                Ok(Ok(Ok(()))) => {}
                other => world.ledger().find(days.now(), format!("it did not stop as asked: {other:?}")),
            }
            sleep(ARRIVE).await;
            let open = world.ledger().open;
            if open > 0 {
                world
                    .ledger()
                    .find(days.now(), format!("{open} calls in flight were not answered before it stopped"));
            }
        }
        metrics.encode()
    }

    fn machine(&self, net: &SimNet, life: Life) -> Machine {
        Machine {
            clock: Clock::simulated(Wall((EPOCH_MS + life.from) as i64)),
            net: net.host(HOST),
            disk: Arc::new(self.disk.clone()),
            threads: Threads::Inline,
            programs: Arc::new(NoPrograms),
            seed: self.plan.seed.derive(&format!("daemon {}", life.from)),
            metrics: Metrics::new(),
        }
    }

    fn start(
        &self,
        machine: Machine,
        world: Arc<World>,
    ) -> (mpsc::Sender<Event>, JoinHandle<Result<(), DaemonError>>) {
        let born = world.days.before;
        let entropy = Entropy::seeded(self.plan.seed.rng(&format!("entropy {born}")).u64(..));
        let (tell, signals) = Signals::simulated();
        let disk = self.disk.clone();
        let parts = Parts {
            machine,
            roles: Roles::ALL,
            neighbours: None,
            admin: None,
            state: self.state.clone(),
            signals,
            watch: None,
            load: Arc::new(move || load(&disk)),
            logs: None,
            entropy,
            succession: None,
        };
        // Whoever starts it has put right what was wrong with the estate.
        write_estate(&self.disk, &estate_text(&self.plan, 0));
        let estate = load(&self.disk).unwrap();
        let daemon = async move {
            let ended = daemon::run(estate, parts).await;
            if let Err(error) = &ended {
                world.ledger().find(world.days.now(), format!("it ended: {error}"));
            }
            ended
        };
        (tell, tokio::spawn(daemon))
    }
}
