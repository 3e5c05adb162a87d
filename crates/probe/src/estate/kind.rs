//! What a probe checks: a target, heartbeats or a program, and one of them.

use std::{sync::Arc, time::Duration};

use seawall_model::{
    Name,
    estate::{At, Code, Place, Problem, Problems, Resolve},
    units::show_duration,
};

use super::{raw::RawProbe, target};
use crate::core::{beat::Expected, target::Target};

/// Most arguments of a program, and itself.
const MAX_ARGUMENTS: usize = 64;
/// Longest of them, in bytes.
const MAX_ARGUMENT: usize = 4 * 1024;
/// Time that a heartbeat may be late by where nothing is said, and at most.
const USUAL_GRACE: Duration = Duration::from_secs(60);
const MAX_GRACE: Duration = Duration::from_secs(30 * 86_400);

/// Judges what a probe checks. `None` if it cannot be; why has been reported.
pub(super) fn target(
    name: &Name,
    at: &At<RawProbe>,
    may_exec: bool,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Target> {
    let raw = &at.value;
    let pushed = raw.push.filter(|at| at.value);
    let said: Vec<(&str, Place)> = [
        ("target", raw.target.as_ref().map(|at| at.place)),
        ("push", pushed.map(|at| at.place)),
        ("exec", raw.exec.first().map(|at| at.place)),
    ]
    .into_iter()
    .filter_map(|(key, place)| Some((key, place?)))
    .collect();
    match said[..] {
        [_] => {}
        [] => {
            let problem = Problem::new(Code::MissingKey, at.place, "`target` is missing");
            problems.report(problem.help("say what is checked: a `target`, `push = true` or `exec`"));
            return None;
        }
        [(one, first), (other, second), ..] => {
            let message = format!("both `{one}` and `{other}` say what is checked");
            let problem = Problem::new(Code::Contradiction, second, message);
            problems.report(problem.other(first, format!("`{one}`")).help("make two probes of it"));
            return None;
        }
    }
    if let (Some(grace), None) = (raw.grace, pushed) {
        let message = "`grace` is not looked at without `push = true`";
        problems.report(Problem::new(Code::Contradiction, grace.place, message).help("remove it"));
        return None;
    }
    match (&raw.target, pushed) {
        (Some(at), _) => target::target(at, resolve, problems),
        (None, Some(_)) => push(name, raw, problems).map(Target::Push),
        (None, None) => exec(&raw.exec, may_exec, problems).map(Target::Exec),
    }
}

fn push(name: &Name, raw: &RawProbe, problems: &mut Problems) -> Option<Expected> {
    let grace = raw.grace.map_or(USUAL_GRACE, |at| at.value);
    if let Some(at) = raw.grace.filter(|at| at.value > MAX_GRACE) {
        let message = format!("`grace` is {}, and may be {}", show_duration(grace), show_duration(MAX_GRACE));
        problems.report(Problem::new(Code::InvalidValue, at.place, message));
        return None;
    }
    Some(Expected { name: name.clone(), every: raw.every.value, grace })
}

fn exec(raw: &[At<String>], may: bool, problems: &mut Problems) -> Option<Vec<Arc<str>>> {
    let program = raw.first()?;
    if !may {
        let message = "a probe runs a program, which this estate does not allow";
        let help = "set `exec = true` under `[watch]`, if whoever writes this file may run programs here";
        problems.report(Problem::new(Code::Contradiction, program.place, message).help(help));
        return None;
    }
    if !program.value.starts_with('/') {
        let message = format!("{} is no whole path", problems.quote(&program.value, program.place));
        let help = "begin with `/`: nothing is looked for in a `PATH`, and there is no shell";
        problems.report(Problem::new(Code::InvalidValue, program.place, message).help(help));
        return None;
    }
    let bad = |at: &&At<String>| at.value.len() > MAX_ARGUMENT || at.value.contains('\0');
    if let Some(bad) = raw.get(MAX_ARGUMENTS).or(raw.iter().find(bad)) {
        let message =
            format!("`exec` takes {MAX_ARGUMENTS} texts of up to {MAX_ARGUMENT} bytes, without NUL");
        problems.report(Problem::new(Code::Limit, bad.place, message));
        return None;
    }
    Some(raw.iter().map(|at| at.value.as_str().into()).collect())
}
