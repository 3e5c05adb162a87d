//! The estate that is being made, and its text.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use seawall_model::{Name, units::show_duration};

use super::tree::Left;

/// What an estate says.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Where clients connect; where an estate has it by itself, if empty.
    pub(super) listen: Vec<SocketAddr>,
    /// Where the admin listener is.
    pub(super) admin: Option<SocketAddr>,
    /// The least that is worth a log line.
    pub(super) log: Option<&'static str>,
    /// `[limits]`.
    pub(super) limits: Settings,
    /// Clients' keys, and the pools each may use.
    pub(super) clients: BTreeMap<Name, Client>,
    /// Requests that providers allow.
    pub(super) budgets: BTreeMap<Name, String>,
    /// The pools.
    pub(super) pools: Vec<Pool>,
    /// `[watch]`.
    pub(super) watch: Settings,
    /// The text of each probe.
    pub(super) probes: Vec<String>,
    /// How much text that is, with what groups say of them.
    pub(super) probes_size: usize,
    /// Names of probes, which are their services' too.
    pub(super) watched: BTreeSet<Name>,
    /// The next number for a name that is taken: thousands of probes may be called the same.
    pub(super) numbers: BTreeMap<Name, usize>,
    /// Groups of probes, in the order of the file.
    pub(super) groups: Vec<(String, Vec<Name>)>,
    /// Variables that the estate names, each with what may stand in its place.
    pub(super) variables: BTreeMap<String, String>,
}

/// A client known by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    /// The key: `env:NAME`, or the text itself.
    pub(super) key: String,
    /// The pools; all if empty.
    pub(super) pools: BTreeSet<Name>,
}

/// Keys and values, in the order they are written.
#[derive(Debug, Default, Clone)]
pub(super) struct Settings(Vec<(&'static str, Value)>);

/// A value in an estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number.
    Number(u64),
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Text(show_duration(time))
    }
}

impl From<Vec<String>> for Value {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

impl Settings {
    /// Sets a key, once.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.retain(|(known, _)| *known != key);
        self.0.push((key, value.into()));
    }

