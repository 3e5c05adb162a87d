//! Estates that say where clients connect, and who they have to be.

use seawall_gateway::{
    core::glob::Glob,
    estate::{Origin, Proofs},
};

use super::{World, check, pool};

const HASH: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn certificates_must_be_some() {
    let tls = |more: &str| pool("") + "[listen.tls]\nat = \"127.0.0.1:8443\"\n" + more;
    check(&tls(""), &["SW0112"]);
    check(
        &tls("certificates = [{ name = \"a\", chain = \"file:none.pem\", key = \"env:KEY\" }]"),
        &["SW0116"],
    );
    check(&tls("certificates = [{ name = \"a\", chain = \"x\", key = \"env:KEY\" }]"), &["SW0120"]);
    let one = "certificates = [{ name = \"a\", chain = \"x\", key = \"env:KEY\" }]\n";
    check(&tls(&format!("{one}client_auth = \"required\"")), &["SW0104"]);
    check(&tls(&format!("{one}client_ca = \"file:x\"")), &["SW0116"]);
    check(&tls(&format!("{one}client_ca = \"env:KEY\"")), &["SW0113"]);
    check(&tls(&format!("{one}handshake = \"2h\"")), &["SW0106"]);
    check(&(pool("") + "[listen]\ngateway = []"), &["SW0112"]);
}

#[test]
fn what_upstreams_are_shown_must_be_some() {
    let with = |scheme: &str, keys: &str| {
        super::upstream(&format!("name = \"a\", url = \"{scheme}://a.example\", provider = \"a\", {keys}"))
    };
    let shown = |chain: &str, key: &str| format!("certificate = {{ chain = \"{chain}\", key = \"{key}\" }}");
    check(&with("https", &shown("x", "env:KEY")), &["SW0120"]);
    check(&with("https", &shown("file:none.pem", "env:KEY")), &["SW0116"]);
    check(&with("https", "ca = \"x\""), &["SW0120"]);
    check(&with("https", "certificate = { chain = \"x\" }"), &["SW0104"]);
    check(&with("http", "ca = \"x\""), &["SW0153", "SW0113"]);
}

#[test]
fn a_private_key_is_shown_in_no_report() {
    let key = "-----BEGIN PRIVATE KEY-----\\nc2VjcmV0LXNlY3JldC1zZWNyZXQ=\\n-----END PRIVATE KEY-----";
    let text = pool("")
        + &format!(
            "[listen.tls]\nat = \"127.0.0.1:8443\"\ncertificates = [{{ name = \"a\", chain = \"x\", key = \"{key}\" }}]"
        );
    let report = super::report(&format!("providers = {{ a = {{}}, b = {{}}, c = {{}} }}\n{text}"));
    let shown = report.render(false);
    assert!(shown.contains("SW0120") && !shown.contains("c2VjcmV0"), "{shown}");
}

#[test]
fn clients_must_have_something_to_show() {
    let auth = |more: &str| pool("") + more;
    check(&auth("[auth]\nrequire = [\"key\"]"), &["SW0112"]);
    check(&auth("[auth]\nrequire = [\"token\"]"), &["SW0112"]);
    check(&auth("[auth]\nrequire = [\"certificate\"]"), &["SW0112"]);
    check(&auth("[auth]\nrequire = [\"password\"]"), &["SW0106"]);
    let client = |more: &str| auth(&format!("[auth.clients.desk]\n{more}"));
    check(&client(""), &["SW0104"]);
    check(&client(&format!("hash = [\"{HASH}\"]")), &[]);
    check(&client("hash = [\"a key itself\"]"), &["SW0106"]);
    check(&client(&format!("hash = [\"{HASH}\", \"{HASH}\"]")), &["SW0107"]);
    check(&client("key = \"env:KEY\""), &[]);
    check(&client("key = \"env:NONE\""), &["SW0116"]);
    check(&client("key = \"0123\""), &["SW0154"]);
    check(&client("subject = [\"a\"]\npools = [\"eht\"]"), &["SW0108"]);
    check(&client("subject = [\"a\"]\nallow = [\"\"]"), &["SW0106"]);
    check(&client("subject = [\"a\"]\nrate = \"10/h\""), &["SW0106"]);
    check(&client("subject = [\"a\"]\nconcurrency = 0"), &["SW0106"]);
    let two = "[auth.clients.desk]\nsubject = [\"a\"]\n[auth.clients.other]\nsubject = [\"a\"]";
    check(&auth(two), &["SW0107"]);
}

#[test]
fn tokens_must_be_signed_somehow() {
    let token = |more: &str| pool("") + "[auth.token]\n" + more;
    check(&token(""), &["SW0104"]);
    check(&token("jwks = \"env:KEY\"\nsecret = \"env:KEY\""), &["SW0113"]);
    check(&token("jwks = \"env:KEY\""), &["SW0121"]);
    check(&token("secret = \"env:KEY\""), &["SW0121"]);
    check(&token("secret = \"a secret of thirty-two bytes or more\""), &["SW0154"]);
    check(&token("secret = \"env:KEY\"\nleeway = \"10m\""), &["SW0106"]);
}

#[test]
fn web_pages_have_an_origin() {
    let cors = |more: &str| pool("") + "[pools.eth.access.cors]\n" + more;
    check(&cors(""), &["SW0112"]);
    check(&cors("origins = [\"https://a.example\", \"https://*.b.example:8443\", \"*\"]"), &[]);
    for origin in ["a.example", "https://a.example/", "https://", "https://A.example", "https://a.*", "null"]
    {
        check(&cors(&format!("origins = [\"{origin}\"]")), &["SW0106"]);
    }
    check(&cors("origins = [\"*\"]\ncredentials = true"), &["SW0113"]);
    check(&cors("origins = [\"*\"]\ncredentials = \"yes\""), &["SW0105"]);
    check(&cors("origins = [\"*\"]\nheaders = [\"x y\"]"), &["SW0106"]);
    check(&cors("origins = [\"*\"]\nmax_age = \"2d\""), &["SW0106"]);
}

#[test]
fn a_pool_may_ask_for_something_else() {
    let text = format!(
        "providers = {{ a = {{}}, b = {{}}, c = {{}} }}\n{}[pools.eth.access]\nrequire = []\nallow = [\"eth_*\"]\n\
         cors.origins = [\"*\"]\n[auth]\nrequire = [\"key\"]\n[auth.clients.desk]\nhash = [\"{HASH}\"]\nrate = \"120/m\"\n{}",
        pool(""),
        pool("").replace("eth", "other")
    );
    let estate = World::new(&[("/e/seawall.toml", &text)]).load("/e/seawall.toml").unwrap();
    let gateway = estate.gateway.unwrap();
    let [eth, other] = [&gateway.pools[0].access, &gateway.pools[1].access];
    assert!(eth.require.is_none());
    assert_eq!(eth.methods.allow, Some(vec![Glob::new("eth_*").unwrap()]));
    assert_eq!(eth.cors.as_ref().unwrap().origins, [Origin::Any]);
    assert_eq!(other.require, Proofs { key: true, ..Proofs::default() });
    let desk = &gateway.auth.clients[0];
    assert_eq!((desk.hashes[0][0], desk.rate, desk.concurrency), (0xe3, Some(2), None));
}
