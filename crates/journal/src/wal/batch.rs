//! A batch of the write-ahead log: the frames of one group commit under one checksum.
//!
//! ```text
//! magic 4 | length of body u32 | first index u64 | count u32 | crc32c of all but magic and itself u32 | body
//! ```

use crate::frame::{Frame, MAX_FRAME};

/// No byte of JSON is 0xff: payloads cannot look like a batch.
const MAGIC: [u8; 4] = [0xff, b's', b'w', 1];

/// Length of what comes before the body, in bytes.
pub(super) const HEADER: usize = 24;

/// A batch is closed once its body is larger than this, in bytes.
const TARGET: usize = 1 << 20;

/// The largest body, in bytes.
pub(super) const MAX_BODY: usize = TARGET + MAX_FRAME;

/// Frames under consecutive indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The first frame's index.
    pub first: u64,
    /// The frames.
    pub frames: Vec<Frame>,
}

/// Why bytes are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Not the beginning of a batch.
    #[error("not a batch")]
    NotABatch,
    /// Shorter than the batch says it is.
    #[error("the batch is cut short")]
    Short,
    /// The checksum is not that of the bytes.
    #[error("the checksum does not match")]
    Checksum,
    /// The checksum is right, the frames are not.
    #[error("the checksum matches, but the records do not decode")]
    Frames,
}

/// The header of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) body: usize,
    first: u64,
    count: u32,
    crc: u32,
    covered: [u8; 16],
}

/// Appends one batch to `out`, of as many `frames` as it holds: one at least. Returns how many.
pub(super) fn encode(first: u64, frames: &[Frame], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let mut count = 0_u32;
    for frame in frames {
        out.extend_from_slice(frame.bytes());
        count += 1;
        if out.len() - start - HEADER >= TARGET {
            break;
        }
    }
    let (header, body) = out[start..].split_at_mut(HEADER);
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&u32::try_from(body.len()).expect("a body is below 2 MiB").to_be_bytes());
    header[8..16].copy_from_slice(&first.to_be_bytes());
    header[16..20].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[4..20]), body);
    header[20..].copy_from_slice(&crc.to_be_bytes());
    count as usize
}

impl Header {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or(BatchError::Short)?;
        let (magic, rest) = header.split_at(4);
        let covered: [u8; 16] = rest[..16].try_into().map_err(|_| BatchError::NotABatch)?;
        let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let body = word(0) as usize;
        if magic != MAGIC || body > MAX_BODY {
            return Err(BatchError::NotABatch);
        }
        let first = u64::from(word(4)) << 32 | u64::from(word(8));
        Ok(Self { body, first, count: word(12), crc: word(16), covered })
    }

    pub(super) fn batch(&self, mut body: &[u8]) -> Result<Batch, BatchError> {
        if crc32c::crc32c_append(crc32c::crc32c(&self.covered), body) != self.crc {
            return Err(BatchError::Checksum);
        }
        let mut frames = Vec::new();
        while let Some(frame) = Frame::decode(&mut body) {
            frames.push(frame);
        }
        let whole = body.is_empty() && frames.len() == self.count as usize && !frames.is_empty();
        if whole { Ok(Batch { first: self.first, frames }) } else { Err(BatchError::Frames) }
    }
}

impl Batch {
    /// The batch's bytes. A batch of more than about 1 MiB comes out as its beginning.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode(self.first, &self.frames, &mut out);
        out
    }

    /// Takes the first batch off `bytes`.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, BatchError> {
        let header = Header::decode(bytes)?;
        let rest = &bytes[HEADER..];
        let (body, rest) = rest.split_at_checked(header.body).ok_or(BatchError::Short)?;
        let batch = header.batch(body)?;
        *bytes = rest;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::{Record, RecordKind, Wall};

    use super::*;

    fn frames(n: u64) -> Vec<Frame> {
        (0..n)
            .map(|i| {
                let payload = serde_json::json!({ "i": i });
                let record = Record { kind: RecordKind::Head, component: None, at: Wall(0), payload };
                Frame::encode(&record, [1; 16]).unwrap()
            })
            .collect()
    }

    #[test]
    fn batches_survive_the_round_trip_one_after_the_other() {
        let (one, two) = (Batch { first: 5, frames: frames(3) }, Batch { first: 8, frames: frames(1) });
        let bytes = [one.encode(), two.encode()].concat();
        let mut rest = bytes.as_slice();
        assert_eq!(Batch::decode(&mut rest), Ok(one));
        assert_eq!(Batch::decode(&mut rest), Ok(two));
        assert_eq!(Batch::decode(&mut rest), Err(BatchError::Short));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = Batch { first: 5, frames: frames(3) }.encode();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Batch::decode(&mut bytes.as_slice()).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Batch::decode(&mut &bytes[..len]), Err(BatchError::Short), "{len}");
        }
    }

    #[test]
    fn a_batch_is_closed_at_its_target() {
        let frames = frames(20_000);
        let mut out = Vec::new();
        let taken = encode(0, &frames, &mut out);
        assert!(taken < frames.len() && out.len() <= HEADER + MAX_BODY);
        assert_eq!(Batch::decode(&mut out.as_slice()).unwrap().frames.len(), taken);
    }
}
