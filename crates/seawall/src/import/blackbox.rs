//! blackbox_exporter: YAML. A module says how, and a target of Prometheus' configuration what: each pair becomes a probe.

mod module;
mod scrapes;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use self::{
    module::{Beside, Kind},
    scrapes::{Job, Scraped},
};
use super::{
    draft::Draft,
    probes::{Aim, MAX_HEADERS, Probe, times},
    source::Source,
    tree::{Broken, Field, Fields, Left},
    yaml,
};

/// Time from one check to the next, where nothing is said.
const USUAL_EVERY: Duration = Duration::from_secs(60);
/// Longest that a check takes, where nothing is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the exporter's configuration and, if there is one, Prometheus' that names the targets.
///
/// The error's second part is true if it is of the latter.
pub(super) fn import(text: &str, targets: Option<&str>, left: &mut Left) -> Result<Draft, (Broken, bool)> {
    let tree = yaml::yaml(text).map_err(|broken| (broken, false))?;
    let scraped_tree = targets.map(yaml::yaml).transpose().map_err(|broken| (broken, true))?;
    let mut draft = Draft::default();
    let mut root = Fields::root(&tree, left);
    let modules = root.take("modules").map(|field| field.fields(left).rest()).unwrap_or_default();
    root.leave(left, |_| "an estate has nothing like it");
    let mut redirects = false;
    let Some(scraped_tree) = scraped_tree else {
        for (name, module) in modules {
            if let Some(template) = Template::new(name, &module, &mut redirects, &mut draft, left) {
                alone(name, &module, template, &mut draft, left);
            }
        }
        return Ok(draft);
    };
    left.second(true);
    let scraped = scrapes::read(&scraped_tree, left);
    left.second(false);
    let named: BTreeSet<&str> = scraped.jobs.iter().flat_map(Job::modules).collect();
    let mut templates = BTreeMap::new();
    for (name, module) in &modules {
        match named.contains(name) {
            true => {
                let template = Template::new(name, module, &mut redirects, &mut draft, left);
                templates.insert(*name, template);
            }
            false => module.leave(left, "no job names it with a target that is listed: it makes no probe"),
        }
    }
    left.second(true);
    for job in &scraped.jobs {
        for aimed in &job.targets {
            match templates.get(job.module_of(aimed)) {
                Some(Some(template)) => pair(template, job, &aimed.target, &scraped, &mut draft, left),
                Some(None) => aimed.target.leave(left, "its module makes no probe"),
                None => aimed.target.leave(left, "the exporter's configuration has no such module"),
            }
        }
    }
    left.second(false);
    Ok(draft)
}

/// What a module says of each of its probes.
struct Template {
    kind: Kind,
    timeout: Option<Duration>,
    /// As it would be of a target that is made up.
    probe: Probe,
    beside: Beside,
}

impl Template {
    /// That redirects are not followed is told once, of the first module that would: `redirects` is whether it has been.
    fn new(
        name: &str,
        module: &Field<'_>,
        redirects: &mut bool,
        draft: &mut Draft,
        left: &mut Left,
    ) -> Option<Self> {
        let mut fields = module.fields(left);
        let kind = Kind::of(&mut fields, module, left)?;
        let timeout = fields.take("timeout").and_then(|field| field.duration(left));
        let timeout = timeout.filter(|time| !time.is_zero());
        let text = kind.example();
        let target = text.parse().expect("an example is a target");
        let mut probe = Probe::new(Aim { text, target, authorization: None }, USUAL_EVERY, USUAL_TIMEOUT);
        let beside = module::settings(&kind, fields, &mut probe, name, draft, left);
        if beside.follows && !mem::replace(redirects, true) {
            module.leave(
                left,
                "redirects are not followed, here and in all other modules: name the URLs that they lead to",
            );
        }
        Some(Self { kind, timeout, probe, beside })
    }

    /// The same of another target; `None` if that is of another kind.
    fn of(&self, aim: Aim) -> Option<Probe> {
        let (own, other) = (&self.probe.aim.target, &aim.target);
        (mem::discriminant(own) == mem::discriminant(other)).then_some(())?;
        let mut probe = Probe::new(aim, USUAL_EVERY, USUAL_TIMEOUT);
        // A user and password in the target come before what the module says.
        let known = |name: &str| probe.headers.iter().any(|(known, _)| known == name);
        let more: Vec<_> = self.probe.headers.iter().filter(|(name, _)| !known(name)).cloned().collect();
        probe.headers.extend(more);
        probe.headers.truncate(MAX_HEADERS);
        probe.method.clone_from(&self.probe.method);
        probe.body.clone_from(&self.probe.body);
        probe.expect = self.probe.expect.clone();
        Some(probe)
    }
}

/// A probe of a module whose targets nobody told.
fn alone(name: &str, module: &Field<'_>, template: Template, draft: &mut Draft, left: &mut Left) {
    let (aim, variable) = draft.unknown_target(&template.kind.example(), name);
    let shown = template.kind.example_shown();
    let reason = format!(
        "what it is asked of is not told here: set {variable} to the target, as in `{shown}`, or import with `--targets`"
    );
    module.leave(left, reason);
    if template.beside.tls_only {
        module.leave(left, "a connection without TLS is bad: let the target be of `https://`");
    }
    let mut probe = Probe { aim, ..template.probe };
    (probe.every, probe.timeout) = times(USUAL_EVERY, template.timeout, USUAL_TIMEOUT, module, left);
    draft.add_probe(name, None, probe, module, left);
}

/// A probe of a module and one of its targets.
fn pair(
    template: &Template,
    job: &Job<'_>,
    target: &Field<'_>,
    scraped: &Scraped<'_>,
    draft: &mut Draft,
    left: &mut Left,
) {
    let Some(text) = target.raw(left) else { return };
    let whole = template.kind.target(text);
    let owner = format!("{}-{}", job.name, host(text));
    let Some(aim) = draft.target(&whole, Source::Literal(whole.clone()), &owner, target, left) else {
        return;
    };
    let tls = aim.target.endpoint().is_some_and(|endpoint| endpoint.tls);
    let Some(mut probe) = template.of(aim) else {
        target.leave(left, "it is of another kind than its module");
        return;
    };
    if template.beside.tls_only && !tls {
        target.leave(left, "its module takes a connection without TLS for bad: name it with `https://`");
    }
    let every = job.every.or(scraped.every).unwrap_or(USUAL_EVERY);
    let timeout = [template.timeout, job.timeout.or(scraped.timeout)].into_iter().flatten().min();
    (probe.every, probe.timeout) = times(every, timeout, USUAL_TIMEOUT, target, left);
    draft.add_probe(&owner, None, probe, target, left);
}

/// The host of a target, for a name.
fn host(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)
}
