//! Where not everybody can: who waits, who goes first, who is sent away, and what a mode lets through.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use seawall_gateway::{
    ModeSet,
    core::mode::Mode,
    estate::{
        AdmissionSection, AffectedSection, CurrencySource, CustomerSource, Pattern, PoolSection, ValueSource,
    },
};
use seawall_model::{Fact, Wall};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    client::{Answer, PATIENCE, balance_of, body, call, post, request, send},
    house::{House, api, chain, until},
    node::{BALANCE, honest, node},
    upstream::{Gate, Reply, Upstream},
};

/// How many normal calls, and then critical ones, the upstream of these tests takes at once.
const NORMAL: usize = 4;
const CRITICAL: usize = 1;
const MOST: u32 = 5;
/// A critical call of the same class as [`balance_of`].
const URGENT: &str = "eth_getCode";

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

/// A pool whose `eth_getCode` is critical, and in which so many may wait.
fn pool(upstream: &Upstream, queue: usize) -> PoolSection {
    let critical = Some(vec![pattern(URGENT)]);
    PoolSection {
        admission: AdmissionSection {
            critical,
            queue,
            most: MOST,
            wait: PATIENCE,
            ..AdmissionSection::default()
        },
        ..chain(&[upstream])
    }
}

fn ask(house: &House, method: &'static str) -> JoinHandle<Answer> {
    let (at, params) = (house.at, balance_of().1);
    tokio::spawn(async move { post(at, body(1, method, &params)).await })
}

fn crowd(house: &House) -> (u32, u32) {
    let crowds = house.gateway.pools()[0].admission.crowds.clone();
    crowds.iter().find(|c| c.class == "state").map_or((0, 0), |c| (c.inside, c.waiting))
}

async fn crowded(house: &House, inside: usize, waiting: usize) {
    let want = (inside as u32, waiting as u32);
    until(&format!("{want:?} are in and wait"), || (crowd(house) == want).then_some(())).await;
}

/// A node that holds everything it is asked of the state until the gate opens.
async fn held(gate: &Gate) -> Upstream {
    let (node, gate) = (node().await, gate.clone());
    node.does(move |heard| match &*heard.method() {
        "eth_getBalance" | URGENT => Reply::Behind(gate.clone(), Box::new(honest(heard))),
        _ => honest(heard),
    });
    node
}

fn error(answer: &Answer) -> Value {
    answer.json()["error"].clone()
}

#[tokio::test]
async fn a_full_pool_says_so_and_when_to_try_again_and_keeps_room_for_the_critical() {
    let gate = Gate::shut();
    let a = held(&gate).await;
    let house = House::new(vec![pool(&a, 0)]).await;
    let inside: Vec<_> = (0..NORMAL).map(|_| ask(&house, balance_of().0)).collect();
    crowded(&house, NORMAL, 0).await;
    let refused = ask(&house, balance_of().0).await.unwrap();
    assert_eq!(
        (refused.status, refused.headers["retry-after"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"1"[..])
    );
    let error = error(&refused);
    assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-32005), &json!("SW0361")));
    assert!((1..=1_000).contains(&error["data"]["retryAfterMs"].as_u64().unwrap()), "{error}");
    // Another class has room of its own, and of this one some is kept.
    assert_eq!(call(house.at, "eth_gasPrice", json!([])).await["result"], BALANCE);
    let urgent = ask(&house, URGENT);
    crowded(&house, NORMAL + 1, 0).await;
    gate.open();
    assert_eq!(urgent.await.unwrap().json()["result"], BALANCE);
    for answer in inside {
        assert_eq!(answer.await.unwrap().json()["result"], BALANCE);
    }
    crowded(&house, 0, 0).await;
    assert_eq!(house.gateway.pools()[0].admission.shed, 1);
}

#[tokio::test]
async fn whoever_waits_gets_in_the_critical_first() {
    let (first, rest) = (Gate::shut(), Gate::shut());
    let a = node().await;
    let (one, others) = (first.clone(), rest.clone());
    a.does(move |heard| match (heard.call()["id"].as_u64(), &*heard.method()) {
        (Some(7), _) => Reply::Behind(one.clone(), Box::new(honest(heard))),
        (_, "eth_getBalance" | URGENT) => Reply::Behind(others.clone(), Box::new(honest(heard))),
        _ => honest(heard),
    });
    let house = House::new(vec![pool(&a, 10)]).await;
    let (at, params) = (house.at, balance_of().1);
    let leaves = tokio::spawn(async move { post(at, body(7, URGENT, &params)).await });
    crowded(&house, 1, 0).await;
    let mut inside: Vec<_> = (1..NORMAL).map(|_| ask(&house, balance_of().0)).collect();
    crowded(&house, NORMAL, 0).await;
    inside.push(ask(&house, URGENT));
    crowded(&house, NORMAL + CRITICAL, 0).await;
    let normal = ask(&house, balance_of().0);
    crowded(&house, NORMAL + CRITICAL, 1).await;
    let critical = ask(&house, URGENT);
    crowded(&house, NORMAL + CRITICAL, 2).await;
    let before = a.calls(URGENT).len();
    first.open();
    assert_eq!(leaves.await.unwrap().json()["result"], BALANCE);
    until("the critical one goes on", || (a.calls(URGENT).len() == before + 1).then_some(())).await;
    assert_eq!(crowd(&house), ((NORMAL + CRITICAL) as u32, 1), "the other one still waits");
    rest.open();
    for answer in inside.into_iter().chain([normal, critical]) {
        assert_eq!(answer.await.unwrap().json()["result"], BALANCE);
    }
    crowded(&house, 0, 0).await;
}

