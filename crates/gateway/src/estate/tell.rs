//! Which headers tell of how an answer came about.

use seawall_model::{choice, estate::At};

choice! {
    /// A header that tells of how an answer came about.
    pub enum RawTell {
        /// All of them.
        All = "all",
        /// `x-seawall-upstream`: who answered.
        Upstream = "upstream",
        /// `x-seawall-head`: the agreed head it was answered at.
        Head = "head",
        /// `x-seawall-head-age`: seconds since that head last moved.
        Age = "age",
        /// `x-seawall-attempts`: attempts that were begun.
        Attempts = "attempts",
        /// `x-seawall-cached`: that no upstream was asked for it alone.
        Cached = "cached",
    }
}

/// The headers that a pool's answers carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tell {
    /// Who answered.
    pub upstream: bool,
    /// The agreed head.
    pub head: bool,
    /// The head's age.
    pub age: bool,
    /// Attempts begun.
    pub attempts: bool,
    /// Whether it was had without asking.
    pub cached: bool,
}

impl Tell {
    /// None of them.
    pub const NOTHING: Self =
        Self { upstream: false, head: false, age: false, attempts: false, cached: false };

    /// Those that are listed.
    pub(super) fn of(list: &[At<RawTell>]) -> Self {
        let has = |one| list.iter().any(|at| at.value == one || at.value == RawTell::All);
        Self {
            upstream: has(RawTell::Upstream),
            head: has(RawTell::Head),
            age: has(RawTell::Age),
            attempts: has(RawTell::Attempts),
            cached: has(RawTell::Cached),
        }
    }
}
