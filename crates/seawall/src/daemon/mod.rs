//! The daemon: every part of the house, wired. The same wiring runs on a real machine and in a
//! simulation; what differs comes in as [`Parts`].

mod access;
mod admin;
mod alerts;
mod asked;
mod board;
mod chains;
mod cordon;
mod customers;
mod explain;
mod heartbeats;
mod history;
mod journal;
mod maintenance;
mod meter;
mod modes;
mod orders;
mod plan;
mod post;
mod probes;
mod pushed;
mod quota;
mod records;
mod reload;
mod remote;
mod traces;
mod upgrade;
mod verdicts;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use seawall_gateway::{Event, Events, Gateway, ReloadError};
use seawall_health::Plan;
use seawall_journal::{Entropy, OpenError};
use seawall_model::RecordKind;
use seawall_probe::{Beats, Prober};
use seawall_runtime::{
    Machine,
    bus::LocalBus,
    logs::Logs,
    neighbours::Neighbours,
    seam::{Bus, State, StateError},
    signals::{Event as Signalled, Signals},
    succession::{Word, tell_manager},
    tasks::{Backoff, Kind, OnFailure, Shutdown, Stage, Supervisor, TaskError},
    watch::Watch,
};
use serde_json::json;
use tokio::sync::{Mutex, mpsc, watch};

use crate::estate::{Costs, Estate, LoadError};
use admin::Admin;
use board::Board;
use meter::Meter;
use orders::Orders;
use probes::{Last, Probes};
use records::{SOURCE, Scribe};
use upgrade::NotTaken;
pub use upgrade::Succession;
use verdicts::Verdicts;

/// How often the gateway's traffic becomes signals.
const SUM_UP: Duration = Duration::from_secs(1);
/// A drain takes at most this long when the estate has no gateway to say.
const DRAIN: Duration = Duration::from_secs(10);

/// Which parts of the house a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Carries traffic.
    pub gateway: bool,
    /// Turns signals into verdicts.
    pub watch: bool,
    /// Changes things: cordons by way of the admin listener.
    pub respond: bool,
}

impl Roles {
    /// All of them, the default.
    pub const ALL: Self = Self { gateway: true, watch: true, respond: true };

    /// What a process of only some is called; `None` for one that has them all.
    pub fn apart(self) -> Option<String> {
        let names = [(self.gateway, "gateway"), (self.watch, "watch"), (self.respond, "respond")];
        let some: Vec<_> = names.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        (self != Self::ALL).then(|| some.join("-"))
    }
}

/// Reads the estate anew.
pub type Load = Arc<dyn Fn() -> Result<Estate, LoadError> + Send + Sync>;

/// What the daemon is given besides its estate.
pub struct Parts {
    /// The machine it runs on.
    pub machine: Machine,
    /// Which parts to run.
    pub roles: Roles,
    /// Where small mutable things are kept.
    pub state: Arc<dyn State>,
    /// What the operator asks of the process.
    pub signals: Signals,
    /// Notices that the estate's files have changed; `None` where only a signal reloads.
    pub watch: Option<Watch>,
    /// Reads the estate anew.
    pub load: Load,
    /// The logs, whose level a reload may change.
    pub logs: Option<Arc<Logs>>,
    /// Where the journal's salts and its first key come from.
    pub entropy: Entropy,
    /// Where processes of other roles are found; `None` where there are none.
    pub neighbours: Option<Neighbours>,
    /// Where the admin listener is, if not where the estate says.
    pub admin: Option<SocketAddr>,
    /// How another process takes this one's place; `None` where none can.
    pub succession: Option<Succession>,
}

/// Why the daemon could not start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// An address is taken or may not be used.
    #[error("SW0201: cannot listen on {at} for {what}: {cause}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// For what.
        what: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The journal could not be opened.
    #[error("SW0202: the journal cannot be opened: {0}")]
    Journal(OpenError),
    /// The state store failed.
    #[error("SW0203: {0}")]
    State(#[from] StateError),
    /// The gateway cannot serve the estate.
    #[error("SW0204: {0}")]
    Gateway(#[from] ReloadError),
    /// The access log cannot be opened.
    #[error("SW0215: the access log `{}` cannot be opened: {cause}", path.display())]
    Access {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The process whose place this one was to take has ended, or changed its mind.
    #[error("SW0214: the process whose place this one was to take is gone: {0}")]
    Left(std::io::Error),
    /// There are fewer workers than the process before this one left sockets for.
    #[error(
        "SW0216: {left} workers cannot be followed by {workers}: what clients connect to is a socket a worker; restart instead"
    )]
    Workers {
        /// Sockets that were left for one address.
        left: usize,
        /// Workers of this one.
        workers: usize,
    },
    /// Processes of different roles meet beside the journal, and the estate has none.
    #[error(
        "SW0231: without a [journal], processes of different roles have no place to meet: add one to the estate"
    )]
    NoPlace,
    /// A task that the process cannot do without has failed.
    #[error("SW0205: task `{task}` failed: {error}")]
    Fatal {
        /// Which.
        task: Arc<str>,
        /// Why.
        error: TaskError,
    },
}

