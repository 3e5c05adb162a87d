//! The admin listener: health, metrics and JSON for operators, on loopback unless told otherwise.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use seawall_gateway::Gateway;
use seawall_health::Plan;
use seawall_journal::Journal;
use seawall_model::{ComponentId, ComponentKind, RecordKind, Secret};
use seawall_probe::{Beats, estate::ChainSection};
use seawall_runtime::{
    disk::Disk,
    metrics::{CONTENT_TYPE, Metrics},
    net::{Conn, Net},
    seam::{Bus, State, StateError},
    tasks::{Shutdown, Supervisor, TaskError},
};
use serde_json::{Value, json};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{
    asked::{self, Desk},
    board::Board,
    cordon, heartbeats, maintenance,
    meter::Meter,
    modes::{self, Order},
    orders::Orders,
    probes::{Last, Section},
    pushed,
    records::Scribe,
};

/// Most admin connections at once.
const CONNECTIONS: usize = 64;
/// A change is answered after this long, stored or not yet.
const STORE: std::time::Duration = std::time::Duration::from_secs(1);
/// Largest body of a request that changes something.
const BODY: usize = 16 * 1024;
/// Why a change that only the store could pass on is not in force.
const UNSTORED: &str =
    "it could not be stored, and so is not in force: look at the disk of the journal's directory";
/// Time a connection may take over a request's head, and lie idle.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What the admin listener shows and may change.
pub(super) struct Admin {
    pub(super) estate: String,
    pub(super) token: Option<Secret>,
    /// This process lets operators change things.
    pub(super) may_change: bool,
    /// What there is in the estate.
    pub(super) plans: watch::Receiver<Plan>,
    /// What is seen and believed, where this process has the role `watch`.
    pub(super) watch: Option<Watching>,
    pub(super) gateway: Option<Arc<Gateway>>,
    pub(super) journal: Option<Journal>,
    pub(super) supervisor: Supervisor,
    pub(super) metrics: Metrics,
    pub(super) state: Arc<dyn State>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) scribe: Scribe,
    pub(super) started: seawall_model::Mono,
    /// Another process takes this one's place: what is changed here would be changed nowhere else.
    pub(super) left: Arc<AtomicBool>,
}

/// What is seen and believed.
pub(super) struct Watching {
    pub(super) board: Arc<Board>,
    pub(super) last: Arc<Last>,
    pub(super) probed: Section,
    pub(super) bus: Arc<dyn Bus>,
    /// Heartbeats of jobs.
    pub(super) beats: Arc<Beats>,
    pub(super) meter: Arc<Meter>,
    /// Where the history is asked, if there is one.
    pub(super) desk: Option<Desk>,
}

impl Watching {
    /// What is believed of the chains that are watched, and of whoever makes or follows their blocks.
    fn chains(&self) -> Vec<Value> {
        let section = self.probed.borrow().clone();
        let chains = section.iter().flat_map(|section| &section.chains);
        let all: BTreeSet<ComponentId> = chains.flat_map(ChainSection::components).collect();
        self.board.show_those(|component| all.contains(component))
    }
}

/// Serves the admin listener until told to stop.
pub(super) async fn run(
    admin: Arc<Admin>,
    net: Arc<dyn Net>,
    at: SocketAddr,
    shutdown: Shutdown,
) -> Result<(), TaskError> {
    let mut listener =
        net.listen(at, false).map_err(|e| TaskError::new(format!("cannot listen on {at} for admin: {e}")))?;
    let mut tasks = JoinSet::new();
    loop {
        // Accept and join are cancel-safe: neither loses a connection when the other wins.
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept(), if tasks.len() < CONNECTIONS => match accepted {
                Ok((conn, _)) => { tasks.spawn(serve(admin.clone(), conn)); }
                Err(error) => tracing::warn!(%error, "an admin connection could not be accepted"),
            },
        }
    }
}

