//! A configuration as a tree of settings, and what of it is left out.

use std::time::Duration;

use seawall_model::{estate::Problems, units::parse_duration};
use serde_json::{Value as Json, json};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Shortest and longest time that an estate takes.
const TIMES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3_600));

/// Why a file is not of its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// Where, from 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) why: String,
}

/// A setting that does not carry over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Its place in the file, as in `projects[0].networks[1].alias`.
    pub(super) path: String,
    /// Its line, from 1, where that is known.
    pub(super) line: Option<usize>,
    /// True if it stands in the second file, which names the targets.
    pub(super) second: bool,
    /// Why, and what to do instead.
    pub(super) reason: String,
}

/// What does not carry over.
#[derive(Debug, Default)]
pub(super) struct Left {
    all: Vec<LeftOut>,
    second: bool,
}

impl Left {
    /// Tells of a setting that stands on a line; 0 is none.
    pub(super) fn add(&mut self, path: &str, line: usize, reason: impl Into<String>) {
        // What came from the file must not write on anybody's terminal.
        let path = path.escape_debug().to_string();
        let line = (line > 0).then_some(line);
        let one = LeftOut { path, line, second: self.second, reason: reason.into() };
        if !self.all.contains(&one) || self.all.len() > 1_000 {
            self.all.push(one);
        }
    }

    /// Says whether what follows is of the second file.
    pub(super) fn second(&mut self, second: bool) {
        self.second = second;
    }

    /// In the order of the file.
    pub(super) fn sort(&mut self) {
        self.all.sort_by_key(|one| (one.second, one.line));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LeftOut> {
        self.all.iter()
    }

    pub(super) fn json(&self) -> Json {
        let one = |one: &LeftOut| {
            let mut told = json!({ "path": one.path, "reason": one.reason });
            if let Some(line) = one.line {
                told["line"] = line.into();
            }
            if one.second {
                told["file"] = "targets".into();
            }
            told
        };
        self.all.iter().map(one).collect()
    }
}

/// A value and what is below it. Numbers and booleans are texts, as they are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a setting is set to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// A text, a number, a boolean.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// Settings by their keys, in the order of the file.
    Map(Vec<(String, Tree)>),
}

impl Value {
    /// True if it says nothing.
    fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }
}

/// Reads TOML.
pub(super) fn toml(text: &str) -> Result<Tree, Broken> {
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
    match DeTable::parse(text) {
        Ok(table) => {
            let starts: Vec<usize> =
                std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
            let value = DeValue::Table(table.into_inner());
            Ok(Tree { line: 1, value: from_toml(&value, &starts) })
        }
        Err(e) => Err(Broken { line: line(e.span().map_or(0, |s| s.start)), why: e.message().to_owned() }),
    }
}

/// The value; `starts` are where lines begin.
fn from_toml(value: &DeValue<'_>, starts: &[usize]) -> Value {
    let below = |at: usize, value: &Spanned<DeValue<'_>>| {
        let line = starts.partition_point(|start| *start <= at);
        Tree { line, value: from_toml(value.get_ref(), starts) }
    };
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match number.radix() {
            10 => Value::Text(number.as_str().to_owned()),
            radix => Value::Text(i64::from_str_radix(number.as_str(), radix).unwrap_or(i64::MAX).to_string()),
        },
        DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Value::Text(yes.to_string()),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|one| below(one.span().start, one)).collect()),
        DeValue::Table(table) => {
            let mut entries: Vec<_> = table
                .iter()
                .map(|(key, value)| (key.span().start, key.get_ref().to_string(), value))
                .collect();
            entries.sort_by_key(|(at, ..)| *at);
            Value::Map(entries.into_iter().map(|(at, key, value)| (key, below(at, value))).collect())
        }
    }
}

/// A setting and its place.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) tree: &'a Tree,
}

impl<'a> Field<'a> {
    /// Leaves it out.
    pub(super) fn leave(&self, left: &mut Left, reason: impl Into<String>) {
        left.add(&self.path, self.tree.line, reason);
    }

