//! Secrets: written as `env:NAME` or `file:PATH`, resolved by whoever may read those.

use serde_json::Value;

use super::{At, Code, Decode, Node, Problem, Problems, schema_of_text};
use crate::Secret;

/// Where a secret is to be had from. What is written literally is hidden from every report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The environment variable of this name (`env:NAME`).
    Env(String),
    /// The file of this name, relative to the estate file that says so (`file:PATH`).
    File(String),
    /// The text itself.
    Literal(Secret),
}

impl SecretSource {
    /// Reads a secret's text.
    pub fn new(text: &str) -> Self {
        match text.split_once(':') {
            Some(("env", name)) => Self::Env(name.to_owned()),
            Some(("file", path)) => Self::File(path.to_owned()),
            Some(_) | None => Self::Literal(Secret::new(text)),
        }
    }
}

impl Decode for SecretSource {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        // Hidden before anything is judged: a number or a list in this place may be a secret as well.
        let read = node.text().map(Self::new);
        if !matches!(read, Some(Self::Env(_) | Self::File(_))) {
            node.hide(problems);
        }
        if read.is_none() {
            node.mismatch("a text in quotes, as in `env:NAME` or `file:PATH`", problems);
        }
        read
    }

    fn schema() -> Value {
        schema_of_text("`env:NAME`, `file:PATH` or the text itself", "")
    }
}

/// Fetches a secret. The place tells which file's directory a `file:PATH` is relative to.
pub type Resolve<'a> = dyn Fn(&At<SecretSource>) -> Result<Secret, Unresolved> + 'a;

/// Why a secret could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// The variable is not set.
    #[error("is not set")]
    Unset,
    /// The variable or file holds what is no UTF-8 text.
    #[error("is not UTF-8 text")]
    NotText,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
}

impl Unresolved {
    fn cure(&self) -> &'static str {
        match self {
            Self::Unset => {
                "set it before Seawall starts, as with `export` or a systemd unit's `Environment=`"
            }
            Self::NotText => "store the secret as UTF-8 text",
            Self::Unreadable(_) => {
                "make it a file that the user Seawall runs as may read; a relative path starts from the estate file"
            }
            Self::Empty => "give it a value; a line's end is cut off before use",
        }
    }
}

impl At<SecretSource> {
    /// Fetches the secret by `resolve`; reports if it cannot be had.
    pub fn resolve(&self, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Secret> {
        let report = |e: Unresolved| {
            // A secret may have come to stand where its source should be named.
            let what = match &self.value {
                SecretSource::Env(name) => {
                    format!("the environment variable {}", problems.quote(name, self.place))
                }
                SecretSource::File(path) => format!("the secret's file {}", problems.quote(path, self.place)),
                SecretSource::Literal(_) => "the secret".to_owned(),
            };
            problems.report(Problem::new(Code::Secret, self.place, format!("{what} {e}")).help(e.cure()));
        };
        resolve(self).map_err(report).ok()
    }
}
