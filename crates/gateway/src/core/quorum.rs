//! Which answer enough independent providers give.

use serde_json::Value;

/// The answers to one call, and who gave them.
#[derive(Debug)]
pub struct Tally {
    /// Providers that must say the same.
    agree: usize,
    /// Each answer with those who gave it, as (upstream, provider).
    answers: Vec<(Value, Vec<(usize, usize)>)>,
}

impl Tally {
    /// A tally of which `agree` providers decide.
    pub fn new(agree: usize) -> Self {
        Self { agree, answers: Vec::new() }
    }

    /// Upstream `upstream` of `provider` gave `answer`. True if enough providers have now given this one.
    pub fn give(&mut self, upstream: usize, provider: usize, answer: Value) -> bool {
        let i = self.answers.iter().position(|(known, _)| *known == answer).unwrap_or_else(|| {
            self.answers.push((answer, Vec::new()));
            self.answers.len() - 1
        });
        let givers = &mut self.answers[i].1;
        givers.push((upstream, provider));
        let mut providers: Vec<_> = givers.iter().map(|(_, provider)| *provider).collect();
        providers.sort_unstable();
        providers.dedup();
        providers.len() >= self.agree
    }

    /// Upstreams that gave another answer than `upstream` did.
    pub fn dissenters(&self, upstream: usize) -> Vec<usize> {
        let others = self.answers.iter().filter(|(_, givers)| givers.iter().all(|(u, _)| *u != upstream));
        others.flat_map(|(_, givers)| givers.iter().map(|(u, _)| *u)).collect()
    }

    /// How many different answers there are.
    pub fn different(&self) -> usize {
        self.answers.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_of_one_provider_count_once() {
        let mut tally = Tally::new(2);
        assert!(!tally.give(0, 0, 1.into()));
        assert!(!tally.give(1, 0, 1.into()));
        assert!(!tally.give(2, 1, 2.into()));
        assert!(tally.give(3, 2, 1.into()));
        assert_eq!(tally.dissenters(3), [2]);
        assert_eq!(tally.different(), 2);
    }

    proptest! {
        /// It decides just when the providers of some answer are enough.
        #[test]
        fn as_counting_says(given in prop::collection::vec((0usize..4, 0u8..3), 0..12), agree in 1usize..4) {
            let mut tally = Tally::new(agree);
            for (i, (provider, answer)) in given.iter().enumerate() {
                let decided = tally.give(i, *provider, (*answer).into());
                let same = given[..=i].iter().filter(|(_, a)| a == answer).map(|(p, _)| *p);
                prop_assert_eq!(decided, same.collect::<std::collections::BTreeSet<_>>().len() >= agree);
                let others: Vec<_> = (0..=i).filter(|j| given[*j].1 != *answer).collect();
                let mut dissenters = tally.dissenters(i);
                dissenters.sort_unstable();
                prop_assert_eq!(dissenters, others);
            }
        }
    }
}
