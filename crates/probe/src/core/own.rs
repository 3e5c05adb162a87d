//! Is it the prober itself that is in trouble?
//!
//! A target that cannot be reached and a prober that can reach nothing look alike. So a failure that may be one's own
//! is believed only after the anchors, targets that hardly ever fail all at once, were asked *after* it. `now`
//! goes in, what to do comes out.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use seawall_model::{Mono, Wall};
use serde::{Serialize, Serializer};

use super::fault::Doubt;

/// Least time from one round of the anchors to the next.
pub const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Wall clock and monotonic clock may move apart by this much from one look to the next.
pub const CLOCK_STEP: Duration = Duration::from_secs(2);
/// For so long after a step of the clock nothing that depends on it is believed.
pub const CLOCK_DOUBT: Duration = Duration::from_secs(60);
/// Look-ups that the judgement on the resolver looks back at.
const LOOKUPS: usize = 64;
/// Fewer look-ups than this say nothing about the resolver.
const MIN_LOOKUPS: usize = 8;
/// Nor do look-ups of fewer names: it may be these that are ill.
const MIN_NAMES: usize = 3;
/// A look-up older than this says nothing either.
const LOOKUP_AGE: Duration = Duration::from_secs(30);

/// What is wrong with the prober.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Most anchors failed at once.
    Anchors {
        /// How many failed.
        failed: usize,
        /// Of how many.
        of: usize,
    },
    /// Its resolver answers nobody's names.
    Dns,
    /// Its clock was set.
    Clock,
    /// Whether the anchors fail too could not be found out.
    Unsure,
}

impl Trouble {
    /// The trouble as a label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Anchors { .. } => "anchors",
            Self::Dns => "dns",
            Self::Clock => "clock",
            Self::Unsure => "unsure",
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anchors { failed, of } => {
                write!(f, "{failed} of {of} anchors cannot be reached from here either")
            }
            Self::Dns => f.write_str("the resolver here answers nobody's names"),
            Self::Clock => f.write_str("the clock here was set"),
            Self::Unsure => f.write_str("more failed at once than could be held against the anchors"),
        }
    }
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What to make of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is the target's.
    Theirs,
    /// It may be one's own.
    Own(Trouble),
    /// That shows once the anchors have been asked.
    Later,
}

/// What the prober knows of itself.
#[derive(Debug)]
pub struct Own {
    anchors: usize,
    /// The last round that has ended: when it began, and how many failed.
    round: Option<(Mono, usize)>,
    /// When the round under way began.
    under_way: Option<Mono>,
    /// Wall less monotonic time, in milliseconds, when last looked at.
    offset: Option<i64>,
    stepped: Option<Mono>,
    /// The last look-ups: when, of which name, and whether the resolver had an answer.
    lookups: VecDeque<(Mono, u64, bool)>,
}

impl Own {
    /// A prober that has so many anchors.
    pub fn new(anchors: usize) -> Self {
        Self { anchors, round: None, under_way: None, offset: None, stepped: None, lookups: VecDeque::new() }
    }

