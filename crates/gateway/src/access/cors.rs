//! What a browser is told of who may use a pool (the Fetch standard, section 3.2).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::{
    estate::{CorsSection, Origin},
    serve::ReplyBody,
};

/// Headers that are answered here; an upstream's own would contradict them.
const OURS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Longest origin that is looked at.
const MAX_ORIGIN: usize = 512;

impl CorsSection {
    /// May whoever sent these headers use the pool? What names no origin is no web page's doing. A WebSocket's
    /// handshake is to be asked this too, since browsers leave it to the server.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        headers.get(header::ORIGIN).is_none_or(|origin| self.allows(origin))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Some(text) = origin.to_str().ok().filter(|text| text.len() <= MAX_ORIGIN) else { return false };
        self.origins.iter().any(|allowed| match allowed {
            Origin::Any => true,
            Origin::Exactly(exactly) => exactly == text,
            Origin::Below(scheme, above) => {
                let below =
                    text.strip_prefix(scheme.as_str()).and_then(|host| host.strip_suffix(above.as_str()));
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
                below.is_some_and(|labels| !labels.is_empty() && labels.bytes().all(plain))
            }
        })
    }

    /// Answers a browser that asks beforehand; `None` if this is no such question.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<ReplyBody>> {
        let asks = method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = headers.get(header::ORIGIN).filter(|_| asks)?;
        let mut response = Response::new(ReplyBody::Whole(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let told = response.headers_mut();
        if self.allows(origin) {
            told.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            told.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            told.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        self.grant(Some(origin), told);
        Some(response)
    }

    /// Tells the page that an answer goes to whether it may look at it.
    pub(crate) fn tell(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        for name in &OURS {
            headers.remove(name);
        }
        self.grant(origin, headers);
    }

    fn grant(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        // A cache must not give one page what was said to another.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else { return };
        let any = self.origins.contains(&Origin::Any);
        let told = if any { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, told);
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: Vec<Origin>) -> CorsSection {
        CorsSection {
            origins,
            methods: HeaderValue::from_static("POST"),
            headers: HeaderValue::from_static("content-type"),
            expose: None,
            credentials: false,
            max_age: HeaderValue::from_static("600"),
        }
    }

    fn check(cors: &CorsSection, origin: &str, allowed: bool) {
        let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        assert_eq!(cors.admits(&headers), allowed, "{origin}");
    }

    #[test]
    fn an_origin_is_compared_whole() {
        let cors = cors(vec![
            Origin::Exactly("https://a.example".into()),
            Origin::Below("https://".into(), ".b.example".into()),
        ]);
        assert!(cors.admits(&HeaderMap::new()));
        for good in ["https://a.example", "https://x.b.example", "https://x.y.b.example"] {
            check(&cors, good, true);
        }
        for bad in [
            "http://a.example",
            "https://a.example.evil",
            "https://a.example:8443",
            "https://evil-a.example",
            "https://b.example",
            "https://.b.example",
            "https://evil/.b.example",
            "https://evil@.b.example",
            "null",
            "",
        ] {
            check(&cors, bad, false);
        }
    }

    #[test]
    fn what_an_upstream_says_of_origins_is_replaced() {
        let cors = cors(vec![Origin::Exactly("https://a.example".into())]);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        cors.tell(Some(&HeaderValue::from_static("https://evil.example")), &mut headers);
        assert_eq!(headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN), None);
        assert_eq!(headers.get_all(header::VARY).iter().count(), 2);
    }
}
