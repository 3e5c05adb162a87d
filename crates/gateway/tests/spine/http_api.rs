//! Pools of HTTP APIs.

use seawall_model::Cause;

use crate::{
    client::{PATIENCE, Wire, begin, finish, request, send},
    house::{House, api, first_preferred, until},
    upstream::{Gate, Heard, Reply, Upstream},
};

fn hello(_: &Heard) -> Reply {
    Reply::Whole(200, "content-type: text/plain\r\n".into(), b"hello".to_vec())
}

async fn two() -> (Upstream, Upstream) {
    (Upstream::new(hello).await, Upstream::new(hello).await)
}

/// How often each has been asked.
fn asked(upstreams: [&Upstream; 2]) -> [usize; 2] {
    upstreams.map(|u| u.heard().len())
}

#[tokio::test]
async fn path_query_method_and_body_go_through() {
    let (a, b) = two().await;
    let mut pool = api(&[&a, &b]);
    for upstream in &mut pool.upstreams {
        upstream.path = seawall_model::Secret::new("/base");
    }
    let house = House::new(vec![pool]).await;
    let answer = send(house.at, request("PATCH", "/api/v1/things?x=1&y=%20", "a body")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hello"[..]));
    assert_eq!(answer.headers["content-type"], "text/plain");
    let heard = [a.heard(), b.heard()].concat().remove(0);
    assert!(heard.head.starts_with("PATCH /base/v1/things?x=1&y=%20 HTTP/1.1\r\n"), "{}", heard.head);
    assert_eq!(heard.body, b"a body");
    assert!(heard.header("host").unwrap().ends_with(".test"), "{}", heard.head);
}

#[tokio::test]
async fn a_repeatable_request_goes_to_another_upstream() {
    for fault in [Reply::Reset, Reply::status(503), Reply::Raw(Vec::new())] {
        for method in ["GET", "OPTIONS"] {
            let (a, b) = two().await;
            let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
            let fault = fault.clone();
            a.does(move |_| fault.clone());
            let answer = send(house.at, request(method, "/api/x", "")).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hello"[..]), "{method}");
            assert_eq!(asked([&a, &b]), [1, 1], "{method}");
        }
    }
}

#[tokio::test]
async fn a_request_that_may_have_reached_an_upstream_is_not_repeated() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let (a, b) = two().await;
        let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
        a.does(|_| Reply::Reset);
        let answer = send(house.at, request(method, "/api/x", "pay 5")).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.json()["cause"].as_str()),
            (502, Some("reset")),
            "{method}"
        );
        assert_eq!(asked([&a, &b]), [1, 0], "{method}");
    }
}

/// Connections lie open from requests before; that one is closed in place of an answer tells nothing.
#[tokio::test]
async fn a_post_is_not_repeated_on_a_fresh_connection() {
    let (a, b) = two().await;
    let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
    for _ in 0..20 {
        send(house.at, request("GET", "/api/x", "")).await.unwrap();
    }
    a.does(|_| Reply::Raw(Vec::new()));
    let answer = send(house.at, request("POST", "/api/x", "pay 5")).await.unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(asked([&a, &b]), [21, 0]);
}

#[tokio::test]
async fn a_post_that_has_reached_nobody_goes_to_another_upstream() {
    let (mut a, b) = two().await;
    let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
    a.die().await;
    let answer = send(house.at, request("POST", "/api/x", "pay 5")).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(asked([&a, &b]), [0, 1]);
}

#[tokio::test]
async fn an_answer_to_a_post_goes_back_whatever_it_says() {
    let (a, b) = two().await;
    let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
    a.does(|_| Reply::status(500));
    let answer = send(house.at, request("POST", "/api/x", "pay 5")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (500, &b"busy"[..]));
    assert_eq!(asked([&a, &b]), [1, 0]);
}

#[tokio::test]
async fn one_that_keeps_failing_is_ejected() {
    let (a, b) = two().await;
    let house = House::new(vec![first_preferred(api(&[&a, &b]))]).await;
    a.does(|_| Reply::status(503));
    for _ in 0..20 {
        let answer = send(house.at, request("GET", "/api/x", "")).await.unwrap();
        assert_eq!(&answer.body[..], b"hello");
    }
    assert_eq!(house.ejections(0)[0], Cause::HttpStatus);
}

