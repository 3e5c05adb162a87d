//! A server's health, as gRPC tells it.

use http::{HeaderValue, Method, header};
use seawall_model::Secret;

use super::{
    Notes,
    http::{exchange, keep, request},
    link::MAX_HELD,
};
use crate::{
    core::{check::Check, fault::Fault, grpc, target::Url},
    prober::{Kept, Prober},
};

/// Makes the check.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    url: &Url,
    kept: &mut Kept,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let service = url.path.expose().trim_start_matches('/');
    let method = Url { path: Secret::new(grpc::PATH.to_owned()), ..url.clone() };
    let mut call = check.clone();
    call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    call.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let message = grpc::request(service);
    let ask = || request(&call, &method, Method::POST, message.clone());
    let (link, facts, read) = exchange(prober, check, url, kept, notes, ask, MAX_HELD).await?;
    notes.report.http = Some(facts);
    if !facts.cut {
        keep(check, kept, link).await;
    }
    if facts.status != 200 {
        return Err(Fault::HttpStatus { status: facts.status, wanted: "200".to_owned() });
    }
    let said = grpc::judge(service, &notes.answer.headers, &read.held, read.trailers.as_ref())?;
    notes.report.banner = Some(said.to_owned());
    Ok(())
}
