//! The journal's task over a simulated disk, in paused time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use seawall_journal::{
    Answer, Entropy, Journal, JournalMetrics, JournalState, OpenOptions, Reader, Request, STALL,
    estate::JournalSection,
};
use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::{
    clock::Clock,
    disk::{Disk, Open, sim::SimDisk},
    seam::{NotRecorded, Recorder},
};
use tokio::{task::JoinHandle, time::sleep};

const DIR: &str = "/journal";
const DAY: Wall = Wall(1_754_374_027_250);

fn open(disk: &SimDisk, seed: u64, queue: usize) -> (Journal, JoinHandle<()>) {
    let options = OpenOptions {
        section: JournalSection { queue, ..JournalSection::in_dir(DIR) },
        name: "example.com/test".into(),
        remembered: None,
        clock: Clock::simulated(DAY),
        entropy: Entropy::seeded(seed),
        metrics: JournalMetrics::default(),
    };
    let (journal, writer) = Journal::open(Arc::new(disk.clone()), options).unwrap();
    (journal, tokio::spawn(writer.run()))
}

fn record(n: u64) -> Record {
    Record {
        kind: RecordKind::Head,
        component: None,
        at: Wall(n as i64),
        payload: serde_json::json!({ "n": n }),
    }
}

/// Every record in the log: its kind and payload.
fn log(disk: &SimDisk) -> Vec<(RecordKind, serde_json::Value)> {
    let mut reader = Reader::open(Arc::new(disk.clone()), DIR).unwrap();
    let size = reader.checkpoint().unwrap().checkpoint().size;
    (0..size)
        .map(|index| {
            let entry = reader.entry(index, size).unwrap();
            let payload =
                entry.payload().map_or(serde_json::Value::Null, |p| serde_json::from_slice(p).unwrap());
            (entry.envelope.kind, payload)
        })
        .collect()
}

fn numbers(disk: &SimDisk) -> Vec<u64> {
    log(disk).iter().filter_map(|(_, payload)| payload["n"].as_u64()).collect()
}

#[tokio::test(start_paused = true)]
async fn records_are_acknowledged_in_order_and_checkpointed_within_a_second() {
    let disk = SimDisk::new();
    disk.set_latency(Duration::from_millis(2));
    let (journal, task) = open(&disk, 1, 4096);
    let receipts: Vec<_> = (0..600).map(|n| journal.record(record(n))).collect();
    for (n, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(receipt.await, Ok(n as u64));
    }
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(numbers(&disk), (0..600).collect::<Vec<_>>());
    let status = journal.status();
    assert_eq!((status.size, status.checkpoint, status.state), (600, 600, JournalState::Running));
    assert_eq!(journal.record(record(600)).await, Ok(600));
    journal.close().await;
    assert_eq!(numbers(&disk).len(), 601, "closing signs what there is");
    assert_eq!(journal.record(record(601)).await, Err(NotRecorded::Stopped));
    task.await.unwrap();

    let (journal, _task) = open(&disk, 2, 4096);
    assert_eq!(journal.record(record(601)).await, Ok(601), "the next run goes on");
}

#[tokio::test(start_paused = true)]
async fn the_journals_own_kinds_and_oversized_payloads_are_refused() {
    let disk = SimDisk::new();
    let (journal, _task) = open(&disk, 1, 4096);
    let refused = |record: Record| {
        let receipt = journal.record(record);
        async move { assert!(matches!(receipt.await, Err(NotRecorded::Refused(_)))) }
    };
    refused(Record { kind: RecordKind::Erasure, ..record(1) }).await;
    refused(Record { payload: "x".repeat(70_000).into(), ..record(1) }).await;
    assert_eq!(
        journal.record(record(1)).await,
        Ok(1),
        "after the gap record that tells of the oversized one"
    );
}

