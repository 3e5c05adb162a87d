//! What can go wrong with `seawall log`, with code and cure.

use std::{io, path::PathBuf};

use seawall_journal::{AskError, BackupError, InvalidKey, OpenError, ProofError, ReadError};

use super::exit;

#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// Standard output is gone.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Estate(String),
    #[error("`{0}` is no verifier key, nor a file that holds one")]
    NoKey(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Ask(AskError),
    #[error(transparent)]
    Backup(BackupError),
    #[error("cannot read or write {}: {cause}", path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The store refused a change.
    #[error("{cause}")]
    Refused { code: String, cause: String },
}

impl LogError {
    pub(super) fn key(error: InvalidKey) -> Self {
        Self::Open(error.into())
    }

    pub(super) fn code(&self) -> &str {
        match self {
            Self::Output(_) | Self::File { .. } => "SW0416",
            Self::Estate(_) => "SW0417",
            Self::NoKey(_) => "SW0418",
            Self::Proof(_) => "SW0419",
            Self::Read(error) => read_code(error),
            Self::Open(error) => error.code(),
            Self::Ask(AskError::Disk(_)) => "SW0401",
            Self::Ask(AskError::Open(error)) => error.code(),
            Self::Ask(AskError::Read(error)) => read_code(error),
            Self::Ask(_) => "SW0420",
            Self::Backup(BackupError::Disk(_)) => "SW0401",
            Self::Backup(BackupError::Read(error)) => read_code(error),
            Self::Backup(BackupError::Open(error)) => error.code(),
            Self::Backup(BackupError::NotSound(_)) => "SW0403",
            Self::Backup(_) => "SW0421",
            Self::Refused { code, .. } => code,
        }
    }

    pub(super) fn cure(&self) -> &'static str {
        match self.code() {
            "SW0402" => "stop the other process, or wait for it",
            "SW0403" => "run `seawall log verify` to see how much; then `seawall log restore` from a back-up",
            "SW0404" | "SW0405" | "SW0406" => "move the directory away and run `seawall log restore` from it",
            "SW0407" | "SW0418" => "give the key as `seawall log key` prints it: name+id+key",
            "SW0410" => "look up the index with `seawall log tail`, and the directory in the estate",
            "SW0411" => "leave it: the log could not be verified without it",
            "SW0412" => "nothing needs to be done",
            "SW0413" => "give a shorter reason",
            "SW0414" => "ask the witness for a checkpoint of this log",
            "SW0415" => "add the witness's key to `witnesses` in the estate's [journal]",
            "SW0417" => "run `seawall check`, or name the journal with --dir",
            "SW0419" => "ask for another proof, and for the key from somebody you trust",
            "SW0420" => "see in `/v1/journal` whether the disk answers, then ask again",
            "SW0421" => "name a directory that is empty or not there yet",
            _ => "check the path, the permissions and the disk's free space",
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Proof(_) | Self::Refused { .. } => exit::FOUND,
            Self::Backup(BackupError::NotSound(_)) => exit::FOUND,
            Self::Read(ReadError::Damaged(_) | ReadError::Checkpoint(_)) => exit::FOUND,
            Self::Output(_)
            | Self::File { .. }
            | Self::Estate(_)
            | Self::NoKey(_)
            | Self::Read(_)
            | Self::Open(_)
            | Self::Ask(_)
            | Self::Backup(_) => exit::UNREADABLE,
        }
    }
}

fn read_code(error: &ReadError) -> &'static str {
    match error {
        ReadError::Disk(_) => "SW0401",
        ReadError::Damaged(_) | ReadError::Checkpoint(_) => "SW0403",
        _ => "SW0410",
    }
}
