//! `seawall demo`: a real chain behind three providers that can be broken at will, Seawall in front, and
//! clients that hold every answer against the chain itself.

mod estate;
mod load;
mod plain;
mod process;
mod provider;
mod records;
pub(crate) mod rpc;
mod scene;
mod screen;
mod seen;
mod show;
mod stage;
mod tally;
mod tour;
mod truth;
mod watched;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use process::{Leashed, free_address};
use rpc::Rpc;
use scene::short;
use stage::{Stage, Who};
use tally::Tally;

/// How long the chain, a provider and Seawall each have to come up.
const COMING_UP: Duration = Duration::from_secs(20);
/// How long Seawall has to drain and stop.
const STOPPING: Duration = Duration::from_secs(40);
/// How long the tour takes where nobody says.
const TOUR: Duration = Duration::from_secs(45);

/// Shows Seawall at work: one real chain, three providers to break, and clients that check every answer.
///
/// Exit codes: 0 every request got the right answer and the journal verifies; 1 one did not, or it does not;
/// 2 the demo could not be set up.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    #[command(subcommand)]
    part: Option<Part>,
    /// The chain node's program (foundry's anvil).
    #[arg(long, value_name = "PROGRAM", default_value = "anvil")]
    anvil: OsString,
    /// Ends after so long, as in `30s`. Without a terminal the default is 45s; with one it runs until you quit.
    #[arg(long = "for", value_name = "TIME", value_parser = seawall_model::units::parse_duration)]
    length: Option<Duration>,
    /// Requests a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    rate: u32,
    /// Prints lines and breaks things by itself, even on a terminal.
    #[arg(long)]
    plain: bool,
    /// Keeps the estate, the journal and the logs here, in a new directory [default: one under the system's
    /// temporary directory].
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

/// The demo's own child processes.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// One of the providers: passes requests on and misbehaves when told to (`POST /_mode`).
    #[command(hide = true)]
    Provider {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// Base URL of the node behind it.
        #[arg(long)]
        to: String,
    },
    /// Becomes a command that dies with its parent.
    #[command(hide = true)]
    Leash {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DemoError {
    /// The system refused something.
    #[error("SW0501: cannot {what}: {source}")]
    System {
        /// What was to be done.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// A child did not come up, or ended.
    #[error("SW0502: {who} {what}; its log is {log}, and ends:\n{end}", log = log.display())]
    Child {
        /// Which.
        who: String,
        /// What it did.
        what: &'static str,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        end: String,
    },
    /// The chain went away.
    #[error("SW0503: the chain failed: {0}")]
    Chain(#[from] rpc::RpcError),
}

impl DemoError {
    fn child(who: impl ToString, what: &'static str, log: PathBuf) -> Self {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(10)..].join("\n");
        Self::Child { who: who.to_string(), what, log, end }
    }
}

/// Adds what was being done to an IO error.
fn doing<T>(what: impl ToString, result: io::Result<T>) -> Result<T, DemoError> {
    result.map_err(|source| DemoError::System { what: what.to_string(), source })
}

/// Runs the demo, or the part of it that the arguments name.
pub fn run(args: DemoArgs) -> ExitCode {
    let failed = |e: &dyn std::fmt::Display| {
        crate::output::error(&e.to_string());
        ExitCode::from(2)
    };
    match &args.part {
        Some(Part::Provider { listen, to }) => {
            let Err(e) = provider::run(*listen, to);
            failed(&format!("the provider at {listen} ended: {e}"))
        }
        Some(Part::Leash { command }) => failed(&process::leash(command)),
        // Children are started from this, the main thread: their leash is tied to it.
        None => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => match runtime.block_on(play(&args)) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(e) => failed(&e),
            },
            Err(e) => failed(&e),
        },
    }
}

/// The whole demo; true if every request got the right answer and the journal verifies.
async fn play(args: &DemoArgs) -> Result<bool, DemoError> {
    let dir = directory(args.dir.as_deref())?;
    say(&format!("Everything is kept in {}", dir.display()));
    say("Starting one chain (a block a second) and three providers in front of it");
    let mut stage = doing(format!("start {}", args.anvil.display()), Stage::set(&args.anvil, dir.clone()))?;
    await_chain(&mut stage, &dir).await?;
    let mut seawall = Seawall::start(&stage, &dir).await?;
    say(&format!(
        "Seawall is up at http://{}{}; sending {} requests/s",
        seawall.gateway,
        estate::ROUTE,
        args.rate
    ));

    let target = load::Target {
        seawall: seawall.gateway,
        route: estate::ROUTE.to_owned(),
        chain: stage.chain_at(),
        rate: args.rate,
    };
    let load = doing("start the load", load::Load::start(target))?;
    let live = !args.plain && io::stdout().is_terminal() && io::stdin().is_terminal();
    let shown = match live {
        true => show::live(args.length, &mut stage, &mut seawall, &load).await,
        false => show::plain(args.length.unwrap_or(TOUR), &mut stage, &mut seawall, &load).await,
    };
    let (tally, ended) = load.finish();
    let cost = shown?;
    ended?;
    let stopped = seawall.stop()?;
    let verified = records::verify(&seawall.journal)?;
    say(&summary(&tally, &verified, stopped, &seawall, &cost));
    Ok(tally.flawless() && verified.ok && stopped)
}

/// A new directory to keep everything in.
fn directory(wanted: Option<&Path>) -> Result<PathBuf, DemoError> {
    let dir = match wanted {
        Some(dir) => {
            doing(format!("make {}", dir.display()), std::fs::create_dir_all(dir).and(Ok(dir.to_owned())))?
        }
        None => {
            let dir = std::env::temp_dir().join(format!("seawall-demo-{}", std::process::id()));
            doing(format!("make {}", dir.display()), std::fs::create_dir(&dir))?;
            dir
        }
    };
    let dir = doing(format!("find {}", dir.display()), dir.canonicalize())?;
    if dir.join(ESTATE).exists() {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "an earlier demo is kept there");
        return Err(DemoError::System { what: format!("use {}", dir.display()), source });
    }
    Ok(dir)
}

