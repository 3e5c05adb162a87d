//! eRPC: YAML. A network of a project becomes a pool, served at the same path.

mod limits;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use seawall_model::Name;

use self::limits::Budget;
use super::{
    draft::{Draft, Pool, Upstream, name, unique},
    front,
    source::{Kind, Source, Url, operator},
    tree::{Broken, Field, Fields, Left},
    vendors::{self, BlockTime},
    yaml,
};

/// Most attempts that an estate takes.
const MAX_ATTEMPTS: u64 = 16;
/// Most pools that are made: each vendor's shorthand has an upstream in each.
const MAX_POOLS: usize = 500;
/// Most upstreams that an estate takes.
const MAX_UPSTREAMS: usize = seawall_gateway::estate::MAX_UPSTREAMS;

/// Reads eRPC's configuration.
pub(super) fn import(text: &str, left: &mut Left) -> Result<Draft, Broken> {
    let tree = yaml::yaml(text)?;
    let mut draft = Draft::default();
    let mut root = Fields::root(&tree, left);
    if let Some(level) = root.take("logLevel") {
        draft.log = front::log_level(&level, left);
    }
    let longest = root.take("server").and_then(|server| where_to_listen(&server, &mut draft, left));
    if let Some(metrics) = root.take("metrics") {
        front::admin(&metrics, &mut draft, left);
    }
    let budgets = root.take("rateLimiters").map(|field| limits::budgets(&field, left)).unwrap_or_default();
    let mut made = Made { draft, budgets, shares: Vec::new(), names: BTreeSet::new(), longest };
    for project in root.items("projects", left) {
        made.project(&project, left);
    }
    made.share_budgets(left);
    root.leave(left, |key| match key {
        "database" => "answers are kept in memory only: give pools `cache = { size = \"64MiB\" }`",
        "admin" => "changes are made at the admin listener: see `admin` and `admin_token` of `[listen]`",
        "healthCheck" => "`/healthz` and `/readyz` of the admin listener tell of health",
        "tracing" => "traces go where `[telemetry] otlp` says",
        "proxyPools" => "upstreams are connected to directly",
        _ => "an estate has nothing like it",
    });
    Ok(made.draft)
}

/// `server`: where clients connect. Gives the longest that a request may take.
fn where_to_listen(server: &Field<'_>, draft: &mut Draft, left: &mut Left) -> Option<Duration> {
    let mut fields = server.fields(left);
    let host = ["httpHostV4", "httpHost"].into_iter().find_map(|key| fields.take(key));
    let port = ["httpPortV4", "httpPort"].into_iter().find_map(|key| fields.take(key));
    let longest = fields.take("maxTimeout").and_then(|field| field.time(left));
    front::listen(host.as_ref(), port.as_ref(), (Ipv4Addr::UNSPECIFIED, 4_000), draft, left);
    fields.leave(left, |key| match key {
        "tls" => "certificates stand under `[listen.tls]`",
        "aliasing" => "a pool is served at its `route`, whatever the host",
        "httpHostV6" | "httpPortV6" | "listenV6" => "add the address to the list `gateway` of `[listen]`",
        "listenV4" => "the estate listens wherever `[listen]` says",
        "waitBeforeShutdown" | "waitAfterShutdown" => "`[limits] drain` says how long a stop waits",
        "readTimeout" | "writeTimeout" => {
            "`[limits] idle` bounds slow clients, a pool's `deadline` its calls"
        }
        "webSocket" => "a pool's route takes WebSockets as well",
        "trustedIPForwarders" | "trustedIPHeaders" => "a client's address is that of its connection",
        _ => "an estate has nothing like it",
    });
    longest
}

/// What is being made, and what is looked up on the way.
struct Made {
    draft: Draft,
    budgets: BTreeMap<String, Budget>,
    /// Upstreams that count against a budget: pool, upstream, budget, and where that is said.
    shares: Vec<(usize, usize, String, (String, usize))>,
    names: BTreeSet<Name>,
    longest: Option<Duration>,
}

