//! Results as they are kept: packed, in the order of their times, each once.

use super::{
    coding::{Damaged, fold, put, take, unfold},
    tally::{Outcome, Tally},
};

/// A result, its texts as numbers of the store's word list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When, in milliseconds after the beginning of its minute.
    pub(crate) offset: u16,
    pub(crate) source: u32,
    pub(crate) seq: u64,
    pub(crate) vantage: u32,
    pub(crate) outcome: Outcome,
    pub(crate) cause: Option<u32>,
    pub(crate) latency: Option<u64>,
}

/// What one result is told from another by, within a component and a minute. The time is in it, since a source that
/// starts anew may count anew.
type Identity = (u16, u32, u64, u32);

impl Entry {
    fn identity(&self) -> Identity {
        (self.offset, self.source, self.seq, self.vantage)
    }
}

const CAUSE: u8 = 4;
const LATENCY: u8 = 8;

fn put_entry(out: &mut Vec<u8>, entry: &Entry, last_seq: u64) {
    put(out, u64::from(entry.offset));
    put(out, u64::from(entry.source));
    put(out, fold(entry.seq.wrapping_sub(last_seq) as i64));
    put(out, u64::from(entry.vantage));
    let outcome = match entry.outcome {
        Outcome::Ok => 0,
        Outcome::Failed => 1,
        Outcome::Unknown => 2,
    };
    let cause = entry.cause.map_or(0, |_| CAUSE);
    let latency = entry.latency.map_or(0, |_| LATENCY);
    out.push(outcome | cause | latency);
    entry.cause.into_iter().for_each(|cause| put(out, u64::from(cause)));
    entry.latency.into_iter().for_each(|us| put(out, us));
}

fn take_entry(bytes: &mut &[u8], last_seq: u64) -> Option<Entry> {
    let offset = u16::try_from(take(bytes)?).ok()?;
    let source = u32::try_from(take(bytes)?).ok()?;
    let seq = last_seq.wrapping_add(unfold(take(bytes)?) as u64);
    let vantage = u32::try_from(take(bytes)?).ok()?;
    let (flags, rest) = bytes.split_first()?;
    *bytes = rest;
    let outcome = match flags & 3 {
        0 => Outcome::Ok,
        1 => Outcome::Failed,
        2 => Outcome::Unknown,
        _ => return None,
    };
    let cause = match flags & CAUSE {
        0 => None,
        _ => Some(u32::try_from(take(bytes)?).ok()?),
    };
    let latency = match flags & LATENCY {
        0 => None,
        _ => Some(take(bytes)?),
    };
    Some(Entry { offset, source, seq, vantage, outcome, cause, latency })
}

/// Results of many components within a minute, as they came: what a batch leaves.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    last_seq: u64,
}

impl Chunk {
    pub(crate) fn push(&mut self, component: u32, entry: &Entry) {
        put(&mut self.bytes, u64::from(component));
        put_entry(&mut self.bytes, entry, self.last_seq);
        self.last_seq = entry.seq;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a chunk back.
    pub(crate) fn read(mut bytes: &[u8], mut each: impl FnMut(u32, Entry)) -> Result<(), Damaged> {
        let mut last_seq = 0;
        while !bytes.is_empty() {
            let component = take(&mut bytes).and_then(|n| u32::try_from(n).ok()).ok_or(Damaged("result"))?;
            let entry = take_entry(&mut bytes, last_seq).ok_or(Damaged("result"))?;
            last_seq = entry.seq;
            each(component, entry);
        }
        Ok(())
    }
}

/// The results of one component in one minute, each once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packed(Vec<Entry>);

impl Packed {
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, Damaged> {
        let (mut entries, mut last_seq) = (Vec::new(), 0);
        while !bytes.is_empty() {
            let entry = take_entry(&mut bytes, last_seq).ok_or(Damaged("result"))?;
            last_seq = entry.seq;
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut out, mut last_seq) = (Vec::with_capacity(self.0.len() * 12), 0);
        for entry in &self.0 {
            put_entry(&mut out, entry, last_seq);
            last_seq = entry.seq;
        }
        out
    }

    /// Takes in what is new of `more` and gives what that adds up to. Of two that are told apart by nothing, the
    /// first is kept.
    pub(crate) fn take_in(&mut self, more: impl IntoIterator<Item = Entry>) -> Tally {
        let had: std::collections::BTreeSet<Identity> = self.0.iter().map(Entry::identity).collect();
        let mut new: Vec<Entry> = more.into_iter().filter(|e| !had.contains(&e.identity())).collect();
        // Stable, so that the first of those that are the same comes first.
        new.sort_by_key(Entry::identity);
        new.dedup_by_key(|e| e.identity());
        let mut delta = Tally::default();
        new.iter().for_each(|e| delta.add(e.outcome, e.latency));
        self.0.append(&mut new);
        if !had.is_empty() {
            self.0.sort_by_key(Entry::identity);
        }
        delta
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.0.iter().for_each(|e| tally.add(e.outcome, e.latency));
        tally
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let rest = (0_usize..3, prop::option::of(0_u32..9), prop::option::of(any::<u64>()));
        (0_u16..5, 0_u32..3, 0_u64..4, 0_u32..2, rest).prop_map(|(offset, source, seq, vantage, rest)| {
            Entry {
                offset,
                source,
                seq,
                vantage,
                outcome: [Outcome::Ok, Outcome::Failed, Outcome::Unknown][rest.0],
                cause: rest.1,
                latency: rest.2,
            }
        })
    }

    proptest! {
        #[test]
        fn each_is_kept_once_however_they_come(all in prop::collection::vec(entry(), 0..80), cut in 0_usize..80) {
            let (a, b) = all.split_at(cut.min(all.len()));
            let mut whole = Packed::default();
            whole.take_in(all.iter().copied());
            let mut parts = Packed::default();
            let mut sum = parts.take_in(a.iter().copied());
            sum.merge(&parts.take_in(b.iter().copied()));
            prop_assert_eq!(parts.take_in(all.iter().copied()), Tally::default());
            prop_assert_eq!(&parts, &whole);
            prop_assert_eq!(sum, whole.tally());
            prop_assert_eq!(Packed::decode(&whole.encode()).unwrap(), whole);
        }

        #[test]
        fn chunks_survive_the_round_trip(all in prop::collection::vec((any::<u32>(), entry()), 0..40)) {
            let mut chunk = Chunk::default();
            all.iter().for_each(|(component, entry)| chunk.push(*component, entry));
            let mut back = Vec::new();
            Chunk::read(chunk.bytes(), |component, entry| back.push((component, entry))).unwrap();
            prop_assert_eq!(back, all);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Packed::decode(&bytes);
            let _ = Chunk::read(&bytes, |_, _| {});
        }
    }
}
