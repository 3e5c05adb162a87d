//! Conditions on what a check found, in CEL: what they may name, and what is told where one does not hold.

use std::collections::BTreeMap;

use http::HeaderMap;
use seawall_model::Wall;
use seawall_rules::{Facts, Kind, Reading, Rule};
use serde_json::{Value, json};

use super::{check::Check, exposition, fault::Fault, report::Report, target::Target};

/// Most assertions on one answer.
pub const MAX_ASSERTIONS: usize = 32;
/// Parts of a name that tell that its value is a secret.
pub(crate) const SECRET_NAMES: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];
/// Most characters of a value, and of the rule itself, that are told.
const SHOWN: usize = 60;
const RULE_SHOWN: usize = 200;
/// What is sent and shorter than this is no secret: it would be found in any answer.
const SECRET_LENGTH: usize = 6;

const TIMINGS: Kind = Kind::Record(&[
    ("dns_ms", Kind::Number),
    ("connect_ms", Kind::Number),
    ("tls_ms", Kind::Number),
    ("first_byte_ms", Kind::Number),
    ("body_ms", Kind::Number),
    ("total_ms", Kind::Number),
]);
const CERTIFICATE: Kind = Kind::Record(&[
    ("days_left", Kind::Number),
    ("subject", Kind::Text),
    ("issuer", Kind::Text),
    ("names", Kind::List),
]);

/// An HTTP answer as far as it was held.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: bytes::Bytes,
}

/// What an assertion on a target may name, if each check goes over a fresh connection or not: one that is kept tells
/// nothing of its other end any more.
pub fn names(target: &Target, fresh: bool) -> Vec<(&'static str, Kind)> {
    let mut names = vec![("timings", TIMINGS)];
    if fresh {
        names.push(("address", Kind::Text));
    }
    if fresh && target.endpoint().is_some_and(|endpoint| endpoint.tls) {
        names.push(("certificate", CERTIFICATE));
    }
    if matches!(target, Target::Http(_)) {
        names.extend([
            ("status", Kind::Number),
            ("headers", Kind::Texts),
            ("body", Kind::Text),
            ("json", Kind::Any),
            ("metrics", Kind::Any),
        ]);
    }
    names
}

/// What rules are judged with: what was found, and the answer as far as any of them reads it. A body that is no JSON sets
/// no `json`, and one that is not exposed to Prometheus no `metrics`.
pub fn facts<'a>(
    rules: impl Iterator<Item = &'a Rule> + Clone,
    report: &Report,
    answer: &Answer,
    now: Wall,
) -> Facts {
    let named = |name: &str| rules.clone().any(|rule| rule.names(name));
    let mut facts = Facts::default();
    facts.set("timings", &timings(report));
    if let Some(at) = report.remote {
        facts.set("address", &json!(at.ip().to_string()));
    }
    if let Some(first) = report.tls.as_ref().and_then(|tls| tls.chain.first()) {
        let certificate = json!({
            "days_left": first.days_left(now),
            "subject": first.subject,
            "issuer": first.issuer,
            "names": first.names,
        });
        facts.set("certificate", &certificate);
    }
    let Some(http) = &report.http else { return facts };
    facts.set("status", &json!(http.status));
    if named("headers") {
        facts.set("headers", &headers(&answer.headers));
    }
    if named("body") {
        facts.set("body", &json!(String::from_utf8_lossy(&answer.body)));
    }
    if named("json")
        && let Ok(value) = serde_json::from_slice::<Value>(&answer.body)
    {
        facts.set("json", &value);
    }
    if named("metrics")
        && http.bytes == answer.body.len() as u64
        && let Some(metrics) = metrics(&answer.body)
    {
        facts.set("metrics", &metrics);
    }
    facts
}

/// Judges what was found.
///
/// # Errors
/// The first assertion that does not hold, or has no answer, and what it read.
pub fn judge(check: &Check, report: &Report, answer: &Answer, now: Wall) -> Result<(), Fault> {
    let rules = &check.expect.rules;
    if rules.is_empty() {
        return Ok(());
    }
    let facts = facts(rules.iter(), report, answer, now);
    let hidden = Hidden::of(check);
    rules.iter().try_for_each(|rule| judge_one(rule, &facts, &hidden, &answer.body))
}

