//! The files of an estate and places in them.

use std::{ops::Range, path::PathBuf};

/// A file of the estate, by its number in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u16);

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// Offset of its first byte.
    pub start: u32,
    /// Offset of the byte after its last.
    pub end: u32,
}

impl Place {
    /// The stretch `span` of `file`. Files are far smaller than 4 GiB; what is beyond is cut to that.
    pub fn new(file: FileId, span: Range<usize>) -> Self {
        let cut = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file, start: cut(span.start), end: cut(span.end) }
    }

    /// The stretch as offsets in bytes.
    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path, as the user wrote it or as an include led to it.
    pub path: PathBuf,
    /// Its whole text.
    pub text: String,
}

/// A place as people count: from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

/// The files of an estate, in the order they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Most files of one estate.
    pub const MAX_FILES: usize = 256;

    /// Takes a file in; `None` if there are [`Sources::MAX_FILES`] already.
    pub fn add(&mut self, source: Source) -> Option<FileId> {
        let id = u16::try_from(self.0.len()).ok().filter(|_| self.0.len() < Self::MAX_FILES)?;
        self.0.push(source);
        Some(FileId(id))
    }

    /// A file that was taken in here.
    pub fn get(&self, id: FileId) -> &Source {
        &self.0[usize::from(id.0)]
    }

    /// All files.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// Where a place begins, as people count.
    pub fn position(&self, place: Place) -> Position {
        let text = self.get(place.file).text.as_bytes();
        let before = &text[..place.span().start.min(text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        Position {
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            // Every byte but UTF-8's continuation bytes (10xxxxxx) begins a character.
            column: before[line_start..].iter().filter(|b| **b & 0xC0 != 0x80).count() + 1,
        }
    }
}
