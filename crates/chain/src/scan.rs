//! Finds the parts of JSON text that is known to be valid, as byte ranges and without copying.
//!
//! [`items`] and [`members`] are only ever given (parts of) the text of a `RawValue`, which serde has
//! validated.

use std::ops::Range;

/// The items of an array. Yields nothing if `text` is no array.
pub(crate) fn items(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = if bytes.first() == Some(&b'[') { skip_space(bytes, 1) } else { bytes.len() };
    std::iter::from_fn(move || {
        if matches!(bytes.get(at), None | Some(b']')) {
            return None;
        }
        let range = at..value_end(bytes, at);
        at = skip_comma(bytes, range.end);
        Some(range)
    })
}

/// The members of an object: the key between its quotes, as written, and the value. Yields nothing if
/// `text` is no object.
pub(crate) fn members(text: &str) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut at = if bytes.first() == Some(&b'{') { skip_space(bytes, 1) } else { bytes.len() };
    std::iter::from_fn(move || {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = value_end(bytes, at);
        let value = skip_space(bytes, skip_space(bytes, key_end) + 1);
        let member = (at + 1..key_end - 1, value..value_end(bytes, value));
        at = skip_comma(bytes, member.1.end);
        Some(member)
    })
}

/// How deep arrays and objects stand in one another. For text of any validity.
pub(crate) fn depth(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut now, mut most) = (0, 0usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = value_end(bytes, at);
                continue;
            }
            b'[' | b'{' => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    most
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

fn skip_comma(bytes: &[u8], at: usize) -> usize {
    let at = skip_space(bytes, at);
    if bytes.get(at) == Some(&b',') { skip_space(bytes, at + 1) } else { at }
}

/// Where the value that begins at `at` ends.
fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'[' | b'{') => {
            let (mut at, mut depth) = (at, 0usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = string_end(bytes, at);
                        continue;
                    }
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
            bytes.len()
        }
        _ => {
            let rest = bytes.get(at..).unwrap_or_default();
            let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            at + rest.iter().position(ends).unwrap_or(rest.len())
        }
    }
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, value::RawValue};

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::from(-1.5)),
            r#"[a-z"\\\[\]{},: é]{0,6}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(r#"[a-z"\\{]{0,4}"#, inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn naive_depth(v: &Value) -> usize {
        match v {
            Value::Array(a) => 1 + a.iter().map(naive_depth).max().unwrap_or(0),
            Value::Object(o) => 1 + o.values().map(naive_depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn finds_what_serde_finds(v in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&v) } else { serde_json::to_string(&v) }.unwrap();
            prop_assert_eq!(depth(&text), naive_depth(&v));
            let found: Vec<&str> = items(&text).map(|r| &text[r]).collect();
            let wanted: Vec<&RawValue> = serde_json::from_str(&text).unwrap_or_default();
            prop_assert_eq!(found, wanted.iter().map(|r| r.get()).collect::<Vec<_>>());
            let found: Vec<(String, Value)> = members(&text)
                .map(|(k, v)| {
                    let key = format!("\"{}\"", &text[k]);
                    (serde_json::from_str(&key).unwrap(), serde_json::from_str(&text[v]).unwrap())
                })
                .collect();
            let wanted: Vec<(String, Value)> = v.as_object().cloned().unwrap_or_default().into_iter().collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn depth_is_told_of_any_text(text in r#"[\[\]{},:"\\a1 é]{0,24}"#) {
            let openers = text.bytes().filter(|b| matches!(b, b'[' | b'{')).count();
            prop_assert!(depth(&text) <= openers);
        }
    }
}
