//! `seawall detect`: how unusual is each point of a series?

use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seawall_health::detect::{Detector, Score};
use serde_json::json;

mod table;
mod time;

use table::{Row, Table, TableError};

/// Progress is shown of what takes longer than this, every so many points.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: u64 = 4_096;
/// Bytes of output that wait until more input is needed.
const HELD: usize = 1 << 16;

/// Scores each point of a series by how unusual it is
///
/// Reads CSV with the columns `timestamp` and `value` and prints `timestamp,value,anomaly_score`, point by point as they come.
/// A score is between 0, as usual, and 1; a healthy series has more than 0.5 once in 1,000 points or less, and more than 0.9 hardly ever.
/// Nothing is to be set: cadence, noise, time of day and day of the week are learnt from what has come so far, and a
/// score never depends on what comes later. The first 48 values score 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
  seawall detect latency.csv > scored.csv
  seawall detect --json latency.csv | jq 'select(.anomaly_score > 0.9)'
  tail -n +1 -f latency.csv | seawall detect -

INPUT
  timestamp  RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC), or Unix time in seconds or milliseconds
  value      a number; empty where there is none, which is scored as such
  Without a header these are the two columns; with one, others are ignored.

EXIT CODES
  0  every point was scored    2  the file cannot be read, or a line makes no sense")]
pub struct DetectArgs {
    /// The file, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Prints one JSON object a line, with the direction and the reason as well
    #[arg(long)]
    pub json: bool,
}

/// What the process exits with.
pub mod exit {
    /// Every point was scored.
    pub const SCORED: u8 = 0;
    /// Some point was not.
    pub const UNREADABLE: u8 = 2;
}

/// Where the command reads and writes.
pub struct Scene<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// True if progress can be shown: standard error is a terminal, and standard output is not.
    pub terminal: bool,
}

/// Runs the command. Gives the exit code; errors have been told of on standard error. The error is that of standard output.
pub fn run(args: &DetectArgs, scene: &mut Scene<'_>) -> io::Result<u8> {
    let Scene { input, out, err, terminal } = scene;
    let out = RefCell::new(BufWriter::with_capacity(HELD, out));
    let (input, length): (Box<dyn Read>, _) = if args.file == Path::new("-") {
        (Box::new(input), None)
    } else {
        match File::open(&args.file) {
            Ok(file) => {
                let length = file.metadata().ok().map(|m| m.len());
                (Box::new(file), length)
            }
            Err(cause) => return refuse(&TableError::Unreadable { cause }, args, *err),
        }
    };
    let mut before_waiting = || out.borrow_mut().flush();
    let progress = Progress::new(*terminal, length);
    let found = score(Table::new(input, &mut before_waiting), args.json, &out, &progress);
    progress.bar.finish_and_clear();
    out.borrow_mut().flush()?;
    match found {
        Ok(()) => Ok(exit::SCORED),
        Err(TableError::Waiting { cause }) => Err(cause),
        Err(error) => refuse(&error, args, *err),
    }
}

fn refuse(error: &TableError, args: &DetectArgs, err: &mut dyn Write) -> io::Result<u8> {
    let file =
        if args.file == Path::new("-") { "standard input".into() } else { args.file.to_string_lossy() };
    let place = error.line().map_or(file.to_string(), |line| format!("{file}:{line}"));
    // If nobody reads it, there is nobody to tell.
    let _ = writeln!(err, "error: {}: {place}: {error}\nhelp: {}", error.code(), error.cure());
    Ok(exit::UNREADABLE)
}

fn score<W: Write>(
    mut table: Table<'_>,
    json: bool,
    out: &RefCell<BufWriter<W>>,
    progress: &Progress,
) -> Result<(), TableError> {
    let gone = |cause| TableError::Waiting { cause };
    let mut detector = Detector::new();
    let mut points = 0;
    if !json {
        writeln!(out.borrow_mut(), "timestamp,value,anomaly_score").map_err(gone)?;
    }
    while let Some(row) = table.next()? {
        let score = detector.push(row.at, row.value);
        write(&mut *out.borrow_mut(), &row, score, json).map_err(gone)?;
        points += 1;
        if points % STEP == 0 {
            progress.show(points, table.bytes());
        }
    }
    Ok(())
}

fn write(out: &mut dyn Write, row: &Row<'_>, score: Score, json: bool) -> io::Result<()> {
    if json {
        let object = json!({
            "timestamp": row.timestamp,
            "value": row.value,
            "anomaly_score": score.value,
            "direction": score.sign.as_str(),
            "why": score.why.as_str(),
        });
        return writeln!(out, "{object}");
    }
    let (timestamp, value) = (table::quoted(row.timestamp), table::quoted(row.written));
    writeln!(out, "{timestamp},{value},{:.6}", score.value)
}

/// How far it is, on a terminal, once it has taken a while.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
    terminal: bool,
    length: Option<u64>,
}

impl Progress {
    fn new(terminal: bool, length: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let template = match length {
            Some(_) => "{bar:40} {percent:>3} %  {msg} points",
            None => "{spinner} {msg} points",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now(), terminal, length }
    }

    fn show(&self, points: u64, bytes: u64) {
        if !self.terminal || self.begun.elapsed() < PATIENCE {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(indicatif::HumanCount(points).to_string());
        match self.length {
            Some(_) => self.bar.set_position(bytes),
            None => self.bar.tick(),
        }
    }
}

#[cfg(test)]
mod tests;
