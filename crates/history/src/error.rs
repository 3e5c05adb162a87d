//! What can go wrong with the history.

use seawall_model::Wall;

use crate::core::coding::Damaged;

/// Why the history cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// SQLite, or the disk under it.
    #[error("the history's store: {0}")]
    Store(#[from] rusqlite::Error),
    /// Something is not as it was written.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A later version of Seawall wrote it.
    #[error("the history's layout is {found}, and this version of Seawall knows {known}")]
    Newer {
        /// Its layout.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// The clock stands far before what the history holds.
    #[error("the clock says {now}, and the history goes on until {trusted}")]
    Clock {
        /// The clock.
        now: Wall,
        /// Until when the history goes on.
        trusted: Wall,
    },
    /// More than is taken at once.
    #[error("{count} {what} are more than the limit of {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many at most.
        limit: usize,
    },
    /// The policy cannot be kept.
    #[error("the history's policy cannot be kept: {0}")]
    Policy(&'static str),
}

impl HistoryError {
    /// The code an operator looks up.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "SW0451",
            Self::Damaged(_) => "SW0452",
            Self::Newer { .. } => "SW0453",
            Self::Clock { .. } => "SW0454",
            Self::TooMuch { .. } => "SW0455",
            Self::Policy(_) => "SW0456",
        }
    }

    /// What to do about it, in a line.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Store(_) => "check the directory's permissions and the disk's free space",
            Self::Damaged(_) => "restore the file from a back-up, or move it away and begin anew",
            Self::Newer { .. } => "run the version of Seawall that wrote it, or a later one",
            Self::Clock { .. } => "set the clock; if it is right, move the history away",
            Self::TooMuch { .. } => "ask for, or write, less at once",
            Self::Policy(_) => "correct what the estate says of retention",
        }
    }

    /// True if whoever asked had it given up.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Store(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted))
    }

    /// True if trying again later may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(_) | Self::Clock { .. } => true,
            Self::Damaged(_) | Self::Newer { .. } | Self::TooMuch { .. } | Self::Policy(_) => false,
        }
    }
}
