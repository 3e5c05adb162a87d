//! A pool that observes: it is sent a copy of traffic that another gateway serves, decides what it would do with it, counts
//! that, and asks nobody. The decision is the answer, which whoever mirrors traffic throws away.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use seawall_chain::envelope::{self, code};

use super::{
    ReplyBody, Visit,
    request::{error, json, read_body},
};
use crate::{
    call::By,
    explain::{Explanation, Observed, observe},
};

/// What of a copied request an HTTP API's pool reads: nothing, since it would go through as it is.
const NOTHING: &[u8] = b"";

/// Decides on a copied request.
pub(super) async fn respond(visit: &Visit, request: Request<Incoming>) -> Response<ReplyBody> {
    let Visit { worker, pool, .. } = visit;
    let body = match pool.evm() {
        None => Ok(NOTHING.into()),
        Some(_) => read_body(request.into_body(), worker.limits.request_body).await,
    };
    let body = match body {
        Ok(body) => body,
        Err(unread) => return unread.refusal(),
    };
    if let (Some(sheet), Some(_)) = (&visit.sheet, pool.evm()) {
        let request = envelope::parse_versions(&body, worker.limits.batch, pool.rules().versions);
        sheet.asked(&request, body.len());
    }
    let explanation = match observe(pool, &body, worker.limits.batch, worker.clock.mono()) {
        Ok(explanation) => explanation,
        Err(e) => {
            return error(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, &format!("SW0354: {e}"));
        }
    };
    note(visit, &explanation);
    match serde_json::to_vec(&explanation) {
        Ok(told) => json(StatusCode::OK, told.into()),
        Err(e) => error(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL_ERROR, &format!("SW0354: {e}")),
    }
}

/// Counts what would have been done, and has the account tell of it.
fn note(visit: &Visit, explanation: &Explanation) {
    let Visit { pool, trail, .. } = visit;
    trail.at(explanation.head.map(|(number, _)| number));
    for call in &explanation.calls {
        let decision = pool.observed(call);
        pool.count_observed(decision);
        let part = trail.like();
        part.by(match decision {
            Observed::Gateway => By::Gateway,
            Observed::Nobody => By::Nobody,
            Observed::Upstream(i) => By::Upstream(i),
        });
        trail.take(&part);
    }
}
