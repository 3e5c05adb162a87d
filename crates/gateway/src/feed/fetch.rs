//! What the feed asks of upstreams: through the ordinary path of a call, with all that it checks and retries.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use seawall_chain::{
    Hash,
    block::Header,
    envelope::{Call, parse_answer},
    log::Logs,
};
use serde_json::value::RawValue;

use crate::{
    call::{self, Reply},
    serve::Visit,
};

/// How often an empty list of logs is doubted where the header says otherwise, and the pause between.
const BELIEVED: usize = 3;
const AGAIN: Duration = Duration::from_millis(100);

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

/// Asks for the logs of a block by its hash. With `some`, its header says that there are some: then an empty list is
/// not believed at once, since nodes that lag answer so.
pub(super) async fn logs(visit: &Visit, hash: Hash, some: bool) -> Option<Logs> {
    let mut logs = None;
    for _ in 0..BELIEVED {
        let body = ask(visit, "eth_getLogs", format!("[{{\"blockHash\":\"{hash}\"}}]")).await?;
        let found = Logs::parse(parse_answer(&body).ok()?.result?, &hash)?;
        let believed = !some || !found.logs.is_empty();
        logs = Some(found);
        if believed {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    logs
}
