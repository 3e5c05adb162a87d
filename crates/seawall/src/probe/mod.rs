//! `seawall probe`: one check by hand, and what curl, dig and openssl together would tell of it.

mod again;
mod args;
mod render;
mod waterfall;

use std::{
    io::{self, Write},
    sync::Arc,
};

use seawall_probe::{Check, Kept, Outcome, Prober, Report};
use seawall_rules::BadRule;
use seawall_runtime::{Machine, net::sockets::Sockets};
use serde_json::{Value, json};

pub use args::ProbeArgs;

use crate::estate::{LoadError, Surroundings};

/// What the process exits with.
pub mod exit {
    /// The target does as it should.
    pub const UP: u8 = 0;
    /// The check failed.
    pub const DOWN: u8 = 1;
    /// It could not be made.
    pub const UNMADE: u8 = 2;
}

/// Why no check could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The target is none.
    #[error("SW0261: {0}")]
    Target(seawall_probe::InvalidTarget),
    /// An option is not usable.
    #[error("SW0262: `{option}` {why}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A condition cannot be used.
    #[error("{error} (`{rule}`)")]
    Rule {
        /// The condition.
        rule: String,
        /// What is wrong with it.
        error: BadRule,
    },
    /// The estate cannot be had.
    #[error("{0}")]
    Estate(#[from] LoadError),
    /// The machine cannot be set up.
    #[error("SW0263: {0}")]
    Setup(String),
}

/// Makes the check, and writes what was found to `out` (`colour`ed or not). Gives the exit code; the error is `out`'s.
pub fn run(args: &ProbeArgs, with: &Surroundings<'_>, colour: bool, out: &mut dyn Write) -> io::Result<u8> {
    let made = args.check(with).and_then(|check| Ok((check, stage(args)?)));
    let (check, (runtime, prober)) = match made {
        Ok(made) => made,
        Err(error) => {
            let help = match &error {
                ProbeError::Target(e) => format!("\nhelp: {}", e.cure()),
                ProbeError::Rule { error, .. } => format!("\nhelp: {}", error.cure),
                ProbeError::Estate(_) | ProbeError::Option { .. } | ProbeError::Setup(_) => String::new(),
            };
            match args.json {
                true => writeln!(out, "{:#}", json!({ "error": error.to_string() }))?,
                false => writeln!(out, "error: {error}{help}")?,
            }
            return Ok(exit::UNMADE);
        }
    };
    match args.every {
        Some(every) => runtime.block_on(again::run(&prober, &check, every, args.json, out)),
        None => {
            let report = runtime.block_on(prober.perform(&check, &mut Kept::default()));
            match args.json {
                true => writeln!(out, "{:#}", document(&check, &report))?,
                false => {
                    let told = render::report(&check, &report, colour) + &waterfall::steps(&report);
                    out.write_all(told.as_bytes())?;
                }
            }
            Ok(code(&report))
        }
    }
}

fn stage(args: &ProbeArgs) -> Result<(tokio::runtime::Runtime, Prober), ProbeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ProbeError::Setup(e.to_string()))?;
    // The clock's origin is one of the runtime's.
    let inside = runtime.enter();
    let machine = Machine::system(args.ca.as_deref(), Arc::new(Sockets::default()));
    let machine = machine.map_err(|e| ProbeError::Setup(e.to_string()))?;
    drop(inside);
    Ok((runtime, Prober::new(machine.net, machine.clock)))
}

fn code(report: &Report) -> u8 {
    match report.outcome() {
        Outcome::Up => exit::UP,
        Outcome::Down => exit::DOWN,
        Outcome::Unknown => exit::UNMADE,
    }
}

/// The report as JSON.
fn document(check: &Check, report: &Report) -> Value {
    let mut document = json!(report);
    document["target"] = json!(check.target.to_string());
    document["outcome"] = json!(report.outcome().as_str());
    document
}
