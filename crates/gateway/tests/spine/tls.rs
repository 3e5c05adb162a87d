//! Clients that come in over TLS.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use seawall_gateway::estate::{ClientAuth, TlsSection};
use seawall_model::Secret;
use seawall_runtime::net::{Endpoint, credentials::Credentials};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    client::{PATIENCE, body, on_the_wire, request, send},
    house::{House, api, chain, until},
    node::node,
    pki::{Ca, Issued, Trusting, der, shown, tls},
    port::Port,
    upstream::Upstream,
};

const HOST: &str = "gateway.test";

/// A gateway with a TLS listener, and where that is.
async fn house(upstream: &Upstream, port: &Port, section: TlsSection) -> House {
    assert_eq!(section.listen, [port.at()]);
    House::set(|all| {
        all.pools = vec![chain(&[upstream])];
        all.tls = Some(section);
    })
    .await
}

fn chain_id() -> String {
    body(1, "eth_chainId", &json!([]))
}

/// Makes a call on a connection that stays.
async fn call(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(on_the_wire(&chain_id()).as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let answer = timeout(PATIENCE, async {
        while !heard.ends_with(b"\"0x7\"}") {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "it ended");
        }
    });
    answer.await.expect("an answer");
    String::from_utf8(heard).unwrap()
}

/// True if the gateway lets the client in. A client learns that its certificate is not wanted only once it
/// reads (RFC 8446, section 4.4.2.4).
async fn is_let_in(client: &Trusting, port: &Port) -> bool {
    let Ok(mut stream) = client.shake(port.at(), HOST).await else { return false };
    let _ = stream.write_all(on_the_wire(&chain_id()).as_bytes()).await;
    matches!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("an end"), Ok(1..))
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_both_of_tls() {
    let (a, port, ca) = (node().await, Port::new(), Ca::new("root"));
    let house = house(&a, &port, tls(port.at(), &[&ca.issue(&[HOST])])).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let request = |uri: &str| {
            let request = Request::post(uri).header("host", HOST);
            request.body(Full::new(Bytes::from(chain_id()))).unwrap()
        };
        let stream =
            Trusting::speaking(&ca, None, "http/1.1", &[version]).shake(port.at(), HOST).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = send.send_request(request("/chain")).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["result"], "0x7");

        let stream = Trusting::speaking(&ca, None, "h2", &[version]).shake(port.at(), HOST).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut send, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("https://{HOST}/chain"));
        let request = request.body(Full::new(Bytes::from(chain_id()))).unwrap();
        let answer = send.send_request(request).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["result"], "0x7");
    }
    assert!(house.metric("seawall_gateway_tls_handshakes_total{outcome=\"done\"}") >= 4.0);
}

#[tokio::test]
async fn the_host_that_a_client_names_chooses_the_certificate() {
    let (a, port, ca) = (node().await, Port::new(), Ca::new("root"));
    let (first, second, wild) =
        (ca.issue(&["one.test", HOST]), ca.issue(&["two.test"]), ca.issue(&["*.three.test"]));
    let _house = house(&a, &port, tls(port.at(), &[&first, &second, &wild])).await;
    let client = Trusting::new(&ca, None, "http/1.1");
    for (host, wanted) in [
        ("one.test", &first),
        (HOST, &first),
        ("two.test", &second),
        ("TWO.test", &second),
        ("x.three.test", &wild),
    ] {
        let stream = client.shake(port.at(), host).await.unwrap();
        assert_eq!(shown(stream.get_ref().1), der(wanted), "{host}");
    }
    // The first is shown to who names another; that it does not fit is for the client to say.
    for host in ["four.test", "three.test", "x.y.three.test"] {
        assert!(client.shake(port.at(), host).await.is_err(), "{host}");
    }
}

