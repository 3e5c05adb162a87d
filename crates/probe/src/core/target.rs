//! What is checked, from how it is written: `https://host/path`, `tcp://host:port`, `dns:name`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use http::Uri;
use seawall_model::Secret;
use seawall_runtime::net::Endpoint;

use super::{beat::Expected, chain::Part, journey::Journey};

/// Longest target, in bytes.
pub const MAX_TARGET: usize = 4 * 1024;
/// Longest name of a gRPC service, in bytes.
const MAX_SERVICE: usize = 255;
/// Length from which a part of a path or query looks like a key, in characters.
const KEY_LENGTH: usize = 16;

/// What is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// `http://` and `https://`: a request.
    Http(Url),
    /// `evm+http://` and `evm+https://`: the head of a chain, over JSON-RPC.
    Evm(Url),
    /// `heads+http://`, `op-node+http://` and `conductor+http://`, each over TLS as well: what a part of a rollup says,
    /// over one JSON-RPC batch.
    Chain(Part, Url),
    /// `ws://` and `wss://`: a WebSocket's handshake, a ping and its pong.
    WebSocket(Url),
    /// `grpc://` and `grpcs://`: health as gRPC tells it. The path names a service; without one it is the server's.
    Grpc(Url),
    /// `tcp://`: a connection.
    Tcp(Endpoint),
    /// `udp://`: a datagram and the one that comes back.
    Udp(Endpoint),
    /// `ntp://`: how far the clock is from a time server's.
    Ntp(Endpoint),
    /// `icmp://`: an echo (ping). There are no ports.
    Icmp(Endpoint),
    /// Heartbeats that somebody pushes. It is not written as a target.
    Push(Expected),
    /// A program and its arguments. It is not written as a target.
    Exec(Vec<Arc<str>>),
    /// `tls://`: a handshake and the certificates shown.
    Tls(Endpoint),
    /// `dns:` and `dns://`: what a resolver says of a name.
    Dns(Question),
    /// `smtp://`: a mail server's greeting and `EHLO`; `smtps://` over TLS.
    Smtp(Endpoint),
    /// `redis://`: `PING`; `rediss://` over TLS.
    Redis(Endpoint),
    /// `postgres://`: whether a PostgreSQL server takes connections.
    Postgres(Endpoint),
    /// `nats://`: a NATS server's greeting and `PING`.
    Nats(Endpoint),
    /// Requests one after another; only an estate declares them.
    Journey(Arc<Journey>),
}

/// An HTTP URL taken apart. Path and query may hold a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Url {
    /// Where to dial.
    pub endpoint: Endpoint,
    /// Value of the `host` header.
    pub host: Arc<str>,
    /// Path and query.
    pub path: Secret,
}

/// What a resolver is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Whom to ask; the system's resolver if nobody is named.
    pub resolver: Option<Endpoint>,
    /// The name.
    pub name: Arc<str>,
    /// Records of what type.
    pub kind: RecordKind,
}

