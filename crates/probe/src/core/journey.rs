//! A journey: requests one after another, in which later ones use what earlier ones were answered.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use regex::Regex;
use seawall_model::Secret;
use seawall_rules::{Facts, Rule};
use serde_json::Value;

use super::{
    assert::Answer,
    check::Check,
    target::{Target, Url},
};

/// Most steps of a journey.
pub const MAX_STEPS: usize = 32;
/// Most values that a step captures.
pub const MAX_CAPTURES: usize = 16;
/// Longest value that is captured, in bytes.
pub const MAX_VALUE: usize = 8 * 1024;
/// Largest that a request's path or body may become, in bytes.
const MAX_RENDERED: usize = 128 * 1024;
/// The value that is different in every run: 16 hexadecimal digits, for orders of one's own naming.
pub const RUN: &str = "run";

/// What was captured in a run so far, by name.
pub type Values = BTreeMap<String, String>;

/// A journey.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    /// Its steps, in order; at least one.
    pub steps: Vec<Step>,
    /// Time at the end of the whole that only steps made `always` may use.
    pub reserve: Duration,
    /// Keeps cookies from one step to the next.
    pub cookies: bool,
}

/// A step: a request, what its answer must be, and what is taken from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// It is made whatever happened before.
    pub always: bool,
    /// The check without what values go into.
    pub check: Check,
    /// Path and query.
    pub path: Template,
    /// Headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body.
    pub body: Template,
    /// What is taken from the answer.
    pub captures: Vec<Capture>,
}

/// A value taken from an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// What later steps call it.
    pub name: String,
    /// From where.
    pub from: Origin,
    /// It is never shown.
    pub secret: bool,
}

/// Where a value is taken from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A place in a JSON body (RFC 6901).
    Json(String),
    /// A header.
    Header(HeaderName),
    /// The body, where this matches: its first group, or all of it.
    Pattern(Regex),
    /// Whatever this comes to.
    Rule(Rule),
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) => a == b,
            (Self::Header(a), Self::Header(b)) => a == b,
            (Self::Pattern(a), Self::Pattern(b)) => a.as_str() == b.as_str(),
            (Self::Rule(a), Self::Rule(b)) => a == b,
            (Self::Json(_) | Self::Header(_) | Self::Pattern(_) | Self::Rule(_), _) => false,
        }
    }
}

/// A text with places for values, as in `/orders/{{id}}`.
#[derive(Clone, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, PartialEq)]
enum Piece {
    Text(String),
    Value(String),
}

/// Why a request cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// A value that no step before captured.
    Missing(String),
    /// A value does not fit where it goes.
    Unfit(&'static str),
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "`{name}` was not captured"),
            Self::Unfit(place) => write!(f, "what was captured does not fit into the {place}"),
        }
    }
}

impl Template {
    /// Reads a text; the error is what stands in braces and is no name.
    ///
    /// # Errors
    /// Braces that are not closed, or hold no name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let end = after.find("}}").ok_or("`{{` without `}}`")?;
            let name = after[..end].trim();
            let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            if name.is_empty() || !name.bytes().all(good) {
                return Err("`{{…}}` must hold the name of a value".to_owned());
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Value(name.to_owned()));
            rest = &after[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The names of the values that go into it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(name) => Some(name.as_str()),
        })
    }

    /// The text with the values in it, each as `write` has it.
    fn render(&self, values: &Values, write: impl Fn(&str) -> String) -> Result<String, Unready> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text += piece,
                Piece::Value(name) => {
                    let value = values.get(name).ok_or_else(|| Unready::Missing(name.clone()))?;
                    text += &write(value);
                }
            }
        }
        if text.len() > MAX_RENDERED { Err(Unready::Unfit("request")) } else { Ok(text) }
    }
}

/// What stands in a template may be a secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Journey {
    /// The first host that is asked.
    pub fn target(&self) -> Option<&Target> {
        self.steps.first().map(|step| &step.check.target)
    }
}

