//! Which web pages may use a pool.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use seawall_model::{
    estate::{At, Code, Problem, Problems},
    section,
    units::show_duration,
};

/// Most origins, methods or headers listed.
const MAX_LISTED: usize = 64;
/// Longest time that a browser may remember what it was told.
const MAX_AGE: Duration = Duration::from_secs(86_400);

section! {
    /// Which web pages may use a pool (CORS).
    pub struct RawCors {
        /// Their origins, as in `["https://app.example.org", "https://*.example.org"]`; `*` is every page.
        origins: Vec<At<String>>, default([]);
        /// Methods they may use.
        methods: Vec<At<String>>, default(["GET", "POST"]);
        /// Request headers they may set.
        headers: Vec<At<String>>, default(["authorization", "content-type", "x-api-key"]);
        /// Headers of answers they may read.
        expose: Vec<At<String>>, default([]);
        /// May they send cookies and client certificates?
        credentials: bool, default(false);
        /// How long a browser may remember this.
        max_age: At<Duration>, default("10m");
    }
}

/// Which web pages may use a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct CorsSection {
    /// Their origins.
    pub origins: Vec<Origin>,
    /// Methods they may use, joined by commas.
    pub methods: HeaderValue,
    /// Request headers they may set, joined by commas.
    pub headers: HeaderValue,
    /// Headers of answers they may read, joined by commas.
    pub expose: Option<HeaderValue>,
    /// May they send cookies and client certificates?
    pub credentials: bool,
    /// How long a browser may remember this, in seconds.
    pub max_age: HeaderValue,
}

/// Where a web page may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Anywhere.
    Any,
    /// This origin (RFC 6454): scheme, host, and port unless it is the scheme's own.
    Exactly(String),
    /// Every host under this one: what stands before the host's first label, and what after it.
    Below(String, String),
}

pub(super) fn validate(at: &At<RawCors>, problems: &mut Problems) -> Option<CorsSection> {
    let raw = &at.value;
    if raw.origins.is_empty() {
        let problem = Problem::new(Code::NoChoice, at.place, "`origins` lists no origin");
        problems.report(problem.help("list one, as in `origins = [\"https://app.example.org\"]`"));
        return None;
    }
    let lists = [&raw.origins, &raw.methods, &raw.headers, &raw.expose];
    if let Some(list) = lists.into_iter().find(|list| list.len() > MAX_LISTED) {
        let message = format!("{} of one thing are listed; at most {MAX_LISTED} are taken", list.len());
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let mut origins = Vec::new();
    for at in &raw.origins {
        match origin(&at.value) {
            Some(origin) => origins.push(origin),
            None => {
                let message =
                    format!("`{}` is no origin", at.value.chars().take(Problems::QUOTED).collect::<String>());
                let help = "write scheme, host and port alone, as in `https://app.example.org`; `*` may stand for the first label";
                problems.report(
                    Problem::new(Code::InvalidValue, at.place, message.escape_debug().to_string()).help(help),
                );
            }
        }
    }
    if raw.credentials && origins.contains(&Origin::Any) {
        let message = "every page could act with its visitors' credentials";
        let problem = Problem::new(Code::Contradiction, at.place, message);
        problems.report(problem.help("list the origins, or leave `credentials` out"));
        return None;
    }
    let methods =
        join(&raw.methods, "a method", |text| Method::from_bytes(text.as_bytes()).is_ok(), problems);
    let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).is_ok();
    let headers = join(&raw.headers, "a header's name", name, problems);
    let expose = join(&raw.expose, "a header's name", name, problems);
    if raw.max_age.value > MAX_AGE {
        let message = format!("`max_age` is more than {}", show_duration(MAX_AGE));
        problems.report(Problem::new(Code::InvalidValue, raw.max_age.place, message));
        return None;
    }
    Some(CorsSection {
        origins: (origins.len() == raw.origins.len()).then_some(origins)?,
        methods: methods?,
        headers: headers?,
        expose: Some(expose?).filter(|list| !list.is_empty()),
        credentials: raw.credentials,
        max_age: HeaderValue::from(raw.max_age.value.as_secs()),
    })
}

fn origin(text: &str) -> Option<Origin> {
    if text == "*" {
        return Some(Origin::Any);
    }
    let (scheme, rest) = text.split_once("://")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b);
    let good = |host: &str| !host.is_empty() && host.bytes().all(plain);
    if scheme.is_empty()
        || !scheme.bytes().all(|b| b.is_ascii_lowercase() || b"+-.".contains(&b) || b.is_ascii_digit())
    {
        return None;
    }
    match rest.strip_prefix("*.") {
        Some(above) => good(above).then(|| Origin::Below(format!("{scheme}://"), format!(".{above}"))),
        None => good(rest).then(|| Origin::Exactly(text.to_owned())),
    }
}

fn join(
    list: &[At<String>],
    what: &str,
    fits: impl Fn(&str) -> bool,
    problems: &mut Problems,
) -> Option<HeaderValue> {
    let mut good = true;
    for at in list.iter().filter(|at| !fits(&at.value)) {
        let message = format!("{} is not {what}", problems.quote(&at.value, at.place));
        problems.report(Problem::new(Code::InvalidValue, at.place, message));
        good = false;
    }
    let joined = list.iter().map(|at| at.value.as_str()).collect::<Vec<_>>().join(", ");
    good.then(|| HeaderValue::from_str(&joined).ok())?
}
