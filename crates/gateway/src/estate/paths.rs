//! The paths of an HTTP API: what a request to each may change, and how its outcome is found out.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, Method};
use seawall_model::{
    choice,
    estate::{At, Code, Place, Problem, Problems},
    section,
    units::Bytes,
};

use super::{
    messages::{self, RawSocket, SocketRule},
    upload::{self, RawUpload},
    validate::{time, within},
};
use crate::core::{
    outcome::{Dedupe, Effect},
    path::{Pattern, is_name},
};

/// Most path rules of one pool.
const MAX_RULES: usize = 256;
/// Most statuses, or values of a field, in one list.
const MAX_LIST: usize = 32;
/// Longest time to clear up what has become of a write.
const MAX_WITHIN: Duration = Duration::from_secs(60);
/// What the id of a request is called in the path of its look-up.
pub const ID: &str = "id";

choice! {
    /// What a request may change.
    pub enum RawEffect {
        /// Nothing: it may be sent again, and to several.
        Read = "read",
        /// Something: it is never sent again blindly.
        Write = "write",
    }
}

choice! {
    /// Who takes a request with an id that it has seen for the one that it has seen.
    pub enum RawDedupe {
        /// Nobody.
        Never = "never",
        /// The account that it was sent to: every upstream of the same provider.
        Account = "account",
        /// Every upstream of the pool.
        Shared = "shared",
    }
}

section! {
    /// What a request to some paths of an HTTP API may change, and how its outcome is found out. The first rule
    /// that covers a request holds.
    pub struct RawPath {
        /// The path below the pool's route, as in `/orders/{id}`; `*` is any segment, `**` at the end any rest.
        path: At<String>, required;
        /// The methods it is for; all if empty.
        methods: Vec<At<String>>, default([]);
        /// What such a request may change: `read` or `write`; told by `retry_methods` if absent.
        effect: At<RawEffect>, optional;
        /// It goes before others, and by a second path when the first is dead.
        critical: bool, default(false);
        /// A slow read is asked of a second upstream as well.
        hedge: bool, default(false);
        /// What is done with a request's body: `hold` reads it whole before it is sent on, `stream` sends it on as it comes,
        /// to one upstream; `hold` if absent.
        upload: At<RawUpload>, optional;
        /// Largest body with `upload = "stream"`; 1GiB if absent.
        upload_limit: At<Bytes>, optional;
        /// Time such a request may take in all; the pool's if absent.
        deadline: At<Duration>, optional;
        /// Time one attempt may take; the pool's if absent.
        attempt_timeout: At<Duration>, optional;
        /// Where a request's id stands, as in `header:idempotency-key`, `path:id` or `/clientOrderId` (in its JSON).
        id: At<String>, optional;
        /// Who knows a repeated id again: `never`, `account` or `shared`.
        dedupe: At<RawDedupe>, optional;
        /// How to look up what became of a write.
        lookup: At<RawLookup>, optional;
        /// What is known of the messages of a WebSocket that is opened here.
        socket: At<RawSocket>, optional;
    }
}

section! {
    /// How to look up what became of a write.
    pub struct RawLookup {
        /// The path, as in `/orders/{id}`: `{id}` is the request's id, other names are those of the rule's path.
        path: At<String>, required;
        /// The method.
        method: At<String>, default("GET");
        /// Statuses that say that it is there.
        found: Vec<At<u32>>, default([200]);
        /// Statuses that say that it is not.
        absent: Vec<At<u32>>, default([404]);
        /// A field of what is found (a JSON pointer) that must have one of `done`, or it is not there yet.
        field: At<String>, optional;
        /// The values of `field` that say that it took effect.
        done: Vec<At<String>>, default([]);
        /// A write that is not there after this long never comes.
        settle: At<Duration>, default("2s");
        /// Time to clear it up; after that its outcome is said to be unknown.
        within: At<Duration>, default("5s");
        /// Once it is proven not to have taken effect it is sent again, though nobody knows a repetition again.
        resend: bool, default(false);
        /// The status of the answer that the client gets; that of the look-up if absent.
        status: At<u32>, optional;
    }
}