#[tokio::test]
async fn certificates_change_under_connections_that_stay() {
    let (a, port, ca) = (node().await, Port::new(), Ca::new("root"));
    let (old, new) = (ca.issue(&[HOST]), ca.issue(&[HOST]));
    let house = house(&a, &port, tls(port.at(), &[&old])).await;
    let client = || Trusting::new(&ca, None, "http/1.1");
    let mut before = client().shake(port.at(), HOST).await.unwrap();
    assert_eq!(shown(before.get_ref().1), der(&old));
    call(&mut before).await;
    let reload = |certificate: &Issued| {
        let mut section = house.section.clone();
        section.tls = Some(tls(port.at(), &[certificate]));
        house.gateway.reload(section)
    };
    reload(&new).unwrap();
    let mut after = client().shake(port.at(), HOST).await.unwrap();
    assert_eq!(shown(after.get_ref().1), der(&new));
    call(&mut after).await;
    call(&mut before).await;
    // A certificate with another's key is none: what runs goes on.
    let mixed = Issued { chain: old.chain.clone(), key: new.key.clone() };
    let refused = reload(&mixed).unwrap_err().to_string();
    assert!(refused.contains("`c0`"), "{refused}");
    let mut still = client().shake(port.at(), HOST).await.unwrap();
    assert_eq!(shown(still.get_ref().1), der(&new));
    call(&mut still).await;
    call(&mut before).await;
}

#[tokio::test]
async fn sessions_are_resumed_across_a_reload_but_not_under_other_authorities() {
    let (a, port, ca) = (node().await, Port::new(), Ca::new("root"));
    let house = house(&a, &port, tls(port.at(), &[&ca.issue(&[HOST])])).await;
    let client = Trusting::new(&ca, None, "http/1.1");
    // Tickets come with the first answer.
    let visit = async || {
        let mut stream = client.shake(port.at(), HOST).await.unwrap();
        call(&mut stream).await;
        stream.get_ref().1.handshake_kind().unwrap()
    };
    assert_eq!(visit().await, HandshakeKind::Full);
    assert_eq!(visit().await, HandshakeKind::Resumed);
    let mut section = house.section.clone();
    section.tls = Some(tls(port.at(), &[&ca.issue(&[HOST])]));
    house.gateway.reload(section.clone()).unwrap();
    assert_eq!(visit().await, HandshakeKind::Resumed);
    let clients = Ca::new("clients");
    section.tls.as_mut().unwrap().clients = ClientAuth::Optional(Secret::new(clients.pem.as_str()));
    house.gateway.reload(section).unwrap();
    assert_eq!(visit().await, HandshakeKind::Full);
}

#[tokio::test]
async fn clients_show_certificates_where_they_must() {
    let (a, port, ca, clients) = (node().await, Port::new(), Ca::new("root"), Ca::new("clients"));
    let mut section = tls(port.at(), &[&ca.issue(&[HOST])]);
    section.clients = ClientAuth::Required(Secret::new(clients.pem.as_str()));
    let house = house(&a, &port, section).await;
    let good = clients.issue(&["spiffe://test/desk"]);
    let strange = Ca::new("clients").issue(&["spiffe://test/desk"]);
    let without = Trusting::new(&ca, None, "http/1.1");
    let with_good = Trusting::new(&ca, Some(&good), "http/1.1");
    let with_strange = Trusting::new(&ca, Some(&strange), "http/1.1");
    assert!(!is_let_in(&without, &port).await);
    assert!(is_let_in(&with_good, &port).await);
    assert!(!is_let_in(&with_strange, &port).await);
    let mut section = house.section.clone();
    section.tls.as_mut().unwrap().clients = ClientAuth::Optional(Secret::new(clients.pem.as_str()));
    house.gateway.reload(section).unwrap();
    assert!(is_let_in(&without, &port).await);
    assert!(is_let_in(&with_good, &port).await);
    assert!(!is_let_in(&with_strange, &port).await);
}

