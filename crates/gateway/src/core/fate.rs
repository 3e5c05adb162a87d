//! Who falls together: upstreams of one region of a provider, and, less tightly, all of one provider.

use super::choose::Set;

/// The shared fates of a pool's upstreams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fates {
    /// For each upstream, all of its provider.
    providers: Vec<Set>,
    /// For each upstream, all that may be in its region.
    regions: Vec<Set>,
}

impl Fates {
    /// The fates of upstreams of which `operators` names, in the pool's order, the provider and the region.
    /// One whose region is not told may be in any of its provider's.
    pub fn new<P: PartialEq, R: PartialEq>(operators: &[(P, Option<R>)]) -> Self {
        let region = |a: &Option<R>, b: &Option<R>| a.is_none() || b.is_none() || a == b;
        Self {
            providers: kin(operators, |a, b| a.0 == b.0),
            regions: kin(operators, |a, b| a.0 == b.0 && region(&a.1, &b.1)),
        }
    }

    /// All whose provider is that of one in `tried`.
    pub fn of_providers(&self, tried: Set) -> Set {
        join(&self.providers, tried)
    }

    /// All that may be in the region of one in `tried`.
    pub fn of_regions(&self, tried: Set) -> Set {
        join(&self.regions, tried)
    }

    /// Those of `eligible` that share least with those in `tried`: another provider's, else another region's,
    /// else whoever is left.
    pub fn apart(&self, eligible: Set, tried: Set) -> Set {
        if tried.is_empty() {
            return eligible;
        }
        let elsewhere = eligible.without(self.of_providers(tried));
        if !elsewhere.is_empty() {
            return elsewhere;
        }
        let nearby = eligible.without(self.of_regions(tried));
        if nearby.is_empty() { eligible } else { nearby }
    }
}

/// For each of `all`, the set of those that are its like.
fn kin<T>(all: &[T], alike: impl Fn(&T, &T) -> bool) -> Vec<Set> {
    let of = |a: &T| {
        let mut set = Set::NONE;
        all.iter().enumerate().filter(|(_, b)| alike(a, b)).for_each(|(i, _)| set.insert(i));
        set
    };
    all.iter().map(of).collect()
}

fn join(kin: &[Set], of: Set) -> Set {
    let sets = kin.iter().enumerate().filter(|(i, _)| of.has(*i)).map(|(_, set)| set.0);
    Set(sets.fold(0, |all, set| all | set))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn another_provider_then_another_region_then_anybody() {
        // 0, 1: x in r1; 2: x in r2; 3: y.
        let fates = Fates::new(&[("x", Some("r1")), ("x", Some("r1")), ("x", Some("r2")), ("y", None)]);
        let check = |eligible, tried, want| {
            assert_eq!(fates.apart(Set(eligible), Set(tried)), Set(want), "{eligible:b} {tried:b}");
        };
        check(0b1111, 0b0000, 0b1111);
        check(0b1110, 0b0001, 0b1000);
        check(0b0110, 0b0001, 0b0100);
        check(0b0010, 0b0001, 0b0010);
        check(0b0111, 0b1000, 0b0111);
        check(0b0110, 0b1001, 0b0100);
    }

    #[test]
    fn a_region_that_is_not_told_may_be_any() {
        let fates = Fates::new(&[("x", Some("r1")), ("x", None), ("x", Some("r2"))]);
        assert_eq!(fates.apart(Set(0b110), Set(0b001)), Set(0b100));
        assert_eq!(fates.apart(Set(0b101), Set(0b010)), Set(0b101));
    }

    #[test]
    fn regions_of_one_name_are_not_one_where_the_providers_differ() {
        let fates = Fates::new(&[("x", Some("r1")), ("y", Some("r1"))]);
        assert_eq!(fates.of_regions(Set(0b01)), Set(0b01));
    }

    proptest! {
        /// Nobody is chosen who shares more with those tried than somebody else who could be.
        #[test]
        fn the_least_shared_fate_wins(
            operators in prop::collection::vec((0u8..3, prop::option::of(0u8..2)), 1..8),
            eligible: u64,
            tried: u64,
        ) {
            let all = (1u64 << operators.len()) - 1;
            let (eligible, tried) = (Set(eligible & all), Set(tried & all));
            let fates = Fates::new(&operators);
            let closeness = |i: usize| {
                let with = |t: usize| {
                    let (a, b) = (operators[i], operators[t]);
                    match a.0 == b.0 {
                        true if a.1.is_none() || b.1.is_none() || a.1 == b.1 => 2,
                        true => 1,
                        false => 0,
                    }
                };
                tried.iter().map(with).max().unwrap_or(0)
            };
            let least = eligible.iter().map(closeness).min();
            let want: Vec<_> = eligible.iter().filter(|i| Some(closeness(*i)) == least).collect();
            prop_assert_eq!(fates.apart(eligible, tried).iter().collect::<Vec<_>>(), want);
        }
    }
}
