//! What is wrong with an estate, for people and for programs.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use seawall_model::estate::{Code, FileId, Place, Problem, Problems, Severity, Sources};
use serde_json::{Value, json};

/// Everything found wrong with an estate, with the text it is about. Shows no secret: what may be one is
/// masked.
pub struct Report {
    sources: Sources,
    problems: Problems,
    /// Each file's text without its secrets, byte for byte as long as the file.
    veiled: Vec<String>,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("errors", &self.errors()).field("warnings", &self.warnings()).finish()
    }
}

impl Report {
    /// A report of `problems` in `sources`.
    pub fn new(sources: Sources, problems: Problems) -> Self {
        let veil = |(at, text): (usize, &str)| {
            let of_file = |place: &Place| usize::from(place.file.0) == at;
            let unread = problems
                .sorted()
                .iter()
                .any(|p| p.code == Code::Syntax && p.place.as_ref().is_some_and(of_file));
            let mut bytes = text.as_bytes().to_vec();
            for place in problems.hidden().iter().filter(|p| of_file(p)) {
                hide(&mut bytes[place.span()], |_| false);
            }
            if unread {
                bytes.split_mut(|b| *b == b'\n').for_each(hide_value);
            }
            String::from_utf8(bytes).expect("characters were replaced by characters")
        };
        let veiled = sources.iter().map(|s| s.text.as_str()).enumerate().map(veil).collect();
        Self { sources, problems, veiled }
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.problems.errors()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.problems.warnings()
    }

    /// The counts in words, as in `2 errors, 1 warning`.
    pub fn count(&self) -> String {
        let count = |n: usize, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{n} {what}s")),
        };
        let counts = [count(self.errors(), "error"), count(self.warnings(), "warning")];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }
    }

    /// Every problem with its text underlined, for a terminal `colour`ed or not.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let problems = self.problems.sorted();
        let mut text = String::new();
        for problem in &problems {
            text += &renderer.render(&[self.group(problem)]);
            text += "\n\n";
        }
        let unseen = self.errors() + self.warnings() - problems.len();
        if unseen > 0 {
            text += &format!("{unseen} more not shown\n\n");
        }
        text
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.code.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group =
            level.primary_title(&problem.message).id(problem.code.as_str()).elements(self.snippets(problem));
        group = group.element(Level::HELP.message(problem.cure()));
        group
    }

    /// The problem's place, and the other place that belongs to it, in one snippet if they are in one file.
    fn snippets<'a>(&'a self, problem: &'a Problem) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let Some(place) = problem.place else { return Vec::new() };
        let mut first = self.snippet(place.file).annotation(AnnotationKind::Primary.span(self.span(place)));
        let mut second = None;
        if let Some((other, label)) = &problem.other {
            let note = AnnotationKind::Context.span(self.span(*other)).label(label.as_str());
            if other.file == place.file {
                first = first.annotation(note);
            } else {
                second = Some(self.snippet(other.file).annotation(note));
            }
        }
        [Some(first), second].into_iter().flatten().collect()
    }

    fn snippet<'a, T: Clone>(&'a self, file: FileId) -> Snippet<'a, T> {
        let path = self.sources.get(file).path.display().to_string();
        Snippet::source(self.veiled[usize::from(file.0)].as_str()).path(path)
    }

    /// The place as the renderer takes it: within the text, on whole characters.
    fn span(&self, place: Place) -> std::ops::Range<usize> {
        let text = &self.veiled[usize::from(place.file.0)];
        let back = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let span = place.span();
        back(span.start)..back(span.end).max(back(span.start))
    }

    /// Each problem as a sentence with its code and place.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        let sentence = |p: &Problem| match p.place.map(|place| (place, self.sources.position(place))) {
            Some((place, at)) => {
                let file = self.sources.get(place.file).path.display();
                format!("{} {file}:{}:{}: {}", p.code.as_str(), at.line, at.column, p.message)
            }
            None => format!("{} {}", p.code.as_str(), p.message),
        };
        self.problems.sorted().into_iter().map(sentence).collect::<Vec<_>>().into_iter()
    }

    /// The problems as a list of objects: `code`, `severity`, `file`, `line`, `column`, `message`, `help`.
    /// Lines and columns count from 1, columns in characters.
    pub fn to_json(&self) -> Value {
        let object = |p: &&Problem| {
            let position = p.place.map(|place| self.sources.position(place));
            json!({
                "code": p.code.as_str(),
                "severity": p.code.severity().as_str(),
                "file": p.place.map(|place| self.sources.get(place.file).path.display().to_string()),
                "line": position.map(|at| at.line),
                "column": position.map(|at| at.column),
                "message": p.message,
                "help": p.cure(),
            })
        };
        self.problems.sorted().iter().map(object).collect()
    }
}

/// Replaces what `shown` does not spare, each character by one of as many bytes, so that places stay where
/// they are in bytes and in characters. Line breaks are always spared.
fn hide(text: &mut [u8], shown: impl Fn(char) -> bool) {
    let mask = |c: char| match c.len_utf8() {
        _ if c == '\n' || c == '\r' || shown(c) => c,
        1 => '*',
        2 => '·',
        3 => '•',
        _ => '🞄',
    };
    let veiled: String = std::str::from_utf8(text).expect("whole characters").chars().map(mask).collect();
    text.copy_from_slice(veiled.as_bytes());
}

/// Of a line of a text that is not TOML, and so cannot be said to hold no secret, leaves a header or what
/// is before `=`.
fn hide_value(line: &mut [u8]) {
    let from = match line.iter().position(|b| *b == b'=') {
        Some(at) => at + 1,
        None if line.trim_ascii_start().starts_with(b"[") => return,
        None => 0,
    };
    hide(&mut line[from..], |c| c.is_ascii_whitespace() || c.is_ascii_punctuation());
}