#[tokio::test]
async fn who_goes_away_while_waiting_leaves_the_line() {
    let gate = Gate::shut();
    let a = held(&gate).await;
    let house = House::new(vec![pool(&a, 10)]).await;
    let inside: Vec<_> = (0..NORMAL).map(|_| ask(&house, balance_of().0)).collect();
    crowded(&house, NORMAL, 0).await;
    let (gone, stays) = (ask(&house, balance_of().0), ask(&house, balance_of().0));
    crowded(&house, NORMAL, 2).await;
    gone.abort();
    let _ = gone.await;
    gate.open();
    assert_eq!(stays.await.unwrap().json()["result"], BALANCE);
    for answer in inside {
        assert_eq!(answer.await.unwrap().json()["result"], BALANCE);
    }
    crowded(&house, 0, 0).await;
}

#[tokio::test]
async fn who_has_waited_long_enough_is_told_so() {
    let gate = Gate::shut();
    let a = held(&gate).await;
    let mut pool = pool(&a, 10);
    pool.admission.wait = Duration::from_millis(50);
    let house = House::new(vec![pool]).await;
    let inside: Vec<_> = (0..NORMAL).map(|_| ask(&house, balance_of().0)).collect();
    crowded(&house, NORMAL, 0).await;
    let (method, params) = balance_of();
    let entry = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let chain_id = json!({"jsonrpc": "2.0", "id": 2, "method": "eth_chainId"});
    let answers = post(house.at, json!([entry(1), chain_id, entry(3)]).to_string()).await.json();
    let codes: Vec<_> = answers.as_array().unwrap().iter().map(|a| a["error"]["code"].clone()).collect();
    assert_eq!(codes, [json!(-32005), Value::Null, json!(-32005)], "{answers}");
    gate.open();
    for answer in inside {
        assert_eq!(answer.await.unwrap().json()["result"], BALANCE);
    }
}

