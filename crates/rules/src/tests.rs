use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TIMINGS: Kind = Kind::Record(&[("total_ms", Kind::Number), ("dns_ms", Kind::Number)]);
const NAMES: [(&str, Kind); 5] = [
    ("status", Kind::Number),
    ("headers", Kind::Texts),
    ("body", Kind::Text),
    ("json", Kind::Any),
    ("timings", TIMINGS),
];

fn facts(json: &Value) -> Facts {
    let mut facts = Facts::default();
    facts.set("status", &json!(200));
    facts.set("headers", &json!({"x-state": "well", "server": "venue"}));
    facts.set("body", &json!(json.to_string()));
    facts.set("json", json);
    facts.set("timings", &json!({"total_ms": 12.5, "dns_ms": 1.0}));
    facts
}

#[track_caller]
fn holds(text: &str, json: &Value) -> Result<bool, Unanswered> {
    Rule::condition(text, &NAMES).unwrap_or_else(|e| panic!("{text}: {e}")).holds(&facts(json))
}

fn bad(text: &str) -> String {
    let e = Rule::condition(text, &NAMES).expect_err(text);
    format!("{:?}: {}; {}", &text[e.at.clone()], e.message, e.cure)
}

#[test]
fn rules_are_judged() {
    let answer = json!({"result": {"status": "ok", "height": 12}, "items": [{"p": 1}, {"p": 2.5}]});
    for text in [
        "status == 200 && json.result.status == 'ok'",
        "timings.total_ms < 500",
        "headers['x-state'] == 'well' && headers.server.startsWith('v')",
        "body.contains('height')",
        "json.items.all(i, i.p > 0) && json.items.exists(i, i.p > 2)",
        "size(json.items) == 2 && json.items[1].p == 2.5",
        "json.items.map(i, i.p).size() == 2",
        "has(json.result.status) && !has(json.result.error)",
        "json.result.height + 1 == 13",
        "status in [200, 201]",
        "'x-state' in headers",
        "json.result.status.matches('^o.$')",
        "(status == 200 ? json.result.height : 0) >= 12",
        "headers.all(name, name.size() > 1)",
    ] {
        assert_eq!(holds(text, &answer), Ok(true), "{text}");
        let whole = format!("!({text})");
        assert_eq!(holds(&whole, &answer), Ok(false), "{whole}");
    }
}

#[test]
fn what_has_no_answer_says_why_and_shows_no_value() {
    let answer = json!({"a": "s3cret", "l": [1]});
    let why = |text: &str| holds(text, &answer).expect_err(text).to_string();
    assert_eq!(why("json.b == 1"), "`b` is not there");
    assert_eq!(why("json[json.a] == 1"), "the key is not there");
    assert_eq!(why("json.l[3] == 1"), "the element is not there");
    assert_eq!(why("json.a > 3"), "`>` is not for values of string and int");
    assert_eq!(why("json.a"), "it comes to a text, not to true or false");
    assert_eq!(why("int(json.a) == 1"), "it cannot be worked out");
    assert_eq!(why("1 / (json.l[0] - 1) == 1"), "it cannot be worked out");
}

#[test]
fn slips_of_the_pen_are_found_before_anything_is_judged() {
    assert_eq!(bad("stauts == 200"), "\"stauts\": there is no `stauts`; did you mean `status`?");
    assert_eq!(
        bad("status == '200'"),
        "\"==\": one side is a number, the other a text: they are never equal; compare like with like, or convert one \
         (`int()`, `double()`, `string()`)"
    );
    assert_eq!(
        bad("status"),
        "\"status\": this comes to a number, and not to true or false; compare it with what it must be, as in `status \
         == 200`"
    );
    assert!(bad("timings.totl_ms < 5").ends_with("there is no `totl_ms` in it; did you mean `total_ms`?"));
    assert!(bad("status == 200 && body").starts_with("\"body\": this is a text"));
    assert!(bad("body.contians('x')").contains("did you mean `contains`?"));
    assert!(bad("status.x == 1").contains("a number has no `x`"));
    assert!(bad("'x' in body").contains("nothing is in a text"));
    assert!(bad("body.matches('(')").contains("no regular expression"));
    assert!(bad("body.matches(json.p)").contains("must stand in the rule"));
    assert!(bad("body.all(c, c == 'x')").contains("nothing to go through"));
    assert!(bad("status ==").contains("cannot be read"));
    assert!(bad("").contains("cannot be read"));
    assert!(bad("status == 200 )").contains("cannot be read"));
    assert!(bad("optional.of(1).hasValue()").contains("no function"));
    assert!(bad("json.?a.orValue(1) == 1").contains("cannot be read"));
    assert!(bad("duration('1s') < duration('2s')").contains("no function"));
}

