//! The heartbeats that have come, by whom they are from.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use seawall_model::{Name, Wall};

use crate::core::beat::{Beat, Heart};

/// What is remembered of heartbeats. There are as many as names that the caller lets in.
#[derive(Debug)]
pub struct Beats {
    hearts: Mutex<BTreeMap<Name, Heart>>,
    since: Wall,
}

impl Beats {
    /// None yet; they are listened for from now on.
    pub fn new(now: Wall) -> Self {
        Self { hearts: Mutex::default(), since: now }
    }

    /// What was remembered before this process began.
    pub fn recall(&self, name: Name, heart: Heart) {
        self.lock().insert(name, heart);
    }

    /// Takes note of one, and gives what there is to be remembered now.
    pub fn take(&self, name: &Name, beat: Beat) -> Heart {
        let mut hearts = self.lock();
        let heart = hearts.entry(name.clone()).or_default();
        heart.take(beat);
        heart.clone()
    }

    /// What there is of that name.
    pub fn of(&self, name: &Name) -> Heart {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    /// From when on they are listened for.
    pub fn since(&self) -> Wall {
        self.since
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Heart>> {
        self.hearts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
