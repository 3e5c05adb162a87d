//! What Gatus wants of an answer: `[STATUS] == 200` and its kin.

use std::time::Duration;

use seawall_model::units::parse_duration;
use seawall_probe::{Target, core::target::RecordKind};

use super::super::{
    probes::{Probe, pointer, statuses},
    tree::{Field, Left},
};

/// How one side is compared with the other, as it is written.
const OPERATORS: [&str; 6] = [" == ", " != ", " <= ", " >= ", " < ", " > "];

/// The conditions of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// What each condition allows of the status; any status, if empty.
    statuses: Vec<Vec<u16>>,
    /// The least time that an answer may take.
    pub(super) fastest: Option<Duration>,
}

impl Conditions {
    /// Takes a condition in, or tells why not.
    pub(super) fn add(&mut self, field: &Field<'_>, probe: &mut Probe, left: &mut Left) {
        let Some(text) = field.text(left) else { return };
        let split = OPERATORS.iter().find_map(|op| Some((text.split_once(op)?, op.trim())));
        let Some(((what, wanted), operator)) = split else {
            field.leave(left, "it is not written as in `[STATUS] == 200`");
            return;
        };
        let (what, wanted) = (what.trim(), wanted.trim());
        let dns = matches!(probe.aim.target, Target::Dns(_));
        match what {
            "[STATUS]" => self.status(operator, wanted, field, left),
            "[RESPONSE_TIME]" => self.response_time(operator, wanted, field, left),
            // A check that does not connect, or has no answer, is bad in any case.
            "[CONNECTED]" if (operator, wanted) == ("==", "true") => {}
            "[CONNECTED]" => field.leave(left, "that nobody answers is never good"),
            "[DNS_RCODE]" if (operator, wanted) == ("==", "NOERROR") => {}
            "[DNS_RCODE]" => field.leave(left, "an answer without an error, and with a record, is good, and no other"),
            "[CERTIFICATE_EXPIRATION]" => field.leave(left, "each check tells how many days are left, and one whose certificate has ended fails: there is no other bound"),
            "[DOMAIN_EXPIRATION]" => field.leave(left, "when a registration ends is not looked up"),
            "[IP]" => field.leave(left, "to see what a name stands for, probe it: `dns:NAME`, with `expect.answers`"),
            "[BODY]" if dns => answer(operator, wanted, probe, field, left),
            "[BODY]" => body(operator, wanted, probe, field, left),
            _ => match what.strip_prefix("[BODY]") {
                Some(path) => value(path, operator, wanted, probe, field, left),
                None => field.leave(left, "only `[STATUS]`, `[BODY]`, `[RESPONSE_TIME]` and `[CONNECTED]` carry over, and they stand on the left"),
            },
        }
    }

    /// Sets what holds of all conditions together.
    pub(super) fn settle(&self, probe: &mut Probe, endpoint: &Field<'_>, left: &mut Left) {
        if !probe.is_http() {
            return;
        }
        let good = |status| self.statuses.iter().all(|one| one.contains(&status));
        probe.expect.status = statuses(good);
        if probe.expect.status.is_none() {
            endpoint.leave(
                left,
                "no status, or too many different ones, meet its conditions: set `expect.status`",
            );
        }
    }

    fn status(&mut self, operator: &str, wanted: &str, field: &Field<'_>, left: &mut Left) {
        let listed = wanted.strip_prefix("any(").and_then(|list| list.strip_suffix(')'));
        let numbers = listed.unwrap_or(wanted).split(',').map(|part| part.trim().parse::<u16>());
        let Ok(numbers) = numbers.collect::<Result<Vec<_>, _>>() else {
            field.leave(
                left,
                "a status is a number: set `expect.status`, as in `\"2xx\"` or `\"200-204,301\"`",
            );
            return;
        };
        let first = numbers.first().copied().unwrap_or_default();
        let good = |status: &u16| match operator {
            "==" => numbers.contains(status),
            "!=" => !numbers.contains(status),
            "<=" => *status <= first,
            ">=" => *status >= first,
            "<" => *status < first,
            _ => *status > first,
        };
        self.statuses.push((100..=599).filter(good).collect());
    }

    fn response_time(&mut self, operator: &str, wanted: &str, field: &Field<'_>, left: &mut Left) {
        let time = match wanted.parse() {
            Ok(millis) => Some(Duration::from_millis(millis)),
            Err(_) => parse_duration(wanted).ok(),
        };
        match (operator, time) {
            ("<" | "<=", Some(time)) if !time.is_zero() => {
                self.fastest = Some(self.fastest.map_or(time, |least| least.min(time)));
                field.leave(left, "it is the probe's `timeout`, which a fresh connection counts into");
            }
            _ => field.leave(left, "the longest that a check may take is its `timeout`"),
        }
    }
}

/// What a resolver must say.
fn answer(operator: &str, wanted: &str, probe: &mut Probe, field: &Field<'_>, left: &mut Left) {
    use RecordKind::{A, Aaaa, Cname, Ns, Ptr};
    let whole = match &probe.aim.target {
        Target::Dns(question) => [A, Aaaa, Cname, Ns, Ptr].contains(&question.kind),
        _ => true,
    };
    // Of other records only a part is compared, as the name of a mail server without its preference.
    if !whole {
        field.leave(
            left,
            "records are compared whole, as in `10 mail.example`: list it so under `expect.answers`",
        );
        return;
    }
    let listed = ["pat(", "any(", "len("].iter().any(|function| wanted.starts_with(function));
    match operator {
        "==" if !listed => probe.set_answer(wanted, field, left),
        // Any address: without a record, an answer is bad in any case.
        "==" if ["pat(*)", "pat(*.*.*.*)", "pat(*:*)"].contains(&wanted) => {}
        _ => field.leave(left, "`expect.answers` lists whole records that must be there"),
    }
}

/// What the whole of an answer must be.
fn body(operator: &str, wanted: &str, probe: &mut Probe, field: &Field<'_>, left: &mut Left) {
    if operator != "==" || wanted.starts_with("any(") || wanted.starts_with("len(") {
        field.leave(left, "what an answer holds is looked for with `expect.contains` and `expect.json`");
        return;
    }
    let Some(pattern) = wanted.strip_prefix("pat(").and_then(|rest| rest.strip_suffix(')')) else {
        field.leave(left, "the answer must hold it (`expect.contains`), and may hold more");
        probe.set_contains(wanted, field, left);
        return;
    };
    let inner = pattern.trim_matches('*');
    if inner.contains(['*', '?', '[', '\\']) {
        field.leave(left, "`expect.contains` takes one text without patterns: choose a part of it");
        return;
    }
    if inner.is_empty() {
        return;
    }
    if !(pattern.starts_with('*') && pattern.ends_with('*')) {
        field.leave(left, "it is looked for wherever it stands");
    }
    probe.set_contains(inner, field, left);
}

/// What a value within an answer must be; `path` is as in `.status` or `[0].name`.
fn value(path: &str, operator: &str, wanted: &str, probe: &mut Probe, field: &Field<'_>, left: &mut Left) {
    let function =
        ["pat(", "any(", "len(", "has(", "age("].iter().any(|function| wanted.starts_with(function));
    let Some(pointer) = pointer(path).filter(|_| operator == "==" && !function) else {
        field.leave(
            left,
            "one value of an answer can be compared with `==` (`expect.json`), and in no other way",
        );
        return;
    };
    probe.set_json(pointer, wanted, field, left);
}
