//! Who may do what: keys, tokens, certificates, methods, limits, web pages.

use std::collections::BTreeSet;

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request};
use seawall_gateway::{
    core::{
        claims::Rules,
        glob::{Glob, Methods},
    },
    estate::{ClientAuth, ClientSection, CorsSection, GatewaySection, Origin, Proofs, TokenSection},
};
use seawall_model::{Name, Secret};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    client::{Answer, balance_of, body, on_the_wire, request, send},
    house::{House, api, chain, until},
    node::{BALANCE, but, honest, node},
    pki::{Ca, Trusting, tls},
    port::Port,
    upstream::{Gate, Reply, Upstream},
};

pub(crate) const KEY: &str = "sw_a-key_of-somebodys";
const SECRET: &str = "a secret of thirty-two bytes or more";

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::new(text).unwrap()).collect()
}

/// A client that may do all, and shows `KEY`.
pub(crate) fn desk() -> ClientSection {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, KEY.as_bytes()).as_ref());
    ClientSection {
        name: Name::new("desk").unwrap(),
        hashes: vec![hash],
        subjects: vec!["desk-7".into()],
        certificates: vec!["spiffe://test/desk".into()],
        pools: None,
        methods: Methods::default(),
        rate: None,
        concurrency: None,
    }
}

pub(crate) const BY_KEY: Proofs = Proofs { key: true, token: false, certificate: false };
const BY_TOKEN: Proofs = Proofs { key: false, token: true, certificate: false };

/// A gateway with a chain and an API, each asking for that, and one client.
async fn house(a: &Upstream, b: &Upstream, require: Proofs, set: impl FnOnce(&mut GatewaySection)) -> House {
    House::set(|section| {
        section.pools = vec![chain(&[a]), api(&[b])];
        section.pools.iter_mut().for_each(|pool| pool.access.require = require);
        section.auth.clients = vec![desk()];
        set(section);
    })
    .await
}

fn balance() -> String {
    let (method, params) = balance_of();
    body(1, method, &params)
}

fn with(path: &str, headers: &[(&'static str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = request("POST", path, body.to_owned());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn ask(house: &House, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    send(house.at, with(path, headers, &balance())).await.unwrap()
}

fn check_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains(code), "{answer:?}");
    let asks = answer.headers.contains_key("www-authenticate");
    assert_eq!(asks, status == 401, "{answer:?}");
}

#[tokio::test]
async fn a_key_opens_a_pool_wherever_providers_have_it() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let house = house(&a, &b, BY_KEY, |_| {}).await;
    let bearer = format!("Bearer {KEY}");
    for path in ["/chain", "/api"] {
        for headers in [[("x-api-key", KEY)], [("authorization", bearer.as_str())]] {
            assert_eq!(ask(&house, path, &headers).await.json()["result"], BALANCE, "{path} {headers:?}");
        }
        check_refused(&ask(&house, path, &[]).await, 401, "SW0340");
        check_refused(&ask(&house, path, &[("x-api-key", "another")]).await, 401, "SW0341");
        check_refused(&ask(&house, path, &[("authorization", "Basic abc")]).await, 401, "SW0340");
    }
    for path in [format!("/chain/{KEY}"), format!("/chain?apikey={KEY}")] {
        assert_eq!(ask(&house, &path, &[]).await.json()["result"], BALANCE, "{path}");
    }
    check_refused(&ask(&house, "/chain/another", &[]).await, 401, "SW0341");
    // What opened the gateway goes no further.
    for heard in a.heard().iter().chain(&b.heard()) {
        assert!(!heard.head.contains(KEY), "{}", heard.head);
    }
    assert_eq!(house.metric("seawall_gateway_denied_total{pool=\"api\",reason=\"credential\"}"), 1.0);
    assert_eq!(house.metric("seawall_gateway_client_calls_total{client=\"desk\"}"), 6.0);
}

#[tokio::test]
async fn a_client_may_use_its_pools_and_call_its_methods() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let house = house(&a, &b, BY_KEY, |section| {
        section.auth.clients[0].pools = Some(BTreeSet::from([Name::new("chain").unwrap()]));
        section.auth.clients[0].methods.deny = globs(&["eth_send*"]);
        section.pools[0].access.methods.allow = Some(globs(&["eth_*"]));
    })
    .await;
    check_refused(&ask(&house, "/api", &[("x-api-key", KEY)]).await, 403, "SW0342");
    let calls = [
        ("eth_getBalance", balance_of().1, true),
        ("eth_sendRawTransaction", json!(["0x00"]), false),
        ("net_peerCount", json!([]), false),
    ];
    for (method, params, allowed) in &calls {
        let one = with("/chain", &[("x-api-key", KEY)], &body(1, method, params));
        let answer = send(house.at, one).await.unwrap();
        match allowed {
            true => assert_eq!(answer.json()["result"], BALANCE),
            false => {
                check_refused(&answer, 403, "SW0343");
                assert_eq!(answer.json()["error"]["code"], -32601);
            }
        }
    }
    let batch: Vec<Value> = calls
        .iter()
        .map(|(method, params, _)| serde_json::from_str(&body(1, method, params)).unwrap())
        .collect();
    let answer =
        send(house.at, with("/chain", &[("x-api-key", KEY)], &json!(batch).to_string())).await.unwrap();
    let codes: Vec<_> =
        answer.json().as_array().unwrap().iter().map(|one| one["error"]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, json!(-32601), json!(-32601)]);
    assert!(a.calls("eth_sendRawTransaction").is_empty());
}

