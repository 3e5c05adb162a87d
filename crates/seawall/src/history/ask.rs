//! `seawall history page`, `report`, `series`, `downtime` and `cost`: questions to the running daemon, or to a history's
//! file.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use jiff::civil::Date;
use seawall_history::{FILE, Grain, MAX_PAGE_DAYS, Reader};
use seawall_model::{ComponentId, ComponentKind, Wall};
use serde_json::Value;

use super::{
    answer::{self, Unanswered},
    question::{self, DAYS, Question, Selection, Time},
    render, time,
};
use crate::{
    estate::{self, Costs, LoadError, Surroundings},
    operate::{self, Ask},
    output,
};

/// How wide what is no terminal is taken to be.
const WIDTH: usize = 100;

/// Who is asked.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// The daemon, and JSON or not.
    #[command(flatten)]
    pub daemon: Ask,
    /// Reads the history in this directory itself, in place of asking the daemon
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Which components.
#[derive(Debug, Args)]
pub struct Which {
    /// Only these, as in `service:deposits`; all if absent
    #[arg(value_name = "COMPONENT", value_parser = question::component)]
    pub components: Vec<ComponentId>,
    /// Only those of a kind: `service`, `pool`, `upstream`, `provider`, `region`
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<ComponentKind>,
}

/// From when until when.
#[derive(Debug, Args)]
pub struct When {
    /// From when: a day of UTC (2026-07-01), or a time (2026-07-01T12:00:00+02:00)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Wall>,
    /// Until when, itself left out; now if absent
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Wall>,
}

/// Shows the last days of every component, one mark a day, and its availability
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES
  seawall history page
  seawall history page --kind service --days 30
  seawall history page --dir /var/lib/seawall/history

EXIT CODES
  0  it is shown    2  it could not be")]
pub struct PageArgs {
    /// How many days of UTC, today included
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=MAX_PAGE_DAYS as i64))]
    pub days: u32,
    /// Which components.
    #[command(flatten)]
    pub which: Which,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Shows a month of every component: availability, downtimes, latencies, who was affected
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLE
  seawall history report 2026-10 --kind service

EXIT CODES
  0  it is shown    2  it could not be")]
