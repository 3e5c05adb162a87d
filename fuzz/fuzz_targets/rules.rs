//! Any text as a rule, on any JSON: nothing panics, what is wrong lies within the text, and what is begun ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_rules::{Facts, Kind, MAX_WORK, Rule};
use serde_json::Value;

const NAMES: [(&str, Kind); 4] =
    [("status", Kind::Number), ("headers", Kind::Texts), ("body", Kind::Text), ("json", Kind::Any)];

fuzz_target!(|input: (&str, &str)| {
    let (text, body) = input;
    let rule = match Rule::compile(text, &NAMES) {
        Ok(rule) => rule,
        Err(bad) => {
            assert!(text.get(bad.at.clone()).is_some(), "{:?}", bad.at);
            return;
        }
    };
    let mut facts = Facts::default();
    facts.set("status", &200.into());
    facts.set("headers", &serde_json::json!({"x": body}));
    facts.set("body", &body.into());
    if let Ok(json) = serde_json::from_str::<Value>(body) {
        facts.set("json", &json);
    }
    let held = rule.holds(&facts);
    assert!(rule.work(&facts) <= MAX_WORK || held.is_err());
    for reading in rule.readings(&facts) {
        assert!(!reading.place().is_empty());
    }
});
