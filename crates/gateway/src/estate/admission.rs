//! Who goes first where not everybody can: `[pools.NAME.admission]`.

use std::time::Duration;

use seawall_model::{
    estate::{At, Code, Problem, Problems},
    section,
    units::{Percent, Rate},
};

use super::validate::{time, within};

/// Most methods or paths named in one list.
const MAX_NAMED: usize = 256;
/// Most requests of one method class that may wait.
const MAX_QUEUE: u32 = 100_000;
/// Largest share that may be kept for what is critical, in parts per million.
const MAX_RESERVE: u32 = 900_000;

section! {
    /// Who goes first where not everybody can.
    pub struct RawAdmission {
        /// What must get through: methods of a chain, or `METHOD /path/*` of an HTTP API; a chain's transactions if
        /// absent.
        critical: Vec<At<String>>, optional;
        /// What can wait, written alike.
        bulk: Vec<At<String>>, default([]);
        /// Most attempts of one method class in flight at one upstream; found out, with no ceiling, if absent.
        most: At<u32>, optional;
        /// Share of what the upstreams take at once that is kept for what is critical.
        reserve: At<Percent>, default("20%");
        /// Most requests of one method class that wait while the pool is full.
        queue: At<u32>, default(1024);
        /// Longest time that one of them waits, unless it is critical.
        wait: At<Duration>, default("5s");
        /// Most requests that one client address may send; no limit if absent. Counted in whole requests a second.
        per_address: At<Rate>, optional;
    }
}

/// Who goes first where not everybody can.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionSection {
    /// What must get through; `None` for a chain's transactions.
    pub critical: Option<Vec<Pattern>>,
    /// What can wait.
    pub bulk: Vec<Pattern>,
    /// Most attempts of one method class in flight at one upstream, whatever is found out.
    pub most: u32,
    /// Share of what the upstreams take at once that is kept for what is critical, 0 to 1.
    pub reserve: f64,
    /// Most requests of one method class that wait while the pool is full.
    pub queue: usize,
    /// Longest time that one of them waits, unless it is critical.
    pub wait: Duration,
    /// Most requests a second of one client address.
    pub per_address: Option<u32>,
}

impl Default for AdmissionSection {
    /// What an estate that says nothing of it gets.
    fn default() -> Self {
        Self {
            critical: None,
            bulk: Vec::new(),
            most: u32::MAX,
            reserve: 0.2,
            queue: 1_024,
            wait: Duration::from_secs(5),
            per_address: None,
        }
    }
}

/// Names requests: a JSON-RPC method, or an HTTP method and a path below the pool's route, of which either may
/// be left out. A part `*` stands for any one part; as the last one, for all that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    method: Option<Box<str>>,
    /// Its parts; `None` if there is no path.
    path: Option<Vec<Box<str>>>,
}

impl Pattern {
    /// Reads `eth_call`, `POST /orders/*/cancel`, `/orders` or `DELETE`.
    pub fn parse(text: &str) -> Option<Self> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), Some(path)),
            None if text.starts_with('/') => (None, Some(text)),
            None => (Some(text), None),
        };
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if method.is_some_and(|m| !word(m)) {
            return None;
        }
        let path = match path {
            Some(path) => {
                let parts = path.strip_prefix('/')?.split('/').map(Into::into).collect::<Vec<Box<str>>>();
                let bad = |p: &str| p.bytes().any(|b| b.is_ascii_whitespace() || b == b'?' || b == b'#');
                if parts.iter().any(|p| bad(p)) {
                    return None;
                }
                Some(parts)
            }
            None => None,
        };
        Some(Self { method: method.map(Into::into), path })
    }

    /// Does it name that JSON-RPC method?
    pub(crate) fn is_method(&self, name: &str) -> bool {
        self.path.is_none() && self.method.as_deref() == Some(name)
    }

    /// Does it name that request to an HTTP API?
    pub(crate) fn matches(&self, method: &http::Method, path: &str) -> bool {
        if self.method.as_deref().is_some_and(|m| m != method.as_str()) {
            return false;
        }
        let Some(parts) = &self.path else { return true };
        let mut given = path.strip_prefix('/').unwrap_or(path).split('/');
        for (i, part) in parts.iter().enumerate() {
            let Some(piece) = given.next() else { return false };
            let last = i + 1 == parts.len();
            match &**part {
                "*" if last => return !piece.is_empty(),
                "*" if !piece.is_empty() => {}
                exact if exact == piece => {}
                _ => return false,
            }
        }
        given.next().is_none()
    }

    fn has_path(&self) -> bool {
        self.path.is_some()
    }
}

