use proptest::prelude::*;

use super::*;

/// A block of a chain that forks: its height and which fork it is of.
fn hash(number: u64, fork: u8) -> Hash {
    let mut bytes = [fork; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Hash(bytes)
}

/// The agreed chain, with as much of a past as is remembered.
#[derive(Debug, Clone)]
struct Chain {
    /// Every block ever agreed on that has not been left.
    whole: BTreeMap<u64, Hash>,
    remembered: BTreeMap<u64, Hash>,
    finalized: Option<u64>,
    era: u64,
}

const REMEMBERED: usize = 6;

impl Chain {
    fn new() -> Self {
        let whole = BTreeMap::from([(0, hash(0, 0))]);
        Self { remembered: whole.clone(), whole, finalized: None, era: 1 }
    }

    fn view(&self) -> View<'_> {
        View { history: &self.remembered, finalized: self.finalized, era: self.era }
    }

    fn head(&self) -> u64 {
        self.whole.last_key_value().map_or(0, |(n, _)| *n)
    }

    fn extend(&mut self, fork: u8) {
        let number = self.head() + 1;
        self.whole.insert(number, hash(number, fork));
        self.remembered.insert(number, hash(number, fork));
        while self.remembered.len() > REMEMBERED {
            self.remembered.pop_first();
        }
    }

    /// Leaves the last blocks; one that goes below what is final begins an era.
    fn roll_back(&mut self, depth: u64) {
        let to = self.head().saturating_sub(depth);
        self.whole.split_off(&(to + 1));
        self.remembered.split_off(&(to + 1));
        if self.remembered.is_empty() {
            self.remembered.extend(self.whole.last_key_value().map(|(n, h)| (*n, *h)));
        }
        if self.finalized.is_some_and(|f| f > to) {
            self.era += 1;
            self.finalized = None;
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Extend(u8),
    RollBack(u64),
    Finalize(u64),
    Forget,
    /// An answer to that call, of the block so far below the head, or of a fork nobody agreed on.
    Keep {
        call: u8,
        below: u64,
        stray: bool,
        size: usize,
    },
    Find(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Extend),
        1 => (0u64..9).prop_map(Step::RollBack),
        1 => (0u64..5).prop_map(Step::Finalize),
        1 => Just(Step::Forget),
        6 => (0u8..12, 0u64..9, prop::bool::weighted(0.2), 0usize..3_000)
            .prop_map(|(call, below, stray, size)| Step::Keep { call, below, stray, size }),
        6 => (0u8..12).prop_map(Step::Find),
    ]
}

proptest! {
    /// Against a model that remembers everything: whatever is found was kept, since the last time that all was
    /// forgotten, as the answer of a block that is on the agreed chain now.
    #[test]
    fn nothing_is_ever_found_of_a_block_that_has_left_the_chain(steps in prop::collection::vec(step(), 1..120)) {
        let cache = Cache::new(32 << 10, 1);
        let mut chain = Chain::new();
        let mut model: BTreeMap<(u8, String), Block> = BTreeMap::new();
        let mut serial = 0;
        for step in steps {
            match step {
                Step::Extend(fork) => chain.extend(fork),
                Step::RollBack(depth) => chain.roll_back(depth),
                Step::Finalize(below) => {
                    let at = chain.head().saturating_sub(below);
                    if chain.finalized.is_none_or(|f| at > f) {
                        chain.finalized = Some(at);
                    }
                }
                Step::Forget => {
                    cache.forget();
                    model.clear();
                }
                Step::Keep { call, below, stray, size } => {
                    let number = chain.head().saturating_sub(below);
                    let fork = if stray { hash(number, 0xee) } else { chain.whole[&number] };
                    let block = Block { number, hash: fork };
                    serial += 1;
                    let result = format!("{serial}:{}", "x".repeat(size));
                    if let Found::Miss(turn) = cache.find(&[call], &chain.view()) {
                        cache.keep(&[call], &result, block, turn, &chain.view());
                        model.insert((call, result), block);
                    }
                }
                Step::Find(call) => {
                    if let Found::Hit(kept) = cache.find(&[call], &chain.view()) {
                        let result = kept.result.to_string();
                        let block = model.get(&(call, result));
                        let block = block.expect("it was kept since all was forgotten");
                        prop_assert_eq!(chain.whole.get(&block.number), Some(&block.hash));
                    }
                }
            }
            prop_assert!(cache.bytes() <= cache.capacity());
        }
    }
}

#[test]
fn an_answer_outlives_the_memory_of_its_block_once_that_is_final() {
    let cache = Cache::new(1 << 20, 1);
    let mut chain = Chain::new();
    (0..3).for_each(|_| chain.extend(1));
    let block = |chain: &Chain, n: u64| Block { number: n, hash: chain.whole[&n] };
    let turn = Turn(0);
    cache.keep(b"early", "1", block(&chain, 1), turn, &chain.view());
    cache.keep(b"late", "2", block(&chain, 3), turn, &chain.view());
    chain.finalized = Some(2);
    assert!(matches!(cache.find(b"early", &chain.view()), Found::Hit(_)));
    (0..20).for_each(|_| chain.extend(1));
    assert!(matches!(cache.find(b"early", &chain.view()), Found::Hit(_)));
    assert!(matches!(cache.find(b"late", &chain.view()), Found::Miss(_)), "nobody saw it become final");
    chain.era += 1;
    assert!(matches!(cache.find(b"early", &chain.view()), Found::Miss(_)));
    assert_eq!(cache.counts().hits.load(Relaxed), 2);
    assert_eq!(cache.counts().misses.load(Relaxed), 2);
}

#[test]
fn an_answer_of_a_block_that_is_not_agreed_on_is_not_kept() {
    let cache = Cache::new(1 << 20, 1);
    let chain = Chain::new();
    cache.keep(b"call", "1", Block { number: 0, hash: hash(0, 9) }, Turn(0), &chain.view());
    assert!(matches!(cache.find(b"call", &chain.view()), Found::Miss(_)));
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn it_never_holds_more_than_it_may() {
    let cache = Cache::new(1 << 20, 1);
    let chain = Chain::new();
    let block = Block { number: 0, hash: chain.whole[&0] };
    for n in 0..4_000u32 {
        cache.keep(&n.to_be_bytes(), &"x".repeat(1_000), block, Turn(0), &chain.view());
        assert!(cache.bytes() <= 1 << 20);
    }
    assert!(cache.counts().evictions.load(Relaxed) > 1_000);
    let before = cache.bytes();
    cache.keep(b"huge", &"x".repeat(1 << 19), block, Turn(0), &chain.view());
    assert_eq!(cache.bytes(), before, "one answer does not take the place of all others");
}

#[test]
fn once_it_is_full_only_what_is_asked_again_is_kept() {
    let cache = Cache::new(1 << 20, 1);
    let chain = Chain::new();
    let block = Block { number: 0, hash: chain.whole[&0] };
    let ask = |call: &[u8]| match cache.find(call, &chain.view()) {
        Found::Hit(_) => "hit",
        Found::New => "new",
        Found::Miss(turn) => {
            cache.keep(call, &"x".repeat(1_000), block, turn, &chain.view());
            "kept"
        }
    };
    assert_eq!([ask(b"early"), ask(b"early")], ["kept", "hit"]);
    for n in 0..2_000u32 {
        ask(&n.to_be_bytes());
    }
    assert_eq!([ask(b"late"), ask(b"late"), ask(b"late")], ["new", "kept", "hit"]);
    let evictions = cache.counts().evictions.load(Relaxed);
    for n in 0..2_000u32 {
        ask(&(1 << 20 | n).to_be_bytes());
    }
    // Two calls whose fingerprints are the same would let one in.
    assert!(cache.counts().evictions.load(Relaxed) - evictions < 20);
    assert_eq!(ask(b"late"), "hit", "what is asked once does not displace it");
}
