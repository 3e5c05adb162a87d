//! Points out of CSV.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    io::{self, Read},
    rc::Rc,
    str::from_utf8,
};

use csv::{ByteRecord, Reader, ReaderBuilder};
use seawall_model::Wall;

use super::time;

/// Bytes of the longest record.
const MAX_RECORD: u64 = 1 << 16;
/// Bytes read at once.
const BUFFER: usize = 1 << 16;
/// Characters of a text that is shown in an error.
const SHOWN: usize = 40;

/// Why the points cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum TableError {
    #[error("cannot be read: {cause}")]
    Unreadable { cause: io::Error },
    #[error("{why}")]
    Columns { line: u64, why: &'static str },
    #[error("`{text}` is no timestamp")]
    Timestamp { line: u64, text: String },
    #[error("`{text}` is no number")]
    Value { line: u64, text: String },
    #[error("{why}")]
    Record { line: u64, why: String },
    /// What is to be done before more is read could not be: the output is gone.
    #[error("cannot write: {cause}")]
    Waiting { cause: io::Error },
}

impl TableError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "SW0251",
            Self::Columns { .. } => "SW0252",
            Self::Timestamp { .. } => "SW0253",
            Self::Value { .. } => "SW0254",
            Self::Record { .. } => "SW0255",
            Self::Waiting { .. } => "SW0211",
        }
    }

    pub(super) fn cure(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and the permissions, or give `-` for standard input",
            Self::Columns { .. } => "begin the file with a line that names its columns: timestamp,value",
            Self::Timestamp { .. } => {
                "write RFC 3339, `YYYY-MM-DD HH:MM:SS`, or Unix time in seconds or milliseconds"
            }
            Self::Value { .. } => "write a number with a decimal point, or nothing where there is none",
            Self::Record { .. } => {
                "mend the line: two columns or more, separated by commas, of 64 KiB at most"
            }
            Self::Waiting { .. } => "check where standard output is redirected to",
        }
    }

    pub(super) fn line(&self) -> Option<u64> {
        match self {
            Self::Columns { line, .. }
            | Self::Timestamp { line, .. }
            | Self::Value { line, .. }
            | Self::Record { line, .. } => Some(*line),
            Self::Unreadable { .. } | Self::Waiting { .. } => None,
        }
    }
}

/// A point, and how it was written.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) timestamp: &'a str,
    pub(super) written: &'a str,
    pub(super) at: Wall,
    /// `None` where there is no data.
    pub(super) value: Option<f64>,
}

/// Which columns hold the timestamp and the value.
#[derive(Debug, Clone, Copy)]
struct Columns {
    timestamp: usize,
    value: usize,
    /// They are named, so there may be others.
    named: bool,
}

/// A table that is read as it comes.
pub(super) struct Table<'a> {
    reader: Reader<Source<'a>>,
    record: ByteRecord,
    columns: Option<Columns>,
    watch: Rc<Watch>,
}

/// What the reader of bytes and that of records tell each other.
#[derive(Default)]
struct Watch {
    /// No more bytes than this are given out, until another record has been found whole.
    allowed: Cell<u64>,
    too_long: Cell<bool>,
    /// What `before` failed with.
    failed: RefCell<Option<io::Error>>,
}

/// Gives bytes as long as records are short, and does something before it waits for more.
struct Source<'a> {
    inner: Box<dyn Read + 'a>,
    before: &'a mut dyn FnMut() -> io::Result<()>,
    given: u64,
    watch: Rc<Watch>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.watch.allowed.get() {
            self.watch.too_long.set(true);
            return Err(io::Error::other("a record is too long"));
        }
        if let Err(error) = (self.before)() {
            let kind = error.kind();
            *self.watch.failed.borrow_mut() = Some(error);
            return Err(kind.into());
        }
        let read = self.inner.read(buffer)?;
        self.given += read as u64;
        Ok(read)
    }
}

