//! proxyd: TOML. A group of backends becomes a pool; the one that most methods go to is served at `/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use seawall_model::Name;

use super::{
    draft::{Draft, Pool, Upstream, name, unique},
    front,
    source::{Kind, operator},
    tree::{self, Broken, Field, Fields, Left},
    vendors::{self, BlockTime},
};

/// What is taken where nobody says which chain it is.
const CHAIN: u64 = 1;
/// Highest tier of an upstream.
const MAX_TIER: usize = 7;
/// Most blocks that an upstream may be behind.
const MAX_LAG: u64 = 10_000;
/// Most patterns of methods of one pool, and longest of them.
const METHODS: (usize, usize) = (256, 128);
/// Most pools that are made.
const MAX_POOLS: usize = 500;

/// Reads proxyd's configuration, of backends that serve the chain `chain`.
pub(super) fn import(text: &str, chain: Option<u64>, left: &mut Left) -> Result<Draft, Broken> {
    let tree = tree::toml(text)?;
    let mut root = Fields::root(&tree, left);
    let mut made = Made { draft: Draft::default(), chain: chain.unwrap_or(CHAIN), shared: Shared::default() };
    let open = root.take("server").is_some_and(|server| made.server(&server, left));
    if let Some(metrics) = root.take("metrics") {
        front::admin(&metrics, &mut made.draft, left);
    }
    if let Some(backend) = root.take("backend") {
        made.backend_options(&backend, left);
    }
    if let Some(batch) = root.take("batch") {
        made.batch(&batch, left);
    }
    if let Some(limit) = root.take("rate_limit") {
        made.rate_limit(&limit, left);
    }
    let backends = root.take("backends").map(|field| field.fields(left).rest()).unwrap_or_default();
    let backends: BTreeMap<_, _> =
        backends.iter().map(|(name, field)| (*name, backend(field, left))).collect();
    let routes = Routes::read(&mut root, left);
    let groups = root.take("backend_groups").map(|field| field.fields(left).rest()).unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (group, field) in &groups {
        made.group(group, field, &routes, &backends, &mut names, &mut used, left);
    }
    for backend in backends.iter().filter(|(name, _)| !used.contains(*name)).map(|(_, backend)| backend) {
        backend.field.leave(left, "no group that carries over names it");
    }
    if chain.is_none() && !made.draft.pools.is_empty() {
        let reason = format!(
            "the file does not say which chain it is: the pools have `chain_id = {CHAIN}`. Correct it, or import again \
             with `--chain-id`; upstreams of another chain are not served from"
        );
        left.add("backend_groups", 0, reason);
    }
    if let Some(field) = root.take("authentication") {
        made.authentication(&field, open, left);
    }
    root.leave(left, |key| match key {
        "cache" => "give pools `cache = { size = \"64MiB\" }`: answers are kept in memory while their block is agreed on",
        "redis" => "nodes share nothing: each counts, and keeps, for itself",
        "whitelist_error_message" => "refusals have their own codes and texts",
        "sender_rate_limit" => "limits are by client (`[auth.clients.NAME] rate`) or address (`per_address`), not by sender",
        "interop_validation" | "tx_validation_middleware" | "ingress_rpc" => {
            "transactions are not judged on the way: keep what judges them in front"
        }
        _ => "an estate has nothing like it",
    });
    Ok(made.draft)
}

/// What is said once for all pools.
#[derive(Debug, Default)]
struct Shared {
    deadline: Option<Duration>,
    attempt: Option<Duration>,
    retries: Option<u64>,
    tell: bool,
    all_origins: bool,
    per_address: Option<String>,
}

struct Made {
    draft: Draft,
    chain: u64,
    shared: Shared,
}

/// A backend as it is told.
struct Backend<'a> {
    field: Field<'a>,
    url: Option<Field<'a>>,
    ws_url: Option<Field<'a>>,
    user: Option<Field<'a>>,
    password: Option<Field<'a>>,
    rate: Option<u64>,
    weight: Option<u64>,
    headers: Vec<(&'a str, Field<'a>)>,
}

