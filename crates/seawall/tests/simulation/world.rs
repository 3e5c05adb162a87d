//! One run: the real daemon's wiring between simulated nodes and clients, through all its lives.

use std::{
    collections::BTreeMap,
    env::VarError,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall::{
    daemon::{self, DaemonError, Parts, Roles},
    estate::{self, Estate, LoadError, Surroundings},
};
use seawall_journal::Entropy;
use seawall_model::Wall;
use seawall_runtime::{
    Machine,
    clock::Clock,
    disk::{Disk, Open, sim::SimDisk},
    metrics::Metrics,
    net::sim::{Fault, Latency, SimNet},
    signals::{Event, Signals},
    state::SqliteState,
    tasks::Threads,
};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    chain::{Chain, EPOCH_MS, digest},
    client::{self, Door},
    ledger::Ledger,
    log,
    node::{Node, PORT, Seen},
    plan::{ALL_SERVE, Change, End, Life, Plan, Trouble},
};

/// The daemon's host, its ports and its files.
const HOST: &str = "seawall";
const GATEWAY: u16 = 8_545;
const ADMIN: u16 = 9_545;
const ESTATE: &str = "/etc/seawall.toml";
pub(crate) const JOURNAL: &str = "/var/journal";
/// A daemon serves this long after it starts, at the latest.
const READY: Duration = Duration::from_secs(10);
/// A daemon that is asked to stop does so within this.
const STOPS: Duration = Duration::from_secs(60);
/// Clients send nothing in the last moment before a stop: who sends to a server that closes has bad luck.
const HUSH: u64 = 100;
/// By then what was sent has come.
const ARRIVE: Duration = Duration::from_millis(200);
/// Time from one look at the daemon's own numbers to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Readings of a run's time through all lives, in milliseconds since it began.
#[derive(Clone, Copy)]
pub(crate) struct Days {
    origin: Instant,
    before: u64,
}

impl Days {
    pub(crate) fn now(self) -> u64 {
        self.before + self.origin.elapsed().as_millis() as u64
    }