#[test]
fn what_is_beyond_the_limits_is_refused() {
    assert!(bad(&format!("body == '{}'", "x".repeat(MAX_RULE))).contains("at most"));
    assert!(bad(&format!("{}status == 1{}", "(".repeat(60), ")".repeat(60))).contains("deeper"));
    assert!(bad(&format!("{}(status == 1)", "!".repeat(60))).contains("deeper"));
    assert!(bad(&format!("json{} == 1", ".a".repeat(60))).contains("deeper"));
    assert!(bad(&format!("[{}] == []", "1,".repeat(400) + "1")).contains("parts"));
}

#[test]
fn the_deepest_rule_that_is_taken_fits_on_a_thread_s_stack() {
    let depth = MAX_DEPTH - 2;
    let texts = [
        format!("{}status == 200{}", "(".repeat(MAX_BRACKETS), ")".repeat(MAX_BRACKETS)),
        format!("json{} == 1", ".a".repeat(depth)),
        format!("status == 1{}", " + 1".repeat(depth - 1)),
    ];
    let run = move || texts.iter().for_each(|text| drop(holds(text, &json!({}))));
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn what_could_take_too_long_is_not_begun() {
    let many = json!((0..20_000).collect::<Vec<_>>());
    let once = "json.all(x, x >= 0)";
    assert_eq!(holds(once, &many), Ok(true));
    assert_eq!(holds("json.all(x, json.all(y, x == y))", &many), Err(Unanswered::TooMuchWork));
    assert_eq!(holds("json.map(x, body + body).size() == 1", &many), Err(Unanswered::TooMuchWork));
    assert_eq!(
        holds("json.exists(x, (json + json + json + json).size() == x)", &many),
        Err(Unanswered::TooMuchWork)
    );
}

#[test]
fn what_a_large_answer_needs_is_done() {
    let facts = facts(&json!((0..10_000).map(|n| json!({"p": n, "n": "x"})).collect::<Vec<_>>()));
    for text in ["json.all(x, x.p >= 0)", "json.map(x, x.p).size() > 1", "json.filter(x, x.p > 5).size() > 1"]
    {
        assert_eq!(Rule::condition(text, &NAMES).unwrap().holds(&facts), Ok(true), "{text}");
    }
}

#[test]
fn what_was_read_is_told() {
    let rule =
        "json.result.status == 'ok' && json.items[0].p > headers['x'].size() && json.l.all(i, i > status)";
    let rule = Rule::condition(rule, &NAMES).unwrap();
    let facts = facts(&json!({"result": {"status": "bad"}, "items": [{"p": 3}], "l": [1]}));
    let told: Vec<_> = rule.readings(&facts).iter().map(|r| (r.place(), r.value.clone())).collect();
    let wanted = [
        ("json.result.status", Some(json!("bad"))),
        ("json.items[0].p", Some(json!(3))),
        ("headers.x", None),
        ("json.l", Some(json!([1]))),
        ("status", Some(json!(200))),
    ];
    assert_eq!(told, wanted.map(|(place, value)| (place.to_owned(), value)));
    assert!(rule.names("headers") && rule.names("status") && !rule.names("i") && !rule.names("body"));
    let other = Reading { path: vec!["headers".into(), "x-a".into()], value: None };
    assert_eq!(other.place(), "headers['x-a']");
}

#[test]
fn an_answer_may_be_anything() {
    let answer =
        |text: &str| Rule::compile(text, &NAMES).unwrap().answer(&facts(&json!({"id": 7, "a": [1, {}]})));
    assert_eq!(answer("'order-' + string(json.id)"), Ok(json!("order-7")));
    assert_eq!(answer("json.a"), Ok(json!([1, {}])));
    assert_eq!(answer("[json.id, null, true, 1.5]"), Ok(json!([7, null, true, 1.5])));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,30}|[a-z.\\[\\]()?:!&|=<>+\\-*/%'\"{}0-9, ]{0,40}") {
        if let Err(e) = Rule::compile(&text, &NAMES) {
            prop_assert!(text.get(e.at.clone()).is_some(), "{:?} of {:?}", e.at, text);
        }
    }
}
