//! A program of the operator's own, and how it ends.

use std::sync::Arc;

use super::{Notes, notes::Phase};
use crate::{
    core::{answer::shown, check::Check, fault::Fault},
    prober::Prober,
};

/// As much of what it writes last as is kept, in bytes.
const MAX_OUTPUT: usize = 16 * 1024;

/// Runs it, and judges its exit code and what it wrote.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    command: &[Arc<str>],
    notes: &mut Notes,
) -> Result<(), Fault> {
    let unrun = |why: String| Fault::ExecUnrun { why };
    let (program, arguments) =
        command.split_first().ok_or_else(|| unrun("no program is named".to_owned()))?;
    notes.begin(Phase::Program);
    let ended = prober.programs.run(program, arguments, MAX_OUTPUT).await;
    let ended = ended.map_err(|e| unrun(format!("{program}: {e}")))?;
    notes.end();
    let last = last_line(&ended.output);
    let said = if last.is_empty() { String::new() } else { format!(": {last}") };
    notes.report.banner = (!last.is_empty()).then_some(last);
    match (ended.code, ended.signal) {
        (Some(0), _) => check.expect.judge_text(&ended.output),
        (Some(code), _) => Err(Fault::ExecFailed { code, said }),
        (None, signal) => Err(Fault::ExecKilled { signal: signal.unwrap_or(0), said }),
    }
}

/// The last line that says anything.
fn last_line(output: &[u8]) -> String {
    let lines = output.split(|b| *b == b'\n').rev();
    lines.map(|line| shown(line.trim_ascii())).find(|line| !line.is_empty()).unwrap_or_default()
}
