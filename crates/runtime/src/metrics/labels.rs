//! Label values that come from outside, kept to a number.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

/// A label whose values come from outside (method names, say): the first `max` are kept apart, and all
/// others share one.
#[derive(Debug)]
pub struct Labels {
    max: usize,
    seen: RwLock<BTreeSet<Arc<str>>>,
    other: Arc<str>,
}

impl Labels {
    /// What values beyond the limit are counted as.
    pub const OTHER: &'static str = "other";

    /// The longest value kept apart, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Keeps at most `max` values apart.
    pub fn new(max: usize) -> Self {
        Self { max, seen: RwLock::default(), other: Self::OTHER.into() }
    }

    /// The label to count `value` under: itself, or [`Labels::OTHER`].
    pub fn admit(&self, value: &str) -> Arc<str> {
        if let Some(known) = self.seen.read().unwrap_or_else(PoisonError::into_inner).get(value) {
            return known.clone();
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= self.max || value.len() > Self::MAX_LEN {
            return self.other.clone();
        }
        let new: Arc<str> = value.into();
        seen.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_kept_apart() {
        let labels = Labels::new(2);
        let long = "x".repeat(Labels::MAX_LEN + 1);
        for (value, wanted) in [("a", "a"), (&*long, "other"), ("b", "b"), ("c", "other"), ("a", "a")] {
            assert_eq!(&*labels.admit(value), wanted);
        }
    }
}
