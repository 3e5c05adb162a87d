//! What a client is told that may not do what it asked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{HeaderValue, Response, StatusCode, header};
use seawall_chain::envelope::{self, code};
use serde_json::{json, value::RawValue};

use crate::{
    call::Reply,
    core::claims::Untaken,
    estate::PoolSection,
    serve::{ReplyBody, json as answer},
};

/// JSON-RPC code of a refusal: a server error of the implementation's own (JSON-RPC 2.0, section 5.1).
const CODE: i64 = -32_050;
/// JSON-RPC code of a limit that bites, as providers use it (EIP-1474).
const LIMIT: i64 = -32_005;

/// Why a client may not do what it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It shows nothing for itself.
    NothingShown,
    /// It shows a key that nobody has.
    UnknownKey,
    /// It shows a token that is not taken.
    Token(Untaken),
    /// It is known, and may not use this pool.
    OtherPool,
    /// The method may not be called.
    Method,
    /// It makes more calls a second than it may.
    Rate,
    /// It has more calls under way than it may.
    Busy,
    /// It is a web page of an origin that may not use this pool.
    Origin,
}

/// Denials of one pool, by why.
#[derive(Debug, Default)]
pub(crate) struct Denials([AtomicU64; REASONS.len()]);

const REASONS: [&str; 7] = ["nothing_shown", "credential", "pool", "method", "rate", "concurrency", "origin"];

impl Denials {
    pub(crate) fn count(&self, denied: Denied) {
        self.0[denied.reason()].fetch_add(1, Relaxed);
    }

    /// How often each has happened.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.iter().zip(&self.0).map(|(reason, count)| (*reason, count.load(Relaxed)))
    }
}

impl Denied {
    fn reason(self) -> usize {
        match self {
            Self::NothingShown => 0,
            Self::UnknownKey | Self::Token(_) => 1,
            Self::OtherPool => 2,
            Self::Method => 3,
            Self::Rate => 4,
            Self::Busy => 5,
            Self::Origin => 6,
        }
    }

    /// The operator's code.
    fn code(self) -> &'static str {
        match self {
            Self::NothingShown => "SW0340",
            Self::UnknownKey | Self::Token(_) => "SW0341",
            Self::OtherPool => "SW0342",
            Self::Method => "SW0343",
            Self::Rate => "SW0344",
            Self::Busy => "SW0345",
            Self::Origin => "SW0346",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NothingShown | Self::UnknownKey | Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::OtherPool | Self::Method | Self::Origin => StatusCode::FORBIDDEN,
            Self::Rate | Self::Busy => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn json_rpc(self) -> i64 {
        match self {
            Self::NothingShown | Self::UnknownKey | Self::Token(_) | Self::OtherPool | Self::Origin => CODE,
            Self::Method => code::METHOD_NOT_FOUND,
            Self::Rate | Self::Busy => LIMIT,
        }
    }

    fn sentence(self, pool: &PoolSection) -> String {
        let pool = &pool.name;
        match self {
            Self::NothingShown => format!("pool `{pool}` is not open to everybody: show what you were given"),
            Self::UnknownKey => "the key is not known here".to_owned(),
            Self::Token(untaken) => format!("the token is not taken: {untaken}"),
            Self::OtherPool => format!("what you showed is not good for pool `{pool}`"),
            Self::Method => "this may not be called here, or not by you".to_owned(),
            Self::Rate => "you make more calls a second than you may".to_owned(),
            Self::Busy => "you have more calls under way than you may".to_owned(),
            Self::Origin => format!("web pages of this origin may not use pool `{pool}`"),
        }
    }

    fn write(self, out: &mut Vec<u8>, id: Option<&RawValue>, pool: &PoolSection) {
        let message = format!("{}: {}", self.code(), self.sentence(pool));
        let data = json!({"code": self.code(), "pool": pool.name}).to_string();
        envelope::write_error(out, id, self.json_rpc(), &message, Some(&data));
    }

    /// What a JSON-RPC call is answered.
    pub(crate) fn reply(self, id: Option<&RawValue>, pool: &PoolSection) -> Reply {
        if id.is_none() {
            return Reply::Nothing;
        }
        let mut out = Vec::with_capacity(256);
        self.write(&mut out, id, pool);
        Reply::Refused(out.into(), self.status())
    }

    /// What a request is answered, before anything of it is read.
    pub(crate) fn response(self, pool: &PoolSection) -> Response<ReplyBody> {
        let body = if pool.kind.is_chain() {
            let mut out = Vec::with_capacity(256);
            self.write(&mut out, None, pool);
            out
        } else {
            let body = json!({"code": self.code(), "error": self.sentence(pool), "pool": pool.name});
            body.to_string().into_bytes()
        };
        let mut response = answer(self.status(), body.into());
        let headers = response.headers_mut();
        // RFC 6750, section 3: why is said only to those who showed something.
        match self {
            Self::NothingShown => {
                let ask = HeaderValue::from_static("Bearer realm=\"seawall\"");
                headers.insert(header::WWW_AUTHENTICATE, ask);
            }
            Self::UnknownKey | Self::Token(_) => {
                let ask = HeaderValue::from_static("Bearer realm=\"seawall\", error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, ask);
            }
            Self::Rate | Self::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::OtherPool | Self::Method | Self::Origin => {}
        }
        response
    }
}
