//! A file's tree, each node with its place.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Code, FileId, Place, Problem, Problems};

/// A value in the tree of a file.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The value.
    pub value: &'a DeValue<'a>,
    /// Where it stands: for a table under a header, the header.
    pub place: Place,
}

/// Parses a file's text, reports every fault of syntax, and gives the tree of what could be read.
pub fn parse<'a>(file: FileId, text: &'a str, problems: &mut Problems) -> Spanned<DeValue<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        problems.tear();
    }
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let place = Place::new(file, span.clone());
        // The parser's messages are made of fixed phrases; only here does one name what it is about.
        let problem = match (error.message(), text.get(span)) {
            ("duplicate key", Some(key)) => {
                let message = format!("{} is declared twice in one table", problems.quote(key, place));
                Problem::new(Code::DeclaredTwice, place, message)
            }
            (message, _) => Problem::new(Code::Syntax, place, message),
        };
        problems.report(problem);
    }
    let span = table.span();
    Spanned::new(span, DeValue::Table(table.into_inner()))
}

impl<'a> Node<'a> {
    /// The node of a parsed file or of one of its values.
    pub fn new(file: FileId, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { value: value.get_ref(), place: Place::new(file, value.span()) }
    }

    /// A node below this one.
    pub fn child(self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self::new(self.place.file, value)
    }

    /// The text, if it is one.
    pub fn text(self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// Reports that something else was expected here. Never quotes the value.
    pub fn mismatch(self, expected: &str, problems: &mut Problems) {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("expected {expected}, found {found}");
        problems.report(Problem::new(Code::WrongType, self.place, message));
    }

    /// Hides every text and number here and below from reports: any of them may be a secret.
    pub fn hide(self, problems: &mut Problems) {
        match self.value {
            DeValue::Table(table) => table.iter().for_each(|(_, v)| self.child(v).hide(problems)),
            DeValue::Array(array) => array.iter().for_each(|v| self.child(v).hide(problems)),
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => problems.hide(self.place),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    /// Its entries with the place of each key, in the order of the keys; reports if it is no table, and hides
    /// what stands there instead, since nothing tells what it was meant to be.
    pub fn entries(self, expected: &str, problems: &mut Problems) -> Option<Vec<(&'a str, Place, Node<'a>)>> {
        let DeValue::Table(table) = self.value else {
            self.hide(problems);
            self.mismatch(expected, problems);
            return None;
        };
        let entry = |(key, value): (&'a Spanned<_>, _)| {
            let key_place = Place::new(self.place.file, key.span());
            (AsRef::<str>::as_ref(key.get_ref()), key_place, self.child(value))
        };
        Some(table.iter().map(entry).collect())
    }

    /// Its elements; reports and hides as [`Node::entries`] does if it is no list.
    pub fn elements(self, expected: &str, problems: &mut Problems) -> Option<Vec<Node<'a>>> {
        let DeValue::Array(array) = self.value else {
            self.hide(problems);
            self.mismatch(expected, problems);
            return None;
        };
        Some(array.iter().map(|v| self.child(v)).collect())
    }
}
