//! The whole thing on a real chain: the demo's tour breaks each provider in each way, and the demo itself
//! holds every answer against the chain and verifies the journal.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The chain node that `make setup` fetches, or the one on `PATH`.
fn anvil() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let pinned = root.join("target/lab/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    if pinned.exists() { pinned } else { "anvil".into() }
}

#[test]
fn the_tour_loses_nothing_and_the_journal_tells_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_seawall"));
    demo.args(["demo", "--plain", "--for", "30s", "--anvil"]).arg(anvil()).arg("--dir").arg(dir.path());
    let output = demo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}(the chain node comes with `make setup`)");
    assert!(said.contains("failed 0  wrong 0  p50"), "{said}");

    let mut log = Command::new(env!("CARGO_BIN_EXE_seawall"));
    let output = log
        .args(["log", "tail", "--json", "-n", "1000", "--dir"])
        .arg(dir.path().join("journal"))
        .output()
        .unwrap();
    let records = String::from_utf8_lossy(&output.stdout);
    // What is frozen is found out by a call that hangs, or by a poll that gets no answer in time.
    let causes: [&[&str]; 6] =
        [&["hang", "timeout"], &["connect"], &["forked"], &["lagging"], &["http_status"], &["slow"]];
    for cause in causes {
        let told = cause.iter().any(|name| records.contains(&format!("\":\"{name}\"")));
        assert!(told, "no record tells of {cause:?}:\n{records}\n{said}");
    }
}