async fn serve(admin: Arc<Admin>, conn: Conn) {
    let service = service_fn(move |request| {
        let admin = admin.clone();
        async move { Ok::<_, Infallible>(admin.answer(request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(conn), service)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "an admin connection ended early");
    }
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET | &Method::HEAD, ["healthz"]) => text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, ["readyz"]) => self.ready(),
            (&Method::GET, ["metrics"]) => {
                let mut answer = text(StatusCode::OK, self.metrics.encode());
                answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
                answer
            }
            (&Method::GET, ["v1", "pools"]) => json_answer(StatusCode::OK, &self.pools()),
            (&Method::POST, ["v1", "explain"]) => {
                super::explain::answer(self.gateway.as_deref(), request).await
            }
            (&Method::GET, ["v1", "tasks"]) => {
                json_answer(StatusCode::OK, &json!({"tasks": self.supervisor.status()}))
            }
            (&Method::GET, ["v1", "journal"]) => match &self.journal {
                Some(journal) => json_answer(StatusCode::OK, &json!(journal.status())),
                None => problem(StatusCode::NOT_FOUND, "SW0221", "the estate has no [journal]"),
            },
            (
                &Method::POST,
                ["v1", "pools", pool, "upstreams", upstream, change @ ("cordon" | "uncordon")],
            ) => {
                let (pool, upstream, out) = ((*pool).to_owned(), (*upstream).to_owned(), *change == "cordon");
                match self.unauthorised(&request) {
                    None => self.cordon(&pool, &upstream, out, request).await,
                    Some(refusal) => refusal,
                }
            }
            (&Method::GET, ["v1", "verdicts"]) => {
                let announced = maintenance::show(&self.plans.borrow().maintenance, self.scribe.clock.wall());
                self.watching(|watch| json!({"verdicts": watch.board.show(None), "maintenance": announced}))
            }
            (&Method::GET, ["v1", "probes"]) => {
                self.watching(|watch| watch.last.show(watch.probed.borrow().as_deref()))
            }
            (&Method::GET, ["v1", "costs"]) => self.watching(|watch| watch.meter.show()),
            (&Method::GET, ["v1", "history", kind]) => match &self.watch {
                Some(watch) => asked::answer(watch.desk.as_ref(), kind, request.uri().query()).await,
                None => unwatched(),
            },
            (&Method::POST, ["v1", "signals"]) => match (self.unproven(&request), &self.watch) {
                (Some(refusal), _) => refusal,
                (None, Some(watch)) => {
                    let section = watch.probed.borrow().clone();
                    pushed::answer(request, section.as_deref(), watch, self.scribe.clock.wall()).await
                }
                (None, None) => unwatched(),
            },
            (&Method::POST, ["v1", "heartbeats", name]) => match (self.unproven(&request), &self.watch) {
                (Some(refusal), _) => refusal,
                (None, Some(watch)) => self.heartbeat(watch, name, request).await,
                (None, None) => unwatched(),
            },
            (&Method::GET, ["v1", "modes"]) => self.modes().await,
            (&Method::POST, ["v1", "modes"]) => match self.unauthorised(&request) {
                None => self.set_mode(request).await,
                Some(refusal) => refusal,
            },
            (_, ["v1", "modes"]) => problem(StatusCode::METHOD_NOT_ALLOWED, "SW0223", "use GET or POST here"),
            (
                _,
                ["healthz" | "readyz" | "metrics"]
                | ["v1", "pools" | "tasks" | "journal" | "verdicts" | "probes" | "costs"]
                | ["v1", "history", _],
            ) => problem(StatusCode::METHOD_NOT_ALLOWED, "SW0223", "use GET here"),
            (
                _,
                ["v1", "explain" | "signals"]
                | ["v1", "heartbeats", _]
                | ["v1", "pools", _, "upstreams", _, "cordon" | "uncordon"],
            ) => problem(StatusCode::METHOD_NOT_ALLOWED, "SW0223", "use POST here"),
            _ => problem(
                StatusCode::NOT_FOUND,
                "SW0222",
                "there is /healthz, /readyz, /metrics and, below /v1, pools, modes, verdicts, probes, costs, signals, heartbeats, history, tasks, journal and explain",
            ),
        }
    }

    async fn heartbeat(&self, watch: &Watching, name: &str, request: Request<Incoming>) -> Answer {
        let section = watch.probed.borrow().clone();
        let now = self.scribe.clock.wall();
        match heartbeats::take(name, request, section.as_deref(), &watch.beats, now).await {
            Ok(taken) => {
                let stored = self.store(taken.remember()).await;
                taken.answer(stored)
            }
            Err(refusal) => *refusal,
        }
    }

    fn watching(&self, show: impl FnOnce(&Watching) -> Value) -> Answer {
        self.watch.as_ref().map_or_else(unwatched, |watch| json_answer(StatusCode::OK, &show(watch)))
    }

    fn ready(&self) -> Answer {
        match self.gateway.as_ref().is_none_or(|g| g.is_ready()) {
            true => text(StatusCode::OK, "ready\n"),
            false => {
                text(StatusCode::SERVICE_UNAVAILABLE, "not ready: a pool has no upstream to serve from\n")
            }
        }
    }

    fn pools(&self) -> Value {
        let pools = self.gateway.as_ref().map(|g| g.pools()).unwrap_or_default();
        json!({
            "estate": self.estate,
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_ms": self.scribe.clock.mono().since(self.started).as_millis() as u64,
            "pools": pools,
            "providers": self.gateway.as_ref().map(|g| g.allowances()).unwrap_or_default(),
            "services": self.watch.as_ref().map(|watch| watch.board.show(Some(ComponentKind::Service))),
            "chains": self.watch.as_ref().map(Watching::chains),
        })
    }

    /// Only who holds the token may change anything; without one in the estate, nobody may. The refusal, if
    /// this one may not.
    fn unauthorised(&self, request: &Request<Incoming>) -> Option<Answer> {
        if !self.may_change {
            let why = "nothing can be changed in this process: ask the one that has the role `respond`";
            return Some(problem(StatusCode::FORBIDDEN, "SW0224", why));
        }
        self.unproven(request)
    }

    /// The refusal of a request that does not show the token.
    fn unproven(&self, request: &Request<Incoming>) -> Option<Answer> {
        let Some(token) = &self.token else {
            let why = "set `admin_token` under [listen] in the estate before anything can be changed here";
            return Some(problem(StatusCode::FORBIDDEN, "SW0224", why));
        };
        let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let given = given.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        if same(given.as_bytes(), token.expose().as_bytes()) {
            let why = "another process takes this one's place: send it again, on a new connection";
            let left = self.left.load(SeqCst);
            return left.then(|| problem(StatusCode::SERVICE_UNAVAILABLE, "SW0219", why));
        }
        let mut refusal =
            problem(StatusCode::UNAUTHORIZED, "SW0225", "send `authorization: Bearer <admin_token>`");
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(refusal)
    }

    /// Is that in the estate?
    fn knows(&self, component: &str) -> bool {
        let plan = self.plans.borrow();
        plan.pools.iter().any(|pool| {
            pool.component.to_string() == component
                || pool.upstreams.iter().any(|upstream| upstream.component.to_string() == component)
        })
    }

    /// Stores a change off the async threads; true if that was done in a second. What another process is to take over
    /// it takes from there.
    async fn store(
        &self,
        change: impl FnOnce(&dyn State) -> Result<(), StateError> + Send + 'static,
    ) -> bool {
        let (done, stored) = oneshot::channel();
        let state = self.state.clone();
        let job = move || {
            let stored = change(&*state);
            if let Err(error) = &stored {
                tracing::error!(%error, "a change could not be stored and will not outlive a restart");
            }
            let _ = done.send(stored.is_ok()); // nobody waits if it took too long
        };
        // A stalled disk shall not keep the operator waiting.
        let waiting = tokio::time::timeout(STORE, self.disk.offload(Box::new(job))).await;
        waiting.is_ok() && stored.await.unwrap_or(false)
    }

    async fn modes(&self) -> Answer {
        let Some(gateway) = &self.gateway else {
            // As the store has it; a process that carries traffic follows that.
            let kept = match Orders::read(&self.state, &self.disk).await {
                Ok(orders) => orders.modes,
                Err(error) => {
                    return problem(StatusCode::SERVICE_UNAVAILABLE, "SW0203", &error.to_string());
                }
            };
            let plan = self.plans.borrow();
            let each = plan.pools.iter().map(|pool| kept.show(pool.component.path()));
            return json_answer(StatusCode::OK, &json!({"modes": each.collect::<Vec<_>>()}));
        };
        let pools = gateway.pools();
        let each = pools.iter().map(|pool| {
            let mut mode = json!(pool.admission.mode);
            mode["pool"] = json!(pool.name);
            mode
        });
        json_answer(StatusCode::OK, &json!({"modes": each.collect::<Vec<_>>()}))
    }

    async fn set_mode(&self, request: Request<Incoming>) -> Answer {
        let Ok(body) = Limited::new(request.into_body(), BODY).collect().await else {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "SW0226", "the body is too large");
        };
        let order = match Order::parse(&body.to_bytes(), self.scribe.clock.wall()) {
            Ok(order) => order,
            Err(why) => return problem(StatusCode::BAD_REQUEST, "SW0240", &why),
        };
        let changed = match (&self.gateway, &order.pool) {
            (Some(gateway), pool) => gateway.set_mode(pool.as_deref(), &order.set).map_err(|e| e.to_string()),
            (None, Some(pool)) if !self.knows(&format!("pool:{pool}")) => Err(format!("no pool `{pool}`")),
            (None, _) => Ok(true),
        };
        let changed = match changed {
            Ok(changed) => changed,
            Err(why) => return problem(StatusCode::NOT_FOUND, "SW0228", &why),
        };
        let Order { pool, set } = order;
        let (mut stored, mut recorded, mode) = (true, true, set.mode);
        if changed {
            tracing::warn!(?pool, %mode, reason = set.reason, "the mode was set");
            let component = pool.as_ref().and_then(|pool| format!("pool:{pool}").parse().ok());
            let payload = json!({"mode": mode.as_str(), "reason": set.reason});
            let receipt = self.scribe.receipt(RecordKind::Mode, component, payload);
            recorded = matches!(tokio::time::timeout(STORE, receipt).await, Ok(Ok(_)));
            let of = pool.clone();
            stored = self.store(move |state| modes::remember(state, of.as_deref(), &set)).await;
        }
        if !stored && self.gateway.is_none() {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "SW0229", UNSTORED);
        }
        json_answer(
            StatusCode::OK,
            &json!({
                "pool": pool, "mode": mode.as_str(), "changed": changed, "stored": stored, "recorded": recorded,
            }),
        )
    }

    async fn cordon(&self, pool: &str, upstream: &str, out: bool, request: Request<Incoming>) -> Answer {
        let Ok(body) = Limited::new(request.into_body(), BODY).collect().await else {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "SW0226", "the body is too large");
        };
        let body = body.to_bytes();
        let reason = match serde_json::from_slice::<Value>(&body) {
            Ok(value) => value["reason"].as_str().map(str::to_owned),
            Err(_) if body.is_empty() => None,
            Err(_) => {
                return problem(StatusCode::BAD_REQUEST, "SW0227", r#"send {"reason": "…"} or nothing"#);
            }
        };
        let changed = match &self.gateway {
            Some(gateway) => gateway.cordon(pool, upstream, out).map_err(|e| e.to_string()),
            None if self.knows(&format!("upstream:{pool}/{upstream}")) => Ok(true),
            None => Err(format!("no upstream `{pool}/{upstream}`")),
        };
        let changed = match changed {
            Ok(changed) => changed,
            Err(why) => return problem(StatusCode::NOT_FOUND, "SW0228", &why),
        };
        let mut stored = true;
        if changed {
            let component = format!("upstream:{pool}/{upstream}").parse().ok();
            self.scribe.record(RecordKind::Cordon, component, json!({"cordoned": out, "reason": reason}));
            let (p, u) = (pool.to_owned(), upstream.to_owned());
            stored = self.store(move |state| cordon::remember(state, &p, &u, out)).await;
        }
        if !stored && self.gateway.is_none() {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "SW0229", UNSTORED);
        }
        json_answer(
            StatusCode::OK,
            &json!({"pool": pool, "upstream": upstream, "cordoned": out, "changed": changed, "stored": stored}),
        )
    }
}

fn unwatched() -> Answer {
    let why = "this process does not watch: ask the one that has the role `watch`";
    problem(StatusCode::NOT_FOUND, "SW0220", why)
}

/// Compares without telling by its time where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = text(status, body.to_string());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Answer {
    json_answer(status, &json!({"code": code, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"abc", b"abc"));
        for other in ["", "ab", "abd", "abcd"] {
            assert!(!same(b"abc", other.as_bytes()), "{other}");
        }
    }
}
