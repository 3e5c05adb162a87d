//! Answers of upstreams.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::request::text;

/// One JSON-RPC answer, borrowing from the body. Exactly one of `result` and `error` is there.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The id, as written; null and absent are both `None`.
    pub id: Option<&'a RawValue>,
    /// What the call gave, as written; `null` is a result.
    pub result: Option<&'a RawValue>,
    /// Why it gave nothing.
    pub error: Option<RpcError<'a>>,
}

impl Answer<'_> {
    /// True if the call gave null.
    pub fn is_null(&self) -> bool {
        self.result.is_some_and(|r| r.get() == "null")
    }
}

/// The error of an answer.
#[derive(Debug, Clone, Deserialize)]
pub struct RpcError<'a> {
    /// The code.
    pub code: i64,
    /// What went wrong; empty where the node does not say.
    #[serde(borrow, default)]
    pub message: Cow<'a, str>,
    /// More about it, as written.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// Why a body is not one JSON-RPC answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAnAnswer {
    /// It holds nothing.
    #[error("the body is empty")]
    Empty,
    /// It ends in the middle.
    #[error("the body ends in the middle of the JSON")]
    Cut,
    /// It is no JSON, or more than one value.
    #[error("the body is not one JSON value")]
    NotJson,
    /// It is JSON, but no JSON-RPC answer.
    #[error("the body is not a JSON-RPC answer")]
    NotAnAnswer,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<RpcError<'a>>,
}

/// Keeps a null apart from an absent member.
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(d).map(Some)
}

/// Parses a body that must be exactly one answer, to its last byte.
pub fn parse_answer(body: &[u8]) -> Result<Answer<'_>, NotAnAnswer> {
    let text = str::from_utf8(body).map_err(|e| match e.error_len() {
        None => NotAnAnswer::Cut,
        Some(_) => NotAnAnswer::NotJson,
    })?;
    if text.trim_ascii().is_empty() {
        return Err(NotAnAnswer::Empty);
    }
    // A struct may also be read from an array of its fields; an answer may not.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => NotAnAnswer::NotAnAnswer,
            Err(e) => because(&e),
        });
    }
    let members: Members<'_> = serde_json::from_str(text).map_err(|e| because(&e))?;
    if members.jsonrpc.is_some_and(|version| version != "2.0") {
        return Err(NotAnAnswer::NotAnAnswer);
    }
    let Members { id, result, error, .. } = members;
    match (result, error) {
        (Some(result), None) => Ok(Answer { id, result: Some(result), error: None }),
        (None, Some(error)) => Ok(Answer { id, result: None, error: Some(error) }),
        (Some(result), Some(error)) if result.get() == "null" => {
            Ok(Answer { id, result: None, error: Some(error) })
        }
        (Some(_), Some(_)) | (None, None) => Err(NotAnAnswer::NotAnAnswer),
    }
}

fn because(e: &serde_json::Error) -> NotAnAnswer {
    match e.classify() {
        serde_json::error::Category::Eof => NotAnAnswer::Cut,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => NotAnAnswer::NotJson,
        serde_json::error::Category::Data => NotAnAnswer::NotAnAnswer,
    }
}

/// True if two ids mean the same: the same text, the same string written with other escapes, or the same
/// number written another way (`1`, `1.0`).
pub fn same_id(a: &RawValue, b: &RawValue) -> bool {
    let (a_text, b_text) = (a.get(), b.get());
    if a_text == b_text {
        return true;
    }
    match (text(a), text(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => {
            // Two whole numbers written differently differ, also where a double could not tell.
            let whole = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
            let (Ok(a), Ok(b)) = (a_text.parse::<f64>(), b_text.parse::<f64>()) else { return false };
            !(whole(a_text) && whole(b_text)) && a == b
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}
