//! From raw sections to the gateway's own, every fault reported.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

use seawall_model::{
    estate::{At, Code, Graph, Place, Problem, Problems, Resolve},
    units::{Bytes, show_duration},
};

use super::{
    ClientAuth, GatewaySection, Limits, PoolSection,
    access::{self, Showable},
    raw::{RawGateway, RawLimits},
    sockets,
};

/// Most upstreams of one estate.
pub const MAX_UPSTREAMS: usize = 10_000;

/// Judges the gateway's sections, and declares their pools and upstreams in `graph`, which must hold the
/// providers already. Secrets are fetched by `resolve`.
///
/// `None` if the section cannot be used; why has been reported. It may also be `Some` with errors reported
/// of what does not show in it, so whoever calls looks at `problems` as well.
pub fn validate(
    raw: &RawGateway,
    graph: &mut Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<GatewaySection> {
    let listen = listeners(raw, problems);
    let tls = match &raw.tls {
        Some(at) => super::tls::validate(at, resolve, problems).map(Some),
        None => Some(None),
    };
    let limits = limits(&raw.limits, problems);
    let total: usize = raw.pools.values().map(|p| p.value.upstreams.len()).sum();
    if total > MAX_UPSTREAMS {
        let message = format!("{total} upstreams; at most {MAX_UPSTREAMS} are taken");
        problems.report(Problem::new(Code::Limit, None, message));
        return None;
    }
    let budgets = super::provider::validate(&raw.providers, problems);
    let auth = access::validate(raw.auth.as_ref(), &raw.pools, resolve, problems);
    let certificates = tls.iter().flatten().any(|tls| tls.clients != ClientAuth::Off);
    let there_is = Showable { auth: raw.auth.as_ref().map(|at| &at.value), certificates };
    let mut pools = Vec::new();
    let mut routes = BTreeMap::<Arc<str>, Place>::new();
    for (name, pool) in &raw.pools {
        let access = access::of_pool(pool, &there_is, problems);
        let Some(mut section) = super::pool::validate(name, pool, graph, resolve, problems) else { continue };
        let Some(access) = access else { continue };
        section.access = access;
        let place = pool.value.route.as_ref().map_or(pool.place, |r| r.place);
        if let Some(first) = routes.insert(section.route.clone(), place) {
            let problem = Problem::new(
                Code::DeclaredTwice,
                place,
                format!("two pools are served at `{}`", section.route),
            );
            problems.report(problem.other(first, "the other").help("give one of them another `route`"));
        }
        pools.push(section);
    }
    let whole: Option<Vec<PoolSection>> = (pools.len() == raw.pools.len()).then_some(pools);
    Some(GatewaySection {
        listen,
        tls: tls?,
        workers: raw.workers,
        limits: limits?,
        auth: auth?,
        budgets: budgets?,
        pools: whole?,
    })
}

fn listeners(raw: &RawGateway, problems: &mut Problems) -> Vec<SocketAddr> {
    let mut seen = BTreeMap::<SocketAddr, Place>::new();
    let tls = raw.tls.iter().flat_map(|tls| &tls.value.at).flat_map(|at| &at.0);
    for at in raw.listen.iter().chain(tls) {
        if let Some(first) = seen.insert(at.value, at.place) {
            let problem =
                Problem::new(Code::DeclaredTwice, at.place, format!("`{}` is listed twice", at.value));
            problems.report(problem.other(first, "first listed here"));
        }
    }
    raw.listen.iter().map(|at| at.value).collect()
}

fn limits(raw: &RawLimits, problems: &mut Problems) -> Option<Limits> {
    let count = |at: At<u32>, most, key, problems: &mut Problems| {
        within(at, 1, most, key, u32::to_string, problems).and_then(|n| usize::try_from(n).ok())
    };
    let request_body = size(raw.request_body, "request_body", problems);
    let verified_answer = size(raw.verified_answer, "verified_answer", problems);
    let batch = count(raw.batch, 10_000, "batch", problems);
    let connections = count(raw.connections, 1_000_000, "connections", problems);
    let idle = time(raw.idle, "idle", problems);
    let drain = time(raw.drain, "drain", problems);
    let filters = count(raw.filters, 1_000_000, "filters", problems);
    let sockets = sockets::validate(&raw.sockets, problems);
    Some(Limits {
        request_body: request_body?,
        verified_answer: verified_answer?,
        batch: batch?,
        connections: connections?,
        idle: idle?,
        drain: drain?,
        filters: filters?,
        sockets: sockets?,
    })
}

/// A size of a kibibyte to 256 MiB.
pub(super) fn size(at: At<Bytes>, key: &str, problems: &mut Problems) -> Option<usize> {
    let at = within(at, Bytes(1 << 10), Bytes(256 << 20), key, Bytes::to_string, problems)?;
    usize::try_from(at.0).ok()
}

/// The value, if it lies within the bounds; else reports what they are.
pub(super) fn within<T: PartialOrd + fmt::Debug>(
    at: At<T>,
    least: T,
    most: T,
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

/// A duration of a millisecond to an hour.
pub(super) fn time(
    at: At<std::time::Duration>,
    key: &str,
    problems: &mut Problems,
) -> Option<std::time::Duration> {
    use std::time::Duration;
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(3_600));
    within(at, least, most, key, |d| show_duration(*d), problems)
}
