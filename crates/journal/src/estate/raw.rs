//! The journal's section as written.

use std::{path::PathBuf, time::Duration};

use seawall_model::{
    estate::{At, Code, Place, Problem, Problems},
    section,
    units::{Bytes, show_duration},
};

use super::JournalSection;
use crate::VerifierKey;

section! {
    /// The journal: an append-only Merkle log of all that happens. Not kept if this is absent.
    pub struct RawJournal {
        /// The directory it lives in; made if need be. A relative path starts from the working directory.
        dir: At<String>, required;
        /// Time between a record and the signed checkpoint that covers it, at most.
        checkpoint_every: At<Duration>, default("1s");
        /// Most records that wait to be written; more are lost, and counted.
        queue: At<u32>, default(4096);
        /// Size at which the write-ahead log is woven into tiles for good and begun anew.
        segment: At<Bytes>, default("16MiB");
        /// Witnesses whose cosignatures are accepted, as C2SP verifier keys.
        witnesses: Vec<At<String>>, default([]);
    }
}

/// Longest time between two checkpoints: C2SP monitors expect to see new records within seconds.
const CHECKPOINT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

/// Shortest and longest queue, in records.
const QUEUE: (u32, u32) = (64, 1 << 20);

/// Smallest and largest segment.
const SEGMENT: (Bytes, Bytes) = (Bytes(1 << 20), Bytes(1 << 30));

/// Most witnesses.
const MAX_WITNESSES: usize = 32;

impl RawJournal {
    /// Judges the section. `None` if it cannot be used; why has been reported.
    pub fn validate(&self, problems: &mut Problems) -> Option<JournalSection> {
        let mut refuse = |place: Place, message: String| {
            problems.report(Problem::new(Code::InvalidValue, place, message));
        };
        let dir = self.dir.as_ref().filter(|dir| {
            let good = !dir.value.is_empty() && !dir.value.contains('\0');
            if !good {
                refuse(dir.place, "`dir` is not a path".to_owned());
            }
            good
        });
        let mut within = |good: bool, place, key: &str, bounds: [String; 2]| {
            if !good {
                refuse(place, format!("`{key}` must be from {} to {}", bounds[0], bounds[1]));
            }
            good
        };
        let every = self.checkpoint_every;
        let bounds = [show_duration(CHECKPOINT.0), show_duration(CHECKPOINT.1)];
        let every_fits = (CHECKPOINT.0..=CHECKPOINT.1).contains(&every.value);
        let mut good = within(every_fits, every.place, "checkpoint_every", bounds);
        let queue_fits = (QUEUE.0..=QUEUE.1).contains(&self.queue.value);
        let bounds = [QUEUE.0.to_string(), QUEUE.1.to_string()];
        good &= within(queue_fits, self.queue.place, "queue", bounds);
        let segment_fits = (SEGMENT.0..=SEGMENT.1).contains(&self.segment.value);
        let bounds = [SEGMENT.0.to_string(), SEGMENT.1.to_string()];
        good &= within(segment_fits, self.segment.place, "segment", bounds);
        if let Some(beyond) = self.witnesses.get(MAX_WITNESSES) {
            refuse(beyond.place, format!("at most {MAX_WITNESSES} witnesses are taken"));
            good = false;
        }
        for key in self.witnesses.iter().filter(|w| w.value.parse::<VerifierKey>().is_err()) {
            refuse(
                key.place,
                "this is no verifier key of the form `name+id+key` (C2SP signed-note)".to_owned(),
            );
            good = false;
        }
        let dir = PathBuf::from(&dir?.value);
        good.then(|| JournalSection {
            dir,
            checkpoint_every: every.value,
            queue: self.queue.value as usize,
            segment_bytes: self.segment.value.0,
            witnesses: self.witnesses.iter().map(|w| w.value.clone()).collect(),
        })
    }
}
