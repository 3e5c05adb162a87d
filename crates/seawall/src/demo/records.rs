//! The journal as anyone can read it: with `seawall log`, from its directory.

use std::{path::Path, process::Command};

use serde_json::Value;

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
        doing("run seawall log verify", log(dir, &["verify"]).and_then(|mut command| command.output()))?;
    let words = [output.stdout, output.stderr].concat();
    Ok(Verified { ok: output.status.success(), words: String::from_utf8_lossy(&words).trim().to_owned() })
}

/// The newest records, oldest first, each in a short line; none while they cannot be read.
pub(super) fn newest(dir: &Path) -> Vec<String> {
    let output = log(dir, &["tail", "--json", "-n", NEWEST]).and_then(|mut command| command.output());
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let records = String::from_utf8_lossy(&text);
    records.lines().filter_map(|line| serde_json::from_str(line).ok()).map(|record| short(&record)).collect()
}

/// A record in a line that fits a panel: when, what, of whom, and how it is now.
fn short(record: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = text(&record["time"]).get(11..19).unwrap_or_default().to_owned();
    let component = text(&record["component"]).replace("upstream:chain/", "");
    let payload = &record["payload"];
    let how = ["class", "state", "status", "fault", "cause"].map(|key| text(&payload[key]));
    let mut words = vec![time, text(&record["kind"]), component];
    words.extend(how);
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn log(dir: &Path, args: &[&str]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["log", "--dir"]).arg(dir).args(args).env("NO_COLOR", "1");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_told_in_a_few_words() {
        let check = |record: Value, expected| assert_eq!(short(&record), expected);
        let at = "2026-07-01T12:08:18.642Z";
        let breaker = json!({"class": "all", "state": "ejected", "cause": "hang"});
        check(
            json!({"index": 7, "kind": "breaker", "component": "upstream:chain/a", "time": at, "payload": breaker}),
            "12:08:18 breaker a all ejected hang",
        );
        let head = json!({"fault": null, "number": 8, "agreed": 8});
        check(
            json!({"kind": "head", "component": "upstream:chain/c", "time": at, "payload": head}),
            "12:08:18 head c",
        );
        check(json!({"kind": "start", "component": null, "time": at, "payload": null}), "12:08:18 start");
    }
}
