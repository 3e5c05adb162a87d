//! Whether the heartbeats come that are expected.

use super::Notes;
use crate::{
    core::{beat::Expected, fault::Fault},
    prober::Prober,
};

/// Judges the heartbeats that have come.
pub(crate) fn check(prober: &Prober, expected: &Expected, notes: &mut Notes) -> Result<(), Fault> {
    let heart = prober.beats.of(&expected.name);
    notes.report.banner = heart.last().map(|beat| match beat.message.as_str() {
        "" => format!("{} at {}", beat.state.as_str(), beat.at),
        message => format!("{} at {}: {message}", beat.state.as_str(), beat.at),
    });
    heart.judge(expected, prober.beats.since(), prober.clock.wall())
}