#[tokio::test]
async fn an_api_tells_its_critical_requests_by_their_paths() {
    let gate = Gate::shut();
    let shut = gate.clone();
    let a = Upstream::new(move |_| Reply::Behind(shut.clone(), Box::new(Reply::json(&json!({"ok": true})))))
        .await;
    let critical = Some(vec![pattern("POST /orders/*/cancel")]);
    let admission = AdmissionSection { critical, queue: 0, most: MOST, ..AdmissionSection::default() };
    let house = House::new(vec![PoolSection { admission, ..api(&[&a]) }]).await;
    let at = house.at;
    let ask = |method: &'static str, path: &'static str| {
        tokio::spawn(async move { send(at, request(method, path, "")).await.unwrap() })
    };
    let mut inside: Vec<_> = (0..NORMAL).map(|_| ask("POST", "/api/orders")).collect();
    until("it is full", || {
        (house.gateway.pools()[0].admission.crowds[..].first()?.inside == 4).then_some(())
    })
    .await;
    let refused = ask("POST", "/api/orders").await.unwrap();
    assert_eq!(
        (refused.status, refused.headers["retry-after"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"1"[..])
    );
    assert_eq!(refused.json()["code"], "SW0361");
    inside.push(ask("POST", "/api/orders/7/cancel?now=1"));
    until("it is let in", || (house.gateway.pools()[0].admission.crowds[0].inside == 5).then_some(())).await;
    gate.open();
    for answer in inside {
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn one_address_may_ask_so_much_and_no_more() {
    let a = node().await;
    let mut pool = chain(&[&a]);
    pool.admission.per_address = Some(3);
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    let batch: Vec<_> =
        (0..50).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).collect();
    let answers = post(house.at, json!(batch).to_string()).await.json();
    let answers = answers.as_array().unwrap();
    let good = answers.iter().filter(|a| a["result"] == BALANCE).count();
    let told =
        answers.iter().filter(|a| a["error"]["data"]["code"] == "SW0362" && a["error"]["code"] == -32005);
    assert!(good >= 3 && good + told.count() == 50, "{good}");
    assert_eq!(house.counted("tolled"), 50 - good as u64);
}

#[tokio::test]
async fn a_mode_lets_through_what_it_says_and_tells_why() {
    const SEND: &str = "eth_sendRawTransaction";
    let a = node().await;
    let house = House::new(vec![chain(&[&a])]).await;
    let set = |mode, reason: &str| {
        let set = ModeSet { mode, since: Wall(1_700_000_000_000), reason: Some(reason.into()) };
        house.gateway.set_mode(Some("chain"), &set).unwrap()
    };
    assert!(
        set(Mode::ReadOnly, "the signer is being moved") && !set(Mode::ReadOnly, "the signer is being moved")
    );
    let (method, params) = balance_of();
    assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    let refused = post(house.at, body(1, SEND, &json!(["0x02c0ffee"]))).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let told = error(&refused);
    assert_eq!(
        (&told["data"]["code"], &told["data"]["mode"]["mode"]),
        (&json!("SW0363"), &json!("read-only"))
    );
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("since 2023-11-14T22:13:20") && message.contains("being moved"), "{message}");
    assert!(a.calls(SEND).is_empty());
    // A transaction is critical unless the estate says what is.
    set(Mode::ReduceOnly, "careful");
    assert!(call(house.at, SEND, json!(["0x02c0ffee"])).await["result"].is_string());
    set(Mode::Closed, "keys leaked");
    for method in [method, SEND, "eth_chainId", "eth_blockNumber"] {
        assert_eq!(
            call(house.at, method, params.clone()).await["error"]["data"]["code"],
            "SW0363",
            "{method}"
        );
    }
    // It holds over a reload, and what is set for all holds for one.
    let mut section = house.section.clone();
    section.pools[0].attempts = 2;
    house.gateway.reload(section).unwrap();
    assert_eq!(house.gateway.pools()[0].admission.mode.mode, "closed");
    let normal = ModeSet { mode: Mode::Normal, since: Wall(1_700_000_000_001), reason: None };
    assert!(house.gateway.set_mode(None, &normal).unwrap());
    assert_eq!(call(house.at, method, params).await["result"], BALANCE);
    assert!(house.gateway.set_mode(Some("chian"), &normal).is_err());
    assert_eq!(house.counted("barred"), 5);
}

#[tokio::test]
async fn who_was_affected_is_counted_as_the_estate_says() {
    let a = Upstream::new(|heard| match heard.head.starts_with("POST /orders") {
        true => Reply::status(502),
        false => Reply::json(&json!({"ok": true})),
    })
    .await;
    let section = AffectedSection {
        customer: Some(CustomerSource::Header("x-account".parse().unwrap())),
        value: Some(ValueSource {
            amount: "/notional".into(),
            currency: CurrencySource::At("/asset".into()),
        }),
        country: Some("cf-ipcountry".parse().unwrap()),
    };
    let house = House::new(vec![PoolSection { affected: Some(Arc::new(section)), ..api(&[&a]) }]).await;
    for (path, account, notional, country) in [
        ("/api/orders", "ann", "12.50", "de"),
        ("/api/orders", "ann", "0.25", "de"),
        ("/api/orders", "bob", "1", "us"),
        ("/api/quotes", "eve", "7", "us"),
    ] {
        let text = format!(r#"{{"notional":{notional},"asset":"EUR"}}"#);
        let mut request = request("POST", path, text);
        request.headers_mut().insert("x-account", account.parse().unwrap());
        request.headers_mut().insert("cf-ipcountry", country.parse().unwrap());
        let _ = send(house.at, request).await.unwrap();
    }
    let mut told = Vec::new();
    until("they are counted", || {
        told.extend(house.gateway.affected());
        let requests = |fact: &Fact| match fact {
            Fact::Affected(affected) => affected.attempted.requests,
            other => panic!("{other:?}"),
        };
        (told.iter().map(|(_, fact)| requests(fact)).sum::<u64>() == 4).then_some(())
    })
    .await;
    let (component, Fact::Affected(affected)) = &told[0] else { panic!("{told:?}") };
    assert_eq!((component.to_string().as_str(), told.len()), ("pool:api", 1));
    // An order that was answered with 502 may have been taken all the same.
    assert_eq!((affected.attempted.customers, affected.unknown.customers), (3, 2));
    assert_eq!(
        (affected.attempted.value["EUR"].as_str(), affected.unknown.value["EUR"].as_str()),
        ("20.75", "13.75")
    );
    assert_eq!(affected.unknown.countries, [("DE".into(), 2), ("US".into(), 1)].into());
    assert!(house.gateway.affected().is_empty(), "told once");
}
