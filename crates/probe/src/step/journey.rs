//! The steps of a journey, one after another; at the end those that are made whatever happened.

use std::collections::BTreeMap;

use http::{HeaderValue, header};
use seawall_model::Mono;
use seawall_rules::{Facts, Rule};
use serde_json::json;
use tokio::time::timeout;

use super::Notes;
use crate::{
    core::{
        assert::{self, Answer, Hidden},
        check::Check,
        cookies::Jar,
        fault::Fault,
        journey::{Journey, Origin, RUN, Step, Unready, Values},
        report::{Report, StepReport, micros},
        target::Url,
    },
    prober::{Kept, Prober},
};

/// What one run has come to know.
struct Run {
    values: Values,
    jar: Jar,
    /// What must not be shown.
    hidden: Hidden,
    /// A connection to each host.
    kept: BTreeMap<String, Kept>,
}

/// Makes the journey. The time of the check is the whole's; it ends in time by itself, so that what was begun is still
/// cleaned up.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    journey: &Journey,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let began = prober.clock.mono();
    let whole = began + check.timeout;
    let forward = began + check.timeout.saturating_sub(journey.reserve);
    let run = format!("{:016x}", fastrand::u64(..));
    let values = Values::from([(RUN.to_owned(), run)]);
    let mut run = Run { values, jar: Jar::default(), hidden: Hidden::default(), kept: BTreeMap::new() };
    let mut first = None;
    for (place, step) in journey.steps.iter().enumerate() {
        let now = prober.clock.mono();
        let mut told = StepReport::new(&step.name, step.always, micros(now.since(began)));
        if first.is_some() && !step.always {
            told.skipped = Some("a step before it failed".to_owned());
            notes.report.steps.push(told);
            continue;
        }
        let until = if step.always { whole } else { forward };
        match step.ready(&run.values) {
            // There is nothing to clean up where nothing was made.
            Err(why @ Unready::Missing(_)) if step.always => told.skipped = Some(why.to_string()),
            Err(why) => told.fault = Some(Fault::Unsent { why: why.to_string() }),
            Ok((ready, url)) => made(prober, journey, step, (ready, url), until, &mut run, &mut told).await,
        }
        if let (None, Some(fault)) = (&first, &told.fault) {
            first = Some(fault.clone());
            notes.report.failed_step = Some(place);
        }
        notes.report.steps.push(told);
    }
    first.map_or(Ok(()), Err)
}

/// Makes one step.
async fn made(
    prober: &Prober,
    journey: &Journey,
    step: &Step,
    (mut check, url): (Check, Url),
    until: Mono,
    run: &mut Run,
    told: &mut StepReport,
) {
    let left = until.since(prober.clock.mono());
    if left.is_zero() {
        told.fault = Some(Fault::NoTime);
        return;
    }
    check.timeout = check.timeout.min(left);
    let (path, tls) = (url.path.expose(), url.endpoint.tls);
    if journey.cookies
        && let Some(cookies) = run.jar.header(&url.endpoint.host, path, tls)
        && let Ok(mut value) = HeaderValue::from_str(&cookies)
    {
        value.set_sensitive(true);
        check.headers.insert(header::COOKIE, value);
    }
    run.hidden.also(Hidden::of(&check));
    let mut notes = Notes::new(prober.clock);
    let kept = run.kept.entry(url.endpoint.to_string()).or_default();
    let request = super::http::check(prober, &check, &url, kept, &mut notes);
    let fault = match timeout(check.timeout, request).await {
        Ok(done) => done.err(),
        Err(_) => Some(notes.late()),
    };
    // Its own conditions may speak of what was captured, and so are judged here.
    let rules = std::mem::take(&mut check.expect.rules);
    let (report, answer) = notes.close(&check, fault);
    if journey.cookies {
        run.jar.take(&url.endpoint.host, path, &answer.headers, prober.clock.wall());
        run.jar.values().for_each(|value| run.hidden.hide(value));
    }
    let judged = match &report.fault {
        Some(fault) => Err(fault.clone()),
        None => judge(prober, step, &rules, &report, &answer, run),
    };
    told.status = report.http.map(|http| http.status);
    told.reused = report.reused;
    told.timings = report.timings;
    told.fault = judged.err().map(|fault| veiled(fault, &run.hidden));
}

/// Judges an answer, and takes from it what later steps need.
fn judge(
    prober: &Prober,
    step: &Step,
    rules: &[Rule],
    report: &Report,
    answer: &Answer,
    run: &mut Run,
) -> Result<(), Fault> {
    let of_captures = step.captures.iter().filter_map(|capture| match &capture.from {
        Origin::Rule(rule) => Some(rule),
        Origin::Json(_) | Origin::Header(_) | Origin::Pattern(_) => None,
    });
    let all = rules.iter().chain(of_captures);
    let facts = |values: &Values| -> Facts {
        let mut facts = assert::facts(all.clone(), report, answer, prober.clock.wall());
        facts.set("captured", &json!(values));
        facts
    };
    let before = facts(&run.values);
    for rule in rules {
        assert::judge_one(rule, &before, &run.hidden, &answer.body)?;
    }
    for capture in &step.captures {
        let taken = capture.take(&before, answer);
        let value = taken.map_err(|why| Fault::NotCaptured { name: capture.name.clone(), why })?;
        if capture.secret {
            run.hidden.hide(&value);
        }
        run.values.insert(capture.name.clone(), value);
    }
    Ok(())
}

/// The fault without what must not be shown.
fn veiled(fault: Fault, hidden: &Hidden) -> Fault {
    match fault {
        Fault::BodyValue { pointer, wanted, found } if hidden.covers(&found) => {
            Fault::BodyValue { pointer, wanted, found: "***".to_owned() }
        }
        fault => fault,
    }
}
