//! JSON-RPC 2.0 envelopes: what clients send, what upstreams answer, and how both are written.
//!
//! A request is parsed once, in one pass, without copying. Requests are held to the letter of the
//! specification; answers are let off where real nodes are known to be loose (no `jsonrpc`, an
//! `error` of null beside a result).

mod answer;
mod request;
mod write;

pub use answer::{Answer, NotAnAnswer, RpcError, parse_answer, same_id};
pub use request::{Call, Invalid, MAX_DEPTH, Request, Versions, parse_request, parse_versions};
pub use write::{CALL_ID, result_len, write_call, write_call_with, write_error, write_result};

/// Codes of the JSON-RPC 2.0 specification.
pub mod code {
    /// The text is no JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON is no request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters are wrong.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something went wrong inside.
    pub const INTERNAL_ERROR: i64 = -32603;
}

#[cfg(test)]
mod tests;