#[tokio::test]
async fn those_who_never_finish_a_handshake_keep_nobody_out_for_ever() {
    let (a, port, ca) = (node().await, Port::new(), Ca::new("root"));
    let mut section = tls(port.at(), &[&ca.issue(&[HOST])]);
    (section.handshake, section.handshakes) = (Duration::from_millis(300), 2);
    let house = house(&a, &port, section).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(port.at()).await.unwrap());
    }
    // They take every turn there is, until their time is up.
    let client = Trusting::new(&ca, None, "http/1.1");
    let late = || house.metric("seawall_gateway_tls_handshakes_total{outcome=\"timeout\"}");
    until("the silent are cut off", || (late() >= 4.0).then_some(())).await;
    assert!(is_let_in(&client, &port).await);
    for mut stream in silent {
        assert!(matches!(timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("an end"), Ok(0) | Err(_)));
    }
    // Plain HTTP is nobody's handshake, and the plain listener is as it was.
    let mut plain = TcpStream::connect(port.at()).await.unwrap();
    plain.write_all(on_the_wire(&chain_id()).as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut heard)).await.expect("an end");
    assert!(!String::from_utf8_lossy(&heard).contains("HTTP/1.1"), "{heard:?}");
    assert_eq!(crate::client::post(house.at, chain_id()).await.json()["result"], "0x7");
}

#[tokio::test]
async fn when_certificates_end_is_told() {
    let (a, port, ca) = (node().await, Port::new(), Ca::new("root"));
    let house = house(&a, &port, tls(port.at(), &[&ca.issue(&[HOST])])).await;
    let end = house.metric("seawall_gateway_tls_certificate_not_after_seconds{certificate=\"c0\"}");
    // rcgen's own default: the year 4096.
    assert!(end > 60_000_000_000.0, "{end}");
}

/// What upstreams ask of the gateway: the gateway before is the client of the one behind.
#[tokio::test]
async fn an_upstream_may_ask_who_is_calling() {
    let (a, port) = (node().await, Port::new());
    let (servers, clients) = (Ca::new("servers"), Ca::new("clients"));
    let mut section = tls(port.at(), &[&servers.issue(&["localhost"])]);
    section.clients = ClientAuth::Required(Secret::new(clients.pem.as_str()));
    let _behind = house(&a, &port, section).await;
    let (good, stranger) = (clients.issue(&["front.test"]), servers.issue(&["front.test"]));
    for (shown, trusted, served) in [
        (Some(&good), &servers, true),
        (Some(&stranger), &servers, false),
        (None, &servers, false),
        (Some(&good), &clients, false),
    ] {
        let pair = shown.map(|own| (Secret::new(own.chain.as_str()), Secret::new(own.key.as_str())));
        let credentials = Credentials::new(pair, Some(Secret::new(trusted.pem.as_str()))).unwrap();
        let before = House::set(|all| {
            let mut pool = api(&[&a]);
            let upstream = &mut pool.upstreams[0];
            let (host, port) = ("localhost".into(), port.at().port());
            upstream.endpoint = Endpoint { host, port, tls: true, credentials: Some(credentials) };
            upstream.path = Secret::new("/chain");
            all.pools = vec![pool];
        })
        .await;
        let request = request("POST", "/api", chain_id());
        let answer = send(before.at, request).await.unwrap();
        assert_eq!(answer.status == StatusCode::OK, served, "{answer:?}");
    }
}

#[test]
fn credentials_that_cannot_be_used_are_refused_and_say_nothing_of_the_key() {
    let ca = Ca::new("root");
    let (one, other) = (ca.issue(&["one.test"]), ca.issue(&["two.test"]));
    let secret = |text: &str| Secret::new(text);
    for (chain, key, authorities, why) in [
        (&*one.chain, &*other.key, None, "client certificate"),
        ("nothing", &*one.key, None, "client certificate"),
        (&*one.chain, "nothing", None, "client certificate"),
        (&*one.chain, &*one.key, Some("nothing"), "authorities"),
    ] {
        let pair = Some((secret(chain), secret(key)));
        let error = Credentials::new(pair, authorities.map(secret)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    let made = |of: &Issued| {
        Credentials::new(Some((secret(&of.chain), secret(&of.key))), Some(secret(&ca.pem))).unwrap()
    };
    assert_eq!(made(&one), made(&one));
    assert_ne!(made(&one), made(&other));
    assert!(made(&one).end().is_some());
    assert_eq!(format!("{:?}", made(&one)), "Credentials(***)");
}
