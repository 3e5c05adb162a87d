//! The head of an EVM chain, over JSON-RPC.

use bytes::Bytes;
use http::{HeaderValue, Method, header};

use super::{
    Notes,
    http::{exchange, request},
    link::MAX_HELD,
};
use crate::{
    core::{
        check::Check,
        evm::{Ask, EvmFacts},
        fault::Fault,
        target::Url,
    },
    prober::{Kept, Prober},
};

/// Makes the check: one call after another over one connection.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    url: &Url,
    kept: &mut Kept,
    notes: &mut Notes,
) -> Result<(), Fault> {
    // Its own calls share a connection, whether that is kept for the next time or not.
    let mut calls = check.clone();
    calls.fresh = false;
    calls.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut shared = if check.fresh { Kept::default() } else { Kept(kept.0.take()) };
    let began_reused = shared.0.is_some();
    for ask in Ask::ALL {
        let body = Bytes::from(ask.body());
        let call = || request(&calls, url, Method::POST, body.clone());
        let (link, facts, read) = exchange(prober, &calls, url, &mut shared, notes, call, MAX_HELD).await?;
        if ask == Ask::Latest {
            notes.report.http = Some(facts);
        }
        // Its own calls share a connection; what counts is whether that was there before.
        notes.report.reused = began_reused && notes.report.timings.connect_us.is_none();
        shared.0 = link.park().await;
        let wall = notes.clock.wall();
        let seen = notes.report.evm.get_or_insert_with(|| Box::new(EvmFacts::default()));
        seen.take(ask, facts.status, &read.held, wall)?;
    }
    if !check.fresh {
        *kept = shared;
    }
    notes.report.evm.as_ref().map_or(Ok(()), |seen| seen.judge(&check.expect))
}
