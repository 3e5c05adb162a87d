//! Verifying the whole journal.

use std::{io::Write, time::Duration, time::Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seawall_journal::{Report, VerifyOptions};

use super::{LogError, Scene, Target, args::VerifyArgs, exit, parse_key};

/// Progress is shown of what takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `work` with options that show progress on a terminal, once it has taken a while.
pub(super) fn with_progress<R>(
    scene: &Scene<'_>,
    key: Option<seawall_journal::VerifierKey>,
    work: impl FnOnce(&VerifyOptions<'_>) -> R,
) -> R {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {human_pos} of {human_len} records")
    {
        bar.set_style(style);
    }
    let (begun, terminal) = (Instant::now(), scene.terminal);
    let progress = |done: u64, total: u64| {
        if terminal && begun.elapsed() > PATIENCE {
            if bar.is_hidden() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_length(total);
            bar.set_position(done);
        }
    };
    let result = work(&VerifyOptions { key, threads: scene.threads, progress: &progress });
    bar.finish_and_clear();
    result
}

pub(super) fn verify(args: &VerifyArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let key = args.key.as_deref().map(parse_key).transpose()?;
    let trusted = key.is_some();
    let report = with_progress(scene, key, |options| {
        seawall_journal::verify(scene.disk.clone(), target.dir(), options)
    })?;
    match args.json {
        true => writeln!(scene.out, "{:#}", serde_json::json!(report))?,
        false => write(&report, trusted, scene)?,
    }
    Ok(if report.is_sound() { exit::SOUND } else { exit::FOUND })
}

fn write(report: &Report, trusted: bool, scene: &mut Scene<'_>) -> Result<(), LogError> {
    let out = &mut scene.out;
    for finding in &report.findings {
        match finding.index {
            Some(index) => writeln!(out, "{}: record {index}: {}", finding.file, finding.what)?,
            None => writeln!(out, "{}: {}", finding.file, finding.what)?,
        }
    }
    if report.more > 0 {
        writeln!(out, "and {} more", report.more)?;
    }
    writeln!(out, "log          {}", report.origin)?;
    let beyond = match report.beyond {
        0 => String::new(),
        n => format!(", and {n} more that the checkpoint does not cover yet"),
    };
    writeln!(out, "records      {}{beyond}", report.size)?;
    writeln!(out, "root         {}", report.root)?;
    writeln!(out, "signed by    {}", report.key)?;
    if report.rotations > 0 {
        writeln!(out, "keys before  {}, each of which signed for the next", report.rotations)?;
    }
    if report.erased > 0 {
        writeln!(out, "erased       {} payloads, each with a record that says why", report.erased)?;
    }
    match report.witnesses.as_slice() {
        [] => writeln!(out, "witnesses    none: this shows damage, not what its owner may have rewritten")?,
        names => writeln!(out, "witnesses    {} up to record {}", names.join(", "), report.witnessed)?,
    }
    if !trusted {
        writeln!(out, "trust        the key is the log's own word; give yours with --key")?;
    }
    let verdict = if report.is_sound() { "sound" } else { "NOT sound" };
    writeln!(out, "{verdict}")?;
    Ok(())
}
