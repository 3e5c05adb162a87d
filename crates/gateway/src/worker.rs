//! One data-path thread: accepts connections, serves them, and shares nothing with the rest of the
//! process but snapshots and counters.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, select_all};
use seawall_runtime::{
    clock::Clock,
    net::{Conn, Listener, Net},
    tasks::{Shutdown, TaskError},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    account::Accounts,
    admission::CustomerKey,
    call::{Flights, Memo},
    client::{Channels, Links},
    door::Door,
    estate::Limits,
    feed::Relays,
    forward::Reader,
    routes::Routes,
    serve::{self, Client},
};

/// Most attempts that run on in the background after their call was answered; more are dropped.
const BACKGROUND: usize = 1_024;
/// How often idle upstream connections are looked through.
const REAP: Duration = Duration::from_secs(5);
/// Pause after a failed accept, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every call on this thread works with.
pub(crate) struct Worker {
    pub(crate) clock: Clock,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) links: Links,
    pub(crate) channels: Channels<Reader>,
    pub(crate) flights: Flights,
    pub(crate) memo: Memo,
    pub(crate) limits: Limits,
    pub(crate) customer_key: CustomerKey,
    /// Swapped whole on a reload.
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    /// Client connections over all workers.
    pub(crate) connections: Arc<Connections>,
    /// Who wants an account of each request, if anybody does.
    pub(crate) accounts: Option<Accounts>,
    behind: mpsc::Sender<BoxFuture<'static, ()>>,
    /// What wakes this thread's sockets.
    pub(crate) relays: Relays,
}

/// Client connections, counted over all workers.
#[derive(Default)]
pub(crate) struct Connections {
    pub(crate) open: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    /// Those of them that are WebSockets.
    pub(crate) sockets: AtomicUsize,
    pub(crate) sockets_refused: AtomicUsize,
}

impl Worker {
    /// A worker, and what it leaves to run on in the background.
    pub(crate) fn new(plan: Plan) -> (Arc<Self>, mpsc::Receiver<BoxFuture<'static, ()>>) {
        let (behind, background) = mpsc::channel(BACKGROUND);
        let worker = Self {
            clock: plan.clock,
            net: plan.net,
            links: Links::default(),
            channels: Channels::default(),
            flights: Flights::default(),
            memo: Memo::default(),
            limits: plan.limits,
            customer_key: plan.customer_key,
            routes: plan.routes,
            connections: plan.connections,
            accounts: plan.accounts,
            behind,
            relays: Relays::default(),
        };
        (Arc::new(worker), background)
    }

    /// Lets `work` run on in the background; false if there is no room, and it was dropped. Of an attempt, no more comes
    /// then than that its connection closes.
    pub(crate) fn background(&self, work: BoxFuture<'static, ()>) -> bool {
        self.behind.try_send(work).is_ok()
    }
}

/// What a worker is made from.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) clock: Clock,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) limits: Limits,
    pub(crate) customer_key: CustomerKey,
    pub(crate) listen: Vec<SocketAddr>,
    /// Where it listens over TLS.
    pub(crate) door: Option<Arc<Door>>,
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) accounts: Option<Accounts>,
}

/// Runs a worker until it is told to stop and its connections have ended.
pub(crate) async fn run(plan: Plan, shutdown: Shutdown) -> Result<(), TaskError> {
    let mut listeners = Vec::new();
    let plain = plan.listen.len();
    for at in plan.listen.iter().chain(plan.door.iter().flat_map(|door| &door.listen)) {
        let listener =
            plan.net.listen(*at, true).map_err(|e| TaskError::new(format!("cannot listen on {at}: {e}")))?;
        listeners.push(listener);
    }
    let door = plan.door.clone();
    let (worker, mut background) = Worker::new(plan);
    let mut tasks = JoinSet::new();
    let mut reap = tokio::time::interval(REAP);
    loop {
        // Each arm is cancel-safe: accept, recv, join and tick lose nothing when another arm wins.
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            accepted = accept(&mut listeners) => match accepted {
                (Ok((conn, from)), i) => {
                    let door = door.as_ref().filter(|_| i >= plain);
                    admit(&worker, conn, from, door, &shutdown, &mut tasks);
                }
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(work) = background.recv() => { tasks.spawn(work); }
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Err(error) = ended { tracing::error!(%error, "a connection's task failed"); }
            }
            _ = reap.tick() => reap_idle(&worker),
        }
    }
    drop(listeners);
    worker.channels.close();
    loop {
        // What is still being answered may need a connection, which is driven in the background.
        tokio::select! {
            biased;
            Some(work) = background.recv() => { tasks.spawn(work); }
            ended = tasks.join_next() => if ended.is_none() { break },
        }
    }
    Ok(())
}

/// The next connection, and which listener it came in by.
async fn accept(listeners: &mut [Box<dyn Listener>]) -> (std::io::Result<(Conn, SocketAddr)>, usize) {
    let (accepted, i, _) = select_all(listeners.iter_mut().map(|l| l.accept())).await;
    (accepted, i)
}

fn admit(
    worker: &Arc<Worker>,
    conn: Conn,
    from: SocketAddr,
    door: Option<&Arc<Door>>,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<()>,
) {
    let connections = &worker.connections;
    if connections.open.fetch_add(1, Relaxed) >= worker.limits.connections {
        connections.open.fetch_sub(1, Relaxed);
        connections.refused.fetch_add(1, Relaxed);
        return; // closed at once: better than to be left waiting
    }
    let (worker, shutdown) = (worker.clone(), shutdown.clone());
    match door.cloned() {
        None => tasks.spawn(async move {
            serve::connection(worker.clone(), conn, Client::new(from, None), shutdown).await;
            worker.connections.open.fetch_sub(1, Relaxed);
        }),
        // In the connection's own task: a handshake keeps nobody else from being accepted.
        Some(door) => tasks.spawn(async move {
            if let Some(accepted) = Box::pin(door.enter(conn)).await {
                let client = Client::new(from, accepted.client);
                serve::connection(worker.clone(), accepted.conn, client, shutdown).await;
            }
            worker.connections.open.fetch_sub(1, Relaxed);
        }),
    };
}

fn reap_idle(worker: &Worker) {
    let routes = worker.routes.load();
    let lives = |id| routes.pools().any(|p| p.upstreams.iter().any(|u| u.state.id == id));
    worker.links.reap(worker.clock.mono(), lives);
    worker.channels.reap(lives);
}
