//! What the feed asks of upstreams: through the ordinary path of a call, with all that it checks and retries.

use std::borrow::Cow;

use bytes::Bytes;
use seawall_chain::{
    Hash,
    block::Header,
    envelope::{Call, parse_answer},
};
use serde_json::value::RawValue;

use crate::{
    call::{self, Reply},
    serve::Visit,
};

/// Asks for the header of a block by its hash. `None` if nobody has it now.
pub(super) async fn header(visit: &Visit, hash: Hash) -> Option<Header> {
    let header = block(visit, "eth_getBlockByHash", &hash.to_string()).await?;
    (header.seen.hash == hash).then_some(header)
}

/// Asks for the header of the block at a height.
pub(super) async fn header_at(visit: &Visit, number: u64) -> Option<Header> {
    let header = block(visit, "eth_getBlockByNumber", &format!("{number:#x}")).await?;
    (header.seen.number == number).then_some(header)
}

async fn block(visit: &Visit, method: &str, which: &str) -> Option<Header> {
    let body = ask(visit, method, format!("[\"{which}\",false]")).await?;
    Header::from_block(parse_answer(&body).ok()?.result?).ok()
}

/// The body of an answer; `None` if there is none, or it is an error of the gateway's own.
pub(super) async fn ask(visit: &Visit, method: &str, params: String) -> Option<Bytes> {
    let id = RawValue::from_string("1".into()).ok()?;
    let params = RawValue::from_string(params).ok()?;
    let call = Call { id: Some(&id), method: Cow::Borrowed(method), params: Some(&params) };
    match Box::pin(call::answer(visit, &call)).await {
        Reply::Whole(body) => Some(body),
        Reply::Large(large) => {
            large.whole(visit.worker.limits.verified_answer, visit.pool.section.attempt_timeout).await
        }
        Reply::Refused(..) | Reply::Nothing => None,
    }
}