macro_rules! record_kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal,)*) => {
        /// A type of DNS records.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum RecordKind { $($(#[doc = $doc])* $name,)* }

        impl RecordKind {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The type as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

record_kinds! {
    /// IPv4 addresses.
    A = "A",
    /// IPv6 addresses.
    Aaaa = "AAAA",
    /// Certificate authorities that may issue.
    Caa = "CAA",
    /// Another name for it.
    Cname = "CNAME",
    /// Keys of a signed zone.
    Dnskey = "DNSKEY",
    /// The digest of a signed zone's key, held by its parent.
    Ds = "DS",
    /// Mail servers.
    Mx = "MX",
    /// Name servers.
    Ns = "NS",
    /// The name of an address.
    Ptr = "PTR",
    /// The zone's start, with its serial.
    Soa = "SOA",
    /// Servers of a service.
    Srv = "SRV",
    /// Texts.
    Txt = "TXT",
}

/// Why a text is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// No scheme, or one that is not known.
    #[error("the target begins with no scheme that can be checked")]
    Scheme,
    /// Not written as its scheme wants.
    #[error("the target is not written as its scheme wants")]
    Form,
    /// Longer than [`MAX_TARGET`].
    #[error("the target is longer than {MAX_TARGET} bytes")]
    TooLong,
    /// No host, or none that there could be.
    #[error("the target has no host, or one that is no DNS name and no address")]
    Host,
    /// No port, or none that there could be.
    #[error("the target's port is missing, or not a number from 1 to 65535")]
    Port,
    /// A port where there are none.
    #[error("an echo goes to a host: it has no port")]
    NoPorts,
    /// A name and password before the host.
    #[error("the target holds a user name or password")]
    UserInfo,
    /// A `#…`, which is never sent.
    #[error("the target has a fragment (`#…`), which is never sent")]
    Fragment,
    /// A path where there is nothing it could mean.
    #[error("nothing may follow host and port here")]
    Path,
    /// A path that is not the name of a gRPC service.
    #[error("what follows the host is not the name of a gRPC service")]
    Service,
    /// A type of records that is not known.
    #[error("the type of DNS records is not one that can be asked for")]
    Kind,
}

impl InvalidTarget {
    /// What to do about it.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Scheme => {
                "begin with one of https http tcp udp tls dns icmp ntp wss ws grpcs grpc evm+https evm+http heads+http op-node+http \
                 conductor+http smtp smtps redis rediss postgres nats, and `://`"
            }
            Self::Form | Self::TooLong => {
                "write it as in `https://shop.example/health`, `tcp://db.example:5432` or `dns:shop.example`"
            }
            Self::Host => {
                "write a DNS name in ASCII (punycode), an IPv4 address, or an IPv6 address in brackets"
            }
            Self::Port => "add or correct the port, as in `tcp://db.example:5432`",
            Self::UserInfo => {
                "remove it and set a header: `headers = { authorization = \"env:NAME\" }`, the variable holding \
                 `Basic …`"
            }
            Self::Fragment => "remove the `#` and what follows; in a query write it as `%23`",
            Self::NoPorts => "remove the port; for a port use `tcp://` or `udp://`",
            Self::Path => "remove what follows",
            Self::Service => {
                "write it as in `grpcs://pay.example/pay.v1.Payments`, or leave it out for the server as a whole"
            }
            Self::Kind => "ask for A, AAAA, CAA, CNAME, DNSKEY, DS, MX, NS, PTR, SOA, SRV or TXT",
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if text.len() > MAX_TARGET {
            return Err(InvalidTarget::TooLong);
        }
        let (scheme, rest) = text.split_once(':').ok_or(InvalidTarget::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "dns" {
            return question(rest).map(Self::Dns);
        }
        let bare = |tls, port| {
            let rest = rest.strip_prefix("//").ok_or(InvalidTarget::Form)?;
            bare(rest, tls, port)
        };
        let url = |tls| url(rest, tls, Some(if tls { 443 } else { 80 }));
        match scheme.as_str() {
            "http" | "https" => url(scheme == "https").map(Self::Http),
            "evm+http" | "evm+https" => url(scheme == "evm+https").map(Self::Evm),
            "heads+http" | "heads+https" => {
                url(scheme == "heads+https").map(|url| Self::Chain(Part::Execution, url))
            }
            "op-node+http" | "op-node+https" => {
                url(scheme == "op-node+https").map(|url| Self::Chain(Part::OpNode, url))
            }
            "conductor+http" | "conductor+https" => {
                url(scheme == "conductor+https").map(|url| Self::Chain(Part::Conductor, url))
            }
            "grpc" | "grpcs" => service(rest, scheme == "grpcs").map(Self::Grpc),
            "ws" | "wss" => url(scheme == "wss").map(Self::WebSocket),
            "tcp" => bare(false, None).map(Self::Tcp),
            "udp" => bare(false, None).map(Self::Udp),
            "ntp" => bare(false, Some(123)).map(Self::Ntp),
            "icmp" => portless(rest).map(Self::Icmp),
            "tls" => bare(true, Some(443)).map(Self::Tls),
            "smtp" => bare(false, Some(25)).map(Self::Smtp),
            "smtps" => bare(true, Some(465)).map(Self::Smtp),
            "redis" => bare(false, Some(6379)).map(Self::Redis),
            "rediss" => bare(true, Some(6379)).map(Self::Redis),
            "postgres" | "postgresql" => bare(false, Some(5432)).map(Self::Postgres),
            "nats" => bare(false, Some(4222)).map(Self::Nats),
            _ => Err(InvalidTarget::Scheme),
        }
    }
}

impl Target {
    /// Does it make something that it takes back at its end?
    pub fn cleans_up(&self) -> bool {
        matches!(self, Self::Journey(journey) if journey.steps.iter().any(|step| step.always))
    }

