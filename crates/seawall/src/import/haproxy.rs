//! HAProxy: a backend becomes a pool of kind `http`, served where the frontends' rules by path lead to it.

mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use seawall_model::{Name, units::parse_duration};

use self::words::{Line, Section, sections};
use super::{
    draft::{Draft, Pool, Upstream, name, unique},
    source::{Kind, operator},
    tree::{Broken, Field, Left, Tree, Value},
};

/// Most weight that HAProxy gives a server, and what it gives one of which nothing is said.
const WEIGHTS: (u64, u64) = (256, 1);
/// Most pools that are made.
const MAX_POOLS: usize = 500;
/// Longest route.
const MAX_ROUTE: usize = 256;

/// Reads HAProxy's configuration.
pub(super) fn import(text: &str, left: &mut Left) -> Result<Draft, Broken> {
    let sections = sections(text)?;
    let mut made = Made::default();
    let backends = made.read(&sections, left);
    made.serve(&backends, left);
    for (name, backend) in &backends {
        if backend.serves() && !made.served.contains(name) {
            left.add(&backend.path, backend.line, "no frontend leads to it");
        }
    }
    made.listen(left);
    Ok(made.draft)
}

/// What a section says of times and the like, on its own or by the `defaults` before it.
#[derive(Debug, Clone)]
struct Usual {
    tcp: bool,
    connect: Option<Duration>,
    server: Option<Duration>,
    queue: Option<Duration>,
    retries: Option<u64>,
}

impl Default for Usual {
    /// What HAProxy does where nothing is said.
    fn default() -> Self {
        Self { tcp: true, connect: None, server: None, queue: None, retries: None }
    }
}

/// Servers that are chosen from.
#[derive(Debug)]
struct Backend<'a> {
    path: String,
    line: usize,
    usual: Usual,
    servers: Vec<Server<'a>>,
}

impl Backend<'_> {
    fn serves(&self) -> bool {
        !self.usual.tcp && !self.servers.is_empty()
    }
}

/// One `server` line.
#[derive(Debug)]
struct Server<'a> {
    name: &'a str,
    address: &'a str,
    path: String,
    line: usize,
    tls: bool,
    backup: bool,
    weight: Option<u64>,
}

/// A path, and the backend that requests to it go to.
#[derive(Debug)]
struct Way<'a> {
    route: Option<String>,
    backend: &'a str,
    place: (String, usize),
    frontend: &'a str,
}

#[derive(Default)]
struct Made<'a> {
    draft: Draft,
    ways: Vec<Way<'a>>,
    served: BTreeSet<&'a str>,
    /// The first rule that keeps clients out.
    guard: Option<(String, usize)>,
    /// A listener that takes TLS alone.
    tls: bool,
    /// The addresses of each frontend, with its place.
    fronts: Vec<(BTreeSet<IpAddr>, (String, usize))>,
}

impl<'a> Made<'a> {
    /// Reads all sections; what they lead to is noted.
    fn read(&mut self, sections: &'a [Section], left: &mut Left) -> BTreeMap<&'a str, Backend<'a>> {
        let mut named = BTreeMap::<&str, Usual>::new();
        let mut usual = Usual::default();
        let mut backends = BTreeMap::new();
        for section in sections {
            let path = section.path();
            match section.kind.as_str() {
                "global" => self.global(section, left),
                "defaults" => {
                    usual = Usual::default();
                    let mut servers = Vec::new();
                    for line in &section.lines {
                        self.setting(&path, line, &mut usual, &mut servers, left);
                    }
                    if let Some(name) = &section.name {
                        named.insert(name, usual.clone());
                    }
                }
                "frontend" | "listen" | "backend" => {
                    let Some(name) = section.name.as_deref() else {
                        left.add(&path, section.line, "it has no name");
                        continue;
                    };
                    let base = section.from.as_deref().and_then(|from| named.get(from)).unwrap_or(&usual);
                    let mut own = Backend {
                        path: path.clone(),
                        line: section.line,
                        usual: base.clone(),
                        servers: Vec::new(),
                    };
                    let mut front = Front::default();
                    for line in &section.lines {
                        let taken = section.kind != "backend" && front.take(&path, line, left);
                        if !taken {
                            self.setting(&path, line, &mut own.usual, &mut own.servers, left);
                        }
                    }
                    if own.usual.tcp {
                        left.add(
                            &path,
                            section.line,
                            "`mode tcp`: connections are not passed on unread; only HTTP carries over",
                        );
                        continue;
                    }
                    self.front(name, section, front, !own.servers.is_empty(), left);
                    if section.kind != "frontend" {
                        backends.insert(name, own);
                    }
                }
                _ => left.add(&path, section.line, "the section has no counterpart in an estate"),
            }
        }
        backends
    }

