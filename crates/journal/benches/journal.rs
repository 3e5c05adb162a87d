//! The processor's side of the journal: encoding a record, appending without a disk, verifying.

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use seawall_journal::{Entropy, Frame, Store, StoreOptions, VerifyOptions, encode, verify};
use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::disk::sim::SimDisk;

/// Records in the log that is verified.
const RECORDS: u64 = 100_000;

fn record() -> Record {
    let payload = serde_json::json!({ "pad": "x".repeat(502) });
    Record { kind: RecordKind::Breaker, component: None, at: Wall(1_754_374_027_250), payload }
}

fn store(disk: &SimDisk) -> Store {
    let options = StoreOptions {
        dir: "/journal".into(),
        name: "example.com/bench".into(),
        segment_bytes: 16 << 20,
        witnesses: Vec::new(),
        remembered: None,
    };
    Store::open(Arc::new(disk.clone()), options, &mut Entropy::seeded(1)).expect("a fresh disk").0
}

fn frames(count: u64) -> Vec<Frame> {
    let (record, mut entropy) = (record(), Entropy::seeded(1));
    (0..count).map(|_| encode(&record, &mut entropy).expect("a small payload")).collect()
}

fn journal(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal");
    group.throughput(Throughput::Elements(1));
    let (record, mut entropy) = (record(), Entropy::system());
    group.bench_function("encode 512 B", |b| b.iter(|| encode(black_box(&record), &mut entropy)));

    let batch = frames(256);
    group.throughput(Throughput::Elements(256));
    group.bench_function("append and integrate 256", |b| {
        let mut store = store(&SimDisk::new());
        b.iter_batched(
            || batch.clone(),
            |batch| {
                store.append(batch).expect("the disk takes it");
                store.integrate().expect("the disk takes it");
            },
            BatchSize::SmallInput,
        );
    });

    let disk = SimDisk::new();
    let mut store = store(&disk);
    store.append(frames(RECORDS)).expect("the disk takes it");
    store.flush().expect("the disk takes it");
    drop(store);
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    group.bench_function("verify on one thread", |b| {
        let options = VerifyOptions { key: None, threads: 1, progress: &|_, _| {} };
        b.iter(|| verify(Arc::new(disk.clone()), "/journal", &options).expect("it can be read"));
    });
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