impl<'a> Table<'a> {
    /// Over any source; `before` is called before more of it is waited for.
    pub(super) fn new(inner: Box<dyn Read + 'a>, before: &'a mut dyn FnMut() -> io::Result<()>) -> Self {
        let watch = Rc::new(Watch::default());
        let source = Source { inner, before, given: 0, watch: watch.clone() };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER)
            .from_reader(source);
        Self { reader, record: ByteRecord::new(), columns: None, watch }
    }

    /// Bytes of the records so far.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// The next point; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, TableError> {
        let columns = loop {
            if !self.read()? {
                return Ok(None);
            }
            match self.columns {
                Some(columns) => break columns,
                None => {
                    let columns = columns(&self.record)?;
                    self.columns = Some(columns);
                    if !columns.named {
                        break columns;
                    }
                }
            }
        };
        row(&self.record, columns).map(Some)
    }

    /// Reads a record. False at the end.
    fn read(&mut self) -> Result<bool, TableError> {
        let begin = self.reader.position().clone();
        self.watch.allowed.set(begin.byte() + MAX_RECORD + BUFFER as u64);
        let found = self.reader.read_byte_record(&mut self.record);
        let error = match found {
            Ok(true) if self.reader.position().byte() - begin.byte() <= MAX_RECORD => return Ok(true),
            Ok(false) => return Ok(false),
            Ok(true) => return Err(too_long(begin.line())),
            Err(error) => error,
        };
        if let Some(cause) = self.watch.failed.borrow_mut().take() {
            return Err(TableError::Waiting { cause });
        }
        if self.watch.too_long.get() {
            return Err(too_long(begin.line()));
        }
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(cause) => Err(TableError::Unreadable { cause }),
            _ => Err(TableError::Record { line: begin.line(), why: text }),
        }
    }
}

fn too_long(line: u64) -> TableError {
    TableError::Record { line, why: format!("a record of more than {} KiB begins here", MAX_RECORD >> 10) }
}

fn line(record: &ByteRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// The columns by the first record, which names them or is a point already.
fn columns(record: &ByteRecord) -> Result<Columns, TableError> {
    let missing = |why| Err(TableError::Columns { line: line(record), why });
    let text = |i: usize| record.get(i).and_then(|f| from_utf8(f).ok()).unwrap_or_default();
    if time::parse(text(0)).is_some() {
        return match record.len() {
            1 => missing("there is but one column"),
            2 => Ok(Columns { timestamp: 0, value: 1, named: false }),
            _ => missing("there are more than two columns, and no line that names them"),
        };
    }
    let find = |names: &[&str]| {
        record.iter().position(|field| {
            from_utf8(field).is_ok_and(|f| names.iter().any(|name| f.trim().eq_ignore_ascii_case(name)))
        })
    };
    match (find(&["timestamp", "timestamps"]), find(&["value"])) {
        (Some(timestamp), Some(value)) => Ok(Columns { timestamp, value, named: true }),
        // A point whose timestamp cannot be read.
        (None, None) if text(1).trim().parse::<f64>().is_ok() => {
            Err(TableError::Timestamp { line: line(record), text: shown(record.get(0)) })
        }
        (None, _) => missing("no column is named `timestamp`"),
        (Some(_), None) => missing("no column is named `value`"),
    }
}

fn row(record: &ByteRecord, columns: Columns) -> Result<Row<'_>, TableError> {
    let line = line(record);
    let (Some(timestamp), Some(value)) = (record.get(columns.timestamp), record.get(columns.value)) else {
        let why = "it ends before the timestamp and the value have come".to_owned();
        return Err(TableError::Record { line, why });
    };
    if !columns.named && record.len() > 2 {
        let why = format!("there are {} columns, where there were two before", record.len());
        return Err(TableError::Record { line, why });
    }
    let point = from_utf8(timestamp).ok().and_then(|text| Some((text, time::parse(text)?)));
    let Some((timestamp, at)) = point else {
        return Err(TableError::Timestamp { line, text: shown(Some(timestamp)) });
    };
    let number = from_utf8(value).ok().and_then(|text| Some((text, number(text)?)));
    let Some((written, value)) = number else {
        return Err(TableError::Value { line, text: shown(Some(value)) });
    };
    Ok(Row { timestamp, written, at, value })
}

/// A value; `Some(None)` where there is no data, `None` if it is no number.
fn number(text: &str) -> Option<Option<f64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    Some(Some(text.parse::<f64>().ok()?).filter(|v| v.is_finite()))
}

/// A field as an error shows it.
fn shown(field: Option<&[u8]>) -> String {
    let text = String::from_utf8_lossy(field.unwrap_or_default());
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

/// A field as CSV writes it.
pub(super) fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}