    fn global(&mut self, section: &'a Section, left: &mut Left) {
        for line in &section.lines {
            let (path, most) = (section.path_of(line), line.arg(1).and_then(|n| n.parse::<u64>().ok()));
            match (line.word(), most) {
                ("maxconn", Some(most @ 1..=1_000_000)) => self.draft.limits.set("connections", most),
                ("daemon" | "user" | "group" | "uid" | "gid" | "chroot" | "pidfile" | "master-worker", _) => {
                    left.add(&path, line.number, "the service manager sees to that: packaging/ has a unit");
                }
                ("log" | "log-send-hostname" | "log-tag", _) => {
                    left.add(&path, line.number, "logs go to standard error: see `[log]`");
                }
                ("stats", _) => {
                    left.add(&path, line.number, "the admin listener tells and changes: see `[listen] admin`")
                }
                ("nbthread" | "nbproc" | "cpu-map", _) => {
                    left.add(&path, line.number, "`[listen] workers` says how many threads there are")
                }
                (word, _)
                    if word.starts_with("ssl-")
                        || word.starts_with("tune.ssl")
                        || word.ends_with("-base") =>
                {
                    left.add(
                        &path,
                        line.number,
                        "TLS 1.2 and 1.3 with safe suites; certificates stand under `[listen.tls]`",
                    );
                }
                _ => left.add(&path, line.number, "an estate has nothing like it"),
            }
        }
    }

    /// A line of a backend, or of `defaults`.
    fn setting(
        &mut self,
        path: &str,
        line: &'a Line,
        usual: &mut Usual,
        servers: &mut Vec<Server<'a>>,
        left: &mut Left,
    ) {
        let at = format!("{path}.{}", line.shown());
        let mut leave = |reason: &str| left.add(&at, line.number, reason);
        match line.word() {
            "mode" => match line.arg(1) {
                Some("http") => usual.tcp = false,
                Some(_) | None => usual.tcp = true,
            },
            "timeout" => {
                let slot = match line.arg(1) {
                    Some("connect") => &mut usual.connect,
                    Some("server") => &mut usual.server,
                    Some("queue") => &mut usual.queue,
                    Some("client" | "http-request" | "http-keep-alive" | "client-fin") => {
                        return leave("`[limits] idle` bounds slow and idle clients");
                    }
                    Some("check") => {
                        return leave("upstreams are judged by traffic and probes; there is nothing to set");
                    }
                    Some(_) | None => return leave("an estate has nothing like it"),
                };
                *slot = line.arg(2).and_then(time);
                if slot.is_none() {
                    leave("it is no time, or one of more than an hour");
                }
            }
            "contimeout" | "srvtimeout" => {
                let slot = if line.word() == "contimeout" { &mut usual.connect } else { &mut usual.server };
                *slot = line.arg(1).and_then(time);
            }
            "retries" => usual.retries = line.arg(1).and_then(|n| n.parse().ok()),
            "server" => servers.extend(server(path, line, left)),
            "balance" => match line.arg(1) {
                Some("roundrobin" | "static-rr" | "leastconn" | "random") | None => {}
                Some(_) => leave("upstreams are chosen by what they can take, not by what the request says"),
            },
            "option" => self.option(&at, line, left),
            _ if self.guards(line) => {
                self.guard.get_or_insert((at.clone(), line.number));
                leave("who may call what stands in `[auth]` and `[pools.NAME.access]`");
            }
            "http-request"
            | "http-response"
            | "http-after-response"
            | "reqadd"
            | "rspadd"
            | "reqrep"
            | "rsprep"
            | "reqirep"
            | "rspirep" => {
                leave("requests and answers go on as they are; an upstream's `headers` are set on requests");
            }
            "http-check" | "tcp-check" | "default-server" | "monitor-uri" | "fullconn" => {
                leave("upstreams are judged by traffic and probes, and their limits found out");
            }
            "cookie" | "appsession" | "stick" | "stick-table" | "hash-type" => {
                leave("no client is bound to an upstream")
            }
            "server-template" | "use-server" | "dispatch" => leave("name each server"),
            "log" | "log-format" | "unique-id-format" | "unique-id-header" | "capture" => {
                leave("see `[log] access` and `[telemetry]`")
            }
            "stats" => leave("the admin listener tells and changes: see `[listen] admin`"),
            "errorfile" | "errorloc" | "errorloc302" | "errorloc303" | "http-error" => {
                leave("refusals have their own codes and texts")
            }
            "compression" => leave("answers go on as they come"),
            "acl" => {}
            _ => leave("an estate has nothing like it"),
        }
    }

