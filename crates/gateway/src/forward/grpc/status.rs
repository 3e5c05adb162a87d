//! How a call over gRPC ended, and how long it may take, as both are written in headers.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{forward::answer::is_unknown, serve::ReplyBody};

/// `grpc-status`.
pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// `grpc-timeout`.
pub(super) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Most digits of a timeout.
const DIGITS: usize = 8;

/// Why a call failed, of the codes that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// The status in headers or trailers; `None` if there is none that is a number.
pub(super) fn status_of(headers: &HeaderMap) -> Option<u16> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// Is the upstream to blame for it? The rest is the caller's affair, or the application's.
pub(super) fn is_fault(status: u16) -> bool {
    [Code::Unknown, Code::Internal, Code::Unavailable].iter().any(|code| *code as u16 == status)
}

/// May it be tried again, for all that the upstream says? What is no number says no (gRFC A6).
pub(super) fn may_retry(headers: &HeaderMap) -> bool {
    let asked = headers.get(PUSHBACK).map(|value| value.to_str().ok()?.parse::<i64>().ok());
    asked.is_none_or(|wait| wait.is_some_and(|ms| ms >= 0))
}

/// The time that a call has: up to eight digits and a unit. What is none is none at all, as most servers have it.
pub(super) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3_600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

/// The time that is left, as a header. In the finest unit that it fits, rounded down: an upstream that gives up first
/// can still say so.
pub(super) fn timeout(left: Duration) -> HeaderValue {
    let most = 10_u128.pow(DIGITS as u32) - 1;
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (u128::from(left.as_secs()), 'S')];
    let (n, unit) = units.into_iter().find(|(n, _)| *n <= most).unwrap_or((most, 'S'));
    HeaderValue::from_str(&format!("{n}{unit}")).expect("digits and a letter may stand in a header")
}

/// The end of a call, as trailers.
pub(super) fn trailers(code: Code, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, HeaderValue::from(code as u16));
    trailers.insert(MESSAGE, escaped(message));
    trailers
}

/// A refusal of the gateway's own, which is written for an HTTP API, as one of gRPC: a status of 200 and nothing but trailers.
pub(crate) fn dressed(mut refusal: Response<ReplyBody>) -> Response<ReplyBody> {
    let code = match (is_unknown(&refusal), refusal.status()) {
        // A client that tries again where nobody was there must not do so here.
        (true, _) => Code::Unknown,
        (_, StatusCode::UNAUTHORIZED) => Code::Unauthenticated,
        (_, StatusCode::FORBIDDEN) => Code::PermissionDenied,
        (_, StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE) => Code::ResourceExhausted,
        (_, StatusCode::GATEWAY_TIMEOUT) => Code::DeadlineExceeded,
        (_, StatusCode::METHOD_NOT_ALLOWED) => Code::Unimplemented,
        (_, status) if status.is_client_error() => Code::InvalidArgument,
        (..) => Code::Unavailable,
    };
    let body = std::mem::replace(refusal.body_mut(), ReplyBody::Whole(bytes::Bytes::new()));
    let message = match body {
        ReplyBody::Whole(body) => said(&body),
        ReplyBody::Streaming(_) | ReplyBody::Relayed(_) => String::new(),
    };
    *refusal.status_mut() = StatusCode::OK;
    let headers = refusal.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.extend(trailers(code, &message));
    refusal
}

/// The sentence of a refusal, with its code.
fn said(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let error = &json["error"];
    let sentence = error.as_str().or(error["message"].as_str()).unwrap_or_default();
    match json["code"].as_str() {
        Some(code) if !sentence.starts_with("SW") => format!("{code}: {sentence}"),
        Some(_) | None => sentence.to_owned(),
    }
}

/// A message as it stands in a header: what is not printable ASCII, and `%`, is escaped.
fn escaped(message: &str) -> HeaderValue {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..0x20 | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    HeaderValue::from_str(&out).expect("printable ASCII may stand in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.clone(), value.parse().unwrap())])
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, wanted) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("00000003S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1s", None),
            ("1", None),
        ] {
            assert_eq!(timeout_of(&header(&TIMEOUT, text)), wanted, "{text}");
        }
        for left in [Duration::ZERO, Duration::from_micros(1_500), Duration::from_secs(99_999), Duration::MAX]
        {
            let read = timeout_of(&header(&TIMEOUT, timeout(left).to_str().unwrap())).unwrap();
            assert!(read <= left && read.as_secs() == left.as_secs().min(99_999_999), "{left:?}: {read:?}");
        }
    }

    #[test]
    fn messages_are_escaped() {
        assert_eq!(escaped("100 % of é\n"), "100 %25 of %C3%A9%0A");
    }

    #[test]
    fn only_a_wait_that_is_none_forbids_to_try_again() {
        assert!(may_retry(&HeaderMap::new()) && may_retry(&header(&PUSHBACK, "20")));
        assert!(!may_retry(&header(&PUSHBACK, "-1")) && !may_retry(&header(&PUSHBACK, "soon")));
    }
}
