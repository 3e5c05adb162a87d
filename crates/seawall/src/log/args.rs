//! What `seawall log` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Reads, checks and proves the journal
///
/// Works on a journal that is being written. Exits with 0 if all is well, 1 if something is wrong with the
/// journal or a proof or a change was refused, and 2 if the arguments make no sense or nothing can be read.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
EXAMPLES
  seawall log tail -f                     follow what happens
  seawall log verify                      check every hash and signature
  seawall log prove 17 -o 17.tlog-proof   a proof for somebody else
  seawall log verify-proof 17.tlog-proof --key \"$(seawall log key)\""
)]
pub struct LogArgs {
    /// The journal's directory; else the one of the estate
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The estate that says where the journal is
    #[arg(long, global = true, value_name = "PATH", default_value = "seawall.toml")]
    pub estate: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub command: LogCommand,
}

/// The commands of `seawall log`.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Shows the newest records
    Tail(TailArgs),
    /// Shows one record whole
    Show(ShowArgs),
    /// Checks every file, hash and signature, and names what is wrong
    Verify(VerifyArgs),
    /// Makes a proof that a record is in the log (C2SP tlog-proof)
    Prove(ProveArgs),
    /// Checks a proof, with nothing but the proof and a public key
    VerifyProof(VerifyProofArgs),
    /// Shows what held after a record: each component's last breaker, head, verdict and cordon
    Replay(ReplayArgs),
    /// Writes records out, one JSON object a line
    Export(ExportArgs),
    /// Erases the payload of a record for good, and records that and why
    Erase(EraseArgs),
    /// Prints the public key, or begins to sign with a new one
    Key(KeyArgs),
    /// Takes the witnesses' cosignatures off a checkpoint
    Cosign(CosignArgs),
    /// Copies the journal, running or not, and verifies the copy
    Backup(BackupArgs),
    /// Starts a new log that cites the last checkpoint of a back-up
    Restore(RestoreArgs),
}

/// `seawall log tail`
#[derive(Debug, Args)]
pub struct TailArgs {
    /// How many
    #[arg(short = 'n', long = "lines", default_value_t = 20)]
    pub lines: u64,
    /// Goes on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Prints one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `seawall log show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The record's index
    #[arg(value_name = "N")]
    pub index: u64,
    /// Prints a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `seawall log verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A public key of the log that you trust, or a file that holds it
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Prints the report as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `seawall log prove`
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The record's index
    #[arg(value_name = "N")]
    pub index: u64,
    /// Where to write the proof; else standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Puts the payload in as well: whoever has the proof can read it
    #[arg(long)]
    pub disclose: bool,
}

/// `seawall log verify-proof`
#[derive(Debug, Args)]
pub struct VerifyProofArgs {
    /// The proof
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The log's public key, or a file that holds it
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// Prints a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `seawall log replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The last record to take in; else the newest
    #[arg(long, value_name = "N")]
    pub until: Option<u64>,
    /// Prints a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `seawall log export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The form to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub format: ExportFormat,
    /// The first record
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub from: u64,
    /// The record to stop before; else all
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
}

/// Forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line
    Jsonl,
}

/// `seawall log erase`
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The record's index
    #[arg(value_name = "N")]
    pub index: u64,
    /// Why; it goes on record
    #[arg(long)]
    pub reason: String,
    /// Prints a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `seawall log key`
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Makes a new key, records it under the old one's signature, and signs with it from now on
    #[arg(long)]
    pub rotate: bool,
    /// Prints every key there was, oldest first, as a JSON array
    #[arg(long, conflicts_with = "rotate")]
    pub json: bool,
}

/// `seawall log cosign`
#[derive(Debug, Args)]
pub struct CosignArgs {
    /// The checkpoint as the witnesses signed it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Prints a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `seawall log backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// An empty or new directory for the copy
    #[arg(value_name = "DEST")]
    pub dest: PathBuf,
    /// Prints a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `seawall log restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The back-up, or the directory of a log that must not be gone on with; move it out of the new one's way first
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// Prints a JSON object
    #[arg(long)]
    pub json: bool,
}
