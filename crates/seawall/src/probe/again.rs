//! The same check again and again, a line each, and the sum of it at the end.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use hdrhistogram::Histogram;
use seawall_probe::{Check, Kept, Outcome, Prober, Report};
use tokio::time::{MissedTickBehavior, interval};

use super::{document, exit, render::millis};

/// Longest check that is told apart from longer ones, in microseconds.
const MAX_US: u64 = 3_600_000_000;

/// Checks until Ctrl-C. Gives the exit code: that of the worst check.
pub(super) async fn run(
    prober: &Prober,
    check: &Check,
    every: Duration,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let mut sum = Sum::default();
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut kept = Kept::default();
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        // A cancelled check is one that nobody waits for any more.
        let report = tokio::select! {
            biased;
            _ = &mut stop => break,
            report = async {
                ticks.tick().await;
                prober.perform(check, &mut kept).await
            } => report,
        };
        match json {
            true => writeln!(out, "{}", document(check, &report))?,
            false => writeln!(out, "{}", line(&report))?,
        }
        out.flush()?;
        sum.take(&report);
    }
    if !json {
        write!(out, "\n{}", sum.told())?;
    }
    Ok(sum.code())
}

/// One check in one line.
fn line(report: &Report) -> String {
    let mut line =
        format!("{}  {:7}  {:>10}", report.began, report.outcome().as_str(), millis(report.timings.total_us));
    for (name, took) in report.timings.parts() {
        if let Some(took) = took {
            let _ = write!(line, "  {name} {}", millis(took));
        }
    }
    if report.reused {
        line += "  reused";
    }
    if let Some(fault) = &report.fault {
        let _ = write!(line, "  {}: {fault}", fault.kind());
    }
    line
}

/// What all the checks come to.
struct Sum {
    outcomes: BTreeMap<Outcome, u64>,
    faults: BTreeMap<&'static str, u64>,
    times: Histogram<u64>,
}

impl Default for Sum {
    fn default() -> Self {
        let times = Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds are a histogram's");
        Self { outcomes: BTreeMap::new(), faults: BTreeMap::new(), times }
    }
}

impl Sum {
    fn take(&mut self, report: &Report) {
        *self.outcomes.entry(report.outcome()).or_default() += 1;
        if let Some(fault) = &report.fault {
            *self.faults.entry(fault.kind()).or_default() += 1;
        }
        self.times.saturating_record(u64::from(report.timings.total_us).max(1));
    }

    fn code(&self) -> u8 {
        let had = |outcome| self.outcomes.contains_key(&outcome);
        match (had(Outcome::Down), had(Outcome::Unknown)) {
            (true, _) => exit::DOWN,
            (false, true) => exit::UNMADE,
            (false, false) => exit::UP,
        }
    }

    fn told(&self) -> String {
        let of = |outcome| self.outcomes.get(&outcome).copied().unwrap_or(0);
        let all: u64 = self.outcomes.values().sum();
        let at = |share| millis(u32::try_from(self.times.value_at_quantile(share)).unwrap_or(u32::MAX));
        let mut text = format!(
            "{all} checks: {} up, {} down, {} unknown\n",
            of(Outcome::Up),
            of(Outcome::Down),
            of(Outcome::Unknown)
        );
        if all > 0 {
            let _ = writeln!(text, "time: p50 {}, p99 {}, slowest {}", at(0.5), at(0.99), at(1.0));
        }
        for (kind, count) in &self.faults {
            let _ = writeln!(text, "{kind}: {count}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::Wall;
    use seawall_probe::Fault;

    use super::*;

    #[test]
    fn checks_are_summed_up() {
        let mut sum = Sum::default();
        assert_eq!(sum.code(), exit::UP);
        for (us, fault) in [(1_000, None), (2_000, Some(Fault::ConnectRefused)), (3_000, None)] {
            let mut report = Report::new(Wall(0));
            report.timings.total_us = us;
            report.fault = fault;
            sum.take(&report);
        }
        assert_eq!(sum.code(), exit::DOWN);
        let told = "3 checks: 2 up, 1 down, 0 unknown\ntime: p50 2.0 ms, p99 3.0 ms, slowest 3.0 ms\n\
                    connect_refused: 1\n";
        assert_eq!(sum.told(), told);
    }
}
