//! What messages on a WebSocket of an HTTP API change, and how their outcome is found out.

use std::sync::Arc;

use seawall_model::{
    estate::{At, Code, Place, Problem, Problems},
    section,
};

use super::{
    LookupRule,
    paths::{self, RawLookup},
};
use crate::core::path::Pattern;

/// Most rules of messages of one socket, and most signs of doubt of one rule.
const MAX_RULES: usize = 64;

section! {
    /// What is known of the messages of a WebSocket. Those that no rule covers are passed on as they are.
    pub struct RawSocket {
        /// The member of a message, and of its answer, that tells which answer is whose, as in `id`.
        id: At<String>, default("id");
        /// Another socket to an upstream takes the place of one that is lost, without the client's noticing: only
        /// where no message is needed to log in or to subscribe.
        resume: bool, default(false);
        /// Messages that change something; the first rule that covers one holds.
        messages: Vec<At<RawMessage>>, default([]);
    }
}

section! {
    /// Messages that change something.
    pub struct RawMessage {
        /// What such a message has: a JSON pointer and its value, as in `/op=place`.
        when: At<String>, required;
        /// Where its order's id stands, as in `/params/clientOrderId` (a JSON pointer).
        id: At<String>, required;
        /// Answers that leave its outcome open, as in `/error/code=502`.
        unsure: Vec<At<String>>, default([]);
        /// It goes before others, and is looked up by a second path when the first is dead.
        critical: bool, default(false);
        /// How to look up what became of it.
        lookup: At<RawLookup>, required;
    }
}

/// What is known of the messages of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketRule {
    /// The member that tells which answer is whose.
    pub id: String,
    /// Another socket takes the place of one that is lost.
    pub resume: bool,
    /// Messages that change something.
    pub messages: Vec<MessageRule>,
}

/// Messages that change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRule {
    /// What such a message has.
    pub when: Sign,
    /// Where its order's id stands: a JSON pointer.
    pub id: String,
    /// Answers that leave its outcome open.
    pub unsure: Vec<Sign>,
    /// It goes before others.
    pub critical: bool,
    /// How to look up what became of it.
    pub lookup: Arc<LookupRule>,
}

/// A value at a place in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// The JSON pointer (RFC 6901).
    pub at: String,
    /// The text, number or truth value that stands there.
    pub is: String,
}

/// Judges what is said of a socket. `None` if anything is bad; each fault has been reported.
pub(super) fn validate(raw: &RawSocket, path: &Pattern, problems: &mut Problems) -> Option<SocketRule> {
    let bad = |place: Place, message: &str, help: &str, problems: &mut Problems| {
        problems.report(Problem::new(Code::InvalidValue, place, message).help(help));
    };
    if raw.id.value.is_empty() || raw.id.value.contains('/') {
        bad(raw.id.place, "`id` is no member of a message", "write its name, as in `id`", problems);
        return None;
    }
    if let Some(at) = raw.messages.get(MAX_RULES) {
        let message = format!("{} rules of messages; at most {MAX_RULES} are taken", raw.messages.len());
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let messages: Vec<_> = raw.messages.iter().filter_map(|at| message(&at.value, path, problems)).collect();
    (messages.len() == raw.messages.len()).then(|| SocketRule {
        id: raw.id.value.clone(),
        resume: raw.resume,
        messages,
    })
}

fn message(raw: &RawMessage, path: &Pattern, problems: &mut Problems) -> Option<MessageRule> {
    if let Some(at) = raw.unsure.get(MAX_RULES) {
        problems.report(Problem::new(Code::Limit, at.place, format!("more than {MAX_RULES} signs of doubt")));
        return None;
    }
    let when = raw.when.as_ref().and_then(|at| sign(at, problems));
    let id = raw.id.as_ref().and_then(|at| pointer(at, problems));
    let unsure: Option<Vec<_>> = raw.unsure.iter().map(|at| sign(at, problems)).collect();
    let lookup = raw.lookup.as_ref().and_then(|at| paths::lookup(at, path, true, problems));
    Some(MessageRule {
        when: when?,
        id: id?,
        unsure: unsure?,
        critical: raw.critical,
        lookup: Arc::new(lookup?),
    })
}

fn sign(at: &At<String>, problems: &mut Problems) -> Option<Sign> {
    match at.value.split_once('=') {
        Some((pointer, value)) if pointer.starts_with('/') => {
            Some(Sign { at: pointer.to_owned(), is: value.to_owned() })
        }
        _ => {
            let message = format!("{} is no place with a value", problems.quote(&at.value, at.place));
            let help = "write a JSON pointer and what stands there, as in `/op=place`";
            problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
            None
        }
    }
}

fn pointer(at: &At<String>, problems: &mut Problems) -> Option<String> {
    if at.value.starts_with('/') {
        return Some(at.value.clone());
    }
    let message = format!("{} is no JSON pointer", problems.quote(&at.value, at.place));
    let help = "write one as in `/params/clientOrderId` (RFC 6901)";
    problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
    None
}
