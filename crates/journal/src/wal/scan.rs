//! Reading the write-ahead log back, and telling a torn end from damage.

use seawall_runtime::disk::Open;

use super::{
    Batch, DIR,
    batch::{BatchError, HEADER, Header, MAX_BODY},
    damaged, segment,
};
use crate::{
    frame::Frame,
    home::{Damage, DiskError, Home, HomeFile},
};

/// The end of the write-ahead log that a crash tore: never acknowledged, dropped when the log opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file, relative to the journal's directory.
    pub file: String,
    /// Where the tear begins, in bytes.
    pub offset: u64,
    /// How many bytes are dropped.
    pub bytes: u64,
}

/// What the write-ahead log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// First indexes of the segments, oldest first. Never empty.
    pub(crate) segments: Vec<u64>,
    /// The index after the last record.
    pub(crate) end: u64,
    /// The torn end, if there is one.
    pub(crate) torn: Option<Torn>,
}

impl Scanned {
    /// The index of the first record held.
    pub(crate) fn first(&self) -> u64 {
        self.segments[0]
    }
}

/// Why the write-ahead log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ScanError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Reads every segment in order and hands each record to `visit`. `None` if there are no segments.
pub(crate) fn scan(
    home: &Home,
    mut visit: impl FnMut(u64, Frame) -> Result<(), ScanError>,
) -> Result<Option<Scanned>, ScanError> {
    let segments = segments(home)?;
    let Some(&first) = segments.first() else { return Ok(None) };
    let mut end = first;
    let mut torn = None;
    for &first in &segments {
        // A torn end is dropped by going on in a new segment, so it may come before one.
        if first != end {
            let what = format!("records {end} to {first} are missing before it");
            let at = torn.as_ref().map_or_else(
                || damaged(first, 0, &what),
                |torn: &Torn| {
                    Damage::new(
                        &torn.file,
                        format!("at byte {}: a bad batch; {first} is the next record", torn.offset),
                    )
                },
            );
            return Err(at.into());
        }
        torn = read(home, first, &mut end, &mut visit)?;
    }
    Ok(Some(Scanned { segments, end, torn }))
}

fn segments(home: &Home) -> Result<Vec<u64>, ScanError> {
    home.list(DIR)?
        .into_iter()
        .map(|entry| {
            let first = entry.name.parse().ok().filter(|&first| segment(first).ends_with(&entry.name));
            first.ok_or_else(|| Damage::new(format!("{DIR}/{}", entry.name), "not a segment's name").into())
        })
        .collect()
}

fn read(
    home: &Home,
    first: u64,
    end: &mut u64,
    visit: &mut impl FnMut(u64, Frame) -> Result<(), ScanError>,
) -> Result<Option<Torn>, ScanError> {
    let file = home.open(segment(first), Open::Read)?;
    let len = file.len()?;
    let mut offset = 0;
    while offset < len {
        let (batch, size) = match batch_at(&file, offset, len)? {
            Ok(found) => found,
            Err(error) => return torn(&file, first, offset, len, error).map(Some),
        };
        if batch.first != *end {
            let what = format!("a batch that begins at record {}, not {end}", batch.first);
            return Err(damaged(first, offset, &what).into());
        }
        for frame in batch.frames {
            visit(*end, frame)?;
            *end += 1;
        }
        offset += size;
    }
    Ok(None)
}

fn batch_at(file: &HomeFile, offset: u64, len: u64) -> Result<Result<(Batch, u64), BatchError>, DiskError> {
    let left = usize::try_from(len - offset).unwrap_or(usize::MAX);
    if left < HEADER {
        return Ok(Err(BatchError::Short));
    }
    let header = match Header::decode(&file.read_at(offset, HEADER)?) {
        Ok(header) if header.body <= left - HEADER => header,
        Ok(_) => return Ok(Err(BatchError::Short)),
        Err(error) => return Ok(Err(error)),
    };
    let body = file.read_at(offset + HEADER as u64, header.body)?;
    Ok(header.batch(&body).map(|batch| (batch, (HEADER + header.body) as u64)))
}

/// A bad batch at `offset`: torn, unless it is longer than one batch or a whole one comes after it.
fn torn(file: &HomeFile, first: u64, offset: u64, len: u64, error: BatchError) -> Result<Torn, ScanError> {
    let bytes = len - offset;
    if bytes > (HEADER + MAX_BODY) as u64 {
        return Err(damaged(first, offset, &error.to_string()).into());
    }
    let rest = file.read_at(offset, usize::try_from(bytes).unwrap_or(usize::MAX))?;
    if (1..rest.len()).any(|at| Batch::decode(&mut &rest[at..]).is_ok()) {
        return Err(damaged(first, offset, &format!("{error}, and a whole batch comes after it")).into());
    }
    Ok(Torn { file: segment(first).to_string_lossy().into_owned(), offset, bytes })
}
