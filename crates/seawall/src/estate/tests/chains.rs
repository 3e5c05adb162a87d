//! Chains in an estate.

use std::time::Duration;

use seawall_model::estate::Need;
use seawall_probe::{core::chain::Part, estate::Watched};

use super::*;

const BASE: &str = r#"
    [chains.base]
    block_time = "2s"
    safe_late = "10m"
    [chains.base.sequencers.b]
    op_node = "http://10.0.0.2:9545"
    [chains.base.sequencers.a]
    execution = "https://10.0.0.1:8545"
    conductor = "https://10.0.0.1:8547/rpc"
    server_id = "seq-a"
    headers = { authorization = "env:KEY" }
    [chains.base.followers.alder]
    url = "https://alder.example/"
    provider = "a/r1"
    [services.deposits]
    needs = { all = ["pool:base", "sequencer:base/a"] }
"#;

#[test]
fn chains_are_read() {
    let text = format!("[providers.a]\nregions = [\"r1\"]\n{BASE}");
    let estate = World::new(&[("/e/seawall.toml", &text)]).load("/e/seawall.toml").unwrap();
    let section = estate.probes.unwrap();
    let [base] = &section.chains[..] else { panic!("{section:?}") };
    assert_eq!((base.every, base.late, base.safe_late), (secs(2), None, Some(secs(600))));
    let parts: Vec<_> = section
        .parts()
        .map(|(_, member, part, check)| format!("{} {} {}", member.component, part.as_str(), check.target))
        .collect();
    assert_eq!(
        parts,
        [
            "sequencer:base/a execution heads+https://10.0.0.1:8545/",
            "sequencer:base/a conductor conductor+https://10.0.0.1:8547/rpc",
            "sequencer:base/b op-node op-node+http://10.0.0.2:9545/",
            "upstream:base/alder execution heads+https://alder.example/",
        ]
    );
    let check = &base.members[0].checks[0].1;
    assert!(check.headers.contains_key("authorization") && !check.fresh);
    assert_eq!(check.timeout, secs(2));
    assert_eq!(section.plan().checks.len(), 4);
    assert!(matches!(section.watched(3), Some(Watched::Chain(_, _, Part::Execution))));
    assert_eq!(section.watched(4), None);
    let need = |id: &str| estate.graph.needs(&id.parse().unwrap()).unwrap().clone();
    let follower = "upstream:base/alder".parse().unwrap();
    assert_eq!(need("pool:base"), Need::Any(vec![Need::Component(follower)]));
    assert_eq!(need("upstream:base/alder"), Need::Component("region:a/r1".parse().unwrap()));
    assert!(!format!("{section:?}").contains("0123456789abcdef"));
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn chains_that_cannot_be_watched_are_refused() {
    let with = |from: &str, to: &str| {
        assert!(BASE.contains(from), "{from}");
        BASE.replace(from, to)
    };
    check(&with("block_time = \"2s\"", ""), &["SW0104"]);
    check(&with("block_time = \"2s\"", "block_time = \"1ms\""), &["SW0106"]);
    check(&with("safe_late = \"10m\"", "late = \"1s\""), &["SW0113"]);
    check(&with("safe_late = \"10m\"", "timeout = \"3s\""), &["SW0113"]);
    check(&with("safe_late = \"10m\"", "every = \"1ms\""), &["SW0106"]);
    check(&with("op_node = \"http://10.0.0.2:9545\"", ""), &["SW0112"]);
    check(&with("op_node = \"http://10.0.0.2:9545\"", "op_node = \"tcp://10.0.0.2:9545\""), &["SW0114"]);
    check(&with("op_node = \"http://10.0.0.2:9545\"", "op_node = \"10.0.0.2\""), &["SW0114"]);
    check(&with("server_id = \"seq-a\"", "server_id = \"\""), &["SW0106"]);
    check(&with("provider = \"a/r1\"", "provider = \"birch\""), &["SW0108"]);
    check(&with("https://10.0.0.1:8547/rpc", "http://10.0.0.1:8547/rpc"), &["SW0153"]);
    check(&with("headers = { authorization", "headers = { connection"), &["SW0115"]);
    let served = "[chains.eth]\nblock_time = \"12s\"\nfollowers.x = { url = \"http://127.0.0.1:1\", provider = \"a\" }";
    check(&format!("{}\n{served}", pool("")), &["SW0113"]);
    check("[chains.base]\nblock_time = \"2s\"", &["SW0112"]);
    let venue = pool("").replace("kind = \"evm\"\nchain_id = 1\nblock_time = \"12s\"", "kind = \"http\"");
    check(&format!("{venue}\n[chains.eth]\nblock_time = \"2s\""), &["SW0113"]);
}

#[test]
fn a_chain_that_a_pool_serves_is_followed_by_its_upstreams() {
    let text = format!(
        "providers = {{ a = {{}}, b = {{}}, c = {{}} }}\n{}[chains.eth]\nblock_time = \"12s\"",
        pool("")
    );
    let estate = World::new(&[("/e/seawall.toml", &text)]).load("/e/seawall.toml").unwrap();
    let section = estate.probes.unwrap();
    assert!(section.chains[0].members.is_empty());
    assert_eq!(section.chains[0].pool().to_string(), "pool:eth");
}