/// Judges the section of a pool that serves a chain, or an HTTP API.
pub(super) fn validate(
    raw: Option<&At<RawAdmission>>,
    is_chain: bool,
    problems: &mut Problems,
) -> Option<AdmissionSection> {
    let Some(at) = raw else { return Some(AdmissionSection::default()) };
    let raw = &at.value;
    let critical = match &raw.critical {
        Some(named) => Some(patterns(named, is_chain, problems)?),
        None => None,
    };
    let bulk = patterns(&raw.bulk, is_chain, problems);
    let reserve = raw.reserve.value;
    if reserve.parts_per_million() > MAX_RESERVE {
        let message = format!("`reserve` is {reserve}, but must be from 0% to 90%");
        problems.report(Problem::new(Code::InvalidValue, raw.reserve.place, message));
        return None;
    }
    let most = match raw.most {
        Some(at) => within(at, 1, u32::MAX, "most", u32::to_string, problems),
        None => Some(u32::MAX),
    };
    let queue = within(raw.queue, 0, MAX_QUEUE, "queue", u32::to_string, problems);
    let wait = time(raw.wait, "wait", problems);
    let per_address = match raw.per_address {
        Some(at) => {
            let rate = u32::try_from(at.value.per_second()).ok().filter(|rate| *rate > 0);
            if rate.is_none() {
                let message =
                    format!("`per_address` is `{}`, but must be from 1/s to {}/s", at.value, u32::MAX);
                problems.report(Problem::new(Code::InvalidValue, at.place, message));
            }
            Some(rate?)
        }
        None => None,
    };
    Some(AdmissionSection {
        critical,
        bulk: bulk?,
        most: most?,
        reserve: reserve.as_fraction(),
        queue: usize::try_from(queue?).ok()?,
        wait: wait?,
        per_address,
    })
}

fn patterns(named: &[At<String>], is_chain: bool, problems: &mut Problems) -> Option<Vec<Pattern>> {
    if let Some(at) = named.get(MAX_NAMED) {
        let message = format!("{} are named; at most {MAX_NAMED} are taken", named.len());
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let mut good = Vec::with_capacity(named.len());
    for at in named {
        match Pattern::parse(&at.value).filter(|p| !(is_chain && p.has_path())) {
            Some(pattern) => good.push(pattern),
            None => {
                let message = format!("{} names no requests", problems.quote(&at.value, at.place));
                let help = match is_chain {
                    true => "write a method, as in `eth_sendRawTransaction`",
                    false => "write a method, a path, or both, as in `POST /orders/*/cancel`",
                };
                problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
            }
        }
    }
    (good.len() == named.len()).then_some(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_what_they_say() {
        let check = |pattern: &str, method: &str, path: &str, want: bool| {
            let method = http::Method::from_bytes(method.as_bytes()).unwrap();
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(&method, path), want, "{pattern}: {method} {path}");
        };
        check("POST /orders/*/cancel", "POST", "/orders/7/cancel", true);
        check("POST /orders/*/cancel", "POST", "/orders/7/8/cancel", false);
        check("POST /orders/*/cancel", "POST", "/orders//cancel", false);
        check("POST /orders/*/cancel", "GET", "/orders/7/cancel", false);
        check("/orders/*", "GET", "/orders/7/8", true);
        check("/orders/*", "GET", "/orders", false);
        check("/orders", "PUT", "/orders", true);
        check("/orders", "PUT", "/orders/7", false);
        check("DELETE", "DELETE", "/anything", true);
        check("/", "GET", "/", true);
        assert!(Pattern::parse("eth_call").unwrap().is_method("eth_call"));
        for bad in ["", " /x", "POST  /x", "POST x", "GET /a?b"] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }
}