/// What a request to some paths may change, and how its outcome is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRule {
    /// The paths it is for.
    pub path: Pattern,
    /// The methods it is for; empty is all.
    pub methods: Vec<Method>,
    /// What such a request may change, if the rule says so.
    pub effect: Option<Effect>,
    /// It goes before others, and by a second path when the first is dead.
    pub critical: bool,
    /// A slow read is asked of a second upstream as well.
    pub hedge: bool,
    /// Bodies go on as they come, up to so many bytes; they are held if absent.
    pub upload: Option<u64>,
    /// Time such a request may take in all, if not the pool's.
    pub deadline: Option<Duration>,
    /// Time one attempt may take, if not the pool's.
    pub attempt_timeout: Option<Duration>,
    /// Where a request's id stands.
    pub id: Option<IdAt>,
    /// Who knows a repeated id again.
    pub dedupe: Dedupe,
    /// How to look up what became of a write.
    pub lookup: Option<Arc<LookupRule>>,
    /// What is known of the messages of a WebSocket that is opened here.
    pub socket: Option<Arc<SocketRule>>,
}

/// Where a request's id stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdAt {
    /// In a header.
    Header(HeaderName),
    /// In a segment of the path, by its name in the rule.
    Path(String),
    /// In the JSON of the body, by its pointer (RFC 6901).
    Body(String),
}

/// How to look up what became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupRule {
    /// The method.
    pub method: Method,
    /// The path: texts and names in turn.
    pub path: Vec<Piece>,
    /// Statuses that say that it is there.
    pub found: Vec<u16>,
    /// Statuses that say that it is not.
    pub absent: Vec<u16>,
    /// A field of what is found, and the values of it that say that the write took effect.
    pub done: Option<(String, Vec<String>)>,
    /// A write that is not there after this long never comes.
    pub settle: Duration,
    /// Time to clear it up.
    pub within: Duration,
    /// It may be sent again once it is proven absent.
    pub resend: bool,
    /// The status of the answer that the client gets, if not that of the look-up.
    pub status: Option<http::StatusCode>,
}

/// A part of a look-up's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// What the request has under that name.
    Named(String),
}

/// Segments of a path, each with its name.
pub type Named<'a> = Vec<(&'a str, &'a str)>;