/// Runs the daemon until it is told to stop or a part fails that it cannot do without.
pub async fn run(estate: Estate, parts: Parts) -> Result<(), DaemonError> {
    let Parts { machine, roles, state, mut signals, watch, load, logs, mut entropy, mut succession, .. } =
        parts;
    let (neighbours, admin_at) = (parts.neighbours, parts.admin.unwrap_or(estate.admin));
    if !roles.gateway && neighbours.is_none() {
        return Err(DaemonError::NoPlace);
    }
    let mut for_customers = entropy.fork();
    let supervisor = Supervisor::new(machine.clock, &machine.metrics);
    let (events, happened) = Events::queue();
    let mut access = None;
    let gateway = match &estate.gateway {
        Some(section) if roles.gateway => {
            free(&machine, &section.addresses(), "the gateway")?;
            let accounts = access::start(&estate, &machine, &supervisor)?;
            access = accounts.as_ref().map(|(_, access)| access.clone());
            let gateway = Gateway::new(section.clone(), &machine, events)?;
            let gateway = Arc::new(gateway.with_accounts(accounts.map(|(accounts, _)| accounts)));
            Orders::of(&*state)?.hold(&gateway);
            customers::give_key(&*state, &mut for_customers, &gateway)?;
            quota::recall(&*state, &gateway)?;
            Some(gateway)
        }
        Some(_) | None => None,
    };
    free(&machine, &[admin_at], "admin")?;
    if let Some(gateway) = &gateway {
        gateway.watch(&supervisor);
    }
    let mut before = None;
    if let Some(succession) = &mut succession {
        upgrade::fits(succession, &estate)?;
        if let Some(peer) = succession.before.take() {
            before = Some(upgrade::take(peer, gateway.as_deref()).await?);
            // What has been changed meanwhile.
            if let Some(gateway) = &gateway {
                Orders::of(&*state)?.hold(gateway);
            }
        }
    }
    let mut journal =
        journal::open(&estate, roles, &machine, entropy, &*state).map_err(DaemonError::Journal)?;
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
    let scribe = Scribe { clock: machine.clock, recorder: journal.recorder.clone(), bus: bus.clone() };
    let reason = Arc::new(OnceLock::new());
    journal.start(&supervisor, machine.clock, machine.disk.clone(), state.clone(), reason.clone());
    scribe.record(RecordKind::Start, None, start_payload(&estate, roles));
    let background = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
    let plans = watch::Sender::new(plan::plan(&estate, machine.clock.wall()));
    let announced = watch::Sender::new(Arc::<[_]>::from(estate.maintenance.as_slice()));
    let probed = watch::Sender::new(estate.probes.clone().map(Arc::new));
    let (costs, mut desk) = (watch::Sender::new(Arc::new(estate.costs())), None);
    let (board, last, meter) = (Arc::<Board>::default(), Arc::<Last>::default(), Arc::<Meter>::default());
    let beats = Arc::new(Beats::new(machine.clock.wall()));
    if roles.watch {
        // Subscribed before anything can publish, so that no verdict misses the first signals.
        let verdicts = Verdicts::new(
            scribe.clone(),
            bus.signals(),
            plans.subscribe(),
            board.clone(),
            gateway.as_ref().map(|_| SOURCE.into()),
        );
        let verdicts = Arc::new(Mutex::new(verdicts));
        supervisor.spawn("verdicts", background, move |shutdown| {
            let verdicts = verdicts.clone();
            async move { verdicts.lock().await.run(shutdown).await }
        });
        board.register(&machine.metrics);
        let (renewed, known, clock) = (plans.clone(), announced.subscribe(), machine.clock);
        supervisor.spawn("maintenance", background, move |shutdown| {
            maintenance::renew(renewed.clone(), known.clone(), clock, shutdown)
        });
        keep_history(&estate, &machine, &supervisor, &bus, &board, &plans);
        tell_others(&estate, &machine, &supervisor, &bus, &board);
        charge(&machine, &supervisor, &bus, (&meter, &board), &costs);
        desk = answer_for_history(&estate, &machine, &supervisor, &costs);
        heartbeats::recall(&*state, &beats)?;
        let prober = Prober::new(machine.net.clone(), machine.clock);
        let prober = prober.hearing(beats.clone()).running(machine.programs.clone());
        probe(&machine, &supervisor, &bus, &last, probed.subscribe(), prober);
    }
    if let Some(neighbours) = neighbours {
        machine.metrics.within("neighbours", |registry| neighbours.register(registry));
        let (bus, clock) = (bus.clone(), machine.clock);
        match (roles.gateway, roles.watch) {
            (true, false) => supervisor.spawn("neighbours", background, move |shutdown| {
                let (neighbours, signals) = (neighbours.clone(), bus.signals());
                async move { neighbours.send(signals, shutdown).await }
            }),
            (false, true) => supervisor.spawn("neighbours", background, move |shutdown| {
                let (neighbours, bus) = (neighbours.clone(), bus.clone());
                async move { neighbours.hear(&*bus, clock, shutdown).await }
            }),
            (true, true) | (false, false) => {}
        }
    }
    if let Some(gateway) = &gateway {
        if !roles.respond {
            let (kept, d, g) = (state.clone(), machine.disk.clone(), gateway.clone());
            supervisor.spawn("orders", background, move |shutdown| {
                orders::follow(kept.clone(), d.clone(), g.clone(), shutdown)
            });
        }
        let happened = Arc::new(Mutex::new(happened));
        let (told, g) = (scribe.clone(), gateway.clone());
        supervisor.spawn("records", background, move |shutdown| {
            tell(told.clone(), g.clone(), happened.clone(), shutdown)
        });
        let (kept, d, g) = (state.clone(), machine.disk.clone(), gateway.clone());
        supervisor.spawn("quotas", background, move |shutdown| {
            quota::keep(kept.clone(), d.clone(), g.clone(), shutdown)
        });
        gateway.serve(&supervisor);
    }
    let left = Arc::<AtomicBool>::default();
    let admin = Arc::new(Admin {
        estate: estate.name.to_string(),
        token: estate.admin_token.clone(),
        may_change: roles.respond,
        plans: plans.subscribe(),
        watch: roles.watch.then(|| admin::Watching {
            board,
            last,
            probed: probed.subscribe(),
            bus: bus.clone(),
            beats,
            meter,
            desk,
        }),
        gateway: gateway.clone(),
        journal: journal.journal.clone(),
        supervisor: supervisor.clone(),
        metrics: machine.metrics.clone(),
        state,
        disk: machine.disk.clone(),
        scribe: scribe.clone(),
        started: machine.clock.mono(),
        left: left.clone(),
    });
    let (net, at) = (machine.net.clone(), admin_at);
    // Kept until all else has drained, so that a drain can be watched.
    let serving = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
    supervisor.spawn("admin", serving, move |shutdown| admin::run(admin.clone(), net.clone(), at, shutdown));
    if let Some(mut before) = before {
        // If it is gone there is nobody to be told.
        let _ = before.say(Word::Serving);
    }
    if let Some(manager) = succession.as_ref().and_then(|succession| succession.manager.as_ref())
        && let Err(error) = tell_manager(manager)
    {
        tracing::warn!(code = "SW0218", %error, "the service manager could not be told that this process serves");
    }
    tracing::info!(
        estate = %estate.name,
        gateway = ?gateway.as_ref().map(|g| g.listen()),
        admin = %admin_at,
        roles = roles.apart(),
        version = env!("CARGO_PKG_VERSION"),
        "seawall runs"
    );

    let serving_gateway = gateway.clone();
    let drain = estate.gateway.as_ref().map_or(DRAIN, |g| g.limits.drain);
    let mut reloader = reload::Reloader {
        digest: estate.digest.clone(),
        section: estate.gateway.clone(),
        disk: machine.disk.clone(),
        load,
        gateway,
        plans,
        announced,
        probes: probed,
        costs,
        history: estate.history.clone(),
        scribe: scribe.clone(),
        watch,
        logs,
        access,
        told: (estate.log.access.clone(), estate.telemetry.clone()),
        reading: None,
        again: None,
    };
    let leave = || {
        let succession = succession.as_ref()?;
        let (program, sockets) = (succession.program.clone(), succession.sockets.clone());
        let (journal, gateway) = (journal.journal.clone(), serving_gateway.clone());
        Some(Box::pin(upgrade::leave(program, sockets, journal, machine.clock, gateway, left.clone()))
            as Leaving)
    };
    let ended = supervise(&supervisor, &mut signals, &mut reloader, &scribe, leave).await;
    let why = reason.get_or_init(|| match &ended {
        Ok(why) => (*why).to_owned(),
        Err(error) => error.to_string(),
    });
    tracing::info!(reason = why, "stopping: requests in flight are finished first");
    tokio::select! {
        biased;
        cut = supervisor.drain(drain) => if !cut.is_empty() {
            tracing::warn!(?cut, "cut off: they did not end in time");
        },
        () = stop_now(&mut signals) => tracing::warn!("told twice: stopping at once"),
    }
    ended.map(|_| ())
}