pub struct ReportArgs {
    /// The month, by UTC
    #[arg(value_name = "YYYY-MM", value_parser = month)]
    pub month: Date,
    /// Which components.
    #[command(flatten)]
    pub which: Which,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Shows what the checks of a component say, step by step: latencies and failures
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLE
  seawall history series service:checkout --from 2026-10-02 --until 2026-10-03 --step hour

EXIT CODES
  0  it is shown    2  it could not be")]
pub struct SeriesArgs {
    /// Which one, as in `service:checkout`
    #[arg(value_name = "COMPONENT", value_parser = question::component)]
    pub component: ComponentId,
    /// From when until when; the last day if absent.
    #[command(flatten)]
    pub when: When,
    /// How long a step is: `minute`, `hour` or `day`; as long as fits if absent
    #[arg(long, value_name = "STEP", value_parser = step)]
    pub step: Option<Grain>,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Shows when a component was down
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLE
  seawall history downtime pool:ethereum --from 2026-10-01

EXIT CODES
  0  it is shown    2  it could not be")]
pub struct DowntimeArgs {
    /// Which one, as in `pool:ethereum`
    #[arg(value_name = "COMPONENT", value_parser = question::component)]
    pub component: ComponentId,
    /// From when until when; the last 30 days if absent.
    #[command(flatten)]
    pub when: When,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Shows what a time cost, by what the estate says services are worth, and all that was assumed
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES
  seawall history cost
  seawall history cost service:deposits --from 2026-10-02T14:03:00Z --until 2026-10-02T15:10:00Z

EXIT CODES
  0  it is shown    2  it could not be")]
pub struct CostArgs {
    /// Which service; all that have a cost if absent
    #[arg(value_name = "SERVICE", value_parser = question::component)]
    pub component: Option<ComponentId>,
    /// From when until when, 31 days at most; the last 30 days if absent.
    #[command(flatten)]
    pub when: When,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

impl Which {
    fn selection(&self) -> Selection {
        Selection { components: self.components.clone(), kind: self.kind }
    }
}

impl When {
    fn time(&self) -> Time {
        Time { from: self.from, until: self.until }
    }
}

impl PageArgs {
    /// What it asks.
    pub fn question(&self) -> Question {
        Question::Page { days: self.days, of: self.which.selection() }
    }
}

impl ReportArgs {
    /// What it asks.
    pub fn question(&self) -> Question {
        Question::Report { month: self.month, of: self.which.selection() }
    }
}

impl SeriesArgs {
    /// What it asks.
    pub fn question(&self) -> Question {
        Question::Series { component: self.component.clone(), time: self.when.time(), step: self.step }
    }
}

impl DowntimeArgs {
    /// What it asks.
    pub fn question(&self) -> Question {
        Question::Downtime { component: self.component.clone(), time: self.when.time() }
    }
}

impl CostArgs {
    /// What it asks.
    pub fn question(&self) -> Question {
        Question::Cost { component: self.component.clone(), time: self.when.time() }
    }
}

fn kind(text: &str) -> Result<ComponentKind, String> {
    let found = ComponentKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    let all = || ComponentKind::ALL.map(ComponentKind::as_str).join(", ");
    found.ok_or_else(|| format!("write one of {}", all()))
}

fn month(text: &str) -> Result<Date, String> {
    question::month(text).ok_or_else(|| "write a month as in 2026-10".to_owned())
}

fn step(text: &str) -> Result<Grain, String> {
    question::step(text).ok_or_else(|| "write `minute`, `hour` or `day`".to_owned())
}

/// What can be seen where the answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Colours.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Sight {
    /// That of standard output.
    pub fn of_stdout() -> Self {
        let size = io::stdout().is_terminal().then(ratatui::crossterm::terminal::size);
        let width = size.and_then(Result::ok).map_or(WIDTH, |(columns, _)| columns.into());
        Self { colour: output::colour_stdout(), width }
    }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{0}")]
    Daemon(String),
    #[error("{0}")]
    Estate(#[from] LoadError),
    #[error("SW0459: there is no history in `{}`: name the directory that holds history.sqlite with --dir", .0.display())]
    Nothing(PathBuf),
    #[error("{code}: {0}", code = .0.code())]
    Unanswered(#[from] Unanswered),
}

/// Asks, and shows the answer. Gives the exit code; errors have been told of on `err`.
pub(super) fn run(
    ask: &AskArgs,
    question: &Question,
    with: &Surroundings<'_>,
    now: Wall,
    sight: Sight,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    match asked(ask, question, with, now) {
        Ok(told) if ask.daemon.json => writeln!(out, "{told:#}").map(|()| 0),
        Ok(told) => out.write_all(render::show(question, &told, sight).as_bytes()).map(|()| 0),
        Err(error) => {
            // If nobody reads it, there is nobody to tell.
            let _ = writeln!(err, "error: {error}");
            Ok(2)
        }
    }
}

fn asked(ask: &AskArgs, question: &Question, with: &Surroundings<'_>, now: Wall) -> Result<Value, AskError> {
    let Some(dir) = &ask.dir else {
        return operate::get(&ask.daemon, question.path(), with).map_err(AskError::Daemon);
    };
    let file = dir.join(FILE);
    if !file.is_file() {
        return Err(AskError::Nothing(dir.clone()));
    }
    let costs = match question {
        // What services are worth is the estate's to say.
        Question::Cost { .. } => estate::load(&ask.daemon.estate, with)?.costs(),
        Question::Page { .. }
        | Question::Report { .. }
        | Question::Series { .. }
        | Question::Downtime { .. } => Costs::new(),
    };
    let reader = Reader::open(&file).map_err(Unanswered::from)?;
    Ok(answer::answer(question, &reader, &costs, now)?)
}
