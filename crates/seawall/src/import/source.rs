//! Texts that may name variables of the environment, and what becomes of them.

use base64::{Engine, prelude::BASE64_STANDARD};
use seawall_model::Name;

use super::{
    draft::{Draft, name},
    tree::{Field, Left},
};

/// What stands in the place of a URL while the estate is judged.
const URL: &str = "https://upstream.invalid";
/// What stands in the place of a WebSocket's URL.
const SOCKET_URL: &str = "wss://upstream.invalid";
/// What stands in the place of a header.
pub(super) const HEADER: &str = "value";

/// How a text is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// It is the text itself.
    Literal(String),
    /// It is all of one variable.
    Variable(String),
    /// Variables stand in it.
    Mixed(Vec<String>),
}

impl Source {
    /// Takes `$NAME` and `${NAME}` for variables, as a shell does.
    pub(super) fn of(text: &str) -> Self {
        let mut names = Vec::new();
        let mut rest = text;
        let mut whole = false;
        while let Some((before, after)) = rest.split_once('$') {
            let inner = after.strip_prefix('{').unwrap_or(after);
            let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
            let (found, after_name) = inner.split_at(end);
            let braced = inner.len() < after.len();
            let closed = if braced { after_name.strip_prefix('}') } else { Some(after_name) };
            if !found.is_empty() && !found.starts_with(|c: char| c.is_ascii_digit()) {
                whole =
                    names.is_empty() && rest.len() == text.len() && before.is_empty() && closed == Some("");
                names.push(found.to_owned());
            } else if braced {
                // Whatever it is to the other gateway, it is not the text itself.
                names.push("…".to_owned());
            }
            rest = inner;
        }
        match names.pop() {
            None => Self::Literal(text.to_owned()),
            Some(one) if whole && names.is_empty() => Self::Variable(one),
            Some(last) => Self::Mixed(names.into_iter().chain([last]).collect()),
        }
    }

    pub(super) fn names_variables(&self) -> bool {
        !matches!(self, Self::Literal(_))
    }
}

/// The names as people read them.
pub(super) fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("${{{name}}}")).collect::<Vec<_>>().join(" and ")
}

/// Which of an upstream's URLs is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Socket,
}

/// A URL as an estate has it, and what the user and password in it became.
#[derive(Debug, Clone)]
pub(super) struct Url {
    pub(super) text: String,
    pub(super) authorization: Option<String>,
    /// True if the text stands there, and is no variable.
    pub(super) literal: bool,
}

impl Draft {
    /// The URL that `text`, which stands at `field`, comes to; `owner` names the variable that is made where variables
    /// stand within it. `None` if there is none; why has been told.
    pub(super) fn url(
        &mut self,
        text: &str,
        kind: Kind,
        owner: &str,
        field: &Field<'_>,
        left: &mut Left,
    ) -> Option<Url> {
        let (stand_in, suffix) = match kind {
            Kind::Http => (URL, "URL"),
            Kind::Socket => (SOCKET_URL, "WS_URL"),
        };
        let variable =
            |name: String| Url { text: format!("env:{name}"), authorization: None, literal: false };
        match Source::of(text) {
            Source::Variable(name) => match self.variable(&name, stand_in) {
                true => Some(variable(name)),
                false => {
                    field.leave(left, format!("${{{name}}} stands for another kind of value elsewhere: use one variable for each"));
                    None
                }
            },
            Source::Mixed(names) => {
                let own = self.new_variable(&format!("{owner}_{suffix}"), stand_in);
                let reason = format!(
                    "a URL comes whole from the environment: set {own} to this one, with {} put in",
                    listed(&names)
                );
                field.leave(left, reason);
                Some(variable(own))
            }
            Source::Literal(text) => {
                let (text, authorization) = without_user(&text);
                match seawall_gateway::estate::url_fault(&text, kind == Kind::Socket) {
                    None => Some(Url { text, authorization, literal: true }),
                    Some((fault, cure)) => {
                        field.leave(left, format!("{fault}: {cure}"));
                        None
                    }
                }
            }
        }
    }

