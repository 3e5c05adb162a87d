//! `seawall init`: a first estate.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The starter: an estate that works as it stands, and a tour of what can be said.
pub const STARTER: &str = include_str!("init/starter.toml");

/// Writes a commented starter estate
///
/// The starter passes `seawall check` as it stands and shows one of each thing an estate can say.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Where to write it
    #[arg(value_name = "PATH", default_value = "seawall.toml")]
    pub path: PathBuf,
    /// Overwrites what is there
    #[arg(long)]
    pub force: bool,
}

/// Why no starter was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is something already.
    #[error("SW0131: `{}` exists; choose another path, or overwrite it with `--force`", .0.display())]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("SW0132: cannot write `{}`: {cause}; choose a directory that you may write to", path.display())]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Writes the starter, and to `out` what to do next.
pub fn run(args: &InitArgs, out: &mut dyn Write) -> Result<(), InitError> {
    let path = match args.path.is_dir() {
        true => args.path.join("seawall.toml"),
        false => args.path.clone(),
    };
    write(&path, args.force).map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.clone()),
        _ => InitError::Unwritable { path: path.clone(), cause },
    })?;
    let shown = path.display();
    let next = format!(
        "wrote {shown}\n\nNext:\n  1. put your own upstreams in it\n  2. seawall check {shown}\n  3. seawall run {shown}\n"
    );
    // The file is there; that nobody reads the advice is no reason to fail.
    let _ = out.write_all(next.as_bytes());
    Ok(())
}

fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(path)?.write_all(STARTER.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_is_written_once_and_over_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.toml");
        let init = |path: &Path, force| run(&InitArgs { path: path.to_owned(), force }, &mut Vec::new());
        init(dir.path(), false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), STARTER);
        fs::write(&path, "mine").unwrap();
        assert!(matches!(init(&path, false), Err(InitError::Exists(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        init(&path, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), STARTER);
        assert!(matches!(init(&dir.path().join("no/x.toml"), false), Err(InitError::Unwritable { .. })));
    }
}
