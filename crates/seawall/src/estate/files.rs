//! The files of an estate: one, or a directory of them, and what they include.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path, PathBuf},
};

use seawall_model::estate::{
    At, Code, Decode, FileId, Node, Place, Problem, Problems, Source, Sources, parse,
};
use seawall_runtime::disk::{Disk, Open};

use super::{root::RawRoot, secrets::beside};

/// Largest file, in bytes.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// Most includes on the way from the first file to another.
const MAX_DEPTH: usize = 8;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The texts.
    pub(super) sources: Sources,
    /// The raw sections of each file, in the order of reading.
    pub(super) roots: Vec<RawRoot>,
    /// Every file and directory that was looked at.
    pub(super) watched: BTreeSet<PathBuf>,
    /// What is wrong so far.
    pub(super) problems: Problems,
}

/// Reads the file or directory at `path` and all that it includes. The error is about `path` itself.
pub(super) fn read(path: &Path, disk: &dyn Disk) -> io::Result<Files> {
    let mut reader = Reader { disk, files: Files::default(), seen: BTreeMap::new(), way: Vec::new() };
    match disk.list(path) {
        Ok(_) => {
            let names = reader.matching(path, "*.toml")?;
            if names.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the directory holds no `*.toml`"));
            }
            for name in names {
                reader.visit(&path.join(name), None);
            }
        }
        Err(_) => {
            let text = text(path, disk)?;
            reader.take(path, text, None);
        }
    }
    Ok(reader.files)
}

/// The whole of a file that holds at most `most` bytes.
pub(super) fn read_bounded(path: &Path, most: u64, disk: &dyn Disk) -> io::Result<Vec<u8>> {
    // Asked for first, so that a file of any size costs no memory; asked again, since it may have grown.
    let too_large = || io::Error::other(format!("it is larger than {most} bytes"));
    if disk.open(path, Open::Read)?.len()? > most {
        return Err(too_large());
    }
    let bytes = disk.read(path)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

fn text(path: &Path, disk: &dyn Disk) -> io::Result<String> {
    String::from_utf8(read_bounded(path, MAX_FILE, disk)?).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8 text"))
    })
}

struct Reader<'a> {
    disk: &'a dyn Disk,
    files: Files,
    /// Files read, and where they were named.
    seen: BTreeMap<PathBuf, Option<Place>>,
    /// The files that led to the one being read.
    way: Vec<PathBuf>,
}

impl Reader<'_> {
    /// Names in `dir` that match `pattern` (one `*` at most), in name order; hidden files never match `*`.
    fn matching(&mut self, dir: &Path, pattern: &str) -> io::Result<Vec<String>> {
        self.files.watched.insert(dir.to_owned());
        let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
        let fits = |name: &str| {
            name.len() >= head.len() + tail.len()
                && name.starts_with(head)
                && name.ends_with(tail)
                && !(head.is_empty() && name.starts_with('.'))
        };
        let entries = self.disk.list(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?;
        Ok(entries.into_iter().filter(|e| !e.is_dir && fits(&e.name)).map(|e| e.name).collect())
    }

    fn refuse(&mut self, code: Code, place: Option<Place>, message: String) -> Option<()> {
        self.files.problems.report(Problem::new(code, place, message));
        None
    }

    /// Reads a file that is named at `place`.
    fn visit(&mut self, path: &Path, place: Option<Place>) -> Option<()> {
        let shown = path.display();
        let plain = plain(path);
        if self.way.contains(&plain) {
            return self.refuse(Code::Include, place, format!("`{shown}` includes itself in a circle"));
        }
        if let Some(first) = self.seen.get(&plain) {
            let mut problem = Problem::new(Code::Include, place, format!("`{shown}` is read already"));
            if let Some(first) = *first {
                problem = problem.other(first, "first included here");
            }
            self.files.problems.report(problem);
            return None;
        }
        if self.way.len() > MAX_DEPTH {
            return self.refuse(Code::Limit, place, format!("includes go deeper than {MAX_DEPTH} files"));
        }
        self.files.watched.insert(path.to_owned());
        match text(path, self.disk) {
            Ok(text) => self.take(path, text, place),
            Err(e) => {
                // What is missing elsewhere may stand in there.
                self.files.problems.tear();
                return self.refuse(Code::Unreadable, place, format!("cannot read `{shown}`: {e}"));
            }
        }
        Some(())
    }

    /// Takes a file's text in, and goes on with what it includes.
    fn take(&mut self, path: &Path, text: String, place: Option<Place>) {
        self.files.watched.insert(path.to_owned());
        self.seen.insert(plain(path), place);
        let Some(file) = self.files.sources.add(Source { path: path.to_owned(), text }) else {
            let message = format!("more than {} files", Sources::MAX_FILES);
            self.refuse(Code::Limit, place, message);
            return;
        };
        let root = self.decode(file);
        self.way.push(plain(path));
        for include in root.iter().flat_map(|r| &r.include) {
            self.include(path, include);
        }
        self.way.pop();
        self.files.roots.extend(root);
    }

    fn decode(&mut self, file: FileId) -> Option<RawRoot> {
        let tree = parse(file, &self.files.sources.get(file).text, &mut self.files.problems);
        RawRoot::decode(Node::new(file, &tree), &mut self.files.problems)
    }

    fn include(&mut self, from: &Path, pattern: &At<String>) -> Option<()> {
        let place = Some(pattern.place);
        let path = beside(from, &pattern.value);
        let name = path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
        let parent = path.parent().map(Path::to_owned).unwrap_or_default();
        let stars = pattern.value.matches('*').count();
        let Some(name) = name.filter(|n| n.matches('*').count() == stars && stars <= 1) else {
            let message = "an include is a file's path, with one `*` at most, in the file's name";
            return self.refuse(Code::Include, place, message.to_owned());
        };
        if stars == 0 {
            return self.visit(&path, place);
        }
        match self.matching(&parent, &name) {
            Ok(names) if names.is_empty() => {
                self.refuse(Code::EmptyInclude, place, format!("`{}` matches no file", path.display()))
            }
            Ok(names) => {
                for name in names {
                    self.visit(&parent.join(name), place);
                }
                Some(())
            }
            Err(e) => {
                self.refuse(Code::Unreadable, place, format!("cannot read `{}`: {e}", parent.display()))
            }
        }
    }
}

/// The path without `.` and `..`, so that two ways to write one file compare equal.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            Component::ParentDir | Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                plain.push(part);
            }
        }
    }
    plain
}