    /// The scheme as it is written in plain and over TLS.
    pub fn scheme(&self) -> &'static str {
        let tls = self.endpoint().is_some_and(|e| e.tls);
        match (self, tls) {
            (Self::Http(_), false) => "http",
            (Self::Http(_), true) => "https",
            (Self::Evm(_), false) => "evm+http",
            (Self::Evm(_), true) => "evm+https",
            (Self::Chain(Part::Execution, _), false) => "heads+http",
            (Self::Chain(Part::Execution, _), true) => "heads+https",
            (Self::Chain(Part::OpNode, _), false) => "op-node+http",
            (Self::Chain(Part::OpNode, _), true) => "op-node+https",
            (Self::Chain(Part::Conductor, _), false) => "conductor+http",
            (Self::Chain(Part::Conductor, _), true) => "conductor+https",
            (Self::WebSocket(_), false) => "ws",
            (Self::WebSocket(_), true) => "wss",
            (Self::Grpc(_), false) => "grpc",
            (Self::Grpc(_), true) => "grpcs",
            (Self::Tcp(_), _) => "tcp",
            (Self::Udp(_), _) => "udp",
            (Self::Ntp(_), _) => "ntp",
            (Self::Icmp(_), _) => "icmp",
            (Self::Push(_), _) => "push",
            (Self::Exec(_), _) => "exec",
            (Self::Tls(_), _) => "tls",
            (Self::Dns(_), _) => "dns",
            (Self::Smtp(_), false) => "smtp",
            (Self::Smtp(_), true) => "smtps",
            (Self::Redis(_), false) => "redis",
            (Self::Redis(_), true) => "rediss",
            (Self::Postgres(_), _) => "postgres",
            (Self::Nats(_), _) => "nats",
            (Self::Journey(_), _) => "journey",
        }
    }

    /// Where to dial; none for what the system's resolver is asked.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Http(url)
            | Self::Evm(url)
            | Self::Chain(_, url)
            | Self::WebSocket(url)
            | Self::Grpc(url) => Some(&url.endpoint),
            Self::Tcp(to) | Self::Tls(to) | Self::Smtp(to) => Some(to),
            Self::Redis(to) | Self::Postgres(to) | Self::Nats(to) => Some(to),
            Self::Udp(to) | Self::Ntp(to) | Self::Icmp(to) => Some(to),
            Self::Dns(question) => question.resolver.as_ref(),
            Self::Push(_) | Self::Exec(_) => None,
            Self::Journey(journey) => journey.target()?.endpoint(),
        }
    }

    /// The URL, of what is asked over HTTP.
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Http(url)
            | Self::Evm(url)
            | Self::Chain(_, url)
            | Self::WebSocket(url)
            | Self::Grpc(url) => Some(url),
            Self::Tcp(_) | Self::Tls(_) | Self::Dns(_) | Self::Smtp(_) => None,
            Self::Redis(_) | Self::Postgres(_) | Self::Nats(_) | Self::Journey(_) => None,
            Self::Udp(_) | Self::Ntp(_) | Self::Icmp(_) | Self::Push(_) | Self::Exec(_) => None,
        }
    }

    /// True if a part of path or query looks like a key: long, of letters and digits mixed.
    pub fn holds_key(&self) -> bool {
        let url = match self {
            Self::Http(url) | Self::Evm(url) | Self::Chain(_, url) | Self::WebSocket(url) => url,
            // The name of a service may be long.
            Self::Grpc(_) => return false,
            Self::Tcp(_) | Self::Tls(_) | Self::Dns(_) | Self::Smtp(_) => return false,
            Self::Redis(_) | Self::Postgres(_) | Self::Nats(_) | Self::Journey(_) => return false,
            Self::Udp(_) | Self::Ntp(_) | Self::Icmp(_) | Self::Push(_) | Self::Exec(_) => return false,
        };
        let parts = url.path.expose().split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        parts.into_iter().any(|part| {
            let (digits, letters) =
                (part.contains(|c: char| c.is_ascii_digit()), part.contains(char::is_alphabetic));
            part.len() >= KEY_LENGTH && digits && letters
        })
    }
}