fn backend<'a>(field: &Field<'a>, left: &mut Left) -> Backend<'a> {
    let mut fields = field.fields(left);
    let rate = fields.take("max_rps").and_then(|field| {
        let rate = field.number(left)?;
        if u32::try_from(rate).is_err() {
            field.leave(left, "it is more than an upstream's `rate` may be");
            return None;
        }
        (rate > 0).then_some(rate)
    });
    let weight = fields.take("weight").and_then(|field| field.number(left));
    let backend = Backend {
        field: field.clone(),
        url: fields.take("rpc_url"),
        ws_url: fields.take("ws_url"),
        user: fields.take("username"),
        password: fields.take("password"),
        rate,
        weight,
        headers: fields.take("headers").map(|field| field.fields(left).rest()).unwrap_or_default(),
    };
    fields.leave(left, |key| match key {
        "max_ws_conns" | "ws_port" => {
            "one socket to an upstream is listened to, and clients share what it tells"
        }
        "ca_file" => "`seawall run --ca FILE` trusts more authorities",
        "client_cert_file" | "client_key_file" => {
            "no certificates are shown to upstreams: put a proxy that does in between"
        }
        "response_timeout_milliseconds" => "a pool has one `attempt_timeout`",
        "max_retries" => "a failed call goes to another upstream; a pool has one `attempts`",
        "strip_trailing_xff" => "`x-forwarded-for` is not added to",
        "consensus_receipts_target" => "receipts are asked for by the method that the client calls",
        "allowed_status_codes" => "which answers are failures is known",
        _ if key.starts_with("probe_") || key.starts_with("consensus_") || key.ends_with("_threshold") => {
            "upstreams are judged by traffic, polls and probes; there is nothing to set"
        }
        "skip_is_syncing_check" => "who lags is found out from heads alone",
        _ => "an estate has nothing like it",
    });
    backend
}

/// Which methods go to which group.
#[derive(Default)]
struct Routes<'a> {
    methods: BTreeMap<&'a str, Vec<&'a str>>,
    places: BTreeMap<&'a str, (String, usize)>,
    /// The group whose WebSockets are served, and what may be called there.
    socket: Option<(&'a str, Vec<&'a str>)>,
    /// The group that is served at `/`.
    first: Option<&'a str>,
}

impl<'a> Routes<'a> {
    fn read(root: &mut Fields<'a>, left: &mut Left) -> Self {
        let mut routes = Self::default();
        let mapped =
            root.take("rpc_method_mappings").map(|field| field.fields(left).rest()).unwrap_or_default();
        for (method, field) in mapped {
            let Some(group) = field.text(left) else { continue };
            if method.is_empty() || method.len() > METHODS.1 || method.contains('*') {
                field.leave(left, "it is no method");
                continue;
            }
            routes.methods.entry(group).or_default().push(method);
            routes.places.entry(group).or_insert((field.path.clone(), field.tree.line));
        }
        let most = routes.methods.iter().max_by_key(|(group, methods)| (methods.len(), **group == "main"));
        routes.first = most.map(|(group, _)| *group);
        let group = root.take("ws_backend_group").and_then(|field| field.text(left));
        let list = root.take("ws_method_whitelist");
        let listed = list.as_ref().map(|field| field.texts(left)).unwrap_or_default();
        if let Some(group) = group {
            let has = |method: &&str| routes.methods.get(group).is_none_or(|known| known.contains(method));
            let only: Vec<_> = listed.iter().filter(|m| !has(m) && **m != "eth_subscribe").copied().collect();
            if let Some(list) = list.filter(|_| routes.methods.contains_key(group) && !only.is_empty()) {
                list.leave(left, "what may be called is the same over HTTP and WebSockets: methods that are listed here alone are not in `allow`");
            }
            routes.socket = Some((group, listed));
            routes.first = routes.first.or(Some(group));
        } else if let Some(list) = list {
            list.leave(left, "no group serves WebSockets");
        }
        routes
    }

    /// What may be called at a group; `None` if nothing leads there.
    fn allowed(&self, group: &str) -> Option<Vec<String>> {
        let mapped = self.methods.get(group);
        let socket = self.socket.as_ref().filter(|(own, _)| *own == group).map(|(_, listed)| listed);
        let mut allowed: Vec<String> = match (mapped, socket) {
            (Some(mapped), _) => mapped.iter().map(|m| (*m).to_owned()).collect(),
            (None, Some(listed)) => listed
                .iter()
                .filter(|m| m.len() <= METHODS.1 && !m.contains('*'))
                .map(|m| (*m).to_owned())
                .collect(),
            (None, None) => return None,
        };
        if socket.is_some_and(|listed| listed.is_empty() || listed.contains(&"eth_subscribe"))
            && !allowed.is_empty()
        {
            allowed.extend(["eth_subscribe".to_owned(), "eth_unsubscribe".to_owned()]);
        }
        allowed.sort();
        allowed.dedup();
        Some(allowed)
    }
}