    /// The clocks as they stand.
    pub fn clock(&mut self, now: Mono, wall: Wall) {
        let offset = wall.0.saturating_sub(i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX));
        if let Some(before) = self.offset.replace(offset)
            && u128::from(offset.abs_diff(before)) > CLOCK_STEP.as_millis()
        {
            self.stepped = Some(now);
        }
    }

    /// A name, known by a number, was looked up by the system's resolver; it had an answer (also that there is none), or
    /// not.
    pub fn looked_up(&mut self, now: Mono, name: u64, answered: bool) {
        if self.lookups.len() >= LOOKUPS {
            self.lookups.pop_front();
        }
        self.lookups.push_back((now, name, answered));
    }

    /// True if the anchors are to be asked now, because a failure waits for it; they are then under way.
    pub fn begin_round(&mut self, now: Mono, wanted: bool) -> bool {
        let lately = self.round.is_some_and(|(began, _)| now.since(began) < ROUND_EVERY);
        let begins = wanted && self.anchors > 0 && self.under_way.is_none() && !lately;
        if begins {
            self.under_way = Some(now);
        }
        begins
    }

    /// When the next round may begin, if none is under way.
    pub fn next_round(&self) -> Option<Mono> {
        match (self.under_way, self.round) {
            (Some(_), _) => None,
            (None, Some((began, _))) => Some(began + ROUND_EVERY),
            (None, None) => Some(Mono::ZERO),
        }
    }

    /// The anchors have been asked; so many of them failed.
    pub fn end_round(&mut self, failed: usize) {
        if let Some(began) = self.under_way.take() {
            self.round = Some((began, failed));
        }
    }

    /// What is wrong, as far as is known now.
    pub fn trouble(&self, now: Mono) -> Option<Trouble> {
        self.network_trouble(now).or_else(|| self.clock_trouble(now))
    }

    fn network_trouble(&self, now: Mono) -> Option<Trouble> {
        if let Some((_, failed)) = self.round
            && 2 * failed > self.anchors
        {
            return Some(Trouble::Anchors { failed, of: self.anchors });
        }
        let recent = || self.lookups.iter().filter(|(at, ..)| now.since(*at) <= LOOKUP_AGE);
        let names: BTreeSet<_> = recent().map(|(_, name, _)| name).collect();
        let enough = recent().count() >= MIN_LOOKUPS && names.len() >= MIN_NAMES;
        (enough && recent().all(|(.., answered)| !answered)).then_some(Trouble::Dns)
    }

    fn clock_trouble(&self, now: Mono) -> Option<Trouble> {
        self.stepped.filter(|at| now.since(*at) < CLOCK_DOUBT).map(|_| Trouble::Clock)
    }

    /// What to make of a failure that was seen at `failed`, and of which that much is in doubt.
    pub fn judge(&self, now: Mono, failed: Mono, doubt: Doubt) -> Judged {
        let trouble = match doubt {
            Doubt::Nothing => None,
            Doubt::Clock => self.clock_trouble(now),
            Doubt::Network => {
                let asked_since = self.round.is_some_and(|(began, _)| began >= failed);
                if self.anchors > 0 && !asked_since {
                    return Judged::Later;
                }
                self.network_trouble(now)
            }
        };
        trouble.map_or(Judged::Theirs, Judged::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u64) -> Mono {
        Mono::from_millis(n * 1_000)
    }

    #[test]
    fn without_anchors_a_failure_is_the_targets() {
        let mut own = Own::new(0);
        assert_eq!(own.judge(s(1), s(1), Doubt::Network), Judged::Theirs);
        assert!(!own.begin_round(s(1), true));
    }

    #[test]
    fn a_failure_waits_for_anchors_asked_after_it() {
        let mut own = Own::new(3);
        assert!(own.begin_round(s(1), true) && !own.begin_round(s(1), true));
        own.end_round(0);
        assert_eq!(
            own.judge(s(2), s(2), Doubt::Network),
            Judged::Later,
            "the network may have gone in between"
        );
        assert!(own.begin_round(s(2), true));
        own.end_round(1);
        assert_eq!(own.judge(s(2), s(2), Doubt::Network), Judged::Theirs);
        assert!(own.begin_round(s(4), true));
        own.end_round(2);
        let trouble = Trouble::Anchors { failed: 2, of: 3 };
        assert_eq!(own.judge(s(4), s(4), Doubt::Network), Judged::Own(trouble.clone()));
        assert_eq!(own.trouble(s(4)), Some(trouble));
        assert_eq!(own.judge(s(4), s(4), Doubt::Nothing), Judged::Theirs, "somebody answered");
    }

    #[test]
    fn rounds_are_not_made_more_often_than_that() {
        let mut own = Own::new(1);
        assert!(own.begin_round(s(10), true));
        own.end_round(0);
        assert!(!own.begin_round(Mono::from_millis(10_900), true));
        assert_eq!(own.next_round(), Some(s(11)));
        assert!(own.begin_round(s(11), true) && own.next_round().is_none());
    }

    #[test]
    fn a_resolver_that_answers_nobody_is_ones_own_trouble() {
        let mut own = Own::new(0);
        (0..20).for_each(|n| own.looked_up(s(n), n % 2, false));
        assert_eq!(own.trouble(s(20)), None, "it may be these two names");
        own.looked_up(s(20), 2, false);
        assert_eq!(own.judge(s(20), s(20), Doubt::Network), Judged::Own(Trouble::Dns));
        own.looked_up(s(21), 3, true);
        assert_eq!(own.trouble(s(21)), None);
        let mut few = Own::new(0);
        (0..7).for_each(|n| few.looked_up(s(n), n, false));
        assert_eq!(few.trouble(s(7)), None, "too few to say");
        few.looked_up(s(7), 7, false);
        assert_eq!((few.trouble(s(7)), few.trouble(s(60))), (Some(Trouble::Dns), None));
    }

    #[test]
    fn a_clock_that_was_set_is_not_believed_for_a_while() {
        let mut own = Own::new(0);
        own.clock(s(1), Wall(100_000));
        own.clock(s(2), Wall(101_900));
        assert_eq!(own.trouble(s(2)), None);
        own.clock(s(3), Wall(99_000));
        assert_eq!(own.judge(s(3), s(3), Doubt::Clock), Judged::Own(Trouble::Clock));
        assert_eq!(own.judge(s(3), s(3), Doubt::Network), Judged::Theirs, "a connection needs no clock");
        assert_eq!(own.judge(s(63), s(63), Doubt::Clock), Judged::Theirs);
    }
}
