//! From the raw sections of all files to one estate.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf};

use aws_lc_rs::digest;
use seawall_gateway::estate::{
    self as gateway,
    raw::{RawGateway, RawKind},
};
use seawall_model::{
    Name, Secret,
    estate::{
        At, Code, FileId, Graph, Place, Problem, Problems, Resolve, SecretSource, Sources, Table,
        default_value,
    },
};

use super::{
    Announced, Estate, LoadError, LogSection, Report, Surroundings, TelemetrySection,
    files::Files,
    maintenance,
    root::{RawIdentity, RawListen, RawRoot},
    secrets, telemetry,
};

/// Most data-path threads.
const MAX_WORKERS: u32 = 256;

/// Judges what was read.
pub(super) fn assemble(files: Files, with: &Surroundings<'_>) -> Result<Estate, LoadError> {
    let Files { sources, roots, watched, mut problems } = files;
    let root = merge(roots, &mut problems);
    let noted = RefCell::new(watched);
    let judged = judge(&root, &sources, &noted, with, &mut problems);
    let digest = digest(&sources);
    let report = Report::new(sources, problems);
    match judged {
        Some(judged) if report.errors() == 0 => Ok(Estate {
            name: judged.name,
            admin: judged.admin,
            admin_token: judged.admin_token,
            log: judged.log,
            telemetry: judged.telemetry,
            gateway: judged.gateway,
            journal: judged.journal,
            probes: judged.probes,
            history: judged.history,
            maintenance: judged.maintenance,
            graph: judged.graph,
            files: noted.into_inner().into_iter().collect(),
            digest,
            report,
        }),
        Some(_) | None => Err(LoadError::Invalid { report: Box::new(report) }),
    }
}

/// The files' sections as though they stood in one file. What stands in two is reported.
fn merge(roots: Vec<RawRoot>, problems: &mut Problems) -> RawRoot {
    let mut all: RawRoot = default_value("{}", NOWHERE);
    for root in roots {
        one(&mut all.estate, root.estate, "estate", problems);
        one(&mut all.listen, root.listen, "listen", problems);
        one(&mut all.auth, root.auth, "auth", problems);
        one(&mut all.limits, root.limits, "limits", problems);
        one(&mut all.journal, root.journal, "journal", problems);
        one(&mut all.log, root.log, "log", problems);
        one(&mut all.telemetry, root.telemetry, "telemetry", problems);
        many(&mut all.providers, root.providers, "provider", problems);
        many(&mut all.teams, root.teams, "team", problems);
        many(&mut all.services, root.services, "service", problems);
        many(&mut all.pools, root.pools, "pool", problems);
        many(&mut all.probes, root.probes, "probe", problems);
        many(&mut all.chains, root.chains, "chain", problems);
        many(&mut all.journeys, root.journeys, "journey", problems);
        one(&mut all.watch, root.watch, "watch", problems);
        one(&mut all.history, root.history, "history", problems);
        all.maintenance.extend(root.maintenance);
    }
    all
}

/// Where defaults stand: nothing is ever reported of them.
const NOWHERE: Place = Place { file: FileId(0), start: 0, end: 0 };

fn one<T>(all: &mut Option<At<T>>, more: Option<At<T>>, name: &str, problems: &mut Problems) {
    match (&all, more) {
        (Some(first), Some(second)) => {
            let message = format!("`[{name}]` stands in two files");
            let problem = Problem::new(Code::DeclaredTwice, second.place, message);
            problems.report(problem.other(first.place, "the other").help("put all of it in one of them"));
        }
        (None, Some(only)) => *all = Some(only),
        (_, None) => {}
    }
}

fn many<T>(all: &mut Table<T>, more: Table<T>, kind: &str, problems: &mut Problems) {
    for (name, second) in more {
        if let Some(first) = all.get(&name) {
            let message = format!("{kind} `{name}` is declared in two files");
            let problem = Problem::new(Code::DeclaredTwice, second.place, message);
            problems.report(problem.other(first.place, "the other").help("rename or remove one of them"));
        } else {
            all.insert(name, second);
        }
    }
}

/// What [`Estate`] is made of besides how it was read.
struct Judged {
    name: Name,
    admin: std::net::SocketAddr,
    admin_token: Option<Secret>,
    log: LogSection,
    telemetry: TelemetrySection,
    gateway: Option<gateway::GatewaySection>,
    journal: Option<seawall_journal::estate::JournalSection>,
    probes: Option<seawall_probe::estate::ProbesSection>,
    history: Option<seawall_history::estate::HistorySection>,
    maintenance: Vec<Announced>,
    graph: Graph,
}

