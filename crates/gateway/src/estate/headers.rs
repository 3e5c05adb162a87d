//! Extra request headers of an upstream.

use http::{HeaderName, HeaderValue};
use seawall_model::{
    Secret,
    estate::{At, Code, Decode, Node, Problem, Problems, Resolve, SecretSource},
};

/// `headers = { authorization = "env:KEY" }`.
#[derive(Debug, Clone)]
pub struct RawHeaders(Vec<(At<String>, At<SecretSource>)>);

/// Headers that are the gateway's own business: those of the connection (RFC 9110, section 7.6.1), of the
/// message's framing, and of what it negotiates with the upstream.
const OWN: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parts of a header's name that tell that its value is a secret.
const SECRET_NAMES: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];

/// Most extra headers of one upstream.
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

impl RawHeaders {
    /// Judges names and values. `None` if any is bad; each has been reported.
    pub(super) fn validate(
        &self,
        resolve: &Resolve<'_>,
        problems: &mut Problems,
    ) -> Option<Vec<(HeaderName, Secret)>> {
        if let Some((name, _)) = self.0.get(MAX_HEADERS) {
            let message = format!("{} headers; at most {MAX_HEADERS} are taken", self.0.len());
            problems.report(Problem::new(Code::Limit, name.place, message));
            return None;
        }
        let mut good = Vec::new();
        for (raw_name, raw_value) in &self.0 {
            let name = header_name(raw_name, problems);
            let value = header_value(raw_value, resolve, problems);
            let (Some(name), Some(value)) = (name, value) else { continue };
            if matches!(raw_value.value, SecretSource::Literal(_))
                && SECRET_NAMES.iter().any(|part| name.as_str().contains(part))
            {
                let message = format!("the value of `{name}` stands in the file");
                problems.report(Problem::new(Code::LiteralSecret, raw_value.place, message));
            }
            if good.iter().any(|(n, _)| *n == name) {
                let message = format!("header `{name}` is given twice; the case of letters does not count");
                problems.report(Problem::new(Code::DeclaredTwice, raw_name.place, message));
            }
            good.push((name, value));
        }
        (good.len() == self.0.len()).then_some(good)
    }
}

/// True if an upstream's `headers` may hold this name and value.
pub fn may_be_header(name: &str, value: &str) -> bool {
    let named = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| !OWN.contains(&name.as_str()));
    let fits = !value.is_empty() && value.len() <= MAX_VALUE && value.is_ascii();
    named && fits && HeaderValue::from_str(value).is_ok()
}

fn header_name(raw: &At<String>, problems: &mut Problems) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(raw.value.as_bytes()) else {
        let message = format!("{} is not a header's name", problems.quote(&raw.value, raw.place));
        let problem = Problem::new(Code::Header, raw.place, message);
        problems.report(problem.help("use letters, digits and `-`, as in `x-api-key`"));
        return None;
    };
    if OWN.contains(&name.as_str()) {
        let message = format!("`{name}` is set by the gateway itself");
        problems.report(Problem::new(Code::Header, raw.place, message).help("remove it"));
        return None;
    }
    Some(name)
}

fn header_value(raw: &At<SecretSource>, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Secret> {
    let secret = raw.resolve(resolve, problems)?;
    let message = match secret.expose() {
        text if text.len() > MAX_VALUE => format!("the header's value is longer than {MAX_VALUE} bytes"),
        text if text.contains(['\r', '\n']) => "the header's value holds a line break".to_owned(),
        text if HeaderValue::from_str(text).is_err() || !text.is_ascii() => {
            "the header's value holds characters that no header may".to_owned()
        }
        _ => return Some(secret),
    };
    let help = "use visible ASCII characters and spaces on one line; a line's end after the last is cut off";
    problems.report(Problem::new(Code::Header, raw.place, message).help(help));
    None
}