/// What `failsafe` says that an estate can say as well.
#[derive(Debug, Default, Clone, Copy)]
struct Failsafe {
    timeout: Option<Duration>,
    attempts: Option<u64>,
}

/// An upstream of a project.
struct Origin<'a> {
    id: String,
    endpoint: Field<'a>,
    vendor: Option<String>,
    chain: Option<u64>,
    tier: u64,
    budget: Option<(String, (String, usize))>,
    headers: Vec<(&'a str, Field<'a>)>,
    timeout: Option<Duration>,
}

/// A network of a project.
struct Network {
    chain: u64,
    place: (String, usize),
    failsafe: Failsafe,
}

impl Made {
    fn project(&mut self, project: &Field<'_>, left: &mut Left) {
        let mut fields = project.fields(left);
        let id = fields.take("id").and_then(|field| field.text(left)).unwrap_or("main");
        let usual =
            fields.take("networkDefaults").map(|field| defaults(&field, true, left)).unwrap_or_default();
        let origin =
            fields.take("upstreamDefaults").map(|field| defaults(&field, false, left)).unwrap_or_default();
        let mut networks = Vec::new();
        for network in fields.items("networks", left) {
            networks.extend(self::network(&network, usual, left));
        }
        let mut origins = Vec::new();
        for upstream in fields.items("upstreams", left) {
            origins.extend(self::origin(&upstream, origins.len(), origin, left));
        }
        for provider in fields.items("providers", left) {
            let reason = "name each of its upstreams, with `endpoint` as in `alchemy://${KEY}` and `evm.chainId`, and import again";
            provider.leave(left, reason);
        }
        for origin in &origins {
            let Some(chain) = origin.chain else { continue };
            if networks.iter().all(|network| network.chain != chain) {
                let place = (origin.endpoint.path.clone(), origin.endpoint.tree.line);
                networks.push(Network { chain, place, failsafe: usual });
            }
        }
        let first = self.draft.pools.len();
        for network in &networks {
            self.pool(id, network, &origins, networks.len() == 1, left);
        }
        for origin in origins.iter().filter(|origin| origin.chain.is_none() && networks.len() != 1) {
            if vendor_key(origin).is_none() {
                let reason = "it does not say which chain it serves, and nothing is asked of it here: set `evm.chainId` \
                              and import again";
                origin.endpoint.leave(left, reason);
            }
        }
        if let Some(auth) = fields.take("auth") {
            self.auth(id, &auth, first, left);
        }
        if let Some(cors) = fields.take("cors") {
            self.cors(&cors, first, left);
        }
        fields.leave(left, |key| match key {
            "rateLimitBudget" => {
                "limits for clients are by client (`[auth.clients.NAME] rate`) or address (`per_address`)"
            }
            "healthCheck"
            | "scoreMetricsWindowSize"
            | "scoreRefreshInterval"
            | "routingStrategy"
            | "selectionPolicy" => {
                "upstreams are judged by traffic, polls and probes; there is nothing to set"
            }
            "scoreMetricsMode" | "scoreGranularity" | "scorePenaltyDecayRate" | "scoreSwitchHysteresis" => {
                "upstreams are judged by traffic, polls and probes; there is nothing to set"
            }
            "staticResponses" => "nothing is answered that no upstream said",
            _ => "an estate has nothing like it",
        });
    }

