//! A server's health as gRPC tells it: `grpc.health.v1`, of which each message has one field.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use super::{answer::shown, fault::Fault};

/// The method that is called.
pub const PATH: &str = "/grpc.health.v1.Health/Check";
/// What stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Kinds of a protobuf field's value.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH_FIRST: u64 = 2;
const FOUR_BYTES: u64 = 5;
/// Statuses of gRPC by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The body of a call that asks for a service's health; the server's own if the name is empty.
pub fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, a text.
        message.put_u8(0x0a);
        put_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(&message);
    body.freeze()
}

/// What the answer says of that service.
///
/// # Errors
/// Unless it is `SERVING`.
pub fn judge(
    service: &str,
    headers: &HeaderMap,
    body: &[u8],
    trailers: Option<&HeaderMap>,
) -> Result<&'static str, Fault> {
    let malformed = |why: &str| Fault::Malformed { why: why.to_owned() };
    let is_grpc = |value: &http::HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if !headers.get(http::header::CONTENT_TYPE).is_some_and(is_grpc) {
        return Err(malformed("it is HTTP/2, and no gRPC"));
    }
    // Where there is no message, the status stands in the one block of headers that there is.
    let told = trailers.unwrap_or(headers);
    let status = told.get("grpc-status").and_then(|status| status.to_str().ok()?.parse::<usize>().ok());
    match status {
        Some(0) => {}
        Some(status) => {
            let said = told.get("grpc-message").map(|said| shown(said.as_bytes())).unwrap_or_default();
            let status = STATUSES.get(status).map_or_else(|| status.to_string(), |name| (*name).to_owned());
            return Err(Fault::GrpcStatus { status, said });
        }
        None => return Err(malformed("the call has no status")),
    }
    let message = message(body).ok_or_else(|| malformed("there is no whole message in it"))?;
    let status = serving(message).ok_or_else(|| malformed("the message is no protobuf"))?;
    let status = match status {
        1 => return Ok("SERVING"),
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "in a state that grpc.health.v1 has no name for",
    };
    Err(Fault::NotServing { service: service.to_owned(), status })
}

/// The first message of a body, if it is whole and not compressed.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = *prefix else { return None };
    rest.get(..usize::try_from(u32::from_be_bytes(length)).ok()?)
}

/// The number in field 1, which is 0 where there is none. Other fields are passed over, as protobuf has it.
fn serving(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, VARINT) => status = varint(&mut message)?,
            (_, VARINT) => drop(varint(&mut message)?),
            (_, EIGHT_BYTES) => message = message.get(8..)?,
            (_, FOUR_BYTES) => message = message.get(4..)?,
            (_, LENGTH_FIRST) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

/// Takes a number of seven bits a byte, the lowest first.
fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_varint(to: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        to.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.put_u8((number & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 0, message.len() as u8], message].concat()
    }

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let both = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        };
        of.iter().map(both).collect()
    }

    fn check(body: &[u8], trailers: &[(&'static str, &'static str)], wanted: Result<&str, &str>) {
        let head = headers(&[("content-type", "application/grpc+proto")]);
        let judged = judge("pay", &head, body, Some(&headers(trailers)));
        let judged = judged.map_err(|fault| fault.to_string());
        assert_eq!(judged.as_ref().map(|s| *s).map_err(String::as_str), wanted, "{body:?}");
    }

    #[test]
    fn a_service_is_asked_for_by_name() {
        assert_eq!(request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(request("pay")[..], *b"\0\0\0\0\x05\x0a\x03pay");
        let long = request(&"x".repeat(200));
        assert_eq!((long.len(), &long[..8]), (208, &b"\0\0\0\0\xcb\x0a\xc8\x01"[..]));
    }

    #[test]
    fn what_a_server_says_of_itself_is_judged() {
        let ok = [("grpc-status", "0")];
        check(&answer(&[8, 1]), &ok, Ok("SERVING"));
        check(&answer(&[0x12, 1, 9, 8, 1]), &ok, Ok("SERVING"));
        check(&answer(&[8, 2]), &ok, Err("the service pay is NOT_SERVING"));
        check(&answer(&[]), &ok, Err("the service pay is UNKNOWN"));
        let malformed = "the answer is not what the protocol has it be: ";
        check(&answer(&[8, 1])[..6], &ok, Err(&format!("{malformed}there is no whole message in it")));
        check(&answer(&[8, 0x80]), &ok, Err(&format!("{malformed}the message is no protobuf")));
        check(&answer(&[8, 1]), &[], Err(&format!("{malformed}the call has no status")));
        let bad = [("grpc-status", "5"), ("grpc-message", "unknown service")];
        check(&[], &bad, Err("the call ended with NOT_FOUND: unknown service"));
        let plain = judge("", &headers(&[("content-type", "text/html")]), b"", None);
        assert!(plain.unwrap_err().to_string().ends_with("no gRPC"));
    }
}
