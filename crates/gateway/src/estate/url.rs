//! An upstream's URL. Path and query may hold a key, so nothing here quotes them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::Uri;
use seawall_model::{
    Secret,
    estate::{Decode, Node, Place, Problems, SecretSource},
};
use seawall_runtime::net::Endpoint;

/// A URL as written. Of one that stands in the file, reports show scheme and host and hide the rest.
#[derive(Debug, Clone)]
pub struct UrlSource(pub SecretSource);

/// Longest URL, in bytes.
const MAX_URL: usize = 4 * 1024;

/// Length from which a part of a path or query looks like a key, in characters.
const KEY_LENGTH: usize = 16;

impl Decode for UrlSource {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.text().map(SecretSource::new) {
            Some(source @ (SecretSource::Env(_) | SecretSource::File(_))) => Some(Self(source)),
            Some(source @ SecretSource::Literal(_)) => {
                node.text()
                    .into_iter()
                    .flat_map(|text| secret_parts(text, node.place))
                    .for_each(|p| problems.hide(p));
                Some(Self(source))
            }
            None => {
                node.hide(problems);
                node.mismatch("a URL in quotes", problems);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        SecretSource::schema()
    }
}

/// The stretches of a literal URL that may hold a secret: all of it where that cannot be told.
fn secret_parts(text: &str, place: Place) -> Vec<Place> {
    let span = place.span();
    let Some(after_scheme) = text.find("://").map(|at| at + 3) else { return vec![place] };
    // Longer than text and quotes means escapes or a multi-line text: offsets would not be the file's.
    if span.len() != text.len() + 2 {
        return vec![place];
    }
    let rest = &text[after_scheme..];
    let end = after_scheme + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user_end = text[after_scheme..end].rfind('@').map_or(after_scheme, |at| after_scheme + at);
    let at = |range: std::ops::Range<usize>| {
        Place::new(place.file, span.start + 1 + range.start..span.start + 1 + range.end)
    };
    vec![at(after_scheme..user_end), at(end..text.len())]
}

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// Where to dial.
    pub(super) endpoint: Endpoint,
    /// Value of the `host` header.
    pub(super) host: Arc<str>,
    /// Path and query.
    pub(super) path: Secret,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum InvalidUrl {
    #[error("this is not a URL")]
    Form,
    #[error("the URL is longer than {MAX_URL} bytes")]
    TooLong,
    #[error("the URL's scheme is neither `http` nor `https`")]
    Scheme,
    #[error("the URL's scheme is neither `ws` nor `wss`")]
    SocketScheme,
    #[error("the URL has no host, or one that is no DNS name and no address")]
    Host,
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    #[error("the URL holds a user name or password")]
    UserInfo,
    #[error("the URL has a fragment (`#…`), which is never sent")]
    Fragment,
}

impl InvalidUrl {
    /// What to do about it.
    pub(super) fn cure(self) -> &'static str {
        match self {
            Self::Form | Self::TooLong => "write it as in `https://eth.example/v2`",
            Self::Scheme => "Seawall speaks HTTP to upstreams: begin with `https://` or `http://`",
            Self::SocketScheme => "this is a WebSocket: begin with `wss://` or `ws://`",
            Self::Host => {
                "write a DNS name in ASCII (punycode), an IPv4 address, or an IPv6 address in brackets"
            }
            Self::Port => "correct the port, or leave it out for 443 (https) or 80 (http)",
            Self::UserInfo => {
                "remove it and set a header: `headers = { authorization = \"env:NAME\" }`, the variable \
                 holding `Basic …`"
            }
            Self::Fragment => "remove the `#` and what follows; in a query write it as `%23`",
        }
    }
}

/// Why this cannot be an upstream's URL, or that of its WebSocket, and what to do about it; `None` if it can.
pub fn url_fault(text: &str, socket: bool) -> Option<(String, &'static str)> {
    if matches!(SecretSource::new(text), SecretSource::Env(_) | SecretSource::File(_)) {
        return Some((InvalidUrl::Form.to_string(), InvalidUrl::Form.cure()));
    }
    let parsed = if socket { Target::parse_socket(text) } else { Target::parse(text) };
    parsed.err().map(|fault| (fault.to_string(), fault.cure()))
}

impl Target {
    /// Takes the URL of a WebSocket apart (RFC 6455, section 3): that of an HTTP request but for its scheme.
    pub(super) fn parse_socket(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::Form)?;
        match scheme.to_ascii_lowercase().as_str() {
            "wss" => Self::parse(&format!("https://{rest}")),
            "ws" => Self::parse(&format!("http://{rest}")),
            _ => Err(InvalidUrl::SocketScheme),
        }
    }

    /// Takes a URL apart.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidUrl> {
        if text.len() > MAX_URL {
            return Err(InvalidUrl::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::Form)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidUrl::Scheme),
        };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if authority.contains('@') {
            return Err(InvalidUrl::UserInfo);
        }
        if rest.contains('#') {
            return Err(InvalidUrl::Fragment);
        }
        let (host, port) = split_port(authority)?;
        let host: Arc<str> = valid_host(host).ok_or(InvalidUrl::Host)?.into();
        let uri = Uri::try_from(text).map_err(|_| InvalidUrl::Form)?;
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        // A query may follow the host at once; a request's target begins with a slash all the same.
        let path = Secret::new(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") });
        let usual = if tls { 443 } else { 80 };
        let endpoint = Endpoint { host, port: port.unwrap_or(usual), tls, credentials: None };
        let shown = endpoint.to_string();
        let host = shown.strip_suffix(&format!(":{usual}")).unwrap_or(&shown).into();
        Ok(Self { endpoint, host, path })
    }

    /// True if what is sent there never leaves the machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = &*self.endpoint.host;
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// True if a part of path or query looks like a key: long, of letters and digits mixed.
    pub(super) fn holds_key(&self) -> bool {
        let parts = self.path.expose().split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        parts.into_iter().any(|part| {
            let (digits, letters) =
                (part.contains(|c: char| c.is_ascii_digit()), part.contains(char::is_alphabetic));
            part.len() >= KEY_LENGTH && digits && letters
        })
    }
}

