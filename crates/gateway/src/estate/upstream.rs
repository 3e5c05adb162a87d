//! The upstreams of a pool.

use std::collections::BTreeMap;

use seawall_model::{
    Name,
    estate::{At, Code, Graph, Operator, Place, Problem, Problems, Resolve, SecretSource},
    units::Rate,
};

use crate::core::tiers::MAX_TIERS;

use super::{
    Socket, UpstreamSection,
    raw::{RawPool, RawUpstream},
    url::{InvalidUrl, Target, UrlSource},
    validate::within,
};

/// Most weight of an upstream.
const MAX_WEIGHT: u32 = 1_000_000;

/// Highest cost tier.
const MAX_TIER: u32 = MAX_TIERS as u32 - 1;

/// Judges a pool's upstreams and declares the pool and them in `graph`, good or bad. `None` if any is bad.
pub(super) fn validate(
    pool: &Name,
    raw: &RawPool,
    graph: &mut Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Vec<UpstreamSection>> {
    let mut good = Vec::new();
    let mut declared = Vec::new();
    let mut places = BTreeMap::<Name, Place>::new();
    for At { value, .. } in &raw.upstreams {
        let operator = value.provider.as_ref().and_then(|p| graph.operator(p, problems));
        if let Some(name) = &value.name {
            if let Some(first) = places.insert(name.value.clone(), name.place) {
                let message = format!("two upstreams of pool `{pool}` are named `{}`", name.value);
                let problem = Problem::new(Code::DeclaredTwice, name.place, message);
                problems.report(problem.other(first, "the other").help("rename one of them"));
            }
            declared.push((name.value.clone(), operator.clone()));
        }
        good.extend(one(value, operator, resolve, problems));
    }
    graph.add_pool(pool, declared);
    second_paths(pool, raw, problems);
    (good.len() == raw.upstreams.len()).then_some(good)
}

/// Judges which upstreams are second paths to which.
fn second_paths(pool: &Name, raw: &RawPool, problems: &mut Problems) {
    for At { value, .. } in &raw.upstreams {
        let Some(at) = &value.path_of else { continue };
        let named = |u: &&At<RawUpstream>| u.value.name.as_ref().is_some_and(|name| name.value == at.value);
        let problem = match raw.upstreams.iter().find(named) {
            None => {
                let message = format!("pool `{pool}` has no upstream named `{}`", at.value);
                Problem::new(Code::UnknownReference, at.place, message)
            }
            Some(first) if first.value.path_of.is_some() => {
                let message = format!("`{}` is a second path itself", at.value);
                Problem::new(Code::Contradiction, at.place, message)
                    .help("name the upstream that it leads to")
            }
            Some(_) => continue,
        };
        problems.report(problem);
    }
}

fn one(
    raw: &RawUpstream,
    operator: Option<Operator>,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<UpstreamSection> {
    let target = raw.url.as_ref().and_then(|url| target(url, Target::parse, resolve, problems));
    let socket = raw.ws_url.as_ref().map(|url| target_of_socket(url, resolve, problems));
    let over_tls = target.as_ref().is_none_or(|target| target.endpoint.tls);
    let credentials = super::credentials::validate(raw, over_tls, resolve, problems);
    let headers = raw.headers.validate(resolve, problems);
    let weight = within(raw.weight, 0, MAX_WEIGHT, "weight", u32::to_string, problems);
    let tier = within(raw.tier, 0, MAX_TIER, "tier", u32::to_string, problems);
    let rate = match raw.rate {
        Some(at) => Some(rate(at, problems)?),
        None => None,
    };
    let (mut target, operator, credentials) = (target?, operator?, credentials?);
    let mut socket = match socket {
        Some(socket) => Some(socket?),
        None => None,
    };
    if let Some(socket) = socket.as_mut().filter(|socket| socket.endpoint.tls) {
        socket.endpoint.credentials = credentials.clone();
    }
    target.endpoint.credentials = credentials;
    Some(UpstreamSection {
        name: raw.name.as_ref()?.value.clone(),
        endpoint: target.endpoint,
        path: target.path,
        host: target.host,
        socket,
        headers: headers?,
        provider: operator.provider,
        region: operator.region,
        tier: u8::try_from(tier?).ok()?,
        weight: weight?,
        rate,
        path_of: raw.path_of.as_ref().map(|at| at.value.clone()),
    })
}

fn rate(at: At<Rate>, problems: &mut Problems) -> Option<u32> {
    let per_second = u32::try_from(at.value.per_second()).ok().filter(|n| *n > 0);
    if per_second.is_none() {
        let message = format!("`rate` is `{}`, but must be from 1/s to {}/s", at.value, u32::MAX);
        problems.report(Problem::new(Code::InvalidValue, at.place, message));
    }
    per_second
}

fn target_of_socket(url: &At<UrlSource>, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Socket> {
    let Target { endpoint, host, path } = target(url, Target::parse_socket, resolve, problems)?;
    Some(Socket { endpoint, path, host })
}

fn target(
    url: &At<UrlSource>,
    parse: fn(&str) -> Result<Target, InvalidUrl>,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Target> {
    let source = UrlSource::source(url);
    let text = source.resolve(resolve, problems)?;
    let target = match parse(text.expose()) {
        Ok(target) => target,
        Err(e) => {
            problems.report(Problem::new(Code::Url, url.place, e.to_string()).help(e.cure()));
            return None;
        }
    };
    if !target.endpoint.tls && !target.is_loopback() {
        let message = "plain `http` to another host: what is sent there can be read and changed on the way";
        problems.report(Problem::new(Code::PlainHttp, url.place, message));
    }
    if matches!(source.value, SecretSource::Literal(_)) && target.holds_key() {
        let message = "the URL seems to hold a key";
        problems.report(Problem::new(Code::LiteralSecret, url.place, message));
    }
    Some(target)
}
