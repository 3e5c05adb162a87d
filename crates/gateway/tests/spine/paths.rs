//! Path rules of HTTP APIs: what is sent again and where, and how an unknown outcome is found out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, Request};
use http_body_util::Full;
use seawall_gateway::{
    ModeSet,
    core::{
        mode::Mode,
        outcome::{Dedupe, Effect},
        path::Pattern,
    },
    estate::{IdAt, LookupRule, PathRule, Piece, PoolKind, PoolSection},
};
use seawall_model::{Cause, Wall};
use serde_json::json;

use crate::{
    client::{Answer, Wire, request, send},
    house::{House, api, first_preferred},
    upstream::{Gate, Heard, Reply, Upstream},
};

/// A venue that takes every order and says so.
fn takes(heard: &Heard) -> Reply {
    match heard.head.starts_with("GET ") {
        true => Reply::json(&json!({"id": "o1", "status": "open"})),
        false => Reply::Whole(201, String::new(), b"taken".to_vec()),
    }
}

async fn two() -> (Upstream, Upstream) {
    (Upstream::new(takes).await, Upstream::new(takes).await)
}

/// Orders are writes that carry their id in a header.
fn orders(dedupe: Dedupe) -> PathRule {
    PathRule {
        methods: vec![Method::POST],
        effect: Some(Effect::Write),
        id: Some(IdAt::Header("idempotency-key".parse().unwrap())),
        dedupe,
        ..PathRule::new(Pattern::parse("/orders").unwrap())
    }
}

/// An order is looked up by its id, and is there or not.
pub(crate) fn lookup() -> LookupRule {
    LookupRule {
        method: Method::GET,
        path: vec![Piece::Text("/orders/".into()), Piece::Named("id".into()), Piece::Text(String::new())],
        found: vec![200],
        absent: vec![404],
        done: None,
        settle: Duration::from_millis(200),
        within: Duration::from_secs(5),
        resend: false,
        status: None,
    }
}

fn ruled(upstreams: &[&Upstream], rule: PathRule) -> PoolSection {
    let mut pool = first_preferred(api(upstreams));
    let PoolKind::Http(http) = &mut pool.kind else { unreachable!("it is an API's") };
    http.paths = vec![rule];
    pool
}

fn order(id: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = request("POST", "/api/orders", "buy 1");
    request.headers_mut().insert("idempotency-key", id.parse().unwrap());
    request
}

fn outcome(answer: &Answer) -> Option<&str> {
    Some(answer.headers.get("x-seawall-outcome")?.to_str().unwrap())
}

/// How often each has been sent an order, and asked for one.
fn asked(upstream: &Upstream) -> (usize, usize) {
    let of = |method: &str| upstream.heard().iter().filter(|h| h.head.starts_with(method)).count();
    (of("POST "), of("GET "))
}

/// Does that with the first order, and takes those after it.
fn once(reply: Reply) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    let orders = AtomicUsize::new(0);
    move |heard| match heard.head.starts_with("POST ") && orders.fetch_add(1, Relaxed) == 0 {
        true => reply.clone(),
        false => takes(heard),
    }
}

#[tokio::test]
async fn an_order_that_is_known_again_goes_to_the_same_account_again() {
    for fault in [Reply::status(502), Reply::Reset, Reply::Raw(Vec::new())] {
        let (a, b) = two().await;
        let house = House::new(vec![ruled(&[&a, &b], orders(Dedupe::Account))]).await;
        a.does(once(fault));
        let answer = send(house.at, order("o1")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"taken"[..]));
        assert_eq!((asked(&a), asked(&b)), ((2, 0), (0, 0)));
        let keys: Vec<_> = a.heard().iter().map(|h| h.header("idempotency-key").unwrap()).collect();
        assert_eq!(keys, ["o1", "o1"]);
    }
}

