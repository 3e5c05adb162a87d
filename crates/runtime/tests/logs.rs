//! Logging belongs to a whole process, so each test runs itself again as one, with what it is to do in
//! the environment.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

use std::{
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use seawall_runtime::{
    logs::{Format, Logs, LogsError},
    metrics::Metrics,
};
use tracing::{debug, info};

const PART: &str = "SEAWALL_TEST_PART";

/// Not a test of its own: what the processes made by the others do.
#[test]
fn part() {
    let Ok(part) = std::env::var(PART) else { return };
    let metrics = Metrics::new();
    let format = if part == "human" { Format::Human { colour: false } } else { Format::Json };
    let logs = Logs::init(format, "info", &metrics).unwrap();
    if part == "flood" {
        for n in 0..100_000 {
            info!(n, "a line that nobody reads");
        }
        assert!(logs.dropped() > 0);
        let counted = format!("seawall_logs_dropped_lines_total {}", logs.dropped());
        assert!(metrics.encode().contains(&counted));
        return;
    }
    assert!(matches!(Logs::init(format, "info", &metrics), Err(LogsError::Twice)));
    assert!(
        matches!(logs.set_level("loud=very"), Err(LogsError::Level { level, .. }) if level == "loud=very")
    );
    debug!("not said");
    logs.set_level("debug").unwrap();
    debug!(upstream = "eth/a", "said");
    let _ = thread::spawn(|| panic!("by design")).join();
}

fn start(part: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "part", "--nocapture"])
        .env(PART, part)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines that a part writes, without their times.
fn lines(part: &str) -> Vec<String> {
    let mut child = start(part);
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn people_read_one_line_an_event() {
    let lines = lines("human");
    let said: Vec<_> = lines.iter().map(|l| l.split_once("Z").unwrap().1.trim_start()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], "DEBUG logs: said upstream=\"eth/a\"");
    assert!(said[1].starts_with("ERROR seawall_runtime::logs: panic "), "{said:?}");
    assert!(said[1].contains("by design"), "{said:?}");
}

#[test]
fn machines_read_one_object_an_event() {
    let lines = lines("json");
    let said: Vec<serde_json::Value> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let field = |n: usize, name: &str| said[n][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(["level", "message", "upstream"].map(|f| field(0, f)), ["DEBUG", "said", "eth/a"]);
    assert_eq!(field(1, "level"), "ERROR");
    assert!(lines[1].contains("by design"), "{said:?}");
}

#[test]
fn nobody_waits_for_a_standard_error_that_is_not_read() {
    let mut child = start("flood");
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return;
        }
        if Instant::now() > patience {
            child.kill().unwrap();
            panic!("it still waits");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