fn judge(
    root: &RawRoot,
    sources: &Sources,
    noted: &RefCell<BTreeSet<PathBuf>>,
    with: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Judged> {
    let resolve = |source: &At<SecretSource>| {
        secrets::note_file(source, sources, &mut noted.borrow_mut());
        secrets::fetch(source, sources, with)
    };
    let mut graph = Graph::default();
    graph.add_teams(&root.teams);
    graph.add_providers(&root.providers, problems);
    let listen = root.listen.as_ref().map_or_else(|| default_value("{}", NOWHERE), |at| at.value.clone());
    let gateway = gateway(root, &listen, with.cores, &mut graph, &resolve, problems);
    report_chains_of_none(root, problems);
    seawall_probe::estate::chain::declare(&root.chains, &mut graph, problems);
    // A probe without `of` speaks of the service of its own name.
    let probed = root.probes.iter().filter(|(_, probe)| probe.value.of.is_none());
    probed.for_each(|(name, _)| graph.add_service(name));
    let travelled = root.journeys.iter().filter(|(_, journey)| journey.value.of.is_none());
    travelled.for_each(|(name, _)| graph.add_service(name));
    graph.add_services(&root.services, problems);
    let watch = root.watch.as_ref().map_or_else(|| default_value("{}", NOWHERE), |at| at.value.clone());
    let probes = seawall_probe::estate::validate(
        &root.probes,
        &root.journeys,
        &root.chains,
        &watch,
        &graph,
        &resolve,
        problems,
    );
    let maintenance = maintenance::validate(&root.maintenance, &graph, problems);
    let journal = root.journal.as_ref().map(|at| at.value.validate(problems));
    let history = root.history.as_ref().map(|at| at.value.validate(at.place, problems));
    let admin_token = admin_token(&listen, &resolve, problems);
    let log = root.log.as_ref().map_or_else(|| default_value("{}", NOWHERE), |at| at.value.clone());
    let access = telemetry::access(&log, problems);
    let log = LogSection { format: log.format, level: log.level, access };
    let told = root.telemetry.as_ref().map_or_else(|| default_value("{}", NOWHERE), |at| at.value.clone());
    let told = telemetry::telemetry(&told, problems);
    let identity: RawIdentity =
        root.estate.as_ref().map_or_else(|| default_value("{}", NOWHERE), |at| at.value.clone());
    Some(Judged {
        name: identity.name,
        admin: listen.admin.value,
        admin_token: admin_token?,
        log,
        telemetry: told?,
        gateway: gateway?,
        journal: match journal {
            Some(good) => Some(good?),
            None => None,
        },
        probes: probes?,
        history: match history {
            Some(good) => Some(good?),
            None => None,
        },
        maintenance: maintenance?,
        graph,
    })
}

/// The gateway's section; `Some(None)` if there is no pool to serve.
fn gateway(
    root: &RawRoot,
    listen: &RawListen,
    cores: usize,
    graph: &mut Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Option<gateway::GatewaySection>> {
    let workers = match listen.workers {
        Some(at) if !(1..=MAX_WORKERS).contains(&at.value) => {
            let message = format!("`workers` is {}, but must be from 1 to {MAX_WORKERS}", at.value);
            problems.report(Problem::new(Code::InvalidValue, at.place, message));
            None
        }
        Some(at) => Some(at.value as usize),
        None => Some(cores.clamp(1, MAX_WORKERS as usize)),
    };
    let tls = listen.tls.iter().flat_map(|tls| &tls.value.at).flat_map(|at| &at.0);
    for at in
        listen.gateway.0.iter().chain(tls).filter(|at| at.value == listen.admin.value && at.value.port() != 0)
    {
        let problem =
            Problem::new(Code::Contradiction, at.place, format!("`{}` is `admin` as well", at.value));
        problems.report(problem.other(listen.admin.place, "`admin`").help("give each a port of its own"));
    }
    if listen.gateway.0.is_empty() && listen.tls.is_none() {
        let problem = Problem::new(
            Code::NoChoice,
            root.listen.as_ref().map(|at| at.place),
            "`gateway` lists no address",
        );
        problems.report(problem.help("list one, or leave it out for `127.0.0.1:8545`"));
    }
    let raw = RawGateway {
        listen: listen.gateway.0.clone(),
        tls: listen.tls.clone(),
        auth: root.auth.clone(),
        workers: workers.unwrap_or(1),
        limits: root.limits.as_ref().map_or_else(|| default_value("{}", NOWHERE), |at| at.value.clone()),
        providers: root.providers.clone(),
        pools: root.pools.clone(),
    };
    let section = gateway::validate(&raw, graph, resolve, problems)?;
    workers?;
    Some((!section.pools.is_empty()).then_some(section))
}

/// A chain of a pool's name is the chain that the pool serves, which must be one.
fn report_chains_of_none(root: &RawRoot, problems: &mut Problems) {
    for (name, chain) in &root.chains {
        let Some(kind) = root.pools.get(name).and_then(|pool| pool.value.kind.as_ref()) else { continue };
        match kind.value {
            RawKind::Evm | RawKind::Bitcoin | RawKind::CometBft | RawKind::Monero => {}
            RawKind::Http | RawKind::Grpc => {
                let message = format!("pool `{name}` serves no chain");
                let problem = Problem::new(Code::Contradiction, chain.place, message);
                let help = "give the chain another name, or name a pool that serves it";
                problems.report(problem.other(kind.place, "its kind").help(help));
            }
        }
    }
}

/// The admin listener's token; `Some(None)` if it has and needs none.
fn admin_token(listen: &RawListen, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Option<Secret>> {
    let Some(source) = &listen.admin_token else {
        if listen.admin.value.ip().is_loopback() {
            return Some(None);
        }
        let message = format!("`admin` listens at `{}`, where others can reach it", listen.admin.value);
        let problem = Problem::new(Code::OpenAdmin, listen.admin.place, message);
        problems
            .report(problem.help("add `admin_token = \"env:SEAWALL_ADMIN_TOKEN\"`, or listen at 127.0.0.1"));
        return None;
    };
    if matches!(source.value, SecretSource::Literal(_)) {
        let message = "the admin token stands in the file";
        problems.report(Problem::new(Code::LiteralSecret, source.place, message));
    }
    let token = source.resolve(resolve, problems)?;
    if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
        let problem =
            Problem::new(Code::Secret, source.place, "the token holds characters that no header may");
        problems.report(problem.help("use visible ASCII characters without spaces, on one line"));
        return None;
    }
    Some(Some(token))
}

/// SHA-256 over every file's text, each with its length before it so that no two estates run together.
fn digest(sources: &Sources) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for source in sources.iter() {
        context.update(&(source.text.len() as u64).to_be_bytes());
        context.update(source.text.as_bytes());
    }
    context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect()
}
