//! The `seawall` binary: reads its arguments and hands over.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory, Parser, Subcommand};
use seawall::{
    check, demo, detect, explain, history, import, init, key, log, operate, output, probe, run, schema,
    version,
};
use seawall_runtime::disk::SystemDisk;

/// A request makes some twenty allocations, which the system's allocator makes dearer by a twentieth of the request. Without
/// huge pages (`no_thp`), which would double the memory of a small process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps blockchain, exchange and payment services up when the providers under them go down
#[derive(Debug, Parser)]
#[command(name = "seawall", version = version::LONG, arg_required_else_help = true, after_help = "\
Begin with `seawall init`, then `seawall check`, then `seawall run`.
Every error has a code (SW0123); docs/errors.md says what it means and what to do.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Import(import::ImportArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Probe(Box<probe::ProbeArgs>),
    Schema(schema::SchemaArgs),
    Run(run::RunArgs),
    Status(operate::StatusArgs),
    /// Takes an upstream out of service, until `seawall uncordon`
    Cordon(operate::CordonArgs),
    /// Puts an upstream back into service
    Uncordon(operate::CordonArgs),
    Mode(operate::ModeArgs),
    Demo(demo::DemoArgs),
    Detect(detect::DetectArgs),
    Log(log::LogArgs),
    History(history::HistoryArgs),
    Key(key::KeyArgs),
    /// Prints shell completions
    #[command(after_help = "EXAMPLE\n  seawall completions bash > /etc/bash_completion.d/seawall")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    #[command(after_help = "EXAMPLE\n  seawall man > /usr/local/share/man/man1/seawall.1")]
    Man,
}

/// Standard output could not be written.
const UNWRITABLE: u8 = 2;

fn main() -> ExitCode {
    let out = &mut io::stdout().lock();
    match Cli::parse().command {
        Command::Init(args) => match init::run(&args, out) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::error(&error.to_string());
                ExitCode::from(2)
            }
        },
        Command::Import(args) => written(import::run(&args, out, &mut io::stderr())),
        Command::Check(args) => written(run::surroundings(&SystemDisk, |with| {
            check::run(&args, with, output::colour_stdout(), out)
        })),
        Command::Explain(args) => {
            written(run::surroundings(&SystemDisk, |with| explain::run(&args, with, out)))
        }
        Command::Probe(args) => written(run::surroundings(&SystemDisk, |with| {
            probe::run(&args, with, output::colour_stdout(), out)
        })),
        Command::Status(args) => operated(&args.ask, &operate::Order::Status, out),
        Command::Cordon(args) => operated(&args.ask, &args.order(true), out),
        Command::Uncordon(args) => operated(&args.ask, &args.order(false), out),
        Command::Mode(args) => operated(&args.ask, &args.order(), out),
        Command::Schema(args) => written(schema::run(&args, out).map(|()| 0)),
        Command::Run(args) => ExitCode::from(run::run(&args)),
        Command::Demo(args) => demo::run(args),
        Command::Detect(args) => {
            let terminal = io::stderr().is_terminal() && !io::stdout().is_terminal();
            let (input, err) = (&mut io::stdin().lock(), &mut io::stderr());
            written(detect::run(&args, &mut detect::Scene { input, out, err, terminal }))
        }
        Command::Key(args) => {
            written(key::run(&args, &mut seawall_journal::Entropy::system(), out).map(|()| 0))
        }
        Command::Log(args) => {
            let (err, terminal) = (&mut io::stderr(), io::stderr().is_terminal());
            let mut scene = log::scene(Arc::new(SystemDisk), out, err, terminal);
            written(run::surroundings(&SystemDisk, |with| log::run(&args, with, &mut scene)))
        }
        Command::History(args) => {
            let (now, terminal) =
                (seawall_runtime::clock::Clock::system().wall(), io::stderr().is_terminal());
            let (err, sight) = (&mut io::stderr(), history::Sight::of_stdout());
            written(run::surroundings(&SystemDisk, |with| {
                history::run(&args, history::Scene { with, now, out, sight, err, terminal })
            }))
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "seawall", out);
            ExitCode::SUCCESS
        }
        Command::Man => written(clap_mangen::Man::new(Cli::command()).render(out).map(|()| 0)),
    }
}

fn operated(ask: &operate::Ask, order: &operate::Order, out: &mut dyn io::Write) -> ExitCode {
    written(run::surroundings(&SystemDisk, |with| operate::run(ask, order, with, out)))
}

/// The exit code of a command that writes; a reader that has gone away is no failure.
fn written(code: io::Result<u8>) -> ExitCode {
    match code {
        Ok(code) => ExitCode::from(code),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            output::error(&format!("SW0211: standard output cannot be written: {e}"));
            ExitCode::from(UNWRITABLE)
        }
    }
}
