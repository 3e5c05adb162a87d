//! A request on its way: what it is, what may be done with it, and how long it may take.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use seawall_chain::method::Class;
use seawall_model::Mono;

use super::onward::{Onward, end_to_end, tail};
use crate::{
    core::{
        choose::Set,
        line::Priority,
        outcome::{Dedupe, Effect, Terms},
        path::as_segment,
    },
    estate::{HttpSection, ID, IdAt, LookupRule, MessageRule, PathRule, Piece, PoolKind},
    pool::{Pool, PoolState},
    serve::Visit,
    worker::Worker,
};

/// Longest id of a request, in bytes.
const MAX_ID: usize = 256;

/// A request on its way.
pub(super) struct Errand<'v> {
    pub(super) visit: &'v Visit,
    pub(super) worker: Arc<Worker>,
    pub(super) pool: Arc<Pool>,
    pub(super) onward: Arc<Onward>,
    pub(super) terms: Terms,
    pub(super) class: Class,
    /// It changes something, as its path's rule says; where none does, as its method does (RFC 9110, section 9.2.1).
    pub(super) changes: bool,
    /// By a second path if the first is dead.
    pub(super) critical: bool,
    /// A slow read is asked of a second upstream as well.
    pub(super) hedge: bool,
    pub(super) deadline: Mono,
    pub(super) attempt_timeout: Duration,
    /// The look-up of its outcome.
    pub(super) lookup: Option<(Arc<LookupRule>, Arc<Onward>)>,
}

impl<'v> Errand<'v> {
    /// `None` if the request cannot be written as an upstream would read it.
    pub(super) fn new(visit: &'v Visit, parts: Parts, body: Bytes) -> Option<Self> {
        let (worker, pool) = (visit.worker.clone(), visit.pool.clone());
        let PoolKind::Http(http) = &pool.section.kind else { return None };
        let tail = tail(&parts.uri, &pool.section.route);
        let path = tail.split('?').next().unwrap_or_default().to_owned();
        let headers = end_to_end(parts.headers);
        let mut onward = Onward { method: parts.method, tail, headers, body, class: Class::Other };
        let found = http.rule(&onward.method, &path);
        let rule = found.as_ref().map(|(rule, named)| (*rule, named.as_slice()));
        let id = rule.and_then(|(rule, named)| id(rule.id.as_ref()?, named, &onward));
        let lookup = rule.and_then(|(rule, named)| {
            let look = rule.lookup.as_ref()?;
            let tail = fill(&look.path, named, id.as_deref())?;
            Some((look.clone(), Arc::new(onward.look_up(look.method.clone(), tail))))
        });
        let rule = rule.map(|(rule, _)| rule);
        let terms = terms(http, rule, &onward, id.is_some(), lookup.is_some());
        let class = match terms.effect {
            Effect::Read => Class::Other,
            Effect::Write => Class::Write,
        };
        onward.class = class;
        let changes = match rule.and_then(|rule| rule.effect) {
            Some(effect) => effect == Effect::Write,
            None => !onward.method.is_safe(),
        };
        let section = &pool.section;
        let deadline = rule.and_then(|rule| rule.deadline).unwrap_or(section.deadline);
        let attempt = rule.and_then(|rule| rule.attempt_timeout).unwrap_or(section.attempt_timeout);
        let (critical, hedge) = rule.map_or((false, false), |rule| (rule.critical, rule.hedge));
        Some(Self {
            visit,
            deadline: worker.clock.mono() + deadline,
            attempt_timeout: attempt.min(deadline),
            onward: Arc::new(onward),
            terms,
            class,
            changes,
            critical,
            hedge,
            lookup,
            worker,
            pool,
        })
    }

    /// The order in a message on a socket that was opened by `handshake`, below that path: it is written by the socket,
    /// and looked up as any other. `None` if the message does not say which order it is about.
    pub(super) fn of_message(
        visit: &'v Visit,
        handshake: &Arc<Onward>,
        rule: &MessageRule,
        message: &serde_json::Value,
    ) -> Option<Self> {
        let pool = visit.pool.clone();
        let PoolKind::Http(http) = &pool.section.kind else { return None };
        let path = handshake.tail.split('?').next().unwrap_or_default();
        let (opened, named) = http.rule(&handshake.method, path)?;
        let id = text_of(message.pointer(&rule.id)?).filter(|id| !id.is_empty() && id.len() <= MAX_ID)?;
        let look = &rule.lookup;
        let tail = fill(&look.path, &named, Some(&as_segment(&id)))?;
        let onward = Arc::new(handshake.look_up(look.method.clone(), tail));
        let terms = Terms { effect: Effect::Write, dedupe: Dedupe::Never, lookup: true, resend: look.resend };
        let lookup = Some((look.clone(), onward));
        let (class, critical) = (Class::Write, rule.critical);
        let opens = Self::of_opened(visit, handshake, Some(opened));
        Some(Self { terms, class, changes: true, critical, lookup, ..opens })
    }

    /// A handshake made again, in the place of a socket that is lost.
    pub(super) fn of_handshake(visit: &'v Visit, handshake: &Arc<Onward>) -> Option<Self> {
        let pool = visit.pool.clone();
        let PoolKind::Http(http) = &pool.section.kind else { return None };
        let path = handshake.tail.split('?').next().unwrap_or_default();
        let opened = http.rule(&handshake.method, path).map(|(rule, _)| rule);
        Some(Self::of_opened(visit, handshake, opened))
    }

