//! Spans for whoever collects traces: OTLP over HTTP, in its JSON encoding (OTLP 1.x, "OTLP/HTTP"), which every
//! collector takes and no generated code is needed for. Nobody waits for a collector: spans go through a bounded
//! queue, and what cannot be delivered is counted and forgotten.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use seawall_gateway::{Account, Ended, Tried};
use seawall_runtime::{
    metrics::{Metrics, read_counter},
    net::Net,
    tasks::{Shutdown, TaskError},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use super::post::{JSON, post};
use crate::estate::Collector;

/// Requests whose spans wait to be delivered.
const QUEUE: usize = 4_096;
/// Requests whose spans are delivered together.
const AT_ONCE: usize = 256;
/// How long the first of them waits for company.
const GATHER: Duration = Duration::from_secs(1);

/// OTLP's numbers for kinds of spans, and for a status that is an error.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;

/// Where spans go in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Spans {
    to: mpsc::Sender<Account>,
    lost: Arc<AtomicU64>,
}

/// The other end of the queue, and the collector.
pub(super) struct Delivery {
    from: Mutex<mpsc::Receiver<Account>>,
    collector: Collector,
    net: Arc<dyn Net>,
    lost: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
    /// What every span says of this process.
    resource: Value,
}

/// A queue of spans and what delivers them.
pub(super) fn queue(
    collector: Collector,
    net: Arc<dyn Net>,
    estate: &str,
    metrics: &Metrics,
) -> (Spans, Delivery) {
    let (to, from) = mpsc::channel(QUEUE);
    let (lost, delivered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (l, d) = (lost.clone(), delivered.clone());
    metrics.within("traces", |registry| {
        let help = "Requests whose spans could not be delivered";
        registry.register_collector(read_counter("lost_requests", help, move || l.load(Relaxed)));
        let help = "Requests whose spans were delivered";
        registry.register_collector(read_counter("delivered_requests", help, move || d.load(Relaxed)));
    });
    let resource = json!({"attributes": [
        text("service.name", "seawall"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", estate),
    ]});
    let delivery =
        Delivery { from: Mutex::new(from), collector, net, lost: lost.clone(), delivered, resource };
    (Spans { to, lost }, delivery)
}

impl Spans {
    /// Queues a request's spans, or counts them as lost.
    pub(super) fn send(&self, account: Account) {
        if self.to.try_send(account).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

impl Delivery {
    /// Delivers until told to stop; what is queued then is delivered if the collector takes it at once.
    pub(super) async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), TaskError> {
        let mut from = self.from.lock().await;
        loop {
            let mut batch = Vec::with_capacity(AT_ONCE);
            // Both are cancel-safe: what was not taken is still queued.
            let stop = tokio::select! {
                biased;
                n = from.recv_many(&mut batch, AT_ONCE) => n == 0,
                () = shutdown.requested() => true,
            };
            if !stop {
                let more =
                    async { while batch.len() < AT_ONCE && from.recv_many(&mut batch, AT_ONCE).await > 0 {} };
                tokio::select! {
                    biased;
                    () = shutdown.requested() => {}
                    _ = tokio::time::timeout(GATHER, more) => {}
                }
            }
            self.deliver(&batch).await;
            if stop {
                return Ok(());
            }
        }
    }

    async fn deliver(&self, batch: &[Account]) {
        if batch.is_empty() {
            return;
        }
        let body = serde_json::to_vec(&self.message(batch)).expect("a JSON value is JSON");
        let count = match post(&*self.net, &self.collector, &JSON, body.into()).await {
            Ok(()) => &self.delivered,
            Err(untold) => {
                tracing::debug!(why = untold.why, "spans could not be delivered");
                &self.lost
            }
        };
        count.fetch_add(batch.len() as u64, Relaxed);
    }

    fn message(&self, batch: &[Account]) -> Value {
        let spans: Vec<Value> = batch.iter().flat_map(spans).collect();
        let scope = json!({"name": "seawall", "version": env!("CARGO_PKG_VERSION")});
        json!({"resourceSpans": [{"resource": self.resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]})
    }
}

/// The request's span, with what was decided on it, and one for each attempt.
fn spans(account: &Account) -> Vec<Value> {
    let Some(trace) = account.trace else { return Vec::new() };
    let began = u64::try_from(account.began.0).unwrap_or_default() * 1_000_000;
    let at = |after: Duration| (began + after.as_nanos() as u64).to_string();
    let mut attributes = vec![
        text("client.address", &account.client.to_string()),
        number("http.response.status_code", u64::from(account.status)),
        text("seawall.outcome", account.end.as_str()),
        text("seawall.by", &account.by),
        number("seawall.attempts", u64::from(account.attempts)),
        number("seawall.calls", u64::from(account.calls)),
    ];
    attributes.extend(account.pool.as_ref().map(|pool| text("seawall.pool", pool.as_str())));
    attributes.extend(account.class.map(|class| text("seawall.class", class.as_str())));
    attributes.extend(account.head.map(|head| number("seawall.head", head)));
    attributes.extend(account.refusal.map(|n| text("seawall.code", &format!("SW{n:04}"))));
    match &account.path {
        Some(path) => {
            attributes.push(text("http.request.method", &account.method));
            attributes.push(text("url.path", path));
        }
        None => {
            attributes.push(text("rpc.system", "jsonrpc"));
            attributes.push(text("rpc.method", &account.method));
        }
    }
    let mut root = json!({
        "traceId": format!("{:032x}", trace.trace),
        "spanId": format!("{:016x}", trace.span),
        "name": account.method,
        "kind": SERVER,
        "startTimeUnixNano": at(Duration::ZERO),
        "endTimeUnixNano": at(account.took),
        "attributes": attributes,
    });
    if let Some(parent) = trace.parent {
        root["parentSpanId"] = format!("{parent:016x}").into();
    }
    if account.end != Ended::Answered {
        root["status"] = json!({"code": ERROR, "message": account.end.as_str()});
    }
    let attempt = |tried: &Tried| {
        let mut span = json!({
            "traceId": format!("{:032x}", trace.trace),
            "spanId": format!("{:016x}", tried.span),
            "parentSpanId": format!("{:016x}", trace.span),
            "name": format!("attempt {}", tried.upstream),
            "kind": CLIENT,
            "startTimeUnixNano": at(tried.after),
            "endTimeUnixNano": at(tried.took.map_or(account.took.max(tried.after), |took| tried.after + took)),
            "attributes": [text("seawall.upstream", tried.upstream.as_str())],
        });
        let how = match (tried.fault, tried.took) {
            (Some(cause), _) => {
                span["status"] = json!({"code": ERROR, "message": cause.as_str()});
                cause.as_str()
            }
            (None, Some(_)) => "answered",
            (None, None) => "beaten",
        };
        span["attributes"][1] = text("seawall.outcome", how);
        span
    };
    std::iter::once(root).chain(account.tries.iter().map(attempt)).collect()
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// OTLP writes 64-bit numbers as text.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}
