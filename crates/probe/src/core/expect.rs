//! What an answer must be to be good.

use std::{fmt, ops::RangeInclusive, time::Duration};

use regex::bytes::{Regex, RegexBuilder};
use seawall_rules::Rule;
use serde_json::Value;

use super::fault::Fault;

/// Most ranges of good statuses.
pub const MAX_STATUSES: usize = 16;
/// Largest program that a regular expression may come to, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

/// What an answer must be. What does not apply to a target is never looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// Statuses of HTTP that are good.
    pub status: Statuses,
    /// A text that must be in the body (or what a TCP server says).
    pub contains: Option<String>,
    /// What must match somewhere in the body (or in what a server says).
    pub matches: Option<Pattern>,
    /// Bytes that must be in what a server says.
    pub bytes: Vec<u8>,
    /// A value that must be in the body.
    pub json: Option<JsonValue>,
    /// Records that must be among those a resolver gives.
    pub answers: Vec<String>,
    /// Oldest that the newest block of a chain may be.
    pub head_age: Option<Duration>,
    /// Farthest that a time server's clock may be from this machine's.
    pub max_offset: Option<Duration>,
    /// Conditions on all that was found, judged last, in their order ([`assert`](super::assert)).
    pub rules: Vec<Rule>,
    /// The body is held all the same: something is taken from it.
    pub held: bool,
}

/// A regular expression, in time linear in what it is matched with.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads one; why it is none otherwise.
    ///
    /// # Errors
    /// What is wrong with it, in a line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
        // It draws the place over several lines, and says why in the last.
        let why = |e: regex::Error| e.to_string().lines().last().unwrap_or_default().trim().to_owned();
        built.map(Self).map_err(why)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Bytes written in hexadecimal, two digits each.
pub fn read_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|b| char::from(b).to_digit(16)).collect::<Option<Vec<_>>>()?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).ok();
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(byte).collect::<Option<_>>())?
}

/// A value at a place in a JSON document (RFC 6901).
#[derive(Debug, Clone, PartialEq)]
pub struct JsonValue {
    /// Where, as in `/status/db`.
    pub pointer: String,
    /// What must stand there.
    pub equals: Value,
}

/// Statuses of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// Anything below 400: redirects are not followed.
impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl Statuses {
    /// Reads `200`, `2xx` or `200-204`, or several of these with commas between.
    pub fn parse(text: &str) -> Option<Self> {
        let ranges: Option<Vec<_>> = text.split(',').map(|part| range(part.trim())).collect();
        ranges.filter(|ranges| ranges.len() <= MAX_STATUSES).map(Self)
    }

    /// True if the status is among them.
    pub fn holds(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.parse().ok().filter(|n| (100..=599).contains(n) && !text.starts_with('+'));
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok().filter(|n| (1..=5).contains(n))?;
        return Some(class * 100..=class * 100 + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl Expect {
    /// True if the body is looked at, and so has to be held.
    pub fn wants_body(&self) -> bool {
        let reads = |rule: &Rule| ["body", "json", "metrics"].iter().any(|name| rule.names(name));
        self.held || self.wants_text() || self.json.is_some() || self.rules.iter().any(reads)
    }

    /// True if there is something that must be in what is said.
    pub fn wants_text(&self) -> bool {
        self.contains.is_some() || self.matches.is_some() || !self.bytes.is_empty()
    }

    /// Judges an HTTP answer: its status and, where it is looked at, the part of its body that was held.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, status: u16, body: &[u8]) -> Result<(), Fault> {
        if !self.status.holds(status) {
            return Err(Fault::HttpStatus { status, wanted: self.status.to_string() });
        }
        self.judge_text(body)?;
        let Some(wanted) = &self.json else { return Ok(()) };
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return Err(Fault::BodyNotJson) };
        match value.pointer(&wanted.pointer) {
            Some(found) if *found == wanted.equals => Ok(()),
            found => Err(Fault::BodyValue {
                pointer: wanted.pointer.clone(),
                wanted: shown(&wanted.equals),
                found: found.map_or_else(|| "nothing".to_owned(), shown),
            }),
        }
    }

    /// Judges a text that was received.
    ///
    /// # Errors
    /// If what must be in it is not.
    pub fn judge_text(&self, text: &[u8]) -> Result<(), Fault> {
        if let Some(wanted) = self.contains.as_ref().filter(|wanted| !holds(text, wanted)) {
            return Err(Fault::BodyText { wanted: wanted.clone() });
        }
        if let Some(Pattern(wanted)) = self.matches.as_ref().filter(|wanted| !wanted.0.is_match(text)) {
            return Err(Fault::BodyPattern { wanted: wanted.to_string() });
        }
        let found = self.bytes.is_empty() || text.windows(self.bytes.len()).any(|at| at == self.bytes);
        if found { Ok(()) } else { Err(Fault::BodyBytes { wanted: hex(&self.bytes) }) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True if the bytes hold the text.
pub fn holds(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// A value as a sentence may hold it.
fn shown(value: &Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_read() {
        let check = |text: &str, shown: Option<&str>| {
            assert_eq!(Statuses::parse(text).map(|s| s.to_string()).as_deref(), shown, "{text}");
        };
        check("200", Some("200"));
        check("2xx, 301", Some("200-299,301"));
        check("200-204", Some("200-204"));
        for bad in ["", "x", "99", "600", "204-200", "6xx", "+200", "200,"] {
            check(bad, None);
        }
        assert!(Statuses::default().holds(302) && !Statuses::default().holds(404));
    }

    #[test]
    fn what_is_said_is_judged() {
        let kind = |expect: &Expect, text: &[u8]| expect.judge_text(text).err().map(|f| f.kind());
        let matches = Expect { matches: Some(Pattern::parse("^ok \\d+$").unwrap()), ..Expect::default() };
        assert_eq!(kind(&matches, b"ok 12"), None);
        assert_eq!(kind(&matches, b"ok \xff"), Some("body_pattern"));
        let bytes = Expect { bytes: read_hex("00fF").unwrap(), ..Expect::default() };
        assert_eq!(kind(&bytes, b"a\x00\xff"), None);
        assert_eq!(
            bytes.judge_text(b"\xff").unwrap_err().to_string(),
            "the answer does not hold the bytes 00ff"
        );
        assert_eq!((read_hex(""), read_hex("0"), read_hex("0x")), (Some(vec![]), None, None));
        assert_eq!(Pattern::parse("a(b"), Err("error: unclosed group".into()));
        assert!(Pattern::parse(&"(a{1000}){1000}".repeat(9)).is_err());
    }

    #[test]
    fn answers_are_judged() {
        let json = Some(JsonValue { pointer: "/a/0".into(), equals: json!("b") });
        let expect = Expect { contains: Some("ok".into()), json, ..Expect::default() };
        let kind = |status, body: &str| expect.judge(status, body.as_bytes()).err().map(|f| f.kind());
        assert_eq!(kind(200, r#"{"a":["b"],"c":"ok"}"#), None);
        assert_eq!(kind(503, "ok"), Some("http_status"));
        assert_eq!(kind(200, r#"{"a":["b"]}"#), Some("body_text"));
        assert_eq!(kind(200, "ok"), Some("body_not_json"));
        assert_eq!(kind(200, r#"{"a":["x"],"c":"ok"}"#), Some("body_value"));
        assert_eq!(kind(200, r#"{"c":"ok"}"#), Some("body_value"));
    }
}
