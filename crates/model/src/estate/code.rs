//! What can be wrong with an estate.

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The estate cannot be used.
    Error,
    /// The estate works, but less well than its owner may think.
    Warning,
}

impl Severity {
    /// The severity as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $severity:ident, $cause:literal, $cure:literal;)*) => {
        /// The kind of a problem. Codes are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as shown, as in `SW0108`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means, in one line.
            pub fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }

            /// What to do, in one line.
            pub fn cure(self) -> &'static str {
                match self { $(Self::$name => $cure,)* }
            }
        }
    };
}

codes! {
    /// A file or directory could not be read.
    Unreadable = "SW0101", Error, "a file of the estate cannot be read",
        "check that it exists, is UTF-8 text and may be read by the user Seawall runs as";
    /// The text is not TOML.
    Syntax = "SW0102", Error, "the text is not TOML",
        "mend the marked place; texts stand in double quotes, keys and values are joined by `=`";
    /// A key that nothing reads.
    UnknownKey = "SW0103", Error, "a key that Seawall does not know",
        "correct the spelling or remove it; `seawall schema` lists every key";
    /// A key that must be there is not.
    MissingKey = "SW0104", Error, "a required key is missing",
        "add it; `seawall init` shows one of each in context";
    /// A value of the wrong type.
    WrongType = "SW0105", Error, "a value is of the wrong type",
        "write it in the form that the message names";
    /// A value of the right type that is not accepted.
    InvalidValue = "SW0106", Error, "a value is not accepted",
        "write it in the form, or within the range, that the message names";
    /// The same thing declared twice.
    DeclaredTwice = "SW0107", Error, "the same thing is declared twice",
        "keep one of the two; both places are shown";
    /// A reference to what the estate does not declare.
    UnknownReference = "SW0108", Error, "a name that the estate does not declare",
        "declare it, or correct the spelling";
    /// An include that cannot be followed.
    Include = "SW0109", Error, "an include cannot be followed",
        "name each file once, without circles, with `*` only in the file's name";
    /// A limit of the loader.
    Limit = "SW0110", Error, "the estate is larger than Seawall takes",
        "split it, or remove what is not used; docs/estate.md lists the limits";
    /// Services that need each other in a circle.
    Circle = "SW0111", Error, "services need each other in a circle",
        "remove one of the needs that close the circle";
    /// A choice with nothing to choose from.
    NoChoice = "SW0112", Error, "nothing could ever satisfy this",
        "give a pool an upstream, one of them a weight above 0, and `k` no more than it chooses from";
    /// Two settings that exclude each other.
    Contradiction = "SW0113", Error, "two settings contradict each other",
        "change one of them as the message says";
    /// A URL that cannot be dialled.
    Url = "SW0114", Error, "a URL cannot be used",
        "write `http://` or `https://`, a host and, where needed, a port and a path";
    /// A request header that may not be set.
    Header = "SW0115", Error, "a request header cannot be set",
        "choose another header; those that belong to the connection are the gateway's own";
    /// A secret that could not be had.
    Secret = "SW0116", Error, "a secret cannot be had, or cannot be used",
        "set the variable or mend the file before Seawall starts";
    /// An admin listener that anybody could use.
    OpenAdmin = "SW0117", Error, "the admin listener is open to others and has no token",
        "set `admin_token`, or listen at 127.0.0.1";
    /// A certificate that cannot be shown.
    Certificate = "SW0120", Error, "a certificate, its key or an authority cannot be used",
        "give the chain and the private key that belongs to it, as PEM; the message says what is wrong";
    /// Keys that no token could be checked with.
    TokenKeys = "SW0121", Error, "the keys or the secret of tokens cannot be used",
        "give the issuer's JWK set, or a secret of 32 bytes or more; the message says what is wrong";
    /// A condition in CEL that cannot be used.
    Rule = "SW0126", Error, "a condition (CEL) cannot be used",
        "correct it where the message points; docs/estate.md lists what it may name";
    /// A pool too small to tell who is wrong.
    SmallPool = "SW0151", Warning, "a pool is too small to outvote a wrong upstream",
        "add upstreams until three providers are in the pool";
    /// A pool that one failure can take down.
    SharedFate = "SW0152", Warning, "all upstreams of a pool share one provider",
        "add an upstream of another provider";
    /// Traffic that others can read and change.
    PlainHttp = "SW0153", Warning, "traffic leaves the machine unencrypted",
        "use `https://`";
    /// A secret that stands in the file.
    LiteralSecret = "SW0154", Warning, "what looks like a secret stands in the file itself",
        "move it to the environment (`env:NAME`) or to a file of its own (`file:PATH`)";
    /// An include that finds nothing.
    EmptyInclude = "SW0155", Warning, "an include matches no file",
        "correct the pattern or remove it";
}

impl Code {
    /// True for what may only seem wrong because another part of the estate could not be read.
    pub fn needs_whole_text(self) -> bool {
        match self {
            Self::MissingKey | Self::UnknownReference | Self::NoChoice => true,
            Self::SmallPool | Self::SharedFate => true,
            Self::Unreadable | Self::Syntax | Self::UnknownKey | Self::WrongType | Self::InvalidValue => {
                false
            }
            Self::DeclaredTwice | Self::Include | Self::Limit | Self::Circle | Self::Contradiction => false,
            Self::Url
            | Self::Header
            | Self::Secret
            | Self::OpenAdmin
            | Self::Certificate
            | Self::TokenKeys
            | Self::Rule => false,
            Self::PlainHttp | Self::LiteralSecret | Self::EmptyInclude => false,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
