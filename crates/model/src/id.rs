//! Names and component ids.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A name as written in an estate: 1 to 64 of `a-z`, `0-9`, `-`, `_`, beginning with a letter or digit.
///
/// The set is small so that a name can stand in a metric label, a URL path and a file name as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit")]
pub struct InvalidName(pub String);

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 64;

    /// Checks `text` and takes it as a name.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let ok = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && !text.starts_with(['-', '_']);
        if ok { Ok(Self(text.into())) } else { Err(InvalidName(text.chars().take(80).collect())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(&s)
    }
}

impl From<Name> for String {
    fn from(n: Name) -> Self {
        n.0.as_ref().to_owned()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What sort of thing a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// Something users depend on, made of other components.
    Service,
    /// Interchangeable upstreams behind one route.
    Pool,
    /// One endpoint in a pool, named `pool/upstream`.
    Upstream,
    /// Who operates upstreams; the unit of shared fate.
    Provider,
    /// A region of a provider, named `provider/region`.
    Region,
    /// A certificate.
    Certificate,
    /// A Seawall process.
    Node,
    /// What makes a rollup's blocks, or stands by to, named `pool/sequencer`.
    Sequencer,
}

impl ComponentKind {
    /// The kind as it stands before the colon of an id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Pool => "pool",
            Self::Upstream => "upstream",
            Self::Provider => "provider",
            Self::Region => "region",
            Self::Certificate => "certificate",
            Self::Node => "node",
            Self::Sequencer => "sequencer",
        }
    }

    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Service,
        Self::Pool,
        Self::Upstream,
        Self::Provider,
        Self::Region,
        Self::Certificate,
        Self::Node,
        Self::Sequencer,
    ];
}

/// Anything that can be up or down: `kind:name`, as in `upstream:ethereum/alchemy`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ComponentId {
    kind: ComponentKind,
    path: Arc<str>,
}

impl ComponentId {
    /// A component with a name of one part.
    pub fn new(kind: ComponentKind, name: &Name) -> Self {
        Self { kind, path: name.as_str().into() }
    }

    /// A component within another: an upstream of a pool, a region of a provider.
    pub fn within(kind: ComponentKind, parent: &Name, name: &Name) -> Self {
        Self { kind, path: format!("{parent}/{name}").into() }
    }

    /// What sort of component this is.
    pub fn kind(&self) -> ComponentKind {
        self.kind
    }

    /// The name, with the parent's before a slash where there is one.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.path)
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ComponentId {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || InvalidName(s.chars().take(160).collect());
        let (kind, path) = s.split_once(':').ok_or_else(bad)?;
        let kind = ComponentKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(bad)?;
        let mut parts = path.splitn(2, '/');
        let first = Name::new(parts.next().unwrap_or_default())?;
        Ok(match parts.next() {
            Some(rest) => Self::within(kind, &first, &Name::new(rest)?),
            None => Self::new(kind, &first),
        })
    }
}

impl TryFrom<String> for ComponentId {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<ComponentId> for String {
    fn from(id: ComponentId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_set() {
        for good in ["a", "eth-mainnet", "0x", "us_east_1", &"a".repeat(64)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "A", "a/b", "a b", "ü", "a:b", &"a".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn component_ids_survive_the_round_trip() {
        for text in
            ["service:deposits", "upstream:ethereum/alchemy", "region:aws/us-east-1", "sequencer:base/a"]
        {
            assert_eq!(text.parse::<ComponentId>().unwrap().to_string(), text);
        }
        for bad in ["deposits", "thing:a", "service:", "upstream:a/b/c", "upstream:a/"] {
            assert!(bad.parse::<ComponentId>().is_err(), "{bad:?}");
        }
    }
}
