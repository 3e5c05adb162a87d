//! What a turn costs the schedule, with ten thousand checks.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use seawall_model::Mono;
use seawall_probe::core::schedule::{Bounds, Entry, Next, Schedule, jittered};

fn turns(criterion: &mut Criterion) {
    let every = Duration::from_secs(10);
    let entries: Vec<_> = (0..10_000_u64)
        .map(|n| Entry {
            start: jittered(Mono::ZERO, every, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            every,
            host: format!("host-{}.example", n / 4).into(),
        })
        .collect();
    let mut schedule = Schedule::new(&entries, Bounds { concurrency: 2_000, per_host: 8 });
    let mut now = Mono::ZERO;
    criterion.bench_function("a turn of 10,000 checks", |bencher| {
        bencher.iter(|| {
            loop {
                match schedule.next(now) {
                    Next::Run(turn) => {
                        schedule.done(turn.check, now);
                        break black_box(turn);
                    }
                    Next::Wait(until) => now = until,
                    Next::Idle => unreachable!("every check has ended"),
                }
            }
        });
    });
}

criterion_group!(benches, turns);
criterion_main!(benches);
