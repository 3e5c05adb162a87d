//! The schema says what the decoder does.

use seawall_model::estate::{Decode, FileId, Node, Problems, parse};
use serde_json::{Value, json};

use super::super::{root::RawRoot, schema};
use crate::init::STARTER;

/// A TOML document as JSON, for a validator that knows nothing of TOML.
fn json_of(value: &toml::de::DeValue<'_>) -> Value {
    use toml::de::DeValue as V;
    match value {
        V::String(text) => json!(text),
        V::Integer(n) => json!(i64::from_str_radix(n.as_str(), n.radix()).unwrap()),
        V::Float(n) => json!(n.as_str().parse::<f64>().unwrap()),
        V::Boolean(b) => json!(b),
        V::Datetime(d) => json!(d.to_string()),
        V::Array(a) => a.iter().map(|v| json_of(v.get_ref())).collect(),
        V::Table(t) => t.iter().map(|(k, v)| (k.get_ref().to_string(), json_of(v.get_ref()))).collect(),
    }
}

/// The schema takes `text` if, and only if, the decoder does.
fn agree(text: &str, good: bool) {
    let mut problems = Problems::default();
    let tree = parse(FileId(0), text, &mut problems);
    RawRoot::decode(Node::new(FileId(0), &tree), &mut problems);
    let faults: Vec<_> = problems.sorted().iter().map(|p| p.message.clone()).collect();
    assert_eq!(faults.is_empty(), good, "the decoder on {text}: {faults:?}");
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let faults: Vec<_> = validator.iter_errors(&json_of(tree.get_ref())).map(|e| e.to_string()).collect();
    assert_eq!(faults.is_empty(), good, "the schema on {text}: {faults:?}");
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn schema_and_decoder_agree() {
    agree(STARTER, true);
    for good in [
        "",
        "estate = {}",
        "listen.gateway = ['127.0.0.1:1', '[::1]:2']",
        "services.s.needs = { k = 1, of = ['pool:a', { any = ['pool:b'] }] }",
        "services.s = { needs = { all = [] }, value = '$1.5M/h', objective = '99.95%' }",
        "pools.p = { kind = 'http', retry_methods = ['GET'] }",
        "limits = { idle = '1h30m', request_body = '1.5MiB' }",
        "journal = { dir = 'x', queue = 100 }",
        "probes.p = { target = 'https://a.example/', expect = { status = 200, json = { pointer = '/a', equals = true } } }",
        "probes.p = { target = 'env:NODE', of = 'service:s', fresh = false, expect = { status = '2xx, 301' } }",
        "probes.p = { push = true, every = '400d' }",
        "chains.c = { block_time = '2s', random = true, sequencers.a.op_node = 'http://a:1', followers.b = { url = 'env:NODE', provider = 'p' } }",
        "watch = { exec = true, anchors = ['tcp://1.1.1.1:443'], vantage = 'eu-1', concurrency = 10 }",
    ] {
        agree(good, true);
    }
    for bad in [
        "unknown = 1",
        "journal = {}",
        "estate.name = 'Not A Name'",
        "estate.name = 1",
        "log.level = 'loud'",
        "limits.idle = '60 seconds'",
        "limits.idle = 60",
        "limits.batch = -1",
        "limits.batch = 4294967296",
        "limits.batch = 1.5",
        "listen.gateway = 'localhost:1'",
        "listen.gateway = [1]",
        "pools = { BAD = { kind = 'evm' } }",
        "pools.p = {}",
        "pools.p = { kind = 'evm', upstreams = [{ name = 'a' }] }",
        "pools.p = { kind = 'evm', budget_share = '20' }",
        "pools.p = { kind = 'evm', budget_floor = '10' }",
        "services.s.needs = { all = [], any = [] }",
        "services.s.needs = { k = 1 }",
        "services.s.needs = {}",
        "services.s.needs = 1",
        "services.s = { needs = { all = [] }, value = '120k' }",
        "providers = []",
        "probes.p = { push = 1 }",
        "probes.p = { target = 1 }",
        "probes.p = { target = 'https://a', every = '1 minute' }",
        "probes.p = { target = 'https://a', expect = { status = 'ok' } }",
        "probes.p = { target = 'https://a', expect = { status = 99 } }",
        "probes.p = { target = 'https://a', expect = { json = { pointer = '/a' } } }",
        "probes.p = { target = 'https://a', expect = { json = { pointer = '/a', equals = [1] } } }",
        "chains.c = {}",
        "chains.c = { block_time = 2 }",
        "chains.c = { block_time = '2s', followers.b = { provider = 'p' } }",
        "chains.c = { block_time = '2s', sequencers.a.url = 'http://a:1' }",
        "watch.anchors = 'tcp://1.1.1.1:443'",
        "include = 'x'",
    ] {
        agree(bad, false);
    }
}

#[test]
fn the_schema_reads_well() {
    let schema = schema();
    insta::assert_snapshot!("schema", format!("{schema:#}"));
}
