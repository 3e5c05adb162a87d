//! HAProxy's file as sections of lines of words.

use seawall_model::estate::Problems;

use super::super::tree::Broken;

/// Words that begin a section.
const SECTIONS: [&str; 21] = [
    "acme",
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "http-errors",
    "listen",
    "log-forward",
    "log-profile",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
    "ruleset",
    "dynamic-update",
];

/// One section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) kind: String,
    pub(super) name: Option<String>,
    /// The `defaults` that it names.
    pub(super) from: Option<String>,
    pub(super) line: usize,
    pub(super) lines: Vec<Line>,
}

impl Section {
    /// Its place.
    pub(super) fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {}", self.kind, shown(name)),
            None => self.kind.clone(),
        }
    }

    /// The place of a line in it.
    pub(super) fn path_of(&self, line: &Line) -> String {
        format!("{}.{}", self.path(), line.shown())
    }
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    words: Vec<String>,
}

impl Line {
    /// What it is about.
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// One of the words; what it is about is the first, 0.
    pub(super) fn arg(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    /// The words from one on.
    pub(super) fn args(&self, from: usize) -> impl Iterator<Item = &str> {
        self.words.iter().skip(from).map(String::as_str)
    }

    /// What it is about, with the word that tells it apart from others of its kind. What follows may be a secret.
    pub(super) fn shown(&self) -> String {
        let first = shown(self.word());
        let apart = ["server", "timeout", "option", "acl", "use_backend", "http-request", "stats", "bind"];
        match self.arg(1).filter(|_| apart.contains(&self.word())) {
            Some(second) => format!("{first} {}", shown(second)),
            None => first,
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(Problems::QUOTED).collect()
}

/// Takes the file apart.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, Broken> {
    let mut sections = Vec::<Section>::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = words(line).map_err(|why| Broken { line: number, why: why.to_owned() })?;
        let Some(first) = words.first() else { continue };
        if SECTIONS.contains(&first.as_str()) {
            let (kind, mut rest) = (first.clone(), words.iter().skip(1));
            let name = rest.next().filter(|name| *name != "from").cloned();
            let from = words.iter().position(|word| word == "from").and_then(|at| words.get(at + 1)).cloned();
            let mut lines = Vec::new();
            // `listen NAME ADDRESS`, as it was written once.
            if let (true, Some(at)) =
                (["listen", "frontend"].contains(&kind.as_str()), words.get(2).filter(|w| w.contains(':')))
            {
                lines.push(Line { number, words: vec!["bind".to_owned(), at.clone()] });
            }
            sections.push(Section { kind, name, from, line: number, lines });
        } else {
            let Some(section) = sections.last_mut() else {
                return Err(Broken {
                    line: number,
                    why: "it begins with no section, such as `global` or `backend`".to_owned(),
                });
            };
            section.lines.push(Line { number, words });
        }
    }
    Ok(sections)
}

/// The words of a line: parted by blanks, which a backslash or quotes keep, up to a `#`.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("a backslash at the end of a line"),
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote that is not closed");
    }
    words.extend(word);
    Ok(words)
}
