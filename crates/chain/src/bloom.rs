//! The logs bloom of a block's header (Ethereum yellow paper, section 4.3.1): whether a block may hold logs that
//! a filter asks for.

use serde::Deserialize;
use sha3::{Digest, Keccak256};

use crate::hash::pairs;

/// Most addresses and topics of one filter that are looked at.
const MAX_ITEMS: usize = 1_024;

/// How often what is surely there may not be.
const CHANCE: f64 = 1e-3;

/// A header's bloom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bloom(Box<[u8; 256]>);

/// The three bits that an address or a topic sets.
type Bits = [u16; 3];

impl Bloom {
    /// Reads `0x`-hex of 256 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: Vec<u8> = pairs(text).ok()?.collect::<Result<_, _>>().ok()?;
        Some(Self(Box::new(bytes.try_into().ok()?)))
    }

    /// Is there no log at all in the block, or no bloom kept on the chain?
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// The share of its bits that are set.
    fn fill(&self) -> f64 {
        self.0.iter().map(|byte| f64::from(byte.count_ones())).sum::<f64>() / 2_048.0
    }

    fn has(&self, bits: Bits) -> bool {
        bits.iter().all(|bit| self.0[255 - usize::from(bit / 8)] & 1 << (bit % 8) != 0)
    }
}

fn bits(item: &str) -> Option<Bits> {
    let bytes: Vec<u8> = pairs(item).ok()?.collect::<Result<_, _>>().ok()?;
    let hash = Keccak256::digest(&bytes);
    Some(std::array::from_fn(|i| u16::from_be_bytes([hash[2 * i], hash[2 * i + 1]]) & 2_047))
}

/// What a filter asks for: one of each of these groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(Vec<Vec<Bits>>);

/// One or several, or any where nothing is said.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(#[serde(borrow)] &'a str),
    Many(#[serde(borrow)] Vec<&'a str>),
}

impl Wanted {
    /// Reads the parameters of `eth_getLogs`. `None` if they cannot be read, or are too many to be looked at.
    pub fn from_params(params: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Filter<'a> {
            #[serde(borrow, default)]
            address: Option<OneOrMany<'a>>,
            #[serde(borrow, default)]
            topics: Option<Vec<Option<OneOrMany<'a>>>>,
        }
        let [filter] = serde_json::from_str::<[Filter<'_>; 1]>(params).ok()?;
        let groups = std::iter::once(filter.address).chain(filter.topics.unwrap_or_default());
        let mut wanted = Vec::new();
        let mut items = 0;
        for group in groups.flatten() {
            let group = match group {
                OneOrMany::One(item) => vec![item],
                OneOrMany::Many(items) => items,
            };
            items += group.len();
            if items > MAX_ITEMS {
                return None;
            }
            // An empty list asks for any.
            if !group.is_empty() {
                wanted.push(group.into_iter().map(bits).collect::<Option<Vec<_>>>()?);
            }
        }
        Some(Self(wanted))
    }

    /// May a block of that bloom hold what is asked for? If not, it certainly does not.
    pub fn may_be_in(&self, bloom: &Bloom) -> bool {
        // A block without any log has an empty bloom, whatever is asked for.
        !bloom.is_empty() && self.0.iter().all(|group| group.iter().any(|item| bloom.has(*item)))
    }

