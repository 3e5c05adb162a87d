//! Probes in an estate.

use std::time::Duration;

use seawall_model::ComponentId;
use seawall_probe::core::check::HttpVersion;

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
        [probes.game]
        target = "udp://game.example:27015"
        body_hex = "ff0a"
        expect = { matches = '^\w+ \d', hex = "00" }
        [probes.pay]
        target = "grpcs://pay.example/pay.v1.Payments"
        headers = { authorization = "env:KEY" }
        fresh = false
        [probes.backup]
        push = true
        every = "30d"
        [probes.plugin]
        exec = ["/usr/lib/plugin", "-H", "db"]
        expect = { matches = "^OK" }
        [probes.second]
        target = "https://shop.example"
        http = "2"
        [probes.time]
        target = "ntp://time.example"
        expect = { max_offset = "50ms" }
        [watch]
        anchors = ["tcp://192.0.2.1:443", "https://anchor.example"]
        exec = true
        per_host = 2
        vantage = "eu-1"
    "#;
    let estate = World::new(&[("/e/seawall.toml", text)]).load("/e/seawall.toml").unwrap();
    let section = estate.probes.unwrap();
    let [api, backup, db, game, pay, plugin, second, time] = &section.probes[..] else {
        panic!("{section:?}")
    };
    assert_eq!(api.of, "service:api".parse::<ComponentId>().unwrap(), "it makes its own component");
    assert!(estate.graph.contains(&api.of));
    assert_eq!((api.every, api.check.timeout), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!(api.check.headers["authorization"], "0123456789abcdef");
    assert!(!format!("{section:?}").contains("0123456789abcdef"));
    assert_eq!((db.of.to_string().as_str(), db.every), ("service:checkout", Duration::from_secs(60)));
    assert_eq!(db.check.resolver, Some("127.0.0.1:53".parse().unwrap()));
    assert_eq!((section.watch.anchors.len(), section.watch.bounds.per_host), (2, 2));
    assert_eq!((&game.check.body[..], &game.check.expect.bytes[..]), (&[0xff, 0x0a][..], &[0][..]));
    assert!(game.check.expect.matches.is_some());
    assert_eq!((pay.check.http, second.check.http), (HttpVersion::Two, HttpVersion::Two));
    assert_eq!(second.check.alpn, ["h2".into()]);
    assert_eq!(time.check.expect.max_offset, Some(Duration::from_millis(50)));
    assert_eq!(backup.check.target.to_string(), "push");
    assert_eq!((backup.every.as_secs(), backup.turn().as_secs(), backup.down_after), (2_592_000, 10, 1));
    assert_eq!(plugin.check.target.to_string(), "exec:/usr/lib/plugin");
    assert_eq!(section.plan().checks.len(), 8);
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
    check(&probe("target = \"tcp://a:1\"\nhttp = \"2\""), &["SW0113"]);
    check(&probe("target = \"https://a\"\nhttp = \"3\""), &["SW0106"]);
    check(&probe("target = \"grpc://a\""), &["SW0114"]);
    check(
        &probe("target = \"https://a\"\nexpect = { matches = \"(\", hex = \"00\" }"),
        &["SW0106", "SW0113"],
    );
    check(&probe("target = \"udp://a:1\"\nbody = \"x\"\nbody_hex = \"0\""), &["SW0106", "SW0113"]);
    check(&probe("target = \"udp://a:1\"\nexpect = { max_offset = \"1s\" }"), &["SW0113"]);
    check(&probe("every = \"1m\""), &["SW0104"]);
    check(&probe("push = false"), &["SW0104"]);
    check(&probe("push = true\nexec = [\"/bin/true\"]"), &["SW0113"]);
    check(&probe("target = \"https://a\"\npush = true"), &["SW0113"]);
    check(&probe("target = \"https://a\"\ngrace = \"1m\""), &["SW0113"]);
    check(&probe("push = true\nexpect = { contains = \"a\" }\nresolver = \"1.1.1.1\""), &["SW0113"; 2]);
    check(&probe("push = true\ngrace = \"31d\""), &["SW0106"]);
    check(&probe("exec = [\"/bin/true\"]"), &["SW0113"]);
    check(&probe("exec = [\"true\"]\n[watch]\nexec = true"), &["SW0106"]);
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
