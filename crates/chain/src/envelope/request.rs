//! Requests, single and batch.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::code::{INVALID_REQUEST, PARSE_ERROR};
use crate::scan;

/// Deepest nesting of arrays and objects in a request. `RawValue` skips without recursion and so
/// without serde_json's own limit; but upstreams recurse.
pub const MAX_DEPTH: usize = 64;

/// One call, borrowing from the request's body.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// A string, a number or null, as written; `None` makes the call a notification.
    pub id: Option<&'a RawValue>,
    /// The method's name.
    pub method: Cow<'a, str>,
    /// An array or an object, as written.
    pub params: Option<&'a RawValue>,
}

/// What a client sent.
#[derive(Debug)]
pub enum Request<'a> {
    /// One call.
    Single(Call<'a>),
    /// At least one entry, each a call or what is wrong with it, in the order sent.
    Batch(Vec<Result<Call<'a>, Invalid<'a>>>),
}

/// The versions of JSON-RPC that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// 2.0, and a call must say so.
    Two,
    /// Any, also one that a call does not tell.
    Any,
}

/// Why something is not a call. Say it to the client with [`super::write_error`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Invalid<'a> {
    /// -32700 or -32600.
    pub code: i64,
    /// What is wrong.
    pub message: &'static str,
    /// The call's id where it can be told; else the answer's id is null.
    pub id: Option<&'a RawValue>,
}

impl Invalid<'_> {
    fn request(message: &'static str) -> Self {
        Self { code: INVALID_REQUEST, message, id: None }
    }
}

/// Parses a request body. A batch of more than `batch_limit` calls, or of none, is refused as a whole.
pub fn parse_request(body: &[u8], batch_limit: usize) -> Result<Request<'_>, Invalid<'_>> {
    parse_versions(body, batch_limit, Versions::Two)
}

/// As [`parse_request`], for calls of other versions too.
pub fn parse_versions(
    body: &[u8],
    batch_limit: usize,
    versions: Versions,
) -> Result<Request<'_>, Invalid<'_>> {
    let text = str::from_utf8(body).map_err(|_| Invalid {
        code: PARSE_ERROR,
        message: "the request is not UTF-8",
        id: None,
    })?;
    // Counting openers is one vectorised pass, and there are never fewer openers than levels.
    let openers = body.iter().filter(|b| matches!(b, b'[' | b'{')).count();
    if openers > MAX_DEPTH && scan::depth(text) > MAX_DEPTH {
        return Err(Invalid::request("the request is nested too deeply"));
    }
    let is_batch = text.trim_ascii_start().starts_with('[');
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = if is_batch {
        json.deserialize_seq(BatchVisitor { limit: batch_limit, versions }).map(|batch| match batch {
            Batch::Entries(entries) if entries.is_empty() => Err(Invalid::request("the batch is empty")),
            Batch::Entries(entries) => Ok(Request::Batch(entries)),
            Batch::TooMany => Err(Invalid::request("the batch holds too many calls")),
        })
    } else {
        Reads(versions).deserialize(&mut json).map(|entry| entry.0.map(Request::Single))
    };
    match parsed.and_then(|request| json.end().map(|()| request)) {
        Ok(request) => request,
        Err(_) => Err(Invalid { code: PARSE_ERROR, message: "the request is not JSON", id: None }),
    }
}

enum Batch<'a> {
    Entries(Vec<Result<Call<'a>, Invalid<'a>>>),
    TooMany,
}

struct BatchVisitor {
    limit: usize,
    versions: Versions,
}

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Entry(entry)) = seq.next_element_seed(Reads(self.versions))? {
            if entries.len() == self.limit {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Batch::TooMany);
            }
            entries.push(entry);
        }
        Ok(Batch::Entries(entries))
    }
}

/// A call or what is wrong with it. Fails to deserialize only where the text is no JSON, so that one bad
/// entry does not spoil its batch.
struct Entry<'a>(Result<Call<'a>, Invalid<'a>>);

/// Reads one entry, a call of these versions.
struct Reads(Versions);

impl<'de> DeserializeSeed<'de> for Reads {
    type Value = Entry<'de>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Entry<'de>, D::Error> {
        d.deserialize_any(EntryVisitor(self.0))
    }
}

struct EntryVisitor(Versions);

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(key) = map.next_key::<Key>()? {
            let slot = match key {
                Key::JsonRpc => &mut members.jsonrpc,
                Key::Id => &mut members.id,
                Key::Method => &mut members.method,
                Key::Params => &mut members.params,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<&RawValue>()?;
            members.duplicate |= slot.replace(value).is_some();
        }
        Ok(Entry(members.into_call(self.0)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(not_an_object())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(not_an_object())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(not_an_object())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(not_an_object())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(not_an_object())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(not_an_object())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(not_an_object())
    }
}

fn not_an_object<'a>() -> Entry<'a> {
    Entry(Err(Invalid::request("a call must be an object")))
}

#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    duplicate: bool,
}

impl<'a> Members<'a> {
    fn into_call(self, versions: Versions) -> Result<Call<'a>, Invalid<'a>> {
        let told = self.id.filter(|id| is_id(id)).filter(|_| !self.duplicate);
        let invalid = |message| Err(Invalid { code: INVALID_REQUEST, message, id: told });
        if self.duplicate {
            return invalid("a member of the call stands there twice");
        }
        if self.id.is_some() && told.is_none() {
            return invalid("`id` must be a string, a number or null");
        }
        if versions == Versions::Two && self.jsonrpc.and_then(text).as_deref() != Some("2.0") {
            return invalid("`jsonrpc` must be \"2.0\"");
        }
        let Some(method) = self.method.and_then(text) else {
            return invalid("`method` must be a string");
        };
        if self.params.is_some_and(|p| !p.get().starts_with(['[', '{'])) {
            return invalid("`params` must be an array or an object");
        }
        Ok(Call { id: self.id, method, params: self.params })
    }
}

fn is_id(id: &RawValue) -> bool {
    id.get() == "null" || id.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
}

/// The string that `value` is, if it is one.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(value.get()).ok().map(Cow::Owned),
    }
}

enum Key {
    JsonRpc,
    Id,
    Method,
    Params,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
        Ok(match name {
            "jsonrpc" => Key::JsonRpc,
            "id" => Key::Id,
            "method" => Key::Method,
            "params" => Key::Params,
            _ => Key::Other,
        })
    }
}