#[tokio::test]
async fn an_api_is_open_to_some_requests_alone() {
    let b = Upstream::new(|_| Reply::Whole(200, String::new(), b"hello".to_vec())).await;
    let house = House::set(|section| {
        section.pools = vec![api(&[&b])];
        section.pools[0].access.methods.allow = Some(globs(&["GET /v1/*"]));
    })
    .await;
    for (method, path, status) in [
        ("GET", "/api/v1/x?y=z", 200),
        ("POST", "/api/v1/x", 403),
        ("GET", "/api/v2/x", 403),
        ("GET", "/api", 403),
    ] {
        let answer = send(house.at, request(method, path, "")).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(b.heard().len(), 1);
}

#[tokio::test]
async fn a_client_is_held_to_its_limits() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let gate = Gate::shut();
    let shut = gate.clone();
    a.does(but("eth_call", move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = house(&a, &b, BY_KEY, |section| section.auth.clients[0].concurrency = Some(1)).await;
    let slow = with("/chain", &[("x-api-key", KEY)], &body(1, "eth_call", &json!([{}, "latest"])));
    let at = house.at;
    let waiting = tokio::spawn(async move { send(at, slow).await.unwrap() });
    until("it is under way", || (!a.calls("eth_call").is_empty()).then_some(())).await;
    let answer = ask(&house, "/chain", &[("x-api-key", KEY)]).await;
    check_refused(&answer, 429, "SW0345");
    assert_eq!(answer.json()["error"]["code"], -32005);
    assert_eq!(answer.headers["retry-after"], "1");
    check_refused(&ask(&house, "/api", &[("x-api-key", KEY)]).await, 429, "SW0345");
    gate.open();
    assert_eq!(waiting.await.unwrap().status, 200);
    assert_eq!(ask(&house, "/chain", &[("x-api-key", KEY)]).await.status, 200);
    let mut section = house.section.clone();
    (section.auth.clients[0].concurrency, section.auth.clients[0].rate) = (None, Some(1));
    house.gateway.reload(section).unwrap();
    let mut codes = BTreeSet::new();
    for _ in 0..20 {
        codes.insert(ask(&house, "/chain", &[("x-api-key", KEY)]).await.status.as_u16());
    }
    assert_eq!(codes, BTreeSet::from([200, 429]));
    assert!(house.metric("seawall_gateway_client_limited_total{client=\"desk\"}") >= 3.0);
}

fn token(claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({"alg": "HS256"})), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("Bearer {message}.{}", BASE64.encode(hmac::sign(&key, message.as_bytes())))
}

#[tokio::test]
async fn a_token_opens_a_pool_until_it_ends() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let rules = Rules { claim: "sub".into(), ..Rules::default() };
    let house = house(&a, &b, BY_TOKEN, |section| {
        section.auth.token = Some(TokenSection { jwks: None, secret: Some(Secret::new(SECRET)), rules });
        section.auth.clients[0].methods.deny = globs(&["eth_getBalance", "POST *"]);
    })
    .await;
    let far = 4_000_000_000_u64;
    let of = |name: &str, end: u64| token(&json!({"sub": name, "exp": end}));
    for path in ["/chain", "/api"] {
        let good = of("somebody", far);
        assert_eq!(ask(&house, path, &[("authorization", &good)]).await.json()["result"], BALANCE);
        // A client that the estate knows by that name.
        check_refused(&ask(&house, path, &[("authorization", &of("desk-7", far))]).await, 403, "SW0343");
        check_refused(
            &ask(&house, path, &[("authorization", &of("somebody", 1))]).await,
            401,
            "it has ended",
        );
        let forged = good[..good.len() - 8].to_owned() + "AAAAAAAA";
        check_refused(&ask(&house, path, &[("authorization", &forged)]).await, 401, "signature");
        // Keys are not asked for here.
        check_refused(&ask(&house, path, &[("x-api-key", KEY)]).await, 401, "SW0341");
        check_refused(&ask(&house, path, &[]).await, 401, "SW0340");
    }
    // One connection, several tokens: none stands for another.
    let mut wire = crate::client::Wire::to(house.at).await;
    for (shown, status) in [(of("a", far), 200), (of("a", far), 200), (of("a", 1), 401), (of("b", far), 200)]
    {
        let call = on_the_wire(&balance()).replacen("\r\n", &format!("\r\nauthorization: {shown}\r\n"), 1);
        wire.say(call).await.unwrap();
        let heard = wire.hear("}").await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
        if status == 401 {
            wire = crate::client::Wire::to(house.at).await;
        }
    }
}

