//! What kind of value a variable holds.

/// The kind of a value, as far as it is known before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any: known only once it is there.
    Any,
    /// True or false.
    Bool,
    /// A number, whole or not.
    Number,
    /// A text.
    Text,
    /// A list of anything.
    List,
    /// Texts, each by its name.
    Texts,
    /// These members and no others.
    Record(&'static [(&'static str, Kind)]),
    /// Nothing.
    Null,
}

impl Kind {
    /// What it is called in a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Texts | Self::Record(_) => "a map",
            Self::Null => "null",
        }
    }

    /// Could a value of the one kind be equal to one of the other?
    pub(crate) fn meets(self, other: Self) -> bool {
        let map = |kind| matches!(kind, Self::Texts | Self::Record(_));
        // Whatever may be absent may be compared with null.
        let open = |kind| matches!(kind, Self::Any | Self::Null);
        self == other || open(self) || open(other) || (map(self) && map(other))
    }

    /// Is it, or could it be, of that kind?
    pub(crate) fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Any
    }
}
