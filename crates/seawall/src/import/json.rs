//! JSON as a tree of settings.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::tree::{Broken, Tree, Value};

/// Most levels.
const MAX_DEPTH: usize = 32;

/// Reads a whole JSON document. Numbers and booleans are texts, as they are written.
pub(super) fn json(text: &str) -> Result<Tree, Broken> {
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|e| Broken { line: e.line(), why: "it is no JSON".to_owned() })?;
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    tree(raw, text, &starts, MAX_DEPTH)
}

/// The value and what is below it; `starts` are where lines begin.
fn tree(raw: &RawValue, text: &str, starts: &[usize], depth: usize) -> Result<Tree, Broken> {
    let own = raw.get();
    // The value is a part of the text: where it stands is how far apart they begin.
    let at = own.as_ptr() as usize - text.as_ptr() as usize;
    let line = starts.partition_point(|start| *start <= at);
    let broken = |why: &str| Broken { line, why: why.to_owned() };
    let too_deep = || broken(&format!("it is more than {MAX_DEPTH} levels deep"));
    let value = match own.as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(own).map_err(|_| broken("it is no list"))?;
            let below = depth.checked_sub(1).ok_or_else(too_deep)?;
            Value::List(
                items.into_iter().map(|one| tree(one, text, starts, below)).collect::<Result<_, _>>()?,
            )
        }
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(own).map_err(|_| broken("it is no object"))?;
            let below = depth.checked_sub(1).ok_or_else(too_deep)?;
            let one = |(key, raw): (String, &RawValue)| Ok((key, tree(raw, text, starts, below)?));
            Value::Map(entries.into_iter().map(one).collect::<Result<_, Broken>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(own).map_err(|_| broken("it is no text"))?),
        _ if own == "null" => Value::Null,
        _ => Value::Text(own.to_owned()),
    };
    Ok(Tree { line, value })
}

/// What an object holds, in the order of the file; of a key that is there twice, each.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
