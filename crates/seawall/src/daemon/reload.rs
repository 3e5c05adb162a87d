//! Taking over a changed estate: all of it or nothing, and said so either way.

use std::{future::pending, sync::Arc};

use futures_util::future::BoxFuture;
use seawall_gateway::{Gateway, estate::GatewaySection};
use seawall_health::Plan;
use seawall_history::estate::HistorySection;
use seawall_model::RecordKind;
use seawall_probe::estate::ProbesSection;
use seawall_runtime::{disk::Disk, logs::Logs, watch::Watch};
use serde_json::json;
use tokio::sync::{oneshot, watch as value};

use super::{Load, access::Access, records::Scribe};
use crate::estate::{AccessSection, Announced, Costs, Estate, LoadError, TelemetrySection};

/// Most errors of a refused estate that go into its record.
const ERRORS_KEPT: usize = 8;

/// Takes over changed estates.
pub(super) struct Reloader {
    /// SHA-256 of the estate that runs.
    pub(super) digest: String,
    /// Its gateway: a secret in a file of its own may change it though no estate file has changed.
    pub(super) section: Option<GatewaySection>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) load: Load,
    pub(super) gateway: Option<Arc<Gateway>>,
    /// Told of what there is to judge.
    pub(super) plans: value::Sender<Plan>,
    /// Told of what work is announced.
    pub(super) announced: value::Sender<Arc<[Announced]>>,
    /// Told of what is probed.
    pub(super) probes: value::Sender<Option<Arc<ProbesSection>>>,
    /// Told of what services cost.
    pub(super) costs: value::Sender<Arc<Costs>>,
    /// The history as it is kept.
    pub(super) history: Option<HistorySection>,
    pub(super) scribe: Scribe,
    pub(super) watch: Option<Watch>,
    pub(super) logs: Option<Arc<Logs>>,
    /// Opened anew when an operator asks for a reload.
    pub(super) access: Option<Access>,
    /// The access log and telemetry as they are wired.
    pub(super) told: (Option<AccessSection>, TelemetrySection),
    /// The estate being read. A disk may take its time over it; nobody waits for it meanwhile.
    pub(super) reading: Option<Reading>,
    /// Reading was called for again meanwhile, and whether by an operator.
    pub(super) again: Option<bool>,
}

/// An estate being read.
pub(super) struct Reading {
    asked: bool,
    outcome: BoxFuture<'static, Outcome>,
}

/// What came of reading: the estate, and a watch on its files where there is to be one.
struct Outcome {
    estate: Result<Result<Estate, LoadError>, oneshot::error::RecvError>,
    watch: Option<Watch>,
}

impl Reloader {
    /// Begins to read the estate anew; [`Self::go_on`] takes it over. `asked` is true if an operator asked for
    /// it; then an estate that has not changed is taken over as well, since a secret it refers to may have.
    pub(super) fn begin(&mut self, asked: bool) {
        if let (true, Some(access)) = (asked, &self.access) {
            access.reopen();
        }
        if self.reading.is_some() {
            self.again = Some(asked || self.again == Some(true));
            return;
        }
        let (load, disk, watched) = (self.load.clone(), self.disk.clone(), self.watch.is_some());
        let outcome = Box::pin(async move {
            let (done, loaded) = oneshot::channel();
            let job = Box::new(move || {
                let _ = done.send(load()); // nobody waits only if the process stops
            });
            disk.offload(job).await;
            let estate = loaded.await;
            let watch = match &estate {
                Ok(Ok(estate)) if watched => Some(Watch::new(estate.files.clone()).await),
                Ok(_) | Err(_) => None,
            };
            Outcome { estate, watch }
        });
        self.reading = Some(Reading { asked, outcome });
    }

    /// Waits for the estate's files to change, or for the one being read, and takes that over. Cancelled, it
    /// loses nothing: what is being read goes on being read the next time.
    pub(super) async fn go_on(&mut self) {
        let read = async {
            match &mut self.reading {
                Some(reading) => (reading.asked, (&mut reading.outcome).await),
                None => pending().await,
            }
        };
        let changed = async {
            match &mut self.watch {
                Some(watch) => watch.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            (asked, outcome) = read => {
                self.reading = None;
                self.take_over(asked, outcome);
                if let Some(asked) = self.again.take() {
                    self.begin(asked);
                }
            }
            () = changed => self.begin(false),
        }
    }

    /// Takes over an estate that was read, or says why not and leaves the old one running.
    fn take_over(&mut self, asked: bool, Outcome { estate, watch }: Outcome) {
        let estate = match estate {
            Ok(Ok(estate)) => estate,
            Ok(Err(error)) => return self.refuse(&error.to_string(), &errors(&error)),
            Err(_) => return self.refuse("reading it panicked", &[]),
        };
        let probes = estate.probes.clone().map(Arc::new);
        let same_probes = *self.probes.borrow() == probes;
        if estate.digest == self.digest && estate.gateway == self.section && same_probes && !asked {
            return;
        }
        let told = (&estate.log.access, &estate.telemetry);
        if self.gateway.is_some() && told != (&self.told.0, &self.told.1) {
            let why = "`log.access` or `telemetry` changed: upgrade or restart to take it over";
            return self.refuse(why, &[]);
        }
        if estate.history != self.history {
            return self.refuse("`[history]` changed: restart to take it over", &[]);
        }
        if let (Some(gateway), Some(section)) = (&self.gateway, &estate.gateway)
            && let Err(error) = gateway.reload(section.clone())
        {
            return self.refuse(&error.to_string(), &[]);
        }
        if self.section.is_some() != estate.gateway.is_some() {
            return self.refuse("pools came or went altogether: restart to take it over", &[]);
        }
        if let Some(logs) = &self.logs
            && let Err(error) = logs.set_level(estate.log.level.as_str())
        {
            tracing::warn!(%error, "the log level stays as it was");
        }
        self.announced.send_replace(estate.maintenance.as_slice().into());
        self.plans.send_replace(super::plan::plan(&estate, self.scribe.clock.wall()));
        self.costs.send_replace(Arc::new(estate.costs()));
        // Checks under way would be given up, and kept connections closed.
        if !same_probes {
            self.probes.send_replace(probes);
        }
        if watch.is_some() {
            self.watch = watch;
        }
        self.section.clone_from(&estate.gateway);
        self.digest.clone_from(&estate.digest);
        tracing::info!(digest = estate.digest, "the new estate runs");
        self.scribe.record(RecordKind::Reload, None, json!({"digest": estate.digest}));
    }

    fn refuse(&self, why: &str, errors: &[String]) {
        tracing::error!(code = "SW0206", why, ?errors, "the new estate is refused; the old one runs on");
        let payload = json!({"why": why, "errors": errors, "running": self.digest});
        self.scribe.record(RecordKind::ReloadRefused, None, payload);
    }
}

fn errors(error: &LoadError) -> Vec<String> {
    match error {
        LoadError::Invalid { report } => report.sentences().take(ERRORS_KEPT).collect(),
        LoadError::Unreadable { .. } => Vec::new(),
    }
}
