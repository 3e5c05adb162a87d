//! Answers that were given a moment ago, by the words they were asked in.
//!
//! For as long as the agreed chain stays as it is, a call comes to the same words with its tags replaced, and these to the
//! same kept answer: the second time both steps are left out. Each place holds one answer, the last that fell on it, so
//! nothing has to be found and dropped when the chain goes on.

use std::{hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;

use super::cache::Kept;

/// Places; a power of two.
const PLACES: usize = 512;
/// Longest parameters, and longest answer, in bytes: what is remembered stays in memory, whatever the cache drops.
const LONGEST: (usize, usize) = (1 << 10, 4 << 10);

/// The answers that one thread has given lately.
#[derive(Debug, Default)]
pub struct Memo {
    /// Made when the first is remembered.
    places: Vec<Option<Place>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Place {
    chain: u64,
    method: Box<str>,
    params: Box<str>,
    kept: Arc<Kept>,
}

impl Memo {
    /// The answer to a call of that method with those parameters, as its client wrote them, on the chain of that number.
    pub fn find(&self, chain: u64, method: &str, params: &str) -> Option<&Arc<Kept>> {
        if self.places.is_empty() {
            return None;
        }
        let place = self.places.get(self.at(method, params))?.as_ref()?;
        let same = place.chain == chain && *place.params == *params && *place.method == *method;
        same.then_some(&place.kept)
    }

    /// Remembers an answer to such a call, if it is not too long.
    pub fn keep(&mut self, chain: u64, method: &str, params: &str, kept: &Arc<Kept>) {
        if params.len() > LONGEST.0 || kept.result.len() > LONGEST.1 {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let at = self.at(method, params);
        self.places[at] =
            Some(Place { chain, method: method.into(), params: params.into(), kept: kept.clone() });
    }

    fn at(&self, method: &str, params: &str) -> usize {
        self.hasher.hash_one((method, params)) as usize % PLACES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is found is the last answer that was kept for these words on that chain; nothing too long is kept.
        #[test]
        fn like_a_list(steps in prop::collection::vec((0u64..3, "[ab]{1,2}", "[xy]{0,3}", prop::option::of("r{1,3}")), 1..200)) {
            let mut memo = Memo::default();
            let mut said: Vec<((u64, String, String), String)> = Vec::new();
            for (chain, method, params, keep) in steps {
                if let Some(result) = keep {
                    memo.keep(chain, &method, &params, &Arc::new(Kept::of(&result)));
                    said.push(((chain, method.clone(), params.clone()), result));
                }
                if let Some(kept) = memo.find(chain, &method, &params) {
                    let key = (chain, method, params);
                    let last = said.iter().rev().find(|(k, _)| *k == key).map(|(_, r)| r.as_str());
                    prop_assert_eq!(Some(&*kept.result), last);
                }
            }
        }
    }

    #[test]
    fn what_was_just_kept_is_found_unless_it_is_too_long() {
        let mut memo = Memo::default();
        assert!(memo.find(1, "m", "[]").is_none());
        for (params, result, found) in
            [(2, 2, true), (LONGEST.0, LONGEST.1, true), (LONGEST.0 + 1, 2, false), (2, LONGEST.1 + 1, false)]
        {
            let params = "p".repeat(params);
            memo.keep(1, "m", &params, &Arc::new(Kept::of(&"r".repeat(result))));
            let is = memo.find(1, "m", &params).is_some_and(|kept| kept.result.len() == result);
            assert_eq!(is, found, "{} {result}", params.len());
        }
        assert!(memo.find(2, "m", &"p".repeat(2)).is_none(), "another chain");
    }
}
