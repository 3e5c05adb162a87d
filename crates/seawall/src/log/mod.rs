//! `seawall log`: reading, checking, proving and changing the journal.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use seawall_journal::{Entropy, StoreOptions, estate::JournalSection};
use seawall_model::Wall;
use seawall_runtime::{clock::Clock, disk::Disk};

use crate::estate::{self, LoadError, Surroundings};

mod args;
mod change;
mod error;
mod prove;
mod replay;
mod show;
mod verify;

pub use args::{LogArgs, LogCommand};
use error::LogError;

/// What the process exits with.
pub mod exit {
    /// Done; nothing wrong was found.
    pub const SOUND: u8 = 0;
    /// Something is wrong with the journal or the proof, or the change was refused.
    pub const FOUND: u8 = 1;
    /// The arguments make no sense, or the journal cannot be read.
    pub const UNREADABLE: u8 = 2;
}

/// Name of a log that a restore starts, where no estate gives one.
const UNNAMED: &str = "seawall.local";

/// Where a command reads and writes, and what it is given of the machine.
pub struct Scene<'a> {
    /// The disk that the journal is on.
    pub disk: Arc<dyn Disk>,
    /// The time.
    pub now: Wall,
    /// Salts, keys and request numbers.
    pub entropy: Entropy,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// True if standard error is a terminal, where progress can be shown.
    pub terminal: bool,
    /// Threads that hash.
    pub threads: usize,
}

/// The journal that a command is about.
struct Target {
    section: JournalSection,
    name: String,
}

impl Target {
    fn dir(&self) -> &Path {
        &self.section.dir
    }

    fn store_options(&self) -> Result<StoreOptions, LogError> {
        let witnesses = self.section.witnesses.iter().map(|key| key.parse()).collect::<Result<_, _>>();
        Ok(StoreOptions {
            dir: self.section.dir.clone(),
            name: self.name.clone(),
            segment_bytes: self.section.segment_bytes,
            witnesses: witnesses.map_err(LogError::key)?,
            remembered: None,
        })
    }
}

/// A scene on this machine, for the binary.
pub fn scene<'a>(
    disk: Arc<dyn Disk>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    terminal: bool,
) -> Scene<'a> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Scene { disk, now: Clock::system().wall(), entropy: Entropy::system(), out, err, terminal, threads }
}

/// Runs a command. Gives the exit code; errors have been told of on standard error. The error is that of
/// standard output.
pub fn run(args: &LogArgs, with: &Surroundings<'_>, scene: &mut Scene<'_>) -> io::Result<u8> {
    match perform(args, with, scene) {
        Ok(code) => Ok(code),
        Err(LogError::Output(error)) => Err(error),
        Err(error) => {
            // If nobody reads it, there is nobody to tell.
            let _ = writeln!(scene.err, "error: {}: {error}\nhelp: {}", error.code(), error.cure());
            Ok(error.exit_code())
        }
    }
}

fn perform(args: &LogArgs, with: &Surroundings<'_>, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    if let LogCommand::VerifyProof(proof) = &args.command {
        return prove::verify_proof(proof, scene);
    }
    let target = target(args, with)?;
    match &args.command {
        LogCommand::Tail(tail) => show::tail(tail, &target, scene),
        LogCommand::Show(show) => show::show(show, &target, scene),
        LogCommand::Export(export) => show::export(export, &target, scene),
        LogCommand::Replay(replay) => replay::replay(replay, &target, scene),
        LogCommand::Verify(verify) => verify::verify(verify, &target, scene),
        LogCommand::Prove(prove) => prove::prove(prove, &target, scene),
        LogCommand::VerifyProof(proof) => prove::verify_proof(proof, scene),
        LogCommand::Key(key) => change::key(key, &target, scene),
        LogCommand::Erase(erase) => change::erase(erase, &target, scene),
        LogCommand::Cosign(cosign) => change::cosign(cosign, &target, scene),
        LogCommand::Backup(backup) => change::backup(backup, &target, scene),
        LogCommand::Restore(restore) => change::restore(restore, &target, scene),
    }
}

/// The journal named by `--dir`, else that of the estate.
fn target(args: &LogArgs, with: &Surroundings<'_>) -> Result<Target, LogError> {
    if let Some(dir) = &args.dir {
        return Ok(Target { section: JournalSection::in_dir(dir), name: UNNAMED.to_owned() });
    }
    let path: &PathBuf = &args.estate;
    let estate = estate::load(path, with).map_err(|error| match error {
        LoadError::Invalid { .. } => {
            LogError::Estate(format!("the estate `{}` is not valid", path.display()))
        }
        LoadError::Unreadable { cause, .. } => {
            LogError::Estate(format!("the estate `{}` cannot be read: {cause}", path.display()))
        }
    })?;
    match estate.journal {
        Some(section) => Ok(Target { section, name: estate.name.to_string() }),
        None => Err(LogError::Estate(format!("the estate `{}` has no [journal]", path.display()))),
    }
}

/// What `--key` takes: a verifier key, or a file that holds one on a line of its own.
fn parse_key(given: &str) -> Result<seawall_journal::VerifierKey, LogError> {
    if let Ok(key) = given.parse() {
        return Ok(key);
    }
    let text = std::fs::read_to_string(given).map_err(|_| LogError::NoKey(given.to_owned()))?;
    let key = text.lines().find_map(|line| line.trim().parse().ok());
    key.ok_or_else(|| LogError::NoKey(given.to_owned()))
}

#[cfg(test)]
mod tests;