/// As it may be shown: without a query, and without a path that may hold a key.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Dns(question) = self {
            return fmt::Display::fmt(question, f);
        }
        if let Self::Exec(command) = self {
            // Arguments may hold what nobody else is to see.
            return write!(f, "exec:{}", command.first().map_or("", |program| program));
        }
        let Some(endpoint) = self.endpoint() else { return f.write_str(self.scheme()) };
        if let Self::Icmp(to) = self {
            let shown = endpoint.to_string();
            return write!(f, "icmp://{}", shown.strip_suffix(&format!(":{}", to.port)).unwrap_or(&shown));
        }
        let Some(url) = self.url() else { return write!(f, "{}://{endpoint}", self.scheme()) };
        write!(f, "{}://{}", self.scheme(), url.host)?;
        let path = url.path.expose().split('?').next().unwrap_or_default();
        f.write_str(if self.holds_key() { "/…" } else { path })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resolver {
            Some(to) => write!(f, "dns://{to}/{}?type={}", self.name, self.kind.as_str()),
            None => write!(f, "dns:{}?type={}", self.name, self.kind.as_str()),
        }
    }
}

/// What follows an HTTP scheme's colon.
fn url(rest: &str, tls: bool, usual: Option<u16>) -> Result<Url, InvalidTarget> {
    let rest = rest.strip_prefix("//").ok_or(InvalidTarget::Form)?;
    if rest.contains('#') {
        return Err(InvalidTarget::Fragment);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let endpoint = endpoint(authority, tls, usual)?;
    // A query may follow the host at once; a request's target begins with a slash all the same.
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if Uri::try_from(&*path).is_err() {
        return Err(InvalidTarget::Form);
    }
    let shown = endpoint.to_string();
    let usual = usual.and_then(|usual| shown.strip_suffix(&format!(":{usual}")));
    let host = usual.unwrap_or(&shown).into();
    Ok(Url { endpoint, host, path: Secret::new(path) })
}

/// What follows `grpc:`: host, port and perhaps the name of a service.
fn service(rest: &str, tls: bool) -> Result<Url, InvalidTarget> {
    let url = url(rest, tls, tls.then_some(443))?;
    let name = url.path.expose().strip_prefix('/').unwrap_or_default();
    if name.len() > MAX_SERVICE || name.contains(['/', '?', '%']) {
        return Err(InvalidTarget::Service);
    }
    Ok(url)
}

/// `host:port`, and nothing else.
fn bare(rest: &str, tls: bool, port: Option<u16>) -> Result<Endpoint, InvalidTarget> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    match rest.find(['/', '?', '#']) {
        Some(at) if rest[..at].contains('@') => Err(InvalidTarget::UserInfo),
        Some(_) => Err(InvalidTarget::Path),
        None => endpoint(rest, tls, port),
    }
}

/// What follows `icmp:`: a host.
fn portless(rest: &str) -> Result<Endpoint, InvalidTarget> {
    let rest = rest.strip_prefix("//").ok_or(InvalidTarget::Form)?;
    let named = split_port(rest.strip_suffix('/').unwrap_or(rest)).is_ok_and(|(_, port)| port.is_some());
    if named { Err(InvalidTarget::NoPorts) } else { bare(rest, false, Some(0)) }
}

/// What follows `dns:`: `name`, or `//resolver/name`, each perhaps with `?type=MX`.
fn question(rest: &str) -> Result<Question, InvalidTarget> {
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let kind = match query {
        None => RecordKind::A,
        Some(query) => {
            let word = query.strip_prefix("type=").ok_or(InvalidTarget::Form)?;
            let known = RecordKind::ALL.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word));
            *known.ok_or(InvalidTarget::Kind)?
        }
    };
    let (resolver, name) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (resolver, name) = rest.split_once('/').ok_or(InvalidTarget::Form)?;
            let resolver =
                if resolver.is_empty() { None } else { Some(endpoint(resolver, false, Some(53))?) };
            (resolver, name)
        }
        None => (None, rest),
    };
    let root = name == ".";
    let name = if root { Some(name.to_owned()) } else { valid_host(name) };
    let name = name.filter(|name| name.parse::<IpAddr>().is_err()).ok_or(InvalidTarget::Host)?;
    Ok(Question { resolver, name: name.into(), kind })
}

fn endpoint(authority: &str, tls: bool, usual: Option<u16>) -> Result<Endpoint, InvalidTarget> {
    if authority.contains('@') {
        return Err(InvalidTarget::UserInfo);
    }
    let (host, port) = split_port(authority)?;
    let host: Arc<str> = valid_host(host).ok_or(InvalidTarget::Host)?.into();
    Ok(Endpoint { host, port: port.or(usual).ok_or(InvalidTarget::Port)?, tls, credentials: None })
}

