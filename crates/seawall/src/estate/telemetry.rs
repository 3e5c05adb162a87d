//! What others are told of requests: the access log and traces.

use http::Uri;
use seawall_model::estate::{At, Code, Problem, Problems};
use seawall_runtime::{lines::Target, net::Endpoint};

use super::root::{RawLog, RawTelemetry, TraceParent};

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSection {
    /// Where its lines go.
    pub target: Target,
    /// Share of requests it has a line of, in parts per million.
    pub sample: u32,
}

/// What others are told of requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TelemetrySection {
    /// Where traces are sent.
    pub collector: Option<Collector>,
    /// Share of requests that are traced, in parts per million.
    pub sample: u32,
    /// A client's `traceparent` is taken up, and upstreams are sent one.
    pub context: bool,
}

/// Who collects traces.
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
    let collector = match &raw.otlp {
        Some(at) => Some(collector(at, problems)?),
        None => None,
    };
    let sample = if collector.is_some() { raw.sample.parts_per_million() } else { 0 };
    Some(TelemetrySection { collector, sample, context: raw.traceparent == TraceParent::Pass })
}

/// The path is OTLP's own where none is given.
fn collector(at: &At<String>, problems: &mut Problems) -> Option<Collector> {
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
            "" | "/" => "/v1/traces",
            path => path,
        };
        Some(Collector {
            endpoint: Endpoint { host: host.into(), port, tls, credentials: None },
            path: path.to_owned(),
        })
    };
    let read = read();
    if read.is_none() {
        let problem =
            Problem::new(Code::InvalidValue, at.place, "`otlp` is not an URL that traces can be sent to");
        problems.report(problem.help("write it as in `http://127.0.0.1:4318`"));
    }
    read
}

#[cfg(test)]
mod tests {
    use seawall_model::estate::{FileId, Place};

    use super::*;

    #[test]
    fn where_traces_go() {
        let check = |url: &str, want: Option<(&str, u16, bool, &str)>| {
            let place = Place { file: FileId(0), start: 0, end: 0 };
            let found = collector(&At::new(url.to_owned(), place), &mut Problems::default());
            let found =
                found.as_ref().map(|c| (&*c.endpoint.host, c.endpoint.port, c.endpoint.tls, &*c.path));
            assert_eq!(found, want, "{url}");
        };
        check("http://127.0.0.1:4318", Some(("127.0.0.1", 4318, false, "/v1/traces")));
        check("https://otel.example/otlp/v1/traces", Some(("otel.example", 443, true, "/otlp/v1/traces")));
        check("http://[::1]:4318/", Some(("::1", 4318, false, "/v1/traces")));
        for url in ["", "127.0.0.1:4318", "grpc://collector", "http://user:word@collector", "/v1/traces"] {
            check(url, None);
        }
    }
}