impl Step {
    /// The check with the values in it.
    ///
    /// # Errors
    /// A value is missing, or does not fit.
    pub fn ready(&self, values: &Values) -> Result<(Check, Url), Unready> {
        let mut check = self.check.clone();
        let Target::Http(url) = &check.target else { return Err(Unready::Unfit("target")) };
        let path = self.path.render(values, encoded)?;
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        if http::Uri::try_from(path.as_str()).is_err() {
            return Err(Unready::Unfit("path"));
        }
        let url = Url { path: Secret::new(path), ..url.clone() };
        check.headers = HeaderMap::with_capacity(self.headers.len());
        for (name, template) in &self.headers {
            let text = template.render(values, str::to_owned)?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| Unready::Unfit("header"))?;
            value.set_sensitive(true);
            check.headers.insert(name.clone(), value);
        }
        check.body = Bytes::from(self.body.render(values, str::to_owned)?);
        check.target = Target::Http(url.clone());
        Ok((check, url))
    }
}

impl Capture {
    /// Takes the value; the error says why there is none.
    ///
    /// # Errors
    /// It is not there, or longer than [`MAX_VALUE`].
    pub fn take(&self, facts: &Facts, answer: &Answer) -> Result<String, String> {
        let text = || String::from_utf8_lossy(&answer.body);
        let value = match &self.from {
            Origin::Json(pointer) => {
                let json =
                    serde_json::from_slice::<Value>(&answer.body).map_err(|_| "the answer is not JSON")?;
                written(json.pointer(pointer).ok_or_else(|| format!("there is nothing at {pointer:?}"))?)
            }
            Origin::Header(name) => {
                let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
                value.ok_or_else(|| format!("there is no header `{name}`"))?.to_owned()
            }
            Origin::Pattern(pattern) => {
                let text = text();
                let found = pattern.captures(&text).ok_or("the pattern is not in the body")?;
                found.get(1).or(found.get(0)).map_or("", |found| found.as_str()).to_owned()
            }
            Origin::Rule(rule) => written(&rule.answer(facts).map_err(|why| why.to_string())?),
        };
        if value.len() > MAX_VALUE { Err(format!("it is longer than {MAX_VALUE} bytes")) } else { Ok(value) }
    }
}

/// A value as a text: a text as it is, anything else as JSON.
fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value as a path or query holds it: all but what never means anything there (RFC 3986, section 2.3) encoded.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_into_their_places() {
        let values = Values::from([("id".to_owned(), "a/b ?".to_owned())]);
        let render = |text: &str| {
            let template = Template::parse(text)?;
            template.render(&values, encoded).map_err(|e| e.to_string())
        };
        assert_eq!(render("/orders/{{id}}?x={{ id }}").as_deref(), Ok("/orders/a%2Fb%20%3F?x=a%2Fb%20%3F"));
        assert_eq!(render("{\"a\":{\"b\":1}}").as_deref(), Ok("{\"a\":{\"b\":1}}"));
        assert_eq!(render("/{{other}}"), Err("`other` was not captured".to_owned()));
        for bad in ["{{", "{{}}", "{{a b}}", "{{A}}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", Template::parse("s3cret {{id}}").unwrap()), "[\"id\"]");
    }

    #[test]
    fn values_are_taken_from_answers() {
        let mut answer = Answer { body: Bytes::from_static(br#"{"id":7,"a":["x"]}"#), ..Answer::default() };
        answer.headers.insert("location", HeaderValue::from_static("/orders/7"));
        let mut facts = Facts::default();
        facts.set("json", &serde_json::json!({"id": 7}));
        let take = |from| Capture { name: "v".into(), from, secret: false }.take(&facts, &answer);
        let pattern = |text: &str| Origin::Pattern(Regex::new(text).unwrap());
        assert_eq!(take(Origin::Json("/id".into())).as_deref(), Ok("7"));
        assert_eq!(take(Origin::Json("/a/0".into())).as_deref(), Ok("x"));
        assert_eq!(take(Origin::Header(http::header::LOCATION)).as_deref(), Ok("/orders/7"));
        assert_eq!(take(pattern("\"id\":(\\d+)")).as_deref(), Ok("7"));
        assert_eq!(take(pattern("i.")).as_deref(), Ok("id"));
        let rule = Rule::compile("json.id + 1", &[("json", seawall_rules::Kind::Any)]).unwrap();
        assert_eq!(take(Origin::Rule(rule)).as_deref(), Ok("8"));
        assert!(take(Origin::Json("/b".into())).is_err() && take(pattern("zz")).is_err());
    }
}