impl Made {
    /// `[server]`. True if clients need no key even where there are keys.
    fn server(&mut self, server: &Field<'_>, left: &mut Left) -> bool {
        let mut fields = server.fields(left);
        let (host, port) = (fields.take("rpc_host"), fields.take("rpc_port"));
        front::listen(host.as_ref(), port.as_ref(), (Ipv4Addr::UNSPECIFIED, 8_080), &mut self.draft, left);
        if let Some(size) = fields.take("max_body_size_bytes") {
            let told = size.number(left);
            let near = told.map(|told| told.clamp(1 << 10, 256 << 20));
            if near != told {
                size.leave(
                    left,
                    "a request's body may be limited to 1KiB up to 256MiB: the nearest is taken",
                );
            }
            if let Some(near) = near {
                self.draft.limits.set("request_body", format!("{near}B"));
            }
        }
        if let Some(level) = fields.take("log_level") {
            self.draft.log = front::log_level(&level, left);
        }
        self.shared.deadline = fields.take("timeout_seconds").and_then(|field| seconds(&field, left));
        self.shared.tell =
            fields.take("enable_served_by_header").and_then(|field| field.flag(left)) == Some(true);
        self.shared.all_origins =
            fields.take("allow_all_origins").and_then(|field| field.flag(left)) == Some(true);
        let open = fields.take("public_access").and_then(|field| field.flag(left)) == Some(true);
        fields.leave(left, |key| match key {
            "ws_host" | "ws_port" => "WebSockets are taken at the same address and path as calls",
            "max_concurrent_rpcs" | "disable_concurrent_request_semaphore" => {
                "how much upstreams take at once is found out: see `[pools.NAME.admission]`"
            }
            "max_upstream_batch_size" => "calls of a batch go out one by one",
            "enable_request_log" | "max_request_body_log_len" => {
                "`[log] access` keeps an access log; bodies are not logged"
            }
            "enable_tx_hash_logging" => "transactions are not logged",
            "graceful_shutdown_seconds" => "`[limits] drain` says how long a stop waits",
            _ => "an estate has nothing like it",
        });
        open
    }

    fn backend_options(&mut self, options: &Field<'_>, left: &mut Left) {
        let mut fields = options.fields(left);
        let millis = fields.take("response_timeout_milliseconds");
        let (millis_told, seconds_told) = (
            millis.and_then(|field| {
                let told = field.number(left).filter(|n| *n > 0)?;
                field.within(Duration::from_millis(told), left)
            }),
            fields.take("response_timeout_seconds").and_then(|field| seconds(&field, left)),
        );
        self.shared.attempt = millis_told.or(seconds_told);
        self.shared.retries = fields.take("max_retries").and_then(|field| field.number(left));
        fields.leave(left, |key| match key {
            "max_response_size_bytes" => {
                "`[limits] verified_answer` bounds what is held; larger answers stream"
            }
            _ => "upstreams are judged by traffic, polls and probes; there is nothing to set",
        });
    }

    fn batch(&mut self, batch: &Field<'_>, left: &mut Left) {
        let mut fields = batch.fields(left);
        if let Some(size) = fields.take("max_size") {
            match size.number(left) {
                Some(most @ 1..=10_000) => self.draft.limits.set("batch", most),
                Some(_) => size.leave(left, "a batch may be limited to 1 up to 10000 calls"),
                None => {}
            }
        }
        fields.leave(left, |_| "refusals have their own codes and texts");
    }

    fn rate_limit(&mut self, limit: &Field<'_>, left: &mut Left) {
        let mut fields = limit.fields(left);
        let interval = fields.take("base_interval").and_then(|field| field.time(left));
        if let Some(rate) = fields.take("base_rate") {
            let per = interval.unwrap_or(Duration::from_secs(1)).as_millis().max(1);
            let a_second = rate.number(left).map(|count| u128::from(count) * 1_000 / per);
            match a_second.map(u32::try_from) {
                Some(Ok(n)) if n > 0 => self.shared.per_address = Some(format!("{n}/s")),
                Some(_) => rate.leave(left, "`per_address` is counted in whole requests a second"),
                None => {}
            }
        }
        fields.leave(left, |key| match key {
            "use_redis" => "each node counts for itself",
            "error_message" => "refusals have their own codes and texts",
            "method_overrides" => "limits hold for all methods alike: what must not be called stands in `[pools.NAME.access] deny`",
            "exempt_origins" | "exempt_user_agents" => "what anybody can write exempts nobody: give such clients keys",
            "ip_header_override" => "a client's address is that of its connection",
            _ => "an estate has nothing like it",
        });
    }

