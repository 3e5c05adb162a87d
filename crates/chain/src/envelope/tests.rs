use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

use super::*;

/// A call as one line: id, method, params; or the code, the message and the id of what is wrong.
fn told(entry: &Result<Call<'_>, Invalid<'_>>) -> String {
    let or_none = |v: Option<&RawValue>| v.map_or("-".to_owned(), |v| v.get().to_owned());
    match entry {
        Ok(call) => format!("{} {} {}", or_none(call.id), call.method, or_none(call.params)),
        Err(e) => format!("{} {} {}", e.code, e.message, or_none(e.id)),
    }
}

fn parsed(body: &str, limit: usize) -> Vec<String> {
    match parse_request(body.as_bytes(), limit) {
        Ok(Request::Single(call)) => vec![told(&Ok(call))],
        Ok(Request::Batch(entries)) => entries.iter().map(told).collect(),
        Err(e) => vec![told(&Err(e))],
    }
}

#[test]
fn single_calls() {
    let check = |body: &str, want: &str| assert_eq!(parsed(body, 10), [want], "{body}");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#, "1 m [1]");
    check(r#" {"method":"m","id":"a\"b","jsonrpc":"2.0"} "#, r#""a\"b" m -"#);
    check(r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, "null m -");
    check(r#"{"jsonrpc":"2.0","method":"m","params":{"a":1}}"#, r#"- m {"a":1}"#);
    check(r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"\u006d","more":[{}]}"#, "-1.5e3 m -");
    check("", "-32700 the request is not JSON -");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#, "-32700 the request is not JSON -");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"m""#, "-32700 the request is not JSON -");
    check("7", "-32600 a call must be an object -");
    check(r#""x""#, "-32600 a call must be an object -");
    check("{}", "-32600 `jsonrpc` must be \"2.0\" -");
    check(r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, "-32600 `jsonrpc` must be \"2.0\" 1");
    check(r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, "-32600 `jsonrpc` must be \"2.0\" 1");
    check(r#"{"jsonrpc":"2.0","id":1}"#, "-32600 `method` must be a string 1");
    check(r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "-32600 `method` must be a string 1");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, "-32600 `method` must be a string 1");
    check(r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, "-32600 `id` must be a string, a number or null -");
    check(r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, "-32600 `id` must be a string, a number or null -");
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":3}"#,
        "-32600 `params` must be an array or an object 1",
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#,
        "-32600 `params` must be an array or an object 1",
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
        "-32600 a member of the call stands there twice -",
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"m"}"#,
        "-32600 a member of the call stands there twice -",
    );
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let body = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"x\":\"\xff\"}";
    assert_eq!(parse_request(body, 1).unwrap_err().code, code::PARSE_ERROR);
}

#[test]
fn batches() {
    let check = |body: &str, want: &[&str]| assert_eq!(parsed(body, 3), want, "{body}");
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
    check(&format!("[{call}]"), &["1 m -"]);
    check(&format!("[ {call}, 5, [], {{}} ]"), &["-32600 the batch holds too many calls -"]);
    check(
        &format!("[{call},[[1]],{{\"id\":9}}]"),
        &["1 m -", "-32600 a call must be an object -", "-32600 `jsonrpc` must be \"2.0\" 9"],
    );
    check("[]", &["-32600 the batch is empty -"]);
    check(&format!("[{call},{call}"), &["-32700 the request is not JSON -"]);
    check(&format!("[{call},{call}]]"), &["-32700 the request is not JSON -"]);
}

#[test]
fn nesting_is_bounded_before_anything_recurses() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{open}{close}}}"#)
    };
    assert!(parse_request(nested(MAX_DEPTH).as_bytes(), 1).is_ok());
    for depth in [MAX_DEPTH + 1, 1_000_000] {
        assert_eq!(parse_request(nested(depth).as_bytes(), 1).unwrap_err().code, code::INVALID_REQUEST);
    }
    // Many openers side by side are not deep.
    let wide = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":[{}[]]}}"#, "[],".repeat(MAX_DEPTH));
    assert!(parse_request(wide.as_bytes(), 1).is_ok());
}

