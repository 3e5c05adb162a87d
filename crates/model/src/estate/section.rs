//! Raw sections: a table of the estate, declared once for the decoder and the schema alike.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::{Code, Decode, Node, Place, Problem, Problems};

/// Declares a raw section. Each field names its type and whether it is `required`, `optional`, or has a
/// `default` (a literal as it would stand in the file). From that come the struct (`Option<T>` for the first
/// two: a field that is missing or broken has been reported, and validation goes on with the others), its
/// [`Decode`](crate::estate::Decode) and its JSON Schema, so that they cannot drift.
///
/// ```
/// use seawall_model::{Name, estate::At};
/// seawall_model::section! {
///     /// A team.
///     pub struct RawTeam {
///         /// Its name.
///         name: At<Name>, required;
///         /// How many are on call.
///         on_call: u32, default(1);
///     }
/// }
/// ```
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty, $presence:ident $(($default:tt))?;)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $($(#[doc = $field_doc])* $vis $field: $crate::section!(@field $presence $type),)*
        }

        impl $crate::estate::Decode for $name {
            fn decode(
                node: $crate::estate::Node<'_>,
                problems: &mut $crate::estate::Problems,
            ) -> Option<Self> {
                let mut reader = $crate::estate::SectionReader::open(node, problems)?;
                $(let $field = $crate::section!(@read reader $presence ($type) $field $($default)?);)*
                reader.close(&[$(stringify!($field)),*]);
                Some(Self { $($field),* })
            }

            fn schema() -> $crate::estate::macros::Value {
                $crate::estate::object_schema(concat!($($doc, "\n"),*), vec![$((
                    stringify!($field),
                    concat!($($field_doc, "\n"),*),
                    <$type as $crate::estate::Decode>::schema(),
                    $crate::section!(@presence $presence $($default)?),
                )),*])
            }
        }
    };
    (@field required $type:ty) => { Option<$type> };
    (@field optional $type:ty) => { Option<$type> };
    (@field default $type:ty) => { $type };
    (@read $reader:ident required ($type:ty) $field:ident) => {
        $reader.required::<$type>(stringify!($field))
    };
    (@read $reader:ident optional ($type:ty) $field:ident) => {
        $reader.optional::<$type>(stringify!($field))
    };
    (@read $reader:ident default ($type:ty) $field:ident $default:tt) => {
        $reader.or_default::<$type>(stringify!($field), stringify!($default))
    };
    (@presence required) => { $crate::estate::Presence::Required };
    (@presence optional) => { $crate::estate::Presence::Optional };
    (@presence default $default:tt) => { $crate::estate::Presence::Default(stringify!($default)) };
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It need not.
    Optional,
    /// It need not, and then has this value (a literal that is both TOML and JSON).
    Default(&'static str),
}

/// Reads the fields of a section and, at the end, reports the keys that nobody asked for.
pub struct SectionReader<'a, 'p> {
    entries: Vec<(&'a str, Place, Node<'a>)>,
    place: Place,
    problems: &'p mut Problems,
}

impl<'a, 'p> SectionReader<'a, 'p> {
    /// Begins with `node`; reports if it is no table.
    pub fn open(node: Node<'a>, problems: &'p mut Problems) -> Option<Self> {
        let entries = node.entries("a table", problems)?;
        Some(Self { entries, place: node.place, problems })
    }

    /// A field that must be there.
    pub fn required<T: Decode>(&mut self, key: &str) -> Option<T> {
        let found = self.entries.iter().find(|e| e.0 == key).map(|e| e.2);
        if found.is_none() {
            let message = format!("`{key}` is missing");
            self.problems.report(Problem::new(Code::MissingKey, self.place, message));
        }
        T::decode(found?, self.problems)
    }

    /// A field that may be there.
    pub fn optional<T: Decode>(&mut self, key: &str) -> Option<T> {
        let found = self.entries.iter().find(|e| e.0 == key).map(|e| e.2)?;
        T::decode(found, self.problems)
    }

    /// A field with a default, which also stands in for a broken value that has been reported.
    pub fn or_default<T: Decode>(&mut self, key: &str, default: &'static str) -> T {
        self.optional(key).unwrap_or_else(|| default_value(default, self.place))
    }

    /// Reports the keys that are none of `known`. What they hold is hidden: it may be a secret under a
    /// misspelt key.
    pub fn close(self, known: &[&str]) {
        for (key, place, node) in self.entries.iter().filter(|e| !known.contains(&e.0)) {
            node.hide(self.problems);
            let message = format!("unknown key {}", self.problems.quote(key, *place));
            let problem = Problem::new(Code::UnknownKey, *place, message)
                .help(format!("known here: {}", known.join(", ")));
            self.problems.report_unlike(problem, key, known);
        }
    }
}

/// The value of `literal`, as though it stood at `place`. Panics if it is none: literals are written in the
/// program, and tests decode every section's.
pub fn default_value<T: Decode>(literal: &'static str, place: Place) -> T {
    let value = DeValue::parse(literal).expect("a default is a TOML literal");
    let node = Node { value: value.get_ref(), place };
    T::decode(node, &mut Problems::default()).expect("a default is a value of its field")
}

/// The schema of a section: `fields` are its keys with their documentation, schema and presence.
pub fn object_schema(doc: &str, fields: Vec<(&'static str, &'static str, Value, Presence)>) -> Value {
    let required: Vec<_> = fields.iter().filter(|f| f.3 == Presence::Required).map(|f| f.0).collect();
    let mut properties = Map::new();
    for (key, doc, mut schema, presence) in fields {
        let form = schema.get("description").and_then(Value::as_str).map(|form| format!(" Form: {form}."));
        schema["description"] = json!(one_line(doc) + &form.unwrap_or_default());
        if let Presence::Default(literal) = presence {
            schema["default"] = serde_json::from_str(literal).expect("a default is a JSON literal");
        }
        properties.insert(key.to_owned(), schema);
    }
    let mut schema = json!({
        "type": "object",
        "description": one_line(doc),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
