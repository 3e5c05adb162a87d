//! What an upstream was seen to be unable to do, so that it is not asked again at once.
//!
//! Learned from its own words ([`Kind::teaches`]) and forgotten after a while, since nodes are upgraded,
//! resynchronised and moved to other plans. Never held against the upstream.

use std::{collections::BTreeMap, time::Duration};

use seawall_model::Mono;

use crate::fault::Kind;

/// How long it is remembered that a method, or a method on old blocks, is not to be had.
pub const REMEMBERED: Duration = Duration::from_secs(300);
/// How long it is remembered that the state of a recent block was not to be had: the node is catching up.
pub const RECENT_REMEMBERED: Duration = Duration::from_secs(10);
/// Blocks below the agreed head that count as recent: what a full node keeps.
pub const RECENT: u64 = 128;
/// Methods remembered of one upstream; beyond, the one to be forgotten first makes room.
pub const METHODS: usize = 64;

/// What one upstream cannot do.
#[derive(Debug, Clone, Default)]
pub struct Capabilities(BTreeMap<Box<str>, Inability>);

#[derive(Debug, Clone, Copy, Default)]
struct Inability {
    /// Not at all, until then.
    whole: Mono,
    /// Not on blocks this old or older, until `old_until`.
    from_age: u64,
    old_until: Mono,
}

impl Inability {
    fn until(&self) -> Mono {
        self.whole.max(self.old_until)
    }
}

impl Capabilities {
    /// True if it is known now that `method` will be refused. `age` is how far below the agreed head the
    /// oldest block lies that the call reads, in blocks, where that is known.
    pub fn cannot(&self, now: Mono, method: &str, age: Option<u64>) -> bool {
        self.0.get(method).is_some_and(|known| {
            now < known.whole || (now < known.old_until && age.is_some_and(|age| age >= known.from_age))
        })
    }

    /// Takes in that `method`, on blocks of `age`, was refused in a way that means `kind`.
    pub fn learn(&mut self, now: Mono, method: &str, kind: Kind, age: Option<u64>) {
        let old = age.filter(|age| *age >= RECENT);
        let (whole, old) = match (kind, old) {
            (Kind::NoMethod, _) | (Kind::NotInPlan, None) => (Some(REMEMBERED), None),
            (Kind::NotInPlan | Kind::NoState, Some(age)) => (None, Some(age)),
            (Kind::NoState, None) if age.is_some() => (Some(RECENT_REMEMBERED), None),
            // What is looked up by hash may lie anywhere: one that is gone says nothing of the next.
            (Kind::NoState, None) => return,
            (
                Kind::Caller
                | Kind::Known
                | Kind::NonceLow
                | Kind::NoBlock
                | Kind::TooMuch
                | Kind::Unauthorized
                | Kind::RateLimited
                | Kind::Unwell
                | Kind::Unclear,
                _,
            ) => return,
        };
        if !self.0.contains_key(method) {
            self.make_room(now);
        }
        let known = self.0.entry(method.into()).or_default();
        if let Some(time) = whole {
            known.whole = known.whole.max(now + time);
        }
        if let Some(age) = old {
            known.from_age = if now < known.old_until { known.from_age.min(age) } else { age };
            known.old_until = now + REMEMBERED;
        }
    }

    fn make_room(&mut self, now: Mono) {
        self.0.retain(|_, known| now < known.until());
        if self.0.len() >= METHODS
            && let Some(first) = self.0.iter().min_by_key(|(_, known)| known.until()).map(|(m, _)| m.clone())
        {
            self.0.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Mono = Mono::from_millis(1000);

    fn after(learned: &[(&str, Kind, Option<u64>)]) -> Capabilities {
        let mut capabilities = Capabilities::default();
        for (method, kind, age) in learned {
            capabilities.learn(START, method, *kind, *age);
        }
        capabilities
    }

    #[test]
    fn what_is_learned_holds_for_calls_like_it() {
        let check = |kind, learned_age, asked: &str, age, want| {
            let known = after(&[("eth_call", kind, learned_age)]);
            assert_eq!(known.cannot(START, asked, age), want, "{kind:?} {learned_age:?}, {asked} {age:?}");
        };
        check(Kind::NoMethod, Some(0), "eth_call", None, true);
        check(Kind::NoMethod, Some(5000), "eth_call", Some(0), true);
        check(Kind::NoMethod, None, "eth_getCode", None, false);
        check(Kind::NoState, Some(5000), "eth_call", Some(5000), true);
        check(Kind::NoState, Some(5000), "eth_call", Some(4999), false);
        check(Kind::NoState, Some(5000), "eth_call", None, false);
        check(Kind::NoState, Some(3), "eth_call", Some(0), true);
        check(Kind::NoState, None, "eth_call", None, false);
        check(Kind::NotInPlan, Some(5000), "eth_call", Some(6000), true);
        check(Kind::NotInPlan, Some(5000), "eth_call", Some(0), false);
        check(Kind::NotInPlan, Some(0), "eth_call", Some(0), true);
        check(Kind::Unwell, Some(0), "eth_call", Some(0), false);
    }

    #[test]
    fn what_is_learned_is_forgotten() {
        let check = |kind, age, time: Duration| {
            let known = after(&[("m", kind, age)]);
            let last = START + time - Duration::from_nanos(1);
            assert!(known.cannot(last, "m", age), "{kind:?} {age:?}");
            assert!(!known.cannot(START + time, "m", age), "{kind:?} {age:?}");
        };
        check(Kind::NoMethod, None, REMEMBERED);
        check(Kind::NoState, Some(RECENT), REMEMBERED);
        check(Kind::NoState, Some(RECENT - 1), RECENT_REMEMBERED);
    }

    #[test]
    fn the_lowest_age_counts_while_it_is_remembered() {
        let mut known = after(&[("m", Kind::NoState, Some(9000)), ("m", Kind::NoState, Some(500))]);
        assert!(known.cannot(START, "m", Some(500)));
        known.learn(START + REMEMBERED, "m", Kind::NoState, Some(9000));
        assert!(!known.cannot(START + REMEMBERED, "m", Some(500)));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_only_what_teaches_is_kept(
            learned in prop::collection::vec((0u32..200, 0usize..4, prop::option::of(0u64..300), 0u64..20_000), 0..400),
        ) {
            let mut known = Capabilities::default();
            let mut now = START;
            let kinds = [Kind::NoMethod, Kind::NoState, Kind::NotInPlan, Kind::Unclear];
            for (method, kind, age, wait) in learned {
                now = now + Duration::from_millis(wait);
                let method = format!("m{method}");
                let before = known.cannot(now, &method, age);
                known.learn(now, &method, kinds[kind], age);
                prop_assert!(known.0.len() <= METHODS);
                let learns = kinds[kind].teaches() && (kinds[kind] != Kind::NoState || age.is_some());
                prop_assert_eq!(known.cannot(now, &method, age), before || learns);
            }
        }
    }
}
