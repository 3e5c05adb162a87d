//! W3C Trace Context (Recommendation of 23 November 2021): `traceparent` as clients send it and upstreams are
//! sent it.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where in which trace a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: u128,
    /// This request's own span.
    pub span: u64,
    /// The span that it was called from.
    pub parent: Option<u64>,
    /// It is exported; else only handed on.
    pub sampled: bool,
}

impl Context {
    /// A trace that begins here.
    pub(crate) fn begin(mut draw: impl FnMut() -> u64, sampled: bool) -> Self {
        let trace = u128::from(draw()) << 64 | u128::from(draw());
        // Neither may be zero (section 3.2.2).
        Self { trace: trace.max(1), span: draw().max(1), parent: None, sampled }
    }

    /// The trace that a client's headers name, with a span of our own in it.
    pub(crate) fn of(headers: &HeaderMap, draw: impl FnOnce() -> u64, sampled: bool) -> Option<Self> {
        let (trace, parent) = parse(headers.get(TRACEPARENT)?.to_str().ok()?)?;
        Some(Self { trace, span: draw().max(1), parent: Some(parent), sampled })
    }

    /// The span of the attempt at that upstream that began then.
    pub(crate) fn attempt(&self, upstream: usize, began: seawall_model::Mono) -> u64 {
        let place = began.0 ^ (upstream as u64 + 1) << 56;
        (self.span ^ place.wrapping_mul(0x9E37_79B9_7F4A_7C15)).max(1)
    }

    /// The header for a request whose span is `span`.
    pub(crate) fn header(&self, span: u64) -> HeaderValue {
        let text = format!("00-{:032x}-{span:016x}-{:02x}", self.trace, u8::from(self.sampled));
        HeaderValue::from_str(&text).expect("hexadecimal digits and dashes may stand in a header")
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.trace)
    }
}

/// Trace and parent span. Of versions to come only what this one has is read (section 4.3).
fn parse(text: &str) -> Option<(u128, u64)> {
    let hex = |part: &str, len| {
        let good = part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| u128::from_str_radix(part, 16).ok()).flatten()
    };
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let parent = hex(parts.next()?, 16)?;
    hex(parts.next()?, 2)?;
    let more = parts.next().is_some();
    if version == 0xff || (version == 0 && more) || trace == 0 || parent == 0 {
        return None;
    }
    Some((trace, u64::try_from(parent).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_may_send() {
        let check = |text: &str, want| assert_eq!(parse(text), want, "{text}");
        let (trace, parent) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some((trace, parent)));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Some((trace, parent)));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", None);
        check("", None);
    }

    #[test]
    fn what_is_sent_on_is_read_back() {
        let context = Context { trace: 7, span: 9, parent: None, sampled: true };
        let header = context.header(0xfe);
        assert_eq!(header, "00-00000000000000000000000000000007-00000000000000fe-01");
        assert_eq!(parse(header.to_str().unwrap()), Some((7, 0xfe)));
        let spans = [0, 1].map(|i| context.attempt(i, seawall_model::Mono(5)));
        assert_ne!(spans[0], spans[1]);
    }
}
