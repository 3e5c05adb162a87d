//! What Prometheus has probed: jobs of its configuration whose path is `/probe`.

use std::time::Duration;

use super::super::tree::{Field, Fields, Left, Tree};

/// The module that is meant where none is named.
const USUAL_MODULE: &str = "http_2xx";
/// Labels that only tell the exporter what to probe, and Prometheus where the exporter is.
const WIRING: [&str; 3] = ["__param_target", "instance", "__address__"];

/// What is probed.
#[derive(Debug, Default)]
pub(super) struct Scraped<'a> {
    /// Time from one check to the next, where a job says nothing.
    pub(super) every: Option<Duration>,
    /// Longest that a check takes, where a job says nothing.
    pub(super) timeout: Option<Duration>,
    pub(super) jobs: Vec<Job<'a>>,
}

/// A job that probes.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) name: String,
    pub(super) module: Option<&'a str>,
    pub(super) every: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) targets: Vec<Aimed<'a>>,
}

/// A target, and the module it names itself.
#[derive(Debug)]
pub(super) struct Aimed<'a> {
    pub(super) target: Field<'a>,
    pub(super) module: Option<&'a str>,
}

impl<'a> Job<'a> {
    /// The module of one of its targets.
    pub(super) fn module_of(&self, aimed: &Aimed<'a>) -> &'a str {
        aimed.module.or(self.module).unwrap_or(USUAL_MODULE)
    }

    /// The module of each of its targets.
    pub(super) fn modules(&self) -> impl Iterator<Item = &'a str> {
        self.targets.iter().map(|aimed| self.module_of(aimed))
    }
}

/// Reads Prometheus' configuration. What has nothing to do with probes is passed over.
pub(super) fn read<'a>(tree: &'a Tree, left: &mut Left) -> Scraped<'a> {
    let mut root = Fields::root(tree, left);
    let mut scraped = Scraped::default();
    if let Some(global) = root.take("global") {
        let mut fields = global.fields(left);
        scraped.every = fields.take("scrape_interval").and_then(|field| field.duration(left));
        scraped.timeout = fields.take("scrape_timeout").and_then(|field| field.duration(left));
    }
    for job in root.items("scrape_configs", left) {
        scraped.jobs.extend(self::job(&job, left));
    }
    scraped
}

fn job<'a>(job: &Field<'a>, left: &mut Left) -> Option<Job<'a>> {
    let mut fields = job.fields(left);
    let path = fields.take("metrics_path").and_then(|field| field.raw(left));
    if path.is_none_or(|path| path.trim_end_matches('/').rsplit('/').next() != Some("probe")) {
        job.leave(left, "it is scraped, and probes nothing");
        return None;
    }
    let name = fields.take("job_name").and_then(|field| field.raw(left)).unwrap_or("probe").to_owned();
    let mut module = None;
    let mut targets = Vec::new();
    if let Some(params) = fields.take("params") {
        let mut params = params.fields(left);
        module = params.items("module", left).first().and_then(|field| field.raw(left));
        targets.extend(params.items("target", left).into_iter().map(|target| Aimed { target, module: None }));
        params.leave(left, |_| "a probe is what its module says, and no parameter changes it");
    }
    for list in fields.items("static_configs", left) {
        let mut fields = list.fields(left);
        let labels = fields.take("labels").map(|field| field.fields(left).rest()).unwrap_or_default();
        let mut own = None;
        for (label, field) in labels {
            match label {
                "__param_module" => own = field.raw(left),
                _ => field.leave(left, "a probe has its name and what it speaks of (`of`), and no labels"),
            }
        }
        let items = fields.items("targets", left);
        targets.extend(items.into_iter().map(|target| Aimed { target, module: own }));
        fields.leave(left, |_| "an estate has nothing like it");
    }
    for rule in fields.items("relabel_configs", left) {
        let mut parts = rule.fields(left);
        let target = parts.take("target_label").and_then(|field| field.raw(left));
        if target.is_none_or(|label| !WIRING.contains(&label)) {
            rule.leave(left, "targets are taken as they are listed, and no rule changes them");
        }
    }
    let every = fields.take("scrape_interval").and_then(|field| field.duration(left));
    let timeout = fields.take("scrape_timeout").and_then(|field| field.duration(left));
    fields.leave(left, |key| match key {
        _ if key.ends_with("_sd_configs") => "targets that are discovered are not known here: list them under `static_configs`, and import again",
        "scheme" | "tls_config" | "basic_auth" | "authorization" | "bearer_token" | "oauth2" => {
            "nothing stands between the prober and what it asks"
        }
        _ => "an estate has nothing like it",
    });
    Some(Job { name, module, every, timeout, targets })
}
