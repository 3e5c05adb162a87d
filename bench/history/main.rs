//! A year of a thousand components: how long a page of ninety days and the report of a month take, what a component-day
//! takes of the disk, and what storing a result takes of a core.
//!
//! ```sh
//! cargo run --release -p seawall-history --example history_bench [directory]
//! ```
//!
//! The directory (`target/history-bench` by default) keeps what is generated for the next run; on a disk whose flushes
//! are slow, generating takes its time (`/dev/shm` is fast). Queries are timed with everything in the system's cache.

#![expect(clippy::print_stdout, reason = "it tells what it measured")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use seawall_history::{Batch, Change, Check, Day, History, Outcome, Period, Policy, Reader};
use seawall_model::{Cause, ComponentId, Status, Wall};

const COMPONENTS: usize = 1_000;
const DAYS: i64 = 365;
const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;
/// 2025-08-01, so that the year ends with a July.
const BEGIN: i64 = 1_754_006_400_000;
/// Results a component makes a day: all within a minute, which what they add up to does not tell.
const A_DAY: usize = 96;
/// Days at the end of which every hour has results, so that a report in another time zone finds hours at its ends.
const BY_THE_HOUR: i64 = 34;
/// What is to be reached, at the 95th percentile.
const BARS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));
/// How often each question is asked.
const ASKED: usize = 100;

type Outcomes<T> = Result<T, Box<dyn Error>>;

fn components() -> Vec<ComponentId> {
    (0..COMPONENTS)
        .map(|n| format!("upstream:pool-{}/node-{n}", n / 10).parse().expect("a valid id"))
        .collect()
}

fn keep() -> Policy {
    Policy { raw_days: 3, minute_days: 14, hour_days: 731, ..Policy::default() }
}

/// A latency as services have it: most alike, some far slower.
fn latency(dice: &mut fastrand::Rng, component: usize) -> u64 {
    let normal: f64 = (0..6).map(|_| dice.f64()).sum::<f64>() - 3.0;
    ((5_000 + component * 50) as f64 * (normal * 0.6).exp()) as u64
}

fn check(component: &ComponentId, at: i64, seq: u64, dice: &mut fastrand::Rng, nth: usize) -> Check {
    let failed = dice.u32(0..1000) == 0;
    Check {
        source: Arc::from("probe/eu-west-1"),
        seq,
        component: component.clone(),
        at: Wall(at),
        vantage: Arc::from("eu-west-1"),
        outcome: if failed { Outcome::Failed } else { Outcome::Ok },
        latency_us: Some(latency(dice, nth)),
        cause: failed.then_some(Cause::Timeout),
    }
}

/// Changes of a day: one component in five has an outage of minutes to an hour.
fn outages(ids: &[ComponentId], day: i64, dice: &mut fastrand::Rng) -> Vec<Change> {
    let change = |component: &ComponentId, status, since, cause| Change {
        component: component.clone(),
        status: Some(status),
        since: Wall(since),
        cause,
    };
    let mut changes = Vec::new();
    for id in ids {
        if dice.u32(0..5) == 0 {
            let at = BEGIN + day * DAY + dice.i64(0..22 * HOUR);
            changes.push(change(id, Status::Degraded, at, Some(Cause::Slow)));
            changes.push(change(id, Status::Down, at + dice.i64(1_000..HOUR / 2), Some(Cause::Hang)));
            changes.push(change(id, Status::Up, at + dice.i64(HOUR / 2..HOUR), None));
        }
    }
    changes
}

fn generate(path: &Path) -> Outcomes<()> {
    let ids = components();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut history = History::open(path, keep())?;
    let up = |component: &ComponentId| Change {
        component: component.clone(),
        status: Some(Status::Up),
        since: Wall(BEGIN),
        cause: None,
    };
    history.write(Wall(BEGIN), &Batch { changes: ids.iter().map(up).collect(), ..Batch::default() })?;
    let mut seq = 0;
    for day in 0..DAYS {
        let start = BEGIN + day * DAY;
        for minute in (0..24 * 60).step_by(2) {
            let now = start + minute * 60_000 + 59_000;
            let mut batch = Batch::default();
            let each = match (minute % 60 == 30, day >= DAYS - BY_THE_HOUR) {
                (true, true) => A_DAY / 24,
                (true, false) if minute == 30 => A_DAY,
                _ => 0,
            };
            for (nth, id) in ids.iter().enumerate() {
                for _ in 0..each {
                    seq += 1;
                    batch.checks.push(check(id, now - dice.i64(0..50_000), seq, &mut dice, nth));
                }
                if batch.len() + each > 60_000 {
                    history.write(Wall(now), &std::mem::take(&mut batch))?;
                }
            }
            if minute == 1_438 {
                batch.changes = outages(&ids, day, &mut dice);
            }
            history.write(Wall(now), &batch)?;
            if minute % 60 == 34 {
                while history.tend(Wall(now))?.more {}
            }
        }
        if day % 30 == 0 {
            println!("generated {day} days");
        }
    }
    Ok(())
}