#[tokio::test]
async fn a_certificate_opens_a_pool() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let (port, ca, clients) = (Port::new(), Ca::new("root"), Ca::new("clients"));
    let mut section = tls(port.at(), &[&ca.issue(&["gateway.test"])]);
    section.clients = ClientAuth::Optional(Secret::new(clients.pem.as_str()));
    let require = Proofs { key: false, token: false, certificate: true };
    let house = house(&a, &b, require, |all| {
        all.tls = Some(section);
        all.auth.clients[0].methods.deny = globs(&["eth_getBalance"]);
    })
    .await;
    for (names, status) in
        [(Some("spiffe://test/other"), 200), (Some("spiffe://test/desk"), 403), (None, 401)]
    {
        let own = names.map(|name| clients.issue(&[name]));
        let mut stream =
            Trusting::new(&ca, own.as_ref(), "http/1.1").shake(port.at(), "gateway.test").await.unwrap();
        let call = on_the_wire(&balance()).replacen("\r\n", "\r\nconnection: close\r\n", 1);
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut heard = String::new();
        let _ = stream.read_to_string(&mut heard).await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{names:?}: {heard}");
    }
    // Over the plain listener nobody shows a certificate.
    check_refused(&ask(&house, "/chain", &[]).await, 401, "SW0340");
}

#[tokio::test]
async fn a_reload_gives_and_takes_keys() {
    let (a, b) = (node().await, Upstream::new(honest).await);
    let house = house(&a, &b, BY_KEY, |_| {}).await;
    assert_eq!(ask(&house, "/chain", &[("x-api-key", KEY)]).await.status, 200);
    let mut section = house.section.clone();
    section.auth.clients[0].hashes.clear();
    house.gateway.reload(section.clone()).unwrap();
    check_refused(&ask(&house, "/chain", &[("x-api-key", KEY)]).await, 401, "SW0341");
    section.pools.iter_mut().for_each(|pool| pool.access.require = Proofs::default());
    house.gateway.reload(section).unwrap();
    assert_eq!(ask(&house, "/chain", &[]).await.status, 200);
}

const PAGE: &str = "https://app.example";

fn cors() -> CorsSection {
    CorsSection {
        origins: vec![Origin::Exactly(PAGE.into())],
        methods: "POST".parse().unwrap(),
        headers: "content-type, x-api-key".parse().unwrap(),
        expose: Some("x-seen".parse().unwrap()),
        credentials: true,
        max_age: "600".parse().unwrap(),
    }
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    assert_eq!(headers["vary"], "Origin");
    headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn web_pages_are_told_whether_they_may() {
    let a = node().await;
    let b =
        Upstream::new(|_| Reply::Whole(200, "access-control-allow-origin: *\r\n".into(), b"hello".to_vec()))
            .await;
    let house = house(&a, &b, BY_KEY, |section| {
        section.pools.iter_mut().for_each(|pool| pool.access.cors = Some(cors()));
    })
    .await;
    for path in ["/chain", "/api"] {
        let before = async |origin: &str| {
            let mut request = request("OPTIONS", path, "");
            request.headers_mut().insert("origin", origin.parse().unwrap());
            request.headers_mut().insert("access-control-request-method", "POST".parse().unwrap());
            send(house.at, request).await.unwrap()
        };
        // Browsers ask without credentials.
        let told = before(PAGE).await;
        assert_eq!((told.status.as_u16(), allowed(&told.headers)), (204, Some(PAGE)));
        assert_eq!(told.headers["access-control-allow-methods"], "POST");
        assert_eq!(told.headers["access-control-allow-headers"], "content-type, x-api-key");
        assert_eq!(told.headers["access-control-allow-credentials"], "true");
        assert_eq!(told.headers["access-control-max-age"], "600");
        let told = before("https://evil.example").await;
        assert_eq!(allowed(&told.headers), None);
        assert!(!told.headers.contains_key("access-control-allow-methods"));

        let answer = ask(&house, path, &[("x-api-key", KEY), ("origin", PAGE)]).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (200, Some(PAGE)));
        assert_eq!(answer.headers["access-control-expose-headers"], "x-seen");
        // A page may read why it was refused.
        let answer = ask(&house, path, &[("origin", PAGE)]).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (401, Some(PAGE)));
        let answer = ask(&house, path, &[("x-api-key", KEY), ("origin", "https://evil.example")]).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (403, None));
        // What is no page has no origin.
        let answer = ask(&house, path, &[("x-api-key", KEY)]).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (200, None));
    }
    assert_eq!(b.heard().len(), 2);
}
