//! A request over HTTP, and what its answer is worth.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{
    Notes,
    connect::connect,
    link::{Link, MAX_HELD, NoHead, Read},
    notes::Phase,
};
use crate::{
    core::{
        check::{Check, HttpVersion},
        fault::Fault,
        report::HttpFacts,
        target::Url,
    },
    prober::{Kept, Prober},
};

/// What servers are told of who asks.
pub(crate) const AGENT: &str = concat!("seawall-probe/", env!("CARGO_PKG_VERSION"));

/// Makes the check.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    url: &Url,
    kept: &mut Kept,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let hold = if check.expect.wants_body() { MAX_HELD } else { 0 };
    let ask = || request(check, url, check.method.clone(), check.body.clone());
    let (link, facts, read) = exchange(prober, check, url, kept, notes, ask, hold).await?;
    notes.report.http = Some(facts);
    if !facts.cut {
        keep(check, kept, link).await;
    }
    let judged = check.expect.judge(facts.status, &read.held);
    notes.answer.body = read.held;
    judged
}

/// Keeps a connection for the next time, if the check is not to be made afresh.
pub(crate) async fn keep(check: &Check, kept: &mut Kept, link: Box<Link>) {
    if !check.fresh {
        kept.0 = link.park().await;
    }
}

/// One request and its answer, over what is kept if that still lives, else over a fresh connection.
pub(crate) async fn exchange(
    prober: &Prober,
    check: &Check,
    url: &Url,
    kept: &mut Kept,
    notes: &mut Notes,
    request: impl Fn() -> Result<Request<Full<Bytes>>, Fault>,
    hold: usize,
) -> Result<(Box<Link>, HttpFacts, Read), Fault> {
    let old = match kept.0.take().filter(|_| !check.fresh) {
        Some(parked) => parked.resume().await,
        None => None,
    };
    if let Some(mut link) = old {
        notes.begin(Phase::Answer);
        match link.head(request()?).await {
            Ok(answer) => {
                notes.report.reused = true;
                return body(link, answer, notes, hold).await;
            }
            // It was closed just when it was to be used, which is no fault: a fresh one tells.
            Err(NoHead::Closed) => notes.report.timings.first_byte_us = None,
            Err(bad @ NoHead::Bad(_)) => return Err(bad.fault()),
        }
    }
    let conn = connect(prober, check, &url.endpoint, notes).await?;
    agreed(check, notes)?;
    notes.begin(Phase::Answer);
    let mut link = Box::new(Link::start(conn, check.http).await?);
    let answer = link.head(request()?).await.map_err(NoHead::fault)?;
    body(link, answer, notes, hold).await
}

/// Whether the server speaks the check's version, as far as the handshake told.
fn agreed(check: &Check, notes: &Notes) -> Result<(), Fault> {
    let told = notes.report.tls.as_ref();
    let agreed = told.is_none_or(|tls| tls.alpn.as_deref() == Some(check.http.alpn()));
    // Servers of the first version need say nothing.
    if agreed || check.http == HttpVersion::One {
        return Ok(());
    }
    Err(Fault::TlsAlpn { offered: check.alpn.join(", ") })
}

async fn body(
    mut link: Box<Link>,
    answer: Response<Incoming>,
    notes: &mut Notes,
    hold: usize,
) -> Result<(Box<Link>, HttpFacts, Read), Fault> {
    notes.begin(Phase::Body);
    let version = match answer.version() {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    };
    let status = answer.status().as_u16();
    let mut facts = HttpFacts { version, status, bytes: 0, cut: false };
    // Noted already, for the case that the body does not end.
    notes.report.http = Some(facts);
    let (head, incoming) = answer.into_parts();
    notes.answer.headers = head.headers;
    let read = link.body(incoming, hold).await?;
    notes.end();
    facts.bytes = read.bytes;
    facts.cut = read.cut;
    Ok((link, facts, read))
}

/// The request, with the headers of the check. What the check says of a header stands.
pub(crate) fn request(
    check: &Check,
    url: &Url,
    method: Method,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Fault> {
    let bad = |_| Fault::Malformed { why: "the target makes no request".to_owned() };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    let uri = match check.http {
        HttpVersion::One => Uri::try_from(url.path.expose()),
        HttpVersion::Two => Uri::try_from(absolute(check, url)),
    };
    *request.uri_mut() = uri.map_err(|e| bad(e.to_string()))?;
    let headers = request.headers_mut();
    headers.clone_from(&check.headers);
    let host = || HeaderValue::from_str(&url.host).map_err(|e| bad(e.to_string()));
    match check.http {
        HttpVersion::One if headers.contains_key(header::HOST) => {}
        HttpVersion::One => drop(headers.insert(header::HOST, host()?)),
        // It is part of the URI there (RFC 9113, section 8.3.1).
        HttpVersion::Two => drop(headers.remove(header::HOST)),
    }
    if !headers.contains_key(header::USER_AGENT) {
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    }
    if !headers.contains_key(header::ACCEPT) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    }
    if check.fresh && check.http == HttpVersion::One {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(request)
}

/// The URI in full, with the host that the check says, or else the target's.
fn absolute(check: &Check, url: &Url) -> String {
    let scheme = if url.endpoint.tls { "https" } else { "http" };
    let said = check.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    format!("{scheme}://{}{}", said.unwrap_or(&url.host), url.path.expose())
}