/// Nanoseconds that this thread has been running, which other processes do not lengthen; none where the system does not
/// tell.
fn cpu() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn time(what: &str, bar: Duration, mut ask: impl FnMut() -> Outcomes<()>) -> Outcomes<()> {
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..ASKED {
        let (begun, used) = (Instant::now(), cpu());
        ask()?;
        walls.push(begun.elapsed());
        cpus.push(Duration::from_nanos(cpu() - used));
    }
    walls.sort_unstable();
    cpus.sort_unstable();
    let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    println!(
        "{what:<34} p50 {:?}  p95 {:?} (bar {bar:?}: {}); of CPU p50 {:?}  p95 {:?}",
        at(&walls, 50),
        at(&walls, 95),
        if at(&walls, 95) <= bar { "reached" } else { "missed" },
        at(&cpus, 50),
        at(&cpus, 95),
    );
    Ok(())
}

fn sizes(path: &Path) -> Outcomes<()> {
    let conn = rusqlite::Connection::open(path)?;
    let days = COMPONENTS as f64 * DAYS as f64;
    let mut query = conn.prepare(
        "SELECT name, sum(pgsize), (SELECT count(*) FROM day) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 8",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (name, bytes): (String, f64) = (row.get(0)?, row.get::<_, i64>(1)? as f64);
        println!("{name:<34} {:.1} MB, {:.1} bytes a component-day", bytes / 1e6, bytes / days);
    }
    Ok(())
}

/// Ten thousand targets every ten seconds, a batch a second, everything that belongs to it included.
fn throughput(path: &Path) -> Outcomes<()> {
    const TARGETS: usize = 10_000;
    const SECONDS: i64 = 600;
    let ids: Vec<ComponentId> = (0..TARGETS)
        .map(|n| format!("upstream:pool-{}/node-{n}", n / 10).parse().expect("a valid id"))
        .collect();
    let mut dice = fastrand::Rng::with_seed(11);
    let mut history = History::open(path, keep())?;
    let (mut spent, mut slowest, mut seq) = (0, Duration::ZERO, 0);
    let begun = Instant::now();
    for second in 0..SECONDS {
        let now = BEGIN + second * 1_000;
        let due = ids.iter().enumerate().skip(usize::try_from(second % 10)?).step_by(10);
        let mut batch = Batch::default();
        for (nth, id) in due {
            seq += 1;
            batch.checks.push(check(id, now - dice.i64(0..1_000), seq, &mut dice, nth % COMPONENTS));
        }
        let (used, started) = (cpu(), Instant::now());
        history.write(Wall(now), &batch)?;
        history.tend(Wall(now))?;
        spent += cpu() - used;
        slowest = slowest.max(started.elapsed());
    }
    let micros = spent as f64 / 1e3 / seq as f64;
    println!(
        "storing {seq} results: {micros:.2} µs of CPU each (bar 20 µs), {:.0} results/s of a core; all in {:?}, the \
         longest second's work {slowest:?}",
        1e6 / micros,
        begun.elapsed(),
    );
    let bytes = history.used_bytes()? as f64;
    println!(
        "{:.1} bytes a result, or {:.2} GB a day at this rate",
        bytes / seq as f64,
        bytes / SECONDS as f64 * 86_400.0 / 1e9
    );
    Ok(())
}

fn main() -> Outcomes<()> {
    let dir = std::env::args().nth(1).map_or_else(|| PathBuf::from("target/history-bench"), PathBuf::from);
    fs::create_dir_all(&dir)?;
    let (year, stream) = (dir.join("year.sqlite"), dir.join("stream.sqlite"));
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.join(format!("stream.sqlite{suffix}")));
    }
    throughput(&stream)?;
    if !year.exists() {
        let part = dir.join("part.sqlite");
        let _ = fs::remove_file(&part);
        let begun = Instant::now();
        generate(&part)?;
        fs::rename(&part, &year)?;
        println!("generated in {:?}", begun.elapsed());
    }
    let reader = Reader::open(&year)?;
    let ids = reader.components()?;
    assert_eq!(ids.len(), COMPONENTS);
    let last = Day::of(Wall(BEGIN + DAYS * DAY - 1));
    time("page: 1,000 components, 90 days", BARS.0, || {
        let page = reader.page(&ids, Day(last.0 - 89), 90)?;
        assert!(page.rows.iter().all(|row| row.days.iter().all(|day| day.worst().is_some())));
        Ok(())
    })?;
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3")?;
    for (name, zone) in [("UTC", TimeZone::UTC), ("Berlin", berlin)] {
        let month = Period::month(2026, 7, &zone).ok_or("no such month")?;
        time(&format!("report: 1,000 components, July, {name}"), BARS.1, || {
            let report = reader.report(&ids, &month)?;
            assert!(report.iter().all(|row| row.tally.latency.quantile(990).is_some()));
            Ok(())
        })?;
    }
    sizes(&year)
}
