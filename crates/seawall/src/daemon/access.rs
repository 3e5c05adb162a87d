//! Accounts of requests, taken off the gateway's queue and written: as lines of the access log, and as spans for
//! whoever collects traces.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use seawall_gateway::{Account, Accounts, Wanted};
use seawall_runtime::{
    Machine,
    lines::{Lines, Target},
    metrics::{Metrics, read_counter},
    tasks::{Backoff, Kind, OnFailure, Shutdown, Stage, Supervisor, TaskError},
};
use serde::Serialize;
use tokio::sync::{Mutex as Waiting, mpsc};

use super::{
    DaemonError,
    traces::{self, Spans},
};
use crate::estate::Estate;

/// Most accounts taken at once.
const AT_ONCE: usize = 256;

/// Where the access log is written.
#[derive(Clone)]
pub(super) struct Access(Option<Arc<Mutex<Lines>>>);

impl Access {
    /// `lines` is `None` where there is to be no access log.
    pub(super) fn new(lines: Option<Lines>, accounts: &Accounts, metrics: &Metrics) -> Self {
        let lines = lines.map(|lines| Arc::new(Mutex::new(lines)));
        let (counted, accounts) = (lines.clone(), accounts.clone());
        metrics.within("access", |registry| {
            let help = "Accounts of requests lost because they came faster than they were written";
            registry.register_collector(read_counter("lost_accounts", help, move || accounts.lost()));
            if let Some(lines) = counted {
                let help = "Lines of the access log lost because its file took them too slowly";
                let lost = move || lines.lock().unwrap_or_else(PoisonError::into_inner).lost() as u64;
                registry.register_collector(read_counter("dropped_lines", help, lost));
            }
        });
        Self(lines)
    }

    /// The log's file has been moved away.
    pub(super) fn reopen(&self) {
        if let Some(lines) = &self.0 {
            lines.lock().unwrap_or_else(PoisonError::into_inner).reopen();
        }
    }

    fn write(&self, accounts: &[Account]) {
        let Some(lines) = &self.0 else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        for account in accounts.iter().filter(|a| a.logged) {
            lines.write(&line(account));
        }
    }
}

/// Opens the access log and starts what writes it and delivers traces, if the estate asks for either: where
/// accounts go in, and the log.
pub(super) fn start(
    estate: &Estate,
    machine: &Machine,
    supervisor: &Supervisor,
) -> Result<Option<(Accounts, Access)>, DaemonError> {
    let (log, telemetry) = (&estate.log.access, &estate.telemetry);
    if log.is_none() && telemetry.collector.is_none() && !telemetry.context {
        return Ok(None);
    }
    let wanted = Wanted {
        logged: log.as_ref().map_or(0, |log| log.sample),
        traced: telemetry.sample,
        context: telemetry.context,
    };
    let (accounts, queued) = Accounts::queue(wanted, machine.seed);
    let lines = log.as_ref().map(|log| Lines::open(&log.target).map_err(|cause| refused(&log.target, cause)));
    let access = Access::new(lines.transpose()?, &accounts, &machine.metrics);
    let background = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
    let spans = telemetry.collector.clone().map(|collector| {
        let (spans, delivery) =
            traces::queue(collector, machine.net.clone(), estate.name.as_str(), &machine.metrics);
        let delivery = Arc::new(delivery);
        supervisor.spawn("traces", background, move |shutdown| delivery.clone().run(shutdown));
        spans
    });
    let (queued, written) = (Arc::new(Waiting::new(queued)), access.clone());
    supervisor.spawn("accounts", background, move |shutdown| {
        run(written.clone(), spans.clone(), queued.clone(), shutdown)
    });
    Ok(Some((accounts, access)))
}

fn refused(target: &Target, cause: io::Error) -> DaemonError {
    let path = match target {
        Target::File(path) => path.clone(),
        Target::Stdout => "stdout".into(),
        Target::Stderr => "stderr".into(),
    };
    DaemonError::Access { path, cause }
}

/// Takes accounts off the queue until told to stop, and those that are still there then.
pub(super) async fn run(
    access: Access,
    spans: Option<Spans>,
    accounts: Arc<Waiting<mpsc::Receiver<Account>>>,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    let mut accounts = accounts.lock().await;
    let mut taken = Vec::with_capacity(AT_ONCE);
    loop {
        // Both are cancel-safe: what was not taken is still queued.
        let stop = tokio::select! {
            biased;
            n = accounts.recv_many(&mut taken, AT_ONCE) => n == 0,
            () = shutdown.requested() => true,
        };
        access.write(&taken);
        if let Some(spans) = &spans {
            taken.drain(..).filter(|a| a.trace.is_some_and(|t| t.sampled)).for_each(|a| spans.send(a));
        }
        taken.clear();
        if stop {
            return Ok(());
        }
    }
}

/// A line of the access log. Fields are added at the end; none is ever renamed.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    id: String,
    client: String,
    pool: Option<&'a str>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    calls: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    status: u16,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    by: &'a str,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<u64>,
    ms: f64,
    received: u64,
    sent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

fn line(account: &Account) -> Vec<u8> {
    let line = Line {
        at: account.began.to_string(),
        id: format!("{:016x}", account.id),
        client: account.client.to_string(),
        pool: account.pool.as_ref().map(|p| p.as_str()),
        method: &account.method,
        path: account.path.as_deref(),
        calls: account.calls,
        class: account.class.map(|class| class.as_str()),
        status: account.status,
        outcome: account.end.as_str(),
        code: account.refusal.map(|number| format!("SW{number:04}")),
        by: &account.by,
        attempts: account.attempts,
        head: account.head,
        ms: account.took.as_micros() as f64 / 1_000.0,
        received: account.received,
        sent: account.sent,
        trace: account.trace.map(|t| t.to_string()),
    };
    let mut out = serde_json::to_vec(&line).expect("texts and numbers are JSON");
    out.push(b'\n');
    out
}
