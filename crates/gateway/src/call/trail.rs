//! By whom a call was answered, and how: what response headers, the access log and traces tell of it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use seawall_model::{Cause, Mono};

/// Most attempts of one call that are noted one by one.
const MAX_TRIES: usize = 32;

/// What is told of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// Whose it is.
    pub(crate) by: By,
    /// Attempts that were begun for it.
    pub(crate) attempts: u32,
    /// Height of the agreed head that it was answered at.
    pub(crate) head: Option<u64>,
    /// Number of the refusal's code (302 for SW0302), if it was refused.
    pub(crate) refusal: Option<u32>,
}

/// Whose an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum By {
    /// Nobody's: there is none, or it is a refusal.
    #[default]
    Nobody,
    /// The gateway's own, from what it knows.
    Gateway,
    /// Several upstreams', as of a batch or a range that was asked in parts.
    Several,
    /// The cache's.
    Cache,
    /// That of a like call which was in flight already.
    Shared,
    /// This upstream's, by its index in the pool.
    Upstream(usize),
}

/// Where the way of one call, or of all calls of one request, is noted as it goes. Only the task that answers
/// writes; the atomics are there because the future that holds it moves between threads.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    by: AtomicU32,
    attempts: AtomicU32,
    /// One more than the height, so that 0 is none.
    head: AtomicU64,
    refusal: AtomicU32,
    /// Each attempt, where somebody wants to know.
    tries: Option<Mutex<Vec<Try>>>,
}

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Try {
    /// Of which upstream.
    pub(crate) upstream: usize,
    /// When it began.
    pub(crate) began: Mono,
    /// When it ended, and the upstream's fault in it if there was one; `None` if it was left behind.
    pub(crate) ended: Option<(Mono, Option<Cause>)>,
}

impl Trail {
    /// A trail that also notes each attempt, if `each`.
    pub(crate) fn new(each: bool) -> Self {
        Self { tries: each.then(Mutex::default), ..Self::default() }
    }

    /// An empty trail that notes as much as this one.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.tries.is_some())
    }

    /// An attempt begins.
    pub(crate) fn begin(&self, upstream: usize, began: Mono) {
        self.attempts.store(self.attempts.load(Relaxed) + 1, Relaxed);
        if let Some(tries) = &self.tries {
            let mut tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
            if tries.len() < MAX_TRIES {
                tries.push(Try { upstream, began, ended: None });
            }
        }
    }

    /// The attempt of `upstream` that began then has ended.
    pub(crate) fn end(&self, upstream: usize, now: Mono, fault: Option<Cause>) {
        if let Some(tries) = &self.tries {
            let mut tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(t) = tries.iter_mut().rev().find(|t| t.upstream == upstream && t.ended.is_none()) {
                t.ended = Some((now, fault));
            }
        }
    }

    /// The answer is this one's.
    pub(crate) fn by(&self, by: By) {
        self.by.store(by.pack(), Relaxed);
    }

    /// The agreed head that the call is answered at.
    pub(crate) fn at(&self, head: Option<u64>) {
        self.head.store(head.map_or(0, |h| h.saturating_add(1)), Relaxed);
    }

    /// The call is refused, with that code.
    pub(crate) fn refused(&self, code: &str) {
        self.refusal.store(number(code), Relaxed);
        self.by(By::Nobody);
    }

    /// Adds the way of one of several calls, or of a part of one.
    pub(crate) fn take(&self, part: &Self) {
        let told = part.told();
        let by = match (By::unpack(self.by.load(Relaxed)), told.by) {
            (all, By::Nobody) => all,
            (By::Nobody, one) => one,
            (all, one) if all == one => all,
            (_, _) => By::Several,
        };
        self.by(by);
        self.attempts.store(self.attempts.load(Relaxed) + told.attempts, Relaxed);
        self.head.store(self.head.load(Relaxed).max(part.head.load(Relaxed)), Relaxed);
        if let Some(refusal) = told.refusal {
            self.refusal.store(refusal, Relaxed);
        }
        if let (Some(all), Some(_)) = (&self.tries, &part.tries) {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_TRIES.saturating_sub(all.len());
            all.extend(part.tries().into_iter().take(room));
        }
    }

    /// Adds the way of the next try at the same call: the answer, if there is one, is of this.
    pub(crate) fn go_on(&self, next: &Self) {
        self.by(By::Nobody);
        self.take(next);
    }

    /// What there is to tell.
    pub(crate) fn told(&self) -> Told {
        Told {
            by: By::unpack(self.by.load(Relaxed)),
            attempts: self.attempts.load(Relaxed),
            head: self.head.load(Relaxed).checked_sub(1),
            refusal: Some(self.refusal.load(Relaxed)).filter(|number| *number > 0),
        }
    }

    /// Each attempt, if they were noted.
    pub(crate) fn tries(&self) -> Vec<Try> {
        let tries = self.tries.as_ref().map(|t| t.lock().unwrap_or_else(PoisonError::into_inner).clone());
        tries.unwrap_or_default()
    }
}

