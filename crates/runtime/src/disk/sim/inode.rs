//! A simulated file's bytes: what is seen, and what a power cut would leave.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The unit in which a torn write is kept or lost.
const SECTOR: usize = 512;

#[derive(Debug)]
pub(super) struct Inode {
    number: u64,
    /// What reads see.
    seen: Vec<u8>,
    /// What the last sync left on the medium.
    synced: Vec<u8>,
    /// Below this offset the two are the same.
    same: usize,
    /// Bytes that a failed sync dropped: reads see them until the power goes.
    dropped: Vec<Range<usize>>,
}

impl Inode {
    pub(super) fn new(number: u64) -> Self {
        Self { number, seen: Vec::new(), synced: Vec::new(), same: 0, dropped: Vec::new() }
    }

    pub(super) fn lock(inode: &Mutex<Self>) -> MutexGuard<'_, Self> {
        inode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.seen.truncate(len);
        self.same = self.same.min(len);
        // What is written there from now on is written anew.
        self.dropped.iter_mut().for_each(|range| range.end = range.end.min(len));
    }

    pub(super) fn sync(&mut self) {
        self.synced.truncate(self.same);
        self.synced.extend_from_slice(&self.seen[self.same..]);
        self.same = self.seen.len();
    }

    /// A failed sync: the kernel marks the pages clean, and no later sync writes them.
    pub(super) fn drop_unsynced(&mut self) {
        self.dropped.push(self.same..self.seen.len());
        self.sync();
    }

    pub(super) fn corrupt(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.seen);
        self.synced.clone_from(&self.seen);
        self.same = self.seen.len();
    }

    pub(super) fn power_cut(&mut self, random: &mut fastrand::Rng) {
        if self.seen.len() != self.synced.len() || self.same < self.seen.len() {
            match random.u8(..4) {
                0 => self.seen.clone_from(&self.synced),
                1 => {}
                _ => self.tear(random),
            }
        }
        for range in std::mem::take(&mut self.dropped) {
            let end = range.end.min(self.seen.len());
            if range.start < end {
                self.seen[range.start..end].fill(0);
            }
        }
        self.synced.clone_from(&self.seen);
        self.same = self.seen.len();
    }

    /// Keeps a random part of what was not synced: any length, any subset of sectors.
    fn tear(&mut self, random: &mut fastrand::Rng) {
        let len = random.usize(self.same..=self.seen.len());
        self.seen.truncate(len);
        let mut at = self.same;
        while at < len {
            let end = len.min((at / SECTOR + 1) * SECTOR);
            match random.u8(..6) {
                0 => self.seen[at..end].fill(0),
                1 => random.fill(&mut self.seen[at..end]),
                2 => {
                    for (offset, byte) in self.seen[at..end].iter_mut().enumerate() {
                        *byte = self.synced.get(at + offset).copied().unwrap_or(0);
                    }
                }
                _ => {}
            }
            at = end;
        }
    }
}
