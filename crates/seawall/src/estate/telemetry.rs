//! What others are told: the access log, traces, alerts, and what Prometheus is written.

use http::Uri;
use seawall_model::{
    Status,
    estate::{At, Code, Problem, Problems},
};
use seawall_runtime::{lines::Target, net::Endpoint};

use super::root::{AlertFrom, RawLog, RawTelemetry, TraceParent};

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSection {
    /// Where its lines go.
    pub target: Target,
    /// Share of requests it has a line of, in parts per million.
    pub sample: u32,
}

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetrySection {
    /// Where traces are sent.
    pub collector: Option<Collector>,
    /// Share of requests that are traced, in parts per million.
    pub sample: u32,
    /// A client's `traceparent` is taken up, and upstreams are sent one.
    pub context: bool,
    /// Who is told of what is wrong.
    pub alertmanagers: Vec<Collector>,
    /// The mildest verdict that they are told of.
    pub alert_from: Status,
    /// Where verdicts and what probes find are written.
    pub remote_write: Option<Collector>,
}

/// Who is told, by a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Where to dial.
    pub endpoint: Endpoint,
    /// The path to post to.
    pub path: String,
}

/// The access log, if there is to be one.
pub(super) fn access(log: &RawLog, problems: &mut Problems) -> Option<AccessSection> {
    let at = log.access.as_ref()?;
    let target = match at.value.as_str() {
        "stdout" => Target::Stdout,
        "stderr" => Target::Stderr,
        "" => {
            let problem = Problem::new(Code::InvalidValue, at.place, "`access` names no file");
            problems.report(problem.help("name a file, `stdout` or `stderr`, or leave it out"));
            return None;
        }
        path => Target::File(path.into()),
    };
    Some(AccessSection { target, sample: log.access_sample.parts_per_million() })
}

/// Judges the section; `None` if it is wrong.
pub(super) fn telemetry(raw: &RawTelemetry, problems: &mut Problems) -> Option<TelemetrySection> {
    let otlp = raw.otlp.as_ref().map(|at| collector(at, &OTLP, problems));
    let write = raw.remote_write.as_ref().map(|at| collector(at, &REMOTE_WRITE, problems));
    let alertmanagers: Vec<_> =
        raw.alertmanagers.iter().map(|at| collector(at, &ALERTMANAGER, problems)).collect();
    if raw.alertmanagers.len() > MAX_ALERTMANAGERS {
        let place = raw.alertmanagers[MAX_ALERTMANAGERS].place;
        let why = format!("more than {MAX_ALERTMANAGERS} Alertmanagers");
        problems.report(
            Problem::new(Code::InvalidValue, place, &why).help("they tell each other: name one cluster"),
        );
        return None;
    }
    let (collector, remote_write) =
        (otlp.map_or(Some(None), |c| c.map(Some))?, write.map_or(Some(None), |c| c.map(Some))?);
    Some(TelemetrySection {
        sample: if collector.is_some() { raw.sample.parts_per_million() } else { 0 },
        collector,
        context: raw.traceparent == TraceParent::Pass,
        alertmanagers: alertmanagers.into_iter().collect::<Option<_>>()?,
        alert_from: match raw.alert_from {
            AlertFrom::Down => Status::Down,
            AlertFrom::Degraded => Status::Degraded,
        },
        remote_write,
    })
}

/// A setting that names somebody who is told.
struct Setting {
    name: &'static str,
    /// The path where none is given, and what comes behind the one that is.
    path: &'static str,
    after: &'static str,
    example: &'static str,
}

const OTLP: Setting =
    Setting { name: "otlp", path: "/v1/traces", after: "", example: "http://127.0.0.1:4318" };
const ALERTMANAGER: Setting =
    Setting { name: "alertmanagers", path: "", after: "/api/v2/alerts", example: "http://127.0.0.1:9093" };
const REMOTE_WRITE: Setting = Setting {
    name: "remote_write",
    path: "/api/v1/write",
    after: "",
    example: "http://127.0.0.1:9090/api/v1/write",
};
/// Most that are told of the same.
const MAX_ALERTMANAGERS: usize = 8;

fn collector(at: &At<String>, setting: &Setting, problems: &mut Problems) -> Option<Collector> {
    let read = || {
        let uri: Uri = at.value.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = match uri.path() {
            "" | "/" => setting.path,
            path => path.trim_end_matches('/'),
        };
        Some(Collector {
            endpoint: Endpoint { host: host.into(), port, tls, credentials: None },
            path: format!("{path}{}", setting.after),
        })
    };
    let read = read();
    if read.is_none() {
        let why = format!("`{}` is not an URL that anything can be sent to", setting.name);
        let problem = Problem::new(Code::InvalidValue, at.place, &why);
        problems.report(problem.help(format!("write it as in `{}`", setting.example)));
    }
    read
}

#[cfg(test)]
mod tests {
    use seawall_model::estate::{FileId, Place};

    use super::*;

    #[test]
    fn where_traces_go() {
        let check_of = |setting: &Setting, url: &str, want: Option<(&str, u16, bool, &str)>| {
            let place = Place { file: FileId(0), start: 0, end: 0 };
            let found = collector(&At::new(url.to_owned(), place), setting, &mut Problems::default());
            let found =
                found.as_ref().map(|c| (&*c.endpoint.host, c.endpoint.port, c.endpoint.tls, &*c.path));
            assert_eq!(found, want, "{url}");
        };
        let check = |url: &str, want| check_of(&OTLP, url, want);
        check("http://127.0.0.1:4318", Some(("127.0.0.1", 4318, false, "/v1/traces")));
        check("https://otel.example/otlp/v1/traces", Some(("otel.example", 443, true, "/otlp/v1/traces")));
        check("http://[::1]:4318/", Some(("::1", 4318, false, "/v1/traces")));
        for url in ["", "127.0.0.1:4318", "grpc://collector", "http://user:word@collector", "/v1/traces"] {
            check(url, None);
        }
        let alerts = "/api/v2/alerts";
        check_of(&ALERTMANAGER, "http://[::1]:9093", Some(("::1", 9093, false, alerts)));
        check_of(&ALERTMANAGER, "http://am/in/", Some(("am", 80, false, "/in/api/v2/alerts")));
        check_of(&REMOTE_WRITE, "https://p.example", Some(("p.example", 443, true, "/api/v1/write")));
        check_of(
            &REMOTE_WRITE,
            "https://p.example/api/v1/push",
            Some(("p.example", 443, true, "/api/v1/push")),
        );
    }
}