/// Keeps the history, if there is to be one: to the last, as the journal, so that what others saw at their end is in it.
fn keep_history(
    estate: &Estate,
    machine: &Machine,
    supervisor: &Supervisor,
    bus: &Arc<dyn Bus>,
    board: &Arc<Board>,
    plans: &watch::Sender<Plan>,
) {
    let Some(section) = estate.history.clone() else { return };
    let (clock, disk, bus, board) = (machine.clock, machine.disk.clone(), bus.clone(), board.clone());
    let plans = plans.subscribe();
    let kind = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Journal };
    supervisor.spawn_worker(machine.threads, "history", 0, kind, move |shutdown| {
        let keeper = history::Keeper {
            dir: section.dir.clone(),
            policy: section.policy,
            clock,
            disk: disk.clone(),
            board: board.clone(),
            plans: plans.clone(),
            signals: bus.signals(),
            verdicts: bus.verdicts(),
        };
        keeper.run(shutdown)
    });
}

/// Has those told that the estate names: of what is wrong, and of what is found.
fn tell_others(
    estate: &Estate,
    machine: &Machine,
    supervisor: &Supervisor,
    bus: &Arc<dyn Bus>,
    board: &Arc<Board>,
) {
    let kind = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
    let telemetry = &estate.telemetry;
    if !telemetry.alertmanagers.is_empty() {
        let counts = Arc::<alerts::Counts>::default();
        counts.register(&machine.metrics);
        let (to, from, net, clock) =
            (telemetry.alertmanagers.clone(), telemetry.alert_from, machine.net.clone(), machine.clock);
        let (bus, board, estate) = (bus.clone(), board.clone(), estate.name.to_string());
        supervisor.spawn("alerts", kind, move |shutdown| {
            let alerts = alerts::Alerts {
                to: to.clone(),
                from,
                net: net.clone(),
                clock,
                board: board.clone(),
                verdicts: bus.verdicts(),
                estate: estate.clone(),
                counts: counts.clone(),
            };
            alerts.run(shutdown)
        });
    }
    if let Some(to) = telemetry.remote_write.clone() {
        let counts = Arc::<remote::Counts>::default();
        counts.register(&machine.metrics);
        let (net, clock) = (machine.net.clone(), machine.clock);
        let (bus, board, estate) = (bus.clone(), board.clone(), estate.name.to_string());
        supervisor.spawn("remote_write", kind, move |shutdown| {
            let remote = remote::RemoteWrite {
                to: to.clone(),
                net: net.clone(),
                clock,
                board: board.clone(),
                signals: bus.signals(),
                estate: estate.clone(),
                counts: counts.clone(),
            };
            remote.run(shutdown)
        });
    }
}