    fn pool(
        &mut self,
        project: &str,
        network: &Network,
        origins: &[Origin<'_>],
        alone: bool,
        left: &mut Left,
    ) {
        let (path, line) = (network.place.0.as_str(), network.place.1);
        if self.draft.pools.len() >= MAX_POOLS {
            left.add(path, line, format!("more than {MAX_POOLS} networks: import a part of the file"));
            return;
        }
        let own = unique(&format!("{project}-{}", network.chain), &mut self.names);
        let mut pool = Pool::new(own);
        pool.settings.set("kind", "evm");
        pool.settings.set("chain_id", network.chain);
        let route = format!("/{}/evm/{}", name(project), network.chain);
        if name(project).as_str() != project {
            left.add(
                path,
                line,
                format!("the project's name is no part of a route: the pool is served at {route}"),
            );
        }
        pool.settings.set("route", route);
        let mut names = BTreeSet::new();
        let mut attempts = Vec::new();
        for origin in origins {
            let serves =
                origin.chain.map_or(alone || vendor_key(origin).is_some(), |chain| chain == network.chain);
            if serves && self.count() + pool.upstreams.len() < MAX_UPSTREAMS {
                let Some(upstream) = self.upstream(&pool, network.chain, origin, &mut names, left) else {
                    continue;
                };
                if let Some((budget, place)) = &origin.budget {
                    let at = (self.draft.pools.len(), pool.upstreams.len());
                    self.shares.push((at.0, at.1, budget.clone(), place.clone()));
                }
                attempts.extend(origin.timeout.map(|time| (time, &origin.endpoint)));
                pool.upstreams.push(upstream);
            }
        }
        if pool.upstreams.is_empty() {
            self.names.remove(&pool.name);
            left.add(path, line, "no upstream of the project serves it, as far as can be told here");
            return;
        }
        match vendors::block_time(network.chain) {
            BlockTime::Known => {}
            BlockTime::Told(time) => pool.settings.set("block_time", time),
            BlockTime::Unknown => {
                pool.settings.set("block_time", vendors::ASSUMED);
                let reason = "the time between blocks is not known of this chain: put the right `block_time` for the 2s \
                              that the pool has";
                left.add(path, line, reason);
            }
        }
        let attempt = attempts.iter().map(|(time, _)| *time).max();
        for (_, endpoint) in attempts.iter().filter(|(time, _)| Some(*time) != attempt) {
            endpoint.leave(left, "a pool has one `attempt_timeout`: the longest of its upstreams is taken");
        }
        pool.times(network.failsafe.timeout.or(self.longest), attempt, None);
        if let Some(attempts) = network.failsafe.attempts {
            pool.settings.set("attempts", attempts);
        }
        self.draft.pools.push(pool);
    }

    fn count(&self) -> usize {
        self.draft.pools.iter().map(|pool| pool.upstreams.len()).sum()
    }

    fn upstream(
        &mut self,
        pool: &Pool,
        chain: u64,
        origin: &Origin<'_>,
        names: &mut BTreeSet<Name>,
        left: &mut Left,
    ) -> Option<Upstream> {
        let endpoint = &origin.endpoint;
        let owner = format!("{}_{}", pool.name, name(&origin.id));
        let url = match vendor_key(origin) {
            Some((vendor, key)) => self.vendor(vendor, key, chain, origin, &owner, left)?,
            None => self.draft.url(endpoint.raw(left)?, Kind::Http, &owner, endpoint, left)?,
        };
        let mut headers: Vec<(String, String)> =
            url.authorization.iter().map(|value| ("authorization".to_owned(), value.clone())).collect();
        for (header, field) in &origin.headers {
            let header = header.to_ascii_lowercase();
            let Some(text) = field.raw(left) else { continue };
            let Some(value) = self.draft.header(&header, text, &owner, field, left) else { continue };
            if headers.len() < 32 && headers.iter().all(|(known, _)| *known != header) {
                headers.push((header, value));
            }
        }
        let vendor = origin.vendor.as_deref().or(vendor_key(origin).map(|(vendor, _)| vendor));
        let provider = match vendor {
            Some(vendor) => name(vendor),
            None if url.literal => operator(&url.text, &origin.id),
            None => name(&origin.id),
        };
        Some(Upstream {
            name: unique(&origin.id, names),
            url: url.text,
            ws_url: None,
            provider,
            tier: origin.tier,
            weight: None,
            rate: None,
            headers,
        })
    }

    /// A vendor's shorthand, as the URL that it stands for at one chain.
    fn vendor(
        &mut self,
        vendor: &str,
        key: &str,
        chain: u64,
        origin: &Origin<'_>,
        owner: &str,
        left: &mut Left,
    ) -> Option<Url> {
        let endpoint = &origin.endpoint;
        if ["repository", "erpc", "superchain"].contains(&vendor) {
            endpoint.leave(left, "it stands for a list that is fetched: name the upstreams themselves");
            return None;
        }
        match (vendors::url(vendor, chain, key), Source::of(key)) {
            // The key alone is a variable: the URL around it is no secret.
            (Some(url), Source::Variable(_)) => {
                let own = self.draft.unknown_url(owner);
                let variable = own.text.trim_start_matches("env:");
                endpoint
                    .leave(left, format!("a URL comes whole from the environment: set {variable} to {url}"));
                Some(own)
            }
            (Some(url), Source::Literal(_) | Source::Mixed(_)) => {
                self.draft.url(&url, Kind::Http, owner, endpoint, left)
            }
            (None, _) if origin.chain.is_none() => {
                let reason = format!(
                    "whether `{}` serves chain {chain}, and where, is not known here: add its URL there if it does",
                    name(vendor)
                );
                endpoint.leave(left, reason);
                None
            }
            (None, _) => {
                let url = self.draft.unknown_url(owner);
                let variable = url.text.trim_start_matches("env:");
                let reason = format!(
                    "where `{}` serves chain {chain} is not known here: set {variable} to the URL, key and all",
                    name(vendor)
                );
                endpoint.leave(left, reason);
                Some(url)
            }
        }
    }

    /// `auth`: what clients must show at the pools from `first` on.
    fn auth(&mut self, project: &str, auth: &Field<'_>, first: usize, left: &mut Left) {
        let mut fields = auth.fields(left);
        let strategies = fields.take("strategies").map(|list| list.items(left)).unwrap_or_default();
        let pools: BTreeSet<_> = self.draft.pools[first..].iter().map(|pool| pool.name.clone()).collect();
        let mut taken = false;
        for strategy in &strategies {
            let mut fields = strategy.fields(left);
            let kind = fields.take("type").and_then(|field| field.text(left)).unwrap_or_default();
            match (kind, fields.take("secret")) {
                ("secret", Some(secret)) => {
                    if self.key(project, &secret, &pools, left) {
                        taken = true;
                        let reason = "clients show the key as `authorization: Bearer KEY`, `x-api-key`, ROUTE/KEY or `?apikey=KEY`";
                        secret.leave(left, reason);
                    }
                    fields.leave(left, |key| match key {
                        "rateLimitBudget" => "a client's limit is its `rate`, under `[auth.clients.NAME]`",
                        "allowMethods" | "ignoreMethods" => "what a client may call stands in its `allow` and `deny`",
                        _ => "an estate has nothing like it",
                    });
                }
                ("jwt", _) => strategy.leave(left, "tokens are taken by `[auth.token]`: give it the issuer's keys, and pools `require = [\"token\"]`"),
                ("siwe", _) => strategy.leave(left, "signed messages are not taken: give clients keys or tokens"),
                ("network", _) => strategy.leave(left, "addresses prove nothing here: give clients keys, or keep others out in front"),
                _ => strategy.leave(left, "keys, tokens and certificates are taken: see `[auth]`"),
            }
        }
        fields.leave(left, |_| "an estate has nothing like it");
        if taken {
            for pool in &mut self.draft.pools[first..] {
                pool.access.set("require", vec!["key".to_owned()]);
            }
        } else if !strategies.is_empty() {
            self.draft.keep_in(&auth.path, auth.tree.line, "no strategy carries over", left);
        }
    }

    /// A client's key. False if it does not carry over.
    fn key(&mut self, project: &str, secret: &Field<'_>, pools: &BTreeSet<Name>, left: &mut Left) -> bool {
        let mut fields = secret.fields(left);
        let id = fields.take("id").and_then(|field| field.text(left)).unwrap_or(project);
        let Some(value) = fields.take("value") else { return false };
        fields.leave(left, |key| match key {
            "rateLimitBudget" => "a client's limit is its `rate`, under `[auth.clients.NAME]`",
            _ => "an estate has nothing like it",
        });
        value.raw(left).is_some_and(|text| self.draft.client(id, text, pools, &value, left))
    }

    fn cors(&mut self, cors: &Field<'_>, first: usize, left: &mut Left) {
        let mut fields = cors.fields(left);
        let origins = fields.items("allowedOrigins", left);
        let mut taken = Vec::new();
        for field in origins {
            match field.text(left) {
                Some(text) if text == "*" || plain_origin(text) => taken.push(text.to_owned()),
                Some(_) => field.leave(left, "an origin is scheme, host and port, as in `https://app.example.org`; `*` may stand for the first label"),
                None => {}
            }
        }
        taken.truncate(64);
        for pool in &mut self.draft.pools[first..] {
            pool.origins.clone_from(&taken);
        }
        fields.leave(left, |_| "see `methods`, `headers`, `expose`, `credentials` and `max_age` of `[pools.NAME.access.cors]`");
    }
}

/// The vendor and the key of a shorthand such as `alchemy://KEY`.
fn vendor_key<'a>(origin: &Origin<'a>) -> Option<(&'a str, &'a str)> {
    let super::tree::Value::Text(text) = &origin.endpoint.tree.value else { return None };
    let (scheme, key) = text.split_once("://")?;
    let scheme = scheme.strip_prefix("evm+").unwrap_or(scheme);
    vendors::is_shorthand(scheme).then_some((scheme, key))
}

