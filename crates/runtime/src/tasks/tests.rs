use std::{
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::time::{Instant, sleep};

use super::*;
use crate::{clock::Clock, metrics::Metrics};

fn supervisor() -> Supervisor {
    Supervisor::new(Clock::simulated(Wall(0)), &Metrics::new())
}

const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(4), tries: 3 };

fn kind(on_failure: OnFailure, stage: Stage) -> Kind {
    Kind { on_failure, stage }
}

/// What a failing task of a kind comes to: its starts (in seconds), its state, its last error.
async fn check(on_failure: OnFailure, panics: bool, wanted: (&[u64], State, &str)) {
    let supervisor = supervisor();
    let began = Instant::now();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    supervisor.spawn("failing", kind(on_failure, Stage::Background), move |_| {
        seen.lock().unwrap().push(began.elapsed().as_secs());
        assert!(!panics, "by design");
        async { Err(std::io::Error::other("no luck").into()) }
    });
    sleep(Duration::from_secs(60)).await;
    let status = supervisor.status().remove(0);
    let error = status.last_error.unwrap().to_string();
    assert_eq!((starts.lock().unwrap().as_slice(), status.state, &*error), wanted);
    assert_eq!(status.restarts, wanted.0.len() as u64 - 1);
}

#[tokio::test(start_paused = true)]
async fn the_kind_says_what_a_failure_means() {
    check(OnFailure::Log, false, (&[0], State::Failed, "no luck")).await;
    check(OnFailure::Log, true, (&[0], State::Failed, "panicked: by design")).await;
    check(OnFailure::StopProcess, false, (&[0], State::Failed, "no luck")).await;
    check(OnFailure::Restart(BACKOFF), false, (&[0, 1, 3, 7], State::Failed, "no luck")).await;
    check(OnFailure::Restart(BACKOFF), true, (&[0, 1, 3, 7], State::Failed, "panicked: by design")).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_run_long_enough_starts_its_count_anew() {
    let supervisor = supervisor();
    supervisor.spawn("flaky", kind(OnFailure::Restart(BACKOFF), Stage::Background), |_| async {
        sleep(BACKOFF.most).await;
        Err(TaskError::new("again"))
    });
    sleep(Duration::from_secs(503)).await;
    let status = supervisor.status().remove(0);
    assert_eq!((status.state, status.restarts), (State::Running, 100));
}

#[tokio::test(start_paused = true)]
async fn fatal_failures_and_all_others_are_told() {
    let supervisor = supervisor();
    let mut failures = supervisor.failures();
    for (name, on_failure) in [("minor", OnFailure::Log), ("vital", OnFailure::StopProcess)] {
        supervisor
            .spawn(name, kind(on_failure, Stage::Background), |_| async { Err(TaskError::new("gone")) });
    }
    assert_eq!(&*supervisor.fatal().await.task, "vital");
    let told = [failures.recv().await.unwrap().task, failures.recv().await.unwrap().task];
    assert_eq!(told.each_ref().map(|t| &**t), ["minor", "vital"]);
}

#[tokio::test(start_paused = true)]
async fn stages_end_in_order_and_stragglers_are_cut() {
    let supervisor = supervisor();
    let began = Instant::now();
    let log = Arc::new(Mutex::new(Vec::new()));
    // Each task with its stage, and how long it takes over ending (in seconds).
    for (name, stage, takes) in [
        ("journal", Stage::Journal, 1),
        ("poll", Stage::Background, 3600),
        ("request", Stage::Requests, 5),
        ("accept", Stage::Listeners, 1),
    ] {
        let log = log.clone();
        supervisor.spawn(name, kind(OnFailure::StopProcess, stage), move |shutdown| {
            let log = log.clone();
            async move {
                shutdown.requested().await;
                sleep(Duration::from_secs(takes)).await;
                log.lock().unwrap().push((name, began.elapsed().as_secs()));
                Ok(())
            }
        });
    }
    let cut = supervisor.drain(Duration::from_secs(7)).await;
    assert_eq!(cut, ["poll".into()]);
    assert_eq!(*log.lock().unwrap(), [("accept", 1), ("request", 6), ("journal", 9)]);
    let states: Vec<_> = supervisor.status().into_iter().map(|s| (s.name, s.state)).collect();
    assert!(states.contains(&("poll".into(), State::Cut)), "{states:?}");
    assert!(states.contains(&("journal".into(), State::Done)), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_restart() {
    let supervisor = supervisor();
    let slow = Backoff { first: Duration::from_secs(3600), most: Duration::from_secs(3600), tries: 9 };
    supervisor.spawn("failing", kind(OnFailure::Restart(slow), Stage::Listeners), |_| async {
        Err(TaskError::new("no luck"))
    });
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    assert!(supervisor.drain(Duration::from_secs(60)).await.is_empty());
    assert!(began.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn the_list_of_ended_tasks_is_bounded() {
    let supervisor = supervisor();
    for n in 0..200 {
        supervisor.spawn(&format!("short-{n}"), kind(OnFailure::Log, Stage::Requests), |_| async { Ok(()) });
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(supervisor.status().len(), 64);
}

/// A worker of either sort: it panics once, is restarted, and ends when told to or when cut off.
async fn check_worker(threads: Threads, ends: bool) {
    let supervisor = supervisor();
    let runs = Arc::new(AtomicU32::new(0));
    let (seen, (up, mut is_up)) = (runs.clone(), tokio::sync::mpsc::channel(1));
    let quick = Backoff { first: Duration::from_millis(1), most: Duration::from_secs(3600), tries: 3 };
    supervisor.spawn_worker(
        threads,
        "gateway",
        3,
        kind(OnFailure::Restart(quick), Stage::Requests),
        move |shutdown| {
            let (run, up) = (seen.fetch_add(1, Ordering::SeqCst), up.clone());
            async move {
                assert!(run > 0, "by design");
                let thread = std::thread::current().name().map(str::to_owned);
                // Dropped with the worker, and then closes the channel.
                let spawned = tokio::spawn(async move {
                    up.send(thread).await.unwrap();
                    std::future::pending::<()>().await;
                });
                shutdown.requested().await;
                let ending: Pin<Box<dyn Future<Output = ()> + Send>> = if ends {
                    Box::pin(async move { spawned.abort() })
                } else {
                    Box::pin(std::future::pending())
                };
                ending.await;
                Ok(())
            }
        },
    );
    let thread = is_up.recv().await.unwrap();
    assert_eq!(thread.as_deref() == Some("gateway-3"), threads == Threads::System);
    let cut = supervisor.drain(Duration::from_millis(10)).await;
    assert_eq!(cut.is_empty(), ends);
    let status = supervisor.status().remove(0);
    assert_eq!((&*status.name, status.restarts), ("gateway-3", 1));
    assert_eq!(status.last_error.unwrap().to_string(), "panicked: by design");
    drop(supervisor);
    if threads == Threads::System || ends {
        assert!(is_up.recv().await.is_none(), "what the worker spawned ends with it");
    }
}

#[tokio::test]
async fn workers_on_threads_of_their_own() {
    check_worker(Threads::System, true).await;
    check_worker(Threads::System, false).await;
}

#[tokio::test(start_paused = true)]
async fn workers_in_a_simulation() {
    check_worker(Threads::Inline, true).await;
}