    fn option(&mut self, at: &str, line: &Line, left: &mut Left) {
        let reason = match line.arg(1) {
            // The gateway does as these say, or there is nothing to it.
            Some(
                "redispatch"
                | "http-keep-alive"
                | "http-server-close"
                | "httpclose"
                | "forceclose"
                | "http-pretend-keepalive"
                | "dontlognull"
                | "abortonclose",
            ) => return,
            Some("httpchk" | "tcp-check" | "ssl-hello-chk" | "log-health-checks" | "allbackups") => {
                "upstreams are judged by traffic and probes; there is nothing to set"
            }
            Some("httplog" | "tcplog" | "dontlog-normal") => "see `[log] access`",
            Some("forwardfor" | "originalto") => "a client's address is not told to upstreams",
            _ => "an estate has nothing like it",
        };
        left.add(at, line.number, reason);
    }

    /// True if the line keeps clients out.
    fn guards(&self, line: &Line) -> bool {
        const ACTIONS: [&str; 5] = ["deny", "auth", "tarpit", "reject", "silent-drop"];
        match line.word() {
            "http-request" => line.arg(1).is_some_and(|action| ACTIONS.contains(&action)),
            "tcp-request" => line.arg(2).is_some_and(|action| ACTIONS.contains(&action)),
            "block" | "reqdeny" | "reqideny" | "reqtarpit" | "reqitarpit" | "reqpass" => true,
            _ => false,
        }
    }

    /// Notes where the section listens and what it leads to.
    fn front(
        &mut self,
        own: &'a str,
        section: &'a Section,
        front: Front<'a>,
        has_servers: bool,
        left: &mut Left,
    ) {
        let mut ips = BTreeSet::new();
        for bind in &front.binds {
            self.bind(section, bind, left);
            let listed = bind.arg(1).unwrap_or_default().split(',');
            ips.extend(listed.filter_map(address).map(|at| at.ip()));
        }
        if !front.binds.is_empty() {
            self.fronts.push((ips, (section.path(), section.line)));
        }
        for (line, backend) in &front.rules {
            let place = (section.path_of(line), line.number);
            match front.routes(line) {
                Some(routes) => {
                    for route in routes {
                        self.ways.push(Way { route: Some(route), backend, place: place.clone(), frontend: own });
                    }
                }
                None => left.add(&place.0, place.1, "pools are told apart by the beginning of the path (`path_beg`) alone: give this one a `route`"),
            }
        }
        if let Some((line, backend)) = front.usual {
            self.ways.push(Way {
                route: None,
                backend,
                place: (section.path_of(line), line.number),
                frontend: own,
            });
        } else if section.kind == "listen" && has_servers {
            self.ways.push(Way {
                route: None,
                backend: own,
                place: (section.path(), section.line),
                frontend: own,
            });
        }
    }

