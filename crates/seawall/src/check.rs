//! `seawall check`: is the estate right?

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::{Path, PathBuf},
};

use seawall_gateway::estate::PoolKind;
use seawall_model::{
    ComponentId, ComponentKind,
    estate::{Code, Need, Severity},
    units::show_duration,
};

use crate::{
    estate::{self, Estate, LoadError, Report, Surroundings},
    output::table,
};

/// Checks an estate and shows every mistake at once
///
/// Reads the files, their includes and the secrets they name, starts nothing, and prints each problem with
/// its code, file, line, column and what to do about it. Exits with 0 if the estate can be run, 1 if it
/// cannot, and 2 if it cannot be read.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The estate: a file, or a directory whose *.toml files are read together
    #[arg(value_name = "PATH", default_value = "seawall.toml")]
    pub estate: PathBuf,
    /// Prints the problems as a JSON array
    #[arg(long)]
    pub json: bool,
    /// Takes warnings for errors
    #[arg(long)]
    pub strict: bool,
}

/// What the process exits with.
pub mod exit {
    /// The estate can be run.
    pub const VALID: u8 = 0;
    /// It cannot.
    pub const INVALID: u8 = 1;
    /// It cannot be read.
    pub const UNREADABLE: u8 = 2;
}

/// Checks, and writes what was found to `out` (`colour`ed or not). Gives the exit code; the error is `out`'s.
pub fn run(args: &CheckArgs, with: &Surroundings<'_>, colour: bool, out: &mut dyn Write) -> io::Result<u8> {
    let loaded = estate::load(&args.estate, with);
    let (report, estate) = match &loaded {
        Ok(estate) => (&estate.report, Some(estate)),
        Err(LoadError::Invalid { report }) => (&**report, None),
        Err(e @ LoadError::Unreadable { path, cause }) => {
            if args.json {
                writeln!(out, "{:#}", unreadable(path, cause))?;
            } else {
                let name = Severity::Error.as_str();
                writeln!(out, "{name}: {e}\nhelp: `seawall init` writes a first estate")?;
            }
            return Ok(exit::UNREADABLE);
        }
    };
    if args.json {
        writeln!(out, "{:#}", report.to_json())?;
    } else {
        out.write_all(report.render(colour).as_bytes())?;
        match estate {
            Some(estate) => out.write_all(summary(estate).as_bytes())?,
            None => writeln!(out, "`{}` cannot be run: {}", args.estate.display(), report.count())?,
        }
    }
    Ok(code(report, args.strict))
}

fn code(report: &Report, strict: bool) -> u8 {
    if report.errors() > 0 || (strict && report.warnings() > 0) { exit::INVALID } else { exit::VALID }
}

fn unreadable(path: &Path, cause: &io::Error) -> serde_json::Value {
    serde_json::json!([{
        "code": Code::Unreadable.as_str(),
        "severity": Code::Unreadable.severity().as_str(),
        "file": path.display().to_string(),
        "line": null,
        "column": null,
        "message": format!("cannot be read: {cause}"),
        "help": Code::Unreadable.cure(),
    }])
}

