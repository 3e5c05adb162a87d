//! What JSON-RPC 2.0 says of batches and of what is no request, and where requests go.

use serde_json::{Value, json};

use crate::{
    client::{Answer, PATIENCE, Wire, balance_of, body, call, post, request, send},
    house::{House, chain, limits, until},
    node::{BALANCE, but, honest, node},
    upstream::{Gate, Reply},
};

fn entry(id: &Value) -> Value {
    let (method, params) = balance_of();
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// What a refusal says: its code, and the id it belongs to.
fn refusal(answer: &Answer) -> (u16, i64, Value) {
    let json = answer.json();
    let code = json["error"]["code"].as_i64();
    (answer.status.as_u16(), code.unwrap_or_else(|| panic!("no refusal: {json}")), json["id"].clone())
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_calls() {
    let gate = Gate::shut();
    let a = node().await;
    let shut = gate.clone();
    a.does(but(balance_of().0, move |heard| match heard.call()["id"].as_u64() {
        Some(0) => Reply::Behind(shut.clone(), Box::new(honest(heard))),
        _ => honest(heard),
    }));
    let house = House::new(vec![chain(&[&a])]).await;
    let batch: Vec<_> = (0..20).map(|id| entry(&json!(id))).collect();
    let asked = tokio::spawn(post(house.at, json!(batch).to_string()));
    // The first is answered last.
    until("the rest is in flight", || (a.calls(balance_of().0).len() >= 20).then_some(())).await;
    gate.open();
    let answers = asked.await.unwrap().json();
    let want: Vec<_> = (0..20).map(|id| json!({"jsonrpc": "2.0", "id": id, "result": BALANCE})).collect();
    assert_eq!(answers, json!(want));
}

#[tokio::test]
async fn each_entry_of_a_mixed_batch_is_answered_for_itself() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let (method, params) = balance_of();
    let notification = json!({"jsonrpc": "2.0", "method": method, "params": params});
    let batch = json!([
        entry(&json!("one")),
        notification,
        7,
        {"foo": "bar"},
        {"jsonrpc": "1.0", "id": 4, "method": method},
        entry(&Value::Null),
        entry(&json!(5.5)),
    ]);
    let answers = post(house.at, batch.to_string()).await.json();
    let told: Vec<_> = answers.as_array().unwrap().iter().map(|a| (&a["id"], &a["error"]["code"])).collect();
    let (good, bad) = (Value::Null, json!(-32600));
    let (one, four, five) = (json!("one"), json!(4), json!(5.5));
    let want = [
        (&one, &good),
        (&Value::Null, &bad),
        (&Value::Null, &bad),
        (&four, &bad),
        (&Value::Null, &good),
        (&five, &good),
    ];
    assert_eq!(told, want, "{answers}");
    for answer in answers.as_array().unwrap().iter().filter(|a| a["error"].is_null()) {
        assert_eq!(answer["result"], BALANCE);
    }
    until("the notification is carried out", || (a.calls(method).len() == 4).then_some(())).await;
}

#[tokio::test]
async fn nothing_but_notifications_is_answered_with_nothing() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let notification = json!({"jsonrpc": "2.0", "method": "eth_chainId"});
    for body in [json!([notification, notification]), notification] {
        let answer = post(house.at, body.to_string()).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (204, &b""[..]));
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let a = node().await;
    let mut limits = limits();
    limits.batch = 3;
    let house = House::with(limits, vec![chain(&[&a])]).await;
    let batch_of = |n: u64| json!((0..n).map(|id| entry(&json!(id))).collect::<Vec<_>>()).to_string();
    let whole = post(house.at, batch_of(3)).await.json();
    assert_eq!(whole.as_array().unwrap().len(), 3);
    for (what, text, code) in [
        ("empty", "[]".to_owned(), -32600),
        ("oversized", batch_of(4), -32600),
        ("cut off", "[1,".to_owned(), -32700),
        ("no JSON", "hello".to_owned(), -32700),
        ("nothing", String::new(), -32700),
        ("a number", "1".to_owned(), -32600),
    ] {
        let answer = post(house.at, text).await;
        assert_eq!(refusal(&answer), (400, code, Value::Null), "{what}");
    }
    assert_eq!(a.calls(balance_of().0).len(), 3, "nothing of what was refused went on");
}

#[tokio::test]
async fn what_is_nested_too_deep_is_refused() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let nested = |levels: usize| {
        let params = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{params}}}"#)
    };
    assert_eq!(post(house.at, nested(63)).await.json()["result"], BALANCE);
    assert_eq!(refusal(&post(house.at, nested(64)).await), (400, -32600, Value::Null));
    assert_eq!(refusal(&post(house.at, nested(100_000)).await), (400, -32600, Value::Null));
    assert_eq!(a.calls("eth_call").len(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let a = node().await;
    let mut limits = limits();
    limits.request_body = 1_024;
    let house = House::with(limits, vec![chain(&[&a])]).await;
    // Told by its length, before any of it has come.
    let mut wire = Wire::to(house.at).await;
    wire.say("POST /chain HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1025\r\n\r\n").await.unwrap();
    let told = wire.hear("SW0312").await;
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
    // Found out as it comes.
    let mut wire = Wire::to(house.at).await;
    wire.say("POST /chain HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    wire.say(format!("401\r\n{}\r\n", " ".repeat(0x401))).await.unwrap();
    let told = wire.hear("SW0312").await;
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
    // Up to the limit is fine.
    let call = body(1, "eth_call", &json!([]));
    let padded = format!("{call}{}", " ".repeat(1_024 - call.len()));
    assert_eq!(post(house.at, padded).await.json()["result"], BALANCE);
}

#[tokio::test]
async fn only_posts_to_a_known_path_are_calls() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    for method in ["GET", "PUT", "OPTIONS"] {
        let answer = send(house.at, request(method, "/chain", "")).await.unwrap();
        assert_eq!(
            (refusal(&answer).0, &answer.headers["allow"]),
            (405, &"POST".parse().unwrap()),
            "{method}"
        );
    }
    for path in ["/", "/other", "/chain/below", "/chainx"] {
        let answer = send(house.at, request("POST", path, body(1, "eth_chainId", &json!([])))).await.unwrap();
        assert_eq!(refusal(&answer).0, 404, "{path}");
    }
}

#[tokio::test]
async fn many_batches_at_once_are_all_answered() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    let batch = json!((0..100).map(|id| entry(&json!(id))).collect::<Vec<_>>()).to_string();
    let posts: Vec<_> = (0..8).map(|_| tokio::spawn(post(house.at, batch.clone()))).collect();
    for post in posts {
        let answers = tokio::time::timeout(PATIENCE, post).await.unwrap().unwrap().json();
        let answers = answers.as_array().unwrap();
        let good = answers.iter().enumerate().filter(|(i, a)| a["id"] == *i && a["result"] == BALANCE);
        assert_eq!((answers.len(), good.count()), (100, 100));
    }
    let (method, params) = balance_of();
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
}

#[tokio::test]
async fn a_body_whose_chunks_are_none_is_told_from_one_that_is_too_large() {
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let mut wire = Wire::to(house.at).await;
    wire.say("POST /chain HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\nx\r\n")
        .await
        .unwrap();
    let told = wire.hear_to_the_end().await;
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("SW0313"), "{told}");
}
