//! Logs over a range that no upstream gives at once: asked for in halves, and those in halves again, and put
//! together in order.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, try_join};
use seawall_chain::{
    envelope::{self, Call},
    pin,
};
use seawall_model::Mono;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::{
    Refusal, Trail,
    entry::ask,
    read::{Outcome, read},
};
use crate::{heads::Heads, pool::Pool, worker::Worker};

/// Parts of one call that are asked for at once.
const WIDTH: usize = 4;
/// What the parts may come to together, in times of the limit of a verified answer.
const HOLD: usize = 4;

/// A call that is asked in parts.
pub(super) struct Split<'a> {
    pub(super) worker: &'a Arc<Worker>,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) call: &'a Call<'a>,
    /// One snapshot for all parts, so that they are of one chain.
    pub(super) heads: &'a Heads,
    pub(super) deadline: Mono,
    /// Where the way of all parts is noted.
    trail: Trail,
    /// Bytes that may still come.
    room: AtomicUsize,
    permits: Semaphore,
}

/// The parts' answers in order, or what the call comes to instead.
type Parts = Result<Vec<Bytes>, Box<Outcome>>;

impl<'a> Split<'a> {
    pub(super) fn new(
        worker: &'a Arc<Worker>,
        pool: &'a Arc<Pool>,
        call: &'a Call<'a>,
        heads: &'a Heads,
        deadline: Mono,
        trail: Trail,
    ) -> Self {
        let room = AtomicUsize::new(HOLD * worker.limits.verified_answer);
        Self { worker, pool, call, heads, deadline, trail, room, permits: Semaphore::new(WIDTH) }
    }

    /// Asks for blocks `from` to `to` in parts. `whole` is what was said to the call as it came.
    pub(super) async fn run(self, from: u64, to: u64, whole: Bytes) -> (Outcome, Trail) {
        let outcome = match self.halves(from, to, whole).await {
            Ok(parts) => Outcome::Whole(self.join(&parts)),
            Err(outcome) => *outcome,
        };
        (outcome, self.trail)
    }

    fn halves(&self, from: u64, to: u64, refused: Bytes) -> BoxFuture<'_, Parts> {
        if from >= to {
            // Too much in one block: nothing to be made smaller.
            return Box::pin(std::future::ready(Err(Box::new(Outcome::Whole(refused)))));
        }
        let middle = from + (to - from) / 2;
        Box::pin(async move {
            let (mut left, right) = try_join(self.part(from, middle), self.part(middle + 1, to)).await?;
            left.extend(right);
            Ok(left)
        })
    }

    async fn part(&self, from: u64, to: u64) -> Parts {
        let state = &self.pool.state;
        let refuse = |why| Err(Box::new(Outcome::Refused(why)));
        let outcome = {
            let _permit = self.permits.acquire().await;
            let now = self.worker.clock.mono();
            if !state.budget().spend(now) {
                state.counts.budget_refused.fetch_add(1, Relaxed);
                return refuse(Refusal::BudgetSpent(Vec::new()));
            }
            state.counts.splits.fetch_add(1, Relaxed);
            let mut params = Vec::new();
            let given = self.call.params.map_or("[]", RawValue::get);
            if !pin::with_range(given, from, to, &mut params) {
                return refuse(Refusal::AllFailed(Vec::new()));
            }
            let params = String::from_utf8(params).expect("numbers, written into what was UTF-8");
            let params = RawValue::from_string(params).expect("numbers, written into what was JSON");
            let method = Cow::Borrowed(&*self.call.method);
            let part = Call { id: self.call.id, method, params: Some(&params) };
            let mut ask = ask(self.worker, self.pool, self.heads, &part);
            ask.is_part = true;
            ask.trail = self.trail.like();
            let ask = Arc::new(ask);
            let outcome = read(ask.clone(), self.heads, now, self.deadline).await;
            self.trail.take(&ask.trail);
            outcome
        };
        match outcome {
            Outcome::TooMuch { refused, .. } => self.halves(from, to, refused).await,
            Outcome::Large(_) if from < to => self.halves(from, to, Bytes::new()).await,
            Outcome::Large(_) => refuse(Refusal::TooLarge),
            Outcome::Whole(body) if is_list(&body) => {
                let held = |room: usize| room.checked_sub(body.len());
                match self.room.fetch_update(Relaxed, Relaxed, held) {
                    Ok(_) => Ok(vec![body]),
                    Err(_) => refuse(Refusal::TooLarge),
                }
            }
            outcome => Err(Box::new(outcome)),
        }
    }

    fn join(&self, parts: &[Bytes]) -> Bytes {
        let mut list = Vec::with_capacity(2 + parts.iter().map(Bytes::len).sum::<usize>());
        list.push(b'[');
        for part in parts {
            let Some(items) = items(part).filter(|items| !items.is_empty()) else { continue };
            if list.len() > 1 {
                list.push(b',');
            }
            list.extend_from_slice(items.as_bytes());
        }
        list.push(b']');
        let list = str::from_utf8(&list).expect("lists of what was UTF-8");
        let mut out = Vec::with_capacity(64 + list.len());
        envelope::write_result(&mut out, self.call.id, list);
        out.into()
    }
}

fn is_list(body: &[u8]) -> bool {
    items(body).is_some()
}

/// What stands between the brackets of an answer that is a list.
fn items(body: &[u8]) -> Option<&str> {
    let result = envelope::parse_answer(body).ok()?.result?.get();
    Some(result.strip_prefix('[')?.strip_suffix(']')?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_list() {
        let check = |result: &str, want: Option<&str>| {
            let body = format!(r#"{{"id":1,"result":{result}}}"#);
            assert_eq!(items(body.as_bytes()), want, "{result}");
        };
        check("[]", Some(""));
        check("[ ]", Some(""));
        check(r#"[{"a":[1]}, {"b":"]"}]"#, Some(r#"{"a":[1]}, {"b":"]"}"#));
        check("null", None);
        check("\"[]\"", None);
        assert_eq!(items(br#"{"id":1,"error":{"code":-32000,"message":"no"}}"#), None);
    }
}