    fn of_opened(visit: &'v Visit, handshake: &Arc<Onward>, opened: Option<&PathRule>) -> Self {
        let (worker, pool) = (visit.worker.clone(), visit.pool.clone());
        let deadline = opened.and_then(|rule| rule.deadline).unwrap_or(pool.section.deadline);
        let attempt = opened.and_then(|rule| rule.attempt_timeout).unwrap_or(pool.section.attempt_timeout);
        let (effect, dedupe) = (Effect::Read, Dedupe::Never);
        Self {
            visit,
            deadline: worker.clock.mono() + deadline,
            attempt_timeout: attempt.min(deadline),
            onward: handshake.clone(),
            terms: Terms { effect, dedupe, lookup: false, resend: false },
            class: Class::Other,
            changes: false,
            critical: opened.is_some_and(|rule| rule.critical),
            hedge: false,
            lookup: None,
            worker,
            pool,
        }
    }

    /// Who it goes before: the admission's own rules say so, unless its path's rule has it critical.
    pub(super) fn priority(&self) -> Priority {
        let path = self.onward.tail.split('?').next().unwrap_or_default();
        match self.critical {
            true => Priority::Critical,
            false => self.pool.section.admission.of_request(&self.onward.method, path),
        }
    }

    /// The rule of its look-up.
    pub(super) fn lookup_rule(&self) -> Option<(&LookupRule, &Arc<Onward>)> {
        self.lookup.as_ref().map(|(rule, onward)| (&**rule, onward))
    }

    /// Where it goes next, among `within` and not to those in `tried`: by a second path only if it is critical and no
    /// first path is well.
    pub(super) fn choose(&self, class: Class, within: Set, tried: Set) -> Option<usize> {
        let pool = &self.pool;
        let now = self.worker.clock.mono();
        let heads = pool.state.heads.load();
        let choose = |within| pool.choose(now, class, &heads, within, tried);
        let second = pool.paths.second.and(within);
        let first = within.without(second);
        if !self.critical || second.is_empty() {
            return choose(first);
        }
        let sound = pool.sound(&heads, now).without(tried);
        // To find out whether one that was ejected is back is worth a call that can be made good.
        let recovers =
            self.terms.effect == Effect::Read || self.terms.dedupe != Dedupe::Never || self.terms.lookup;
        let well = |set: Set| match recovers {
            true => pool.open(now, class, set.and(sound)),
            false => pool.admitting(class, set.and(sound)),
        };
        let (first_well, second_well) = (well(first), well(second));
        let from = match (first_well.is_empty(), second_well.is_empty()) {
            (false, _) => first_well,
            (true, false) => second_well,
            (true, true) => first,
        };
        choose(from).or_else(|| choose(second))
    }

    /// The upstreams at which a write sent to `i` is known again.
    pub(super) fn scope(&self, i: usize) -> Set {
        match self.terms.dedupe {
            Dedupe::Shared => Set::ALL,
            Dedupe::Account | Dedupe::Never => self.pool.paths.account(i),
        }
    }

    /// May it be attempted once more, unplanned? A critical one may at any time: its attempts are few enough.
    pub(super) fn spend(&self) -> bool {
        let now = self.worker.clock.mono();
        let mut budget = self.state().budget();
        let granted = match self.critical {
            true => {
                budget.owe(now);
                true
            }
            false => budget.spend(now),
        };
        if !granted {
            self.state().counts.budget_refused.fetch_add(1, Relaxed);
        }
        granted
    }

    pub(super) fn state(&self) -> &PoolState {
        &self.pool.state
    }
}

/// What may be done with a request.
fn terms(http: &HttpSection, rule: Option<&PathRule>, onward: &Onward, has_id: bool, lookup: bool) -> Terms {
    let usual = match http.retry_methods.contains(&onward.method) {
        true => Effect::Read,
        false => Effect::Write,
    };
    let dedupe = rule.filter(|_| has_id).map_or(Dedupe::Never, |rule| rule.dedupe);
    let resend = rule.and_then(|rule| rule.lookup.as_ref()).is_some_and(|lookup| lookup.resend);
    Terms { effect: rule.and_then(|rule| rule.effect).unwrap_or(usual), dedupe, lookup, resend }
}

/// The id of a request, if it carries one.
fn id(at: &IdAt, named: &[(&str, &str)], onward: &Onward) -> Option<String> {
    let found = match at {
        IdAt::Header(name) => return header_id(&onward.headers, name),
        // As it stands in a path, so it may stand in another.
        IdAt::Path(name) => return named.iter().find(|(n, _)| n == name).map(|(_, text)| (*text).to_owned()),
        IdAt::Body(pointer) => text_at(&onward.body, pointer)?,
    };
    (!found.is_empty() && found.len() <= MAX_ID).then(|| as_segment(&found))
}

fn header_id(headers: &HeaderMap, name: &http::HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    // The draft has it a string of structured fields, in quotes; many write it bare.
    let text = value.to_str().ok()?.trim().trim_matches('"');
    (!text.is_empty() && text.len() <= MAX_ID).then(|| as_segment(text))
}

/// The text or number that a JSON pointer leads to.
pub(super) fn text_at(json: &[u8], pointer: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(json).ok()?;
    text_of(json.pointer(pointer)?)
}

/// A text, a number or a truth value, as text.
pub(super) fn text_of(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(yes) => Some(yes.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}

/// A look-up's path, filled in; `None` if something in it is missing.
fn fill(pieces: &[Piece], named: &[(&str, &str)], id: Option<&str>) -> Option<String> {
    let mut path = String::new();
    for piece in pieces {
        path.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Named(name) => match named.iter().find(|(n, _)| n == name) {
                _ if name == ID && id.is_some() => id?,
                Some((_, text)) => text,
                None => return None,
            },
        });
    }
    Some(path)
}