/// Reads the meter of what failing services cost.
fn charge(
    machine: &Machine,
    supervisor: &Supervisor,
    bus: &Arc<dyn Bus>,
    (meter, board): (&Arc<Meter>, &Arc<Board>),
    costs: &watch::Sender<Arc<Costs>>,
) {
    meter.register(&machine.metrics);
    let (meter, board, bus, clock) = (meter.clone(), board.clone(), bus.clone(), machine.clock);
    let (costs, kind) = (
        costs.subscribe(),
        Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background },
    );
    supervisor.spawn("costs", kind, move |shutdown| {
        let (meter, board, costs, signals) = (meter.clone(), board.clone(), costs.clone(), bus.signals());
        meter::Watched { meter, board, clock, costs, signals }.run(shutdown)
    });
}

/// Has questions to the history answered, if there is one.
fn answer_for_history(
    estate: &Estate,
    machine: &Machine,
    supervisor: &Supervisor,
    costs: &watch::Sender<Arc<Costs>>,
) -> Option<asked::Desk> {
    let dir = estate.history.as_ref()?.dir.clone();
    let (desk, clerk) = asked::open(dir, machine.clock, costs.subscribe());
    let kind = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
    supervisor.spawn_worker(machine.threads, "history-reader", 0, kind, move |shutdown| {
        clerk.clone().run(shutdown)
    });
    Some(desk)
}