    pub(super) fn render(&self, text: &mut String) {
        for (key, value) in &self.0 {
            *text += &format!("{key} = {}\n", value.render());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    pub(super) fn render(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(list) => {
                format!("[{}]", list.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Interchangeable upstreams.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: Name,
    pub(super) settings: Settings,
    /// `[pools.NAME.access]`.
    pub(super) access: Settings,
    /// Origins of web pages.
    pub(super) origins: Vec<String>,
    /// `[pools.NAME.admission]`.
    pub(super) admission: Settings,
    pub(super) upstreams: Vec<Upstream>,
}

impl Pool {
    pub(super) fn new(name: Name) -> Self {
        let (settings, access, admission) = Default::default();
        Self { name, settings, access, origins: Vec::new(), admission, upstreams: Vec::new() }
    }

    /// Sets the pool's times, each within the one it is part of.
    pub(super) fn times(
        &mut self,
        deadline: Option<Duration>,
        attempt: Option<Duration>,
        connect: Option<Duration>,
    ) {
        // What the estate takes where nothing is said.
        let usual = Duration::from_secs(10);
        let longest = attempt.into_iter().chain(connect).max().unwrap_or_default();
        let deadline = match deadline {
            Some(told) => Some(told),
            None => (longest > usual).then_some(longest),
        };
        if let Some(deadline) = deadline {
            self.settings.set("deadline", deadline);
        }
        let deadline = deadline.unwrap_or(usual);
        let attempt = attempt.map(|time| time.min(deadline));
        if let Some(attempt) = attempt {
            self.settings.set("attempt_timeout", attempt);
        }
        let attempt = attempt.unwrap_or(Duration::from_secs(5).min(deadline));
        if let Some(connect) = connect {
            self.settings.set("connect_timeout", connect.min(attempt));
        }
    }
}

/// One endpoint.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) name: Name,
    pub(super) url: String,
    pub(super) ws_url: Option<String>,
    pub(super) provider: Name,
    pub(super) tier: u64,
    pub(super) weight: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) headers: Vec<(String, String)>,
}

/// The name that is nearest to a text.
pub(super) fn name(text: &str) -> Name {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '_' => c,
        _ => '-',
    };
    let text: String =
        text.chars().map(plain).skip_while(|c| !c.is_ascii_alphanumeric()).take(Name::MAX).collect();
    let text = text.trim_end_matches('-');
    Name::new(if text.is_empty() { "unnamed" } else { text }).expect("only what a name may hold is left")
}

/// The name that is nearest to a text and not taken; it is, then.
pub(super) fn unique(text: &str, taken: &mut BTreeSet<Name>) -> Name {
    unique_from(text, taken, &mut 2)
}

/// The same, where numbers below `number` are known to be taken; it becomes the next that is not.
pub(super) fn unique_from(text: &str, taken: &mut BTreeSet<Name>, number: &mut usize) -> Name {
    let first = name(text);
    let mut own = first.clone();
    while !taken.insert(own.clone()) {
        let suffix = format!("-{number}");
        let stem: String = first.as_str().chars().take(Name::MAX - suffix.len()).collect();
        own = name(&format!("{stem}{suffix}"));
        *number += 1;
    }
    own
}

impl Draft {
    /// Keeps the estate to this machine, since what kept clients out does not carry over.
    pub(super) fn keep_in(&mut self, path: &str, line: usize, what: &str, left: &mut Left) {
        let outside = |at: &SocketAddr| !at.ip().is_loopback();
        if self.listen.is_empty() || self.listen.iter().any(outside) {
            for at in &mut self.listen {
                at.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
            }
            self.listen.sort();
            self.listen.dedup();
        }
        let reason = format!(
            "{what}; so that nobody gets in meanwhile, the estate listens at 127.0.0.1 only: see `[auth]` and `access`, then set `listen.gateway`"
        );
        left.add(path, line, reason);
    }

    /// The text, made of a configuration of `format`.
    pub(super) fn render(&self, format: &str) -> String {
        let mut text = format!(
            "# Made by `seawall import` from a configuration of {format}. It told what does not carry over.\n\
             # `seawall check` judges this file, and docs/estate.md explains it.\n"
        );
        self.render_front(&mut text);
        for (name, client) in &self.clients {
            text += &format!("\n[auth.clients.{name}]\nkey = {}\n", quoted(&client.key));
            if !client.pools.is_empty() {
                let pools = client.pools.iter().map(ToString::to_string).collect::<Vec<_>>();
                text += &format!("pools = {}\n", Value::List(pools).render());
            }
        }
        let providers: BTreeSet<_> =
            self.pools.iter().flat_map(|p| &p.upstreams).map(|u| &u.provider).collect();
        if !providers.is_empty() {
            text.push('\n');
        }
        for provider in providers {
            text += &format!("[providers.{provider}]\n");
            if let Some(requests) = self.budgets.get(provider) {
                text += &format!("budget = {{ requests = {} }}\n", quoted(requests));
            }
        }
        for pool in &self.pools {
            pool.render(&mut text);
        }
        self.render_probes(&mut text);
        text
    }

    fn render_front(&self, text: &mut String) {
        let mut listen = Settings::default();
        match self.listen.as_slice() {
            [] => {}
            [one] => listen.set("gateway", one.to_string()),
            more => listen.set("gateway", more.iter().map(ToString::to_string).collect::<Vec<_>>()),
        }
        if let Some(admin) = self.admin {
            listen.set("admin", admin.to_string());
        }
        let mut log = Settings::default();
        if let Some(level) = self.log {
            log.set("level", level);
        }
        for (section, settings) in [("listen", &listen), ("log", &log), ("limits", &self.limits)] {
            if !settings.is_empty() {
                *text += &format!("\n[{section}]\n");
                settings.render(text);
            }
        }
    }
}

impl Pool {
    fn render(&self, text: &mut String) {
        let name = &self.name;
        *text += &format!("\n[pools.{name}]\n");
        self.settings.render(text);
        for (section, settings) in [("access", &self.access), ("admission", &self.admission)] {
            if !settings.is_empty() {
                *text += &format!("\n[pools.{name}.{section}]\n");
                settings.render(text);
            }
        }
        if !self.origins.is_empty() {
            *text += &format!("\n[pools.{name}.access.cors]\n");
            *text += &format!("origins = {}\n", Value::List(self.origins.clone()).render());
        }
        for upstream in &self.upstreams {
            *text += &format!("\n[[pools.{name}.upstreams]]\n");
            upstream.settings().render(text);
            if !upstream.headers.is_empty() {
                let set = |(name, value): &(String, String)| format!("{} = {}", quoted(name), quoted(value));
                let headers = upstream.headers.iter().map(set).collect::<Vec<_>>().join(", ");
                *text += &format!("headers = {{ {headers} }}\n");
            }
        }
    }
}

impl Upstream {
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.set("name", self.name.to_string());
        settings.set("url", self.url.as_str());
        if let Some(url) = &self.ws_url {
            settings.set("ws_url", url.as_str());
        }
        settings.set("provider", self.provider.to_string());
        if self.tier > 0 {
            settings.set("tier", self.tier);
        }
        if let Some(weight) = self.weight {
            settings.set("weight", weight);
        }
        if let Some(rate) = self.rate {
            settings.set("rate", format!("{rate}/s"));
        }
        settings
    }
}

/// The text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
