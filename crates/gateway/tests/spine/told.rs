//! What is told of how an answer came about: in its headers, in its account, and to upstreams.

use seawall_gateway::{Account, Ended, Wanted, estate::Tell};
use seawall_model::Cause;
use serde_json::json;

use crate::{
    client::{Answer, Wire, balance_of, body, on_the_wire, post, request, send},
    house::{House, api, chain, first_preferred, until},
    node::{HEAD, but, node},
    upstream::{Reply, Upstream},
};

const ALL: Tell = Tell { upstream: true, head: true, age: true, attempts: true, cached: true };
const EVERYTHING: Wanted = Wanted { logged: 1_000_000, traced: 1_000_000, context: true };

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(format!("x-seawall-{name}")).map(|value| value.to_str().unwrap())
}

fn balance() -> String {
    let (method, params) = balance_of();
    body(1, method, &params)
}

#[tokio::test]
async fn answers_tell_who_gave_them_where_the_estate_says_so() {
    let (a, b) = (node().await, node().await);
    let mut pool = first_preferred(chain(&[&a, &b]));
    pool.tell = ALL;
    let house = House::new(vec![pool]).await;
    let check = async |body: String, upstream, attempts| {
        let answer = post(house.at, body).await;
        assert_eq!(header(&answer, "upstream"), Some(upstream));
        assert_eq!(header(&answer, "attempts"), Some(attempts));
        assert_eq!(header(&answer, "head"), Some(&*HEAD.to_string()));
        assert_eq!((header(&answer, "head-age"), header(&answer, "cached")), (Some("0"), None));
    };
    check(balance(), "a", "1").await;
    check(body(1, "eth_chainId", &json!([])), "gateway", "0").await;
    check(format!("[{},{}]", balance(), body(2, "eth_chainId", &json!([]))), "several", "1").await;
    a.does(but("eth_getBalance", |_| Reply::Reset));
    check(balance(), "b", "2").await;
}

#[tokio::test]
async fn answers_tell_nothing_unless_the_estate_says_so() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    let answer = post(house.at, balance()).await;
    assert!(
        answer.headers.keys().all(|name| !name.as_str().starts_with("x-seawall")),
        "{:?}",
        answer.headers
    );
}

/// The next account.
async fn account(house: &House) -> Account {
    until("a request is accounted for", || house.account()).await
}

#[tokio::test]
async fn every_request_is_accounted_for() {
    let (a, b) = (node().await, node().await);
    let other = Upstream::new(|_| Reply::Whole(418, String::new(), b"tea".to_vec())).await;
    let pools = vec![first_preferred(chain(&[&a, &b])), api(&[&other])];
    let house = House::told(EVERYTHING, pools).await;

    let answer = post(house.at, balance()).await;
    let one = account(&house).await;
    assert_eq!(
        (&*one.method, one.calls, one.class.map(|c| c.as_str())),
        ("eth_getBalance", 1, Some("state"))
    );
    assert_eq!((one.status, one.end, &*one.by, one.attempts), (200, Ended::Answered, "a", 1));
    assert_eq!((one.received, one.sent), (balance().len() as u64, answer.body.len() as u64));
    assert_eq!((one.head, one.pool.unwrap().as_str()), (Some(HEAD), "chain"));

    a.does(but("eth_getBalance", |_| Reply::status(503)));
    post(house.at, balance()).await;
    let two = account(&house).await;
    assert_eq!((&*two.by, two.attempts), ("b", 2));
    let tried: Vec<_> = two.tries.iter().map(|t| (t.upstream.as_str(), t.fault, t.took.is_some())).collect();
    assert_eq!(tried, [("a", Some(Cause::HttpStatus), true), ("b", None, true)]);

    b.does(but("eth_getBalance", |_| Reply::status(503)));
    post(house.at, balance()).await;
    let three = account(&house).await;
    assert_eq!((three.end, three.refusal, &*three.by), (Ended::Refused, Some(302), "nobody"));

    send(house.at, request("GET", "/api/v1/pot?key=secret", "")).await.unwrap();
    let four = account(&house).await;
    assert_eq!((&*four.method, four.path.as_deref(), four.status), ("GET", Some("/api/v1/pot"), 418));
    assert_eq!((four.sent, &*four.by), (3, "a"));

    post(house.at, "no JSON").await;
    let five = account(&house).await;
    assert_eq!((five.status, five.end, five.calls), (400, Ended::Refused, 0));

    a.does(but("eth_getBalance", |_| Reply::Silence));
    b.does(but("eth_getBalance", |_| Reply::Silence));
    let asked = a.calls("eth_getBalance").len() + b.calls("eth_getBalance").len();
    let mut wire = Wire::to(house.at).await;
    wire.say(on_the_wire(&balance())).await.unwrap();
    until("it is asked", || {
        (a.calls("eth_getBalance").len() + b.calls("eth_getBalance").len() > asked).then_some(())
    })
    .await;
    drop(wire);
}

#[tokio::test]
async fn upstreams_are_told_of_the_trace_that_a_client_names() {
    let (a, b) = (node().await, node().await);
    let pools = vec![first_preferred(chain(&[&a, &b]))];
    let house = House::told(Wanted { logged: 0, traced: 0, context: true }, pools).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut with = request("POST", "/chain", balance());
    let header = format!("00-{trace}-00f067aa0ba902b7-01").parse().unwrap();
    with.headers_mut().insert("traceparent", header);
    send(house.at, with).await.unwrap();
    post(house.at, balance()).await;
    let heard: Vec<_> = a.calls("eth_getBalance").iter().map(|heard| heard.header("traceparent")).collect();
    let [Some(passed), None] = &heard[..] else { panic!("{heard:?}") };
    assert!(passed.starts_with(&format!("00-{trace}-")) && passed.ends_with("-00"), "{passed}");
    assert!(!passed.contains("00f067aa0ba902b7"), "it is a span of the gateway's own");
    assert_eq!(house.account(), None, "nobody wants accounts");
}
