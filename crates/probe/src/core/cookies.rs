//! Cookies (RFC 6265) as long as one run of a journey keeps them.

use http::{HeaderMap, header};
use seawall_model::Wall;

/// Most cookies of one run; those beyond are not kept.
const MAX_COOKIES: usize = 64;
/// Longest cookie, in bytes.
const MAX_COOKIE: usize = 4 * 1024;

/// The cookies of a run.
#[derive(Default)]
pub struct Jar(Vec<Cookie>);

struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// It goes to that host alone, and not to those below it.
    host_only: bool,
    path: String,
    secure: bool,
}

impl Jar {
    /// Takes the cookies of an answer to a request for that path of that host.
    pub fn take(&mut self, host: &str, path: &str, headers: &HeaderMap, now: Wall) {
        for value in headers.get_all(header::SET_COOKIE) {
            let Some((cookie, over)) = value.to_str().ok().and_then(|text| read(text, host, path, now))
            else {
                continue;
            };
            let same =
                |c: &Cookie| (&c.name, &c.domain, &c.path) == (&cookie.name, &cookie.domain, &cookie.path);
            self.0.retain(|c| !same(c));
            if !over && self.0.len() < MAX_COOKIES {
                self.0.push(cookie);
            }
        }
    }

    /// What a request for that path sends along.
    pub fn header(&self, host: &str, path: &str, tls: bool) -> Option<String> {
        let path = path.split('?').next().unwrap_or_default();
        let goes = |c: &&Cookie| {
            let there = if c.host_only { host == c.domain } else { is_within(host, &c.domain) };
            there && covers(&c.path, path) && (tls || !c.secure)
        };
        let mut cookies: Vec<_> = self.0.iter().filter(goes).collect();
        // Those of longer paths first (section 5.4).
        cookies.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        let each: Vec<_> = cookies.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        (!each.is_empty()).then(|| each.join("; "))
    }

    /// The values, none of which is ever shown.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|c| c.value.as_str())
    }
}

/// A cookie, and whether it is over already (section 5.2).
fn read(text: &str, host: &str, path: &str, now: Wall) -> Option<(Cookie, bool)> {
    if text.len() > MAX_COOKIE {
        return None;
    }
    let mut parts = text.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        domain: host.to_owned(),
        host_only: true,
        path: usual_path(path),
        secure: false,
    };
    let (mut expires, mut age) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').map_or((part, ""), |(key, value)| (key.trim(), value.trim()));
        match key.to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "domain" if !value.is_empty() => {
                cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                cookie.host_only = false;
            }
            "max-age" => age = value.parse::<i64>().ok(),
            "expires" => expires = httpdate::parse_http_date(value).ok(),
            _ => {}
        }
    }
    let good = !cookie.name.is_empty() && is_within(host, &cookie.domain);
    let expired = expires
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|at| i64::try_from(at.as_millis()).unwrap_or(i64::MAX) <= now.0);
    let over = age.map_or_else(|| expired.unwrap_or(false), |age| age <= 0);
    good.then_some((cookie, over))
}

/// Is it that host, or one below it? A single label, as `com`, and an address have none below them.
fn is_within(host: &str, domain: &str) -> bool {
    let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (below && domain.contains('.') && host.parse::<std::net::IpAddr>().is_err())
}

/// The path that a cookie is for which says nothing of it (section 5.1.4).
fn usual_path(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    match path.rfind('/') {
        Some(at) if at > 0 => path[..at].to_owned(),
        Some(_) | None => "/".to_owned(),
    }
}

/// Does the cookie's path cover the request's (section 5.1.4)?
fn covers(cookie: &str, request: &str) -> bool {
    request
        .strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(set: &[&str], host: &str, path: &str, tls: bool) -> Option<String> {
        let mut jar = Jar::default();
        for cookie in set {
            let headers =
                HeaderMap::from_iter([(header::SET_COOKIE, HeaderValue::from_str(cookie).unwrap())]);
            jar.take("api.venue.example", "/v1/login", &headers, Wall(1_000_000_000_000));
        }
        jar.header(host, path, tls)
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let host = "api.venue.example";
        assert_eq!(sent(&["sid=a; HttpOnly"], host, "/v1/orders?x=1", true).as_deref(), Some("sid=a"));
        assert_eq!(sent(&["sid=a"], host, "/v2/orders", true), None);
        assert_eq!(sent(&["sid=a; Path=/"], host, "/v2", true).as_deref(), Some("sid=a"));
        assert_eq!(sent(&["sid=a; Path=/"], "www.venue.example", "/", true), None);
        let wide = ["sid=a; Path=/; Domain=.venue.example"];
        assert_eq!(sent(&wide, "www.venue.example", "/", true).as_deref(), Some("sid=a"));
        assert_eq!(sent(&wide, "www.evilvenue.example", "/", true), None);
        assert_eq!(sent(&["sid=a; Path=/; Domain=other.example"], host, "/", true), None);
        assert_eq!(sent(&["sid=a; Path=/; Domain=example"], host, "/", true), None);
        assert_eq!(sent(&["sid=a; Path=/; Secure"], host, "/", false), None);
        assert_eq!(sent(&["a=1; Path=/", "b=2"], host, "/v1/x", true).as_deref(), Some("b=2; a=1"));
    }

    #[test]
    fn cookies_are_replaced_and_taken_back() {
        let host = "api.venue.example";
        assert_eq!(sent(&["sid=a", "sid=b"], host, "/v1/x", true).as_deref(), Some("sid=b"));
        assert_eq!(sent(&["sid=a", "sid=; Max-Age=0"], host, "/v1/x", true), None);
        assert_eq!(
            sent(&["sid=a", "sid=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], host, "/v1/x", true),
            None
        );
        assert_eq!(sent(&["", "=x", "novalue"], host, "/v1/x", true), None);
        let many: Vec<_> = (0..100).map(|n| format!("c{n}=1; Path=/")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(sent(&many, host, "/", true).unwrap().split(';').count(), MAX_COOKIES);
    }
}