    /// The text, if it is one and names no variable.
    pub(super) fn text(&self, left: &mut Left) -> Option<&'a str> {
        let text = self.raw(left)?;
        if super::source::Source::of(text).names_variables() {
            self.leave(
                left,
                "it holds a variable of the environment, which is not looked at: write what it stands for",
            );
            return None;
        }
        Some(text)
    }

    /// The text, variables and all.
    pub(super) fn raw(&self, left: &mut Left) -> Option<&'a str> {
        match &self.tree.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.leave(left, "it is not the single value that belongs here");
                None
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&self, left: &mut Left) -> Option<u64> {
        let text = self.text(left)?;
        let number = text.replace('_', "").parse().ok();
        if number.is_none() {
            self.leave(left, "it is no whole number");
        }
        number
    }

    /// True or false.
    pub(super) fn flag(&self, left: &mut Left) -> Option<bool> {
        match self.text(left)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.leave(left, "it is neither `true` nor `false`");
                None
            }
        }
    }

    /// A time that an estate takes.
    pub(super) fn time(&self, left: &mut Left) -> Option<Duration> {
        let time = self.duration(left)?;
        self.within(time, left)
    }

    /// A time, however long.
    pub(super) fn duration(&self, left: &mut Left) -> Option<Duration> {
        let text = self.text(left)?;
        let time = parse_duration(&text.replace("µs", "us")).ok();
        if time.is_none() {
            self.leave(left, "it is no time with a unit, as in `500ms` or `30s`");
        }
        time
    }

    /// The time, or what is nearest to it of the times that an estate takes.
    pub(super) fn within(&self, time: Duration, left: &mut Left) -> Option<Duration> {
        let near = time.clamp(TIMES.0, TIMES.1);
        if near != time {
            self.leave(left, "times are from 1ms to 1h: the nearest is taken");
        }
        Some(near)
    }

    /// What a list holds.
    pub(super) fn items(&self, left: &mut Left) -> Vec<Field<'a>> {
        match &self.tree.value {
            Value::List(items) => {
                let item = |(i, tree)| Field { path: format!("{}[{i}]", self.path), tree };
                items.iter().enumerate().map(item).collect()
            }
            Value::Null => Vec::new(),
            Value::Text(_) | Value::Map(_) => {
                self.leave(left, "it is no list");
                Vec::new()
            }
        }
    }

    /// The texts of a list.
    pub(super) fn texts(&self, left: &mut Left) -> Vec<&'a str> {
        self.items(left).iter().filter_map(|item| item.text(left)).collect()
    }

    /// What is set below it.
    pub(super) fn fields(&self, left: &mut Left) -> Fields<'a> {
        let entries = match &self.tree.value {
            Value::Map(entries) => entries.iter().map(|(key, tree)| (key.as_str(), tree)).collect(),
            Value::Null => Vec::new(),
            Value::Text(_) | Value::List(_) => {
                self.leave(left, "it is not the group of settings that belongs here");
                Vec::new()
            }
        };
        Fields { path: self.path.clone(), entries }
    }
}

/// Settings of which some are taken; the rest is left out, and told.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    entries: Vec<(&'a str, &'a Tree)>,
}

impl<'a> Fields<'a> {
    /// Those of the whole file.
    pub(super) fn root(tree: &'a Tree, left: &mut Left) -> Self {
        Field { path: String::new(), tree }.fields(left)
    }

    fn field(&self, key: &str, tree: &'a Tree) -> Field<'a> {
        // A key may be a secret, or anything else.
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-*.".contains(c);
        let shown = match key.chars().all(plain) {
            true => key.chars().take(Problems::QUOTED).collect(),
            false => "?".to_owned(),
        };
        let path = if self.path.is_empty() { shown } else { format!("{}.{shown}", self.path) };
        Field { path, tree }
    }

    /// Takes a setting; `None` if it is not there or says nothing.
    pub(super) fn take(&mut self, key: &str) -> Option<Field<'a>> {
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        let (name, tree) = self.entries.remove(at);
        (!tree.value.is_empty()).then(|| self.field(name, tree))
    }

    /// Looks at a setting without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<Field<'a>> {
        let (name, tree) = self.entries.iter().find(|(name, tree)| *name == key && !tree.value.is_empty())?;
        Some(self.field(name, tree))
    }

    /// Takes what a list holds.
    pub(super) fn items(&mut self, key: &str, left: &mut Left) -> Vec<Field<'a>> {
        self.take(key).map(|list| list.items(left)).unwrap_or_default()
    }

    /// Takes all that is left, each with its key.
    pub(super) fn rest(&mut self) -> Vec<(&'a str, Field<'a>)> {
        let entries = std::mem::take(&mut self.entries);
        let said = entries.into_iter().filter(|(_, tree)| !tree.value.is_empty());
        said.map(|(key, tree)| (key, self.field(key, tree))).collect()
    }

    /// Leaves out the rest, each for the reason that `why` gives for its key.
    pub(super) fn leave(mut self, left: &mut Left, why: impl Fn(&str) -> &'static str) {
        for (key, field) in self.rest() {
            field.leave(left, why(key));
        }
    }
}