/// Judges one assertion.
pub(crate) fn judge_one(rule: &Rule, facts: &Facts, hidden: &Hidden, body: &[u8]) -> Result<(), Fault> {
    let told = || {
        let readings = rule.readings(facts);
        let each: Vec<_> = readings.iter().map(|r| format!("{} is {}", r.place(), hidden.show(r))).collect();
        if each.is_empty() { "it reads nothing".to_owned() } else { each.join(", ") }
    };
    let text = || cut(rule.text(), RULE_SHOWN);
    match rule.holds(facts) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::Assertion { rule: text(), read: told() }),
        Err(_) if rule.names("json") && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() => {
            Err(Fault::BodyNotJson)
        }
        Err(_) if rule.names("metrics") && !facts.has("metrics") => Err(Fault::BodyNotMetrics),
        Err(why) => Err(Fault::Unanswered { rule: text(), why: why.to_string(), read: told() }),
    }
}

fn metrics(body: &[u8]) -> Option<Value> {
    exposition::samples(std::str::from_utf8(body).ok()?)
}

fn timings(report: &Report) -> Value {
    let t = &report.timings;
    let parts = [
        ("dns_ms", t.dns_us),
        ("connect_ms", t.connect_us),
        ("tls_ms", t.tls_us),
        ("first_byte_ms", t.first_byte_us),
        ("body_ms", t.body_us),
        ("total_ms", Some(t.total_us)),
    ];
    let parts = parts.into_iter().filter_map(|(name, us)| Some((name, f64::from(us?) / 1_000.0)));
    json!(parts.collect::<BTreeMap<_, _>>())
}

