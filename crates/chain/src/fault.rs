//! Whose fault a JSON-RPC error is, told from its code and from what each client implementation and
//! provider is known to say.

mod table;

use seawall_model::{Blame, Cause};

use table::{ROWS, Says};

/// Bytes of a message that are looked at. What tells stands at the beginning; what follows is often the
/// caller's own text.
pub const MESSAGE_LOOKED_AT: usize = 256;

/// What sort of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash)]
pub enum Kind {
    /// The request is wrong, or its execution fails, on any node.
    Caller,
    /// A write that the node has already.
    Known,
    /// A write whose nonce is used up, perhaps by this very transaction.
    NonceLow,
    /// The node does not have the method.
    NoMethod,
    /// The node does not keep the state, receipts or history asked for.
    NoState,
    /// The node does not have the block (yet).
    NoBlock,
    /// The call is over a limit of the node's own: range, results, time, size.
    TooMuch,
    /// The provider's plan does not include it.
    NotInPlan,
    /// The provider refuses for want of valid credentials.
    Unauthorized,
    /// Over the rate or the quota.
    RateLimited,
    /// The node is unwell: internal error, syncing, no backend.
    Unwell,
    /// Nobody knows. Tried elsewhere, held against nobody.
    Unclear,
}

impl Kind {
    /// Whose fault it is.
    pub fn blame(self) -> Blame {
        match self {
            Self::Caller | Self::Known | Self::NonceLow => Blame::Caller,
            Self::NoMethod
            | Self::NoState
            | Self::NoBlock
            | Self::TooMuch
            | Self::NotInPlan
            | Self::Unclear => Blame::Incapable,
            Self::Unauthorized | Self::RateLimited | Self::Unwell => Blame::Upstream,
        }
    }

    /// The cause to hold against the attempt; none where the caller is to blame.
    pub fn cause(self) -> Option<Cause> {
        match self {
            Self::Caller | Self::Known | Self::NonceLow => None,
            Self::NoMethod
            | Self::NoState
            | Self::NoBlock
            | Self::TooMuch
            | Self::NotInPlan
            | Self::Unclear => Some(Cause::Incapable),
            Self::Unauthorized => Some(Cause::Unauthorized),
            Self::RateLimited => Some(Cause::RateLimited),
            Self::Unwell => Some(Cause::Unwell),
        }
    }

    /// True if the upstream will say so again for a call like it, so that asking it is a waste.
    pub fn teaches(self) -> bool {
        match self {
            Self::NoMethod | Self::NoState | Self::NotInPlan => true,
            Self::Caller
            | Self::Known
            | Self::NonceLow
            | Self::NoBlock
            | Self::TooMuch
            | Self::Unauthorized
            | Self::RateLimited
            | Self::Unwell
            | Self::Unclear => false,
        }
    }

    /// What became of a raw transaction that was answered so.
    pub fn write_fate(self) -> WriteFate {
        match self {
            Self::Known => WriteFate::Known,
            Self::NonceLow => WriteFate::NonceLow,
            Self::Caller => WriteFate::Rejected,
            Self::NoMethod
            | Self::NoState
            | Self::NoBlock
            | Self::TooMuch
            | Self::NotInPlan
            | Self::Unauthorized
            | Self::RateLimited
            | Self::Unwell
            | Self::Unclear => WriteFate::Unknown,
        }
    }
}

/// What became of a raw transaction that was answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFate {
    /// The node has it: success.
    Known,
    /// Its nonce is used: success if the chain has this very hash, else rejected.
    NonceLow,
    /// The node looked at it and will not have it.
    Rejected,
    /// It may have been taken or not; ask for the hash.
    Unknown,
}

/// What sort of error `code` and `message` are.
pub fn classify(code: i64, message: &str) -> Kind {
    let mut lower = [0; MESSAGE_LOOKED_AT];
    let most = message.len().min(MESSAGE_LOOKED_AT);
    let seen = (0..=most).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
    let lower = &mut lower[..seen];
    lower.copy_from_slice(&message.as_bytes()[..seen]);
    lower.make_ascii_lowercase();
    let lower = str::from_utf8(lower).unwrap_or_default();
    let says = |row: &&table::Row| match row.says {
        Says::Code(c) => code == c,
        Says::Text(text) => lower.contains(text),
        Says::Start(text) => lower.starts_with(text),
        Says::Both(c, text) => code == c && lower.contains(text),
    };
    ROWS.iter().find(says).map_or(Kind::Unclear, |row| row.kind)
}
