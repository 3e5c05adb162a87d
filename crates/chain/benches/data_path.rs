//! What one read costs: parse the request, look its method up, pin it; parse the answer.

use std::{collections::BTreeMap, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use seawall_chain::{
    Block, Hash,
    envelope::{Request, parse_answer, parse_request},
    fault,
    method::Method,
    pin::{Heads, Mode, pin},
};

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x00000000000000000000000000000000000000aa","latest"]}"#;

fn benches(c: &mut Criterion) {
    let latest = Block { number: 0x1234567, hash: Hash([0xab; 32]) };
    let heads = Heads { latest, safe: None, finalized: None };
    let history = BTreeMap::new();
    let mut out = Vec::with_capacity(256);
    c.bench_function("request: parse", |b| b.iter(|| parse_request(black_box(CALL), 100).is_ok()));
    c.bench_function("request: parse, look up, pin by hash", |b| {
        b.iter(|| {
            let Ok(Request::Single(call)) = parse_request(black_box(CALL), 100) else { unreachable!() };
            out.clear();
            pin(call.params, &Method::lookup(&call.method), &heads, &history, Mode::Hash, &mut out).rewritten
        });
    });
    let answer = br#"{"jsonrpc":"2.0","id":1,"result":"0x0234c8a3397aab58"}"#;
    c.bench_function("answer: parse", |b| b.iter(|| parse_answer(black_box(answer)).is_ok()));
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{}"}}"#, "ab".repeat(1 << 20));
    c.bench_function("answer: parse 2 MiB", |b| b.iter(|| parse_answer(black_box(large.as_bytes())).is_ok()));
    c.bench_function("error: classify, nothing matches", |b| {
        b.iter(|| fault::classify(black_box(-32000), black_box("a message that nobody has ever sent before")))
    });
}

criterion_group!(data_path, benches);
criterion_main!(data_path);