    /// Does a block of that bloom hold what is asked for, but for one chance in a thousand? Of several groups nobody can
    /// tell: each may be in another log.
    pub fn is_surely_in(&self, bloom: &Bloom) -> bool {
        let by_chance = match self.0.as_slice() {
            [] => 0.0,
            [group] => group.len() as f64 * bloom.fill().powi(3),
            _ => return false,
        };
        by_chance < CHANCE && self.may_be_in(bloom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "0xdac17f958d2ee523a2206206994597c13d831ec7";
    const OTHER: &str = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
    const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

    fn bloom(items: &[&str]) -> Bloom {
        let mut bytes = Box::new([0u8; 256]);
        for bit in items.iter().flat_map(|item| bits(item).unwrap()) {
            bytes[255 - usize::from(bit / 8)] |= 1 << (bit % 8);
        }
        Bloom(bytes)
    }

    fn check(filter: &str, bloom: &Bloom, want: bool) {
        let wanted = Wanted::from_params(&format!("[{filter}]")).unwrap();
        assert_eq!(wanted.may_be_in(bloom), want, "{filter}");
    }

    #[test]
    fn a_filter_is_held_against_a_bloom() {
        let held = bloom(&[TOKEN, TRANSFER]);
        check("{}", &held, true);
        check(&format!(r#"{{"address":"{TOKEN}"}}"#), &held, true);
        check(&format!(r#"{{"address":"{OTHER}"}}"#), &held, false);
        check(&format!(r#"{{"address":["{OTHER}","{TOKEN}"],"topics":["{TRANSFER}"]}}"#), &held, true);
        check(&format!(r#"{{"topics":[null,["{OTHER}"]]}}"#), &held, false);
        check(r#"{"address":[],"topics":[[],null]}"#, &held, true);
        check("{}", &bloom(&[]), false);
    }

    #[test]
    fn what_may_be_there_by_chance_is_not_surely_there() {
        let crowd: Vec<_> = (0..400).map(|n| format!("0x{n:040x}")).collect();
        let crowded = bloom(&crowd.iter().map(String::as_str).collect::<Vec<_>>());
        let alone = bloom(&[TOKEN, TRANSFER]);
        for (filter, of, sure) in [
            ("{}".to_owned(), &alone, true),
            ("{}".to_owned(), &crowded, true),
            ("{}".to_owned(), &bloom(&[]), false),
            (format!(r#"{{"address":"{TOKEN}"}}"#), &alone, true),
            (format!(r#"{{"address":"{OTHER}"}}"#), &alone, false),
            (format!(r#"{{"address":"{}"}}"#, crowd[7]), &crowded, false),
            (format!(r#"{{"address":"{TOKEN}","topics":["{TRANSFER}"]}}"#), &alone, false),
        ] {
            let wanted = Wanted::from_params(&format!("[{filter}]")).unwrap();
            assert_eq!(wanted.is_surely_in(of), sure, "{filter}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_judged() {
        for params in ["[]", "[1]", r#"[{"address":"0x1"}]"#, r#"[{"address":7}]"#] {
            assert_eq!(Wanted::from_params(params), None, "{params}");
        }
        assert_eq!(Bloom::parse("0x00"), None);
        assert_eq!(Bloom::parse(&format!("0x{}", "00".repeat(256))), Some(bloom(&[])));
    }

    /// The bits of the yellow paper's function M for an address, worked out by other implementations.
    #[test]
    fn the_bits_are_those_of_the_paper() {
        // keccak-256 of the address begins with these six bytes, of which each pair's lowest eleven bits count.
        let hash = Keccak256::digest(pairs(TOKEN).unwrap().collect::<Result<Vec<_>, _>>().unwrap());
        let by_hand = [0, 2, 4].map(|i| (usize::from(hash[i]) << 8 | usize::from(hash[i + 1])) % 2_048);
        assert_eq!(bits(TOKEN).unwrap().map(usize::from), by_hand);
    }

    proptest! {
        /// Whatever a block holds is never said not to be in it.
        #[test]
        fn what_is_there_is_never_denied(held in prop::collection::vec("[0-9a-f]{40}", 1..20), which: prop::sample::Index) {
            let held: Vec<_> = held.into_iter().map(|hex| format!("0x{hex}")).collect();
            let items: Vec<_> = held.iter().map(String::as_str).collect();
            let asked = which.get(&items);
            let wanted = Wanted::from_params(&format!(r#"[{{"address":"{asked}"}}]"#)).unwrap();
            prop_assert!(wanted.may_be_in(&bloom(&items)));
        }
    }
}
