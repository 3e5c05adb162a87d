//! `seawall run`: the daemon on this machine.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueEnum};
use seawall_runtime::{
    Machine,
    disk::Disk,
    logs::{Format, Logs},
    metrics::Build,
    neighbours::Neighbours,
    net::sockets::Sockets,
    seam::State,
    signals::Signals,
    state::SqliteState,
    succession::{Peer, Program},
    watch::Watch,
};

use crate::{
    daemon::{self, Parts, Roles, Succession},
    estate::{self, Estate, LoadError, LogFormat, Surroundings},
};

/// Runs the daemon in the foreground until SIGTERM or Ctrl-C; SIGHUP, or a change of the estate's files,
/// reloads; SIGUSR2 has the binary that is there now take over without a request being lost.
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES
  seawall run                       the estate in ./seawall.toml
  seawall run /etc/seawall          every *.toml in a directory
  seawall run --role gateway        traffic only; verdicts and changes are other processes'
  seawall run --role watch,respond --admin 127.0.0.1:9546
                                    those processes, beside it

EXIT CODES
  0  stopped as asked    1  the estate is not valid    2  could not start    3  a part failed for good")]
pub struct RunArgs {
    /// The estate: a file, or a directory of *.toml
    #[arg(default_value = "seawall.toml")]
    pub estate: PathBuf,
    /// Run only these parts of the house
    #[arg(long = "role", value_delimiter = ',', value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Where the admin listener is, instead of where the estate says: processes of different roles need one each
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
    /// PEM file of certificate authorities to trust besides the built-in ones
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// A part of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Carries traffic
    Gateway,
    /// Turns signals into verdicts
    Watch,
    /// Lets operators change things
    Respond,
}

/// Runs the command; the exit code.
pub fn run(args: &RunArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("SW0207: no threads can be had: {error}"));
            return 2;
        }
    };
    let code = runtime.block_on(serve(args));
    // A blocked disk or name server must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

/// Threads for everything but traffic.
const CONTROL_THREADS: usize = 2;

/// Set for a process that is to take the place of the one that starts it.
const SUCCESSOR: &str = "SEAWALL_SUCCESSOR";

/// How another process takes this one's place, and whose place this one takes. Before anything can read from standard
/// input.
fn succession() -> std::io::Result<Succession> {
    let args = std::env::args_os().skip(1).collect();
    let program = Program { path: std::env::current_exe()?, args, variable: SUCCESSOR };
    let (before, sockets) = match std::env::var_os(SUCCESSOR) {
        Some(_) => Peer::before().map(|(peer, sockets)| (Some(peer), sockets))?,
        None => (None, Sockets::default()),
    };
    let manager = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
    Ok(Succession { program, sockets: Arc::new(sockets), before, manager })
}

async fn serve(args: &RunArgs) -> u8 {
    let succession = match succession() {
        Ok(succession) => succession,
        Err(error) => {
            complain(&format!("SW0217: the process that started this one has not left its place: {error}"));
            return 2;
        }
    };
    let machine = match Machine::system(args.ca.as_deref(), succession.sockets.clone()) {
        Ok(machine) => machine,
        Err(error) => {
            complain(&format!("SW0208: {error}"));
            return 2;
        }
    };
    let estate = match load(&args.estate, &machine) {
        Ok(estate) => estate,
        Err(error) => {
            return refuse(&error);
        }
    };
    if let Some(at) = args.admin.filter(|at| !at.ip().is_loopback())
        && estate.admin_token.is_none()
    {
        complain(&format!(
            "SW0232: others could reach `{at}`: set `admin_token` under [listen] in the estate first"
        ));
        return 2;
    }
    let level = std::env::var("SEAWALL_LOG").unwrap_or_else(|_| estate.log.level.as_str().to_owned());
    let format = match estate.log.format {
        LogFormat::Json => Format::Json,
        LogFormat::Human => Format::Human { colour: crate::output::colour_stderr() },
    };
    let logs = match Logs::init(format, &level, &machine.metrics) {
        // Kept until all has been said, also why the daemon did not start.
        Ok(logs) => Arc::new(logs),
        Err(error) => {
            complain(&format!("SW0209: {error}"));
            return 2;
        }
    };
    machine.metrics.describe_process(Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: crate::version::REVISION.to_owned(),
        rustc: crate::version::RUSTC.to_owned(),
    });
    let state = match state(&estate) {
        Ok(state) => state,
        Err(error) => {
            tracing::error!(code = "SW0203", %error, "the state store cannot be opened");
            return 2;
        }
    };
    let roles = roles(&args.roles);
    // The directory is shared by the roles of one estate.
    let beside = estate.journal.as_ref().and_then(|journal| journal.dir.parent());
    let neighbours = beside.filter(|_| roles != Roles::ALL).map(|dir| Neighbours::new(dir.join("bus")));
    let signals = match Signals::system() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("SW0210: signals cannot be caught: {error}"));
            return 2;
        }
    };
    let watch = Watch::new(estate.files.clone()).await;
    let (path, again) = (args.estate.clone(), machine.clone());
    let parts = Parts {
        machine,
        roles,
        state,
        signals,
        watch: Some(watch),
        load: Arc::new(move || load(&path, &again)),
        logs: Some(logs.clone()),
        entropy: seawall_journal::Entropy::system(),
        neighbours,
        admin: args.admin,
        succession: Some(succession),
    };
    match daemon::run(estate, parts).await {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "seawall stops");
            if matches!(error, daemon::DaemonError::Fatal { .. }) { 3 } else { 2 }
        }
    }
}

fn load(path: &Path, machine: &Machine) -> Result<Estate, LoadError> {
    surroundings(&*machine.disk, |with| estate::load(path, with))
}

/// Calls `f` with this machine's surroundings, as an estate is read with.
pub fn surroundings<R>(disk: &dyn Disk, f: impl FnOnce(&Surroundings<'_>) -> R) -> R {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    f(&Surroundings { disk, variable: &|name| std::env::var(name), cores })
}

/// Cordons and their like are kept beside the journal; without one, in memory only.
fn state(estate: &Estate) -> Result<Arc<dyn State>, seawall_runtime::seam::StateError> {
    Ok(match estate.journal.as_ref().and_then(|j| j.dir.parent()) {
        Some(dir) => {
            // The store says so itself if the directory could not be made.
            let _ = std::fs::create_dir_all(dir);
            Arc::new(SqliteState::open(&dir.join("state.sqlite"))?)
        }
        None => Arc::new(SqliteState::in_memory()?),
    })
}

fn roles(asked: &[Role]) -> Roles {
    if asked.is_empty() {
        return Roles::ALL;
    }
    let has = |role| asked.contains(&role);
    Roles { gateway: has(Role::Gateway), watch: has(Role::Watch), respond: has(Role::Respond) }
}

/// Says why an estate cannot be run; the exit code.
fn refuse(error: &LoadError) -> u8 {
    match error {
        LoadError::Invalid { report } => {
            let text = report.render(crate::output::colour_stderr());
            // If nobody reads it, there is nobody to tell.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            complain(&error.to_string());
            1
        }
        LoadError::Unreadable { .. } => {
            complain(&format!("{error}; `seawall init` writes a first estate"));
            2
        }
    }
}

fn complain(message: &str) {
    crate::output::error(message);
}
