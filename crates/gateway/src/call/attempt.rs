//! One attempt: a request sent to one upstream, and what came back.

use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use hyper::body::Incoming;
use seawall_chain::{
    Block, Hash, envelope,
    method::{Class, Method},
    pin::Reads,
};
use seawall_model::{Cause, Mono};
use serde_json::value::RawValue;

use super::{
    Trail,
    judge::{Expected, Worth, asked_wait, is_block, judge, status_fault},
};
use crate::{
    client::{ExchangeError, Link, Received},
    pool::Pool,
    trace::{Context, TRACEPARENT},
    worker::Worker,
};

/// A call as it is asked of upstreams: the same bytes whoever is asked.
pub(crate) struct Ask {
    pub(crate) worker: Arc<Worker>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) method: Method,
    pub(crate) name: Box<str>,
    /// The request's body.
    pub(crate) body: Bytes,
    /// The id in it.
    pub(crate) id: Box<RawValue>,
    pub(crate) reads: Option<Reads>,
    /// Height of the agreed head when the call came.
    pub(crate) agreed: Option<u64>,
    /// The agreed chain then.
    pub(crate) history: Arc<BTreeMap<u64, Hash>>,
    /// The upstream must show that it has this block, or its answer proves nothing.
    pub(crate) prove: Option<Prove>,
    /// It is a part of a larger call, to be made smaller yet as soon as somebody finds it too large.
    pub(crate) is_part: bool,
    /// Hold at most this much of an answer; the rest streams.
    pub(crate) hold: usize,
    /// Where its way is noted.
    pub(crate) trail: Trail,
    /// Where in which trace it is, for upstreams to be told.
    pub(crate) trace: Option<Context>,
}

impl Ask {
    /// How far below the agreed head the oldest block lies that the call reads.
    pub(crate) fn age(&self) -> Option<u64> {
        Some(self.agreed?.saturating_sub(self.reads?.lowest()?))
    }
}

/// A block that an upstream must show before it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prove {
    pub(crate) number: u64,
    /// What it must be, where that is agreed on.
    pub(crate) agreed: Option<Block>,
}

/// What came of an attempt.
pub(crate) struct Attempt {
    pub(crate) upstream: usize,
    /// When it ended.
    pub(crate) ended: Mono,
    pub(crate) took: Duration,
    pub(crate) end: End,
}

/// How an attempt ended.
pub(crate) enum End {
    /// With an answer, for what it is worth.
    Answer { worth: Worth, body: Bytes },
    /// With an answer too large to hold; its beginning looks right.
    Large { first: Bytes, link: Box<Link>, rest: Incoming },
    /// Without one.
    Failed(Failure),
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// How long the upstream asks to be left alone.
    pub(crate) asked: Option<Duration>,
    /// True if the request may have reached the upstream.
    pub(crate) sent: bool,
}

impl Failure {
    pub(crate) fn of(cause: Cause, sent: bool) -> Self {
        Self { cause, asked: None, sent }
    }
}

/// Sends the call to one upstream. The caller sets the time limit and settles what is learned.
pub(crate) async fn attempt(ask: Arc<Ask>, upstream: usize, began: Mono) -> Attempt {
    let state = &ask.pool.upstreams[upstream].state;
    let _in_flight = state.begin(ask.method.class);
    let proven = match ask.prove {
        Some(prove) => Box::pin(proven(&ask, upstream, began, prove)).await,
        None => Ok(()),
    };
    let exchanged = match proven {
        Ok(()) => exchange(&ask, upstream, began, &ask.body).await,
        Err(failure) => Err(failure),
    };
    // Read once: what is made of the answer takes no time to speak of.
    let now = ask.worker.clock.mono();
    let end = match exchanged {
        Ok((received, link)) => {
            ask.pool.upstreams[upstream].heed(now, &received.headers);
            answered(&ask, upstream, now, received, link)
        }
        Err(failure) => End::Failed(failure),
    };
    if !matches!(end, End::Failed(Failure { cause: Cause::Connect, .. })) {
        state.heard(now);
    }
    Attempt { upstream, ended: now, took: now.since(began), end }
}