/// Judges the rules of a pool. `None` if any is bad; each fault has been reported.
pub(super) fn validate(raw: &[At<RawPath>], problems: &mut Problems) -> Option<Vec<PathRule>> {
    if let Some(at) = raw.get(MAX_RULES) {
        let message = format!("{} path rules; at most {MAX_RULES} are taken", raw.len());
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let good: Vec<_> = raw.iter().filter_map(|at| rule(at, problems)).collect();
    (good.len() == raw.len()).then_some(good)
}

fn rule(at: &At<RawPath>, problems: &mut Problems) -> Option<PathRule> {
    let raw = &at.value;
    let path = raw.path.as_ref().and_then(|path| pattern(path, problems));
    let methods: Option<Vec<_>> = raw.methods.iter().map(|m| method(m, problems)).collect();
    let mut span = |raw: Option<At<Duration>>, key| match raw {
        Some(at) => time(at, key, problems).map(Some),
        None => Some(None),
    };
    let (deadline, attempt_timeout) =
        (span(raw.deadline, "deadline"), span(raw.attempt_timeout, "attempt_timeout"));
    let path = path?;
    let id = match &raw.id {
        Some(at) => Some(id(at, &path, problems)?),
        None => None,
    };
    let dedupe = match raw.dedupe.map_or(RawDedupe::Never, |at| at.value) {
        RawDedupe::Never => Dedupe::Never,
        RawDedupe::Account => Dedupe::Account,
        RawDedupe::Shared => Dedupe::Shared,
    };
    let effect = raw.effect.map(|at| match at.value {
        RawEffect::Read => Effect::Read,
        RawEffect::Write => Effect::Write,
    });
    let mut contradict = |place: Place, message: &str, help: &str| {
        problems.report(Problem::new(Code::Contradiction, place, message).help(help));
    };
    if let (Some(at), None) = (raw.dedupe.filter(|_| dedupe != Dedupe::Never), &id) {
        contradict(at.place, "`dedupe` needs an `id` to know a request by", "say where the id stands: `id`");
        return None;
    }
    if effect == Some(Effect::Read) {
        let told = raw.dedupe.map(|at| ("dedupe", at.place));
        let told = told.or(raw.lookup.as_ref().map(|at| ("lookup", at.place)));
        if let Some((key, place)) = told {
            contradict(place, &format!("`{key}` means nothing for a read"), "remove it");
            return None;
        }
    }
    let lookup = match &raw.lookup {
        Some(at) => Some(Arc::new(lookup(at, &path, id.is_some(), problems)?)),
        None => None,
    };
    let upload = upload::validate(raw, id.as_ref(), lookup.as_deref(), problems)?;
    let socket = match &raw.socket {
        Some(at) => Some(Arc::new(messages::validate(&at.value, &path, problems)?)),
        None => None,
    };
    Some(PathRule {
        path,
        methods: methods?,
        effect,
        critical: raw.critical,
        hedge: raw.hedge,
        upload,
        deadline: deadline?,
        attempt_timeout: attempt_timeout?,
        id,
        dedupe,
        lookup,
        socket,
    })
}

fn pattern(at: &At<String>, problems: &mut Problems) -> Option<Pattern> {
    let bad =
        |e| bad(at, format!("{} is no path of a rule: {e}", problems.quote(&at.value, at.place)), problems);
    Pattern::parse(&at.value).map_err(bad).ok()
}

fn id(at: &At<String>, path: &Pattern, problems: &mut Problems) -> Option<IdAt> {
    let text = at.value.as_str();
    if let Some(name) = text.strip_prefix("header:") {
        match name.parse() {
            Ok(name) => return Some(IdAt::Header(name)),
            Err(_) => bad(at, format!("{} is no header's name", problems.quote(name, at.place)), problems),
        }
    } else if let Some(name) = text.strip_prefix("path:") {
        if path.names().any(|known| known == name) {
            return Some(IdAt::Path(name.to_owned()));
        }
        bad(at, format!("the path has no part named {}", problems.quote(name, at.place)), problems);
    } else if text.starts_with('/') {
        return Some(IdAt::Body(text.to_owned()));
    } else {
        let message = format!("{} says not where an id stands", problems.quote(text, at.place));
        let help = "write `header:NAME`, `path:NAME`, or a JSON pointer as in `/clientOrderId`";
        problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
    }
    None
}

pub(super) fn lookup(
    at: &At<RawLookup>,
    rule: &Pattern,
    has_id: bool,
    problems: &mut Problems,
) -> Option<LookupRule> {
    let raw = &at.value;
    let path = raw.path.as_ref().and_then(|path| template(path, rule, has_id, problems));
    let method = method(&raw.method, problems);
    let (found, absent) = (statuses(&raw.found, problems), statuses(&raw.absent, problems));
    let settle = time(raw.settle, "settle", problems);
    let end =
        within(raw.within, Duration::from_millis(1), MAX_WITHIN, "within", |d| format!("{d:?}"), problems);
    let status = match &raw.status {
        Some(at) => Some(status(at, problems)?),
        None => None,
    };
    if let (Some(settle), Some(end)) = (settle, end)
        && settle >= end
    {
        let message = "`settle` is no shorter than `within`: what is not there could never be told";
        problems.report(Problem::new(Code::Contradiction, raw.settle.place, message));
        return None;
    }
    let done = match (&raw.field, raw.done.is_empty()) {
        (Some(field), false) => {
            Some((field.value.clone(), raw.done.iter().map(|v| v.value.clone()).collect()))
        }
        (None, true) => None,
        (Some(_), true) | (None, false) => {
            let message = "`field` and `done` say together what tells that a write took effect";
            problems.report(Problem::new(Code::Contradiction, at.place, message).help("give both or none"));
            return None;
        }
    };
    Some(LookupRule {
        method: method?,
        path: path?,
        found: found?,
        absent: absent?,
        done,
        settle: settle?,
        within: end?,
        resend: raw.resend,
        status,
    })
}

/// Takes a look-up's path apart.
fn template(at: &At<String>, rule: &Pattern, has_id: bool, problems: &mut Problems) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = at.value.as_str();
    let plain = |text: &str| text.parse::<http::uri::PathAndQuery>().is_ok() && !text.contains(['}', '#']);
    if !rest.starts_with('/') {
        bad(at, "the look-up's path does not begin with `/`".to_owned(), problems);
        return None;
    }
    while let Some((text, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            bad(at, "a `{` in the look-up's path begins no `{name}`".to_owned(), problems);
            return None;
        };
        if !(name == ID && has_id || rule.names().any(|known| known == name)) {
            let what = problems.quote(name, at.place);
            bad(
                at,
                format!("nothing of the request is named {what}: set `id`, or name a part of `path`"),
                problems,
            );
            return None;
        }
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Named(name.to_owned()));
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    let text: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Named(_) => "x",
        })
        .collect();
    if !plain(&text) {
        bad(at, "the look-up's path is none".to_owned(), problems);
        return None;
    }
    Some(pieces)
}

