//! Any query through the reader of questions to the history: what is read reads the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::history::question::Question;

fuzz_target!(|query: &str| {
    for kind in ["page", "report", "series", "downtime", "cost"] {
        if let Ok(question) = Question::parse(kind, query) {
            let path = question.path();
            let (_, again) = path.split_once('?').expect("a question has a query");
            assert_eq!(Question::parse(kind, again).as_ref(), Ok(&question));
        }
    }
});
