//! `seawall history`: what was, for people and for other tools.

pub mod answer;
mod ask;
pub mod question;
mod render;
mod strip;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seawall_history::{
    FILE, Reader,
    export::{Export, ExportError, Format, Kind},
    parse_time,
};
use seawall_model::Wall;

pub use ask::{AskArgs, CostArgs, DowntimeArgs, PageArgs, ReportArgs, SeriesArgs, Sight, When, Which};

use crate::estate::Surroundings;

/// Progress is shown of what takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows the history: days, months, series, downtimes and what they cost; writes it out for other tools
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct HistoryArgs {
    /// What to do
    #[command(subcommand)]
    pub command: HistoryCommand,
}

/// The commands of `seawall history`.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Shows the last days of every component, one mark a day, and its availability
    Page(PageArgs),
    /// Shows a month of every component: availability, downtimes, latencies, who was affected
    Report(ReportArgs),
    /// Shows what the checks of a component say, step by step: latencies and failures
    Series(SeriesArgs),
    /// Shows when a component was down
    Downtime(DowntimeArgs),
    /// Shows what a time cost, by what the estate says services are worth, and all that was assumed
    Cost(CostArgs),
    /// Writes the history out: a file each of days, hours, statuses, who was affected, and results
    ///
    /// Works on a history that is being written. What is counted by the hour or day counts where it begins; results are
    /// there up to the last whole minute. Exits with 0 if all is written, and 2 if it could not be.
    #[command(after_help = "\
EXAMPLE
  seawall history export --dir /var/lib/seawall/history --from 2026-07-01 --to 2026-08-01 \\
    --format parquet --output july

With DuckDB: SELECT component, sum(down_ms) / 60000 FROM 'july/days.parquet' GROUP BY component;")]
    Export(ExportArgs),
}

/// `seawall history export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The history's directory
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The directory to write to; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// From when: a day of UTC (2026-07-01), or a time (2026-07-01T12:00:00+02:00)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Wall,
    /// Until when, itself left out; else all there is
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Wall>,
    /// The form to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Overwrites files that are there
    #[arg(long)]
    pub force: bool,
}

/// Forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated values, with a header
    Csv,
    /// Apache Parquet
    Parquet,
}

/// A time as it is written on the command line.
fn time(text: &str) -> Result<Wall, String> {
    parse_time(text).ok_or_else(|| "write a day (2026-07-01), or a time (2026-07-01T12:00:00Z)".to_owned())
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
enum HistoryFault {
    /// Standard output is gone.
    #[error(transparent)]
    Output(#[from] io::Error),
    #[error("there is no history in `{}`", .0.display())]
    Nothing(PathBuf),
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl HistoryFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Output(_) => "SW0211",
            Self::Nothing(_) => "SW0459",
            Self::Export(error) => error.code(),
        }
    }

    fn cure(&self) -> &'static str {
        match self {
            Self::Output(_) => "check where standard output is redirected to",
            Self::Nothing(_) => "name the directory that holds history.sqlite with --dir",
            Self::Export(error) => error.cure(),
        }
    }
}

/// What the command is run with.
pub struct Scene<'a> {
    /// What an estate is read with.
    pub with: &'a Surroundings<'a>,
    /// The time.
    pub now: Wall,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// What can be seen on it.
    pub sight: Sight,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Progress can be shown on it.
    pub terminal: bool,
}

/// Runs the command. Gives the exit code; errors have been told of on `err`.
///
/// # Errors
/// If `out` cannot be written.
pub fn run(args: &HistoryArgs, scene: Scene<'_>) -> io::Result<u8> {
    let Scene { with, now, out, sight, err, terminal } = scene;
    let (ask, question) = match &args.command {
        HistoryCommand::Export(export) => return run_export(export, now, out, err, terminal),
        HistoryCommand::Page(args) => (&args.ask, args.question()),
        HistoryCommand::Report(args) => (&args.ask, args.question()),
        HistoryCommand::Series(args) => (&args.ask, args.question()),
        HistoryCommand::Downtime(args) => (&args.ask, args.question()),
        HistoryCommand::Cost(args) => (&args.ask, args.question()),
    };
    ask::run(ask, &question, with, now, sight, out, err)
}

