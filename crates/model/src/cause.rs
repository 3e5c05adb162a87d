//! Why an attempt failed or an upstream is not to be believed.

use serde::{Deserialize, Serialize};

/// The reason an attempt failed or an upstream is distrusted; the label seen in metrics, records,
/// verdicts and error messages alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No connection could be made.
    Connect,
    /// No new connection can be made, though those made before still serve.
    FreshConnect,
    /// The connection ended before a whole answer had come.
    Reset,
    /// No answer within the attempt's time.
    Timeout,
    /// Calls are outstanding and nothing at all has come back for longer than the hang limit.
    Hang,
    /// An HTTP status of 500 or above.
    HttpStatus,
    /// HTTP 429, or a rate limit told inside a 200.
    RateLimited,
    /// Refused for want of valid credentials (HTTP 401, 403).
    Unauthorized,
    /// The body ended short of its declared length.
    Truncated,
    /// The body is not a JSON-RPC answer.
    Malformed,
    /// The answer carries another request's id.
    WrongId,
    /// The upstream serves another chain.
    WrongChain,
    /// Null, or nothing, for what is known to exist.
    Missing,
    /// Answers, but slower than its own past allows.
    Slow,
    /// Its head is behind what independent peers support.
    Lagging,
    /// Its head has not moved though those of its peers have.
    Stalled,
    /// Its chain differs from what independent peers support.
    Forked,
    /// Its head is ahead of anything independent peers support.
    Ahead,
    /// Its answer differs from the one that enough independent providers gave.
    Contradicted,
    /// A JSON-RPC error that says the upstream itself is unwell (internal error, syncing).
    Unwell,
    /// It cannot do this at all: method, range or state it does not hold. Not a fault.
    Incapable,
    /// An operator took it out of service.
    Cordoned,
    /// Elected, or next to be, and not able to do the work: paused, behind, not provisioned.
    Unfit,
    /// Work on it was announced for this time.
    Maintenance,
}

/// Whose fault a failed attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The request is wrong; every upstream would say so. The answer goes back as it is.
    Caller,
    /// The upstream cannot do this kind of thing. Learned, tried elsewhere, never held against it.
    Incapable,
    /// The upstream is unwell. Tried elsewhere and held against it.
    Upstream,
}

impl Cause {
    /// Every cause, in the order of declaration.
    pub const ALL: [Self; 24] = [
        Self::Connect,
        Self::FreshConnect,
        Self::Reset,
        Self::Timeout,
        Self::Hang,
        Self::HttpStatus,
        Self::RateLimited,
        Self::Unauthorized,
        Self::Truncated,
        Self::Malformed,
        Self::WrongId,
        Self::WrongChain,
        Self::Missing,
        Self::Slow,
        Self::Lagging,
        Self::Stalled,
        Self::Forked,
        Self::Ahead,
        Self::Contradicted,
        Self::Unwell,
        Self::Incapable,
        Self::Cordoned,
        Self::Unfit,
        Self::Maintenance,
    ];

    /// The cause as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FreshConnect => "fresh_connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Hang => "hang",
            Self::HttpStatus => "http_status",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::WrongId => "wrong_id",
            Self::WrongChain => "wrong_chain",
            Self::Missing => "missing",
            Self::Slow => "slow",
            Self::Lagging => "lagging",
            Self::Stalled => "stalled",
            Self::Forked => "forked",
            Self::Ahead => "ahead",
            Self::Contradicted => "contradicted",
            Self::Unwell => "unwell",
            Self::Incapable => "incapable",
            Self::Cordoned => "cordoned",
            Self::Unfit => "unfit",
            Self::Maintenance => "maintenance",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
