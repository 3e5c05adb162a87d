//! A request as upstreams are sent it: nothing goes on but what was understood, written anew.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts};

use seawall_chain::method::Class;

use super::answer::Refusal;
use crate::core::path::is_treacherous;

/// Headers that belong to one connection (RFC 9110, section 7.6.1), and those that are made anew.
const HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::EXPECT,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
/// Beginnings of headers by which an upstream may be told who asks.
const WHO: [&str; 4] = ["x-forwarded-", "forwarded", "x-real-", "x-seawall-"];

/// A request as every upstream is sent it.
pub(super) struct Onward {
    pub(super) method: Method,
    /// Path and query below the pool's route.
    pub(super) tail: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What it is counted as where it goes.
    pub(super) class: Class,
}

/// What makes a request one that two readers might read differently, or that is none for an API.
pub(super) fn fault(parts: &Parts) -> Option<Refusal> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Some(Refusal::Method);
    }
    is_treacherous(parts.uri.path()).then_some(Refusal::Path)
}

/// Path and query below the pool's route, beginning with a slash unless there is nothing.
pub(super) fn tail(uri: &Uri, route: &str) -> String {
    let path = uri.path().strip_prefix(route.trim_end_matches('/')).unwrap_or(uri.path());
    match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Path and query at an upstream whose base is that.
pub(super) fn target(base: &str, tail: &str) -> Option<Uri> {
    let joined = format!("{}{tail}", base.trim_end_matches('/'));
    let joined = if joined.starts_with('/') { joined } else { format!("/{joined}") };
    joined.parse().ok()
}

/// The headers that go from end to end: without those of one connection, and those it names.
pub(super) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers
}

/// The headers of a request that go to an upstream, with the upstream's own. A name with `_` that many servers
/// take for one with `-` is dropped where it would pass for a header that the gateway answers for.
pub(super) fn with_own(client: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    let mut headers = client.clone();
    let forged: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().contains('_') && passes_for(name, own)).cloned().collect();
    for name in forged {
        headers.remove(&name);
    }
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
    headers
}

fn passes_for(name: &HeaderName, own: &HeaderMap) -> bool {
    let meant = name.as_str().replace('_', "-");
    HOP.iter().any(|hop| hop.as_str() == meant)
        || own.keys().any(|name| name.as_str() == meant)
        || WHO.iter().any(|begins| meant.starts_with(begins))
}

impl Onward {
    /// The look-up that belongs to it: the client's headers, without what describes a body.
    pub(super) fn look_up(&self, method: Method, tail: String) -> Self {
        let mut headers = self.headers.clone();
        let body =
            [header::CONTENT_TYPE, header::CONTENT_ENCODING, HeaderName::from_static("idempotency-key")];
        for name in &body {
            headers.remove(name);
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Self { method, tail, headers, body: Bytes::new(), class: Class::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        for (base, tail, want) in [
            ("/", "/v1/orders?x=1", "/v1/orders?x=1"),
            ("/api", "/v1", "/api/v1"),
            ("/api/", "", "/api"),
            ("/", "", "/"),
            ("/", "?x=1", "/?x=1"),
        ] {
            assert_eq!(target(base, tail).unwrap(), want, "{base} {tail}");
        }
    }

    #[test]
    fn only_the_path_of_an_absolute_form_counts() {
        let uri: Uri = "http://elsewhere/api/x?y=1".parse().unwrap();
        assert_eq!(tail(&uri, "/api"), "/x?y=1");
        assert_eq!(tail(&uri, "/"), "/api/x?y=1");
    }

    #[test]
    fn headers_of_one_connection_stay_behind() {
        let headers = headers(&[
            ("connection", "x-secret, close"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("x-kept", "2"),
        ]);
        assert_eq!(names(&end_to_end(headers)), ["x-kept"]);
    }

    #[test]
    fn no_name_passes_for_a_header_of_the_gateways_own() {
        let own = headers(&[("host", "upstream"), ("x-api-key", "secret")]);
        let client = headers(&[
            ("content_length", "5"),
            ("transfer_encoding", "chunked"),
            ("x_api_key", "mine"),
            ("x-api-key", "mine"),
            ("x_forwarded_for", "127.0.0.1"),
            ("my_own", "kept"),
        ]);
        let onward = with_own(&client, &own);
        assert_eq!(onward["x-api-key"], "secret");
        let mut names = names(&onward);
        names.sort_unstable();
        assert_eq!(names, ["host", "my_own", "x-api-key"]);
    }
}
