//! What a part of a rollup says, over one JSON-RPC batch.

use bytes::Bytes;
use http::{HeaderValue, Method, header};

use super::{
    Notes,
    http::{exchange, keep, request},
    link::MAX_HELD,
};
use crate::{
    core::{
        chain::{ChainFacts, Part},
        check::Check,
        fault::Fault,
        target::Url,
    },
    prober::{Kept, Prober},
};

/// Makes the check.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    part: Part,
    url: &Url,
    kept: &mut Kept,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let body = Bytes::from(part.body());
    let call = || {
        request(check, url, Method::POST, body.clone()).map(|mut call| {
            call.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            call
        })
    };
    let (link, facts, read) = exchange(prober, check, url, kept, notes, call, MAX_HELD).await?;
    notes.report.http = Some(facts);
    if !facts.cut {
        keep(check, kept, link).await;
    }
    let said = ChainFacts::read(part, facts.status, &read.held, notes.clock.wall())?;
    let judged = said.judge(&check.expect);
    notes.report.chain = Some(Box::new(said));
    judged
}
