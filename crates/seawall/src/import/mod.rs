//! `seawall import`: an estate from another gateway's configuration, or another prober's.
//!
//! Each format has a reader that takes what it understands and tells of every setting that it does not take; what it takes
//! becomes a [`Draft`](draft::Draft), and that a text. The text is judged by the loader that `check` uses before anybody
//! sees it. Nothing of the environment is looked at: a variable that the file names is named in the estate.

mod blackbox;
mod draft;
mod erpc;
mod front;
mod gatus;
mod haproxy;
mod json;
mod keys;
mod kuma;
mod probes;
mod proxyd;
mod source;
mod tree;
mod vendors;
mod yaml;

use std::{
    env::VarError,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use seawall_model::estate::Severity;
use seawall_runtime::disk::{Disk, Open, sim::SimDisk};
use serde_json::json;

use self::{
    draft::Draft,
    tree::{Broken, Left},
};
use crate::estate::{self, LoadError, Surroundings};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Makes an estate from another gateway's or prober's configuration
///
/// Prints the estate, and on standard error each setting that does not carry over: where it stands, why, and what to do
/// instead. Variables of the environment are never looked at; the estate names them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
  seawall import erpc erpc.yaml --output seawall.toml
  seawall import proxyd --chain-id 10 proxyd.toml > seawall.toml
  seawall import haproxy --json /etc/haproxy/haproxy.cfg
  seawall import gatus config.yaml --output probes.toml
  seawall import blackbox blackbox.yml --targets prometheus.yml
  seawall import uptime-kuma backup.json

EXIT CODES
  0  an estate was made    2  none was")]
pub struct ImportArgs {
    /// Whose configuration it is
    #[arg(value_name = "FORMAT")]
    pub format: Format,
    /// The file, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Writes the estate to this file instead of standard output
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Overwrites what is there
    #[arg(long)]
    pub force: bool,
    /// The chain that proxyd's backends serve (EIP-155), which its file does not say
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..i64::MAX as u64))]
    pub chain_id: Option<u64>,
    /// Prometheus' configuration, whose jobs name what blackbox_exporter's modules are asked of
    #[arg(long, value_name = "PATH")]
    pub targets: Option<PathBuf>,
    /// Prints JSON: the estate, and what was left out
    #[arg(long)]
    pub json: bool,
}

/// Whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// eRPC, YAML
    Erpc,
    /// proxyd, TOML
    Proxyd,
    /// HAProxy
    Haproxy,
    /// Gatus, YAML
    Gatus,
    /// blackbox_exporter, YAML
    Blackbox,
    /// Uptime Kuma, the JSON of its backup
    UptimeKuma,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Erpc => "eRPC",
            Self::Proxyd => "proxyd",
            Self::Haproxy => "HAProxy",
            Self::Gatus => "Gatus",
            Self::Blackbox => "blackbox_exporter",
            Self::UptimeKuma => "Uptime Kuma",
        }
    }
}

/// What the process exits with.
pub mod exit {
    /// An estate was made.
    pub const MADE: u8 = 0;
    /// None was.
    pub const NONE: u8 = 2;
}