fn run_export(
    export: &ExportArgs,
    now: Wall,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: bool,
) -> io::Result<u8> {
    match write_out(export, now, out, terminal) {
        Ok(()) => Ok(0),
        Err(HistoryFault::Output(error)) => Err(error),
        Err(error) => {
            // If nobody reads it, there is nobody to tell.
            let _ = writeln!(err, "error: {}: {error}\nhelp: {}", error.code(), error.cure());
            Ok(2)
        }
    }
}

fn write_out(args: &ExportArgs, now: Wall, out: &mut dyn Write, terminal: bool) -> Result<(), HistoryFault> {
    let file = args.dir.join(FILE);
    if !file.is_file() {
        return Err(HistoryFault::Nothing(args.dir.clone()));
    }
    let reader = Reader::open(&file).map_err(ExportError::from)?;
    let unwritable = |cause| ExportError::File { path: args.output.clone(), cause };
    fs::create_dir_all(&args.output).map_err(unwritable)?;
    let export = Export {
        into: &args.output,
        format: match args.format {
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Parquet => Format::Parquet,
        },
        from: args.from,
        until: args.to.unwrap_or(now),
        force: args.force,
    };
    // Before anything is written, so that not some files are there and others not.
    if let Some(there) =
        Kind::ALL.map(|kind| export.path(kind)).into_iter().find(|p| !args.force && p.exists())
    {
        return Err(ExportError::Exists(there).into());
    }
    for kind in Kind::ALL {
        let written =
            with_progress(kind.as_str(), terminal, |progress| export.write(&reader, kind, progress))?;
        writeln!(out, "{}: {} rows", written.path.display(), written.rows)?;
    }
    Ok(())
}

/// Runs `work` and shows how far it is, once it has taken a while.
fn with_progress<R>(what: &str, terminal: bool, work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> R) -> R {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {percent:>3} %") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    let begun = Instant::now();
    let result = work(&mut |done, total| {
        if terminal && begun.elapsed() > PATIENCE {
            if bar.is_hidden() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_length(total);
            bar.set_position(done);
        }
    });
    bar.finish_and_clear();
    result
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use seawall_history::{Batch, Change, History, Policy};
    use seawall_model::Status;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: HistoryArgs,
    }

    const NOON: Wall = Wall(1_774_785_600_000);

    fn scene(args: &HistoryArgs, out: &mut Vec<u8>, err: &mut Vec<u8>) -> u8 {
        let sight = Sight { colour: false, width: 80 };
        crate::estate::tests::World::new(&[])
            .with(|with| run(args, Scene { with, now: NOON, out, sight, err, terminal: false }))
            .unwrap()
    }

    fn export(words: &[&str]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let line = Line::try_parse_from([&["history", "export"], words].concat()).unwrap();
        let code = scene(&line.args, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_history_is_written_out_once_and_over_it_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(&dir.path().join(FILE), Policy::default()).unwrap();
        for minute in 0..10 {
            let now = Wall(NOON.0 + (minute - 10) * 60_000);
            let component = "service:deposits".parse().unwrap();
            let status = Some(if minute < 5 { Status::Up } else { Status::Down });
            let change = Change { component, status, since: now, cause: None };
            history.write(now, &Batch { changes: vec![change], ..Batch::default() }).unwrap();
        }
        let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let (at, to) = (text(dir.path()), text(&dir.path().join("july")));
        let words = ["--dir", &at, "--output", &to, "--from", "2026-03-29"];
        let (code, out, err) = export(&words);
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(out.lines().count(), 5);
        assert!(out.contains("statuses.csv: 2 rows"), "{out}");
        let days = fs::read_to_string(dir.path().join("july/days.csv")).unwrap();
        assert!(days.contains("service:deposits,2026-03-29,300000,0,240000,0,0,0,0,0,0,,,,,\r\n"), "{days}");
        let (code, _, err) = export(&words);
        assert!(code == 2 && err.starts_with("error: SW0457: "), "{err}");
        assert_eq!(export(&[&words[..], &["--force"]].concat()).0, 0);
        assert_eq!(export(&[&words[..], &["--format", "parquet"]].concat()).0, 0);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let (code, _, err) = export(&["--dir", dir.path().to_str().unwrap(), "--from", "2026-03-29"]);
        assert!(code == 2 && err.starts_with("error: SW0459: "), "{err}");
        let wrong = Line::try_parse_from(["history", "export", "--dir", "x", "--from", "yesterday"]);
        assert!(wrong.is_err_and(|e| e.to_string().contains("2026-07-01")));
    }
}
