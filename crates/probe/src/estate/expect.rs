//! What an answer must be, as written.

use seawall_model::estate::{At, Code, Decode, Node, Problem, Problems};
use serde_json::{Value, json};
use toml::de::DeValue;

use super::raw::{RawExpect, RawJson};
use crate::core::{
    chain::Part,
    expect::{Expect, JsonValue, Pattern, Statuses, read_hex},
    target::Target,
};

/// Longest text that is looked for, in bytes.
const MAX_TEXT: usize = 4 * 1024;
/// Most records that are looked for.
const MAX_ANSWERS: usize = 32;

/// `200`, `"2xx"` or `"200-204,301"`.
#[derive(Debug, Clone)]
pub struct RawStatuses(Statuses);

impl Decode for RawStatuses {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match node.value {
            DeValue::Integer(n) => n.as_str(),
            DeValue::String(text) => text,
            _ => {
                node.mismatch("an HTTP status, as in `200` or `\"2xx\"`", problems);
                return None;
            }
        };
        let read = Statuses::parse(text);
        if read.is_none() {
            let message = format!("{} is no HTTP status", problems.quote(text, node.place));
            let help = "write `200`, `\"2xx\"`, or several as in `\"200-204,301\"`";
            problems.report(Problem::new(Code::InvalidValue, node.place, message).help(help));
        }
        read.map(Self)
    }

    fn schema() -> Value {
        let class = "([1-5][0-9][0-9](-[1-5][0-9][0-9])?|[1-5]xx)";
        json!({ "oneOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": format!("^ *{class} *(, *{class} *)*$") },
        ] })
    }
}

/// A text, a whole number, or true or false.
#[derive(Debug, Clone)]
pub struct RawScalar(Value);

impl Decode for RawScalar {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let read = match node.value {
            DeValue::String(text) => Some(json!(text)),
            DeValue::Boolean(truth) => Some(json!(truth)),
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok().map(|n| json!(n)),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        if read.is_none() {
            node.mismatch("a text, a whole number, or true or false", problems);
        }
        read.map(Self)
    }

    fn schema() -> Value {
        json!({ "type": ["string", "integer", "boolean"] })
    }
}

/// Judges what is expected of a target's answer. `None` if anything is wrong with it.
pub(super) fn validate(
    raw: Option<&At<RawExpect>>,
    target: &Target,
    problems: &mut Problems,
) -> Option<Expect> {
    let Some(At { value: raw, .. }) = raw else { return Some(Expect::default()) };
    let before = problems.errors();
    let http = matches!(target, Target::Http(_));
    let heard = matches!(target, Target::Tcp(_) | Target::Udp(_));
    let told = http || heard || matches!(target, Target::Exec(_));
    let kind = target.scheme();
    let mut fits = |key: &str, at: Option<seawall_model::estate::Place>, fits: bool| {
        if let Some(place) = at
            && !fits
        {
            let message = format!("`{key}` is not looked at for a target of `{kind}`");
            problems.report(Problem::new(Code::Contradiction, place, message).help("remove it"));
        }
    };
    fits("status", raw.status.as_ref().map(|at| at.place), http);
    fits("contains", raw.contains.as_ref().map(|at| at.place), told);
    fits("matches", raw.matches.as_ref().map(|at| at.place), told);
    fits("hex", raw.hex.as_ref().map(|at| at.place), heard);
    fits("max_offset", raw.max_offset.as_ref().map(|at| at.place), matches!(target, Target::Ntp(_)));
    fits("json", raw.json.as_ref().map(|at| at.place), http);
    fits("answers", raw.answers.as_ref().map(|at| at.place), matches!(target, Target::Dns(_)));
    let heads = matches!(target, Target::Evm(_) | Target::Chain(Part::Execution | Part::OpNode, _));
    fits("head_age", raw.head_age.as_ref().map(|at| at.place), heads);
    if let Some(at) = raw.contains.as_ref().filter(|at| at.value.is_empty() || at.value.len() > MAX_TEXT) {
        let message = format!("`contains` must be of 1 to {MAX_TEXT} bytes");
        problems.report(Problem::new(Code::InvalidValue, at.place, message));
    }
    if let Some(at) = raw.answers.as_ref().filter(|at| at.value.len() > MAX_ANSWERS) {
        let message = format!("{} records; at most {MAX_ANSWERS} are taken", at.value.len());
        problems.report(Problem::new(Code::Limit, at.place, message));
    }
    let matches = raw.matches.as_ref().map(|at| pattern(at, problems));
    let matches = match matches {
        Some(matches) => Some(matches?),
        None => None,
    };
    let bytes = raw.hex.as_ref().map_or(Some(Vec::new()), |at| hex(at, "hex", MAX_TEXT, problems));
    let json = raw.json.as_ref().map(|at| value(&at.value, problems));
    let json = match json {
        Some(json) => Some(json?),
        None => None,
    };
    let expect = Expect {
        status: raw.status.as_ref().map(|at| at.value.0.clone()).unwrap_or_default(),
        contains: raw.contains.as_ref().map(|at| at.value.clone()),
        matches,
        bytes: bytes?,
        json,
        answers: raw.answers.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
        head_age: raw.head_age.map(|at| at.value),
        max_offset: raw.max_offset.map(|at| at.value),
        rules: Vec::new(),
        held: false,
    };
    (problems.errors() == before).then_some(expect)
}

fn pattern(at: &At<String>, problems: &mut Problems) -> Option<Pattern> {
    let long = at.value.len() > MAX_TEXT;
    let read =
        if long { Err(format!("it is longer than {MAX_TEXT} bytes")) } else { Pattern::parse(&at.value) };
    match read {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let message = format!("`matches` is no regular expression: {why}");
            let help = "write it as RE2 and Rust do, without look-around and back-references; in TOML best in single quotes";
            problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
            None
        }
    }
}

/// Reads bytes in hexadecimal, from one to `most`.
pub(super) fn hex(at: &At<String>, key: &str, most: usize, problems: &mut Problems) -> Option<Vec<u8>> {
    let read = read_hex(&at.value).filter(|bytes| (1..=most).contains(&bytes.len()));
    if read.is_none() {
        let message = format!("`{key}` must be of 1 to {most} bytes, each in two hexadecimal digits");
        problems
            .report(Problem::new(Code::InvalidValue, at.place, message).help("write it as in `\"0a00ff\"`"));
    }
    read
}

fn value(raw: &RawJson, problems: &mut Problems) -> Option<JsonValue> {
    let (pointer, equals) = (raw.pointer.as_ref()?, raw.equals.as_ref()?);
    if !pointer.value.is_empty() && !pointer.value.starts_with('/') {
        let message = format!("{} points nowhere", problems.quote(&pointer.value, pointer.place));
        let help = "write it as in `/status/db/0`, or `\"\"` for the whole document";
        problems.report(Problem::new(Code::InvalidValue, pointer.place, message).help(help));
        return None;
    }
    Some(JsonValue { pointer: pointer.value.clone(), equals: equals.0.clone() })
}