/// Whether it looks like an origin that an estate takes.
fn plain_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let host = host.strip_prefix("*.").unwrap_or(host);
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    ["http", "https"].contains(&scheme)
        && host.split('.').all(label)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// `networkDefaults` or `upstreamDefaults`.
fn defaults(field: &Field<'_>, network: bool, left: &mut Left) -> Failsafe {
    let mut fields = field.fields(left);
    let told = fields.take("failsafe").map(|field| failsafe(&field, network, left)).unwrap_or_default();
    fields.leave(left, |_| "it carries over for none: set it where it is needed");
    told
}

/// `failsafe` of a network or an upstream.
fn failsafe(field: &Field<'_>, network: bool, left: &mut Left) -> Failsafe {
    let one = match &field.tree.value {
        super::tree::Value::List(_) => {
            let mut general = None;
            for policy in field.items(left) {
                let mut fields = policy.fields(left);
                let methods = fields.take("matchMethod").and_then(|field| field.raw(left));
                let finality = fields.take("matchFinality");
                if methods.is_none_or(|text| text == "*") && finality.is_none() && general.is_none() {
                    general = Some(fields);
                } else {
                    policy.leave(left, "what holds for some methods only does not carry over: calls of one pool have one `deadline`");
                }
            }
            general
        }
        super::tree::Value::Null | super::tree::Value::Text(_) | super::tree::Value::Map(_) => {
            Some(field.fields(left))
        }
    };
    let Some(mut fields) = one else { return Failsafe::default() };
    let mut told = Failsafe::default();
    if let Some(timeout) = fields.take("timeout") {
        let mut fields = timeout.fields(left);
        told.timeout = fields.take("duration").and_then(|field| field.time(left));
        fields.leave(left, |_| "times are fixed; slow calls are hedged by what is usual");
    }
    if let (true, Some(retry)) = (network, fields.take("retry")) {
        let mut fields = retry.fields(left);
        let most = ["maxAttempts", "maxCount"].into_iter().find_map(|key| fields.take(key));
        told.attempts = most.and_then(|field| {
            let told = field.number(left)?;
            let near = told.clamp(1, MAX_ATTEMPTS);
            if near != told {
                field.leave(left, format!("`attempts` is from 1 to {MAX_ATTEMPTS}: the nearest is taken"));
            }
            Some(near)
        });
        fields.leave(
            left,
            |_| "a failed call goes to another upstream at once, within the pool's `budget_share`",
        );
    }
    fields.leave(left, |key| match key {
        "retry" => "a failed call goes to another upstream, not again to the same one",
        "hedge" => {
            "slow calls are hedged by what is usual for their method, within the pool's `budget_share`"
        }
        "circuitBreaker" => "each upstream has breakers by method class; there is nothing to set",
        "consensus" => "name the methods in the pool's `quorum`",
        _ => "an estate has nothing like it",
    });
    told
}

