//! Fetching secrets from the environment and from files.

use std::{
    collections::BTreeSet,
    env::VarError,
    path::{Path, PathBuf},
};

use seawall_model::{
    Secret,
    estate::{At, SecretSource, Sources, Unresolved},
};

use super::{Surroundings, files};

/// Largest file a secret may be in, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Fetches the secret. A line's end after the last line is no part of it, since editors and `echo` add one.
pub(super) fn fetch(
    source: &At<SecretSource>,
    sources: &Sources,
    with: &Surroundings<'_>,
) -> Result<Secret, Unresolved> {
    let text = match &source.value {
        SecretSource::Literal(secret) => secret.expose().to_owned(),
        SecretSource::Env(name) => variable(name, with)?,
        SecretSource::File(name) => {
            let path = beside(&sources.get(source.place.file).path, name);
            let bytes = files::read_bounded(&path, MAX_SECRET, with.disk);
            let bytes = bytes.map_err(|e| Unresolved::Unreadable(e.to_string()))?;
            String::from_utf8(bytes).map_err(|_| Unresolved::NotText)?
        }
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if text.is_empty() { Err(Unresolved::Empty) } else { Ok(Secret::new(text)) }
}

fn variable(name: &str, with: &Surroundings<'_>) -> Result<String, Unresolved> {
    // The system's own calls panic on, or never find, such names.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Unresolved::Unset);
    }
    (with.variable)(name).map_err(|e| match e {
        VarError::NotPresent => Unresolved::Unset,
        VarError::NotUnicode(_) => Unresolved::NotText,
    })
}

/// The path `name`, which a file of the estate names, starts from that file's directory.
pub(super) fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(name)
}

/// The files that secrets were, or would have been, read from.
pub(super) fn note_file(source: &At<SecretSource>, sources: &Sources, noted: &mut BTreeSet<PathBuf>) {
    match &source.value {
        SecretSource::File(name) => {
            noted.insert(beside(&sources.get(source.place.file).path, name));
        }
        SecretSource::Env(_) | SecretSource::Literal(_) => {}
    }
}