    #[expect(clippy::too_many_arguments, reason = "what is looked up, and what is noted, on the way")]
    fn group<'a>(
        &mut self,
        group: &str,
        field: &Field<'a>,
        routes: &Routes<'_>,
        backends: &BTreeMap<&'a str, Backend<'a>>,
        names: &mut BTreeSet<Name>,
        used: &mut BTreeSet<&'a str>,
        left: &mut Left,
    ) {
        let mut fields = field.fields(left);
        let Some(mut allowed) = routes.allowed(group) else {
            field.leave(left, "no method is mapped to it");
            return;
        };
        if self.draft.pools.len() >= MAX_POOLS {
            field.leave(left, format!("more than {MAX_POOLS} groups: import a part of the file"));
            return;
        }
        let mut pool = Pool::new(unique(group, names));
        self.settle(&mut pool, group, routes, left);
        let listed = fields.take("backends").map(|list| list.items(left)).unwrap_or_default();
        let fallbacks: BTreeSet<_> =
            fields.take("fallbacks").map(|list| list.texts(left)).unwrap_or_default().into_iter().collect();
        let weighted = fields.take("weighted_routing").and_then(|field| field.flag(left)) == Some(true);
        let aware = fields.take("consensus_aware").and_then(|field| field.flag(left)) == Some(true);
        let strategy = fields.take("routing_strategy");
        let way = strategy.as_ref().and_then(|field| field.text(left)).unwrap_or_default();
        if way == "multicall" {
            pool.settings.set("broadcast", 16);
        }
        let ordered = !weighted && !aware && !["consensus_aware", "multicall"].contains(&way);
        let mut own = BTreeSet::new();
        for (number, item) in listed.iter().enumerate() {
            let found = item.text(left).and_then(|text| backends.get_key_value(text));
            let Some((name, backend)) = found else {
                item.leave(left, "there is no such backend");
                continue;
            };
            used.insert(name);
            let Some(mut upstream) = self.upstream(&pool, name, backend, &mut own, left) else { continue };
            let later = if ordered { number.min(MAX_TIER) } else { usize::from(fallbacks.contains(name)) };
            upstream.tier = later as u64;
            upstream.weight = backend.weight.filter(|_| weighted).map(|weight| weight.min(1_000_000));
            pool.upstreams.push(upstream);
        }
        if pool.upstreams.iter().all(|u| u.weight == Some(0)) {
            pool.upstreams.iter_mut().for_each(|u| u.weight = None);
        }
        if let Some(lag) = fields.take("consensus_max_block_lag")
            && let Some(told) = lag.number(left)
        {
            pool.settings.set("lag", told.min(MAX_LAG));
        }
        fields.leave(left, |key| match key {
            "consensus_poller_interval" => "`poll` says how often heads are asked for",
            "consensus_max_block_range" | "max_block_range" => {
                "logs over too wide a range are asked for in parts"
            }
            "multicall_rpc_error_check" => "a transaction goes to several upstreams under its own hash",
            _ if key.starts_with("consensus_ha") => "each node agrees on heads for itself",
            _ => "heads are agreed on by independent providers; there is nothing to set",
        });
        if pool.upstreams.is_empty() {
            names.remove(&pool.name);
            field.leave(left, "none of its backends carries over");
            return;
        }
        if let Some(retries) = self.shared.retries {
            let attempts = retries.saturating_add(1).max(pool.upstreams.len() as u64);
            pool.settings.set("attempts", attempts.min(16));
        }
        if allowed.len() > METHODS.0 {
            field.leave(
                left,
                format!(
                    "a pool allows up to {} methods or patterns: those beyond are not allowed",
                    METHODS.0
                ),
            );
            allowed.truncate(METHODS.0);
        }
        if !allowed.is_empty() {
            pool.access.set("allow", allowed);
        }
        self.draft.pools.push(pool);
    }

    /// Sets what holds for every pool, and the route.
    fn settle(&self, pool: &mut Pool, group: &str, routes: &Routes<'_>, left: &mut Left) {
        pool.settings.set("kind", "evm");
        pool.settings.set("chain_id", self.chain);
        match vendors::block_time(self.chain) {
            BlockTime::Known => {}
            BlockTime::Told(time) => pool.settings.set("block_time", time),
            BlockTime::Unknown => {
                pool.settings.set("block_time", vendors::ASSUMED);
                let reason = "the time between blocks is not known of this chain: put the right `block_time` for the 2s that the pools have";
                left.add("backend_groups", 0, reason);
            }
        }
        if routes.first == Some(group) {
            pool.settings.set("route", "/");
        } else if let Some((path, line)) = routes.places.get(group) {
            let reason = format!(
                "methods of one address do not go to different pools: those of `{}` are served at /{} alone",
                name(group),
                pool.name
            );
            left.add(path, *line, reason);
        }
        pool.times(self.shared.deadline, self.shared.attempt, None);
        if self.shared.tell {
            pool.settings.set("headers", vec!["upstream".to_owned()]);
        }
        if self.shared.all_origins {
            pool.origins.push("*".to_owned());
        }
        if let Some(rate) = &self.shared.per_address {
            pool.admission.set("per_address", rate.as_str());
        }
    }

    fn upstream(
        &mut self,
        pool: &Pool,
        own: &str,
        backend: &Backend<'_>,
        names: &mut BTreeSet<Name>,
        left: &mut Left,
    ) -> Option<Upstream> {
        let owner = format!("{}_{}", pool.name, name(own));
        let url = match &backend.url {
            Some(field) => self.draft.url(unescaped(field.raw(left)?), Kind::Http, &owner, field, left)?,
            None => {
                let url = self.draft.unknown_url(&owner);
                let reason = format!("it has no URL: set {} to one", url.text.trim_start_matches("env:"));
                backend.field.leave(left, reason);
                url
            }
        };
        let ws_url = backend.ws_url.as_ref().and_then(|field| {
            let text = field.raw(left)?;
            self.draft.url(unescaped(text), Kind::Socket, &owner, field, left)
        });
        let mut headers: Vec<_> =
            url.authorization.iter().map(|value| ("authorization".to_owned(), value.clone())).collect();
        if let (true, Some(user)) = (headers.is_empty(), &backend.user) {
            let password = match &backend.password {
                Some(field) => field.raw(left).unwrap_or_default(),
                None => "",
            };
            let value = self.draft.basic(unescaped(user.raw(left)?), unescaped(password), &owner, user, left);
            headers.push(("authorization".to_owned(), value));
        }
        for (header, field) in &backend.headers {
            let header = header.to_ascii_lowercase();
            let Some(text) = field.raw(left) else { continue };
            let Some(value) = self.draft.header(&header, unescaped(text), &owner, field, left) else {
                continue;
            };
            if headers.len() < 32 && headers.iter().all(|(known, _)| *known != header) {
                headers.push((header, value));
            }
        }
        let provider = if url.literal { operator(&url.text, own) } else { name(own) };
        Some(Upstream {
            name: unique(own, names),
            url: url.text,
            ws_url: ws_url.map(|url| url.text),
            provider,
            tier: 0,
            weight: None,
            rate: backend.rate,
            headers,
        })
    }

    /// `[authentication]`: keys, each with the name of who has it.
    fn authentication(&mut self, field: &Field<'_>, open: bool, left: &mut Left) {
        let pools = BTreeSet::new();
        let mut taken = false;
        for (key, alias) in field.fields(left).rest() {
            if key == "auth_url" {
                alias.leave(
                    left,
                    "nobody is asked who clients are: give them keys (`seawall key new`) or tokens",
                );
                continue;
            }
            // The key is a secret, and no part of what is told.
            let alias = Field { path: format!("{}.?", field.path), tree: alias.tree };
            let Some(name) = alias.text(left) else { continue };
            taken |= self.draft.client(name, unescaped(key), &pools, &alias, left);
        }
        match (taken, open) {
            (true, false) => {
                for pool in &mut self.draft.pools {
                    pool.access.set("require", vec!["key".to_owned()]);
                }
            }
            (true, true) => field.leave(left, "keys are known but not required, as `public_access` says"),
            (false, true) => {}
            (false, false) => self.draft.keep_in(&field.path, field.tree.line, "no key carries over", left),
        }
    }
}

/// A text that begins with a backslash names no variable.
fn unescaped(text: &str) -> &str {
    text.strip_prefix('\\').unwrap_or(text)
}

fn seconds(field: &Field<'_>, left: &mut Left) -> Option<Duration> {
    let told = field.number(left).filter(|seconds| *seconds > 0)?;
    field.within(Duration::from_secs(told), left)
}
