//! The estate's topmost keys, and what is nobody else's section.

use std::net::SocketAddr;

use seawall_gateway::estate::raw::{Addresses, RawAuth, RawLimits, RawPool, RawTls};
use seawall_history::estate::raw::RawHistory;
use seawall_journal::estate::raw::RawJournal;
use seawall_model::{
    Name, choice,
    estate::{At, Decode, RawNeed, RawProvider, RawService, RawTeam, SecretSource, Table},
    section,
    units::Percent,
};
use seawall_probe::estate::raw::{RawChain, RawJourney, RawProbe, RawWatch};
use serde_json::{Value, json};

use super::maintenance::RawMaintenance;

section! {
    /// An estate: everything you run and depend on.
    pub(super) struct RawRoot {
        /// Files to read as well, relative to this one; `*` may stand in the file's name.
        include: Vec<At<String>>, default([]);
        /// The estate itself.
        estate: At<RawIdentity>, optional;
        /// Where Seawall listens.
        listen: At<RawListen>, optional;
        /// Who may use what the gateway serves.
        auth: At<RawAuth>, optional;
        /// Limits on what clients may send and on what is kept for them.
        limits: At<RawLimits>, optional;
        /// The journal; not kept if this is absent.
        journal: At<RawJournal>, optional;
        /// What is logged, and how.
        log: At<RawLog>, optional;
        /// What others are told of requests; nothing if this is absent.
        telemetry: At<RawTelemetry>, optional;
        /// Who operates upstreams.
        providers: Table<RawProvider>, default({});
        /// Who owns services.
        teams: Table<RawTeam>, default({});
        /// What users depend on.
        services: Table<RawService>, default({});
        /// Interchangeable upstreams, each pool behind one route.
        pools: Table<RawPool>, default({});
        /// What is checked again and again.
        probes: Table<RawProbe>, default({});
        /// Chains that are watched, by the name of the pool that serves each, if one does.
        chains: Table<RawChain>, default({});
        /// Requests one after another, made again and again.
        journeys: Table<RawJourney>, default({});
        /// What holds for all probes.
        watch: At<RawWatch>, optional;
        /// The history; not kept if this is absent.
        history: At<RawHistory>, optional;
        /// Work that is announced.
        maintenance: Vec<At<RawMaintenance>>, default([]);
    }
}

section! {
    /// The estate itself.
    pub(super) struct RawIdentity {
        /// Its name.
        name: Name, default("seawall");
    }
}

section! {
    /// Where Seawall listens.
    pub(super) struct RawListen {
        /// Where clients connect: an address and port, or a list of them.
        gateway: Addresses, default("127.0.0.1:8545");
        /// Where clients connect over TLS.
        tls: At<RawTls>, optional;
        /// Health, metrics and control.
        admin: At<SocketAddr>, default("127.0.0.1:9545");
        /// What a request to `admin` must show before it changes anything; required unless `admin` is loopback.
        admin_token: At<SecretSource>, optional;
        /// Data-path threads; one a core if absent.
        workers: At<u32>, optional;
    }
}

section! {
    /// What is logged, and how.
    pub(super) struct RawLog {
        /// What a line looks like.
        format: LogFormat, default("human");
        /// The least that is worth a line.
        level: LogLevel, default("info");
        /// The access log: a file that lines are added to, `stdout` or `stderr`; none is kept if absent.
        access: At<String>, optional;
        /// Share of requests that the access log has a line of.
        access_sample: Percent, default("100%");
    }
}

section! {
    /// What others are told of requests.
    pub(super) struct RawTelemetry {
        /// Where traces are sent: an OpenTelemetry collector that takes OTLP over HTTP, as in
        /// `http://127.0.0.1:4318`; none are if absent.
        otlp: At<String>, optional;
        /// Share of requests that are traced.
        sample: Percent, default("1%");
        /// What becomes of `traceparent`: `pass` takes up a client's and sends upstreams one, `ignore` does neither.
        traceparent: TraceParent, default("ignore");
        /// Alertmanagers that are told of what is down, as in `["http://127.0.0.1:9093"]`; each is told all.
        alertmanagers: Vec<At<String>>, default([]);
        /// The mildest verdict that they are told of: `down` or `degraded`.
        alert_from: AlertFrom, default("down");
        /// Where verdicts and what probes find are written by Prometheus' remote write, as in
        /// `http://127.0.0.1:9090/api/v1/write`; nowhere if absent.
        remote_write: At<String>, optional;
    }
}

choice! {
    /// What becomes of `traceparent` (W3C Trace Context).
    pub enum TraceParent {
        /// A client's is taken up, and upstreams are sent one.
        Pass = "pass",
        /// A client's is none of our business, and upstreams are sent none.
        Ignore = "ignore",
    }
}

choice! {
    /// The mildest verdict that Alertmanagers are told of.
    pub enum AlertFrom {
        /// What is down alone.
        Down = "down",
        /// What is degraded as well.
        Degraded = "degraded",
    }
}

choice! {
    /// What a log line looks like.
    pub enum LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// The least that is worth a log line.
    pub enum LogLevel {
        /// What should wake someone.
        Error = "error",
        /// What may.
        Warn = "warn",
        /// What happened.
        Info = "info",
        /// How.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

impl LogLevel {
    /// The level as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The JSON Schema (2020-12) of an estate file. An estate of several files need not have every required
/// section in each, so at the top nothing is required.
pub fn schema() -> Value {
    let mut schema = RawRoot::schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Seawall estate");
    schema["$defs"] = json!({ "need": RawNeed::definition() });
    schema
}