/// A few records that are many bytes, without a bundle to fill: nothing to do before the next checkpoint.
/// A writer that kept itself busy meanwhile would keep the paused clock from going on.
#[tokio::test(start_paused = true)]
async fn large_payloads_wait_for_the_next_checkpoint() {
    let disk = SimDisk::new();
    let (journal, _task) = open(&disk, 1, 4096);
    for n in 0..30 {
        drop(journal.record(Record { payload: "x".repeat(50_000).into(), ..record(n) }));
    }
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(journal.status().checkpoint, 30);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_degrades_loudly_and_the_gap_is_told_of_afterwards() {
    let disk = SimDisk::new();
    let (journal, _task) = open(&disk, 1, 4096);
    journal.record(record(0)).await.unwrap();
    disk.set_full(true);
    let mut lost = 0;
    for n in 1..10 {
        let receipt = journal.record(record(n));
        if tokio::time::timeout(Duration::from_secs(7), receipt).await.is_ok_and(|r| r.is_err()) {
            lost += 1;
        }
    }
    assert!(lost > 0);
    let status = journal.status();
    assert_eq!(status.state, JournalState::Degraded);
    assert!(status.last_error.unwrap().starts_with("cannot "));
    disk.set_full(false);
    sleep(Duration::from_secs(7)).await;
    journal.record(record(99)).await.unwrap();
    journal.close().await;
    let log = log(&disk);
    let gaps: Vec<_> = log.iter().filter(|(kind, _)| *kind == RecordKind::Gap).collect();
    assert_eq!(gaps.len(), 1, "{log:?}");
    assert_eq!(gaps[0].1["lost"], lost);
    assert_eq!(journal.status().lost, lost);
    assert_eq!(numbers(&disk).len(), 11 - lost as usize);
}

#[tokio::test(start_paused = true)]
async fn a_disk_stalled_for_a_minute_holds_nobody_up() {
    let disk = SimDisk::new();
    let (journal, _task) = open(&disk, 1, 100);
    journal.record(record(0)).await.unwrap();
    disk.set_stalled(true);
    let first = journal.record(record(1));
    sleep(STALL + Duration::from_millis(10)).await;
    assert_eq!(journal.status().state, JournalState::Stalled);
    let receipts: Vec<_> = (2..252).map(|n| journal.record(record(n))).collect();
    sleep(Duration::from_secs(60)).await;
    disk.set_stalled(false);
    assert_eq!(first.await, Ok(1));
    let mut results = Vec::new();
    for receipt in receipts {
        results.push(receipt.await);
    }
    let full = results.iter().filter(|result| **result == Err(NotRecorded::Full)).count();
    assert_eq!(full, 150, "what the queue did not hold");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(journal.status().state, JournalState::Running);
    assert_eq!(journal.status().lost, 150);
    let log = log(&disk);
    let gap = log.iter().find(|(kind, _)| *kind == RecordKind::Gap).unwrap();
    assert_eq!(gap.1["lost"], 150);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_at_the_start_is_tried_again() {
    let disk = SimDisk::new();
    disk.set_full(true);
    let (journal, _task) = open(&disk, 1, 100);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(journal.status().state, JournalState::Degraded);
    let receipt = journal.record(record(0));
    disk.set_full(false);
    assert_eq!(receipt.await, Ok(0));
    assert_eq!(journal.status().state, JournalState::Running);
}

/// Fails one operation after the other, and counts what came of it.
#[tokio::test(start_paused = true)]
async fn whatever_fails_the_receipts_and_the_gap_tell_the_truth() {
    for failing in 0..120 {
        let disk = SimDisk::new();
        let (journal, _task) = open(&disk, failing, 4096);
        disk.fail_after(failing);
        let mut acknowledged = Vec::new();
        for n in 0..100 {
            let receipts: Vec<_> = (0..7).map(|i| journal.record(record(n * 7 + i))).collect();
            for (i, receipt) in (0..).zip(receipts) {
                if let Ok(index) = receipt.await {
                    acknowledged.push((index, n * 7 + i));
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        journal.close().await;
        let log = log(&disk);
        for (index, n) in &acknowledged {
            assert_eq!(log[*index as usize].1["n"], *n, "failing {failing}");
        }
        let told: u64 = log
            .iter()
            .filter(|(kind, _)| *kind == RecordKind::Gap)
            .map(|(_, p)| p["lost"].as_u64().unwrap())
            .sum();
        assert_eq!(
            numbers(&disk).len() as u64 + told,
            700,
            "failing {failing}: every record is there or told of"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_writes_the_same_bytes() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let disk = SimDisk::new();
        disk.set_latency(Duration::from_millis(1));
        let (journal, _task) = open(&disk, seed, 64);
        for n in 0..300 {
            drop(journal.record(record(n)));
            sleep(Duration::from_millis(n % 9)).await;
        }
        journal.close().await;
        runs.push(disk.contents());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn the_running_writer_answers_requests() {
    let disk = SimDisk::new();
    let (journal, _task) = open(&disk, 1, 64);
    for n in 0..5 {
        journal.record(record(n)).await.unwrap();
    }
    let request = Request::Erase { index: 3, reason: "asked to".into() };
    let path = Path::new(DIR).join("requests/0000000000000001.request");
    disk.open(&path, Open::Create).unwrap().append(&serde_json::to_vec(&request).unwrap()).unwrap();
    sleep(Duration::from_millis(2500)).await;
    let answer = disk.read(&Path::new(DIR).join("requests/0000000000000001.answer")).unwrap();
    assert_eq!(serde_json::from_slice::<Answer>(&answer).unwrap(), Answer::Erased(5));
    assert_eq!(log(&disk)[3].1, serde_json::Value::Null);
    assert_eq!(numbers(&disk), [0, 1, 2, 4]);
    assert_eq!(journal.record(record(6)).await, Ok(6));
}

#[tokio::test(start_paused = true)]
async fn a_long_run_keeps_the_write_ahead_log_and_the_partial_tiles_few() {
    let disk = SimDisk::new();
    let (journal, _task) = open(&disk, 1, 4096);
    for n in 0..20_000 {
        drop(journal.record(record(n)));
        if n % 7 == 0 {
            sleep(Duration::from_millis(300)).await;
        }
    }
    sleep(Duration::from_secs(5)).await;
    let names: Vec<_> = disk.contents().into_keys().map(|path| path.display().to_string()).collect();
    let partial = names.iter().filter(|name| name.contains(".p/")).count();
    let segments = names.iter().filter(|name| name.contains("/wal/")).count();
    assert!(partial < 700, "{partial} partial tiles");
    assert!(segments <= 3, "{segments} segments");
    assert_eq!(numbers(&disk).len(), 20_000);
}