/// The estate in a few lines: what was understood.
pub fn summary(estate: &Estate) -> String {
    let mut rows = Vec::new();
    for pool in estate.gateway.iter().flat_map(|g| &g.pools) {
        let kind = match &pool.kind {
            PoolKind::Evm(chain) => format!("{} {}", chain.family.as_str(), chain.network),
            PoolKind::Http(_) => "http".to_owned(),
            PoolKind::Grpc(_) => "grpc".to_owned(),
        };
        let names = pool.upstreams.iter().map(|u| match &u.region {
            Some(region) => format!("{} ({}/{region})", u.name, u.provider),
            None => format!("{} ({})", u.name, u.provider),
        });
        rows.push(["pool".to_owned(), pool.name.to_string(), kind, pool.route.to_string(), list(names)]);
    }
    for (name, service) in &estate.graph.services {
        let id = ComponentId::new(ComponentKind::Service, name);
        let owner = service.owner.as_ref().map_or("-".to_owned(), ToString::to_string);
        let value = service.value.map_or("-".to_owned(), |v| v.to_string());
        let needs = estate.graph.needs(&id).map(need).unwrap_or_default();
        rows.push(["service".to_owned(), name.to_string(), owner, value, needs]);
    }
    for probe in estate.probes.iter().flat_map(|section| &section.probes) {
        let every = format!("every {}", show_duration(probe.every));
        let target = probe.check.target.to_string();
        rows.push(["probe".to_owned(), probe.name.to_string(), probe.of.to_string(), every, target]);
    }
    for chain in estate.probes.iter().flat_map(|section| &section.chains) {
        let members = chain.members.iter().map(|member| member.component.to_string());
        let (every, time) = (show_duration(chain.every), show_duration(chain.block_time));
        let (name, apart) = (chain.name.to_string(), format!("blocks {time} apart"));
        rows.push(["chain".to_owned(), name, apart, format!("every {every}"), list(members)]);
    }
    let warned = match estate.report.warnings() {
        0 => String::new(),
        _ => format!(", with {}", estate.report.count()),
    };
    let mut text = format!("estate `{}` can be run{warned}\n\n", estate.name);
    text += &table(&rows);
    let plain = estate.gateway.iter().flat_map(|g| &g.listen).map(ToString::to_string);
    let tls = estate.gateway.iter().filter_map(|g| g.tls.as_ref()).flat_map(|tls| &tls.listen);
    let listen = plain.chain(tls.map(|at| format!("{at} (TLS)")));
    let listen = if estate.gateway.is_some() { list(listen) } else { "nothing: there is no pool".to_owned() };
    let journal = estate.journal.as_ref().map_or("none".to_owned(), |j| j.dir.display().to_string());
    let _ = write!(text, "\ngateway {listen}\nadmin   {}\njournal {journal}\n", estate.admin);
    text
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A need as people read it.
fn need(need: &Need) -> String {
    let inner = |of: &[Need]| list(of.iter().map(self::need));
    match need {
        Need::Component(id) => id.to_string(),
        Need::All(of) => format!("all of ({})", inner(of)),
        Need::Any(of) => format!("any of ({})", inner(of)),
        Need::AtLeast { k, of } => format!("{k} of ({})", inner(of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{estate::tests::World, init::STARTER};

    /// What `seawall check` writes about a file of this text, and its exit code.
    fn check(text: &str, json: bool, strict: bool) -> (String, u8) {
        let world = World::new(&[("/e/seawall.toml", text)]);
        let args = CheckArgs { estate: "/e/seawall.toml".into(), json, strict };
        let mut out = Vec::new();
        let code = world.with(|with| run(&args, with, false, &mut out)).unwrap();
        (String::from_utf8(out).unwrap(), code)
    }

    #[test]
    fn a_good_estate_is_summed_up() {
        let (shown, code) = check(STARTER, false, true);
        assert_eq!(code, exit::VALID);
        insta::assert_snapshot!(shown);
        assert_eq!(check(STARTER, true, true), ("[]\n".to_owned(), exit::VALID));
    }

    #[test]
    fn probes_are_summed_up() {
        let (shown, code) = check("[probes.shop]\ntarget = \"https://shop.example/a?b\"", false, true);
        assert_eq!(code, exit::VALID, "{shown}");
        let row = "probe  shop  service:shop  every 10s  https://shop.example/a";
        let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(&row.split_whitespace().collect::<Vec<_>>().join(" ")), "{shown}");
    }

    #[test]
    fn a_warning_counts_only_if_strict() {
        let (text, _) = STARTER.rsplit_once("[[pools.ethereum.upstreams]]").unwrap();
        assert_eq!(check(text, false, true).1, exit::INVALID);
        let (shown, code) = check(text, false, false);
        assert_eq!(code, exit::VALID);
        assert!(shown.contains("warning[SW0151]") && shown.contains("can be run, with 1 warning"), "{shown}");
    }

    #[test]
    fn a_bad_estate_is_refused() {
        let (shown, code) = check("estate = 1", false, false);
        assert_eq!(code, exit::INVALID);
        assert!(shown.ends_with("`/e/seawall.toml` cannot be run: 1 error\n"), "{shown}");
        let (shown, code) = check("estate = 1", true, false);
        let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((list.as_array().unwrap().len(), code), (1, exit::INVALID));
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let world = World::new(&[]);
        for json in [false, true] {
            let args = CheckArgs { estate: "/none.toml".into(), json, strict: false };
            let mut out = Vec::new();
            assert_eq!(world.with(|with| run(&args, with, false, &mut out)).unwrap(), exit::UNREADABLE);
            let shown = String::from_utf8(out).unwrap();
            assert!(shown.contains("SW0101") && shown.contains("/none.toml"), "{shown}");
        }
    }
}
