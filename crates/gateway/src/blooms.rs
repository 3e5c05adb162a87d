//! The logs blooms of the agreed chain's last blocks, as the polls saw them: they tell of an empty answer to
//! `eth_getLogs` whether it can be the truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use seawall_chain::{
    Block, ChainId, Hash,
    bloom::{Bloom, Wanted},
    heads::HeadSeen,
    parse_quantity,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Blocks remembered.
const HELD: usize = 256;
/// Most blocks of a range that are looked at.
const RANGE: u64 = 64;

/// Chains of which some logs stand in no header: what Polygon PoS and its testnet bring over from Ethereum.
const UNTOLD: [ChainId; 2] = [ChainId(137), ChainId(80_002)];

/// Do the headers of that chain tell of all its logs?
pub(crate) fn tell_all(chain: ChainId) -> bool {
    !UNTOLD.contains(&chain)
}

/// The blooms of a pool's chain.
#[derive(Default)]
pub(crate) struct Blooms(Mutex<BTreeMap<(u64, Hash), Shown>>);

/// A block's bloom, and who showed it.
struct Shown {
    bloom: Bloom,
    /// The provider that showed it first.
    by: usize,
    /// Another provider showed the same. A header's hash is not worked out here, so that one alone could lie.
    confirmed: bool,
    /// Another provider showed something else.
    disputed: bool,
}

/// What the blooms say of an empty answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// There is nothing: no block of the range can hold what was asked for.
    Certain,
    /// A block of the range may hold what was asked for, and most likely does.
    Suspicious,
    /// Too little is known of the range.
    Unknown,
}

/// What a node shows, if that is a block with a bloom.
pub(crate) fn bloom_of(block: &RawValue) -> Option<(Block, Bloom)> {
    #[derive(Deserialize)]
    struct Header<'a> {
        #[serde(borrow, rename = "logsBloom")]
        bloom: Option<&'a str>,
    }
    let bloom = Bloom::parse(serde_json::from_str::<Header<'_>>(block.get()).ok()?.bloom?)?;
    Some((HeadSeen::from_result(block).ok()?.block(), bloom))
}

impl Blooms {
    /// `provider` showed that bloom of `block`.
    pub(crate) fn note(&self, provider: usize, block: Block, bloom: Bloom) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Shown { bloom: bloom.clone(), by: provider, confirmed: false, disputed: false };
        let shown = held.entry((block.number, block.hash)).or_insert(fresh);
        shown.disputed |= shown.bloom != bloom;
        shown.confirmed |= shown.by != provider;
        while held.len() > HELD {
            held.pop_first();
        }
    }

    /// What is to be said of an empty answer to a call of these parameters for blocks `from` to `to` of the agreed
    /// chain.
    pub(crate) fn empty(&self, params: &str, from: u64, to: u64, history: &BTreeMap<u64, Hash>) -> Empty {
        if from > to || to - from >= RANGE {
            return Empty::Unknown;
        }
        let Some(wanted) = Wanted::from_params(params) else { return Empty::Unknown };
        // The polls hold it for moments; a call does not wait for them.
        let Ok(held) = self.0.try_lock() else { return Empty::Unknown };
        let mut all_known = true;
        for number in from..=to {
            let shown =
                history.get(&number).and_then(|hash| held.get(&(number, *hash))).filter(|s| !s.disputed);
            match shown {
                Some(shown) if wanted.may_be_in(&shown.bloom) => return Empty::Suspicious,
                Some(shown) => all_known &= shown.confirmed,
                None => all_known = false,
            }
        }
        // Some chains leave every bloom empty.
        let used = || held.values().any(|shown| !shown.bloom.is_empty());
        if all_known && used() { Empty::Certain } else { Empty::Unknown }
    }
}

impl Blooms {
    /// The blocks of the agreed chain from `from` to `to` that surely hold what a call of these parameters asks for, as
    /// two providers' headers show.
    pub(crate) fn surely(&self, params: &str, from: u64, to: u64, history: &BTreeMap<u64, Hash>) -> Vec<u64> {
        if from > to || to - from >= RANGE {
            return Vec::new();
        }
        let (Some(wanted), Ok(held)) = (Wanted::from_params(params), self.0.try_lock()) else {
            return Vec::new();
        };
        let shown = |number: &u64| held.get(&(*number, *history.get(number)?));
        let sure = |s: &Shown| s.confirmed && !s.disputed && wanted.is_surely_in(&s.bloom);
        (from..=to).filter(|number| shown(number).is_some_and(sure)).collect()
    }
}

/// The heights of the blocks that a list of logs is of; `None` if it is none.
pub(crate) fn heights(result: &RawValue) -> Option<BTreeSet<u64>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Log<'a> {
        #[serde(borrow)]
        block_number: &'a str,
    }
    let logs: Vec<Log<'_>> = serde_json::from_str(result.get()).ok()?;
    logs.iter().map(|log| parse_quantity(log.block_number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_is_believed_only_where_two_providers_show_that_nothing_is_there() {
        let hash = |n: u64| format!("0x{n:064x}").parse::<Hash>().unwrap();
        let block = |n| Block { number: n, hash: hash(n) };
        let nothing = || Bloom::parse(&format!("0x{}", "00".repeat(256))).unwrap();
        let everything = || Bloom::parse(&format!("0x{}", "ff".repeat(256))).unwrap();
        let history = (1..=5).map(|n| (n, hash(n))).collect();
        let blooms = Blooms::default();
        let check =
            |from, to, want| assert_eq!(blooms.empty("[{}]", from, to, &history), want, "{from} to {to}");
        check(1, 1, Empty::Unknown);
        blooms.note(0, block(1), nothing());
        blooms.note(0, block(1), nothing());
        check(1, 1, Empty::Unknown);
        blooms.note(1, block(1), nothing());
        check(1, 1, Empty::Unknown);
        blooms.note(1, block(5), everything());
        check(1, 1, Empty::Certain);
        check(1, 2, Empty::Unknown);
        blooms.note(0, block(2), everything());
        check(1, 2, Empty::Suspicious);
        check(1, 200, Empty::Unknown);
        check(2, 1, Empty::Unknown);
        blooms.note(1, block(2), nothing());
        check(2, 2, Empty::Unknown);
        let forked = Block { number: 3, hash: hash(99) };
        (0..2).for_each(|provider| blooms.note(provider, forked, nothing()));
        check(3, 3, Empty::Unknown);
    }
}
