//! Heartbeats: who pushes one as expected is well, and who is silent is not.

use std::{str::FromStr, time::Duration};

use seawall_model::{Name, Wall};
use serde::{Deserialize, Serialize};

use super::{answer::shown, fault::Fault};

/// What is expected of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The name under which it pushes: the probe's.
    pub name: Name,
    /// Longest time from one end of its work to the next.
    pub every: Duration,
    /// Time it may be late by, and that it may take for its work once it has said that it starts.
    pub grace: Duration,
}

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The work begins.
    Start,
    /// It is done.
    Ok,
    /// It failed.
    Fail,
}

impl State {
    /// The state as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ok => "ok",
            Self::Fail => "fail",
        }
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Start, Self::Ok, Self::Fail].into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// What it says.
    pub state: State,
    /// When it came.
    pub at: Wall,
    /// What the job said with it: shortened, and without what a terminal would obey.
    pub message: String,
}

/// What is remembered of a job's heartbeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heart {
    /// The last that told of an end, good or bad.
    end: Option<Beat>,
    /// The last that told of a beginning, if none of an end has come since.
    start: Option<Beat>,
}

impl Beat {
    /// A heartbeat that comes now.
    pub fn new(state: State, at: Wall, message: &[u8]) -> Self {
        Self { state, at, message: shown(message.trim_ascii()) }
    }
}

impl Heart {
    /// Takes note of a heartbeat.
    pub fn take(&mut self, beat: Beat) {
        match beat.state {
            State::Start => self.start = Some(beat),
            State::Ok | State::Fail => (self.start, self.end) = (None, Some(beat)),
        }
    }

    /// The last heartbeat.
    pub fn last(&self) -> Option<&Beat> {
        self.start.as_ref().or(self.end.as_ref())
    }

    /// When the next one must have come by, for who has listened since `since`.
    pub fn due(&self, expected: &Expected, since: Wall) -> Wall {
        let due = match (&self.start, &self.end) {
            (Some(start), _) => after(start.at, expected.grace),
            (None, Some(end)) => after(end.at, expected.every + expected.grace),
            (None, None) => after(since, expected.every + expected.grace),
        };
        // What came while nobody listened is lost: what is due then may be late by as much.
        due.max(after(since, expected.grace))
    }

    /// Judges the job.
    ///
    /// # Errors
    /// If it failed, or is late.
    pub fn judge(&self, expected: &Expected, since: Wall, now: Wall) -> Result<(), Fault> {
        let failed = self.end.as_ref().filter(|end| end.state == State::Fail);
        if let Some(end) = failed {
            return Err(Fault::BeatFailed { at: end.at, said: said(end) });
        }
        if now <= self.due(expected, since) {
            // Of whoever was never heard nothing is known.
            return if self.last().is_none() { Err(Fault::BeatAwaited) } else { Ok(()) };
        }
        Err(match (&self.start, &self.end) {
            (Some(start), _) => Fault::BeatUnfinished { ago: now.since(start.at), said: said(start) },
            (None, Some(end)) => Fault::BeatLate { ago: now.since(end.at), said: said(end) },
            (None, None) => Fault::BeatNever { ago: now.since(since) },
        })
    }
}

/// The words that came along, as the end of a sentence.
fn said(beat: &Beat) -> String {
    if beat.message.is_empty() { String::new() } else { format!(": {}", beat.message) }
}

fn after(at: Wall, time: Duration) -> Wall {
    Wall(at.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every ten seconds, and five of grace; who judges has listened from 0 on.
    fn expected() -> Expected {
        let name = "job".parse().unwrap();
        Expected { name, every: Duration::from_secs(10), grace: Duration::from_secs(5) }
    }

    /// What is thought at those seconds, after heartbeats at those seconds.
    #[track_caller]
    fn check(beats: &[(i64, State)], judged: &[(i64, Option<&str>)]) {
        let mut heart = Heart::default();
        for (at, state) in beats {
            heart.take(Beat::new(*state, Wall(at * 1_000), b"disk\x1b[1m full\n"));
        }
        for (at, wanted) in judged {
            let fault = heart.judge(&expected(), Wall(0), Wall(at * 1_000)).err();
            assert_eq!(fault.as_ref().map(Fault::kind), *wanted, "after {beats:?}, at {at}");
            // It comes back as it was kept.
            let kept = serde_json::to_string(&heart).unwrap();
            assert_eq!(serde_json::from_str::<Heart>(&kept).unwrap(), heart);
        }
    }

    #[test]
    fn who_is_silent_is_late() {
        use State::{Fail, Ok, Start};
        check(&[], &[(0, Some("beat_awaited")), (15, Some("beat_awaited")), (16, Some("beat_never"))]);
        check(&[(3, Start)], &[(8, None), (9, Some("beat_unfinished"))]);
        check(&[(3, Ok)], &[(18, None), (19, Some("beat_late"))]);
        check(&[(3, Ok), (30, Start)], &[(35, None), (36, Some("beat_unfinished"))]);
        check(&[(3, Ok), (4, Start), (8, Ok)], &[(23, None), (24, Some("beat_late"))]);
        check(&[(3, Fail)], &[(3, Some("beat_failed")), (99, Some("beat_failed"))]);
        // To begin anew is not to be well yet.
        check(&[(3, Fail), (4, Start)], &[(5, Some("beat_failed"))]);
        check(&[(3, Fail), (4, Start), (5, Ok)], &[(6, None)]);
    }

    #[test]
    fn what_came_while_nobody_listened_is_not_held_against_anybody_at_once() {
        let mut heart = Heart::default();
        heart.take(Beat::new(State::Ok, Wall(0), b""));
        let since = Wall(60_000);
        assert_eq!(heart.judge(&expected(), since, Wall(65_000)), Ok(()));
        let late = heart.judge(&expected(), since, Wall(66_000)).unwrap_err();
        assert_eq!(late.to_string(), "no heartbeat for 1m6s");
    }

    #[test]
    fn the_last_words_are_told() {
        let mut heart = Heart::default();
        heart.take(Beat::new(State::Fail, Wall(1_754_374_000_000), b" disk\x1b[1m full\n"));
        let fault = heart.judge(&expected(), Wall(0), Wall(1_754_374_001_000)).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the job said at 2025-08-05T06:06:40.000Z that it failed: disk[1m full"
        );
    }
}
