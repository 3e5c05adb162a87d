//! From raw sections to the probes' own, every fault reported.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use seawall_model::{
    ComponentId, ComponentKind, Name,
    estate::{At, Code, Graph, Place, Problem, Problems, Resolve, Table},
    units::show_duration,
};

use super::{
    ProbeSection, ProbesSection, WatchSection, assert, chain, expect,
    headers::RawHeaders,
    journey, kind,
    raw::{RawChain, RawHttp, RawJourney, RawProbe, RawWatch},
    target::{resolver, target},
};
use crate::core::{
    assert::names,
    check::{Check, HttpVersion},
    schedule::Bounds,
    target::{RecordKind, Target},
};

/// Most probes of one estate.
pub const MAX_PROBES: usize = 20_000;
/// Most anchors.
const MAX_ANCHORS: usize = 16;
/// Most other places that check.
const MAX_REMOTE: usize = 32;
/// As many results on end as may be waited for.
pub(super) const RUNS: (u32, u32) = (1, 100);
/// Longest datagram, in bytes: what goes over UDP and IPv4 (RFC 768, RFC 791).
const MAX_DATAGRAM: usize = 65_507;
/// Longest body of a request, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Most protocols that are offered.
const MAX_ALPN: usize = 8;
/// How often a probe may be made.
pub(super) const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));
/// How far apart heartbeats may be.
const PUSH_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(400 * 86_400));
/// How long a check may take.
pub(super) const TIMEOUT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(120));
/// As many checks as may be under way.
const CONCURRENCY: (u32, u32) = (1, 100_000);

