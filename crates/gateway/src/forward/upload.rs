//! A request whose body goes on as it comes: to whoever takes the connection, and to nobody else once anything of it has
//! gone. What became of it is told, and looked up, as of any other.

use http::{Method, Response, request::Parts};
use http_body::Body;
use hyper::body::Incoming;
use seawall_model::Cause;

use super::{
    answer::Refusal,
    attempt::{Ended, Got, Lost, connect, head, held},
    errand::Errand,
    onward::tail,
    write::Ledger,
};
use crate::{
    client::{End, Sending, Upload},
    core::outcome::{Dedupe, Effect, Next},
    estate::PoolKind,
    serve::{ReplyBody, Visit},
};

/// What a request brings.
pub(super) enum Brought {
    /// A body that is to be held.
    Held(Incoming),
    /// One that goes on as it comes.
    Streams(Box<Upload>),
    /// One that says that it is too long.
    TooLong,
}

/// Is its body to be held, by its path's rule? Without one to speak of there is nothing to stream.
pub(super) fn brought(visit: &Visit, parts: &Parts, body: Incoming) -> Brought {
    let PoolKind::Http(http) = &visit.pool.section.kind else { return Brought::Held(body) };
    let streams = http.paths.iter().any(|rule| rule.upload.is_some());
    // Over HTTP/1.1 a body of these needs a length, which not every client tells.
    let bodiless = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !streams || bodiless || body.is_end_stream() {
        return Brought::Held(body);
    }
    let tail = tail(&parts.uri, &visit.pool.section.route);
    let path = tail.split('?').next().unwrap_or_default();
    let Some(limit) = http.rule(&parts.method, path).and_then(|(rule, _)| rule.upload) else {
        return Brought::Held(body);
    };
    match Upload::new(body, limit, visit.worker.clock, visit.worker.limits.idle) {
        Some(upload) => Brought::Streams(Box::new(upload)),
        None => Brought::TooLong,
    }
}

/// Sends it, and finds out what became of it.
pub(super) async fn upload(errand: &Errand<'_>, upload: Box<Upload>) -> Response<ReplyBody> {
    let (mut ledger, flow) = (Ledger::new(errand), upload.flow());
    let mut left = Some(upload);
    loop {
        let (Some(i), Some(body)) = (ledger.choose(), left.take()) else {
            return ledger.nobody_left().unwrap_or_else(|| ledger.unknown());
        };
        ledger.begun += 1;
        let (ended, back) = attempt(errand, body, i).await;
        left = back;
        errand.note(&ended);
        if let (Err(_), Some(end)) = (&ended.end, flow.progress().end.filter(|end| *end != End::Whole)) {
            return ledger.cut(end);
        }
        errand.pool.settle_api(&errand.worker, errand.class, &ended);
        let came = ended.came();
        let next = errand.terms.next(came, false);
        ledger.take(&ended, came);
        match (next, ended.end) {
            (Next::Elsewhere, Err(_)) if left.is_some() => {
                if ledger.begun >= errand.pool.section.attempts {
                    return Refusal::NotSent(ledger.cause).response(errand.visit);
                }
            }
            (Next::Give | Next::Elsewhere, Ok(got)) => {
                return match errand.terms.effect {
                    Effect::Read => got.give(errand),
                    Effect::Write => ledger.give(got),
                };
            }
            (Next::Elsewhere, Err(lost)) => return Refusal::AllFailed(lost.cause).response(errand.visit),
            (Next::LookUp, _) => {
                return match ledger.look().await {
                    Some(response) => response,
                    None => ledger.unknown(),
                };
            }
            (Next::Give, Err(_)) | (Next::Again | Next::Unknown, _) => return ledger.unknown(),
        }
    }
}

/// Sends it to one upstream. The body comes back if nothing of it has gone.
async fn attempt(errand: &Errand<'_>, body: Box<Upload>, i: usize) -> (Ended, Option<Box<Upload>>) {
    let (worker, pool) = (&errand.worker, &errand.pool);
    let (upstream, flow) = (&pool.upstreams[i], body.flow());
    let (began, trace) = errand.begin(i);
    let unsent = |cause| {
        let took = worker.clock.mono().since(began);
        Ended { upstream: i, took, end: Err(Lost { cause, sent: false }) }
    };
    let _in_flight = upstream.state.begin(errand.class);
    upstream.take(began, errand.onward.method.as_str());
    let Some(mut link) = connect(worker, pool, i).await else {
        return (unsent(Cause::Connect), Some(body));
    };
    let Some(mut request) = head(upstream, &errand.onward, trace) else {
        return (unsent(Cause::Malformed), Some(body));
    };
    *request.body_mut() = Sending::Streaming(body);
    let answer = {
        let exchange = link.exchange(|| request, |headers| held(headers, worker));
        tokio::select! {
            biased;
            answer = exchange => answer.map_err(|e| e.cause()),
            () = flow.stalls(worker.clock, errand.attempt_timeout) => Err(Cause::Timeout),
        }
    };
    let (now, progress) = (worker.clock.mono(), flow.progress());
    upstream.state.heard(now);
    // The time that the client took over its body is none of the upstream's.
    let took = now.since(progress.moved.max(began));
    let end = answer.map_err(|cause| Lost { cause, sent: true }).map(|received| {
        upstream.heed(now, &received.headers);
        // Answered before all has come, the rest of it is still under way.
        link.spent = progress.end != Some(End::Whole);
        Got { upstream: i, received, link }
    });
    (Ended { upstream: i, took, end }, None)
}

impl Errand<'_> {
    /// What has gone on of it cannot be sent again.
    pub(super) fn goes_once(&mut self) {
        (self.terms.dedupe, self.terms.resend) = (Dedupe::Never, false);
    }
}

impl Ledger<'_> {
    /// The client's body ended short of what it was to be, when some of it had gone.
    fn cut(&self, end: End) -> Response<ReplyBody> {
        let writes = self.errand.terms.effect == Effect::Write;
        if writes {
            self.count_unknown();
        }
        let refusal = match end {
            End::TooLong => Refusal::TooLong { writes },
            End::Whole | End::Broken | End::Slow => Refusal::Cut { writes },
        };
        refusal.response(self.errand.visit)
    }
}