impl By {
    /// The first number that stands for an upstream.
    const UPSTREAM: u32 = 16;

    fn pack(self) -> u32 {
        match self {
            Self::Nobody => 0,
            Self::Gateway => 1,
            Self::Several => 2,
            Self::Cache => 3,
            Self::Shared => 4,
            Self::Upstream(i) => Self::UPSTREAM + i as u32,
        }
    }

    fn unpack(packed: u32) -> Self {
        match packed {
            0 => Self::Nobody,
            1 => Self::Gateway,
            2 => Self::Several,
            3 => Self::Cache,
            4 => Self::Shared,
            other => Self::Upstream((other - Self::UPSTREAM) as usize),
        }
    }

    /// As a word; an upstream is named by whoever has the pool.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Gateway => "gateway",
            Self::Several => "several",
            Self::Cache => "cache",
            Self::Shared => "shared",
            Self::Upstream(_) => "upstream",
        }
    }
}

/// The digits of a code, as a number.
fn number(code: &str) -> u32 {
    code.trim_start_matches("SW").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_is_read_back() {
        for by in
            [By::Nobody, By::Gateway, By::Several, By::Cache, By::Shared, By::Upstream(0), By::Upstream(63)]
        {
            assert_eq!(By::unpack(by.pack()), by);
        }
    }

    #[test]
    fn the_calls_of_a_request_are_told_together() {
        let part = |by, attempts: u32, head| {
            let trail = Trail::default();
            (0..attempts).for_each(|i| trail.begin(i as usize, Mono::ZERO));
            trail.by(by);
            trail.at(head);
            trail
        };
        let check = |parts: &[Trail], by, attempts, head| {
            let all = Trail::default();
            parts.iter().for_each(|part| all.take(part));
            assert_eq!(all.told(), Told { by, attempts, head, refusal: None });
        };
        let (a, b) = (By::Upstream(0), By::Upstream(1));
        check(&[], By::Nobody, 0, None);
        check(&[part(a, 1, Some(7)), part(a, 2, Some(8))], a, 3, Some(8));
        check(&[part(a, 1, Some(0)), part(b, 1, None)], By::Several, 2, Some(0));
        check(&[part(By::Gateway, 0, None), part(By::Nobody, 1, None)], By::Gateway, 1, None);
    }

    #[test]
    fn each_attempt_is_noted_where_wanted_and_no_more_than_there_is_room_for() {
        let trail = Trail::new(true);
        (0..MAX_TRIES + 5).for_each(|i| trail.begin(i % 2, Mono(i as u64)));
        trail.end(1, Mono(99), Some(Cause::Reset));
        let tries = trail.tries();
        assert_eq!((tries.len(), trail.told().attempts), (MAX_TRIES, MAX_TRIES as u32 + 5));
        assert_eq!(tries[MAX_TRIES - 1].ended, Some((Mono(99), Some(Cause::Reset))));
        assert_eq!(tries[0].ended, None);
        let quiet = Trail::new(false);
        quiet.begin(0, Mono::ZERO);
        assert!(quiet.tries().is_empty());
    }
}