/// Why no estate was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read, or is too large, or no text.
    #[error("SW0243: `{}` cannot be read: {why}; give a file of UTF-8 text, of 1 MiB at most", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file is not of that format.
    #[error("SW0244: {}:{line}: this is no configuration of {format}: {why}; mend it, or name another format", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Whose it should be.
        format: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There is nothing to be served or probed.
    #[error(
        "SW0245: nothing in `{}` can be served or probed; see what was left out, or write an estate with `seawall init`", .0.display()
    )]
    Nothing(PathBuf),
    /// There is something already.
    #[error("SW0246: `{}` exists; choose another path, or overwrite it with `--force`", .0.display())]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("SW0247: cannot write `{}`: {cause}; choose a directory that you may write to", path.display())]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The estate does not pass.
    #[error("SW0248: the estate made of `{}` would not pass `seawall check` ({why}); report this, with the file if you may", path.display())]
    Refused {
        /// The file it was made of.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Imports, and writes the estate to `out` and what was left out to `err`. Gives the exit code; the error is `out`'s.
pub fn run(args: &ImportArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mut left = Left::default();
    let made = read(&args.file).and_then(|text| {
        let targets = args.targets.as_deref().map(read).transpose()?;
        let made = convert(args, &text, targets.as_deref(), &mut left)?;
        if let Some(path) = &args.output {
            write(path, &made, args.force)?;
        }
        Ok(made)
    });
    left.sort();
    if !args.json {
        // If nobody reads it, there is nobody to tell.
        let _ = err.write_all(told(args, &left).as_bytes());
    }
    match made {
        Ok(estate) => {
            match (args.json, &args.output) {
                (true, _) => writeln!(out, "{:#}", json!({ "estate": estate, "left_out": left.json() }))?,
                (false, None) => out.write_all(estate.as_bytes())?,
                (false, Some(path)) => {
                    let shown = path.display();
                    writeln!(out, "wrote {shown}\n\nNext: seawall check {shown}")?;
                }
            }
            Ok(exit::MADE)
        }
        Err(error) => {
            match args.json {
                true => {
                    let told = json!({ "error": error.to_string(), "left_out": left.json() });
                    writeln!(out, "{told:#}")?;
                }
                false => drop(writeln!(err, "error: {error}")),
            }
            Ok(exit::NONE)
        }
    }
}

/// What was left out, as people read it.
fn told(args: &ImportArgs, left: &Left) -> String {
    let mut text = String::new();
    for one in left.iter() {
        let file = args.targets.as_ref().filter(|_| one.second).unwrap_or(&args.file);
        let line = one.line.map_or(String::new(), |line| format!(":{line}"));
        text += &format!("{}{line}: {}: {}\n", file.display(), one.path, one.reason);
    }
    text
}

/// The text of the file.
fn read(path: &Path) -> Result<String, ImportError> {
    let unreadable = |why: String| ImportError::Unreadable { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    let done = match path == Path::new("-") {
        true => io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes),
        false => fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)),
    };
    done.map_err(|e| unreadable(e.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable("it is larger than 1 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))
}

/// The estate that comes of a text.
///
/// # Errors
/// If none does.
pub fn estate_of(format: Format, text: &str) -> Result<String, ImportError> {
    estate_of_two(format, text, None)
}

/// The estate that comes of a text, and of another one that names its targets.
///
/// # Errors
/// If none does.
pub fn estate_of_two(format: Format, text: &str, targets: Option<&str>) -> Result<String, ImportError> {
    let (file, output, force, chain_id, json) = (PathBuf::from("-"), None, false, None, false);
    let args = ImportArgs { format, file, output, force, chain_id, targets: None, json };
    convert(&args, text, targets, &mut Left::default())
}

/// The estate's text.
fn convert(
    args: &ImportArgs,
    text: &str,
    targets: Option<&str>,
    left: &mut Left,
) -> Result<String, ImportError> {
    let path = || args.file.clone();
    let bare = |text| str::strip_prefix(text, '\u{feff}').unwrap_or(text);
    let text = bare(text);
    // What is wrong with a file, and whether it is the one that names the targets.
    let first = |broken| (broken, false);
    if targets.is_some() && args.format != Format::Blackbox {
        left.add("--targets", 0, "only blackbox_exporter's targets stand in a file of their own");
    }
    let made = match args.format {
        Format::Erpc => erpc::import(text, left).map_err(first),
        Format::Proxyd => proxyd::import(text, args.chain_id, left).map_err(first),
        Format::Haproxy => haproxy::import(text, left).map_err(first),
        Format::Gatus => gatus::import(text, left).map_err(first),
        Format::Blackbox => blackbox::import(text, targets.map(bare), left),
        Format::UptimeKuma => kuma::import(text, left).map_err(first),
    };
    let draft = made.map_err(|(Broken { line, why }, second)| ImportError::Broken {
        path: args.targets.clone().filter(|_| second).unwrap_or_else(path),
        line,
        format: if second { "Prometheus" } else { args.format.name() },
        why,
    })?;
    if draft.pools.is_empty() && draft.probes.is_empty() {
        return Err(ImportError::Nothing(path()));
    }
    let estate = draft.render(args.format.name());
    judge(&draft, &estate).map_err(|why| ImportError::Refused { path: path(), why })?;
    Ok(estate)
}

/// Judges the estate as `check` does, with something that fits in the place of every variable.
fn judge(draft: &Draft, estate: &str) -> Result<(), String> {
    let path = Path::new("/seawall.toml");
    let disk = SimDisk::new();
    let written = disk.open(path, Open::Create).and_then(|mut file| file.append(estate.as_bytes()));
    written.map_err(|e| e.to_string())?;
    let variable = |name: &str| draft.variables.get(name).cloned().ok_or(VarError::NotPresent);
    match estate::load(path, &Surroundings { disk: &disk, variable: &variable, cores: 1 }) {
        Ok(_) => Ok(()),
        Err(LoadError::Invalid { report }) => {
            let problems = report.to_json();
            let is_error = |problem: &&serde_json::Value| problem["severity"] == Severity::Error.as_str();
            let first = problems.as_array().and_then(|all| all.iter().find(is_error));
            let of = |key: &str| first.and_then(|p| p[key].as_str()).unwrap_or_default().to_owned();
            Err(format!("{}: {}", of("code"), of("message")))
        }
        Err(e @ LoadError::Unreadable { .. }) => Err(e.to_string()),
    }
}

fn write(path: &Path, estate: &str, force: bool) -> Result<(), ImportError> {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options.open(path).and_then(|mut file| file.write_all(estate.as_bytes()));
    written.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => ImportError::Exists(path.to_owned()),
        _ => ImportError::Unwritable { path: path.to_owned(), cause },
    })
}

#[cfg(test)]
mod tests;