/// Makes the estate's checks, now or once there are any, on a thread of their own.
fn probe(
    machine: &Machine,
    supervisor: &Supervisor,
    bus: &Arc<dyn Bus>,
    last: &Arc<Last>,
    section: probes::Section,
    prober: Prober,
) {
    let probes = Probes {
        prober: Arc::new(prober),
        clock: machine.clock,
        bus: bus.clone(),
        counters: Arc::default(),
        last: last.clone(),
        chains: Arc::default(),
        section,
    };
    probes.counters.register(&machine.metrics, 0);
    let kind = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
    supervisor.spawn_worker(machine.threads, "prober", 0, kind, move |shutdown| probes.clone().run(shutdown));
}

/// On its way to another process.
type Leaving = futures_util::future::BoxFuture<'static, Result<(), NotTaken>>;

/// Waits for what the operator asks or for a part to fail.
async fn supervise(
    supervisor: &Supervisor,
    signals: &mut Signals,
    reloader: &mut reload::Reloader,
    scribe: &Scribe,
    leave: impl Fn() -> Option<Leaving>,
) -> Result<&'static str, DaemonError> {
    let mut failures = supervisor.failures();
    let mut leaving: Option<Leaving> = None;
    loop {
        // All five are cancel-safe: what one would have given is still there for the next round.
        tokio::select! {
            biased;
            signalled = signals.next() => match signalled {
                Signalled::Reload => reloader.begin(true),
                Signalled::Upgrade if leaving.is_some() => {}
                Signalled::Upgrade => {
                    tracing::info!("another process is to take this one's place");
                    leaving = leave();
                }
                Signalled::Stop | Signalled::StopNow => return Ok("asked to"),
            },
            left = async { leaving.as_mut().expect("only polled if there is one").await }, if leaving.is_some() => {
                match left {
                    Ok(()) => return Ok("another process has taken its place"),
                    Err(error) => {
                        leaving = None;
                        tracing::error!(%error, "no other process took this one's place");
                        scribe.record(RecordKind::TaskFailed, None, json!({"task": "upgrade", "error": error.to_string()}));
                    }
                }
            }
            failure = supervisor.fatal() => {
                return Err(DaemonError::Fatal { task: failure.task, error: failure.error });
            }
            Ok(failure) = failures.recv() => {
                let payload = json!({"task": failure.task, "error": failure.error.to_string()});
                scribe.record(RecordKind::TaskFailed, None, payload);
            }
            () = reloader.go_on() => {}
        }
    }
}

async fn stop_now(signals: &mut Signals) {
    loop {
        match signals.next().await {
            Signalled::Stop | Signalled::StopNow => return,
            Signalled::Reload | Signalled::Upgrade => {}
        }
    }
}

/// Turns the gateway's events into records, and its traffic into signals.
async fn tell(
    scribe: Scribe,
    gateway: Arc<Gateway>,
    happened: Arc<Mutex<mpsc::Receiver<Event>>>,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    let mut happened = happened.lock().await;
    let mut tick = tokio::time::interval(SUM_UP);
    let mut seq = 0;
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => {
                // The minute that was being counted is not lost.
                for (component, fact) in gateway.affected() {
                    seq += 1;
                    scribe.seen(seq, component, scribe.clock.wall(), fact);
                }
                return Ok(());
            }
            Some(event) = happened.recv() => {
                seq += 1;
                scribe.event(event, seq);
            }
            _ = tick.tick() => {
                let now = scribe.clock.wall();
                for (component, fact) in gateway.sum_up() {
                    seq += 1;
                    scribe.seen(seq, component, now, fact);
                }
            }
        }
    }
}

/// An address that somebody else listens on is told now, and not by workers that share it unawares.
fn free(machine: &Machine, listen: &[SocketAddr], what: &'static str) -> Result<(), DaemonError> {
    for at in listen {
        machine.net.listen(*at, false).map_err(|cause| DaemonError::Listen { at: *at, what, cause })?;
    }
    Ok(())
}

fn start_payload(estate: &Estate, roles: Roles) -> serde_json::Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "estate": estate.name,
        "digest": estate.digest,
        "roles": {"gateway": roles.gateway, "watch": roles.watch, "respond": roles.respond},
    })
}

#[cfg(test)]
mod tests;