/// One exchange on a pooled connection or a fresh one.
async fn exchange(ask: &Ask, upstream: usize, now: Mono, body: &Bytes) -> Result<(Received, Link), Failure> {
    let target = &ask.pool.upstreams[upstream];
    let worker = &ask.worker;
    let request = || {
        let mut request = target.post(body.clone());
        if let Some(trace) = &ask.trace {
            let span = trace.attempt(upstream, now);
            request.headers_mut().insert(TRACEPARENT, trace.header(span));
        }
        request
    };
    target.take(now, &ask.name);
    if let Some(mut link) = worker.links.take(target.state.id, now, target.state.era())
        && link.is_alive().await
    {
        let exchanged = link.exchange(request, |_| ask.hold).await;
        if matches!(exchanged, Err(ExchangeError::Closed)) {
            target.state.end_era();
        }
        match exchanged {
            Ok(received) => return Ok((received, link)),
            // The upstream may have closed it while it lay idle, before it saw the request. A fresh one tells;
            // but that is one attempt more. A write is looked up instead: it may have been taken.
            Err(ExchangeError::Closed)
                if ask.method.idempotent
                    && ask.method.class != Class::Write
                    && ask.pool.state.budget().spend(worker.clock.mono()) =>
            {
                ask.pool.state.counts.resends.fetch_add(1, Relaxed);
            }
            Err(e) => return Err(Failure::of(e.cause(), true)),
        }
    }
    let mut link = Box::pin(connect(ask, upstream)).await?;
    match link.exchange(request, |_| ask.hold).await {
        Ok(received) => Ok((received, link)),
        Err(e) => Err(Failure::of(e.cause(), true)),
    }
}

async fn connect(ask: &Ask, upstream: usize) -> Result<Link, Failure> {
    let target = &ask.pool.upstreams[upstream];
    let era = target.state.era();
    let dial = async {
        let conn = ask.worker.net.connect(&target.section.endpoint).await.ok()?;
        Link::start(conn, era).await.ok()
    };
    match tokio::time::timeout(ask.pool.section.connect_timeout, dial).await {
        Ok(Some(link)) => Ok(link),
        Ok(None) | Err(_) => Err(Failure::of(Cause::Connect, false)),
    }
}

fn answered(ask: &Ask, upstream: usize, now: Mono, received: Received, link: Link) -> End {
    let in_body = ask.pool.rules().errors_by_status && is_error(&received);
    if let Some(failure) = told_by_status(&received).filter(|_| !in_body) {
        keep(ask, upstream, now, link, received.rest.is_none());
        return End::Failed(failure);
    }
    if let Some(rest) = received.rest {
        return match looks_right(&received.body) {
            true => End::Large { first: received.body, link: Box::new(link), rest },
            false => End::Failed(Failure::of(Cause::Malformed, true)),
        };
    }
    let expected = Expected {
        rules: ask.pool.rules(),
        id: &ask.id,
        method: &ask.method,
        name: &ask.name,
        reads: ask.reads,
        agreed: ask.agreed,
        history: &ask.history,
    };
    let worth = judge(received.status, &received.body, &expected);
    keep(ask, upstream, now, link, true);
    End::Answer { worth, body: received.body }
}

/// The failure that an answer's status alone tells of.
fn told_by_status(received: &Received) -> Option<Failure> {
    let cause = status_fault(received.status)?;
    let asked = match cause {
        Cause::RateLimited | Cause::HttpStatus => asked_wait(&received.headers),
        _ => None,
    };
    Some(Failure { cause, asked, sent: true })
}

/// Is it a JSON-RPC error, whatever its status?
fn is_error(received: &Received) -> bool {
    received.rest.is_none() && envelope::parse_answer(&received.body).is_ok_and(|a| a.error.is_some())
}

/// Puts a connection back that can be used again.
fn keep(ask: &Ask, upstream: usize, now: Mono, link: Link, whole: bool) {
    if whole {
        ask.worker.links.put(ask.pool.upstreams[upstream].state.id, now, link);
    }
}

/// An answer too large to hold can only be looked at from its front.
fn looks_right(first: &[u8]) -> bool {
    first.trim_ascii_start().starts_with(b"{")
}

/// Asks the upstream for the newest block that its answer should cover: a node that lags answers a range
/// without its newest blocks, and says nothing of it. Asked afterwards, it might have caught up meanwhile.
async fn proven(ask: &Ask, upstream: usize, began: Mono, prove: Prove) -> Result<(), Failure> {
    let mut body = Vec::with_capacity(96);
    let mut params = Vec::with_capacity(32);
    params.extend_from_slice(b"[\"");
    seawall_chain::write_quantity(&mut params, prove.number);
    params.extend_from_slice(b"\",false]");
    let params = str::from_utf8(&params).expect("a quantity is ASCII");
    envelope::write_call(&mut body, "1", "eth_getBlockByNumber", Some(params));
    let (received, link) = exchange(ask, upstream, began, &body.into()).await?;
    let now = ask.worker.clock.mono();
    ask.pool.upstreams[upstream].heed(now, &received.headers);
    let told = told_by_status(&received);
    keep(ask, upstream, now, link, received.rest.is_none());
    if let Some(failure) = told {
        return Err(failure);
    }
    let fault = |cause| Failure::of(cause, true);
    let answer = envelope::parse_answer(&received.body).map_err(|_| fault(Cause::Malformed))?;
    let block = answer.result.filter(|_| !answer.is_null()).ok_or(fault(Cause::Lagging))?;
    match prove.agreed {
        Some(agreed) if !is_block(block.get(), &agreed) => Err(fault(Cause::Forked)),
        Some(_) | None => Ok(()),
    }
}
