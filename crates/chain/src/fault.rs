//! Whose fault a JSON-RPC error is, told from its code and from what each client implementation and
//! provider is known to say.

mod table;

use seawall_model::{Blame, Cause};

use table::{ROWS, Row, Says};

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
    matching(code, message).map_or(Kind::Unclear, |row| row.kind)
}

/// The row that decides.
fn matching(code: i64, message: &str) -> Option<&'static Row> {
    let most = message.len().min(MESSAGE_LOOKED_AT);
    let seen = (0..=most).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
    let mut lower = [0; MESSAGE_LOOKED_AT];
    let lower = &mut lower[..seen];
    lower.copy_from_slice(&message.as_bytes()[..seen]);
    lower.make_ascii_lowercase();
    let lower = str::from_utf8(lower).unwrap_or_default();
    ROWS.iter().find(|row| match row.says {
        Says::Code(c) => code == c,
        Says::Text(text) => lower.contains(text),
        Says::Start(text) => lower.starts_with(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_errors_are_told_for_what_they_are() {
        let check = |code, message: &str, kind| assert_eq!(classify(code, message), kind, "{code} {message}");
        check(3, "execution reverted: rate limit exceeded", Kind::Caller);
        check(-32000, "execution reverted: missing trie node", Kind::Caller);
        check(
            -32603,
            "Error: VM Exception while processing transaction: reverted with reason string 'x'",
            Kind::Caller,
        );
        check(-32602, "missing 0x prefix", Kind::Caller);
        check(-32000, "insufficient funds for gas * price + value: balance 0, tx cost 21000", Kind::Caller);
        check(-32000, "nonce too low: next nonce 5, tx nonce 3", Kind::NonceLow);
        check(-32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 3", Kind::NonceLow);
        check(-32000, "already known", Kind::Known);
        check(-32010, "AlreadyKnown", Kind::Known);
        check(-32000, "Known transaction", Kind::Known);
        check(-32003, "transaction already imported", Kind::Known);
        check(-32000, "ALREADY_EXISTS: already known", Kind::Known);
        check(-32000, "missing trie node 5f3b (path 0a) state 0x1 is not available", Kind::NoState);
        check(-32603, "internal error: missing trie node", Kind::Unwell);
        check(-32000, "required historical state unavailable (reexec=128)", Kind::NoState);
        check(-32000, "distance to target block exceeds maximum proof window", Kind::NoState);
        check(4444, "pruned history unavailable", Kind::NoState);
        check(-32602, "BlockOutOfRangeError: block height is 5 but requested was 9", Kind::NoBlock);
        check(-32000, "header not found", Kind::NoBlock);
        check(-32001, "Resource not found", Kind::NoBlock);
        check(-32601, "the method eth_blobBaseFee does not exist/is not available", Kind::NoMethod);
        check(
            -32005,
            "query returned more than 10000 results. Try with this block range [0x1, 0x2].",
            Kind::TooMuch,
        );
        check(
            -32600,
            "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range",
            Kind::NotInPlan,
        );
        check(-32005, "daily request count exceeded, request rate limited", Kind::RateLimited);
        check(429, "Your app has exceeded its compute units per second capacity.", Kind::RateLimited);
        check(-32007, "50/second request limit reached - reduce calls per second", Kind::RateLimited);
        check(-32000, "Must be authenticated!", Kind::Unauthorized);
        check(-32603, "", Kind::Unwell);
        check(-32011, "no backends available for method", Kind::Unwell);
        check(-32000, "execution aborted (timeout = 5s)", Kind::TooMuch);
        check(-32000, "something that nobody has said before", Kind::Unclear);
        check(0, "", Kind::Unclear);
    }

    #[test]
    fn a_long_message_of_any_text_is_cut_between_characters() {
        for pad in 0..4 {
            let message = format!("{}{}", "x".repeat(pad), "é€🦀".repeat(200));
            assert_eq!(classify(-32000, &message), Kind::Unclear);
        }
    }

    #[test]
    fn blame_cause_and_fate_agree() {
        for row in ROWS {
            let kind = row.kind;
            assert_eq!(kind.cause().is_none(), kind.blame() == Blame::Caller, "{kind:?}");
            assert_eq!(kind.cause() == Some(Cause::Incapable), kind.blame() == Blame::Incapable, "{kind:?}");
            assert_eq!(kind.write_fate() == WriteFate::Unknown, kind.blame() != Blame::Caller, "{kind:?}");
            assert!(!kind.teaches() || kind.blame() == Blame::Incapable, "{kind:?}");
        }
    }
}