#[tokio::test]
async fn it_never_goes_to_another_account() {
    let (a, b) = two().await;
    let house = House::new(vec![ruled(&[&a, &b], orders(Dedupe::Account))]).await;
    a.does(|_| Reply::Reset);
    let answer = send(house.at, order("o1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (502, &"SW0305".into()));
    assert_eq!(outcome(&answer), Some("unknown"));
    assert_eq!((asked(&a), asked(&b)), ((4, 0), (0, 0)));
    assert_eq!(house.counted("unknown_writes"), 1);
}

#[tokio::test]
async fn it_does_where_the_estate_says_that_all_know_it_again() {
    let (a, b) = two().await;
    let house = House::new(vec![ruled(&[&a, &b], orders(Dedupe::Shared))]).await;
    a.does(|_| Reply::Reset);
    assert_eq!(send(house.at, order("o1")).await.unwrap().status, 201);
    assert_eq!((asked(&a), asked(&b)), ((1, 0), (1, 0)));
}

#[tokio::test]
async fn without_an_id_nothing_is_known_again() {
    let (a, b) = two().await;
    let house = House::new(vec![ruled(&[&a, &b], orders(Dedupe::Shared))]).await;
    a.does(once(Reply::Reset));
    let answer = send(house.at, request("POST", "/api/orders", "buy 1")).await.unwrap();
    assert_eq!(answer.json()["code"], "SW0305");
    assert_eq!((asked(&a), asked(&b)), ((1, 0), (0, 0)));
}

#[tokio::test]
async fn an_unknown_outcome_is_looked_up() {
    for fault in [Reply::status(502), Reply::Reset, Reply::Silence] {
        let (a, b) = two().await;
        let rule = PathRule {
            attempt_timeout: Some(Duration::from_millis(500)),
            lookup: Some(lookup().into()),
            ..orders(Dedupe::Never)
        };
        let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
        a.does(once(fault));
        let answer = send(house.at, order("o 1/2")).await.unwrap();
        assert_eq!((answer.status.as_u16(), outcome(&answer)), (200, Some("reconciled")));
        assert_eq!(answer.json()["status"], "open");
        assert_eq!((asked(&a), asked(&b)), ((1, 1), (0, 0)), "where it was sent, and nowhere else");
        let look = a.heard().into_iter().find(|h| h.head.starts_with("GET ")).unwrap();
        assert!(look.head.starts_with("GET /orders/o%201%2F2 HTTP/1.1\r\n"), "{}", look.head);
        assert_eq!(house.counted("reconciled_writes"), 1);
    }
}

#[tokio::test]
async fn what_is_proven_absent_is_said_to_be_and_not_sent_again() {
    let (a, b) = two().await;
    let rule = PathRule { lookup: Some(lookup().into()), ..orders(Dedupe::Never) };
    let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
    a.does(|heard| if heard.head.starts_with("GET ") { Reply::status(404) } else { Reply::Reset });
    let answer = send(house.at, order("o1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (502, &"SW0371".into()));
    assert_eq!(outcome(&answer), Some("absent"));
    assert_eq!((asked(&a).0, asked(&b)), (1, (0, 0)));
    assert!(asked(&a).1 >= 2, "one look proves nothing");
}

#[tokio::test]
async fn what_is_proven_absent_is_sent_again_where_the_estate_says_so() {
    let (a, b) = two().await;
    let resend = LookupRule { resend: true, ..lookup() };
    let rule = PathRule { lookup: Some(resend.into()), ..orders(Dedupe::Never) };
    let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
    let sent = AtomicUsize::new(0);
    a.does(move |heard| match heard.head.starts_with("GET ") {
        true => Reply::status(404),
        false if sent.fetch_add(1, Relaxed) == 0 => Reply::status(503),
        false => takes(heard),
    });
    assert_eq!(send(house.at, order("o1")).await.unwrap().status, 201);
    assert_eq!((asked(&a).0, asked(&b)), (2, (0, 0)));
}

/// A venue that turns a second order of one id down, rather than to give the first one's answer again.
#[tokio::test]
async fn a_repetition_that_is_turned_down_is_no_failure() {
    let (a, b) = two().await;
    let rule = PathRule { lookup: Some(lookup().into()), ..orders(Dedupe::Account) };
    let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
    let sent = AtomicUsize::new(0);
    a.does(move |heard| match heard.head.starts_with("GET ") {
        true => takes(heard),
        false if sent.fetch_add(1, Relaxed) == 0 => Reply::Reset,
        false => Reply::Whole(400, String::new(), b"duplicate".to_vec()),
    });
    let answer = send(house.at, order("o1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), outcome(&answer)), (200, Some("reconciled")));
}

#[tokio::test]
async fn where_the_look_up_fails_too_the_outcome_is_unknown() {
    let (a, b) = two().await;
    let short = LookupRule { within: Duration::from_millis(600), ..lookup() };
    let rule = PathRule { lookup: Some(short.into()), ..orders(Dedupe::Never) };
    let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
    a.does(|_| Reply::status(500));
    let answer = send(house.at, order("o1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (502, &"SW0305".into()));
    assert_eq!(outcome(&answer), Some("unknown"));
    assert_eq!(asked(&a).0, 1);
}

/// A cancellation took effect once the order says so, not because there is an order.
#[tokio::test]
async fn a_field_tells_what_has_taken_effect() {
    let (a, b) = two().await;
    let rule = PathRule {
        methods: vec![Method::DELETE],
        id: None,
        lookup: Some(
            LookupRule { done: Some(("/status".into(), vec!["cancelled".into()])), ..lookup() }.into(),
        ),
        ..PathRule::new(Pattern::parse("/orders/{id}").unwrap())
    };
    let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
    let looks = Arc::new(AtomicUsize::new(0));
    let seen = looks.clone();
    a.does(move |heard| match heard.head.starts_with("GET ") {
        true if seen.fetch_add(1, Relaxed) == 0 => Reply::json(&json!({"status": "open"})),
        true => Reply::json(&json!({"status": "cancelled"})),
        false => Reply::status(502),
    });
    let answer = send(house.at, request("DELETE", "/api/orders/o1", "")).await.unwrap();
    assert_eq!((answer.status.as_u16(), outcome(&answer)), (200, Some("reconciled")));
    assert_eq!(answer.json()["status"], "cancelled");
    assert_eq!(looks.load(Relaxed), 2);
}

#[tokio::test]
async fn a_critical_request_goes_by_the_second_path_when_the_first_is_dead() {
    for critical in [true, false] {
        let (mut a, second) = two().await;
        let rule = PathRule { critical, ..orders(Dedupe::Never) };
        let mut pool = ruled(&[&a, &second], rule);
        pool.upstreams[1].path_of = Some(pool.upstreams[0].name.clone());
        let house = House::new(vec![pool]).await;
        assert_eq!(send(house.at, order("o1")).await.unwrap().status, 201);
        assert_eq!((asked(&a).0, asked(&second).0), (1, 0), "the first is well");
        a.die().await;
        let answer = send(house.at, order("o2")).await.unwrap();
        match critical {
            true => assert_eq!(answer.status, 201),
            false => assert_eq!(answer.json()["code"], "SW0306"),
        }
        assert_eq!(asked(&second).0, usize::from(critical));
        assert_eq!(house.counted("second_path_attempts"), u64::from(critical));
    }
}

/// A first path that takes an order and dies: the second leads to the same account, and knows it again.
#[tokio::test]
async fn the_second_path_knows_again_what_the_first_has_taken() {
    let (a, second) = two().await;
    let rule = PathRule { critical: true, ..orders(Dedupe::Account) };
    let mut pool = ruled(&[&a, &second], rule);
    pool.upstreams[1].path_of = Some(pool.upstreams[0].name.clone());
    let house = House::new(vec![pool]).await;
    a.does(|_| Reply::Reset);
    assert_eq!(send(house.at, order("o1")).await.unwrap().status, 201);
    assert_eq!((asked(&a).0, asked(&second).0), (1, 1));
}

#[tokio::test]
async fn what_every_upstream_says_is_passed_on_and_held_against_nobody() {
    for (status, headers) in [(401, ""), (403, ""), (429, "retry-after: 7\r\n"), (500, "")] {
        let (a, b) = two().await;
        let house = House::new(vec![api(&[&a, &b])]).await;
        for upstream in [&a, &b] {
            upstream.does(move |_| Reply::Whole(status, headers.into(), b"no".to_vec()));
        }
        for _ in 0..8 {
            let answer = send(house.at, request("GET", "/api/x", "")).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, &b"no"[..]));
            assert_eq!(answer.headers.contains_key("retry-after"), !headers.is_empty());
        }
        assert!(house.ejections(0).is_empty() && house.ejections(1).is_empty(), "{status}");
        assert_eq!(a.heard().len() + b.heard().len(), 16, "both were asked each time");
    }
}

#[tokio::test]
async fn a_server_that_fails_writes_is_ejected_for_writes_alone() {
    let (a, b) = two().await;
    let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
    a.does(|heard| if heard.head.starts_with("POST ") { Reply::status(500) } else { takes(heard) });
    for _ in 0..5 {
        let answer = send(house.at, request("POST", "/api/x", "pay 5")).await.unwrap();
        assert_eq!((answer.status.as_u16(), outcome(&answer)), (500, Some("unknown")));
    }
    assert_eq!(house.ejected(0).await, Cause::HttpStatus);
    assert_eq!(send(house.at, request("POST", "/api/x", "pay 5")).await.unwrap().status, 201);
    let before = asked(&a).1;
    send(house.at, request("GET", "/api/x", "")).await.unwrap();
    assert_eq!(asked(&a).1, before + 1, "it still serves reads");
}

#[tokio::test]
async fn a_slow_read_is_asked_of_another_as_well() {
    let gate = Gate::shut();
    let (a, b) = two().await;
    let rule = PathRule { hedge: true, ..PathRule::new(Pattern::parse("/**").unwrap()) };
    let house = House::new(vec![ruled(&[&a, &b], rule)]).await;
    let shut = gate.clone();
    a.does(move |heard| Reply::Behind(shut.clone(), Box::new(takes(heard))));
    assert_eq!(send(house.at, request("GET", "/api/x", "")).await.unwrap().status, 200);
    assert_eq!((asked(&a).1, asked(&b).1), (1, 1));
    assert_eq!(house.counted("hedges"), 1);
    gate.open();
}

#[tokio::test]
async fn a_path_that_climbs_goes_nowhere() {
    let (a, b) = two().await;
    let house = House::new(vec![api(&[&a, &b])]).await;
    for path in
        ["/api/../admin", "/api/%2e%2E/admin", "/api/..%2fadmin", "/api/x/..;/admin", "/api/%252e%252e/x"]
    {
        let mut wire = Wire::to(house.at).await;
        let asked = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
        wire.say(asked).await.unwrap();
        let heard = wire.hear_to_the_end().await;
        assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains("SW0372"), "{path}: {heard}");
    }
    assert_eq!(a.heard().len() + b.heard().len(), 0);
}

#[tokio::test]
async fn what_a_client_says_of_the_host_and_the_framing_stays_behind() {
    let a = Upstream::new(takes).await;
    let house = House::new(vec![api(&[&a])]).await;
    let mut wire = Wire::to(house.at).await;
    wire.say(
        "POST http://gateway/api/x?y=1 HTTP/1.1\r\nhost: gateway\r\ncontent_length: 99\r\ntransfer_encoding: \
         chunked\r\nx_forwarded_for: 10.0.0.1\r\nmy_own: 1\r\nexpect: 100-continue\r\nconnection: close, \
         x-one\r\nx-one: 1\r\ncontent-length: 5\r\n\r\nbuy 1",
    )
    .await
    .unwrap();
    let heard = wire.hear_to_the_end().await;
    assert!(heard.starts_with("HTTP/1.1 100 ") && heard.contains("HTTP/1.1 201 "), "{heard}");
    let onward = a.heard().remove(0);
    assert!(onward.head.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{}", onward.head);
    assert_eq!(onward.header("host").as_deref(), Some("a.test"));
    assert_eq!(onward.header("my_own").as_deref(), Some("1"));
    for gone in ["content_length", "transfer_encoding", "x_forwarded_for", "expect", "x-one"] {
        assert_eq!(onward.header(gone), None, "{gone}: {}", onward.head);
    }
    assert_eq!(onward.body, b"buy 1");
}

#[tokio::test]
async fn a_method_that_asks_for_a_tunnel_or_an_echo_is_not_forwarded() {
    let a = Upstream::new(takes).await;
    let house = House::new(vec![api(&[&a])]).await;
    assert_eq!(send(house.at, request("TRACE", "/api/x", "")).await.unwrap().status, 405);
    assert_eq!(a.heard().len(), 0);
}

#[tokio::test]
async fn a_mode_goes_by_what_the_rule_says_and_not_by_the_method() {
    let a = Upstream::new(takes).await;
    let rule = |method, path, effect| PathRule {
        methods: vec![method],
        effect: Some(effect),
        ..PathRule::new(Pattern::parse(path).unwrap())
    };
    let mut pool = first_preferred(api(&[&a]));
    let PoolKind::Http(http) = &mut pool.kind else { unreachable!("it is an API's") };
    http.paths =
        vec![rule(Method::GET, "/withdraw", Effect::Write), rule(Method::POST, "/search", Effect::Read)];
    let house = House::new(vec![pool]).await;
    let set = ModeSet { mode: Mode::ReadOnly, since: Wall(0), reason: None };
    house.gateway.set_mode(Some("api"), &set).unwrap();
    let status =
        async |method, path| send(house.at, request(method, path, "x")).await.unwrap().status.as_u16();
    assert_eq!(status("GET", "/api/withdraw").await, 503);
    assert_eq!(status("POST", "/api/search").await, 201);
    assert_eq!((status("GET", "/api/other").await, status("POST", "/api/other").await), (200, 503));
    assert_eq!(asked(&a), (1, 1));
}
