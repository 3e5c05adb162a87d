//! From a tree to values, with every fault reported.

use std::{
    collections::BTreeMap,
    net::{AddrParseError, SocketAddr},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Code, Node, Place, Problem, Problems,
    choice::{refuse_word, schema_of_words},
};
use crate::{
    Name,
    units::{Bytes, CostRate, Currency, InvalidUnit, Money, Percent, Rate, parse_duration},
};

/// A value that can be read from an estate, and can say what it may look like there.
pub trait Decode: Sized {
    /// Reads the value. `None` after reporting what is wrong with it.
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self>;

    /// What `decode` accepts, as a JSON Schema (2020-12).
    fn schema() -> Value;
}

/// A value and where it stands. For an entry of a [`Table`], where its name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> At<T> {
    /// A value at a place.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl<T: Decode> Decode for At<T> {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        Some(Self { value: T::decode(node, problems)?, place: node.place })
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// Named things, as in `[pools.ethereum]`: in name order.
pub type Table<T> = BTreeMap<Name, At<T>>;

impl<T: Decode> Decode for Table<T> {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Self::new();
        for (key, place, child) in node.entries("a table of named things", problems)? {
            let name = Name::new(key).map_err(|_| {
                let (message, help) = not_a_name(&problems.quote(key, place));
                problems.report(Problem::new(Code::InvalidValue, place, message).help(help));
            });
            // The value is looked through even under a bad name.
            if let (Some(value), Ok(name)) = (T::decode(child, problems), name) {
                table.insert(name, At { value, place });
            }
        }
        Some(table)
    }

    fn schema() -> Value {
        json!({ "type": "object", "propertyNames": Name::schema(), "additionalProperties": T::schema() })
    }
}

impl<T: Decode> Decode for Vec<T> {
    /// The elements that can be read; the others have been reported.
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let elements = node.elements("a list", problems)?;
        Some(elements.into_iter().filter_map(|e| T::decode(e, problems)).collect())
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl Decode for String {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let text = node.text();
        if text.is_none() {
            node.mismatch("a text in quotes", problems);
        }
        text.map(str::to_owned)
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

impl Decode for bool {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let read = node.value.as_bool();
        if read.is_none() {
            node.mismatch("true or false", problems);
        }
        read
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

impl Decode for u64 {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(number) = node.value.as_integer() else {
            node.mismatch("a whole number", problems);
            return None;
        };
        let read = Self::from_str_radix(number.as_str(), number.radix()).ok();
        // TOML's own integers end there, and so does what other readers of the file can hold.
        let read = read.filter(|n| *n <= i64::MAX.unsigned_abs());
        if read.is_none() {
            let message = format!("a whole number from 0 to {} is expected", i64::MAX);
            problems.report(Problem::new(Code::InvalidValue, node.place, message));
        }
        read
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
    }
}

impl Decode for u32 {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let number = u64::decode(node, problems)?;
        let read = Self::try_from(number).ok();
        if read.is_none() {
            let message = format!("a whole number from 0 to {} is expected", Self::MAX);
            problems.report(Problem::new(Code::InvalidValue, node.place, message));
        }
        read
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": Self::MAX })
    }
}

/// The schema of a text of a certain form.
pub fn schema_of_text(form: &str, pattern: &str) -> Value {
    json!({ "type": "string", "description": form, "pattern": pattern })
}

/// Reads a text by `read`; `expected` says what it should be, and `advise` what to do about an error.
fn decode_text<T, E>(
    node: Node<'_>,
    problems: &mut Problems,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
    advise: impl FnOnce(E, &str) -> (String, String),
) -> Option<T> {
    let Some(text) = node.text() else {
        node.mismatch(expected, problems);
        return None;
    };
    match read(text) {
        Ok(value) => Some(value),
        Err(e) => {
            let (message, help) = advise(e, &problems.quote(text, node.place));
            problems.report(Problem::new(Code::InvalidValue, node.place, message).help(help));
            None
        }
    }
}

/// Values written as a quantity with its unit.
macro_rules! quantity {
    ($type:ty, $read:expr, $expected:literal, $pattern:literal) => {
        impl Decode for $type {
            fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
                decode_text(node, problems, $expected, $read, |e: InvalidUnit, text| {
                    (format!("{text} {} {}", e.why, e.what), format!("write {}", e.accepted))
                })
            }

            fn schema() -> Value {
                schema_of_text($expected, $pattern)
            }
        }
    };
}

quantity!(
    Duration,
    parse_duration,
    "a duration in quotes, as in `250ms` or `1h30m`",
    r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms|us|ns))+$"
);
quantity!(Bytes, str::parse, "a size in quotes, as in `64MiB`", r"^[0-9]+(\.[0-9]+)?([kMGT]B|[KMGT]iB|B)$");
quantity!(Rate, str::parse, "a rate in quotes, as in `300/s`", r"^[0-9]+(\.[0-9]+)?/[smhd]$");
quantity!(Percent, str::parse, "a percentage in quotes, as in `99.95%`", r"^[0-9]+(\.[0-9]+)?%$");
quantity!(
    CostRate,
    str::parse,
    "a cost over time in quotes, as in `$120k/h`",
    r"^(\$|€|£|¥|(USD|EUR|GBP|JPY|CHF) ?)[0-9]+(\.[0-9]+)?[kMB]?/[smhd]$"
);

quantity!(
    Money,
    str::parse,
    "an amount of money in quotes, as in `$50k`",
    r"^-?(\$|€|£|¥|(USD|EUR|GBP|JPY|CHF) ?)[0-9]+(\.[0-9]+)?[kMB]?$"
);

impl Decode for Currency {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let codes = Self::ALL.map(Self::code);
        let read = node.text().and_then(|text| Self::ALL.into_iter().find(|c| c.code() == text));
        if read.is_none() {
            refuse_word(node, &codes, problems);
        }
        read
    }

    fn schema() -> Value {
        schema_of_words(&Self::ALL.map(Self::code))
    }
}

impl Decode for Name {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        decode_text(node, problems, "a name in quotes", Self::new, |_, text| not_a_name(text))
    }

    fn schema() -> Value {
        schema_of_text("a name", r"^[a-z0-9][a-z0-9_-]{0,63}$")
    }
}

/// What is wrong with the quoted text, and what to do.
fn not_a_name(text: &str) -> (String, String) {
    let help = format!("use 1 to {} of a-z, 0-9, `-` and `_`, beginning with a letter or digit", Name::MAX);
    (format!("{text} is not a name"), help)
}

impl Decode for SocketAddr {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let expected = "an address and a port in quotes, as in `127.0.0.1:8545`";
        decode_text(node, problems, expected, str::parse, |_: AddrParseError, text| {
            let help = "write an IP address and a port, as in `127.0.0.1:8545` or `[::1]:8545`";
            (format!("{text} is not an address and a port"), help.to_owned())
        })
    }

    fn schema() -> Value {
        schema_of_text("an IP address and a port", r"^(\[[0-9a-fA-F:.%]+\]|[0-9.]+):[0-9]{1,5}$")
    }
}