    fn bind(&mut self, section: &Section, line: &'a Line, left: &mut Left) {
        let place = section.path_of(line);
        let options: Vec<_> = line.args(2).collect();
        if options.contains(&"ssl") {
            self.tls = true;
            if options.windows(2).any(|two| matches!(two, ["verify", "required"])) {
                self.guard.get_or_insert((place.clone(), line.number));
            }
            left.add(&place, line.number, "TLS stands under `[listen.tls]`: `at`, and chain and key of each certificate as files of their own");
            return;
        }
        for text in line.arg(1).unwrap_or_default().split(',').filter(|text| !text.is_empty()) {
            match address(text) {
                Some(at) if self.draft.listen.len() < 64 => {
                    if !self.draft.listen.contains(&at) {
                        self.draft.listen.push(at);
                    }
                }
                Some(_) | None => left.add(
                    &place,
                    line.number,
                    "listeners are addresses and ports, as in `127.0.0.1:8545`: add it to `[listen] gateway`",
                ),
            }
        }
        if !options.is_empty() {
            left.add(&place, line.number, "a listener has an address and no options");
        }
    }

    /// Makes a pool of every way.
    fn serve(&mut self, backends: &BTreeMap<&'a str, Backend<'a>>, left: &mut Left) {
        let mut names = BTreeSet::new();
        let mut routes = BTreeSet::new();
        for way in std::mem::take(&mut self.ways) {
            let (path, line) = (way.place.0.as_str(), way.place.1);
            let Some(backend) = backends.get(way.backend).filter(|backend| backend.serves()) else {
                left.add(path, line, "it leads to no backend that carries over");
                continue;
            };
            self.served.insert(way.backend);
            let own = unique(way.backend, &mut names);
            let wanted = way.route.clone().unwrap_or_else(|| "/".to_owned());
            let route = match routes.insert(wanted.clone()) {
                true => wanted.clone(),
                false => {
                    let other = format!("/{own}");
                    // Nobody but a path of the same name has it.
                    if self.draft.pools.len() >= MAX_POOLS || !routes.insert(other.clone()) {
                        names.remove(&own);
                        left.add(
                            path,
                            line,
                            format!("`{wanted}` is another pool's route, and so is `{other}`"),
                        );
                        continue;
                    }
                    let reason = format!(
                        "all listeners serve all pools, and `{wanted}` is another's: what `{}` leads to is served at `{other}`",
                        name(way.frontend)
                    );
                    left.add(path, line, reason);
                    other
                }
            };
            if self.draft.pools.len() >= MAX_POOLS {
                left.add(path, line, format!("more than {MAX_POOLS} pools: import a part of the file"));
                continue;
            }
            // A route is no part of what goes on; the servers know their paths by the whole of it.
            let prefix = way.route.as_deref().unwrap_or_default().trim_end_matches('/');
            match self.pool(own.clone(), route.clone(), prefix, backend, left) {
                Some(pool) => self.draft.pools.push(pool),
                None => {
                    names.remove(&own);
                    routes.remove(&route);
                    left.add(path, line, "none of the backend's servers carries over");
                }
            }
        }
    }

