//! A message that changes something: what is known of it, and what its client is told if the upstream does not say.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::super::{
    errand::{Errand, text_of},
    lookup::look_up,
    onward::Onward,
};
use crate::{
    admission::Who,
    core::{
        affected::Fate,
        outcome::{Finding, Shown},
    },
    estate::{MessageRule, Sign, SocketRule},
    pool::Pool,
    serve::{Client, Visit},
    worker::Worker,
};

/// An order on its way.
pub(super) struct Order {
    pub(super) visit: Visit,
    /// The message as the client sent it.
    pub(super) text: Utf8Bytes,
    /// What stands for its id in it.
    pub(super) id: Value,
    /// The order's own words.
    pub(super) value: Arc<Value>,
    /// The place of its rule among the socket's.
    pub(super) rule: usize,
    /// How often it was sent, and when last.
    pub(super) sent: u32,
    pub(super) at: Instant,
}

/// Whose orders come by a socket, and how it was opened.
pub(super) struct Origin {
    pub(super) worker: Arc<Worker>,
    pub(super) pool: Arc<Pool>,
    pub(super) client: Client,
    pub(super) who: Option<Arc<Who>>,
    pub(super) handshake: Arc<Onward>,
}

/// What a look-up of an order has come to.
pub(super) struct Found {
    /// Its place among those that are owed an answer.
    pub(super) key: String,
    pub(super) finding: Finding,
    /// What is told of it: the status and what the look-up said.
    pub(super) said: Option<(u16, Value)>,
}

impl Origin {
    /// The same, in the pool as the estate has it now; `None` if it has none.
    pub(super) fn anew(&self) -> Option<Self> {
        let pool = self.worker.routes.load().named(self.pool.section.name.as_str())?.clone();
        let (worker, client) = (self.worker.clone(), self.client.clone());
        let (who, handshake) = (self.who.clone(), self.handshake.clone());
        Some(Self { worker, pool, client, who, handshake })
    }

    /// What one message is accounted under.
    pub(super) fn visit(&self) -> Visit {
        let (worker, pool) = (self.worker.clone(), self.pool.clone());
        let mut visit = Visit::new(worker, pool, self.client.clone(), &HeaderMap::new());
        visit.who = self.who.clone();
        visit
    }

    /// Looks up what became of an order that was sent to upstream `reached`.
    pub(super) async fn look(
        self: Arc<Self>,
        rule: Arc<SocketRule>,
        n: usize,
        key: String,
        value: Arc<Value>,
        reached: usize,
        may_resend: bool,
    ) -> Found {
        let visit = Visit::of_the_house(self.worker.clone(), self.pool.clone());
        let unknown = |key| Found { key, finding: Finding::Unknown, said: None };
        let Some(rule) = rule.messages.get(n) else { return unknown(key) };
        let Some(errand) = Errand::of_message(&visit, &self.handshake, rule, &value) else {
            return unknown(key);
        };
        let (shown, got) = look_up(&errand, reached).await;
        let mut finding = errand.terms.found(shown, false, may_resend);
        if finding == Finding::Resend && !errand.spend() {
            finding = Finding::Absent;
        }
        let said = got.filter(|_| shown == Shown::Found).map(|got| {
            let status = rule.lookup.status.unwrap_or(got.received.status).as_u16();
            let body = String::from_utf8_lossy(&got.received.body).into_owned();
            let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
            got.put_back(&errand);
            (status, value)
        });
        Found { key, finding, said }
    }
}

impl SocketRule {
    /// The rule for a message, if one covers it.
    pub(super) fn rule_for(&self, value: &Value) -> Option<usize> {
        self.messages.iter().position(|rule| rule.when.is_in(value))
    }

    /// What tells which answer is whose, and how that is kept.
    pub(super) fn id_of(&self, value: &Value) -> Option<(String, Value)> {
        let id = value.get(&self.id).filter(|id| id.is_string() || id.is_number())?;
        Some((id.to_string(), id.clone()))
    }
}

impl MessageRule {
    /// Does an answer leave open what became of the order?
    pub(super) fn is_unsure(&self, answer: &Value) -> bool {
        self.unsure.iter().any(|sign| sign.is_in(answer))
    }
}

impl Sign {
    fn is_in(&self, value: &Value) -> bool {
        value.pointer(&self.at).and_then(text_of).is_some_and(|text| text == self.is)
    }
}

/// What the client is told of an order where the upstream's own word is not to be had.
pub(super) fn word(rule: &SocketRule, id: &Value, outcome: &str, rest: Value) -> Value {
    let mut word = serde_json::Map::new();
    word.insert(rule.id.clone(), id.clone());
    word.insert("outcome".to_owned(), json!(outcome));
    if let Value::Object(rest) = rest {
        word.extend(rest);
    }
    Value::Object(word)
}

impl Order {
    /// Closes its account, and says what the client is told.
    pub(super) fn tell(&self, rule: &SocketRule, found: &Found) -> Value {
        let api = &self.visit.pool.state.counts;
        let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
        let (outcome, fate, rest) = match found.finding {
            Finding::Reconciled => {
                api.api.reconciled.fetch_add(1, Relaxed);
                let rest = found
                    .said
                    .as_ref()
                    .map_or(Value::Null, |(status, said)| json!({"status": status, "result": said}));
                ("reconciled", Fate::Answered, rest)
            }
            Finding::Absent | Finding::Refused | Finding::Resend => {
                api.api.absent.fetch_add(1, Relaxed);
                self.visit.trail.refused("SW0371");
                let message = "the upstream failed, and the look-up shows that nothing took effect";
                ("absent", Fate::Failed, error("SW0371", message))
            }
            Finding::Unknown => {
                api.unknown_writes.fetch_add(1, Relaxed);
                self.visit.trail.refused("SW0305");
                let message = "the outcome is unknown: look it up before sending it again";
                ("unknown", Fate::Unknown, error("SW0305", message))
            }
        };
        self.visit.count(fate, || self.text.as_bytes());
        word(rule, &self.id, outcome, rest)
    }

    /// The upstream has answered it.
    pub(super) fn answered(&self, length: usize) {
        self.visit.count(Fate::Answered, || self.text.as_bytes());
        self.visit.end(length);
    }
}