#[test]
fn answers() {
    let check = |body: &str, want: Result<&str, NotAnAnswer>| {
        let got = parse_answer(body.as_bytes()).map(|a| {
            let id = a.id.map_or("-", RawValue::get);
            match (a.result, a.error) {
                (Some(result), None) => format!("{id} {}", result.get()),
                (None, Some(e)) => {
                    format!("{id} {} {} {}", e.code, e.message, e.data.map_or("-", RawValue::get))
                }
                both => panic!("{both:?}"),
            }
        });
        assert_eq!(got, want.map(str::to_owned), "{body}");
    };
    check(r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#, Ok(r#"1 "0x1""#));
    check(r#"{"jsonrpc":"2.0","id":1,"result":null}"#, Ok("1 null"));
    check(r#"{"id":"a","result":[ 1 ],"error":null}"#, Ok(r#""a" [ 1 ]"#));
    check(
        r#"{"id":1,"error":{"code":-32000,"message":"a\nb","data":{"x":1}}}"#,
        Ok("1 -32000 a\nb {\"x\":1}"),
    );
    check(r#"{"id":null,"error":{"code":3},"result":null}"#, Ok("- 3  -"));
    check("", Err(NotAnAnswer::Empty));
    check(" \n", Err(NotAnAnswer::Empty));
    check(r#"{"jsonrpc":"2.0","id":1,"result":"0x"#, Err(NotAnAnswer::Cut));
    check("<html>", Err(NotAnAnswer::NotJson));
    check(r#"{"jsonrpc":"2.0","id":1,"result":1}x"#, Err(NotAnAnswer::NotJson));
    check(r#"{"jsonrpc":"2.0","id":1,"result":1}{}"#, Err(NotAnAnswer::NotJson));
    check(r#"["2.0",1,2,null]"#, Err(NotAnAnswer::NotAnAnswer));
    check(r#"[{"jsonrpc":"2.0","id":1,"result":1}]"#, Err(NotAnAnswer::NotAnAnswer));
    check("{}", Err(NotAnAnswer::NotAnAnswer));
    check(r#"{"id":1}"#, Err(NotAnAnswer::NotAnAnswer));
    check(r#"{"jsonrpc":"1.0","id":1,"result":1}"#, Err(NotAnAnswer::NotAnAnswer));
    check(r#"{"id":1,"result":1,"error":{"code":1,"message":""}}"#, Err(NotAnAnswer::NotAnAnswer));
    check(r#"{"id":1,"error":"bad"}"#, Err(NotAnAnswer::NotAnAnswer));
    check(r#"{"id":1,"result":1,"result":2}"#, Err(NotAnAnswer::NotAnAnswer));
}

#[test]
fn an_answer_cut_in_a_character_is_cut() {
    assert_eq!(parse_answer(b"{\"result\":\"\xc3").unwrap_err(), NotAnAnswer::Cut);
    assert_eq!(parse_answer(b"{\"result\":\"\xc3\"}").unwrap_err(), NotAnAnswer::NotJson);
}

#[test]
fn ids_are_the_same_by_meaning() {
    let check = |a: &str, b: &str, want| {
        let raw = |t: &str| RawValue::from_string(t.to_owned()).unwrap();
        assert_eq!(same_id(&raw(a), &raw(b)), want, "{a} {b}");
        assert_eq!(same_id(&raw(b), &raw(a)), want, "{b} {a}");
    };
    check("1", "1", true);
    check("1", "1.0", true);
    check("100", "1e2", true);
    check("1", "2", false);
    check("9007199254740992", "9007199254740993", false);
    check(r#""a""#, r#""\u0061""#, true);
    check(r#""a""#, r#""b""#, false);
    check(r#""1""#, "1", false);
    check("null", "null", true);
    check("null", "0", false);
}

#[test]
fn writes_what_it_reads() {
    let mut out = Vec::new();
    write_call(&mut out, "7", "eth_call", Some("[{},null]"));
    assert_eq!(parsed(str::from_utf8(&out).unwrap(), 1), ["7 eth_call [{},null]"]);
    out.clear();
    let id = RawValue::from_string("\"x\"".into()).unwrap();
    write_error(&mut out, Some(&id), -32000, "no \"upstream\"", Some("{\"a\":1}"));
    let want = json!({"jsonrpc": "2.0", "id": "x", "error": {"code": -32000, "message": "no \"upstream\"", "data": {"a": 1}}});
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), want);
    out.clear();
    write_result(&mut out, None, "[1]");
    assert_eq!(out.len(), result_len(None, "[1]"));
    assert_eq!(
        serde_json::from_slice::<Value>(&out).unwrap(),
        json!({"jsonrpc": "2.0", "id": null, "result": [1]})
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(body: Vec<u8>, text in r#"[\[\]{}",:0-9a-z\\ ]{0,64}"#) {
        for bytes in [&body[..], text.as_bytes()] {
            let _ = parse_request(bytes, 4);
            let _ = parse_answer(bytes);
        }
    }

    #[test]
    fn an_answer_cut_anywhere_is_no_answer(result in r#"[0-9a-zé"\\{]{0,12}"#, cut in 0.0..1.0f64) {
        let whole = json!({"jsonrpc": "2.0", "id": 1, "result": [result]}).to_string();
        let at = (whole.len() as f64 * cut) as usize;
        let got = parse_answer(&whole.as_bytes()[..at]);
        prop_assert!(matches!(got, Err(NotAnAnswer::Cut | NotAnAnswer::Empty)), "{got:?}");
        prop_assert!(parse_answer(whole.as_bytes()).is_ok());
    }
}