    fn pool(
        &mut self,
        own: Name,
        route: String,
        prefix: &str,
        backend: &Backend<'a>,
        left: &mut Left,
    ) -> Option<Pool> {
        let mut pool = Pool::new(own);
        pool.settings.set("kind", "http");
        pool.settings.set("route", route);
        let usual = &backend.usual;
        let deadline = usual.server.map(|server| {
            let rest = usual.connect.unwrap_or_default() + usual.queue.unwrap_or_default();
            (server + rest).min(Duration::from_secs(3_600))
        });
        pool.times(deadline, usual.server, usual.connect);
        if let Some(retries) = usual.retries {
            pool.settings.set("attempts", retries.saturating_add(1).min(16));
        }
        if let Some(wait) = usual.queue {
            pool.admission.set("wait", wait);
        }
        let weighed = backend.servers.iter().any(|s| s.weight.is_some());
        let mut names = BTreeSet::new();
        for server in &backend.servers {
            let field = Tree { line: server.line, value: Value::Null };
            let field = Field { path: server.path.clone(), tree: &field };
            let scheme = if server.tls { "https" } else { "http" };
            let text = format!("{scheme}://{}{prefix}", server.address);
            let owner = format!("{}_{}", pool.name, name(server.name));
            let Some(url) = self.draft.url(&text, Kind::Http, &owner, &field, left) else { continue };
            let provider = if url.literal { operator(&url.text, server.name) } else { name(server.name) };
            pool.upstreams.push(Upstream {
                name: unique(server.name, &mut names),
                url: url.text,
                ws_url: None,
                provider,
                tier: u64::from(server.backup),
                weight: weighed.then(|| server.weight.unwrap_or(WEIGHTS.1)),
                rate: None,
                headers: Vec::new(),
            });
        }
        if pool.upstreams.iter().all(|u| u.weight == Some(0)) {
            pool.upstreams.iter_mut().for_each(|u| u.weight = None);
        }
        (!pool.upstreams.is_empty()).then_some(pool)
    }

    /// Settles where the estate listens.
    fn listen(&mut self, left: &mut Left) {
        if self.draft.pools.is_empty() {
            return;
        }
        if self.draft.listen.is_empty() && self.tls {
            let reason = "no listener without TLS: the estate listens at 127.0.0.1:8545 until `[listen.tls]` says where, and `gateway = []`";
            left.add("bind", 0, reason);
        }
        let admin: SocketAddr = (Ipv4Addr::LOCALHOST, 9_545).into();
        if self.draft.listen.iter().any(|at| at.port() == admin.port()) {
            self.draft.admin = Some((Ipv4Addr::LOCALHOST, 9_546).into());
        }
        let apart =
            self.fronts.iter().find(|(ips, _)| self.fronts.first().is_some_and(|(first, _)| ips != first));
        if let Some((_, (path, line))) = apart {
            let what = "all listeners serve all pools, and these sections listen at different addresses";
            self.draft.keep_in(path, *line, what, left);
        }
        if let Some((path, line)) = self.guard.take() {
            self.draft.keep_in(&path, line, "this and rules like it do not carry over", left);
        }
    }
}

/// What only a frontend says.
#[derive(Default)]
struct Front<'a> {
    binds: Vec<&'a Line>,
    acls: BTreeMap<&'a str, Vec<&'a Line>>,
    rules: Vec<(&'a Line, &'a str)>,
    usual: Option<(&'a Line, &'a str)>,
}

impl<'a> Front<'a> {
    /// Takes a line that only a frontend has; false if it is none.
    fn take(&mut self, path: &str, line: &'a Line, left: &mut Left) -> bool {
        match (line.word(), line.arg(1)) {
            ("bind", Some(_)) => self.binds.push(line),
            ("acl", Some(name)) => self.acls.entry(name).or_default().push(line),
            ("use_backend", Some(backend)) => self.rules.push((line, backend)),
            ("default_backend", Some(backend)) => self.usual = Some((line, backend)),
            ("maxconn" | "backlog", _) => left.add(
                &format!("{path}.{}", line.shown()),
                line.number,
                "`[limits] connections` bounds all listeners together",
            ),
            _ => return false,
        }
        true
    }

    /// The routes that a `use_backend` stands for; `None` if it asks for more than the beginning of a path.
    fn routes(&self, line: &Line) -> Option<Vec<String>> {
        let words: Vec<_> = line.args(2).collect();
        let tests: Vec<Vec<&str>> = match words.as_slice() {
            ["if", "{", test @ .., "}"] if !test.contains(&"{") => vec![test.to_vec()],
            ["if", name] => self.acls.get(name)?.iter().map(|acl| acl.args(2).collect()).collect(),
            _ => return None,
        };
        let mut routes = Vec::new();
        for test in tests {
            let [kind, values @ ..] = test.as_slice() else { return None };
            let values: Vec<_> = values.iter().filter(|value| **value != "-i").collect();
            let known = ["path_beg", "path", "path_dir"].contains(kind);
            if !known || values.is_empty() {
                return None;
            }
            for value in values {
                routes.push(route(value)?);
            }
        }
        Some(routes)
    }
}

