//! Heartbeats that are pushed, and programs that are run.

use std::{sync::Arc, time::Duration};

use seawall_model::Wall;
use seawall_probe::{
    Beats, Check, Kept, Outcome, Prober, Report, Target,
    core::beat::{Beat, Expected, State},
};
use seawall_runtime::{clock::Clock, net::sim::SimNet, programs::SystemPrograms, random::Seed};

use crate::{SOON, kind};

/// When a simulated day begins.
const DAWN: Wall = Wall(1_754_374_000_000);

#[tokio::test(start_paused = true)]
async fn a_job_is_well_while_its_heartbeats_come() {
    let clock = Clock::simulated(DAWN);
    let beats = Arc::new(Beats::new(clock.wall()));
    let net = SimNet::new(Seed::new(7)).host("here");
    let prober = Prober::new(net, clock).hearing(beats.clone());
    let name: seawall_model::Name = "backup".parse().unwrap();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let expected = Expected { name: name.clone(), every: minutes(10), grace: minutes(2) };
    let check = Check::new(Target::Push(expected));
    let look = async || prober.perform(&check, &mut Kept::default()).await;
    let beat = |state, message: &str| beats.take(&name, Beat::new(state, clock.wall(), message.as_bytes()));

    let report = look().await;
    assert_eq!((kind(&report), report.outcome()), (Some("beat_awaited"), Outcome::Unknown));
    tokio::time::advance(minutes(5)).await;
    beat(State::Ok, "12 GB");
    let report = look().await;
    assert_eq!((&report.fault, report.outcome()), (&None, Outcome::Up));
    assert_eq!(report.banner.as_deref(), Some("ok at 2025-08-05T06:11:40.000Z: 12 GB"));
    tokio::time::advance(minutes(12)).await;
    assert_eq!(look().await.outcome(), Outcome::Up);
    tokio::time::advance(Duration::from_secs(1)).await;
    let report = look().await;
    assert_eq!((kind(&report), report.outcome()), (Some("beat_late"), Outcome::Down));
    assert_eq!(report.fault.unwrap().to_string(), "no heartbeat for 12m1s: 12 GB");
    beat(State::Start, "");
    assert_eq!(look().await.outcome(), Outcome::Up);
    beat(State::Fail, "no space left");
    let report = look().await;
    assert_eq!(kind(&report), Some("beat_failed"));
    assert!(report.fault.unwrap().to_string().ends_with("that it failed: no space left"));
}

/// What a shell script comes to, of which `contains` must be in what it writes.
async fn run(script: &str, contains: Option<&str>, timeout: Duration) -> Report {
    let command = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    let mut check = Check::new(Target::Exec(command));
    check.timeout = timeout;
    check.expect.contains = contains.map(str::to_owned);
    let prober = crate::prober(None).running(Arc::new(SystemPrograms::default()));
    prober.perform(&check, &mut Kept::default()).await
}

#[tokio::test]
async fn a_program_s_end_is_judged() {
    let good = run("echo first; echo; echo 'OK - 3 replicas'; echo", Some("first"), crate::PATIENCE).await;
    assert_eq!((&good.fault, good.banner.as_deref()), (&None, Some("OK - 3 replicas")));
    let lacking = run("echo OK", Some("replicas"), crate::PATIENCE).await;
    assert_eq!(kind(&lacking), Some("body_text"));
    let bad = run("echo 'CRITICAL - lag' >&2; exit 2", None, crate::PATIENCE).await;
    assert_eq!(bad.fault.unwrap().to_string(), "the program ended with exit code 2: CRITICAL - lag");
    let killed = run("kill -SEGV $$", None, crate::PATIENCE).await;
    assert_eq!(killed.fault.unwrap().to_string(), "signal 11 ended the program");
    let slow = run("sleep 1000", None, SOON).await;
    assert_eq!((kind(&slow), slow.outcome()), (Some("exec_timeout"), Outcome::Down));
}

#[tokio::test]
async fn what_cannot_be_run_says_nothing_of_anybody() {
    let check = Check::new(Target::Exec(vec!["/nowhere".into()]));
    let report = crate::perform(&check).await;
    assert_eq!((kind(&report), report.outcome()), (Some("exec_unrun"), Outcome::Unknown));
    let prober = crate::prober(None).running(Arc::new(SystemPrograms::default()));
    let report = prober.perform(&check, &mut Kept::default()).await;
    assert_eq!((kind(&report), report.outcome()), (Some("exec_unrun"), Outcome::Unknown));
    assert!(report.fault.unwrap().to_string().contains("/nowhere: "));
}
