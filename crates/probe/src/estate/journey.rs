//! Journeys as written.

use std::sync::Arc;

use http::{HeaderName, Method};
use regex::RegexBuilder;
use seawall_model::{
    ComponentId, ComponentKind, Name,
    estate::{Code, Graph, Place, Problem, Problems, Resolve, Table},
    units::show_duration,
};
use seawall_rules::{Kind, Rule};

use super::{
    ProbeSection, assert, expect,
    headers::RawHeaders,
    raw::{RawCapture, RawJourney, RawProbe, RawStep},
    target::{resolver, text},
    validate::{EVERY, MAX_BODY, RUNS, TIMEOUT, component, is_loopback, method, within},
};
use crate::core::{
    assert::names,
    check::Check,
    journey::{Capture, Journey, MAX_CAPTURES, MAX_STEPS, Origin, RUN, Step, Template},
    target::Target,
};

/// Most journeys of one estate.
const MAX_JOURNEYS: usize = 1_000;
/// Largest that a pattern may become when it is compiled, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

/// Judges the journeys; each is a probe like any other from then on, and so may not be called as one.
pub(super) fn validate(
    probes: &Table<RawProbe>,
    journeys: &Table<RawJourney>,
    graph: &Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Vec<ProbeSection>> {
    if let Some((_, beyond)) = journeys.iter().nth(MAX_JOURNEYS) {
        let message = format!("{} journeys; at most {MAX_JOURNEYS} are taken", journeys.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let mut judged = Vec::new();
    for (name, at) in journeys {
        if let Some(probe) = probes.get(name) {
            let message = format!("`{name}` is the name of a probe as well");
            let problem = Problem::new(Code::DeclaredTwice, at.place, message);
            problems.report(problem.other(probe.place, "the probe").help("rename one of them"));
            continue;
        }
        judged.extend(journey(name, &at.value, at.place, graph, resolve, problems));
    }
    (judged.len() == journeys.len()).then_some(judged)
}

fn journey(
    name: &Name,
    raw: &RawJourney,
    place: Place,
    graph: &Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<ProbeSection> {
    let of = match &raw.of {
        Some(at) => component(at, graph, problems),
        None => Some(ComponentId::new(ComponentKind::Service, name)),
    };
    let every = within(raw.every, EVERY, "every", |d| show_duration(*d), problems);
    let timeout = within(raw.timeout, TIMEOUT, "timeout", |d| show_duration(*d), problems);
    let (every, timeout) = (every?, timeout?);
    for (less, more, what) in
        [(raw.timeout, raw.every, ("timeout", "every")), (raw.reserve, raw.timeout, ("reserve", "timeout"))]
    {
        if less.value > more.value || (what.0 == "reserve" && less.value == more.value) {
            let (small, large) = (show_duration(less.value), show_duration(more.value));
            let message = format!("`{}` ({small}) leaves no time within `{}` ({large})", what.0, what.1);
            let problem = Problem::new(Code::Contradiction, less.place, message);
            problems.report(problem.other(more.place, format!("`{}`", what.1)).help("lower it"));
            return None;
        }
    }
    let resolver = match raw.resolver.as_ref().map(|at| resolver(at, problems)) {
        Some(read) => Some(read?),
        None => None,
    };
    let mut steps = steps(raw, place, resolve, problems)?;
    steps.iter_mut().for_each(|step| step.check.resolver = resolver);
    let [down_after, up_after] = [("down_after", raw.down_after), ("up_after", raw.up_after)]
        .map(|(key, at)| within(at, RUNS, key, u32::to_string, problems));
    let journey = Journey { steps, reserve: raw.reserve.value, cookies: raw.cookies };
    let mut check = Check::new(Target::Journey(Arc::new(journey)));
    check.timeout = timeout;
    Some(ProbeSection {
        name: name.clone(),
        of: of?,
        every,
        down_after: down_after?,
        up_after: up_after?,
        check: Arc::new(check),
    })
}

fn steps(
    raw: &RawJourney,
    place: Place,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Vec<Step>> {
    if raw.steps.is_empty() || raw.steps.len() > MAX_STEPS {
        let message = format!("a journey has 1 to {MAX_STEPS} steps");
        let problem = Problem::new(Code::InvalidValue, place, message);
        problems.report(problem.help("add `[[journeys.NAME.steps]]` with `name` and `url`"));
        return None;
    }
    let mut known = vec![RUN.to_owned()];
    let mut steps: Vec<Step> = Vec::new();
    let mut whole = true;
    for at in &raw.steps {
        let step = step(&at.value, &known, resolve, problems);
        known.extend(at.value.capture.keys().map(ToString::to_string));
        match step {
            Some(step) if steps.iter().any(|before| before.name == step.name) => {
                let message = format!("two steps are called `{}`", step.name);
                problems
                    .report(Problem::new(Code::DeclaredTwice, at.place, message).help("rename one of them"));
                whole = false;
            }
            Some(step) => steps.push(step),
            None => whole = false,
        }
    }
    whole.then_some(steps)
}

fn step(raw: &RawStep, known: &[String], resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Step> {
    let before = problems.errors();
    let timeout = within(raw.timeout, TIMEOUT, "timeout", |d| show_duration(*d), problems);
    let method = raw.method.as_ref().map_or(Some(Method::GET), |at| method(at, problems));
    let (name, url) = (raw.name.as_ref()?, raw.url.as_ref()?);
    let whole = text(url, resolve, problems)?;
    let (target, path) = self::url(whole.expose(), url.place, problems)?;
    let template = |text: &str, place: Place, problems: &mut Problems| template(text, place, known, problems);
    let path = template(&path, url.place, problems);
    let mut headers = Vec::new();
    if let Some(at) = &raw.headers {
        for (name, value) in &RawHeaders::validate(at, resolve, problems)? {
            let text = value.to_str().unwrap_or_default();
            headers.push((name.clone(), template(text, at.place, problems)?));
        }
        if let Target::Http(url) = &target
            && !url.endpoint.tls
            && !is_loopback(&url.endpoint.host)
        {
            let message =
                "headers go over plain `http` to another host: they can be read and changed on the way";
            problems.report(Problem::new(Code::PlainHttp, at.place, message));
        }
    }
    let body = match &raw.body {
        Some(at) => {
            let text = at.resolve(resolve, problems)?;
            if text.expose().len() > MAX_BODY {
                let message = format!("`body` is longer than {MAX_BODY} bytes");
                problems.report(Problem::new(Code::Limit, at.place, message));
            }
            template(text.expose(), at.place, problems)
        }
        None => Template::parse("").ok(),
    };
    let mut expect = expect::validate(raw.expect.as_ref(), &target, problems)?;
    let mut names = names(&target, false);
    names.push(("captured", Kind::Texts));
    expect.rules = assert::validate(&raw.assert, &names, problems)?;
    let captures = captures(&raw.capture, &names, problems)?;
    let reads = captures.iter().any(|capture| !matches!(capture.from, Origin::Header(_)));
    expect.held |= reads;
    let mut check = Check::new(target);
    check.fresh = false;
    check.expect = expect;
    check.method = method?;
    check.timeout = timeout?;
    (problems.errors() == before).then_some(Step {
        name: name.value.to_string(),
        always: raw.always,
        check,
        path: path?,
        headers,
        body: body?,
        captures,
    })
}

/// The target without its path and query, and these.
fn url(text: &str, place: Place, problems: &mut Problems) -> Option<(Target, String)> {
    let after = text.find("://").map_or(0, |at| at + 3);
    let end = text[after..].find(['/', '?', '#']).map_or(text.len(), |at| after + at);
    let (origin, path) = text.split_at(end);
    if path.contains('#') {
        let problem = Problem::new(Code::Url, place, "the URL has a fragment (`#…`), which is never sent");
        problems.report(problem.help("remove the `#` and what follows; in a query write it as `%23`"));
        return None;
    }
    match origin.parse::<Target>() {
        Ok(target @ Target::Http(_)) => Some((target, path.to_owned())),
        Ok(_) => {
            let message = "a step asks over HTTP";
            problems
                .report(Problem::new(Code::Url, place, message).help("begin with `https://` or `http://`"));
            None
        }
        Err(e) => {
            problems.report(Problem::new(Code::Url, place, e.to_string()).help(e.cure()));
            None
        }
    }
}

/// A text with places for values that are known by then.
fn template(text: &str, place: Place, known: &[String], problems: &mut Problems) -> Option<Template> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(why) => {
            let help = "write it as in `{{order-id}}`, with the name that an earlier step captures";
            problems.report(Problem::new(Code::InvalidValue, place, why).help(help));
            return None;
        }
    };
    for name in template.names() {
        if !known.iter().any(|known| known == name) {
            let message = format!("`{{{{{name}}}}}` is captured by no step before");
            let problem = Problem::new(Code::UnknownReference, place, message);
            problems.report_unlike(problem, name, known);
            return None;
        }
    }
    Some(template)
}

fn captures(
    raw: &Table<RawCapture>,
    names: &[(&'static str, Kind)],
    problems: &mut Problems,
) -> Option<Vec<Capture>> {
    if let Some((_, beyond)) = raw.iter().nth(MAX_CAPTURES) {
        let message = format!("{} values; at most {MAX_CAPTURES} are captured in a step", raw.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let mut found = Vec::new();
    for (name, at) in raw {
        if name.as_str() == RUN {
            let message = "`run` is there already: digits that are different in every run";
            problems.report(Problem::new(Code::DeclaredTwice, at.place, message).help("choose another name"));
            continue;
        }
        if let Some(from) = origin(&at.value, at.place, names, problems) {
            found.push(Capture { name: name.to_string(), from, secret: at.value.secret });
        }
    }
    (found.len() == raw.len()).then_some(found)
}

fn origin(
    raw: &RawCapture,
    place: Place,
    names: &[(&'static str, Kind)],
    problems: &mut Problems,
) -> Option<Origin> {
    match (&raw.json, &raw.header, &raw.regex, &raw.rule) {
        (Some(at), None, None, None) => {
            if at.value.is_empty() || at.value.starts_with('/') {
                return Some(Origin::Json(at.value.clone()));
            }
            let message = format!("{} points nowhere", problems.quote(&at.value, at.place));
            let help = "write it as in `/order/id`, or `\"\"` for the whole document";
            problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
            None
        }
        (None, Some(at), None, None) => {
            let name = HeaderName::from_bytes(at.value.as_bytes()).ok();
            if name.is_none() {
                let message = format!("{} is no header's name", problems.quote(&at.value, at.place));
                problems
                    .report(Problem::new(Code::Header, at.place, message).help("write it as in `location`"));
            }
            name.map(Origin::Header)
        }
        (None, None, Some(at), None) => {
            let pattern = RegexBuilder::new(&at.value).size_limit(MAX_PATTERN).build().ok();
            if pattern.is_none() {
                let message =
                    format!("this is no regular expression, or one larger than {MAX_PATTERN} bytes");
                let help = "write it in RE2's syntax, without looking around and back-references";
                problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
            }
            pattern.map(Origin::Pattern)
        }
        (None, None, None, Some(at)) => {
            assert::report(Rule::compile(&at.value, names), at, problems).map(Origin::Rule)
        }
        _ => {
            let message = "a value is taken from one of `json`, `header`, `regex` and `rule`";
            problems.report(Problem::new(Code::Contradiction, place, message).help("name one of them"));
            None
        }
    }
}
