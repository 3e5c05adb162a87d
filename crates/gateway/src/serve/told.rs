//! What an answer's `x-seawall-…` headers tell of how it came about.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    call::{By, Trail},
    estate::Tell,
    pool::Pool,
};

/// Which upstream answered, or `gateway`, `cache`, `shared`, `several`.
const UPSTREAM: HeaderName = HeaderName::from_static("x-seawall-upstream");
/// Height of the agreed head that it was answered at.
const HEAD: HeaderName = HeaderName::from_static("x-seawall-head");
/// Seconds since the agreed head last moved.
const HEAD_AGE: HeaderName = HeaderName::from_static("x-seawall-head-age");
/// Attempts that were begun.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-seawall-attempts");
/// `true` if no upstream was asked for this answer alone.
const CACHED: HeaderName = HeaderName::from_static("x-seawall-cached");

/// Adds what the pool tells of its answers. While its chain stands still as a whole, the age of the head is
/// told in any case: the client cannot know otherwise that what it reads is old.
pub(super) fn tell(pool: &Pool, trail: &Trail, age_ms: impl FnOnce() -> u64, headers: &mut HeaderMap) {
    let tell = pool.section.tell;
    let halted = pool.evm().is_some() && pool.state.heads.load().halted;
    if tell == Tell::NOTHING && !halted {
        return;
    }
    let told = trail.told();
    if tell.upstream {
        let who = match told.by {
            By::Upstream(i) => pool.upstreams.get(i).map(|u| u.section.name.as_str()),
            By::Nobody => None,
            other => Some(other.as_str()),
        };
        if let Some(value) = who.and_then(|who| HeaderValue::from_str(who).ok()) {
            headers.insert(UPSTREAM, value);
        }
    }
    if let (true, Some(head)) = (tell.head, told.head) {
        headers.insert(HEAD, HeaderValue::from(head));
    }
    if tell.attempts {
        headers.insert(ATTEMPTS, HeaderValue::from(told.attempts));
    }
    if tell.cached && matches!(told.by, By::Cache | By::Shared) {
        headers.insert(CACHED, HeaderValue::from_static("true"));
    }
    if halted || (tell.age && told.head.is_some()) {
        headers.insert(HEAD_AGE, HeaderValue::from(age_ms() / 1_000));
    }
}
