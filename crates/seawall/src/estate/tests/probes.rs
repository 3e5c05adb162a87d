//! Probes in an estate.

use std::time::Duration;

use seawall_model::ComponentId;

use super::*;

#[test]
fn probes_are_read() {
    let text = r#"
        [services.checkout]
        needs = { all = [] }
        [services.shop]
        needs = { all = ["service:checkout", "service:api"] }
        [probes.api]
        target = "https://api.example/health"
        headers = { authorization = "env:KEY" }
        expect = { status = "2xx", contains = "ok", json = { pointer = "/db", equals = "up" } }
        [probes.db]
        target = "tcp://db.example:5432"
        of = "service:checkout"
        every = "1m"
        timeout = "2s"
        resolver = "127.0.0.1"
        [watch]
        anchors = ["tcp://192.0.2.1:443", "https://anchor.example"]
        per_host = 2
        vantage = "eu-1"
    "#;
    let estate = World::new(&[("/e/seawall.toml", text)]).load("/e/seawall.toml").unwrap();
    let section = estate.probes.unwrap();
    let [api, db] = &section.probes[..] else { panic!("{section:?}") };
    assert_eq!(api.of, "service:api".parse::<ComponentId>().unwrap(), "it makes its own component");
    assert!(estate.graph.contains(&api.of));
    assert_eq!((api.every, api.check.timeout), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!(api.check.headers["authorization"], "0123456789abcdef");
    assert!(!format!("{section:?}").contains("0123456789abcdef"));
    assert_eq!((db.of.to_string().as_str(), db.every), ("service:checkout", Duration::from_secs(60)));
    assert_eq!(db.check.resolver, Some("127.0.0.1:53".parse().unwrap()));
    assert_eq!((section.watch.anchors.len(), section.watch.bounds.per_host), (2, 2));
    assert_eq!(section.plan().checks.len(), 2);
}

#[test]
fn an_estate_of_nothing_but_probes_can_be_checked() {
    let text = "[probes.a]\ntarget = \"https://a.example\"";
    let estate = World::new(&[("/e/seawall.toml", text)]).load("/e/seawall.toml").unwrap();
    assert!(estate.gateway.is_none() && estate.probes.is_some());
}

#[test]
fn probes_that_cannot_be_made_are_refused() {
    let probe = |keys: &str| format!("[probes.p]\n{keys}");
    check(&probe("target = \"shop.example\""), &["SW0114"]);
    check(&probe("target = \"tcp://shop.example\""), &["SW0114"]);
    check(&probe("target = \"env:NONE\""), &["SW0116"]);
    check(&probe("target = \"https://a\"\nof = \"service:x\""), &["SW0108"]);
    check(&probe("target = \"https://a\"\nof = \"x\""), &["SW0108"]);
    check(&probe("target = \"https://a\"\nevery = \"1ms\""), &["SW0106"]);
    check(&probe("target = \"https://a\"\nevery = \"1s\""), &["SW0113"]);
    check(&probe("target = \"https://a\"\nheaders = { connection = \"x\" }"), &["SW0115"]);
    check(&probe("target = \"https://a\"\nmethod = \"G T\""), &["SW0106"]);
    check(&probe("target = \"https://a\"\nresolver = \"dns\""), &["SW0106"]);
    check(&probe("target = \"https://a\"\nalpn = [\"h2\"]"), &["SW0113"]);
    check(&probe("target = \"tcp://a:1\"\nbody = \"x\"\nmethod = \"GET\"\nfresh = false"), &["SW0113"; 3]);
    check(&probe("target = \"tcp://a:1\"\nexpect = { status = 200 }"), &["SW0113"]);
    check(&probe("target = \"https://a\"\nexpect = { json = { pointer = \"a\", equals = 1 } }"), &["SW0106"]);
    check(&probe("target = \"https://a\"\nexpect = { contains = \"\" }"), &["SW0106"]);
    check(&probe("target = \"dns:a.example?type=MX\""), &["SW0113"]);
    check(&probe("target = \"https://a\"\n[watch]\nanchors = [\"x\"]\nper_host = 0"), &["SW0114", "SW0106"]);
}

#[test]
fn what_may_be_a_secret_is_warned_of_and_hidden() {
    let probe = |keys: &str| format!("[probes.p]\n{keys}");
    check(&probe("target = \"https://a/v2/AbCdEf0123456789xyz\""), &["SW0154"]);
    check(&probe("target = \"https://a\"\nheaders = { x-token = \"abc\" }"), &["SW0154"]);
    check(&probe("target = \"http://a\"\nheaders = { x-a = \"abc\" }"), &["SW0153"]);
    let shown = report(&probe("target = \"https://a/v2/AbCdEf0123456789xyz\"")).render(false);
    assert!(!shown.contains("AbCdEf"), "{shown}");
}
