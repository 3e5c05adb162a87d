//! The history's section of the estate.

pub mod raw;

use std::path::PathBuf;

use crate::Policy;

/// Where the history is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistorySection {
    /// The directory.
    pub dir: PathBuf,
    /// How long what is kept.
    pub policy: Policy,
}