/// By their names in lower case; of several of one name the values with commas between (RFC 9110, section 5.3).
fn headers(headers: &HeaderMap) -> Value {
    let mut all = BTreeMap::<&str, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(name.as_str())
            .and_modify(|before| {
                before.push_str(", ");
                before.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    json!(all)
}

/// What must not be shown, though an answer may repeat it: whatever was sent that could be a secret.
#[derive(Default)]
pub(crate) struct Hidden(Vec<String>);

impl Hidden {
    /// What the check sends.
    pub(crate) fn of(check: &Check) -> Self {
        let mut hidden = Self::default();
        check.headers.values().filter_map(|value| value.to_str().ok()).for_each(|value| hidden.hide(value));
        hidden.hide(&String::from_utf8_lossy(&check.body));
        if let Some(url) = check.target.url()
            && (check.target.holds_key() || url.path.expose().contains('?'))
        {
            hidden.hide(url.path.expose());
        }
        hidden
    }

    /// Hides a text and its parts.
    pub(crate) fn hide(&mut self, text: &str) {
        let joins = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=' | '~');
        let parts = text.split(|c: char| !joins(c)).chain(text.split(|c: char| !c.is_alphanumeric()));
        self.0.extend(
            std::iter::once(text).chain(parts).filter(|p| p.len() >= SECRET_LENGTH).map(str::to_owned),
        );
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Hides what another hides as well.
    pub(crate) fn also(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Does it hold what must not be shown?
    pub(crate) fn covers(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret))
    }

    /// A value as a sentence may have it: whole bodies, lists and maps by their size only.
    fn show(&self, reading: &Reading) -> String {
        let secret = |part: &String| {
            let part = part.to_ascii_lowercase();
            SECRET_NAMES.iter().any(|name| part.contains(name))
        };
        match &reading.value {
            None => "absent".to_owned(),
            Some(_) if reading.path.iter().skip(1).any(secret) => "***".to_owned(),
            Some(Value::Array(list)) => format!("a list of {}", list.len()),
            Some(Value::Object(members)) => format!("a map of {}", members.len()),
            Some(Value::String(text)) if reading.path.len() == 1 && reading.path[0] == "body" => {
                format!("a text of {} bytes", text.len())
            }
            Some(Value::String(text)) if self.covers(text) => "***".to_owned(),
            Some(Value::String(text)) => format!("{:?}", cut(text, SHOWN)),
            Some(value) => {
                let text = value.to_string();
                if self.covers(&text) { "***".to_owned() } else { text }
            }
        }
    }
}

/// The beginning of a text, and that there is more.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::core::report::HttpFacts;

    fn found(rules: &[&str], body: &str) -> Result<(), Fault> {
        let mut check = Check::new("https://venue.example/orders?sig=sign4ture".parse().unwrap());
        let value = HeaderValue::from_static("Bearer h0rse-battery");
        check.headers.insert(HeaderName::from_static("authorization"), value);
        check.body = Bytes::from_static(b"{\"account\":\"acc0unt-1\"}");
        let names = names(&check.target, true);
        let compile = |rule: &&str| Rule::condition(rule, &names).unwrap_or_else(|e| panic!("{rule}: {e}"));
        check.expect.rules = rules.iter().map(compile).collect();
        let mut report = Report::new(Wall(0));
        report.http =
            Some(HttpFacts { version: "HTTP/1.1", status: 200, bytes: body.len() as u64, cut: false });
        report.timings.total_us = 12_500;
        let mut answer = Answer { body: Bytes::copy_from_slice(body.as_bytes()), ..Answer::default() };
        answer.headers.insert("x-state", HeaderValue::from_static("well"));
        answer.headers.append("x-state", HeaderValue::from_static("really"));
        answer.headers.insert("set-cookie", HeaderValue::from_static("sid=1"));
        judge(&check, &report, &answer, Wall(0))
    }

    fn told(rule: &str, body: &str) -> String {
        found(&[rule], body).expect_err(rule).to_string()
    }

    #[test]
    fn assertions_are_judged_in_their_order() {
        let body = r#"{"result":{"status":"ok"}}"#;
        let good = ["status == 200", "json.result.status == 'ok'", "timings.total_ms < 500"];
        assert_eq!(found(&good, body), Ok(()));
        assert_eq!(found(&["headers['x-state'] == 'well, really'", "body.contains('ok')"], body), Ok(()));
        assert_eq!(
            found(&["status == 200", "json.result.status == 'halted'", "status == 1"], body)
                .unwrap_err()
                .to_string(),
            "`json.result.status == 'halted'` does not hold: json.result.status is \"ok\""
        );
        assert_eq!(
            told("timings.total_ms < 5 && has(timings.dns_ms)", body),
            "`timings.total_ms < 5 && has(timings.dns_ms)` does not hold: timings.total_ms is 12.5, timings is a map of 1"
        );
        assert_eq!(
            told("json.result.height > 3", body),
            "`json.result.height > 3` cannot be told: `height` is not there; json.result.height is absent"
        );
        assert_eq!(found(&["json.a == 1"], "<html>"), Err(Fault::BodyNotJson));
    }

    #[test]
    fn metrics_can_be_asserted() {
        let body = "up 1\nqueue{of=\"withdrawals\"} 12\nqueue{of=\"deposits\"} 7e2\n";
        let good = [
            "metrics.up[0].value == 1",
            "metrics.queue.exists(s, s.labels.of == 'withdrawals' && s.value < 100)",
            "!('halted' in metrics)",
        ];
        assert_eq!(found(&good, body), Ok(()));
        assert_eq!(
            told("metrics.queue.all(s, s.value < 100)", body),
            "`metrics.queue.all(s, s.value < 100)` does not hold: metrics.queue is a list of 2"
        );
        assert!(told("metrics.down[0].value == 0", body).contains("cannot be told"));
        assert_eq!(found(&["metrics.up[0].value == 1"], "<html>"), Err(Fault::BodyNotMetrics));
    }

    #[test]
    fn what_was_sent_is_never_shown() {
        let body = r#"{"echo":"Bearer h0rse-battery","half":"h0rse-battery","me":"acc0unt-1","sig":"sign4ture",
                       "api_token":"t","note":"fine","all":["h0rse-battery"]}"#;
        for place in
            ["json.echo", "json.half", "json.me", "json.sig", "json.api_token", "headers['set-cookie']"]
        {
            let said = told(&format!("{place} == 'x'"), body);
            assert!(said.contains(" is ***"), "{said}");
        }
        assert!(told("json.note == 'x'", body).ends_with("json.note is \"fine\""));
        assert!(told("json.all == []", body).ends_with("json.all is a list of 1"));
        assert!(told("json == {}", body).ends_with("json is a map of 7"));
        assert!(told("body == ''", body).contains("body is a text of "));
        assert!(told("headers == {}", body).ends_with("headers is a map of 2"));
    }

    #[test]
    fn what_there_is_depends_on_the_target() {
        let known = |target: &str| {
            names(&target.parse().unwrap(), true).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(known("tcp://db:1"), ["timings", "address"]);
        assert_eq!(known("tls://db:1"), ["timings", "address", "certificate"]);
        assert_eq!(known("http://a"), ["timings", "address", "status", "headers", "body", "json", "metrics"]);
    }
}
