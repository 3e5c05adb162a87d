//! One pool: its route, its times, what is particular to its kind.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use seawall_chain::family::Family;
use seawall_model::{
    Name,
    estate::{At, Code, Graph, Problem, Problems, Resolve},
    units::show_duration,
};

use super::{
    AccessSection, EvmSection, HttpSection, Pin, PoolKind, PoolSection, Quorum, Tell, UpstreamSection,
    WhenHalted, admission, affected, grpc, network, paths,
    raw::{RawHalted, RawKind, RawPin, RawPool, RawPoolMode, RawQuorum},
    upstream,
    validate::{time, within},
};

/// Attempts for one call in a pool of few upstreams, where the estate does not say.
const ATTEMPTS: u32 = 4;

/// Most attempts for one call, and most upstreams a transaction is sent to.
const MAX_ATTEMPTS: u32 = 16;

/// Most blocks an upstream may be allowed to lag.
const MAX_LAG: u32 = 10_000;

/// Most transactions that may wait for a halted chain.
const MAX_QUEUE: u32 = 100_000;

/// Longest route, in bytes.
const MAX_ROUTE: usize = 256;

/// Shortest and longest time between two polls of a head, where the estate does not say.
const POLL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Judges a pool and declares it in `graph`, good or bad.
pub(super) fn validate(
    name: &Name,
    raw: &At<RawPool>,
    graph: &mut Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<PoolSection> {
    let pool = &raw.value;
    let upstreams = upstream::validate(name, pool, graph, resolve, problems);
    judge_choice(name, raw, upstreams.as_deref(), problems);
    let route = route(name, pool.route.as_ref(), problems);
    let times = Times::new(pool, problems);
    let most = MAX_ATTEMPTS;
    let attempts = match pool.attempts {
        Some(at) => within(at, 1, most, "attempts", u32::to_string, problems),
        // So that the last one that is well is found.
        None => u32::try_from(pool.upstreams.len()).ok().map(|upstreams| upstreams.clamp(ATTEMPTS, most)),
    };
    let floor = u32::try_from(pool.budget_floor.value.per_second()).ok();
    if floor.is_none() {
        let message = format!("`budget_floor` is `{}`, more than is taken", pool.budget_floor.value);
        problems.report(Problem::new(Code::InvalidValue, pool.budget_floor.place, message));
    }
    let affected = match &pool.affected {
        Some(at) => Some(Arc::new(affected::validate(at, problems)?)),
        None => None,
    };
    let is_chain = !matches!(pool.kind.as_ref()?.value, RawKind::Http | RawKind::Grpc);
    let admission = admission::validate(pool.admission.as_ref(), is_chain, problems);
    let tier_latency = pool.tier_latency.map(|at| time(at, "tier_latency", problems));
    if let (Some(at), Some([first, rest @ ..])) = (pool.tier_latency, upstreams.as_deref())
        && rest.iter().all(|u| u.tier == first.tier)
    {
        let problem = Problem::new(Code::Contradiction, at.place, "`tier_latency` in a pool of one tier");
        problems.report(problem.help("give the dearer upstreams a `tier` above 0, or remove it"));
    }
    let kind = match pool.kind.as_ref()?.value {
        RawKind::Evm => chain(raw, Family::Evm, problems).map(PoolKind::Evm),
        RawKind::Bitcoin => chain(raw, Family::Bitcoin, problems).map(PoolKind::Evm),
        RawKind::CometBft => chain(raw, Family::CometBft, problems).map(PoolKind::Evm),
        RawKind::Monero => chain(raw, Family::Monero, problems).map(PoolKind::Evm),
        RawKind::Http => http(raw, problems).map(PoolKind::Http),
        RawKind::Grpc => {
            of_chains(pool, "grpc", problems);
            grpc::validate(pool, problems).map(PoolKind::Grpc)
        }
    };
    let times = times?;
    Some(PoolSection {
        name: name.clone(),
        route: route?,
        kind: kind?,
        // Judged beside the others' (`access::of_pool`).
        access: AccessSection::default(),
        upstreams: upstreams?,
        deadline: times.deadline,
        attempt_timeout: times.attempt,
        connect_timeout: times.connect,
        hang: times.hang,
        attempts: attempts?,
        budget_share: pool.budget_share.as_fraction(),
        budget_floor: floor?,
        tell: Tell::of(&pool.headers),
        admission: admission?,
        affected,
        observes: pool.mode == RawPoolMode::Observe,
        tier_latency: match tier_latency {
            Some(good) => Some(good?),
            None => None,
        },
    })
}

/// Reports a pool that has nothing to choose from, and warns of one that has too little.
fn judge_choice(name: &Name, raw: &At<RawPool>, good: Option<&[UpstreamSection]>, problems: &mut Problems) {
    let upstreams = &raw.value.upstreams;
    let mut report = |code, message: String, help: &str| {
        problems.report(Problem::new(code, raw.place, message).help(help));
    };
    match upstreams.len() {
        0 => {
            let help = format!("add one: `[[pools.{name}.upstreams]]` with `name`, `url` and `provider`");
            return report(Code::NoChoice, format!("pool `{name}` has no upstream"), &help);
        }
        1 => report(
            Code::SmallPool,
            format!("pool `{name}` has one upstream: nothing to fail over to, nobody to compare it with"),
            "add upstreams of two other providers",
        ),
        2 => report(
            Code::SmallPool,
            format!("pool `{name}` has two upstreams: when they disagree, nobody can tell which is wrong"),
            "add an upstream of a third provider",
        ),
        _ => {}
    }
    if upstreams.iter().all(|u| u.value.weight.value == 0) {
        let message = format!("every upstream of pool `{name}` has weight 0");
        report(Code::NoChoice, message, "give at least one of them a weight above 0");
    }
    let providers: BTreeSet<_> = good.unwrap_or_default().iter().map(|u| &u.provider).collect();
    if let (2.., Some(only), 1) = (upstreams.len(), providers.first(), providers.len()) {
        let message = format!("every upstream of pool `{name}` is operated by `{only}`");
        report(
            Code::SharedFate,
            message,
            "add an upstream of another provider: one outage takes all of these",
        );
    }
}

fn route(name: &Name, raw: Option<&At<String>>, problems: &mut Problems) -> Option<Arc<str>> {
    let Some(at) = raw else { return Some(format!("/{name}").into()) };
    let text = at.value.as_str();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let part = |p: &str| !p.is_empty() && p != "." && p != ".." && p.bytes().all(plain);
    let parts = text.strip_prefix('/');
    let good = parts.is_some_and(|parts| parts.is_empty() || parts.split('/').all(part));
    if good && text.len() <= MAX_ROUTE {
        return Some(text.into());
    }
    let help =
        "write a path as in `/ethereum`: parts of letters, digits, `-`, `.`, `_` and `~`, no `/` at the end";
    problems
        .report(Problem::new(Code::InvalidValue, at.place, "`route` is not a path to serve at").help(help));
    None
}

/// A pool's time limits, each within the one it is part of.
struct Times {
    deadline: Duration,
    attempt: Duration,
    connect: Duration,
    hang: Duration,
}

impl Times {
    fn new(pool: &RawPool, problems: &mut Problems) -> Option<Self> {
        let deadline = time(pool.deadline, "deadline", problems);
        let mut part = |raw: Option<At<Duration>>, key, usual, of: (&str, Option<Duration>)| {
            let Some(at) = raw else { return Some(Duration::from_secs(usual).min(of.1?)) };
            let value = time(at, key, problems)?;
            if value > of.1? {
                let (value, whole) = (show_duration(value), show_duration(of.1?));
                let message =
                    format!("`{key}` is {value}, longer than `{}` ({whole}), which it is part of", of.0);
                problems.report(Problem::new(Code::Contradiction, at.place, message));
                return None;
            }
            Some(value)
        };
        let attempt = part(pool.attempt_timeout, "attempt_timeout", 5, ("deadline", deadline));
        let connect = part(pool.connect_timeout, "connect_timeout", 1, ("attempt_timeout", attempt));
        let hang = part(pool.hang, "hang", 1, ("attempt_timeout", attempt));
        Some(Self { deadline: deadline?, attempt: attempt?, connect: connect?, hang: hang? })
    }
}

/// Reports a key that belongs to pools of another kind.
pub(super) fn foreign<T>(key: &str, value: Option<&At<T>>, kind: &str, problems: &mut Problems) {
    if let Some(at) = value {
        let message = format!("`{key}` does not belong to a pool of kind `{kind}`");
        problems.report(Problem::new(Code::Contradiction, at.place, message).help("remove it"));
    }
}

fn chain(raw: &At<RawPool>, family: Family, problems: &mut Problems) -> Option<EvmSection> {
    let pool = &raw.value;
    foreign("retry_methods", pool.retry_methods.iter().flatten().next(), family.as_str(), problems);
    let network = network::network(raw, family, problems);
    let block_time = network::block_time(raw, family, problems);
    foreign("paths", pool.paths.first(), family.as_str(), problems);
    for upstream in &pool.upstreams {
        if family != Family::Evm {
            foreign("ws_url", upstream.value.ws_url.as_ref(), family.as_str(), problems);
        }
        foreign("path_of", upstream.value.path_of.as_ref(), family.as_str(), problems);
    }
    let poll = match pool.poll {
        Some(at) => time(at, "poll", problems),
        None => block_time.map(|t| (t / 2).clamp(POLL.0, POLL.1)),
    };
    let lag = match pool.lag {
        Some(at) => within(at, 0, MAX_LAG, "lag", u32::to_string, problems),
        None => Some(0),
    };
    let broadcast = match pool.broadcast {
        Some(at) => within(at, 1, MAX_ATTEMPTS, "broadcast", u32::to_string, problems),
        None => Some(2),
    };
    let when_halted = when_halted(pool, problems);
    let pin = match pool.pin.map_or(RawPin::Hash, |at| at.value) {
        _ if family != Family::Evm => Pin::Off,
        RawPin::Hash => Pin::Hash,
        RawPin::Number => Pin::Number,
        RawPin::Off => Pin::Off,
    };
    Some(EvmSection {
        family,
        network: network?,
        block_time: block_time?,
        poll: poll?,
        lag: lag?.into(),
        pin,
        broadcast: broadcast?,
        when_halted: when_halted?,
        quorum: match &pool.quorum {
            Some(at) => Some(quorum(at, raw, family, problems)?),
            None => None,
        },
        cache: match &pool.cache {
            Some(at) => Some(super::cache::validate(at, problems)?),
            None => None,
        },
    })
}

/// Judges the rule against what it is for, and against the providers there are.
fn quorum(at: &At<RawQuorum>, raw: &At<RawPool>, family: Family, problems: &mut Problems) -> Option<Quorum> {
    let rule = &at.value;
    let of = within(rule.of, 1, MAX_ATTEMPTS, "of", u32::to_string, problems)?;
    let agree = within(rule.agree, 1, of, "agree", u32::to_string, problems)?;
    let mut good = true;
    if rule.methods.is_empty() {
        let problem = Problem::new(Code::MissingKey, at.place, "`methods` is missing or empty");
        problems.report(problem.help("name the reads, as in `methods = [\"eth_call\"]`"));
        good = false;
    }
    for named in &rule.methods {
        let method = (family.rules().method)(&named.value);
        if !method.idempotent || method.raw_transaction {
            let message =
                format!("{} is no read that can be compared", problems.quote(&named.value, named.place));
            problems.report(Problem::new(Code::InvalidValue, named.place, message).help("remove it"));
            good = false;
        }
    }
    let names = raw.value.upstreams.iter().filter_map(|u| u.value.provider.as_ref()?.value.split('/').next());
    let providers = names.collect::<BTreeSet<_>>().len();
    if providers < agree as usize {
        let message = format!("{agree} providers must agree, and the pool has {providers}");
        let problem = Problem::new(Code::Contradiction, rule.agree.place, message);
        problems.report(problem.help("lower `agree`, or add upstreams of other providers"));
        good = false;
    }
    good.then(|| Quorum { methods: rule.methods.iter().map(|m| m.value.clone()).collect(), of, agree })
}

fn when_halted(pool: &RawPool, problems: &mut Problems) -> Option<WhenHalted> {
    let wait = pool.halted_wait.map_or(Some(Duration::from_secs(30)), |at| time(at, "halted_wait", problems));
    let limit = match pool.halted_queue {
        Some(at) => within(at, 1, MAX_QUEUE, "halted_queue", u32::to_string, problems),
        None => Some(1000),
    };
    let kind = pool.when_halted.map_or(RawHalted::Pass, |at| at.value);
    if kind != RawHalted::Queue {
        let places = [
            ("halted_wait", pool.halted_wait.map(|at| at.place)),
            ("halted_queue", pool.halted_queue.map(|at| at.place)),
        ];
        for (key, place) in places {
            let Some(place) = place else { continue };
            let message = format!("`{key}` means nothing unless `when_halted` is `queue`");
            problems.report(Problem::new(Code::Contradiction, place, message).help("remove it"));
        }
    }
    Some(match kind {
        RawHalted::Pass => WhenHalted::Pass,
        RawHalted::Refuse => WhenHalted::Refuse,
        RawHalted::Queue => WhenHalted::Queue { limit: limit?, wait: wait? },
    })
}

/// Reports what only a chain's pool can have.
fn of_chains(pool: &RawPool, kind: &str, problems: &mut Problems) {
    foreign("chain_id", pool.chain_id.as_ref(), kind, problems);
    foreign("network", pool.network.as_ref(), kind, problems);
    foreign("block_time", pool.block_time.as_ref(), kind, problems);
    foreign("poll", pool.poll.as_ref(), kind, problems);
    foreign("lag", pool.lag.as_ref(), kind, problems);
    foreign("pin", pool.pin.as_ref(), kind, problems);
    foreign("broadcast", pool.broadcast.as_ref(), kind, problems);
    foreign("when_halted", pool.when_halted.as_ref(), kind, problems);
    foreign("halted_wait", pool.halted_wait.as_ref(), kind, problems);
    foreign("quorum", pool.quorum.as_ref(), kind, problems);
    foreign("cache", pool.cache.as_ref(), kind, problems);
    for upstream in &pool.upstreams {
        foreign("ws_url", upstream.value.ws_url.as_ref(), kind, problems);
    }
    foreign("halted_queue", pool.halted_queue.as_ref(), kind, problems);
}

fn http(raw: &At<RawPool>, problems: &mut Problems) -> Option<HttpSection> {
    let pool = &raw.value;
    of_chains(pool, "http", problems);
    let paths = paths::validate(&pool.paths, problems);
    let retry_methods = match &pool.retry_methods {
        Some(methods) => methods.iter().map(|m| paths::method(m, problems)).collect::<Vec<_>>(),
        None => [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS].map(Some).into(),
    };
    let retry_methods = retry_methods.into_iter().collect::<Option<_>>();
    Some(HttpSection { retry_methods: retry_methods?, paths: paths? })
}