    async fn until(self, at: u64) {
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
    nodes: Vec<Arc<Node>>,
    net: SimNet,
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
    pub(crate) fn new(seed: u64) -> Self {
        let plan = Arc::new(Plan::new(seed));
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
            (ledger.born, ledger.floor, ledger.oldest, ledger.open) = (life.from, 0, u64::MAX, 0);
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
        days.until(life.to).await;
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
            state: self.state.clone(),
            signals,
            watch: None,
            load: Arc::new(move || load(&disk)),
            logs: None,
            entropy,
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

fn load(disk: &SimDisk) -> Result<Estate, LoadError> {
    let with = Surroundings { disk, variable: &|_| Err(VarError::NotPresent), cores: 1 };
    estate::load(Path::new(ESTATE), &with)
}

/// Puts an estate in place of the one that is there, whatever ails the disk.
fn write_estate(disk: &SimDisk, text: &str) {
    disk.corrupt(Path::new(ESTATE), |bytes| *bytes = text.to_owned().into_bytes()).unwrap();
}

/// The `n`th valid estate: the same upstreams with other weights, and other limits.
fn estate_text(plan: &Plan, n: u64) -> String {
    let Plan { workers, block_ms, hang_ms, floor, .. } = plan;
    let mut text = format!(
        "[estate]\nname = \"simulated\"\n[listen]\nworkers = {workers}\n[journal]\ndir = \"{JOURNAL}\"\n\
         [pools.chain]\nkind = \"evm\"\nchain_id = 1\nroute = \"/\"\nblock_time = \"{block_ms}ms\"\n\
         hang = \"{hang_ms}ms\"\nbudget_floor = \"{floor}/s\"\nattempts = {}\n",
        4 + n % 3
    );
    for provider in 0..plan.providers {
        text += &format!("[providers.p{provider}]\n");
    }
    for (i, upstream) in plan.upstreams.iter().enumerate() {
        let (name, provider, weight) =
            (&upstream.name, upstream.provider, 100 + (n * (i as u64 + 3) * 17) % 90);
        text += &format!(
            "[[pools.chain.upstreams]]\nname = \"{name}\"\nurl = \"http://{name}:{PORT}\"\n\
             provider = \"p{provider}\"\nweight = {weight}\n"
        );
    }
    text
}

/// Makes the plan's troubles come and go.
async fn trouble(world: Arc<World>) {
    let mut turns = world.plan.turns();
    turns.insert(0, world.days.now());
    for at in turns.into_iter().filter(|t| *t >= world.days.before) {
        world.days.until(at).await;
        for (i, node) in world.nodes.iter().enumerate() {
            let episode = world.plan.now(at).find(|e| e.upstreams.contains(&i));
            let begins = episode.is_some_and(|e| e.from == at);
            let (fault, lie) = match episode.map(|e| e.trouble) {
                None | Some(Trouble::Reset) => (None, None),
                Some(Trouble::Kill) => (Some(Fault::Down), None),
                Some(Trouble::Net(fault)) => (Some(fault), None),
                Some(Trouble::Lie(lie)) => (None, Some((lie, episode.map_or(0, |e| e.from)))),
            };
            world.net.fault(&node.name, fault);
            node.tell(lie);
            if begins && matches!(episode.map(|e| e.trouble), Some(Trouble::Reset | Trouble::Kill)) {
                world.net.reset(&node.name);
            }
        }
    }
}

/// Does to the daemon what the plan says, besides ending it.
async fn change(world: Arc<World>, disk: SimDisk, tell: mpsc::Sender<Event>) {
    for (at, change) in &world.plan.changes {
        if *at < world.days.before
            && matches!(change, Change::Estate(_) | Change::BadEstate | Change::Fails(_))
        {
            continue; // it happened to a daemon before this one, or to none
        }
        world.days.until(*at).await;
        let text = match change {
            Change::Estate(n) => estate_text(&world.plan, *n),
            Change::BadEstate => "[estate]\nname = \"simulated\"\n[listen]\nworkers = \"many\"\n".into(),
            Change::Full(full) => {
                disk.set_full(*full);
                continue;
            }
            Change::Stalled(stalled) => {
                disk.set_stalled(*stalled);
                continue;
            }
            Change::Fails(after) => {
                disk.fail_after(*after);
                continue;
            }
        };
        write_estate(&disk, &text);
        if tell.send(Event::Reload).await.is_err() {
            return; // it has ended
        }
        if matches!(change, Change::BadEstate) {
            // Long enough to be read and refused.
            sleep(LOOK).await;
            write_estate(&disk, &estate_text(&world.plan, 0));
        }
    }
}

/// Lets the clients loose once the daemon says that it is ready, and calls them off before it stops.
async fn clients(world: Arc<World>, door: Arc<Door>, life: Life) {
    let probe = Door::new(world.net.host("operator"), HOST, ADMIN);
    let ready = async {
        while probe.ask("/readyz", None).await.ok().as_deref() != Some("ready\n") {
            sleep(READY / 100).await;
        }
    };
    if timeout(READY, ready).await.is_err() {
        world.ledger().find(world.days.now(), "it was not ready in time".into());
    }
    let rng = |purpose: &str| world.plan.seed.rng(&format!("{purpose} {}", life.from));
    let (reading, writing) = (rng("reads"), rng("writes"));
    let until = Duration::from_millis((life.to - HUSH).saturating_sub(world.days.now()));
    let reads = timeout(until, client::read(world.clone(), door.clone(), reading));
    let writes = timeout(until, client::write(world.clone(), door, writing));
    let _ = tokio::join!(reads, writes);
}

/// Looks at the daemon's own numbers once a second.
async fn look(world: Arc<World>, admin: Arc<Door>) {
    let mut looks: Vec<(u64, u64)> = Vec::new();
    loop {
        sleep(LOOK).await;
        // It may not listen yet, or no more.
        let Ok(text) = admin.ask("/v1/pools", None).await else { continue };
        let now = world.days.now();
        let journal = admin.ask("/v1/journal", None).await.unwrap_or_default();
        let pools: Value = serde_json::from_str(&text).unwrap();
        let pool = &pools["pools"][0];
        let mut ledger = world.ledger();
        ledger.trace.push(format!("{now} {pools} {journal}"));
        let journal: Value = serde_json::from_str(&journal).unwrap_or_default();
        ledger.show(journal["checkpoint_note"].as_str());
        let number = |of: &Value| of.as_u64().unwrap_or_default();
        let (extra, balance) = (number(&pool["budget"]["extra"]), number(&pool["budget"]["allowed"]));
        looks.push((number(&pool["requests"]), balance));
        let recent = &looks[looks.len().saturating_sub(12)..];
        let most = recent.iter().map(|l| l.1).max().unwrap_or(0);
        // Between two looks it may have been more, by the share of a second's calls.
        let second = recent.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap_or(0);
        if extra > most + second.div_ceil(5) {
            ledger.find(now, format!("{extra} unplanned attempts in ten seconds, {most} allowed"));
        }
        if now < ALL_SERVE {
            continue;
        }
        for upstream in pool["upstreams"].as_array().into_iter().flatten() {
            let admits = |b: &Value| b["state"] == "admitting";
            let all = upstream["breakers"].as_array().into_iter().flatten().all(admits);
            if !(all && upstream["fault"].is_null() && upstream["fresh"] == true) {
                ledger.find(now, format!("it has not recovered: {upstream}"));
            }
        }
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) ledger: Ledger,
    pub(crate) extras: u32,
    pub(crate) floor: u32,
    pub(crate) lives: usize,
    /// What the seed made happen.
    pub(crate) told: Vec<String>,
    /// Everything that must be the same whenever the seed is.
    pub(crate) fingerprint: Vec<String>,
}

/// Runs everything that a seed makes happen.
pub(crate) fn run(seed: u64) -> Outcome {
    let lasting = Lasting::new(seed);
    let mut metrics = Vec::new();
    for life in lasting.plan.lives.clone() {
        metrics.push(lasting.live(life));
    }
    let extras = lasting.extras();
    let mut ledger = std::mem::take(&mut *lasting.ledger.lock().unwrap_or_else(PoisonError::into_inner));
    ledger.check_writes(&lasting.chain);
    ledger.check_budget(&lasting.plan, &extras);
    ledger.findings.extend(log::check(&lasting.disk, &ledger.checkpoints));
    let told = lasting.plan.told().into_iter().chain(log::told(&lasting.disk)).collect();
    let files = lasting.disk.contents().into_iter().map(|(path, bytes)| {
        let words: Vec<u64> = bytes.iter().map(|b| u64::from(*b)).collect();
        format!("{} {} {:x}", path.display(), bytes.len(), digest(&words))
    });
    // A family's samples come in the order of a hash map.
    let lines = metrics.iter().flat_map(|text| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    });
    let fingerprint = ledger.trace.iter().cloned().chain(lines).chain(files).collect();
    Outcome {
        ledger,
        extras: extras.values().sum(),
        floor: lasting.plan.floor,
        lives: metrics.len(),
        told,
        fingerprint,
    }
}

impl Lasting {
    /// Attempts that no plan of a call's accounts for, by the call.
    fn extras(&self) -> BTreeMap<String, u32> {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        for node in &self.nodes {
            for (id, part) in &*node.seen.lock().unwrap_or_else(PoisonError::into_inner) {
                let whole = seen.entry(id.clone()).or_default();
                whole.times += part.times;
                whole.nothing += part.nothing;
                whole.turned_away += part.turned_away;
            }
        }
        let planned = |id: &str, s: &Seen| match id.starts_with('w') {
            // Two at once; one that is turned away has reached nobody.
            true => 2 + s.turned_away,
            // An answer of nothing calls for a second opinion.
            false => 1 + s.nothing.min(1),
        };
        seen.into_iter()
            .map(|(id, s)| (s.times.saturating_sub(planned(&id, &s)), id))
            .map(|(n, id)| (id, n))
            .collect()
    }
}
