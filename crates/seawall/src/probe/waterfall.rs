//! The steps of a journey as people read them: each where in the whole it began, and how long it took.

use std::fmt::Write as _;

use seawall_probe::{Report, core::report::StepReport};

use super::render::{BAR, millis};

/// Longest name that is shown whole, in characters.
const NAME: usize = 24;

/// A line for each step, none of what is no journey, and below it why it failed.
pub(super) fn steps(report: &Report) -> String {
    let mut text = String::new();
    let width = report.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0).min(NAME);
    let total = u64::from(report.timings.total_us.max(1));
    let at = |us: u32| usize::try_from(u64::from(us) * u64::from(BAR) / total).unwrap_or(0).min(BAR as usize);
    for step in &report.steps {
        let name: String = step.name.chars().take(NAME).collect();
        let _ = write!(text, "  {} {name:<width$} ", mark(step));
        if let Some(why) = &step.skipped {
            let _ = writeln!(text, "   -  not made: {why}");
            continue;
        }
        let status = step.status.map_or("-".to_owned(), |status| status.to_string());
        let took = step.timings.total_us;
        let (from, to) = (at(step.at_us), at(step.at_us.saturating_add(took)));
        let bar = format!("{}{}", " ".repeat(from), "█".repeat((to - from).max(1)));
        let always = if step.always { "  always" } else { "" };
        let _ = writeln!(text, "{status:>4} {:>10}  {bar:<1$}{always}", millis(took), BAR as usize);
        if let Some(fault) = &step.fault {
            let _ = writeln!(text, "    {fault}");
        }
    }
    text
}

fn mark(step: &StepReport) -> &'static str {
    match (&step.skipped, &step.fault) {
        (Some(_), _) => "·",
        (None, Some(_)) => "✗",
        (None, None) => "✓",
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::Wall;
    use seawall_probe::{Fault, Timings};

    use super::*;

    fn step(name: &str, at_us: u32, total_us: u32) -> StepReport {
        StepReport {
            name: name.to_owned(),
            always: false,
            at_us,
            skipped: None,
            fault: None,
            status: Some(200),
            reused: false,
            timings: Timings { total_us, ..Timings::default() },
        }
    }

    #[test]
    fn steps_are_shown_where_they_were() {
        let mut report = Report::new(Wall(0));
        report.timings.total_us = 100_000;
        let failed = Fault::HttpStatus { status: 500, wanted: "200-399".into() };
        report.steps = vec![
            step("place", 0, 50_000),
            StepReport { fault: Some(failed), status: Some(500), ..step("see", 50_000, 25_000) },
            StepReport { skipped: Some("a step before it failed".into()), ..step("pay", 75_000, 0) },
            StepReport { always: true, ..step("cancel", 75_000, 25_000) },
        ];
        insta::assert_snapshot!(steps(&report));
    }
}
