//! Everything that is shown at one moment, whether drawn or printed.

use std::{collections::VecDeque, time::Duration};

use super::{
    seen::{Journal, Pool, Upstream},
    stage::{Deeds, Fault, Who, refusal},
    tally::Tally,
    watched::Watched,
};

/// One moment of the demo.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Since the load began.
    pub(super) elapsed: Duration,
    /// What the clients saw.
    pub(super) tally: Tally,
    /// What was done to the providers.
    pub(super) deeds: Deeds,
    /// What Seawall says of the pool; `None` while it does not answer.
    pub(super) pool: Option<Pool>,
    /// Each provider's share of the attempts of the last seconds, in the order of [`Who::ALL`].
    pub(super) shares: [f64; 3],
    /// What Seawall watches and believes, and what failing costs.
    pub(super) watched: Watched,
    /// What Seawall says of the journal.
    pub(super) journal: Option<Journal>,
    /// The newest records, oldest first, each in one line.
    pub(super) records: Vec<String>,
    /// The provider that a digit key acts on.
    pub(super) picked: Who,
    /// What is going on.
    pub(super) news: String,
}

impl Scene {
    /// What Seawall says of a provider's upstream.
    pub(super) fn upstream(&self, who: Who) -> Option<&Upstream> {
        self.pool.as_ref()?.upstreams.iter().find(|u| u.name == who.upstream())
    }

    /// The 95 % latency of the checks of a provider.
    pub(super) fn p95(&self, who: Who) -> String {
        self.watched.p95_us(who).map_or("-".to_owned(), |us| short(Duration::from_micros(us)))
    }

    /// What might be tried next.
    pub(super) fn hint(&self) -> String {
        let who = self.picked;
        let broken = Who::ALL.into_iter().find(|who| self.deeds[*who as usize].is_some());
        match (self.deeds[who as usize], broken) {
            (Some(Fault::Lag | Fault::Lie), _) => {
                format!("Try: 0 heals {who}. Its head must be believed again before it gets traffic.")
            }
            (Some(_), _) => {
                format!("Try: 0 heals {who}; or pick another provider by its letter and break that too.")
            }
            (None, None) => {
                format!("Try: 1 freezes {who}. Watch its share go to the others, and `failed` stay at 0.")
            }
            (None, Some(other)) if refusal(self.deeds, who, Fault::Kill).is_some() => {
                format!("Try: {} picks {other}, and 0 heals it.", other.upstream())
            }
            (None, Some(_)) => format!("Try: 2 kills {who} as well; one healthy provider is enough."),
        }
    }
}

/// The attempts of the last seconds, for each provider's share of them.
#[derive(Debug)]
pub(super) struct Attempts {
    pictures: usize,
    /// Attempts in all, for each provider, picture by picture; oldest first.
    counted: VecDeque<[u64; 3]>,
}

impl Attempts {
    /// Shares are taken over so many pictures.
    pub(super) fn over(pictures: usize) -> Self {
        Self { pictures, counted: VecDeque::new() }
    }

    /// Takes a picture's counts in, and tells the shares since the oldest one kept.
    pub(super) fn shares(&mut self, now: [u64; 3]) -> [f64; 3] {
        self.counted.push_back(now);
        if self.counted.len() > self.pictures {
            self.counted.pop_front();
        }
        let before = self.counted.front().copied().unwrap_or(now);
        let since = Who::ALL.map(|who| now[who as usize].saturating_sub(before[who as usize]));
        let all = since.iter().sum::<u64>().max(1);
        since.map(|n| n as f64 / all as f64)
    }
}

/// What is going on since something was done to a provider.
#[derive(Debug, Clone)]
pub(super) struct Since {
    requests: u64,
    bad: u64,
    what: String,
}

impl Since {
    /// From now on.
    pub(super) fn now(tally: &Tally, what: String) -> Self {
        Self { requests: tally.requests, bad: tally.failed + tally.wrong, what }
    }

    /// The news so far.
    pub(super) fn news(&self, tally: &Tally) -> String {
        let requests = tally.requests.saturating_sub(self.requests);
        let bad = (tally.failed + tally.wrong).saturating_sub(self.bad);
        format!("{}: of {requests} requests since, {bad} failed or got a wrong answer.", self.what)
    }
}

/// A time as people read it: `850 µs`, `2.1 ms`, `1.20 s`.
pub(super) fn short(time: Duration) -> String {
    match time.as_micros() {
        us @ 0..1_000 => format!("{us} µs"),
        us @ 1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        us => format!("{:.2} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tally::Ending;

    #[test]
    fn times_are_short() {
        let check = |us, expected| assert_eq!(short(Duration::from_micros(us)), expected);
        check(0, "0 µs");
        check(999, "999 µs");
        check(2_140, "2.1 ms");
        check(1_204_000, "1.20 s");
    }

    #[test]
    fn shares_are_of_late() {
        let mut attempts = Attempts::over(3);
        assert_eq!(attempts.shares([5, 0, 0]), [0.0; 3]);
        assert_eq!(attempts.shares([8, 1, 0]), [0.75, 0.25, 0.0]);
        attempts.shares([8, 1, 0]);
        attempts.shares([8, 1, 0]);
        assert_eq!(attempts.shares([8, 1, 4]), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn news_counts_from_the_deed() {
        let mut tally = Tally::default();
        tally.count(0, Duration::ZERO, Ending::Failed(String::new()));
        let since = Since::now(&tally, "A is frozen".into());
        tally.count(1, Duration::ZERO, Ending::Right);
        assert_eq!(since.news(&tally), "A is frozen: of 1 requests since, 0 failed or got a wrong answer.");
    }
}
