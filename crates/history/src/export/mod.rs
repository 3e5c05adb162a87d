//! Writing the history out, for other tools: a table for each [`Kind`] of rows, as CSV or Parquet.

mod columns;
mod csv;
mod parquet;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use seawall_model::Wall;

pub use crate::query::Kind;
use crate::{HistoryError, Reader, query::Row};

/// What a table is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), with a header.
    Csv,
    /// Apache Parquet, compressed with Snappy.
    Parquet,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl Kind {
    /// Every kind, in the order in which they are written.
    pub const ALL: [Self; 5] = [Self::Days, Self::Hours, Self::Statuses, Self::Affected, Self::Results];

    /// The name of its file, without the extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::Hours => "hours",
            Self::Statuses => "statuses",
            Self::Affected => "affected",
            Self::Results => "results",
        }
    }
}

/// Why the history cannot be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// There is a file where one was to be written.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write `{}`: {cause}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

impl ExportError {
    /// The code an operator looks up.
    pub fn code(&self) -> &'static str {
        match self {
            Self::History(error) => error.code(),
            Self::Exists(_) => "SW0457",
            Self::File { .. } => "SW0458",
        }
    }

    /// What to do about it, in a line.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::History(error) => error.cure(),
            Self::Exists(_) => "name another directory, or overwrite it with --force",
            Self::File { .. } => "check the directory's permissions and the disk's free space",
        }
    }
}

/// What becomes of rows.
trait Sink {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;
    fn finish(&mut self) -> io::Result<()>;
}

/// A table that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
}

/// What is to be written out, and where.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// The directory for the files; it has to be there.
    pub into: &'a Path,
    /// As what.
    pub format: Format,
    /// From when.
    pub from: Wall,
    /// Until when.
    pub until: Wall,
    /// True if files that are there may be overwritten.
    pub force: bool,
}

impl Export<'_> {
    /// Where a kind of rows is written.
    pub fn path(&self, kind: Kind) -> PathBuf {
        self.into.join(format!("{}.{}", kind.as_str(), self.format.extension()))
    }

    /// Writes the rows of one kind, telling `progress` now and then how much is done, of how much. A file that could not
    /// be finished does not stay.
    ///
    /// # Errors
    /// If the history cannot be read, the file is there already, or it cannot be written.
    pub fn write(
        &self,
        reader: &Reader,
        kind: Kind,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Exported, ExportError> {
        let path = self.path(kind);
        if !self.force && path.exists() {
            return Err(ExportError::Exists(path));
        }
        // Under its own name it appears only once it is whole.
        let part = path.with_extension(format!("{}.part", self.format.extension()));
        let failed = |cause| ExportError::File { path: path.clone(), cause };
        let outcome = File::create(&part).map_err(failed).and_then(|file| {
            let rows = self.write_rows(reader, kind, BufWriter::new(file), progress, &failed)?;
            std::fs::rename(&part, &path).map_err(failed)?;
            Ok(Exported { path: path.clone(), rows })
        });
        if outcome.is_err() {
            // What matters is the error there was first.
            let _ = std::fs::remove_file(&part);
        }
        outcome
    }

    fn write_rows(
        &self,
        reader: &Reader,
        kind: Kind,
        out: impl Write + Send,
        progress: &mut dyn FnMut(u64, u64),
        failed: &dyn Fn(io::Error) -> ExportError,
    ) -> Result<u64, ExportError> {
        let mut rows = 0;
        let mut walk = |sink: &mut dyn Sink| {
            reader.walk(kind, (self.from, self.until), progress, &mut |row| {
                rows += 1;
                sink.row(row).map_err(failed)
            })?;
            sink.finish().map_err(failed)
        };
        match self.format {
            Format::Csv => walk(&mut csv::Csv::new(out, kind).map_err(failed)?)?,
            Format::Parquet => walk(&mut parquet::Parquet::new(out, kind).map_err(failed)?)?,
        }
        Ok(rows)
    }
}
