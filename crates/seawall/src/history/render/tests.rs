use jiff::civil::date;
use serde_json::json;

use super::*;
use crate::history::{
    answer::tests::{id, told},
    question::{Selection, Time},
};

const PLAIN: Sight = Sight { colour: false, width: 80 };

#[test]
fn answers_read_well() {
    let (of, time) = (Selection::default(), Time::default());
    let shop = || id("service:shop");
    let questions = [
        Question::Page { days: 90, of: of.clone() },
        Question::Report { month: date(2026, 3, 1), of },
        Question::Series { component: shop(), time, step: Some(seawall_history::Grain::Hour) },
        Question::Downtime { component: shop(), time },
        Question::Cost { component: None, time },
    ];
    let shown: Vec<_> = questions
        .iter()
        .map(|question| {
            format!("{}\n\n{}", question.path(), show(question, &told(question, Some("pool:orders")), PLAIN))
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn an_empty_history_says_so() {
    let (of, time) = (Selection::default(), Time::default());
    let check = |question: Question, told: Value, wanted: &str| {
        let shown = show(&question, &told, PLAIN);
        assert!(shown.contains(wanted), "{shown}");
    };
    check(
        Question::Page { days: 9, of: of.clone() },
        json!({"components": []}),
        "fills as the daemon watches",
    );
    check(Question::Report { month: date(2026, 3, 1), of }, json!({"components": []}), "no such component");
    let none = json!({"component": "service:a", "points": [], "step": "hour"});
    check(Question::Series { component: id("service:a"), time, step: None }, none, "no checks are kept");
    let none = json!({"component": "service:a", "downtimes": [], "downtimes_in_all": 0});
    check(Question::Downtime { component: id("service:a"), time }, none, "was not down");
    check(Question::Cost { component: None, time }, json!({"services": []}), "add `value");
}

#[test]
fn a_narrow_terminal_shows_the_newest_days() {
    let question = Question::Page { days: 90, of: Selection::default() };
    let told = told(&question, None);
    for width in [1, 20, 60, 500] {
        let shown = show(&question, &told, Sight { colour: false, width });
        let strip = shown.lines().nth(1).unwrap();
        assert!(strip.ends_with('█'), "{shown}");
        assert!(strip.chars().count() <= width.max(50), "{shown}");
    }
    assert!(show(&question, &told, Sight { colour: true, width: 80 }).contains("\x1b[31m█\x1b[0m"));
}

#[test]
fn shares_are_cut_and_not_rounded() {
    assert_eq!(share(&json!(0.999_999_99)), "99.999 %");
    assert_eq!(share(&json!(1.0)), "100.000 %");
    assert_eq!(
        (share(&Value::Null), long(&json!(0.2)), long(&json!(3_725.9))),
        ("-".into(), "1s".into(), "1h2m5s".into())
    );
}
