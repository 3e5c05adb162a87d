//! Who has been here before: one fingerprint a slot, and a newcomer takes the slot of whoever had it.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use foldhash::fast::SeedableRandomState;

/// Slots for each entry that is expected to be kept, so that a newcomer is remembered for about as long as an entry.
const SLOTS: usize = 2;

/// Remembers, roughly, what was asked of late. It may take one call for another (one in 65,536), or forget one.
#[derive(Debug)]
pub(super) struct Door {
    slots: Box<[AtomicU16]>,
    hasher: SeedableRandomState,
}

impl Door {
    pub(super) fn new(items: usize, hasher: SeedableRandomState) -> Self {
        let slots = (items * SLOTS).next_power_of_two();
        Self { slots: (0..slots).map(|_| AtomicU16::new(0)).collect(), hasher }
    }

    /// Was `call` asked of late? From now on it was.
    pub(super) fn knows(&self, call: &[u8]) -> bool {
        let hash = self.hasher.hash_one(call);
        let high = (hash >> 48) as u16;
        let slot = &self.slots[(hash as usize) & (self.slots.len() - 1)];
        let known = slot.load(Relaxed) == high;
        if !known {
            slot.store(high, Relaxed);
        }
        known
    }
}
