//! Any bytes as what a target answers: nothing panics, no answer takes more bytes than there are, and what is told of a
//! server is fit for a terminal.
#![no_main]

use std::{net::IpAddr, time::Duration};

use libfuzzer_sys::fuzz_target;
use seawall_model::Wall;
use seawall_probe::{
    Expect,
    core::{
        answer::{Progress, Said, nats, postgres, redis, smtp},
        certificate::Certificate,
        chain::{ChainFacts, Part},
        dns,
        evm::{Ask, EvmFacts},
        expect::JsonValue,
        exposition, grpc,
        icmp::Echo,
        ntp::Asked,
        target::RecordKind,
    },
};

fuzz_target!(|bytes: &[u8]| {
    for read in [smtp::reply, redis::answer, postgres::answer, nats::greeting, nats::pong] {
        if let Progress::Whole(length, said) = read(bytes) {
            assert!(length <= bytes.len());
            if let Said::Good(text) | Said::Bad(text) = said {
                assert!(!text.contains(char::is_control));
            }
        }
    }
    let mut facts = EvmFacts::default();
    for ask in Ask::ALL {
        let _ = facts.take(ask, 200, bytes, Wall(0));
    }
    let _ = facts.judge(&Expect::default());
    for part in [Part::Execution, Part::OpNode, Part::Conductor] {
        let Ok(said) = ChainFacts::read(part, 200, bytes, Wall(0)) else { continue };
        assert!(said.cluster.iter().all(|server| !server.id.contains(char::is_control)));
        let _ = (said.judge(&Expect::default()), said.voter("a"));
    }
    let json = JsonValue { pointer: "/a/0".to_owned(), equals: 1.into() };
    let expect = Expect { contains: Some("a".to_owned()), json: Some(json), ..Expect::default() };
    let _ = expect.judge(200, bytes);
    if let Some(samples) = std::str::from_utf8(bytes).ok().and_then(exposition::samples) {
        let values = samples
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(_, all)| all.as_array().into_iter().flatten());
        assert!(values.map(|sample| &sample["value"]).all(serde_json::Value::is_number));
    }
    let _ = Certificate::read(bytes);
    let headers = [("content-type", "application/grpc"), ("grpc-status", "0")];
    let headers = headers
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
    let _ = grpc::judge("a", &headers.into_iter().collect(), bytes, None);
    let asked = Asked { nonce: 0, wall_us: 0 };
    let _ = asked.read(bytes, Duration::ZERO);
    let _ = asked.read(&[&[0x24, 1][..], bytes].concat(), Duration::ZERO);
    for to in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0; 16])] {
        let _ = Echo::new(to, 0).read(bytes);
    }
    let asked = dns::question(7, "shop.example", RecordKind::Soa).expect("a name that fits");
    // Nearly any bytes are another question's answer; those after the question are what there is to read.
    let answer = [&asked[..2], &[0x81, 0x80, 0, 1, 0, 2, 0, 1, 0, 0], &asked[12..30], bytes].concat();
    for message in [bytes, &answer] {
        if let dns::Read::Answer(answer) = dns::read(&asked, message, RecordKind::Soa) {
            let _ = answer.judge("shop.example", &[]);
        }
    }
});
