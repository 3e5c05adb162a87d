//! Values that are one word of a few.

use serde_json::{Value, json};

use super::{Code, Node, Problem, Problems};

/// Declares an enum that an estate writes as a word, with its decoder (and "did you mean") and schema:
/// `choice! { /// Doc. pub enum Format { /// Doc. Human = "human", /// Doc. Json = "json" } }`.
#[macro_export]
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name {
            $($(#[doc = $variant_doc])* $variant,)+
        }

        impl $crate::estate::Decode for $name {
            fn decode(
                node: $crate::estate::Node<'_>,
                problems: &mut $crate::estate::Problems,
            ) -> Option<Self> {
                match node.text() {
                    $(Some($word) => return Some(Self::$variant),)+
                    Some(_) | None => $crate::estate::macros::refuse_word(node, &[$($word),+], problems),
                }
                None
            }

            fn schema() -> $crate::estate::macros::Value {
                $crate::estate::macros::schema_of_words(&[$($word),+])
            }
        }
    };
}

/// Reports that the node is none of `words`.
pub fn refuse_word(node: Node<'_>, words: &[&str], problems: &mut Problems) {
    let listed = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    let Some(text) = node.text() else {
        return node.mismatch(&format!("one of {listed} in quotes"), problems);
    };
    let message = format!("{} is none of {listed}", problems.quote(text, node.place));
    problems.report_unlike(Problem::new(Code::InvalidValue, node.place, message), text, words);
}

/// The schema of one of `words`.
pub fn schema_of_words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}