/// Host and port of an authority; an IPv6 address without its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidTarget> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(InvalidTarget::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| InvalidTarget::Host)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(InvalidTarget::Host),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(InvalidTarget::Host),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let number = port.parse().ok().filter(|n| digits && *n != 0).ok_or(InvalidTarget::Port)?;
    Ok((host, Some(number)))
}

/// The host in lower case, if it is an address or a DNS name (RFC 1123, with the `_` some use).
fn valid_host(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let name = host.strip_suffix('.').unwrap_or(&host);
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last_is_number = name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    let good = match last_is_number {
        true => host.parse::<Ipv4Addr>().is_ok(),
        false => host.parse::<Ipv6Addr>().is_ok() || (name.len() <= 253 && name.split('.').all(label)),
    };
    good.then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, shown: &str, at: Option<&str>) {
        let target: Target = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        let dialled = target.endpoint().map(ToString::to_string);
        assert_eq!((target.to_string().as_str(), dialled.as_deref()), (shown, at), "{text}");
    }

    #[test]
    fn targets_are_taken_apart() {
        check("https://Shop.Example/health?k=1", "https://shop.example/health", Some("shop.example:443"));
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080/", Some("127.0.0.1:8080"));
        check("https://[::1]/a", "https://[::1]/a", Some("[::1]:443"));
        check("https://a/v2/AbCdEf0123456789xyz", "https://a/…", Some("a:443"));
        check("evm+https://eth.example/v2", "evm+https://eth.example/v2", Some("eth.example:443"));
        check("heads+https://eth.example", "heads+https://eth.example/", Some("eth.example:443"));
        check("op-node+http://seq:9545", "op-node+http://seq:9545/", Some("seq:9545"));
        check("conductor+http://seq:8547", "conductor+http://seq:8547/", Some("seq:8547"));
        check("wss://eth.example", "wss://eth.example/", Some("eth.example:443"));
        check("grpc://[::1]:50051", "grpc://[::1]:50051/", Some("[::1]:50051"));
        check("grpcs://a/pay.v1.PaymentsV2Internal", "grpcs://a/pay.v1.PaymentsV2Internal", Some("a:443"));
        check("tcp://db:5432", "tcp://db:5432", Some("db:5432"));
        check("udp://[::1]:9", "udp://[::1]:9", Some("[::1]:9"));
        check("ntp://time.example/", "ntp://time.example:123", Some("time.example:123"));
        check("icmp://[::1]", "icmp://[::1]", Some("[::1]:0"));
        check("icmp://gw.example/", "icmp://gw.example", Some("gw.example:0"));
        check("tls://mail.example", "tls://mail.example:443", Some("mail.example:443"));
        check("smtp://mail.example/", "smtp://mail.example:25", Some("mail.example:25"));
        check("dns:shop.example", "dns:shop.example?type=A", None);
        check(
            "dns://1.1.1.1/shop.example?type=mx",
            "dns://1.1.1.1:53/shop.example?type=MX",
            Some("1.1.1.1:53"),
        );
        check("dns://[::1]:5353/a.b?type=SOA", "dns://[::1]:5353/a.b?type=SOA", Some("[::1]:5353"));
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        use InvalidTarget as E;
        let cases = [
            ("shop.example", E::Scheme),
            ("gopher://a", E::Scheme),
            ("https:a", E::Form),
            ("https://", E::Host),
            ("https://a..b", E::Host),
            ("https://me:pw@a", E::UserInfo),
            ("https://a/#x", E::Fragment),
            ("https://a/b c", E::Form),
            ("https://a:0", E::Port),
            ("grpc://a/x", E::Port),
            ("grpcs://a/x/y", E::Service),
            ("tcp://a", E::Port),
            ("udp://a", E::Port),
            ("icmp://a:1", E::NoPorts),
            ("icmp://a/b", E::Path),
            ("tcp://a:1/x", E::Path),
            ("redis://:pw@a/0", E::UserInfo),
            ("dns:", E::Host),
            ("dns:1.1.1.1", E::Host),
            ("dns:a?type=ANY", E::Kind),
            ("dns:a?kind=A", E::Form),
            ("dns://a", E::Form),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|(https?|grpcs?|tcp|udp|ntp|icmp|dns|evm\\+http)://[\\[\\]:@/?#a-z0-9.%=]{0,20}") {
            if let Ok(target) = text.parse::<Target>() {
                // What is shown can be read again, unless a path was hidden.
                let shown = target.to_string();
                prop_assert!(shown.contains('…') || shown.parse::<Target>().is_ok(), "{}", shown);
            }
        }
    }
}