fn statuses(list: &[At<u32>], problems: &mut Problems) -> Option<Vec<u16>> {
    if let Some(at) = list.get(MAX_LIST) {
        problems.report(Problem::new(Code::Limit, at.place, format!("more than {MAX_LIST} statuses")));
        return None;
    }
    list.iter().map(|at| status(at, problems).map(|s| s.as_u16())).collect()
}

fn status(at: &At<u32>, problems: &mut Problems) -> Option<http::StatusCode> {
    let value = within(*at, 200, 599, "a status", u32::to_string, problems)?;
    http::StatusCode::from_u16(u16::try_from(value).ok()?).ok()
}

/// One of the methods that an HTTP API is asked by.
pub(super) fn method(at: &At<String>, problems: &mut Problems) -> Option<Method> {
    let known = [
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
    ];
    let found = known.iter().find(|m| m.as_str() == at.value).cloned();
    if found.is_none() {
        let names = known.each_ref().map(Method::as_str);
        let message = format!("unknown method {}", problems.quote(&at.value, at.place));
        let problem = Problem::new(Code::InvalidValue, at.place, message)
            .help(format!("use one of {}", names.join(", ")));
        problems.report_unlike(problem, &at.value.to_uppercase(), names);
    }
    found
}

fn bad<T: fmt::Debug>(at: &At<T>, message: String, problems: &mut Problems) {
    problems.report(Problem::new(Code::InvalidValue, at.place, message));
}

impl super::HttpSection {
    /// The first rule that covers a request, and the named segments of the path (without its query, below the pool's
    /// route).
    pub fn rule<'a>(&'a self, method: &Method, path: &'a str) -> Option<(&'a PathRule, Named<'a>)> {
        self.paths.iter().find_map(|rule| {
            let named = rule.is_for(method).then(|| rule.path.matches(path))??;
            Some((rule, named))
        })
    }
}

impl PathRule {
    /// A rule for a path that says nothing more.
    pub fn new(path: Pattern) -> Self {
        Self {
            path,
            methods: Vec::new(),
            effect: None,
            critical: false,
            hedge: false,
            upload: None,
            deadline: None,
            attempt_timeout: None,
            id: None,
            dedupe: Dedupe::Never,
            lookup: None,
            socket: None,
        }
    }

    /// Is it for that method?
    pub fn is_for(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}
