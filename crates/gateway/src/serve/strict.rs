//! What HTTP's grammar lets through and two readers may still read in two ways.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use seawall_chain::envelope::code;

use super::{ReplyBody, request::error};

/// Names that some servers take for the header of the message's framing that they look like.
const LOOK_ALIKES: [HeaderName; 2] =
    [HeaderName::from_static("content_length"), HeaderName::from_static("transfer_encoding")];

/// A request that is not clear, or not a gateway's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclear {
    /// It names no host, two, or what is none (RFC 9112, section 3.2).
    Host,
    /// It is to be made a tunnel or an echo.
    Method,
}

impl Unclear {
    /// What its client is told. The connection ends with it.
    pub(super) fn refusal(self, version: Version) -> Response<ReplyBody> {
        let (status, message) = match self {
            Self::Host => (StatusCode::BAD_REQUEST, "SW0314: the request does not name one host"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "SW0315: this method is not served"),
        };
        let mut response = error(status, code::INVALID_REQUEST, message);
        if version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Looks at a request's head.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Unclear> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Unclear::Method);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let target = request.uri().authority();
    let clear = match (host, target) {
        _ if second.is_some() => false,
        (Some(host), None) => is_host(host.as_bytes()),
        // The target's is the host (RFC 9112, section 3.2.2); nobody should be told another.
        (Some(host), Some(target)) => {
            let target = target.as_str().as_bytes();
            is_host(target) && host.as_bytes().eq_ignore_ascii_case(target)
        }
        (None, Some(target)) => is_host(target.as_str().as_bytes()) && request.version() != Version::HTTP_11,
        (None, None) => request.version() != Version::HTTP_11,
    };
    if clear { Ok(()) } else { Err(Unclear::Host) }
}

/// Takes out what an upstream might take for something else than it was here.
pub(super) fn clean(headers: &mut HeaderMap) {
    for name in &LOOK_ALIKES {
        headers.remove(name);
    }
}

/// A host and perhaps a port (RFC 3986, section 3.2.2), without what a host's name never has in practice.
fn is_host(text: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~:[]%".contains(b);
    !text.is_empty() && text.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_is(request: http::request::Builder, clear: Result<(), Unclear>) {
        let request = request.body(()).unwrap();
        assert_eq!(check(&request), clear, "{request:?}");
    }

    #[test]
    fn a_request_names_one_host() {
        let post = || Request::post("/chain");
        check_is(post().header("host", "a"), Ok(()));
        check_is(post().header("host", "[::1]:8545"), Ok(()));
        check_is(Request::post("http://A/chain").header("host", "a"), Ok(()));
        check_is(post().version(Version::HTTP_10), Ok(()));
        check_is(Request::post("http://a/chain").version(Version::HTTP_2), Ok(()));
        for host in ["", "a b", "a/b", "u@a", "a,b"] {
            check_is(post().header("host", host), Err(Unclear::Host));
        }
        check_is(post(), Err(Unclear::Host));
        check_is(post().header("host", "a").header("host", "a"), Err(Unclear::Host));
        check_is(Request::post("http://b/chain").header("host", "a"), Err(Unclear::Host));
        check_is(Request::post("http://u@a/chain").header("host", "u@a"), Err(Unclear::Host));
        check_is(Request::post("http://a/chain"), Err(Unclear::Host));
    }

    #[test]
    fn tunnels_and_echoes_are_not_made() {
        check_is(Request::builder().method("CONNECT").uri("a:443").header("host", "a"), Err(Unclear::Method));
        check_is(Request::trace("/").header("host", "a"), Err(Unclear::Method));
    }
}