#[tokio::test]
async fn with_all_upstreams_down_the_refusal_says_so() {
    let (mut a, mut b) = two().await;
    let house = House::new(vec![api(&[&a, &b])]).await;
    a.die().await;
    b.die().await;
    let answer = send(house.at, request("GET", "/api/x", "")).await.unwrap();
    assert_eq!(answer.status, 502);
    let json = answer.json();
    assert_eq!(
        (&json["code"], &json["pool"], &json["cause"]),
        (&"SW0302".into(), &"api".into(), &"connect".into())
    );
}

#[tokio::test]
async fn headers_of_one_connection_stay_on_it() {
    let a = Upstream::new(|_| {
        let headers = "connection: x-theirs\r\nx-theirs: 1\r\nkeep-alive: timeout=5\r\nx-kept: 2\r\n";
        Reply::Whole(200, headers.into(), b"hello".to_vec())
    });
    let a = a.await;
    let house = House::new(vec![api(&[&a])]).await;
    let mut wire = Wire::to(house.at).await;
    wire.say(
        "GET /api/x HTTP/1.1\r\nhost: gateway\r\nconnection: X-Ours, close\r\nx-ours: 1\r\nte: trailers\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nupgrade: websocket\r\nx-kept: 2\r\n\r\n",
    )
    .await
    .unwrap();
    let answer = wire.hear_to_the_end().await.to_lowercase();
    assert!(answer.starts_with("http/1.1 200 ") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(answer.contains("x-kept: 2\r\n"), "{answer}");
    for gone in ["x-theirs", "keep-alive"] {
        assert!(!answer.contains(gone), "{gone}: {answer}");
    }
    let heard = a.heard().remove(0);
    for gone in ["connection", "x-ours", "te", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(heard.header(gone), None, "{gone}: {}", heard.head);
    }
    assert_eq!(heard.header("x-kept").as_deref(), Some("2"));
    assert_eq!(heard.header("host").as_deref(), Some("a.test"));
}

/// The answer to a HEAD tells how long the body would be, and has none.
#[tokio::test]
async fn the_answer_to_a_head_keeps_its_length() {
    let a = Upstream::new(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec())).await;
    let house = House::new(vec![api(&[&a])]).await;
    let answer = send(house.at, request("HEAD", "/api/x", "")).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers.get("content-length").map(|v| v.to_str().unwrap()), Some("5"));
}

#[tokio::test]
async fn a_large_answer_streams_through() {
    let large: Vec<u8> =
        (0..6 * 1024 * 1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let whole = large.clone();
    let a = Upstream::new(move |_| Reply::Whole(200, String::new(), large.clone())).await;
    let house = House::new(vec![api(&[&a])]).await;
    let answer = send(house.at, request("GET", "/api/x", "")).await.unwrap();
    assert!(answer.body == whole);
    let counted = || (house.counted("requests") == 1).then_some(());
    tokio::time::timeout(PATIENCE, until("it is counted", counted)).await.unwrap();
}

/// They may be long in coming, and none waits for the next.
#[tokio::test]
async fn events_go_out_as_they_come() {
    let (gate, of_kind) =
        (Gate::shut(), "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n");
    let pieces = Reply::Pieces(of_kind.into(), gate.clone(), b"data: 1\n\n".to_vec());
    let (a, b) = (Upstream::new(move |_| pieces.clone()).await, Upstream::new(hello).await);
    let mut pool = first_preferred(api(&[&a, &b]));
    pool.attempt_timeout = std::time::Duration::from_millis(200);
    let patience = pool.attempt_timeout;
    let house = House::new(vec![pool]).await;
    let answer = begin(house.at, request("GET", "/api/x", "")).await.unwrap();
    assert_eq!(answer.status(), 200);
    tokio::time::sleep(2 * patience).await;
    gate.open();
    let answer = finish(answer).await.unwrap();
    assert_eq!(&answer.body[..], b"data: 1\n\n");
    assert_eq!(asked([&a, &b]), [1, 0]);
    assert_eq!(house.counted("truncated_streams"), 0);
}