    /// The value of a header that `text`, which stands at `field`, comes to.
    pub(super) fn header(
        &mut self,
        name: &str,
        text: &str,
        owner: &str,
        field: &Field<'_>,
        left: &mut Left,
    ) -> Option<String> {
        let set = match Source::of(text) {
            Source::Variable(variable) if self.variable(&variable, HEADER) => format!("env:{variable}"),
            Source::Variable(variable) => {
                field.leave(left, format!("${{{variable}}} stands for another kind of value elsewhere: use one variable for each"));
                return None;
            }
            Source::Mixed(names) => {
                let own = self.new_variable(&format!("{owner}_{name}"), HEADER);
                let reason = format!(
                    "a header comes whole from the environment: set {own} to this one, with {} put in",
                    listed(&names)
                );
                field.leave(left, reason);
                format!("env:{own}")
            }
            Source::Literal(text) if text.starts_with("env:") || text.starts_with("file:") => {
                field.leave(left, "an estate would take it for the name of a secret: set it with `headers`, from a variable");
                return None;
            }
            Source::Literal(text) => text,
        };
        let value = if set.starts_with("env:") { HEADER } else { &set };
        if !seawall_gateway::estate::may_be_header(name, value) {
            field.leave(
                left,
                "it is no header that may be set: those of the connection are the gateway's own",
            );
            return None;
        }
        Some(set)
    }

    /// `authorization` of a user and a password, as they stand at two places.
    pub(super) fn basic(
        &mut self,
        user: &str,
        password: &str,
        owner: &str,
        field: &Field<'_>,
        left: &mut Left,
    ) -> String {
        if let (Source::Literal(user), Source::Literal(password)) = (Source::of(user), Source::of(password)) {
            return basic(&user, &password);
        }
        let own = self.new_variable(&format!("{owner}_AUTHORIZATION"), HEADER);
        let reason = format!(
            "a header comes whole from the environment: set {own} to `Basic ` and the Base64 of `USER:PASSWORD`"
        );
        field.leave(left, reason);
        format!("env:{own}")
    }

    /// Notes that the estate names a variable, and what may stand in its place. False if something else does already.
    pub(super) fn variable(&mut self, name: &str, stand_in: &str) -> bool {
        self.variables.entry(name.to_owned()).or_insert_with(|| stand_in.to_owned()) == stand_in
    }

    /// A variable that nothing else names.
    pub(super) fn new_variable(&mut self, wanted: &str, stand_in: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let first = format!("SEAWALL_{}", wanted.chars().map(plain).collect::<String>());
        let mut own = first.clone();
        let mut number = 2;
        while self.variables.contains_key(&own) {
            own = format!("{first}_{number}");
            number += 1;
        }
        self.variables.insert(own.clone(), stand_in.to_owned());
        own
    }
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// The URL without the user and password in it, and these as a header.
pub(super) fn without_user(text: &str) -> (String, Option<String>) {
    let taken = text.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (user, host) = rest[..end].rsplit_once('@')?;
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        Some((format!("{scheme}://{host}{}", &rest[end..]), basic(&decoded(user), &decoded(password))))
    });
    match taken {
        Some((text, header)) => (text, Some(header)),
        None => (text.to_owned(), None),
    }
}

/// The text without its percent-encoding (RFC 3986, section 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| str::from_utf8(two).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Who operates what is at a literal URL, as far as its host tells: `fallback` where it is an address or a name of a
/// private network.
pub(super) fn operator(url: &str, fallback: &str) -> Name {
    const PRIVATE: [&str; 8] = ["local", "localhost", "internal", "lan", "svc", "home", "test", "invalid"];
    const SECOND: [&str; 6] = ["co", "com", "net", "org", "ac", "gov"];
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = &host[..host.find(['/', '?', '#', ':']).unwrap_or(host.len())];
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    let public = |last: &str| last.contains(|c: char| c.is_ascii_alphabetic()) && !PRIVATE.contains(&last);
    match labels.as_slice() {
        [.., of, second, last] if last.len() == 2 && SECOND.contains(second) => name(of),
        [.., of, last] if public(last) => name(of),
        _ => name(fallback),
    }
}

impl Draft {
    /// A URL that nobody told: it comes from a variable.
    pub(super) fn unknown_url(&mut self, owner: &str) -> Url {
        let own = self.new_variable(&format!("{owner}_URL"), URL);
        Url { text: format!("env:{own}"), authorization: None, literal: false }
    }
}