/// Host and port of an authority; an IPv6 address without its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidUrl> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(InvalidUrl::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| InvalidUrl::Host)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(InvalidUrl::Host),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(InvalidUrl::Host),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let number = port.parse().ok().filter(|n| digits && *n != 0).ok_or(InvalidUrl::Port)?;
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
    use seawall_model::estate::FileId;

    use super::*;

    /// `url` is dialled at `endpoint` with this `host` header and path.
    fn check(url: &str, endpoint: &str, host: &str, path: &str) {
        let target = Target::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        let shown = (target.endpoint.to_string(), &*target.host, target.path.expose());
        assert_eq!(shown, (endpoint.to_owned(), host, path), "{url}");
        assert_eq!(target.endpoint.tls, url.to_lowercase().starts_with("https"), "{url}");
    }

    #[test]
    fn urls_are_taken_apart() {
        check("https://eth.example/v2/key?a=b", "eth.example:443", "eth.example", "/v2/key?a=b");
        check("http://127.0.0.1:9201", "127.0.0.1:9201", "127.0.0.1:9201", "/");
        check("HTTPS://Eth.Example:443/", "eth.example:443", "eth.example", "/");
        check("https://[::1]:8545/x", "[::1]:8545", "[::1]:8545", "/x");
        check("https://[::1]", "[::1]:443", "[::1]", "/");
        check("http://node_1:80?q", "node_1:80", "node_1", "/?q");
    }

    #[test]
    fn sockets_are_dialled_as_their_handshakes_are() {
        let at = |url: &str| Target::parse_socket(url).map(|target| target.endpoint.to_string());
        assert_eq!(at("wss://eth.example/ws/key").as_deref(), Ok("eth.example:443"));
        assert_eq!(at("WS://127.0.0.1:8546").as_deref(), Ok("127.0.0.1:8546"));
        assert_eq!(at("https://eth.example"), Err(InvalidUrl::SocketScheme));
        assert_eq!(at("eth.example"), Err(InvalidUrl::Form));
    }

    #[test]
    fn what_cannot_be_dialled_is_refused() {
        use InvalidUrl as E;
        let cases = [
            ("eth.example", E::Form),
            ("", E::Form),
            ("ws://eth.example", E::Scheme),
            ("https://", E::Host),
            ("https:///v2", E::Host),
            ("https://a..b", E::Host),
            ("https://münchen.example", E::Host),
            ("https://1.2.3", E::Host),
            ("https://a:b:c", E::Host),
            ("https://[::1", E::Host),
            ("https://[::1]x", E::Host),
            ("https://a:0", E::Port),
            ("https://a:", E::Port),
            ("https://a:+80", E::Port),
            ("https://a:65536", E::Port),
            ("https://me:pw@a", E::UserInfo),
            ("https://a/#x", E::Fragment),
            ("https://a/b c", E::Form),
            ("https://a/\r\nx: y", E::Form),
        ];
        for (url, error) in cases {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
        assert_eq!(Target::parse(&format!("https://a/{}", "x".repeat(MAX_URL))), Err(E::TooLong));
    }

    #[test]
    fn keys_in_urls_are_noticed() {
        let holds = |url: &str| Target::parse(url).unwrap().holds_key();
        assert!(holds("https://a/v2/AbCdEf0123456789xyz"));
        assert!(holds("https://a/?apikey=0123456789abcdef0"));
        assert!(!holds("https://a/ext/bc/C/rpc"));
        assert!(!holds("https://a/internationalization"));
    }

    #[test]
    fn only_scheme_and_host_are_shown() {
        let shown = |url: &str| {
            let place = Place::new(FileId(0), 10..12 + url.len());
            let mut text = format!("\"{url}\"").into_bytes();
            for part in secret_parts(url, place) {
                text[part.span().start - 10..part.span().end - 10].fill(b'*');
            }
            String::from_utf8(text).unwrap()
        };
        assert_eq!(shown("https://me:pw@a.b/k?x"), "\"https://*****@a.b****\"");
        assert_eq!(shown("https://a.b"), "\"https://a.b\"");
        assert_eq!(shown("nothing"), "*********");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|https?://[\\[\\]:@/?#a-z0-9.%]{0,20}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(target.path.expose().starts_with('/'));
                prop_assert!(http::HeaderValue::from_str(&target.host).is_ok());
            }
            let place = Place::new(FileId(0), 0..text.len() + 2);
            for part in secret_parts(&text, place) {
                prop_assert!(part.start <= part.end && part.end <= place.end);
            }
        }
    }
}
