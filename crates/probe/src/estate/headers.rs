//! Request headers of a probe.

use http::{HeaderMap, HeaderName, HeaderValue};
use seawall_model::estate::{At, Code, Decode, Node, Problem, Problems, Resolve, SecretSource};

use crate::core::assert::SECRET_NAMES;

/// `headers = { authorization = "env:KEY" }`.
#[derive(Debug, Clone)]
pub struct RawHeaders(Vec<(At<String>, At<SecretSource>)>);

/// Headers that are the connection's own business (RFC 9110, section 7.6.1), or the message's framing.
const OWN: [&str; 8] =
    ["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
/// Most headers of one probe.
const MAX_HEADERS: usize = 32;
/// Longest value of a header, in bytes.
const MAX_VALUE: usize = 8 * 1024;

impl Decode for RawHeaders {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut headers = Vec::new();
        for (name, place, value) in node.entries("a table of headers", problems)? {
            if let Some(value) = At::decode(value, problems) {
                headers.push((At::new(name.to_owned(), place), value));
            }
        }
        Some(Self(headers))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": SecretSource::schema() })
    }
}

/// A header as a request may have it, its value marked sensitive; `None` if it may not.
pub fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !OWN.contains(&name.as_str()))?;
    let mut value = HeaderValue::from_str(value).ok().filter(|_| value.len() <= MAX_VALUE)?;
    value.set_sensitive(true);
    Some((name, value))
}

impl RawHeaders {
    /// Judges names and values. `None` if any is bad; each has been reported.
    pub(super) fn validate(
        at: &At<Self>,
        resolve: &Resolve<'_>,
        problems: &mut Problems,
    ) -> Option<HeaderMap> {
        let raw = &at.value.0;
        if raw.len() > MAX_HEADERS {
            let message = format!("{} headers; at most {MAX_HEADERS} are taken", raw.len());
            problems.report(Problem::new(Code::Limit, at.place, message));
            return None;
        }
        let mut good = HeaderMap::new();
        for (name, value) in raw {
            let Some(secret) = value.resolve(resolve, problems) else { continue };
            let literal = matches!(value.value, SecretSource::Literal(_));
            if literal && SECRET_NAMES.iter().any(|part| name.value.to_ascii_lowercase().contains(part)) {
                let message =
                    format!("the value of {} stands in the file", problems.quote(&name.value, name.place));
                problems.report(Problem::new(Code::LiteralSecret, value.place, message));
            }
            match header(&name.value, secret.expose()) {
                Some((name, value)) => {
                    good.insert(name, value);
                }
                None => {
                    let message =
                        format!("{} cannot be set to that", problems.quote(&name.value, name.place));
                    let help = "use a header of letters, digits and `-` that is not the connection's own, and a value of \
                                visible ASCII on one line, of 8 KiB at most";
                    problems.report(Problem::new(Code::Header, name.place, message).help(help));
                }
            }
        }
        (good.len() == raw.len()).then_some(good)
    }
}
