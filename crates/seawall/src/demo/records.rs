//! The journal as anyone can read it: with `seawall log`, from its directory.

use std::{path::Path, process::Command};

use super::{DemoError, doing};

/// Records shown at most.
const NEWEST: &str = "20";

/// What `seawall log verify` found.
pub(super) struct Verified {
    /// True if every tile, hash and signature is right.
    pub(super) ok: bool,
    /// What it said.
    pub(super) words: String,
}

/// Verifies the whole journal in `dir`.
pub(super) fn verify(dir: &Path) -> Result<Verified, DemoError> {
    let output =
        doing("run seawall log verify", log("verify", &[], dir).and_then(|mut command| command.output()))?;
    let words = [output.stdout, output.stderr].concat();
    Ok(Verified { ok: output.status.success(), words: String::from_utf8_lossy(&words).trim().to_owned() })
}

/// The newest records, oldest first, each in one line; none while they cannot be read.
pub(super) fn newest(dir: &Path) -> Vec<String> {
    match log("tail", &["-n", NEWEST], dir).and_then(|mut command| command.output()) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}

fn log(verb: &str, args: &[&str], dir: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["log", verb]).args(args).arg(dir).env("NO_COLOR", "1");
    Ok(command)
}