/// The beginning of a path as a pool's route.
fn route(path: &str) -> Option<String> {
    let trimmed = path.trim_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
    let good = trimmed.is_empty() || trimmed.split('/').all(part);
    (good && trimmed.len() < MAX_ROUTE).then(|| format!("/{trimmed}"))
}

/// A time as HAProxy has it: milliseconds unless it says otherwise. `None` beyond an hour.
fn time(text: &str) -> Option<Duration> {
    let time = match text.parse::<u64>() {
        Ok(millis) => Duration::from_millis(millis),
        Err(_) => parse_duration(text).ok()?,
    };
    (Duration::from_millis(1)..=Duration::from_secs(3_600)).contains(&time).then_some(time)
}

/// Where a `bind` listens: `*:80`, `:80`, `1.2.3.4:80`, `[::]:80`, `:::80`.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("ipv4@").or(text.strip_prefix("ipv6@")).unwrap_or(text);
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip: IpAddr = match host {
        "" | "*" => Ipv4Addr::UNSPECIFIED.into(),
        host => host
            .parse::<Ipv4Addr>()
            .map(IpAddr::from)
            .or_else(|_| host.parse::<Ipv6Addr>().map(IpAddr::from))
            .ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

/// Reads a `server` line. What of it does not carry over is told once.
fn server<'a>(path: &str, line: &'a Line, left: &mut Left) -> Option<Server<'a>> {
    let at = format!("{path}.{}", line.shown());
    let (Some(name), Some(address)) = (line.arg(1), line.arg(2)) else {
        left.add(&at, line.number, "it has no name or no address");
        return None;
    };
    let mut server = Server {
        name,
        address,
        path: at.clone(),
        line: line.number,
        tls: false,
        backup: false,
        weight: None,
    };
    let mut options = line.args(3);
    let mut rest = Vec::new();
    while let Some(option) = options.next() {
        match option {
            "ssl" => server.tls = true,
            "backup" => server.backup = true,
            "weight" => {
                server.weight = options.next().and_then(|n| n.parse().ok()).map(|n: u64| n.min(WEIGHTS.0))
            }
            "disabled" => {
                left.add(&at, line.number, "it is disabled");
                return None;
            }
            "check" => {}
            "inter" | "fastinter" | "downinter" | "rise" | "fall" | "port" | "addr" => drop(options.next()),
            "maxconn" | "minconn" | "maxqueue" => {
                options.next();
                rest.push("how much an upstream takes at once is found out (`[pools.NAME.admission] most` is a ceiling)");
            }
            "cookie" | "id" => {
                options.next();
                rest.push("no client is bound to an upstream");
            }
            "verify" => {
                if options.next() != Some("required") {
                    rest.push("certificates are always verified: `ca = \"file:PATH\"` of the upstream trusts an authority of your own");
                }
            }
            "ca-file" => {
                options.next();
                rest.push("name the authorities by `ca = \"file:PATH\"` of the upstream");
            }
            "crt" => {
                options.next();
                rest.push("show it by `certificate = { chain = \"file:PATH\", key = \"file:PATH\" }` of the upstream");
            }
            "send-proxy" | "send-proxy-v2" => rest.push("no PROXY protocol is spoken to upstreams"),
            "sni" | "alpn" | "proto" | "resolvers" | "init-addr" | "check-sni" | "slowstart" | "observe"
            | "on-error" | "source" | "track" => {
                options.next();
                rest.push("an upstream has a URL, a provider, a `weight` and a `tier`");
            }
            _ => rest.push("an upstream has a URL, a provider, a `weight` and a `tier`"),
        }
    }
    rest.sort_unstable();
    rest.dedup();
    for reason in rest {
        left.add(&at, line.number, format!("an option of it: {reason}"));
    }
    let port = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    if address.contains(['@', '/', '?', '#']) || !(port || address.contains('$')) {
        left.add(&at, line.number, "an upstream is at a host and a port, as in `10.0.0.1:8080`");
        return None;
    }
    Some(server)
}