/// The estate's file name.
const ESTATE: &str = "seawall.toml";

/// Waits until the chain answers, and then through each provider.
async fn await_chain(stage: &mut Stage, dir: &Path) -> Result<(), DemoError> {
    let doors = [(stage.chain_at(), "chain")].into_iter();
    for (at, name) in doors.chain(Who::ALL.map(|who| (stage.provider_at(who), who.provider()))) {
        let (rpc, until) = (Rpc::new(at), Instant::now() + COMING_UP);
        while rpc.call("/", "eth_chainId", serde_json::json!([])).await.is_err() {
            if Instant::now() > until || doing("look after the chain", stage.chain_ended())? {
                return Err(DemoError::child(name, "did not come up", dir.join(format!("{name}.log"))));
            }
            tokio::time::sleep(show::TICK).await;
        }
    }
    Ok(())
}

/// The Seawall that is shown: this very binary, as a process of its own.
struct Seawall {
    process: Leashed,
    gateway: SocketAddr,
    admin: Rpc,
    journal: PathBuf,
    log: PathBuf,
}

impl Seawall {
    /// Writes the estate, starts `seawall run` on it and waits until it is ready.
    async fn start(stage: &Stage, dir: &Path) -> Result<Self, DemoError> {
        let (gateway, admin) =
            doing("find free ports", free_address().and_then(|g| Ok((g, free_address()?))))?;
        let (path, journal, log) = (dir.join(ESTATE), dir.join(estate::JOURNAL), dir.join("seawall.log"));
        let text = estate::text(gateway, admin, dir, |who| stage.provider_at(who));
        doing(format!("write {}", path.display()), std::fs::write(&path, text))?;
        let exe = doing("find this program", std::env::current_exe())?;
        let args = ["run".as_ref(), path.as_os_str()];
        let process = doing("start Seawall", Leashed::start(exe.as_os_str(), args, &log))?;
        let mut seawall = Self { process, gateway, admin: Rpc::new(admin), journal, log };
        let until = Instant::now() + COMING_UP;
        while !seawall.ready().await {
            if Instant::now() > until || seawall.ended()? {
                return Err(DemoError::child("Seawall", "did not become ready", seawall.log));
            }
            tokio::time::sleep(show::TICK).await;
        }
        Ok(seawall)
    }

    async fn ready(&self) -> bool {
        let answer = self.admin.exchange(hyper::Method::GET, "/readyz", bytes::Bytes::new()).await;
        answer.is_ok_and(|(status, _)| status.is_success())
    }

    /// True once its process has ended.
    fn ended(&mut self) -> Result<bool, DemoError> {
        Ok(doing("look after Seawall", self.process.ended())?.is_some())
    }

    /// Stops it as a service manager would; true if it ended in order and in time.
    fn stop(&mut self) -> Result<bool, DemoError> {
        Ok(doing("stop Seawall", self.process.stop(STOPPING))?.is_some_and(|status| status.success()))
    }
}

fn summary(
    tally: &Tally,
    verified: &records::Verified,
    stopped: bool,
    seawall: &Seawall,
    cost: &str,
) -> String {
    let mut lines = tally.complaints.clone();
    if !stopped {
        lines.push(format!("Seawall did not stop in order; see {}", seawall.log.display()));
    }
    lines.push(format!(
        "requests {}  failed {}  wrong {}  p50 {}  p99 {}  slowest {}",
        tally.requests,
        tally.failed,
        tally.wrong,
        short(tally.quantile(0.5)),
        short(tally.quantile(0.99)),
        short(tally.slowest()),
    ));
    lines.push(format!("journal: {}", verified.words));
    lines.push(cost.to_owned());
    lines.push(format!("The records of what you saw: seawall log tail --dir {}", seawall.journal.display()));
    lines.join("\n")
}

/// Prints a line. A reader that went away is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