/// The chain of an `evm` section, if it names one.
fn chain_of(evm: &Field<'_>, why: &'static str, left: &mut Left) -> Option<u64> {
    let mut fields = evm.fields(left);
    let chain = fields.take("chainId").and_then(|field| {
        let id = field.number(left)?;
        if id > i64::MAX.unsigned_abs() {
            field.leave(left, "it is no chain's id");
            return None;
        }
        (id > 0).then_some(id)
    });
    fields.leave(left, |_| why);
    chain
}

fn network(network: &Field<'_>, usual: Failsafe, left: &mut Left) -> Option<Network> {
    let mut fields = network.fields(left);
    let architecture = fields.take("architecture");
    if let Some(other) = architecture.filter(|field| field.raw(left) != Some("evm")) {
        other.leave(left, "only EVM networks carry over");
        return None;
    }
    let evm = fields.take("evm");
    let chain = evm.and_then(|evm| chain_of(&evm, "heads, finality and ranges of logs are found out", left));
    let failsafe = fields.take("failsafe").map_or(usual, |field| failsafe(&field, true, left));
    fields.leave(left, |key| match key {
        "alias" => "a pool has one `route`: have clients use it, or change it",
        "rateLimitBudget" => {
            "limits for clients are by client (`[auth.clients.NAME] rate`) or address (`per_address`)"
        }
        "selectionPolicy" => {
            "upstreams are judged by traffic, polls and probes; `tier` says which are asked first"
        }
        "directiveDefaults" => "an estate has no directives",
        _ => "an estate has nothing like it",
    });
    let place = (network.path.clone(), network.tree.line);
    if chain.is_none() {
        left.add(&place.0, place.1, "it does not say which chain it is");
    }
    Some(Network { chain: chain?, place, failsafe })
}