/// Judges probes and chains, which speak of components that `graph` must hold already. Secrets are fetched by `resolve`.
///
/// `None` if something is wrong; why has been reported. `Some(None)` if there are none.
pub fn validate(
    probes: &Table<RawProbe>,
    journeys: &Table<RawJourney>,
    chains: &Table<RawChain>,
    watch: &RawWatch,
    graph: &Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Option<ProbesSection>> {
    if let Some((_, beyond)) = probes.iter().nth(MAX_PROBES) {
        let message = format!("{} probes; at most {MAX_PROBES} are taken", probes.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let watched = watch;
    let watch = self::watch(watched, resolve, problems);
    let judged: Vec<_> = probes
        .iter()
        .filter_map(|(name, at)| probe(name, at, watched.exec, graph, resolve, problems))
        .collect();
    let whole = (judged.len() == probes.len()).then_some(judged);
    let chains = chain::validate(chains, graph, resolve, problems);
    let journeys = journey::validate(probes, journeys, graph, resolve, problems);
    let (mut probes, chains, watch) = (whole?, chains?, watch?);
    probes.extend(journeys?);
    probes.sort_by(|a, b| a.name.cmp(&b.name));
    let any = !(probes.is_empty() && chains.is_empty());
    Some(any.then_some(ProbesSection { probes, chains, watch }))
}

fn watch(raw: &RawWatch, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<WatchSection> {
    if let Some(beyond) = raw.anchors.get(MAX_ANCHORS) {
        let message = format!("{} anchors; at most {MAX_ANCHORS} are taken", raw.anchors.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
    }
    let mut anchors = Vec::new();
    for at in &raw.anchors {
        if let Some(target) = target(at, resolve, problems) {
            anchors.push(Check::new(target));
        }
    }
    let bound = |at: At<u32>, key: &str, problems: &mut Problems| {
        within(at, CONCURRENCY, key, u32::to_string, problems).and_then(|n| usize::try_from(n).ok())
    };
    let concurrency = bound(raw.concurrency, "concurrency", problems);
    let per_host = bound(raw.per_host, "per_host", problems);
    (anchors.len() == raw.anchors.len() && anchors.len() <= MAX_ANCHORS).then_some(())?;
    let bounds = Bounds { concurrency: concurrency?, per_host: per_host? };
    let remote = remote(raw, problems)?;
    Some(WatchSection { anchors, bounds, vantage: raw.vantage.clone(), remote })
}

/// The other places, each once, and none of them this one.
fn remote(raw: &RawWatch, problems: &mut Problems) -> Option<Vec<Name>> {
    if let Some(beyond) = raw.remote.get(MAX_REMOTE) {
        let message = format!("{} remote places; at most {MAX_REMOTE} are taken", raw.remote.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let mut remote = Vec::<Name>::new();
    for at in &raw.remote {
        if at.value == raw.vantage || remote.contains(&at.value) {
            let message = format!("`{}` is named twice among the places that check", at.value);
            problems.report(Problem::new(Code::DeclaredTwice, at.place, message));
            return None;
        }
        remote.push(at.value.clone());
    }
    Some(remote)
}

fn probe(
    name: &Name,
    at: &At<RawProbe>,
    may_exec: bool,
    graph: &Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<ProbeSection> {
    let raw = &at.value;
    let of = match &raw.of {
        Some(at) => component(at, graph, problems),
        None => Some(ComponentId::new(ComponentKind::Service, name)),
    };
    let target = kind::target(name, at, may_exec, resolve, problems);
    let pushed = matches!(target, Some(Target::Push(_)));
    let bounds = if pushed { PUSH_EVERY } else { EVERY };
    let every = within(raw.every, bounds, "every", |d| show_duration(*d), problems);
    let timeout = within(raw.timeout, TIMEOUT, "timeout", |d| show_duration(*d), problems);
    if let (Some(every), Some(timeout), false) = (every, timeout, pushed)
        && timeout > every
    {
        let message = format!(
            "`timeout` ({}) is longer than `every` ({}): turns would be missed",
            show_duration(timeout),
            show_duration(every)
        );
        problems.report(
            Problem::new(Code::Contradiction, raw.timeout.place, message)
                .other(raw.every.place, "`every`")
                .help("lower `timeout` or raise `every`"),
        );
        return None;
    }
    let check = target.and_then(|target| check(raw, target, resolve, problems));
    let mut check = check?;
    check.timeout = timeout?;
    let [down_after, up_after] = [("down_after", raw.down_after), ("up_after", raw.up_after)]
        .map(|(key, at)| within(at, RUNS, key, u32::to_string, problems));
    // What a job says holds at once, and to be late there is `grace`.
    let runs = |n: u32| if pushed { 1 } else { n };
    Some(ProbeSection {
        name: name.clone(),
        of: of?,
        every: every?,
        down_after: runs(down_after?),
        up_after: runs(up_after?),
        check: Arc::new(check),
    })
}

fn check(raw: &RawProbe, target: Target, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Check> {
    let before = problems.errors();
    unused(raw, &target, problems);
    let expect = expect::validate(raw.expect.as_ref(), &target, problems);
    let rules = assert::validate(&raw.assert, &names(&target, raw.fresh), problems);
    let headers = raw.headers.as_ref().map(|at| RawHeaders::validate(at, resolve, problems));
    let resolver = raw.resolver.as_ref().map(|at| resolver(at, problems));
    let method = raw.method.as_ref().map(|at| method(at, problems));
    let body = raw.body.as_ref().map(|at| {
        let body = at.resolve(resolve, problems)?;
        if body.expose().len() > MAX_BODY {
            let message = format!("`body` is longer than {MAX_BODY} bytes");
            problems.report(Problem::new(Code::Limit, at.place, message));
        }
        Some(Bytes::copy_from_slice(body.expose().as_bytes()))
    });
    if let (Some(body), Some(hex)) = (&raw.body, &raw.body_hex) {
        let problem = Problem::new(Code::Contradiction, hex.place, "both `body` and `body_hex` are given");
        problems.report(problem.other(body.place, "`body`").help("keep one of the two"));
    }
    let good = |name: &&At<String>| (1..=255).contains(&name.value.len());
    if let Some(bad) = raw.alpn.get(MAX_ALPN).or(raw.alpn.iter().find(|name| !good(name))) {
        let message = format!("`alpn` must be at most {MAX_ALPN} names of 1 to 255 bytes");
        problems.report(Problem::new(Code::InvalidValue, bad.place, message));
    }
    let needs_resolver = match &target {
        Target::Dns(q) => q.resolver.is_none() && !matches!(q.kind, RecordKind::A | RecordKind::Aaaa),
        _ => false,
    };
    if let (true, None, Some(at)) = (needs_resolver, &raw.resolver, &raw.target) {
        let message = "the system's resolver tells of addresses (A, AAAA) only";
        let problem = Problem::new(Code::Contradiction, at.place, message);
        problems.report(problem.help("name whom to ask, as in `resolver = \"1.1.1.1\"`"));
    }
    if !raw.headers.as_ref().is_none_or(|_| target.endpoint().is_some_and(|e| e.tls || is_loopback(&e.host)))
        && let Some(at) = &raw.headers
    {
        let message = "headers go over plain `http` to another host: they can be read and changed on the way";
        problems.report(Problem::new(Code::PlainHttp, at.place, message));
    }
    let mut check = Check::new(target);
    check.fresh = raw.fresh;
    check.expect = expect?;
    check.expect.rules = rules?;
    check.headers = headers.unwrap_or_else(|| Some(http::HeaderMap::new()))?;
    check.resolver = match resolver {
        Some(resolver) => Some(resolver?),
        None => None,
    };
    check.method = method.unwrap_or(Some(Method::GET))?;
    check.body = match &raw.body_hex {
        Some(at) => expect::hex(at, "body_hex", MAX_DATAGRAM, problems)?.into(),
        None => body.unwrap_or_else(|| Some(Bytes::new()))?,
    };
    match raw.http.value {
        RawHttp::One => {}
        RawHttp::Two => check.speak(HttpVersion::Two),
    }
    if !raw.alpn.is_empty() {
        check.alpn = raw.alpn.iter().map(|at| at.value.as_str().into()).collect();
    }
    (problems.errors() == before).then_some(check)
}

/// Reports what is written and not looked at for this kind of target.
fn unused(raw: &RawProbe, target: &Target, problems: &mut Problems) {
    let http = matches!(target, Target::Http(_));
    let any_http = target.url().is_some();
    let versions = matches!(target, Target::Http(_) | Target::Evm(_));
    let kept = versions || matches!(target, Target::Grpc(_) | Target::Chain(..));
    let (tls, udp) = (matches!(target, Target::Tls(_)), matches!(target, Target::Udp(_)));
    let place = |present: bool| raw.target.as_ref().filter(|_| present).map(|at| at.place);
    let remote = !matches!(target, Target::Push(_) | Target::Exec(_));
    let second = match raw.http.value {
        RawHttp::One => None,
        RawHttp::Two => Some(raw.http.place),
    };
    let keys: [(&str, Option<Place>, bool); 8] = [
        ("http", second, versions),
        ("method", raw.method.as_ref().map(|at| at.place), http),
        ("headers", raw.headers.as_ref().map(|at| at.place), any_http),
        ("body", raw.body.as_ref().map(|at| at.place), http || udp),
        ("body_hex", raw.body_hex.as_ref().map(|at| at.place), udp),
        ("alpn", raw.alpn.first().map(|at| at.place), tls),
        ("resolver", raw.resolver.as_ref().map(|at| at.place), remote),
        ("fresh", place(!raw.fresh), kept),
    ];
    for (key, place, _) in keys.into_iter().filter(|(_, place, fits)| place.is_some() && !fits) {
        let message = format!("`{key}` is not looked at for a target of `{}`", target.scheme());
        problems.report(Problem::new(Code::Contradiction, place, message).help("remove it"));
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

pub(super) fn component(at: &At<String>, graph: &Graph, problems: &mut Problems) -> Option<ComponentId> {
    let known = at.value.parse::<ComponentId>().ok().filter(|id| graph.contains(id));
    if known.is_none() {
        let message = format!("unknown component {}", problems.quote(&at.value, at.place));
        let problem = Problem::new(Code::UnknownReference, at.place, message).help(
            "name one that the estate declares, as in `service:checkout` or `upstream:ethereum/alchemy`",
        );
        let all: Vec<String> = graph.components().map(ToString::to_string).collect();
        problems.report_unlike(problem, &at.value, all);
    }
    known
}

pub(super) fn method(at: &At<String>, problems: &mut Problems) -> Option<Method> {
    let read = Method::from_bytes(at.value.as_bytes()).ok().filter(|m| *m != Method::CONNECT);
    if read.is_none() {
        let message = format!("{} is no method of a request", problems.quote(&at.value, at.place));
        problems.report(
            Problem::new(Code::InvalidValue, at.place, message).help("use one as in `GET` or `HEAD`"),
        );
    }
    read
}

/// The value, if it lies within the bounds; else reports what they are.
pub(super) fn within<T: PartialOrd + Copy>(
    at: At<T>,
    (least, most): (T, T),
    key: &str,
    show: impl Fn(&T) -> String,
    problems: &mut Problems,
) -> Option<T> {
    if at.value >= least && at.value <= most {
        return Some(at.value);
    }
    let message =
        format!("`{key}` is {}, but must be from {} to {}", show(&at.value), show(&least), show(&most));
    problems.report(Problem::new(Code::InvalidValue, at.place, message));
    None
}
