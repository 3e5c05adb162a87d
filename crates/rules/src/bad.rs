//! What can be wrong with a rule, and why one has no answer.

use std::{fmt, ops::Range};

use cel::ExecutionError;

/// The code of every rule that cannot be used.
pub const CODE: &str = "SW0126";

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRule {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the rule's text; lies on characters' boundaries.
    pub at: Range<usize>,
    /// What to do about it.
    pub cure: String,
}

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CODE}: at character {}: {}", self.at.start + 1, self.message)
    }
}

impl std::error::Error for BadRule {}

/// Why a rule has no answer. No value is part of it, since it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// A key of a map that is not there, or an element of a list beyond its end.
    #[error("{0} is not there")]
    Absent(String),
    /// Values of kinds for which there is no such operation.
    #[error("{0}")]
    Unfit(String),
    /// The answer is no truth.
    #[error("it comes to {0}, not to true or false")]
    NoTruth(&'static str),
    /// It could be more work than is ever done.
    #[error("it could be too much work with an answer of that size")]
    TooMuchWork,
    /// A number out of bounds, or a text that is none of the kind it is taken for.
    #[error("it cannot be worked out")]
    Undefined,
}

impl Unanswered {
    /// In words of our own: those of the interpreter may hold values. A key is told if it stands in the rule itself.
    pub(crate) fn told(error: &ExecutionError, rule: &str) -> Self {
        match error {
            ExecutionError::NoSuchKey(key) if rule.contains(key.as_str()) => Self::Absent(format!("`{key}`")),
            ExecutionError::NoSuchKey(_) => Self::Absent("the key".to_owned()),
            ExecutionError::IndexOutOfBounds(_) => Self::Absent("the element".to_owned()),
            ExecutionError::UndeclaredReference(name) if rule.contains(name.as_str()) => {
                Self::Absent(format!("`{name}`"))
            }
            ExecutionError::NoSuchOverload(e) => {
                let name = e.function().trim_matches(|c| c == '_' || c == '@').replace('_', "");
                Self::Unfit(format!("`{name}` is not for values of {}", e.argument_types().join(" and ")))
            }
            ExecutionError::ValuesNotComparable(..) => {
                Self::Unfit("values of different kinds have no order".to_owned())
            }
            _ => Self::Undefined,
        }
    }
}