fn origin<'a>(upstream: &Field<'a>, number: usize, usual: Failsafe, left: &mut Left) -> Option<Origin<'a>> {
    let mut fields = upstream.fields(left);
    let kind = fields.take("type");
    if let Some(other) = kind.filter(|field| field.raw(left).is_none_or(|kind| !kind.starts_with("evm"))) {
        other.leave(left, "only EVM upstreams carry over");
        return None;
    }
    let Some(endpoint) = fields.take("endpoint") else {
        upstream.leave(left, "it has no endpoint");
        return None;
    };
    let id = fields.take("id").and_then(|field| field.text(left));
    let vendor = fields.take("vendorName").and_then(|field| field.text(left)).map(str::to_owned);
    let evm = fields.take("evm");
    let chain =
        evm.and_then(|evm| chain_of(&evm, "what an upstream holds and how far it is are found out", left));
    let fallback = fields.take("group").is_some_and(|group| {
        let fallback = group.text(left).is_some_and(|text| text.contains("fallback"));
        if !fallback {
            group.leave(left, "an upstream's `tier` says which are asked first");
        }
        fallback
    });
    let budget = fields
        .take("rateLimitBudget")
        .and_then(|field| Some((field.text(left)?.to_owned(), (field.path.clone(), field.tree.line))));
    let failsafe = fields.take("failsafe").map_or(usual, |field| failsafe(&field, false, left));
    let mut headers = Vec::new();
    if let Some(rpc) = fields.take("jsonRpc") {
        let mut fields = rpc.fields(left);
        headers.extend(fields.take("headers").map(|field| field.fields(left).rest()).unwrap_or_default());
        fields.leave(left, |_| "calls go out one by one, over connections that are kept");
    }
    fields.leave(left, |key| match key {
        "ignoreMethods" | "allowMethods" | "autoIgnoreUnsupportedMethods" => {
            "what an upstream does not serve is tried elsewhere; what clients may call stands in `[pools.NAME.access]`"
        }
        "rateLimitAutoTune" => "a provider with a `budget` is learned from by itself",
        "routing" | "tags" => "an upstream's `tier` and `weight` say which are asked first",
        _ => "an estate has nothing like it",
    });
    Some(Origin {
        id: id.map_or_else(|| format!("upstream-{}", number + 1), str::to_owned),
        endpoint,
        vendor,
        chain,
        tier: u64::from(fallback),
        budget,
        headers,
        timeout: failsafe.timeout,
    })
}
